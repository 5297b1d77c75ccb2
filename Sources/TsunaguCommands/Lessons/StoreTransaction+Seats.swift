// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore
import TsunaguWard

extension Draft {
    /// Writes what settling a lesson's seats calls for.
    func write(_ settlement: LessonSeats.Settlement, of lesson: RecordID) throws {
        if settlement.mint > 0 {
            try edit(
                WardSchema.lesson,
                lesson,
                group: LessonGroups.rights,
                add: [LedgerEntry.mint(settlement.mint).encoded]
            )
        }
        for (booking, spend) in settlement.releases {
            try edit(WardSchema.booking, booking, group: LessonGroups.seat, add: [SeatUse.release(spend).encoded])
        }
        for booking in settlement.spends {
            try edit(WardSchema.booking, booking, group: LessonGroups.seat, add: [SeatUse.spend.encoded])
        }
    }
}

extension StoreTransaction {
    /// Entries of one change at most, well below what a change may hold.
    private static let entriesMax = 1000

    /// Does what the bookings of some lesson spaces call for at this replica: takes back the seats of cancelled bookings,
    /// makes the rights that are planned, and confirms who waits, in order, while a right is free.
    ///
    /// Writing the same again changes nothing, so whoever applied something may call it. Only lessons whose ledger this
    /// replica owns are touched; elsewhere a booking waits for the owner.
    package func settleSeats(in spaces: Set<SpaceID>, by site: Site) throws {
        guard let own = try ownReplica() else { return }
        for space in spaces.sorted() where space.matches(WardSchema.lesson.spaces) {
            guard try currentAccess()?.mayWrite(own.device, space) == true else { continue }
            try settleSeats(in: space, own: own, by: site)
        }
    }

    private func settleSeats(in space: SpaceID, own: ReplicaID, by site: Site) throws {
        try flushDrafts()
        let condition = "space = (SELECT no FROM space WHERE name = ?) AND deleted = 0 ORDER BY id"
        var entries = 0
        for lesson in try records(WardSchema.lesson, where: condition, [.text(space.name)]) {
            let seats = try seats(of: lesson)
            guard seats.ledger.owner == own else { continue }
            let settlement = seats.settlement(by: own, planned: try plannedCapacity(lesson))
            guard !settlement.isEmpty else { continue }
            let draft = try draft(space, by: site.person)
            try draft.write(settlement, of: lesson.id)
            entries += 1 + settlement.releases.count + settlement.spends.count
            if entries > Self.entriesMax {
                try flushDrafts()
                entries = 0
            }
        }
        try flushDrafts()
    }
}
