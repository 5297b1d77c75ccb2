// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// What people ask for at the counters of many venues, in the order of time.
package struct BookingWorkload: Sendable {
    package struct Operation: Sendable, Decodable {
        package enum Kind: String, Sendable, Decodable { case book, cancel }

        package let op: Kind
        /// The counter, from 0.
        package let venue: Int
        /// The lesson, from 0.
        package let session: Int
        package let who: String
        /// Names the request; a cancellation names the one that it ends, made at the same counter.
        package let bid: String
    }

    package let operations: [Operation]
    /// Seats of each session.
    package let capacity: Int
    package let venues: Int
    package let sessions: Int

    package init(operations: [Operation], capacity: Int) {
        self.operations = operations
        self.capacity = capacity
        venues = 1 + (operations.map(\.venue).max() ?? 0)
        sessions = 1 + (operations.map(\.session).max() ?? 0)
    }

    /// Reads one JSON object a line: `{"venue":6,"op":"book","session":1,"who":"…","bid":"06-000000"}`.
    package init(file: String, capacity: Int) throws {
        let decoder = JSONDecoder()
        let lines = try Data(contentsOf: URL(filePath: file)).split(separator: UInt8(ascii: "\n"))
        self.init(operations: try lines.map { try decoder.decode(Operation.self, from: $0) }, capacity: capacity)
    }

    /// Invented people at counters drawn evenly, a fifth of them giving up; few sessions are asked for by most.
    package static func generated(
        seed: UInt64,
        operations: Int,
        venues: Int,
        sessions: Int,
        capacity: Int
    ) -> BookingWorkload {
        var generator = SeededGenerator(seed: seed)
        var made = [[Operation]](repeating: [], count: venues)
        var out: [Operation] = []
        for number in 0..<operations {
            let venue = generator.below(venues)
            if !made[venue].isEmpty, generator.chance(20) {
                let old = made[venue].remove(at: generator.below(made[venue].count))
                let cancel = Operation(op: .cancel, venue: venue, session: old.session, who: old.who, bid: old.bid)
                out.append(cancel)
                continue
            }
            let session = min(generator.below(sessions), generator.below(sessions))
            let who = "\(generator.below(operations * 2))"
            let bid = "\(venue)-\(number)"
            made[venue].append(Operation(op: .book, venue: venue, session: session, who: who, bid: bid))
            out.append(made[venue].last!)
        }
        return BookingWorkload(operations: out, capacity: capacity)
    }

    /// The same requests at counters of which few are asked most: the first twice as often as the second, and so on.
    package var uneven: BookingWorkload {
        var generator = SeededGenerator(seed: 1)
        let shares = (1...venues).map { 1_000_000 / $0 }
        let sum = shares.reduce(0, +)
        var venueOf: [String: Int] = [:]
        return BookingWorkload(
            operations: operations.map { operation in
                let venue =
                    venueOf[operation.bid]
                    ?? {
                        var place = generator.below(sum)
                        return shares.firstIndex { share in
                            place -= share
                            return place < 0
                        }!
                    }()
                venueOf[operation.bid] = venue
                return Operation(
                    op: operation.op,
                    venue: venue,
                    session: operation.session,
                    who: operation.who,
                    bid: operation.bid
                )
            },
            capacity: capacity
        )
    }

    /// So many parts of equal length; the venues see each other only between them.
    func windows(_ count: Int) -> [ArraySlice<Operation>] {
        let length = max(1, (operations.count + count - 1) / count)
        return stride(from: 0, to: operations.count, by: length).map {
            operations[$0..<min($0 + length, operations.count)]
        }
    }
}
