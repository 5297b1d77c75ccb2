// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One person's part in one lesson, without a name: what figures are made of.
package struct Participation: Hashable, Sendable {
    /// What became of a booking, the weakest first: of several that sites reported apart, the last counts.
    package enum Outcome: String, Sendable, CaseIterable {
        case waiting, offered, confirmed, cancelled
        case noShow = "no_show"
        case walkIn = "walk_in"
        case attended

        /// Whether the person was there.
        package var isPresent: Bool { self == .attended || self == .walkIn }

        /// The one that counts; `nil` for none.
        package static func strongest(of outcomes: some Sequence<Outcome>) -> Outcome? {
            let all = Set(outcomes)
            return allCases.last { all.contains($0) }
        }
    }

    /// The day of the lesson.
    package var day: Day
    /// The space of the lesson.
    package var venue: String
    /// Which person it is; the same over lessons.
    package var person: String
    /// Whether the person is a resident of the register; `nil` where that is not known here.
    package var isResident: Bool?
    /// On the day of the lesson; `nil` where the age is not known.
    package var ageGroup: AgeGroup?
    package var outcome: Outcome

    package init(
        day: Day,
        venue: String,
        person: String,
        isResident: Bool?,
        ageGroup: AgeGroup?,
        outcome: Outcome
    ) {
        self.day = day
        self.venue = venue
        self.person = person
        self.isResident = isResident
        self.ageGroup = ageGroup
        self.outcome = outcome
    }
}
