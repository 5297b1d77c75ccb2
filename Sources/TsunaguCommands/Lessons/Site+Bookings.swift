// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// A booking with where it stands.
package struct BookingView: Sendable {
    package let record: RecordView
    /// `waiting offered confirmed attended no_show walk_in cancelled`.
    package let status: String
    /// The place in the queue, from 1, of a booking that waits.
    package let position: Int?
    package let lesson: RecordID
    package let lessonCode: ExactText?
    /// The lesson does not take place.
    package let isLessonCancelled: Bool
    /// The resident, where this site holds the register and knows the link.
    package let resident: RecordID?
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
    /// - Parameter reason: why somebody is booked after the deadline; it stands in the booking's notes for everybody.
    package func addBooking(
        lesson name: String,
        _ who: BookingPerson,
        needs: [String] = [],
        reason: String? = nil
    ) throws -> BookingView {
        let reason = try reason.map(Self.checkedReason)
        return try write { transaction in
            let lesson = try transaction.lesson(name)
            guard !lesson.deleted else { throw CommandError.notFound(WardSchema.lesson, name) }
            try transaction.requireWrite(self, lesson.space)
            guard !lesson.isCancelledLesson else { throw CommandError.lessonCancelled(lesson) }
            let booker = try transaction.booker(who, lesson, self)
            let id = booker.key.booking(of: lesson.id)
            var seats = try transaction.seats(of: lesson)
            let known = seats.bookings.first { $0.id == id }
            if known?.isActive != true {
                let isLate = lesson.isPastDeadline(on: Day(tokyo: store.environment.now()))
                guard !isLate || reason != nil else { throw CommandError.afterDeadline(lesson) }
                let draft = try transaction.draft(lesson.space, by: person)
                if let known {
                    try draft.request(id, of: known, reviving: known.isDeleted, behind: seats)
                } else {
                    try draft.create(booking: id, of: lesson.id, booker, needs: FieldAssignment.needs(needs))
                    try draft.request(id, of: nil, reviving: false, behind: seats)
                }
                if isLate, let reason {
                    let note = "申込期限後に受付: \(reason)"
                    try draft.edit(WardSchema.booking, id, group: LessonGroups.notes, add: [Array(note.utf8)])
                }
                if let resident = booker.resident {
                    try transaction.link(id, lesson.space, resident, self)
                }
                seats.request(id)
                try transaction.settle(seats, lesson, draft, by: self)
                try transaction.flushDrafts()
            }
            return try transaction.booking(id, in: lesson)
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

    /// The bookings of a lesson, or of all lessons held here: by lesson, the confirmed first, then those who wait in order.
    package func bookings(lesson name: String? = nil, cancelled: Bool = true) throws -> [BookingView] {
        try read { transaction in
            let lessons =
                try name.map { [try transaction.lesson($0)] }
                ?? transaction.records(WardSchema.lesson, where: "deleted = 0 ORDER BY date, start_time, code, id")
            let places = try Places(transaction)
            return try lessons.flatMap { lesson in
                let seats = try transaction.seats(of: lesson)
                let rows = try transaction.records(
                    WardSchema.booking,
                    where: "lesson = ? AND space = (SELECT no FROM space WHERE name = ?) ORDER BY kana, name, id",
                    [.text(lesson.id.description), .text(lesson.space.name)]
                )
                let views = try rows.map { try transaction.view(booking: $0, lesson, seats, places) }
                let rank = ["waiting": 1, "cancelled": 2]
                return views.enumerated().sorted { a, b in
                    let first = (rank[a.element.status] ?? 0, a.element.position ?? 0, a.offset)
                    return first < (rank[b.element.status] ?? 0, b.element.position ?? 0, b.offset)
                }.map(\.element).filter { cancelled || $0.status != "cancelled" }
            }
        }
    }
}

extension StoreTransaction {
    /// The lesson of a booking.
    fileprivate func lesson(of booking: StoredRecord) throws -> StoredRecord {
        guard let id = booking.text("lesson").flatMap({ RecordID(hex: $0) }),
            let row = try record(WardSchema.lesson, id)
        else {
            throw CommandError.notFound(WardSchema.lesson, booking.text("lesson") ?? "")
        }
        return row
    }

    fileprivate func booking(_ id: RecordID, in lesson: StoredRecord) throws -> BookingView {
        guard let row = try record(WardSchema.booking, id) else {
            throw CommandError.notFound(WardSchema.booking, id.description)
        }
        return try view(booking: row, lesson, seats(of: lesson), Places(self))
    }

    fileprivate func view(
        booking row: StoredRecord,
        _ lesson: StoredRecord,
        _ seats: LessonSeats,
        _ places: Places
    ) throws -> BookingView {
        let (status, position) = seats.status(of: row.id)
        let link = try bookingLink(of: row.id)
        return BookingView(
            record: try view(row, places),
            status: status,
            position: position,
            lesson: lesson.id,
            lessonCode: lesson.values["code"]?.text,
            isLessonCancelled: lesson.isCancelledLesson,
            resident: link?.text("resident").flatMap { RecordID(hex: $0) }
        )
    }

    /// Lets the replica that holds rights act at once, in the same change.
    fileprivate func settle(_ seats: LessonSeats, _ lesson: StoredRecord, _ draft: Draft, by site: Site) throws {
        try draft.write(settlement(of: lesson, seats, by: site), of: lesson.id)
    }
}

extension StoredRecord {
    /// Whether a lesson takes no more bookings: the deadline is the last day that does.
    fileprivate func isPastDeadline(on today: Day) -> Bool {
        guard let last = text("deadline").flatMap({ Day(iso: $0.utf8) }) else { return false }
        return today > last
    }
}

extension CommandError {
    fileprivate static func lessonCancelled(_ lesson: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "この教室は中止になりました", en: "the lesson is cancelled"),
            record: lesson.text("code") ?? lesson.id.description,
            hint: Localized(ja: "別の教室を案内してください", en: "offer another lesson: 'tsunagu lesson list'")
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
    fileprivate static func needs(_ words: [String]) throws -> [ExactText] {
        try words.flatMap { word -> [ExactText] in
            let assignment = try parse(["needs=" + word], WardSchema.booking)
            guard case .members(let members)? = assignment.first?.content else { return [] }
            return members
        }
    }
}
