// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
package import TsunaguWard

/// A reminder with whom it is for.
package struct ReminderView: Sendable {
    package let id: RecordID
    package let kind: ReminderKind
    /// The day of the lesson that it tells; the lesson may have moved since.
    package let date: Day
    /// `queued sent withdrawn`.
    package let status: String
    /// `nil` where the booking is not there any more.
    package let booking: BookingView?
    package let lesson: LessonView
}

/// What running the job of reminders did.
package struct ReminderCounts: Sendable, Equatable {
    package var queued: Int
    package var withdrawn: Int

    package init(queued: Int = 0, withdrawn: Int = 0) {
        self.queued = queued
        self.withdrawn = withdrawn
    }
}

extension Site {
    /// Writes the outbox: a record for each confirmed booking whose lesson is near, and none for who cancelled.
    ///
    /// Who was told of a day is told anew where the lesson moves.
    ///
    /// Running it again, or on another device, makes nothing twice. It sends nothing: who sends marks what was sent.
    ///
    /// - Throws: 77 unless this device is an admin's.
    package func queueReminders() throws -> ReminderCounts {
        let today = Day(tokyo: store.now())
        let plans = try reminderPlans()
        return try write { transaction in
            try transaction.requireAdmin(self)
            var counts = ReminderCounts()
            for plan in plans {
                guard try transaction.currentAccess()?.mayWrite(keys.device, plan.space) == true else { continue }
                let day = plan.date.flatMap { Day(iso: $0.utf8) }
                let due = plan.stands ? day.flatMap { ReminderKind(lesson: $0, today: today) } : nil
                if let due {
                    for booking in plan.confirmed
                    where try transaction.queue(due, booking, plan, on: day!, by: self) {
                        counts.queued += 1
                    }
                }
                for row in try transaction.reminders(of: plan.lesson) where row.text("status") == ReminderState.queued {
                    let booking = row.text("booking").flatMap { RecordID(hex: $0) }
                    let isLate = day.map { $0 < today } ?? false
                    let isOfDay = row.day("date") == day
                    if plan.stands, !isLate, isOfDay, let booking, plan.confirmed.contains(booking) { continue }
                    try transaction.withdraw(row, by: self)
                    counts.withdrawn += 1
                }
            }
            try transaction.flushDrafts()
            return counts
        }
    }

    /// The outbox by lesson and kana: what is still to be sent, or with `all` what was sent and withdrawn too.
    ///
    /// Whoever cancelled is not in it, though the job has not run since.
    package func reminders(all: Bool = false) throws -> [ReminderView] {
        var out: [ReminderView] = []
        for lesson in try lessons() {
            let rows = try read { try $0.reminders(of: lesson.record.id) }
            guard !rows.isEmpty else { continue }
            let bookings = LessonRoster.ordered(try bookings(lesson: lesson.record.id.description))
            let places = Dictionary(uniqueKeysWithValues: bookings.enumerated().map { ($1.record.id, $0) })
            let views = rows.compactMap { row -> (place: Int, view: ReminderView)? in
                guard let kind = row.text("kind").flatMap(ReminderKind.init), let status = row.text("status"),
                    let date = row.day("date"),
                    row.text("booking").flatMap({ RecordID(hex: $0) }).map({ kind.record(of: $0, on: date) }) == row.id
                else { return nil }
                let place = row.text("booking").flatMap { RecordID(hex: $0) }.flatMap { places[$0] }
                let booking = place.map { bookings[$0] }
                let view = ReminderView(
                    id: row.id,
                    kind: kind,
                    date: date,
                    status: status,
                    booking: booking,
                    lesson: lesson
                )
                return (place ?? .max, view)
            }
            out += views.sorted { ($0.place, $0.view.id) < ($1.place, $1.view.id) }.map(\.view)
        }
        return all ? out : out.filter { $0.status == ReminderState.queued && $0.isWanted }
    }

    /// Notes that a reminder was sent; noting it again changes nothing.
    ///
    /// - Throws: 77 unless this device is an admin's, 75 where nobody is to be reminded any more.
    package func markReminderSent(_ name: String) throws -> ReminderView {
        let row = try read { try $0.find(WardSchema.reminder, name, key: nil) }
        func view() throws -> ReminderView {
            guard let view = try reminders(all: true).first(where: { $0.id == row.id }) else {
                throw CommandError.notFound(WardSchema.reminder, name)
            }
            return view
        }
        let known = try view()
        guard known.status != ReminderState.sent else { return known }
        guard known.status == ReminderState.queued, known.isWanted else {
            throw CommandError(
                .tryAgain,
                Localized(ja: "この連絡は取りやめになりました", en: "this reminder is not to be sent any more"),
                record: row.id.description,
                hint: Localized(
                    ja: "予約か教室が取り消されたか、教室の日が変わりました。reminder list で確かめてください",
                    en: "the booking or the lesson was cancelled, or the lesson moved; see 'reminder list'"
                )
            )
        }
        try write { transaction in
            try transaction.requireAdmin(self)
            try transaction.requireWrite(self, row.space)
            // Somebody else may have noted it since.
            guard try transaction.record(WardSchema.reminder, row.id)?.text("status") == ReminderState.queued else {
                return
            }
            try transaction.draft(row.space, by: person).step(
                WardSchema.reminder,
                row.id,
                group: ReminderState.group,
                to: ExactText(ReminderState.sent),
                reason: ""
            )
        }
        return try view()
    }

    /// What the job looks at of a lesson.
    fileprivate struct ReminderPlan {
        let lesson: RecordID
        let space: SpaceID
        let date: String?
        /// Whether the lesson takes place.
        let stands: Bool
        let confirmed: Set<RecordID>
    }

    private func reminderPlans() throws -> [ReminderPlan] {
        try lessons().map { lesson in
            let bookings = try bookings(lesson: lesson.record.id.description, cancelled: false)
            return ReminderPlan(
                lesson: lesson.record.id,
                space: lesson.record.space,
                date: lesson.record.text("date")?.string,
                stands: lesson.stands,
                confirmed: Set(bookings.filter { $0.status == "confirmed" }.map(\.record.id))
            )
        }
    }
}

extension ReminderView {
    /// Whether somebody is to come.
    fileprivate var isWanted: Bool {
        lesson.stands && booking?.status == "confirmed" && lesson.record.text("date")?.string == date.description
    }
}

extension LessonView {
    /// Whether it takes place.
    fileprivate var stands: Bool { !record.deleted && record.text("status") != "cancelled" }
}

/// The states of a reminder's flow.
private enum ReminderState {
    static let queued = "queued"
    static let sent = "sent"
    static let withdrawn = "withdrawn"
    static let group = WardSchema.reminder.field(named: "status")!.group
}

extension StoreTransaction {
    fileprivate func reminders(of lesson: RecordID) throws -> [StoredRecord] {
        try records(WardSchema.reminder, where: "lesson = ? AND deleted = 0 ORDER BY id", [.text(lesson.description)])
    }

    /// - Returns: whether there was something to write.
    fileprivate func queue(
        _ kind: ReminderKind,
        _ booking: RecordID,
        _ plan: Site.ReminderPlan,
        on date: Day,
        by site: Site
    ) throws -> Bool {
        let id = kind.record(of: booking, on: date)
        let known = try record(WardSchema.reminder, id)
        guard known?.text("status") != ReminderState.queued, known?.text("status") != ReminderState.sent else {
            return false
        }
        let draft = try draft(plan.space, by: site.person)
        if known == nil {
            try draft.create(
                WardSchema.reminder,
                id: id,
                [
                    (1, .text(booking.description)), (2, .text(plan.lesson.description)),
                    (3, .text(ExactText(kind.rawValue))), (5, .text(ExactText(date.description))),
                ]
            )
        }
        try draft.step(
            WardSchema.reminder,
            id,
            group: ReminderState.group,
            to: ExactText(ReminderState.queued),
            reason: ""
        )
        return true
    }

    fileprivate func withdraw(_ row: StoredRecord, by site: Site) throws {
        try draft(row.space, by: site.person).step(
            WardSchema.reminder,
            row.id,
            group: ReminderState.group,
            to: ExactText(ReminderState.withdrawn),
            reason: ""
        )
    }
}
