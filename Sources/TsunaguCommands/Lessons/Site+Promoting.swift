// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// Puts somebody who waits before the others, and whoever comes with him; the next seats are theirs.
    ///
    /// It makes no seat: rights are given in order, and this changes the order, for everybody to see. Of a group that does
    /// not fit what is free is kept.
    ///
    /// - Parameter answerBy: with a day the seat is only offered, and is the next one's unless he accepts it by then.
    /// - Throws: 65 where the booking does not wait, or the day is over or after the lesson.
    package func promoteBooking(_ name: String, reason: String, answerBy: String? = nil) throws -> BookingView {
        let reason = try Self.checkedReason(reason)
        let last = try answerBy.map { text in
            let assignment = try FieldAssignment.parse(["answer_by=" + text], WardSchema.booking)
            guard case .value(.text(let day))? = assignment.first?.content,
                let day = Day(iso: day.utf8), day >= Day(tokyo: store.environment.now())
            else { throw CommandError.isOver(text) }
            return day
        }
        return try step(name, to: last == nil ? BookingState.promoted : BookingState.offered, reason) { lesson in
            if let last, let date = lesson.day("date"), last > date { throw CommandError.isOver(answerBy!) }
        } where: { booking, seats in
            seats.waiting.contains(booking.id)
        } orElse: {
            CommandError.isNotWaiting($0)
        } and: { draft, id in
            try draft.note("\(last == nil ? "先にした" : "席を案内した")理由: \(reason)", at: id)
            guard let last else { return }
            try draft.set(WardSchema.booking, id, [(BookingFields.answerBy, .text(ExactText(last.description)))])
        }
    }

    /// Notes that somebody takes the seat that is offered, and whoever comes with him the ones that are offered to them.
    ///
    /// - Throws: 65 where none is.
    package func acceptOffer(_ name: String) throws -> BookingView {
        // Who is promised the next seat that is free has none to accept yet: his yes would give his place up.
        func isOffered(_ booking: LessonSeats.Booking, _: LessonSeats) -> Bool {
            booking.isActive && booking.flow.state == BookingState.offered && booking.seat != nil
        }
        return try step(
            name,
            to: BookingState.requested,
            "",
            where: isOffered,
            orElse: { CommandError.nothingOffered($0) }
        )
    }

    private func step(
        _ name: String,
        to state: ExactText,
        _ reason: ExactText,
        checking check: (StoredRecord) throws -> Void = { _ in },
        where applies: (LessonSeats.Booking, LessonSeats) -> Bool,
        orElse refusal: (StoredRecord) -> CommandError,
        and also: (Draft, RecordID) throws -> Void = { _, _ in }
    ) throws -> BookingView {
        try write { transaction in
            let row = try transaction.find(WardSchema.booking, name, key: nil)
            let lesson = try transaction.lesson(of: row)
            try transaction.requireWrite(self, row.space)
            guard !lesson.isCancelledLesson else { throw CommandError.lessonCancelled(lesson) }
            try check(lesson)
            let seats = try transaction.seats(of: lesson)
            let group = seats.group(of: row.id).filter { applies($0, seats) }.map(\.id)
            guard group.contains(row.id) else { throw refusal(row) }
            let draft = try transaction.draft(row.space, by: person)
            for id in group {
                // Of a group some may stand there already.
                if seats.bookings.first(where: { $0.id == id })?.flow.state != state {
                    try draft.step(WardSchema.booking, id, group: LessonGroups.status, to: state, reason: reason)
                }
                try also(draft, id)
            }
            try transaction.flushDrafts()
            try transaction.settleSeats(in: [row.space], by: self)
            return try transaction.booking(row.id, in: lesson)
        }
    }
}

extension CommandError {
    fileprivate static func isNotWaiting(_ booking: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "この予約は席を待っていません", en: "this booking does not wait for a seat"),
            record: booking.id.description,
            hint: Localized(ja: "booking show で状態を確かめてください", en: "see its status with 'booking show'")
        )
    }

    fileprivate static func nothingOffered(_ booking: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "この予約に案内中の席はありません", en: "no seat is offered to this booking"),
            record: booking.id.description,
            hint: Localized(
                ja: "booking show で状態を確かめてください。期限が過ぎていれば booking add でもう一度申し込めます",
                en: "see its status with 'booking show'; where the offer lapsed, ask again with 'booking add'"
            )
        )
    }

    fileprivate static func isOver(_ day: String) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "返事の期限にならない日です: \(day)", en: "nobody can answer by '\(day)'"),
            record: day,
            hint: Localized(
                ja: "2026-12-01 の形で、今日から教室の日までの日を書いてください",
                en: "write a day from today to the day of the lesson, as 2026-12-01"
            )
        )
    }
}
