// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguWard

/// Seats of a lesson that nobody sits on, and why they are not all handed out where somebody asks.
package struct FreeSeats: Hashable, Sendable {
    package enum Reason: String, Sendable {
        /// This device confirms at once.
        case here
        /// Another holds the rights to them.
        case elsewhere
        /// Their holder gave them back, and the ledger's owner has not heard of it or not yet passed them on.
        case returning
        /// People wait for them, and are confirmed with the next exchanges.
        case forWaiting = "for_waiting"
        /// Kept for people who come together and whom a person put first, until there are enough.
        case kept
        /// Their holder's rights ended; the ledger's owner takes them back once it has all that is honoured.
        case lost
        /// More are planned than the ledger's owner has made.
        case notMade = "not_made"
    }

    /// Who has to act: the holder, or the ledger's owner.
    package let holder: ReplicaID
    package let count: Int
    package let reason: Reason
}

/// Why somebody waits.
package enum WaitingReason: String, Sendable {
    /// All seats are taken.
    case full
    /// A seat is free, and its right is not here: whoever has it confirms with the next exchanges.
    case freeElsewhere = "free_elsewhere"
    /// Seats are free, and fewer than those who come together need.
    case groupTooLarge = "group_too_large"
    /// Seats are free, and kept for people who come together and whom a person put first.
    case keptForGroup = "kept_for_group"
    /// Sites differ on how many seats there are, or there are none planned.
    case noSeats = "no_seats"
}

extension LessonSeats {
    /// Where free seats are, by holder; none in a lesson that is cancelled.
    ///
    /// - Parameters:
    ///   - planned: the capacity; `nil` while sites differ on it.
    ///   - isEnded: whether a holder's rights ended.
    func freeSeats(planned: Int?, own: ReplicaID, on today: Day, isEnded: (ReplicaID) -> Bool) -> [FreeSeats] {
        guard !isCancelled, let owner = ledger.owner else { return [] }
        var out: [FreeSeats] = []
        // Those who come together wait beside seats that are too few for them: these are whoever's who asks next, unless
        // a person put the group before all others.
        let usable = ledger.held.keys.filter { !isEnded($0) }.reduce(0) {
            $0 + max(0, ledger.free($1)) + ledger.offered($1)
        }
        let (people, waitedFor) = filled(usable, on: today)
        var queue = people.count
        func add(_ holder: ReplicaID, _ count: Int, _ reason: FreeSeats.Reason) {
            if count > 0 { out.append(FreeSeats(holder: holder, count: count, reason: reason)) }
        }
        for holder in ledger.held.keys.sorted() {
            let (free, offered) = (max(0, ledger.free(holder)), ledger.offered(holder))
            if isEnded(holder) {
                add(holder, free + offered, .lost)
                continue
            }
            let promised = min(free, queue)
            queue -= promised
            add(holder, promised, .forWaiting)
            add(holder, free - promised, waitedFor.isEmpty ? holder == own ? .here : .elsewhere : .kept)
            add(holder, min(offered, (ledger.held[holder] ?? 0) - free), .returning)
        }
        if let planned { add(owner, planned - ledger.minted, .notMade) }
        return out
    }

    /// Why each of those waits who do.
    func waitingReasons(planned: Int?, on today: Day) -> [RecordID: WaitingReason] {
        guard let planned, planned > 0 else { return Dictionary(uniqueKeysWithValues: waiting.map { ($0, .noSeats) }) }
        let free = planned - ledger.backed.values.reduce(0) { $0 + $1.count }
        let (people, waitedFor) = filled(free, on: today)
        let (moving, group) = (Set(people), Set(waitedFor))
        func reason(_ id: RecordID) -> WaitingReason {
            if moving.contains(id) { return .freeElsewhere }
            if free <= people.count { return .full }
            // One alone would have moved up.
            return group.isEmpty || group.contains(id) ? .groupTooLarge : .keptForGroup
        }
        return Dictionary(uniqueKeysWithValues: waiting.map { ($0, reason($0)) })
    }
}
