// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The last day on which a lesson may be booked without a reason; it ends at midnight in Tokyo.
package enum BookingDeadline {
    /// The fields that decide whether a deadline is late.
    package static let fields = ["date", "deadline"]

    /// A deadline that is behind its lesson, with the lesson's day; `nil` where all is well or either is unknown.
    package static func late(_ field: (String) -> ExactText?) -> (deadline: Day, lesson: Day)? {
        func day(_ name: String) -> Day? { field(name).flatMap { Day(iso: $0.utf8) } }
        guard let lesson = day("date"), let deadline = day("deadline"), deadline > lesson else { return nil }
        return (deadline, lesson)
    }
}
