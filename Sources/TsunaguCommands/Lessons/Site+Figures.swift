// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
package import TsunaguWard

extension Site {
    /// What the lessons held here add up to, to this day.
    ///
    /// Only an admin's site holds all of them: elsewhere each venue stands for itself, and nothing is said of the ward.
    package func lessonFigures() throws -> LessonFigures {
        let today = Day(tokyo: store.now())
        return try read { transaction in
            let isWhole = try transaction.currentAccess()?.isAdmin(keys.device) == true
            let held = try transaction.spaces().contains(.residents)
            var residents: Set<String> = []
            if held {
                try transaction.forEachRecord(WardSchema.bookingLink, where: "deleted = 0") { link in
                    if let booking = link.text("booking") { residents.insert(booking) }
                }
            }
            var lessons: [LessonFigures.Lesson] = []
            var parts: [Participation] = []
            for lesson in try transaction.records(WardSchema.lesson, where: "deleted = 0 ORDER BY id") {
                guard lesson.text("status") != "cancelled",
                    let day = lesson.day("date")
                else { continue }
                lessons.append(
                    LessonFigures.Lesson(
                        day: day,
                        venue: lesson.space.name,
                        scores: try transaction.scores(of: lesson.id)
                    )
                )
                for part in try transaction.parts(of: lesson) {
                    parts.append(
                        Participation(
                            day: day,
                            venue: lesson.space.name,
                            person: part.person,
                            isResident: held ? part.bookings.contains { residents.contains($0) } : nil,
                            ageGroup: part.ageGroup,
                            outcome: part.outcome
                        )
                    )
                }
            }
            return LessonFigures(lessons: lessons, participations: parts, today: today, totals: isWhole)
        }
    }

    /// Writes the figures as a file.
    ///
    /// - Parameter path: a file, or standard output for `nil`.
    /// - Returns: how many rows.
    package func exportFigures(
        to path: String?,
        _ format: ExportFormat = .csv,
        in language: Language
    ) throws -> Int {
        let figures = try lessonFigures().figures
        var rows = ExportWriter(format, try OutputFile(path))
        rows.header([
            "figure", "period_kind", "period", "venue", "age_group", "value", "denominator", "as_of", "version",
            "definition",
        ])
        let today = Day(tokyo: store.now()).description
        for figure in figures {
            try rows.row([
                .text(figure.name.rawValue), .text(figure.period.kind), .text(figure.period.text),
                .text(figure.venue ?? "all"), .text(figure.ages.text), .integer(Int64(figure.value)),
                figure.of.map { .integer(Int64($0)) } ?? .empty, .text(today),
                .integer(Int64(LessonFigures.version)), .text(figure.name.definition.text(in: language)),
            ])
        }
        try rows.finish()
        return figures.count
    }
}

extension StoreTransaction {
    /// What a figure needs of one booking, erased or not.
    fileprivate struct Part {
        let person: String
        let bookings: [String]
        let ageGroup: AgeGroup?
        let outcome: Participation.Outcome
    }

    fileprivate func parts(of lesson: StoredRecord) throws -> [Part] {
        let condition = "lesson = ? AND deleted = 0 AND space = (SELECT no FROM space WHERE name = ?) ORDER BY id"
        let arguments: [Value] = [.text(ExactText(lesson.id.description)), .text(ExactText(lesson.space.name))]
        let seats = try seats(of: lesson)
        var out: [Part] = []
        for row in try records(WardSchema.booking, where: condition, arguments) where row.usesSeat {
            guard let outcome = Participation.Outcome(rawValue: seats.status(of: row.id).status),
                seats.wasMeant(row.id)
            else { continue }
            out.append(Part(row, [row.id.description], outcome))
        }
        for row in try records(WardSchema.attendance, where: condition, arguments) {
            let outcomes = SetColumn.members(row.values["outcomes"]).compactMap(Participation.Outcome.init)
            guard let outcome = Participation.Outcome.strongest(of: outcomes) else { continue }
            out.append(Part(row, try bookings(behind: row, lesson), outcome))
        }
        return out
    }

    /// The erased booking that an attendance is of: its name follows from lesson and person.
    private func bookings(behind attendance: StoredRecord, _ lesson: StoredRecord) throws -> [String] {
        guard let key = attendance.text("person_key").flatMap({ PersonKey(hex: $0) }) else { return [] }
        return [key.booking(of: lesson.id).description]
    }
}

extension StoreTransaction.Part {
    fileprivate init(_ row: StoredRecord, _ bookings: [String], _ outcome: Participation.Outcome) {
        // Without a key it is one person of its own.
        person = row.text("person_key") ?? row.id.description
        self.bookings = bookings
        ageGroup = row.text("age_group").flatMap { AgeGroup(rawValue: $0) }
        self.outcome = outcome
    }
}

extension LessonFigures.Name {
    /// The rule that the figure is counted by.
    package var definition: Localized {
        switch self {
        case .lessons:
            Localized(
                ja: "その期間に行われた教室の数。中止と、まだ来ていない日の教室は数えない",
                en: "lessons of the period; cancelled and future ones are not counted"
            )
        case .bookings:
            Localized(ja: "予約の件数（延べ）。取消と当日参加は数えない", en: "bookings; neither cancelled ones nor walk-ins")
        case .cancelled: Localized(ja: "取り消された予約の件数", en: "bookings that were cancelled")
        case .attendances:
            Localized(
                ja: "参加の延べ人数。出席と当日参加。年齢は教室の日のもの",
                en: "attendances, walk-ins included; ages are those of the lesson's day"
            )
        case .persons:
            Localized(
                ja: "参加の実人数。同じ人は期間に一度だけ数える。住民でない入力は氏名・カナ・電話が同じなら同じ人。年齢区分が変わった人は両方に入る",
                en:
                    "persons who attended, each once in the period; typed persons are one where name, kana and phone are equal; who changed the age group is in both"
            )
        case .guests:
            Localized(ja: "実人数のうち、住民登録と結び付いていない人", en: "of the persons, those without a link to the register")
        case .walkIns: Localized(ja: "予約なしで当日参加した延べ人数", en: "attendances without a booking")
        case .waiting:
            Localized(ja: "席がないまま終わった予約／取消を除く予約", en: "bookings that never got a seat, of bookings not cancelled")
        case .noShows:
            Localized(
                ja: "欠席と記録された予約／出席か欠席と記録された予約",
                en: "bookings marked as no-show, of those marked as attended or no-show"
            )
        case .unrecorded:
            Localized(ja: "確定のまま、出席も欠席も記録されていない予約", en: "confirmed bookings with no mark of attendance")
        case .satisfaction1, .satisfaction2, .satisfaction3, .satisfaction4, .satisfaction5:
            Localized(
                ja: "満足度 \(rawValue.suffix(1)) の回答数（1 不満〜5 満足）／回答数。無記名",
                en: "answers of \(rawValue.suffix(1)) (1 not at all to 5 very much), of all answers; anonymous"
            )
        }
    }
}
