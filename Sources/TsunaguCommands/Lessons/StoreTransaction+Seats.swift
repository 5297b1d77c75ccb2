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
        for booking in settlement.lapsed {
            try step(
                WardSchema.booking,
                booking,
                group: LessonGroups.status,
                to: BookingState.cancelled,
                reason: "返事の期限が過ぎた"
            )
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
    /// Times that what was written of a lesson is looked at again; the rest shows with the next exchange.
    private static let passesMax = 4

    /// Does what the bookings and ledgers of some lesson spaces call for at this replica: takes back the seats of
    /// cancelled bookings, makes and moves the rights that are planned, and confirms who waits, in order, while a right
    /// is free here.
    ///
    /// Writing the same again changes nothing, so whoever applied something may call it.
    ///
    /// - Parameters:
    ///   - spaces: where something was written; with `system`, which says who holds rights no more, all.
    ///   - chosen: the lessons of a space that may have changed; `nil` for all.
    package func settleSeats(
        in spaces: Set<SpaceID>,
        by site: Site,
        _ chosen: (SpaceID) -> Set<RecordID>? = { _ in nil }
    ) throws {
        guard let own = try ownReplica(), try !isJoining() else { return }
        let concerned = try spaces.contains(.system) ? self.spaces() : spaces.sorted()
        for space in concerned where space.matches(WardSchema.lesson.spaces) {
            guard try currentAccess()?.mayWrite(own.device, space) == true else { continue }
            try settleSeats(in: space, chosen(space), own: own, by: site)
        }
    }

    /// Settles the lessons that something arrived of, or all where that may concern all.
    ///
    /// - Parameter isNewReplica: whether this site goes on under another name since: it says in all lessons where the
    ///   former one ended.
    func settleArrivedSeats(by site: Site, isNewReplica: Bool) throws {
        let arrivals = arrivals
        // Wherever it noticed, it may have held rights in any lesson.
        let spaces = isNewReplica ? [.system] : arrivals.spaces
        guard spaces.contains(where: { $0 == .system || $0.matches(WardSchema.lesson.spaces) }) else { return }
        let access = try currentAccess()
        // The last that was lacking of a device whose rights have ended frees what it held in all lessons, and so does
        // what comes back of this device's own former chain.
        let isEnd = arrivals.authors.contains { $0 == site.keys.device || access?.isRevoked($0) == true }
        let isAll = isEnd || spaces.contains(.system)
        let arrived = isAll ? [] : try lessons(of: arrivals.records)
        try settleSeats(in: spaces, by: site) { isAll || arrivals.reworked.contains($0) ? nil : arrived }
    }

    /// The lessons among some records, and those whose bookings are among them.
    private func lessons(of rows: Set<Int64>) throws -> Set<RecordID> {
        let condition = "rid IN (SELECT value FROM json_each(?))"
        let list = Value.text(ExactText("[\(rows.sorted().map(String.init).joined(separator: ","))]"))
        let lessons = try records(WardSchema.lesson, where: condition, [list]).map(\.id)
        let booked = try records(WardSchema.booking, where: condition, [list]).compactMap {
            $0.text("lesson").flatMap { RecordID(hex: $0) }
        }
        return Set(lessons + booked)
    }

    /// Takes back what devices held whose rights have just been ended here.
    func giveSeatsOfEnded(by site: Site) throws {
        try flushDrafts()
        try settleSeats(in: [.system], by: site)
    }

    /// Whether this is a site that has not all of the ward yet: while it joins it takes in and says nothing.
    private func isJoining() throws -> Bool { try meta("joined") == nil }

    /// Whether this site has joined and not settled all lessons on this day: with the day it changes which lessons are
    /// ahead, and which are so near that their venue has to have its share.
    fileprivate func isSettlementDue(on day: Day) throws -> Bool {
        guard try !isJoining() else { return false }
        return try meta("lessons_settled_on")?.integer != Int64(day.number)
    }

    fileprivate func settleLessons(on day: Day, by site: Site) throws {
        try setMeta("lessons_settled_on", .integer(Int64(day.number)))
        try settleSeats(in: [.system], by: site)
    }

    /// - Parameter chosen: these lessons alone, or all.
    private func settleSeats(in space: SpaceID, _ chosen: Set<RecordID>?, own: ReplicaID, by site: Site) throws {
        try takeBackUnknown(own, in: space, by: site)
        try flushDrafts()
        let condition = "space = (SELECT no FROM space WHERE name = ?) AND deleted = 0 ORDER BY id"
        let lessons = try records(WardSchema.lesson, where: condition, [.text(space.name)])
        var due = chosen.map { chosen in lessons.filter { chosen.contains($0.id) } } ?? lessons
        guard !due.isEmpty else { return }
        let requests = try requests(for: lessons, in: space, on: Day(tokyo: site.store.environment.now()))
        let former = try formerEnds(of: own, in: space)
        var claims: [DeviceID: Claim] = [:]
        var entries = 0
        // What is written can call for more: who gets a right for the seat that he promised may hold a person's second.
        for _ in 0..<Self.passesMax where !due.isEmpty {
            due = try due.filter { lesson in
                let seats = try seats(of: lesson)
                var outlook = try outlook(lesson, seats, own, former, site)
                if outlook.isAhead { outlook.takers = try takers(seats, outlook, requests, space, &claims) }
                let settlement = seats.settlement(outlook)
                if settlement.isEmpty { return false }
                let draft = try draft(space, by: site.person)
                try draft.write(settlement, of: lesson.id)
                entries += settlement.ledger.count + settlement.releases.count + settlement.spends.count
                if entries > Self.entriesMax {
                    try flushDrafts()
                    entries = 0
                }
                return true
            }
            try flushDrafts()
        }
    }

    /// Takes back the seats that this replica gave to bookings of which nobody knows the lesson: whoever asked for them had
    /// his rights ended, and that does not count any more.
    ///
    /// Their rights are free by that, and go to others; should the bookings count again one day, they ask anew.
    private func takeBackUnknown(_ own: ReplicaID, in space: SpaceID, by site: Site) throws {
        let uses = try items(
            of: WardSchema.booking,
            groups: [LessonGroups.seat],
            where: "r.lesson IS NULL AND r.space = (SELECT no FROM space WHERE name = ?)",
            [.text(space.name)]
        ).filter { $0.item.dot.replica == own }
        let released = uses.compactMap { use -> (RecordID, Dot)? in
            if case .release(let dot, _)? = SeatUse(use.item.content) { (use.id, dot) } else { nil }
        }
        for use in uses where SeatUse(use.item.content) == .spend {
            guard !released.contains(where: { $0 == (use.id, use.item.dot) }) else { continue }
            let release = SeatUse.release(use.item.dot, for: nil)
            try draft(space, by: site.person)
                .edit(WardSchema.booking, use.id, group: LessonGroups.seat, add: [release.encoded])
        }
    }

    /// At which devices people booked the lessons that are ahead: where they asked for what is over says nothing of that.
    private func requests(for lessons: [StoredRecord], in space: SpaceID, on today: Day) throws -> [DeviceID: Int] {
        let ahead = lessons.filter { $0.isAhead(on: today) }.map { "\"\($0.id)\"" }
        return try creators(
            of: WardSchema.booking,
            where: """
                lesson IN (SELECT value FROM json_each(?)) AND space = (SELECT no FROM space WHERE name = ?)
                """,
            [.text(ExactText("[\(ahead.joined(separator: ","))]")), .text(space.name)]
        )
    }

    /// What a command that writes of one lesson settles at once; where rights go shows with the next exchange.
    func settlement(of lesson: StoredRecord, _ seats: LessonSeats, by site: Site) throws -> LessonSeats.Settlement {
        guard let own = try ownReplica() else { return LessonSeats.Settlement() }
        return seats.settlement(try outlook(lesson, seats, own, formerEnds(of: own, in: lesson.space), site))
    }

    /// Where the chains of this device end that this replica goes on from.
    ///
    /// Of two replicas of a device, as a copied machine's may both be at work, exactly one goes on: whose first change
    /// had seen the other's, or else the one that began later. They would take turns for ever otherwise.
    private func formerEnds(of own: ReplicaID, in space: SpaceID) throws -> LedgerEntry.ChainEnds {
        let others = try chainEnds(of: own.device, in: space).filter { $0.key != own }
        guard !others.isEmpty, let start = try beginning(of: own, in: space) else { return others }
        return try others.filter { name, _ in
            let root = try lineage(of: name, in: space)[0]
            if start.seen.contains(root) { return true }
            guard let other = try beginning(of: root, in: space) ?? beginning(of: name, in: space) else { return true }
            if other.seen.contains(own) { return false }
            return (other.timestamp, root) < (start.timestamp, own)
        }
    }

    /// When a replica wrote its first change in a space, and which chains it had seen then; `nil` where that is not here.
    private func beginning(
        of replica: ReplicaID,
        in space: SpaceID
    ) throws -> (timestamp: Timestamp, seen: Set<ReplicaID>)? {
        let first = Dot(replica, 1)
        guard let header = try header(of: first, in: space), let causes = try causes(of: first, in: space) else {
            return nil
        }
        // Of a chain that forked at once nothing stands under its own name.
        let seen = try causes.entries.filter { $0.value > 0 }.map { try lineage(of: $0.key, in: space)[0] }
        return (header.timestamp, Set(seen))
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
        out.today = today
        out.isAhead = lesson.isAhead(on: today)
        out.isEve = out.isAhead && !lesson.isAhead(on: today.adding(Self.eveDays + 1) ?? today)
        guard let owner = seats.ledger.owner else { return out }
        for holder in Set(seats.ledger.held.keys).union([owner]) where holder != own {
            out.gone[holder] = try ends(of: holder, seats, out, lesson.space)
        }
        out.isSuccessor =
            try owner.device == own.device || currentAccess()?.successor(of: owner.device) == own.device
            || Mutant.everybodySucceeds.isPlanted
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
        _ space: SpaceID,
        _ claims: inout [DeviceID: Claim]
    ) throws -> [SeatShares.Taker] {
        guard let access = try currentAccess(), let owner = seats.ledger.owner else { return [] }
        let over = Set(seats.ledger.joined.values.flatMap(\.former.keys)).union(outlook.former.keys)
        let names = Set(seats.ledger.joined.keys).union([owner])
        return names.compactMap { name in
            let device = name.device
            let claim = claims[device] ?? Claim(device, space, access)
            claims[device] = claim
            let goesOn = !over.contains(name) && seats.ledger.ended[name] == nil && outlook.gone[name] == nil
            guard name == owner || goesOn && claim.mayWrite else { return nil }
            return SeatShares.Taker(replica: name, requests: requests[device] ?? 0, isVenue: claim.isVenue)
        }
    }

    /// What a device may do in a space: the same for all its lessons, and not looked up for each.
    private struct Claim {
        let mayWrite: Bool
        let isVenue: Bool

        init(_ device: DeviceID, _ space: SpaceID, _ access: Access) {
            mayWrite = access.mayWrite(device, space)
            isVenue = access.writingRoles(of: device, in: space).contains(.venue)
        }
    }
}

extension StoredRecord {
    /// A field that holds a day; `nil` where it holds none.
    func day(_ field: String) -> Day? { text(field).flatMap { Day(iso: $0.utf8) } }

    /// Whether a lesson is still to take place: it is today or later, and was not cancelled.
    fileprivate func isAhead(on today: Day) -> Bool {
        guard !isCancelledLesson, let day = day("date") else { return false }
        return today <= day
    }
}

extension Site {
    /// Settles all lessons once a day, first when this site first exchanged after it joined.
    ///
    /// - Returns: whether this was the time.
    @discardableResult
    func settleLessonsOfDay() throws -> Bool {
        let today = Day(tokyo: store.environment.now())
        // Every exchange asks, and nearly none has to write.
        guard try read({ try $0.isSettlementDue(on: today) }) else { return false }
        try write { try $0.settleLessons(on: today, by: self) }
        return true
    }
}
