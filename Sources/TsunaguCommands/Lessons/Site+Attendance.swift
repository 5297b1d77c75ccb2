// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What is noted of a person on the day.
package enum AttendanceMark: Sendable {
    /// Was there.
    case attended
    /// Had a seat and did not come.
    case absent
    /// The mark was an error: as it was before.
    case undone
}

extension Site {
    /// Notes who was there: all of those named or, where one cannot be noted, nobody.
    ///
    /// Attendance is a fact: of somebody who had cancelled it is noted too, and a finding says so. It spends no right.
    ///
    /// - Parameters:
    ///   - names: bookings by id.
    ///   - reason: why somebody without a seat was let in, which counts as a walk-in; of somebody who is noted already
    ///     and had cancelled, or was noted otherwise elsewhere, what came of asking, which ends the finding.
    /// - Throws: 65 with the name of who cannot be noted, and what to do.
    @discardableResult
    package func mark(_ mark: AttendanceMark, _ names: [String], reason: String? = nil) throws -> [BookingView] {
        let reason = try reason.map(Self.checkedReason)
        return try write { transaction in
            var seats: [RecordID: LessonSeats] = [:]
            var marked: [(booking: RecordID, lesson: StoredRecord)] = []
            for name in names {
                let row = try transaction.find(WardSchema.booking, name, key: nil)
                let lesson = try transaction.lesson(of: row)
                try transaction.requireWrite(self, row.space)
                guard !lesson.isCancelledLesson else { throw CommandError.lessonCancelled(lesson) }
                if seats[lesson.id] == nil { seats[lesson.id] = try transaction.seats(of: lesson) }
                if let state = try seats[lesson.id]!.state(of: row, after: mark, reason) {
                    let draft = try transaction.draft(row.space, by: person)
                    try draft.step(
                        WardSchema.booking,
                        row.id,
                        group: LessonGroups.status,
                        to: state,
                        reason: reason ?? ""
                    )
                    if let reason { try draft.note("出欠の記録: \(reason)", at: row.id) }
                }
                marked.append((row.id, lesson))
            }
            try transaction.flushDrafts()
            // Who asks again, or does not want the seat, is settled as a request or a cancellation is.
            if mark == .undone { try transaction.settleSeats(in: Set(marked.map(\.lesson.space)), by: self) }
            return try marked.map { try transaction.booking($0.booking, in: $0.lesson) }
        }
    }

    /// Notes as absent everybody of a lesson who has a seat and was not noted.
    ///
    /// - Throws: 65 before the lesson's day.
    package func markRestAbsent(lesson name: String) throws -> [BookingView] {
        let lesson = try lesson(name)
        let today = Day(tokyo: store.environment.now())
        if let day = lesson.record.text("date").flatMap({ Day(iso: $0.string.utf8) }), today < day {
            throw CommandError(
                .badInput,
                Localized(ja: "教室はまだです（\(day)）", en: "the lesson is not before \(day)"),
                record: name,
                hint: Localized(ja: "教室の日から記録できます", en: "note who was missing from that day on")
            )
        }
        let missing = try roster(name).missing.filter { $0.booking.status == "confirmed" }
        return try mark(.absent, missing.map(\.booking.record.id.description))
    }

    /// Takes in somebody at the door.
    ///
    /// Who asks for it has a booking or is given one: where a right is free here, behind those who wait, it takes that;
    /// where none is, the person comes on top of the seats and takes nobody's.
    ///
    /// - Parameter reason: why somebody is let in for whom there is no seat.
    /// - Throws: 65 where there is no seat here and no reason.
    package func admitWalkIn(
        lesson name: String,
        _ who: BookingPerson,
        needs: [String] = [],
        reason: String? = nil
    ) throws -> BookingView {
        let checked = try reason.map(Self.checkedReason)
        let admitted: (id: RecordID, isKnown: Bool) = try write { transaction in
            let lesson = try transaction.openLesson(name, self)
            let booker = try transaction.booker(who, lesson, self)
            let id = booker.key.booking(of: lesson.id)
            let seats = try transaction.seats(of: lesson)
            let known = seats.bookings.first { $0.id == id }
            if let known, !known.isDeleted { return (id, true) }
            var trial = seats
            trial.request(id)
            let settlement = try transaction.settlement(of: lesson, trial, by: self)
            let hasSeat = settlement.spends.contains(id)
            guard hasSeat || checked != nil else { throw CommandError.noSeat(booker.details.name, lesson) }
            let draft = try transaction.draft(lesson.space, by: person)
            if known == nil {
                try draft.create(booking: id, of: lesson.id, booker)
            } else {
                try draft.revive(WardSchema.booking, id)
            }
            try draft.add(needs: FieldAssignment.needs(needs), at: id)
            let flow = known?.flow ?? FlowState([], LessonGroups.machine)
            guard let step = flow.step(to: BookingState.walkIn, reason: checked ?? "") else {
                throw StoreError.noSuchStep(group: LessonGroups.status.name, to: BookingState.walkIn)
            }
            try draft.edit(WardSchema.booking, id, group: LessonGroups.status, add: [step.encoded])
            if let checked { try draft.note("予約なしで受付: \(checked)", at: id) }
            try draft.write(
                hasSeat ? settlement : transaction.settlement(of: lesson, seats, by: self),
                of: lesson.id
            )
            if let resident = booker.resident { try transaction.link(id, lesson.space, resident, self) }
            try transaction.flushDrafts()
            return (id, false)
        }
        if admitted.isKnown { return try mark(.attended, [admitted.id.description], reason: reason)[0] }
        return try booking(admitted.id.description)
    }
}

extension LessonSeats {
    /// Where a mark leads a booking.
    ///
    /// - Returns: `nil` where it stands there already.
    fileprivate func state(
        of row: StoredRecord,
        after mark: AttendanceMark,
        _ reason: ExactText?
    ) throws -> ExactText? {
        guard let booking = bookings.first(where: { $0.id == row.id }) else { return nil }
        let state = booking.flow.state
        let name = row.values["name"]?.text ?? ExactText(row.id.description)
        let isExpected = !booking.terms.usesSeat || booking.seat != nil
        switch mark {
        case .attended:
            if BookingState.present.contains(state) {
                let isOpen = booking.cameThoughCancelled || booking.isMarkedApart
                return reason != nil && isOpen ? BookingState.attended : nil
            }
            // A day's mark replaces another; who cancelled was expected before, and came.
            if isExpected || !BookingState.asks.contains(state) { return BookingState.attended }
            guard reason != nil else { throw CommandError.noSeat(name, nil) }
            return BookingState.walkIn
        case .absent:
            if state == BookingState.noShow { return nil }
            let isMarked = BookingState.present.contains(state)
            guard isMarked || BookingState.asks.contains(state) && isExpected else {
                throw CommandError.hadNoSeat(name)
            }
            return BookingState.noShow
        case .undone:
            guard BookingState.marks.contains(state) else { return nil }
            return booking.steps.last { !BookingState.marks.contains($0.transition.to) }?.transition.to
                ?? BookingState.cancelled
        }
    }
}

extension CommandError {
    fileprivate static func noSeat(_ name: ExactText, _ lesson: StoredRecord?) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "\(name)さんの席はここにはありません", en: "there is no seat for \(name) here"),
            record: lesson?.text("code") ?? name.string,
            hint: Localized(
                ja: "定員のほかに入れるなら --reason で理由を書いてください。当日参加として数えます",
                en: "to let the person in all the same, say why with --reason; it counts as a walk-in"
            )
        )
    }

    fileprivate static func hadNoSeat(_ name: ExactText) -> CommandError {
        CommandError(
            .badInput,
            Localized(ja: "\(name)さんには確定した席がなく、欠席になりません", en: "\(name) had no seat, and so is not missing"),
            record: name.string,
            hint: Localized(ja: "lesson roster で状態を確かめてください", en: "see the status with 'lesson roster'")
        )
    }
}
