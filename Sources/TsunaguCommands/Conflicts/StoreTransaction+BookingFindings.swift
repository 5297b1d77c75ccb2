// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What people have to be asked about their bookings.
extension StoreTransaction {
    /// Bookings of one lesson with the same name, kana and phone: one is from the register and one was typed, say.
    ///
    /// Both keep their seats until a person acts.
    func bookedTwice() throws -> [Case] {
        let name = PersonKey.spaces.reduce("name") { "replace(\($0), '\($1)', '')" }
        let condition = """
            deleted = 0 AND name IS NOT NULL AND (lesson, \(name)) IN (SELECT lesson, \(name) FROM booking
            WHERE deleted = 0 AND name IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1) ORDER BY lesson, id
            """
        struct Who: Hashable {
            let lesson: ExactText?
            let key: PersonKey
        }
        let rows = try records(WardSchema.booking, where: condition).filter { $0.isWanted }
        let alike = Dictionary(grouping: rows) { row in
            let details = PersonDetails(
                name: row.values["name"]?.text ?? "",
                kana: row.values["kana"]?.text,
                phone: row.values["phone"]?.text
            )
            return Who(lesson: row.values["lesson"]?.text, key: PersonKey(guest: details))
        }
        return alike.values.filter { $0.count > 1 }.sorted { $0[0].id < $1[0].id }.map { rows in
            finding(
                "booked_twice",
                rows[0].space,
                WardSchema.booking,
                rows.map(\.id),
                label: rows[0].values["name"]?.text
            )
        }
    }

    /// Bookings of one lesson that people linked to the same resident; holders of the register are asked.
    func linkedTwice() throws -> [Case] {
        guard try spaces().contains(.residents) else { return [] }
        let condition = """
            deleted = 0 AND resident IN (SELECT resident FROM booking_link WHERE deleted = 0 AND resident IS NOT NULL
            GROUP BY resident HAVING count(*) > 1) ORDER BY id
            """
        struct Who: Hashable {
            let resident: ExactText?
            let lesson: ExactText?
        }
        let links = try records(WardSchema.bookingLink, where: condition).filter { $0.space == .residents }
        let booked = try links.compactMap { link -> (who: Who, booking: StoredRecord)? in
            guard let id = link.text("booking").flatMap({ RecordID(hex: $0) }),
                let row = try record(WardSchema.booking, id), !row.deleted, row.isWanted
            else { return nil }
            return (Who(resident: link.values["resident"]?.text, lesson: row.values["lesson"]?.text), row)
        }
        return Dictionary(grouping: booked, by: \.who).values.filter { $0.count > 1 }.map { group in
            let rows = group.map(\.booking).sorted { $0.id < $1.id }
            let label = rows[0].values["name"]?.text
            return finding("linked_twice", rows[0].space, WardSchema.booking, rows.map(\.id), label: label)
        }.sorted { $0.records.lexicographicallyPrecedes($1.records) }
    }

    /// Pairs of bookings of one person whose lessons overlap.
    func overlaps() throws -> [Case] {
        let condition = """
            deleted = 0 AND person_key IN (SELECT person_key FROM booking WHERE deleted = 0
            GROUP BY person_key HAVING count(*) > 1) ORDER BY person_key, id
            """
        let rows = try records(WardSchema.booking, where: condition).filter { $0.isWanted }
        var lessons: [ExactText: Range<Int>?] = [:]
        func time(_ booking: StoredRecord) throws -> Range<Int>? {
            guard let name = booking.values["lesson"]?.text, let id = RecordID(hex: name.string) else { return nil }
            if let known = lessons[name] { return known }
            let lesson = try record(WardSchema.lesson, id)
            let time = lesson.flatMap { $0.deleted || $0.isCancelledLesson ? nil : $0.lessonMinutes }
            lessons[name] = .some(time)
            return time
        }
        var out: [Case] = []
        for (_, own) in Dictionary(grouping: rows, by: { $0.values["person_key"]?.text }) where own.count > 1 {
            let timed = try own.compactMap { row in try time(row).map { (row, $0) } }
            for (place, (first, time)) in timed.enumerated() {
                for (second, other) in timed[(place + 1)...] where time.overlaps(other) {
                    out.append(
                        finding(
                            "overlap",
                            first.space,
                            WardSchema.booking,
                            [first.id, second.id],
                            label: first.values["name"]?.text
                        )
                    )
                }
            }
        }
        return out.sorted { $0.records.lexicographicallyPrecedes($1.records) }
    }
}

extension StoredRecord {
    /// Whether a booking's flow does not stand at `cancelled`.
    fileprivate var isWanted: Bool { values["status"]?.text != BookingState.cancelled }

    /// When a lesson is, in minutes on one scale for all days.
    fileprivate var lessonMinutes: Range<Int>? {
        guard let day = day("date"), let start = values["start_time"]?.text,
            let end = values["end_time"]?.text, let time = LessonTime(start: start, end: end)
        else { return nil }
        let midnight = day.number * 1440
        return midnight + time.minutes.lowerBound..<midnight + time.minutes.upperBound
    }
}
