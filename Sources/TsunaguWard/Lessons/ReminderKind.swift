// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// When people are reminded of a lesson.
package enum ReminderKind: String, Sendable, CaseIterable {
    case weekBefore = "week_before"
    case dayBefore = "day_before"

    /// The first and the last day before the lesson's on which it is sent; 0 is the lesson's own.
    private var daysBefore: ClosedRange<Int> {
        switch self {
        case .weekBefore: 2...7
        case .dayBefore: 0...1
        }
    }

    /// What is due on a day; `nil` long before the lesson, and once it is over.
    package init?(lesson: Day, today: Day) {
        let days = lesson.number - today.number
        guard let kind = Self.allCases.first(where: { $0.daysBefore.contains(days) }) else { return nil }
        self = kind
    }

    /// The record that says whether a booking was reminded of a lesson on a day: one, whichever devices run the job, and
    /// another once the lesson has moved.
    package func record(of booking: RecordID, on date: Day) -> RecordID {
        WardSchema.record(WardSchema.reminder, of: booking, "\(rawValue) \(date)")
    }
}
