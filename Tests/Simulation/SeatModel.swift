// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// What was said at counters of seats: who was told to have one, who gave one up, and how many were ever planned.
///
/// It knows nothing of rights: who was told so has a seat wherever that is known, until somebody who knew it ends it.
struct SeatModel {
    /// Something that a command wrote of a booking.
    struct Word {
        let space: SpaceID
        /// The change, with which whatever it stands on is in effect too.
        let dot: Dot
        /// What was in effect where it was said, this change not.
        let seen: VersionVector
        /// Whether the office knew the holder to have rights: whoever follows the owner waits for its word.
        var isFirm = false
    }

    /// The most seats that anybody ever planned, by the lesson's code.
    private(set) var planned: [String: Int] = [:]
    /// What says how many seats are planned, by the lesson's code.
    private(set) var plans: [String: [Word]] = [:]
    /// The devices that made a lesson or were passed its ledger, by the lesson's code.
    private(set) var keepers: [String: Set<DeviceID>] = [:]
    /// Who was told to have a seat.
    private(set) var promises: [RecordID: [Word]] = [:]
    /// Who gave up what he had.
    private(set) var cancels: [RecordID: [Word]] = [:]

    mutating func plan(_ code: String, _ seats: Int) { planned[code] = max(planned[code] ?? 0, seats) }

    mutating func plan(_ code: String, _ word: Word) { plans[code, default: []].append(word) }

    mutating func keep(_ code: String, _ device: DeviceID) { keepers[code, default: []].insert(device) }

    mutating func promise(_ booking: RecordID, _ word: Word) { promises[booking, default: []].append(word) }

    mutating func cancel(_ booking: RecordID, _ word: Word) { cancels[booking, default: []].append(word) }

    /// What was said to a person, and nobody who knew of it has ended, as far as a view goes.
    func standing(_ booking: RecordID, in view: VersionVector) -> [Word] {
        promises[booking, default: []].filter { promise in
            view.covers(promise.dot)
                && !cancels[booking, default: []].contains { view.covers($0.dot) && $0.seen.covers(promise.dot) }
        }
    }

    /// Where somebody who knew what was said to a person ended it, whoever knows of that.
    func endings(_ booking: RecordID, of promise: Word) -> [Dot] {
        cancels[booking, default: []].filter { $0.seen.covers(promise.dot) }.map(\.dot)
    }

    /// Whether a view knows of somebody who gave the booking up while a person was told to have a seat elsewhere.
    func isCancelled(_ booking: RecordID, besides promise: Word, in view: VersionVector) -> Bool {
        cancels[booking, default: []].contains { view.covers($0.dot) && !promise.seen.covers($0.dot) }
    }

    /// Whether anybody gave a booking up, as far as a view goes.
    func isCancelled(_ booking: RecordID, in view: VersionVector) -> Bool {
        cancels[booking, default: []].contains { view.covers($0.dot) }
    }

    /// Forgets what only a lost disk held.
    mutating func forget(_ isLost: (Dot, SpaceID) -> Bool) {
        for booking in promises.keys {
            promises[booking]?.removeAll { word in
                isLost(word.dot, word.space)
                    || word.seen.entries.contains { isLost(Dot($0.key, $0.value), word.space) }
            }
        }
        for code in plans.keys { plans[code]?.removeAll { isLost($0.dot, $0.space) } }
        for booking in cancels.keys { cancels[booking]?.removeAll { isLost($0.dot, $0.space) } }
    }
}
