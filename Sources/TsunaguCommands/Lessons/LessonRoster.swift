// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Who comes to a lesson, as a volunteer holds it in hand: by kana, each with the number that is typed for him.
package struct LessonRoster: Sendable {
    /// One person.
    package struct Line: Sendable {
        /// From 1; what stands on a page that was printed here.
        package let number: Int
        package let booking: BookingView

        /// The text of one of the person's fields; empty where it is unknown, or gone after the lesson.
        package func text(_ field: String) -> String { booking.record.text(field)?.string ?? "" }

        /// What the person needs.
        package var needs: [String] {
            let shown = booking.record.fields.first { $0.field.name == "needs" }?.shown
            guard case .members(let members)? = shown else { return [] }
            return members.map(\.string)
        }
    }

    package let lesson: LessonView
    /// Everybody who did not cancel.
    package let lines: [Line]
    /// How many more this device may confirm without asking anybody.
    package let free: Int

    /// Who has a seat and was not seen yet.
    package var missing: [Line] {
        lines.filter { $0.booking.usesSeat && ["confirmed", "no_show"].contains($0.booking.status) }
    }
    /// How many were there.
    package var presentCount: Int { lines.count { ["attended", "walk_in"].contains($0.booking.status) } }

    /// Whether somebody may come in here, or that the lesson does not take place.
    package var notice: Localized {
        if lesson.isCancelled {
            let reason = lesson.cancelReason?.string ?? ""
            return Localized(
                ja: "中止" + (reason.isEmpty ? "" : "（\(reason)）"),
                en: "CANCELLED" + (reason.isEmpty ? "" : " (\(reason))")
            )
        }
        return free > 0
            ? Localized(ja: "あと\(free)名まで確定可", en: "Seats to give here: \(free)")
            : Localized(ja: "ここで確定できる席はありません", en: "No seat to give here")
    }

    /// The seats that are planned; `nil` where nobody said.
    package var capacity: Int64? {
        let shown = lesson.record.fields.first { $0.field.name == "capacity" }?.shown
        guard case .integer(let number)? = shown else { return nil }
        return number
    }
}

extension LessonRoster {
    /// The order of the roster: by kana, by the name where there are none, then by the bytes of the name and the id, so
    /// that it is one order everywhere.
    static func ordered(_ bookings: [BookingView]) -> [BookingView] {
        func name(_ booking: BookingView) -> ExactText { booking.record.text("name") ?? "" }
        return bookings.map { ($0, KanaOrder(($0.record.text("kana") ?? name($0)).string)) }.sorted { a, b in
            if a.1 != b.1 { return a.1 < b.1 }
            return name(a.0) != name(b.0) ? name(a.0) < name(b.0) : a.0.record.id < b.0.record.id
        }.map(\.0)
    }
}

/// The numbers of a lesson's people.
///
/// They are 1 to n by kana until a page is printed. From then on whoever stands on the page keeps the number, so that what
/// is typed from the paper means who stands there; who comes later has the numbers behind, and that of somebody who
/// cancelled is nobody else's. It is this device's own: another one's page has other numbers.
struct RosterNumbers {
    /// The bookings by number, from 1.
    private(set) var bookings: [RecordID]

    init(_ printed: [RecordID], _ ordered: [RecordID]) {
        let known = Set(printed)
        bookings = printed + ordered.filter { !known.contains($0) }
    }

    /// The number of each booking.
    var numbers: [RecordID: Int] {
        Dictionary(bookings.enumerated().map { ($1, $0 + 1) }, uniquingKeysWith: { first, _ in first })
    }
}

extension StoreTransaction {
    private static func key(of lesson: RecordID) -> String { "roster \(lesson)" }

    /// The bookings on the pages that were printed here, by number.
    func printedRoster(of lesson: RecordID) throws -> [RecordID] {
        guard case .bytes(let bytes)? = try meta(Self.key(of: lesson)) else { return [] }
        return stride(from: 0, to: bytes.count - bytes.count % 16, by: 16).compactMap {
            RecordID(bytes: Array(bytes[$0..<$0 + 16]))
        }
    }

    func setPrintedRoster(_ bookings: [RecordID], of lesson: RecordID) throws {
        try setMeta(Self.key(of: lesson), .bytes(bookings.flatMap(\.bytes)))
    }
}
