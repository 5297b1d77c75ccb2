// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// Who comes to a lesson, by kana, with the numbers that attendance is typed by.
    package func roster(_ name: String) throws -> LessonRoster {
        let (lesson, people) = try expected(name)
        let printed = try read { try $0.printedRoster(of: lesson.record.id) }
        return roster(lesson, people, RosterNumbers(printed, people.map(\.record.id)))
    }

    /// The same as a page to hold; from now on its numbers stay.
    ///
    /// - Parameters:
    ///   - path: a file, or standard output for `nil`.
    ///   - blankLines: lines for people who come without a booking, at most 100.
    ///   - renumbers: whether everybody gets a new number by kana, so that pages of before are void.
    ///   - time: how a moment is written, from Unix milliseconds.
    package func printRoster(
        _ name: String,
        to path: String?,
        in language: Language,
        blankLines: Int = 8,
        renumbers: Bool = false,
        time: (UInt64) -> String
    ) throws -> LessonRoster {
        let (lesson, people) = try expected(name)
        let output = try OutputFile(path)
        let numbers = try write { transaction in
            let printed = renumbers ? [] : try transaction.printedRoster(of: lesson.record.id)
            let numbers = RosterNumbers(printed, people.map(\.record.id))
            try transaction.setPrintedRoster(numbers.bookings, of: lesson.record.id)
            return numbers
        }
        let roster = roster(lesson, people, numbers)
        let page = RosterPage(
            roster: roster,
            language: language,
            site: try siteName(),
            printedAt: time(store.now()),
            blankLines: min(max(0, blankLines), 100)
        )
        try output.write(Array(page.html.utf8))
        try output.finish()
        return roster
    }

    /// The booking with a number of the roster; who cancelled after the page was printed is still found by it.
    ///
    /// - Throws: 66 where nobody has it.
    package func booking(lesson name: String, number: Int) throws -> BookingView {
        let (lesson, people) = try expected(name)
        let printed = try read { try $0.printedRoster(of: lesson.record.id) }
        let numbers = RosterNumbers(printed, people.map(\.record.id)).bookings
        guard numbers.indices.contains(number - 1) else {
            throw CommandError(
                .notFound,
                Localized(ja: "名簿に \(number) 番の人はいません", en: "nobody on the roster has number \(number)"),
                record: name,
                hint: Localized(ja: "lesson roster で番号を確かめてください", en: "see the numbers with 'lesson roster'")
            )
        }
        return try booking(numbers[number - 1].description)
    }

    private func expected(_ name: String) throws -> (LessonView, [BookingView]) {
        (try lesson(name), LessonRoster.ordered(try bookings(lesson: name, cancelled: false)))
    }

    private func roster(_ lesson: LessonView, _ people: [BookingView], _ numbers: RosterNumbers) -> LessonRoster {
        let numbers = numbers.numbers
        return LessonRoster(
            lesson: lesson,
            lines: people.compactMap { booking in
                numbers[booking.record.id].map { LessonRoster.Line(number: $0, booking: booking) }
            },
            free: lesson.freeSeats.filter { $0.reason == .here }.reduce(0) { $0 + $1.count }
        )
    }

    /// What people call this site.
    private func siteName() throws -> String {
        try read { try Places($0)[keys.device]?.site?.string ?? keys.device.short }
    }
}
