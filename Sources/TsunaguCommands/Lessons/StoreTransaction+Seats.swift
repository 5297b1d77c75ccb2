// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore
import TsunaguWard

extension Draft {
    /// Writes what settling a lesson's seats calls for.
    func write(_ settlement: LessonSeats.Settlement, of lesson: RecordID) throws {
        // One after the other: their order counts.
        for entry in settlement.ledger {
            try edit(WardSchema.lesson, lesson, group: LessonGroups.rights, add: [entry.encoded])
        }
        for (booking, spend, survivor) in settlement.releases {
            let use = SeatUse.release(spend, for: survivor)
            try edit(WardSchema.booking, booking, group: LessonGroups.seat, add: [use.encoded])
        }
        for booking in settlement.spends {
            try edit(WardSchema.booking, booking, group: LessonGroups.seat, add: [SeatUse.spend.encoded])
        }
    }
}

extension StoreTransaction {
    /// Entries of one change at most, well below what a change may hold.
    private static let entriesMax = 1000

    /// Does what the bookings and ledgers of some lesson spaces call for at this replica: takes back the seats of
    /// cancelled bookings, makes and moves the rights that are planned, and confirms who waits, in order, while a right
    /// is free here.
    ///
    /// Writing the same again changes nothing, so whoever applied something may call it.
    ///
    /// - Parameter spaces: where something was written; with `system`, which says who holds rights no more, all.
    package func settleSeats(in spaces: Set<SpaceID>, by site: Site) throws {
        guard let own = try ownReplica(), try !isJoining() else { return }
        let concerned = try spaces.contains(.system) ? self.spaces() : spaces.sorted()
        for space in concerned where space.matches(WardSchema.lesson.spaces) {
            guard try currentAccess()?.mayWrite(own.device, space) == true else { continue }
            try settleSeats(in: space, own: own, by: site)
        }
    }

    /// Takes back what devices held whose rights have just been ended here.
    func giveSeatsOfEnded(by site: Site) throws {
        try flushDrafts()
        try settleSeats(in: [.system], by: site)
    }

    /// Whether this is a site that has not all of the ward yet: while it joins it takes in and says nothing.
    private func isJoining() throws -> Bool { try meta("joined") == nil }

    /// Whether this site has joined and not settled the lessons that it found.
    fileprivate func isNewToLessons() throws -> Bool { try !isJoining() && meta("takes_part") == nil }

    fileprivate func takePartInLessons(by site: Site) throws {
        try setMeta("takes_part", .integer(1))
        try settleSeats(in: [.system], by: site)
    }

    private func settleSeats(in space: SpaceID, own: ReplicaID, by site: Site) throws {
        try flushDrafts()
        let condition = "space = (SELECT no FROM space WHERE name = ?) AND deleted = 0 ORDER BY id"
        let lessons = try records(WardSchema.lesson, where: condition, [.text(space.name)])
            .map { (row: $0, seats: try seats(of: $0)) }
        let requests = lessons.reduce(into: [DeviceID: Int]()) { $1.seats.countRequests(into: &$0) }
        let former = try formerEnds(of: own, in: space)
        var entries = 0
        for (lesson, seats) in lessons {
            var outlook = try outlook(lesson, seats, own, former, site)
            if outlook.isAhead { outlook.takers = try takers(seats, outlook, requests, space) }
            let settlement = seats.settlement(outlook)
            guard !settlement.isEmpty else { continue }
            let draft = try draft(space, by: site.person)
            try draft.write(settlement, of: lesson.id)
            entries += settlement.ledger.count + settlement.releases.count + settlement.spends.count
            if entries > Self.entriesMax {
                try flushDrafts()
                entries = 0
            }
        }
        try flushDrafts()
    }

    /// What a command that writes of one lesson settles at once; where rights go shows with the next exchange.
    func settlement(of lesson: StoredRecord, _ seats: LessonSeats, by site: Site) throws -> LessonSeats.Settlement {
        guard let own = try ownReplica() else { return LessonSeats.Settlement() }
        return seats.settlement(try outlook(lesson, seats, own, formerEnds(of: own, in: lesson.space), site))
    }

    /// Where the other chains of this device end.
    private func formerEnds(of own: ReplicaID, in space: SpaceID) throws -> LedgerEntry.ChainEnds {
        try chainEnds(of: own.device, in: space).filter { $0.key != own }
    }

    private func outlook(
        _ lesson: StoredRecord,
        _ seats: LessonSeats,
        _ own: ReplicaID,
        _ former: LedgerEntry.ChainEnds,
        _ site: Site
    ) throws -> LessonSeats.Outlook {
        var out = LessonSeats.Outlook(own: own)
        out.planned = try plannedCapacity(lesson)
        out.former = former
        let today = Day(tokyo: site.store.environment.now())
        if let day = lesson.text("date").flatMap({ Day(iso: $0.utf8) }) {
            out.isAhead = today <= day
            out.isEve = out.isAhead && day.number - today.number <= Self.eveDays
        }
        guard let owner = seats.ledger.owner else { return out }
        for holder in Set(seats.ledger.held.keys).union([owner]) where holder != own {
            out.gone[holder] = try ends(of: holder, seats, out, lesson.space)
        }
        out.isSuccessor = try owner.device == own.device || currentAccess()?.successor(of: owner.device) == own.device
        return out
    }

    /// Days before a lesson from which on its venue has its share.
    private static let eveDays = 2

    /// Where a holder that is no more ended; `nil` while it goes on, or something of it is not here.
    private func ends(
        of holder: ReplicaID,
        _ seats: LessonSeats,
        _ outlook: LessonSeats.Outlook,
        _ space: SpaceID
    ) throws -> LedgerEntry.ChainEnds? {
        if try currentAccess()?.isRevoked(holder.device) == true { return try finalEnds(of: holder, in: space) }
        // Its device goes on as another replica and says where this one ended.
        var out: LedgerEntry.ChainEnds = [:]
        for (replica, joined) in seats.ledger.joined where replica.device == holder.device && replica != holder {
            out.merge(joined.former.filter { seats.lineage($0.key)[0] == holder }, uniquingKeysWith: max)
        }
        if holder.device == outlook.own.device {
            out.merge(outlook.former.filter { seats.lineage($0.key)[0] == holder }, uniquingKeysWith: max)
        }
        guard !out.isEmpty else { return nil }
        // What is here of it counts too, whether its successor had all of that back or not.
        let here = try chainEnds(of: holder.device, in: space).filter { seats.lineage($0.key)[0] == holder }
        return out.merging(here, uniquingKeysWith: max)
    }

    /// Who takes part and may go on writing here, the owner first of all.
    private func takers(
        _ seats: LessonSeats,
        _ outlook: LessonSeats.Outlook,
        _ requests: [DeviceID: Int],
        _ space: SpaceID
    ) throws -> [SeatShares.Taker] {
        guard let access = try currentAccess(), let owner = seats.ledger.owner else { return [] }
        let over = Set(seats.ledger.joined.values.flatMap(\.former.keys)).union(outlook.former.keys)
        let names = Set(seats.ledger.joined.keys).union([owner])
        return names.filter { name in
            name == owner
                || !over.contains(name) && seats.ledger.ended[name] == nil && outlook.gone[name] == nil
                    && access.mayWrite(name.device, space)
        }.map { name in
            let isVenue = access.writingRoles(of: name.device, in: space).contains(.venue)
            return SeatShares.Taker(replica: name, requests: requests[name.device] ?? 0, isVenue: isVenue)
        }
    }
}

extension LessonSeats {
    /// Adds up at which devices people asked for seats.
    fileprivate func countRequests(into requests: inout [DeviceID: Int]) {
        for step in bookings.flatMap(\.steps) where step.transition.to == BookingState.requested {
            if let device = step.dot?.replica.device { requests[device, default: 0] += 1 }
        }
    }
}

extension Site {
    /// Settles all lessons once, when this site first exchanged after it joined.
    ///
    /// - Returns: whether this was it.
    @discardableResult
    func takePartInLessons() throws -> Bool {
        // Every exchange asks, and nearly none has to write.
        guard try read({ try $0.isNewToLessons() }) else { return false }
        try write { try $0.takePartInLessons(by: self) }
        return true
    }
}
