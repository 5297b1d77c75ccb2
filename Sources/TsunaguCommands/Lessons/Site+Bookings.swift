// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
package import TsunaguWard

/// A booking with where it stands.
package struct BookingView: Sendable {
    package let record: RecordView
    /// `waiting offered confirmed attended no_show walk_in cancelled`.
    package let status: String
    /// The place in the queue, from 1, of a booking that waits.
    package let position: Int?
    /// Why a booking that waits does.
    package let waitingReason: WaitingReason?
    package let lesson: RecordID
    package let lessonCode: ExactText?
    /// The lesson does not take place.
    package let isLessonCancelled: Bool
    /// The day of the lesson.
    package let lessonDay: Day?
    /// The resident, where this site holds the register and knows the link.
    package let resident: RecordID?
    /// The first booking of the group that it belongs to.
    package let party: RecordID?
    /// Whether the person needs a seat; helpers and companions may not.
    package let usesSeat: Bool
    /// The last day to answer where a seat is offered.
    package let answerBy: String?
    /// Why it was cancelled.
    package let cancelReason: ExactText?
}

/// Who books.
package enum BookingPerson: Sendable {
    /// A resident by number or id.
    case resident(String)
    /// Somebody who is typed in.
    case guest(name: String, kana: String?, phone: String?, ageGroup: String?)
}

extension Site {
    /// Asks for a seat.
    ///
    /// One person has one booking of a lesson, whichever sites make it: asking again gives the same one,
    /// and a cancelled one is asked for anew.
    ///
    /// - Parameters:
    ///   - usesSeat: `false` for helpers, interpreters and companions, who come without a seat and never wait.
    ///   - reason: why somebody is booked after the deadline; it stands in the booking's notes for everybody.
    package func addBooking(
        lesson name: String,
        _ who: BookingPerson,
        needs: [String] = [],
        usesSeat: Bool = true,
        reason: String? = nil
    ) throws -> BookingView {
        try addBookings(lesson: name, [who], needs: needs, usesSeat: usesSeat, reason: reason)[0]
    }

    /// Asks for the seats of people who come together: all of them are confirmed or, for now, none.
    ///
    /// Each has a booking of his own, which is cancelled alone. Where all of them have one already it stays, and what is
    /// needed is added.
    ///
    /// - Parameter needs: those of the first.
    /// - Returns: the bookings in the order of the people.
    /// - Throws: `badInput` where some of them have a booking and others none: they would be no group; and where they are
    ///   more than the lesson has seats.
    package func addBookings(
        lesson name: String,
        _ people: [BookingPerson],
        needs: [String] = [],
        usesSeat: Bool = true,
        reason: String? = nil
    ) throws -> [BookingView] {
        let reason = try reason.map(Self.checkedReason)
        let needs = try FieldAssignment.needs(needs)
        return try write { transaction in
            let lesson = try transaction.openLesson(name, self)
            let bookers = try people.map { try transaction.booker($0, lesson, self) }
            let ids = bookers.map { $0.key.booking(of: lesson.id) }
            guard Set(ids).count == ids.count else { throw CommandError.samePersonTwice(lesson) }
            var seats = try transaction.seats(of: lesson)
            let known = Dictionary(seats.bookings.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            let new = zip(ids, bookers).filter { known[$0.0]?.isActive != true }
            if let (id, booker) = zip(ids, bookers).first(where: { known[$0.0]?.isActive == true }), !new.isEmpty {
                throw CommandError.alreadyBooked(id, booker)
            }
            if !new.isEmpty {
                let isLate = lesson.isPastDeadline(on: Day(tokyo: store.environment.now()))
                guard !isLate || reason != nil else { throw CommandError.afterDeadline(lesson) }
                if usesSeat, let planned = try transaction.plannedCapacity(lesson), 1..<new.count ~= planned {
                    throw CommandError.groupTooLarge(new.count, planned, lesson)
                }
                let party = new.count > 1 ? new[0].0 : nil
                let draft = try transaction.draft(lesson.space, by: person)
                for (id, booker) in new where known[id] == nil {
                    try draft.create(booking: id, of: lesson.id, booker)
                }
                try draft.add(needs: needs, at: ids[0])
                for (id, booker) in new {
                    try draft.request(id, of: known[id], reviving: known[id]?.isDeleted == true, behind: seats)
                    try draft.set(id, party: party, usesSeat: usesSeat, known[id]?.terms)
                    if isLate, let reason { try draft.note("申込期限後に受付: \(reason)", at: id) }
                    if let resident = booker.resident { try transaction.link(id, lesson.space, resident, self) }
                }
                for (id, _) in new { seats.request(id, LessonSeats.Terms(party: party, usesSeat: usesSeat)) }
                try transaction.settle(seats, lesson, draft, by: self)
                try transaction.flushDrafts()
            } else if !needs.isEmpty {
                try transaction.draft(lesson.space, by: person).add(needs: needs, at: ids[0])
                try transaction.flushDrafts()
            }
            let again = ids.compactMap { known[$0] }.filter {
                $0.isActive && $0.request != nil && !$0.isRequested(by: keys.device)
            }
            if !again.isEmpty {
                let draft = try transaction.draft(lesson.space, by: person)
                for booking in again { try draft.requestToo(booking.id, behind: seats) }
                try transaction.flushDrafts()
            }
            return try ids.map { try transaction.booking($0, in: lesson) }
        }
    }

    /// Gives a seat or a place in the queue up.
    package func cancelBooking(_ name: String, reason: String) throws -> BookingView {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            let row = try transaction.find(WardSchema.booking, name, key: nil)
            try transaction.requireWrite(self, row.space)
            let lesson = try transaction.lesson(of: row)
            var seats = try transaction.seats(of: lesson)
            if let known = seats.bookings.first(where: { $0.id == row.id }), known.isActive {
                guard !BookingState.marks.contains(known.flow.state) else { throw CommandError.isMarked(row) }
                let draft = try transaction.draft(row.space, by: person)
                try draft.step(
                    WardSchema.booking,
                    row.id,
                    group: LessonGroups.status,
                    to: BookingState.cancelled,
                    reason: reason
                )
                seats.cancel(row.id)
                try transaction.settle(seats, lesson, draft, by: self)
                try transaction.flushDrafts()
            }
            return try transaction.booking(row.id, in: lesson)
        }
    }

    /// Corrects what a booking says of the person, whose place it keeps: name, kana, phone, age group, needs, notes.
    ///
    /// - Returns: the booking and the fields that changed.
    package func setBooking(_ name: String, _ words: [String]) throws -> (booking: BookingView, changed: [String]) {
        let assignments = try FieldAssignment.parse(words, WardSchema.booking, record: name)
        let fields = ["name", "kana", "phone", "age_group", "needs", "notes"]
        if let other = assignments.first(where: { !fields.contains($0.field.name) }) {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "予約の\(other.field.label)は直接には変えられません",
                    en: "the \(other.field.name) of a booking cannot be set"
                ),
                record: name,
                hint: Localized(
                    ja: "変えられるのは " + fields.joined(separator: "、"),
                    en: "what can be: " + fields.joined(separator: ", ")
                )
            )
        }
        try FieldAssignment.requireFilled(["name"], assignments, WardSchema.booking, record: name)
        guard !assignments.isEmpty else {
            throw CommandError(.usage, Localized(ja: "項目=値 がありません", en: "there is no field=value"))
        }
        return try write { transaction in
            let row = try transaction.find(WardSchema.booking, name, key: nil)
            try transaction.requireWrite(self, row.space)
            guard !row.deleted else { throw CommandError.deleted(row) }
            try transaction.requireDecided(row, assignments.map(\.field.name))
            let changed = try transaction.draft(row.space, by: person).write(assignments, to: row, transaction)
            try transaction.flushDrafts()
            return (try transaction.booking(row.id, in: transaction.lesson(of: row)), changed)
        }
    }

    /// Says which resident a booking is of; only holders of the register are told.
    package func linkBooking(_ name: String, resident: String) throws -> BookingView {
        try write { transaction in
            let row = try transaction.find(WardSchema.booking, name, key: nil)
            let lesson = try transaction.lesson(of: row)
            let booker = try transaction.booker(.resident(resident), lesson, self)
            try transaction.link(row.id, row.space, booker.resident!, self)
            try transaction.flushDrafts()
            return try transaction.booking(row.id, in: lesson)
        }
    }

    /// One booking by its id.
    package func booking(_ name: String) throws -> BookingView {
        try read { transaction in
            let row = try transaction.find(WardSchema.booking, name, key: nil)
            return try transaction.booking(row.id, in: transaction.lesson(of: row))
        }
    }

    /// What a person should hear who books a lesson that is over, or notes who was there on another day than the lesson's:
    /// a sheet is typed in afterwards, and a wrong code is a wrong lesson.
    package func remark(on booking: BookingView, isMark: Bool) -> Localized? {
        let today = Day(tokyo: store.environment.now())
        guard let day = booking.lessonDay, isMark ? day != today : day < today else { return nil }
        let code = booking.lessonCode?.string ?? ""
        if day < today { return Localized(ja: "教室 \(code) は \(day) に終わっています", en: "lesson \(code) was on \(day)") }
        return Localized(ja: "教室 \(code) は今日ではなく \(day) です", en: "lesson \(code) is not today but on \(day)")
    }

    /// The bookings of a lesson, or of all lessons held here: by lesson, the confirmed first, then those who wait in order.
    package func bookings(lesson name: String? = nil, cancelled: Bool = true) throws -> [BookingView] {
        try read { try $0.bookingViews(lesson: name, cancelled: cancelled) }
    }
}

extension StoreTransaction {
    /// The bookings of a lesson, or of all lessons held here: by lesson, the confirmed first, then those who wait in order.
    package func bookingViews(lesson name: String? = nil, cancelled: Bool = true) throws -> [BookingView] {
        let lessons =
            try name.map { [try lesson($0)] }
            ?? records(WardSchema.lesson, where: "deleted = 0 ORDER BY date, start_time, code, id")
        let (places, today) = (try Places(self), Day(tokyo: now()))
        return try lessons.flatMap { lesson in
            let seats = try seats(of: lesson)
            let rows = try records(
                WardSchema.booking,
                where: "lesson = ? AND space = (SELECT no FROM space WHERE name = ?) ORDER BY kana, name, id",
                [.text(lesson.id.description), .text(lesson.space.name)]
            )
            let reasons = seats.waitingReasons(planned: try plannedCapacity(lesson), on: today)
            let views = try rows.map { try view(booking: $0, lesson, seats, reasons, places) }
            let rank = ["waiting": 1, "cancelled": 2]
            return views.enumerated().sorted { a, b in
                let first = (rank[a.element.status] ?? 0, a.element.position ?? 0, a.offset)
                return first < (rank[b.element.status] ?? 0, b.element.position ?? 0, b.offset)
            }.map(\.element).filter { cancelled || $0.status != "cancelled" }
        }
    }

    /// A lesson that takes bookings, and may be written here.
    func openLesson(_ name: String, _ site: Site) throws -> StoredRecord {
        let lesson = try lesson(name)
        guard !lesson.deleted else { throw CommandError.notFound(WardSchema.lesson, name) }
        try requireWrite(site, lesson.space)
        guard !lesson.isCancelledLesson else { throw CommandError.lessonCancelled(lesson) }
        return lesson
    }

    /// The lesson of a booking.
    func lesson(of booking: StoredRecord) throws -> StoredRecord {
        guard let id = booking.text("lesson").flatMap({ RecordID(hex: $0) }),
            let row = try record(WardSchema.lesson, id)
        else {
            throw CommandError.notFound(WardSchema.lesson, booking.text("lesson") ?? "")
        }
        return row
    }

    func booking(_ id: RecordID, in lesson: StoredRecord) throws -> BookingView {
        guard let row = try record(WardSchema.booking, id) else {
            throw CommandError.notFound(WardSchema.booking, id.description)
        }
        let seats = try seats(of: lesson)
        let reasons = seats.waitingReasons(planned: try plannedCapacity(lesson), on: Day(tokyo: now()))
        return try view(booking: row, lesson, seats, reasons, Places(self))
    }

    fileprivate func view(
        booking row: StoredRecord,
        _ lesson: StoredRecord,
        _ seats: LessonSeats,
        _ reasons: [RecordID: WaitingReason],
        _ places: Places
    ) throws -> BookingView {
        let (status, position) = seats.status(of: row.id)
        let link = try bookingLink(of: row.id)
        let booking = seats.bookings.first { $0.id == row.id }
        return BookingView(
            record: try view(row, places),
            status: status,
            position: position,
            waitingReason: reasons[row.id],
            lesson: lesson.id,
            lessonCode: lesson.values["code"]?.text,
            isLessonCancelled: lesson.isCancelledLesson,
            lessonDay: lesson.day("date"),
            resident: link?.text("resident").flatMap { RecordID(hex: $0) },
            party: row.text("party").flatMap { RecordID(hex: $0) },
            usesSeat: row.usesSeat,
            answerBy: booking?.answerBy?.description,
            cancelReason: booking?.cancelReason
        )
    }

    /// Lets the replica that holds rights act at once, in the same change.
    func settle(_ seats: LessonSeats, _ lesson: StoredRecord, _ draft: Draft, by site: Site) throws {
        try draft.write(settlement(of: lesson, seats, by: site), of: lesson.id)
    }
}

extension StoredRecord {
    /// Whether a lesson takes no more bookings: the deadline is the last day that does.
    fileprivate func isPastDeadline(on today: Day) -> Bool {
        guard let last = day("deadline") else { return false }
        return today > last
    }
}

extension CommandError {
    static func lessonCancelled(_ lesson: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "この教室は中止になりました", en: "the lesson is cancelled"),
            record: lesson.text("code") ?? lesson.id.description,
            hint: Localized(ja: "別の教室を案内してください", en: "offer another lesson: 'tsunagu lesson list'")
        )
    }

    fileprivate static func samePersonTwice(_ lesson: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "同じ人が二度あります", en: "one person stands twice"),
            record: lesson.text("code") ?? lesson.id.description,
            hint: Localized(ja: "一緒に来る人をそれぞれ一度書いてください", en: "name each of those who come together once")
        )
    }

    fileprivate static func groupTooLarge(_ count: Int, _ planned: Int, _ lesson: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "\(count) 人がそろって座れる席はありません（定員 \(planned)）",
                en: "\(count) people who come together never fit: the lesson has \(planned) seats"
            ),
            record: lesson.text("code") ?? lesson.id.description,
            hint: Localized(ja: "人数を分けて予約してください", en: "book them as smaller groups")
        )
    }

    fileprivate static func isMarked(_ booking: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "出欠が記録された予約は取り消せません", en: "a booking with a mark of attendance is not cancelled"),
            record: booking.id.description,
            hint: Localized(
                ja: "記録が誤りなら先に booking attend --undo で戻してください",
                en: "if the mark is wrong, take it back first: 'booking attend --undo'"
            )
        )
    }

    fileprivate static func alreadyBooked(_ booking: RecordID, _ booker: Booker) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "\(booker.details.name) さんはこの教室をすでに予約しています",
                en: "\(booker.details.name) has a booking of this lesson already"
            ),
            record: booking.description,
            hint: Localized(
                ja: "一緒に来るなら、その予約を取り消してからまとめて予約してください",
                en: "to come together, cancel that booking and book them at once"
            )
        )
    }

    fileprivate static func afterDeadline(_ lesson: StoredRecord) -> CommandError {
        let last = lesson.text("deadline") ?? ""
        return CommandError(
            .badInput,
            Localized(ja: "申込期限（\(last)）を過ぎています", en: "the last day to book was \(last)"),
            record: lesson.text("code") ?? lesson.id.description,
            hint: Localized(
                ja: "それでも受け付けるなら --reason で理由を書いてください",
                en: "to book all the same, say why with --reason"
            )
        )
    }
}

extension FieldAssignment {
    static func needs(_ words: [String]) throws -> [ExactText] {
        try words.flatMap { word -> [ExactText] in
            let assignment = try parse(["needs=" + word], WardSchema.booking)
            guard case .members(let members)? = assignment.first?.content else { return [] }
            return members
        }
    }
}
