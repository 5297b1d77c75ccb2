// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Names and phones leave every site some days after the lesson; what figures need of them stays.
///
/// The booking is erased as a whole, since names also stand in notes and reasons, and an `attendance` record says what
/// became of it. `Protocol/decisions/0013-forgetting-bookings.md` says why.
extension StoreTransaction {
    private static let lookedKey = "contacts_looked"
    private static let daysKey = "contacts_days"
    /// How long names are kept where nobody said.
    static let contactDays = 30
    /// Bookings that one change erases.
    private static let bookingsMax = 400

    /// For how many days after a lesson this device lets names stand.
    func contactDays() throws -> Int { try meta(Self.daysKey)?.integer.map(Int.init) ?? Self.contactDays }

    func setContactDays(_ days: Int) throws {
        try setMeta(Self.daysKey, .integer(Int64(days)))
        try setMeta(Self.lookedKey, .integer(-1))
    }

    /// Erases the bookings of lessons that are long over; admins' devices look for them, at most once an hour.
    ///
    /// Only a day counts that another device's clock has reached too: a wrong clock alone would erase for good what is
    /// still needed.
    func forgetContactsWhereDue(by site: Site) throws {
        let now = site.store.now()
        let today = Day(tokyo: now)
        let looked = Value.integer(Int64(now / 3_600_000))
        guard try ownReplica() != nil, try meta(Self.lookedKey) != looked,
            let access = try currentAccess(), access.isAdmin(site.keys.device)
        else { return }
        try setMeta(Self.lookedKey, looked)
        guard let end = try agreedDay(today, site)?.adding(-contactDays()) else { return }
        for space in try spaces() where space.matches(WardSchema.lesson.spaces) {
            guard access.mayWrite(site.keys.device, space) else { continue }
            let lessons = try records(
                WardSchema.lesson,
                where: "space = (SELECT no FROM space WHERE name = ?) AND date < ? ORDER BY id",
                [.text(space.name), .text(ExactText(end.description))]
            )
            for lesson in lessons where try isOver(lesson, before: end) {
                try forget(lesson, before: end, today, by: site)
            }
        }
        try flushDrafts()
    }

    /// The last day that two clocks have reached: this device's, and the one of whoever else is furthest.
    private func agreedDay(_ today: Day, _ site: Site) throws -> Day? {
        var latest: Timestamp?
        for space in try spaces() {
            for (replica, timestamp) in try lastStamps(in: space) where replica.device != site.keys.device {
                latest = max(latest ?? timestamp, timestamp)
            }
        }
        return latest.map { min(today, Day(tokyo: $0.milliseconds)) }
    }

    /// Whether everybody agrees that the lesson was before a day.
    private func isOver(_ lesson: StoredRecord, before end: Day) throws -> Bool {
        guard let day = lesson.day("date"), day < end else { return false }
        let group = WardSchema.lesson.field(named: "date")!.group.number
        return try !conflicts(rid: lesson.rid).contains { $0.group?.number == group }
    }

    private func forget(_ lesson: StoredRecord, before end: Day, _ today: Day, by site: Site) throws {
        let rows = try records(
            WardSchema.booking,
            where: "lesson = ? AND space = (SELECT no FROM space WHERE name = ?) ORDER BY id",
            [.text(lesson.id.description), .text(lesson.space.name)]
        )
        guard !rows.isEmpty else { return }
        let seats = try seats(of: lesson)
        let known = Dictionary(seats.bookings.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var count = 0
        for row in rows {
            // A sheet that was typed in afterwards is kept as long from then on; a clock that is ahead keeps nothing.
            let days = known[row.id]?.flow.open.map { Day(tokyo: $0.timestamp.milliseconds) }.filter { $0 <= today }
            if let last = days?.max(), last >= end { continue }
            let draft = try draft(lesson.space, by: .daemon)
            // Who needed no seat helped, and is in no figure; neither is who was noted in error.
            if row.usesSeat, seats.wasMeant(row.id) {
                let id = WardSchema.record(WardSchema.attendance, of: row.id)
                let values = ["person_key", "age_group"].map { row.values[$0] ?? .null }
                try draft.create(
                    WardSchema.attendance,
                    id: id,
                    [(1, .text(ExactText(lesson.id.description))), (2, values[0]), (3, values[1])]
                        .filter { $0.1 != .null }
                )
                let status = seats.status(of: row.id).status
                if let outcome = Participation.Outcome(rawValue: status) { try draft.add(outcome, to: id) }
            }
            try draft.erase(WardSchema.booking, row.id)
            count += 1
            if count % Self.bookingsMax == 0 { try flushDrafts() }
        }
    }

    // MARK: - What arrives later

    /// Keeps what erased bookings were marked with by somebody who did not know of the erasure: no name, but who was there.
    func keepOutcomes(by site: Site) throws {
        let marks = withdrawn.filter { $0.shape.collection == WardSchema.booking.number }
        guard !marks.isEmpty, let access = try currentAccess() else { return }
        for mark in marks {
            let space = mark.header.space
            guard access.mayWrite(site.keys.device, space), try isEffective(mark.header.dot, in: space) else {
                continue
            }
            let id = WardSchema.record(WardSchema.attendance, of: mark.id)
            let stored = SetColumn.members(try record(WardSchema.attendance, id)?.values["outcomes"])
            for outcome in mark.outcomes where !stored.contains(where: { ExactText($0) == ExactText(outcome.rawValue) })
            {
                try draft(space, by: .daemon).add(outcome, to: id)
            }
        }
        try flushDrafts()
    }
}

extension Draft {
    fileprivate func add(_ outcome: Participation.Outcome, to attendance: RecordID) throws {
        let group = WardSchema.attendance.field(named: "outcomes")!.group
        try edit(WardSchema.attendance, attendance, group: group, add: [Array(outcome.rawValue.utf8)])
    }
}

extension WithdrawnEntry {
    /// What the steps of a booking's flow in it say of the end: not that somebody asked for a seat.
    fileprivate var outcomes: [Participation.Outcome] {
        var place = 0
        var out: [Participation.Outcome] = []
        for operation in shape.operations {
            let count = operation.fields.count
            defer { place += count }
            guard operation.group == LessonGroups.status.number, place < values.count,
                case .bytes(let body) = values[place],
                let items = try? body.withMemory({ memory throws(CodecError) in try Items(decoding: memory) })
            else { continue }
            out += items.added.compactMap { Transition($0.content) }.compactMap {
                Participation.Outcome(rawValue: $0.to.string)
            }
        }
        return out
    }
}
