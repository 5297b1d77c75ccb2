// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What the ward publishes of its lessons, with the rule that each figure is counted by.
///
/// A pure function of what is held: every site with the same data counts the same. A figure's rule never changes under
/// its name; a new rule raises `version`.
package struct LessonFigures: Sendable {
    /// The version of the rules.
    package static let version = 1

    /// What is counted.
    package enum Name: String, Sendable, CaseIterable {
        case lessons, bookings, cancelled
        case attendances = "participants_occurrences"
        case persons = "participants_persons"
        case guests = "participants_guests"
        case walkIns = "walk_ins"
        case waiting = "waiting_rate"
        case noShows = "no_show_rate"
        case unrecorded
        case satisfaction1 = "satisfaction_1"
        case satisfaction2 = "satisfaction_2"
        case satisfaction3 = "satisfaction_3"
        case satisfaction4 = "satisfaction_4"
        case satisfaction5 = "satisfaction_5"

        /// Whether it is given by age group too.
        var isByAge: Bool { self == .attendances || self == .persons }

        static func satisfaction(_ score: Int) -> Name { Name(rawValue: "satisfaction_\(score)")! }
    }

    /// Over which days a figure counts.
    package enum Period: Hashable, Sendable, Comparable {
        /// A calendar month.
        case month(year: Int, Int)
        /// April of the year to March of the next.
        case fiscalYear(Int)

        /// `2026-12`, or `2026` for the fiscal year that begins in April 2026.
        package var text: String {
            switch self {
            case .month(let year, let month): "\(year)-\(month < 10 ? "0" : "")\(month)"
            case .fiscalYear(let year): "\(year)"
            }
        }

        package var kind: String {
            switch self {
            case .month: "month"
            case .fiscalYear: "fiscal_year"
            }
        }

        /// The periods that a day is in.
        static func all(of day: Day) -> [Period] {
            [.month(year: day.year, day.month), .fiscalYear(day.fiscalYear)]
        }

        private var order: (Int, Int, Int) {
            switch self {
            case .fiscalYear(let year): (0, year, 0)
            case .month(let year, let month): (1, year, month)
            }
        }

        package static func < (a: Period, b: Period) -> Bool { a.order < b.order }
    }

    /// Whose ages a figure counts.
    package enum Ages: Hashable, Sendable {
        case all
        case group(AgeGroup)
        /// Nobody said; a row of its own, never the youngest.
        case unknown

        package var text: String {
            switch self {
            case .all: "all"
            case .group(let group): group.rawValue
            case .unknown: "unknown"
            }
        }

        static let parts: [Ages] = AgeGroup.allCases.map(Ages.group) + [.unknown]
    }

    /// One figure.
    package struct Figure: Hashable, Sendable {
        package let name: Name
        package let period: Period
        /// The space of the lessons; `nil` for all of them.
        package let venue: String?
        package let ages: Ages
        package let value: Int
        /// Of how many, where it is a rate.
        package let of: Int?
    }

    /// A lesson that took place.
    package struct Lesson: Hashable, Sendable {
        package var day: Day
        package var venue: String
        /// Answers by score, 1 to 5.
        package var scores: [Int]

        package init(day: Day, venue: String, scores: [Int] = []) {
            self.day = day
            self.venue = venue
            self.scores = scores
        }
    }

    /// By period, venue (all of them first), name and ages.
    package let figures: [Figure]

    /// Counts.
    ///
    /// - Parameters:
    ///   - today: lessons of later days are not counted: nobody was there yet.
    ///   - totals: whether all lessons of the ward are among these, so that figures over all venues may be given.
    package init(lessons: [Lesson], participations: [Participation], today: Day, totals: Bool) {
        var held: [Key: [Lesson]] = [:]
        var parts: [Key: [Participation]] = [:]
        func keys(_ day: Day, _ venue: String) -> [Key] {
            guard day <= today else { return [] }
            return Period.all(of: day).flatMap { period in
                [Key(period: period, venue: venue)] + (totals ? [Key(period: period, venue: nil)] : [])
            }
        }
        for lesson in lessons { for key in keys(lesson.day, lesson.venue) { held[key, default: []].append(lesson) } }
        for part in participations { for key in keys(part.day, part.venue) { parts[key, default: []].append(part) } }
        figures = Set(held.keys).union(parts.keys).sorted().flatMap { key in
            Self.figures(key, held[key] ?? [], parts[key] ?? [])
        }
    }

    private struct Key: Hashable, Comparable {
        let period: Period
        let venue: String?

        static func < (a: Key, b: Key) -> Bool {
            if a.period != b.period { return a.period < b.period }
            guard let first = a.venue, let second = b.venue else { return a.venue == nil && b.venue != nil }
            return first.utf8.lexicographicallyPrecedes(second.utf8)
        }
    }

    private static func figures(_ key: Key, _ lessons: [Lesson], _ parts: [Participation]) -> [Figure] {
        Name.allCases.flatMap { name -> [Figure] in
            func figure(_ ages: Ages, _ parts: [Participation]) -> Figure? {
                count(name, lessons, parts).map { value, of in
                    Figure(name: name, period: key.period, venue: key.venue, ages: ages, value: value, of: of)
                }
            }
            guard let whole = figure(.all, parts) else { return [] }
            guard name.isByAge else { return [whole] }
            return [whole]
                + Ages.parts.compactMap { ages in
                    figure(ages, parts.filter { ($0.ageGroup.map(Ages.group) ?? .unknown) == ages })
                }
        }
    }

    /// - Returns: `nil` where this site cannot know.
    private static func count(_ name: Name, _ lessons: [Lesson], _ parts: [Participation]) -> (value: Int, of: Int?)? {
        let present = parts.filter(\.outcome.isPresent)
        let booked = parts.filter { $0.outcome != .walkIn && $0.outcome != .cancelled }
        switch name {
        case .lessons: return (lessons.count, nil)
        case .bookings: return (booked.count, nil)
        case .cancelled: return (parts.count { $0.outcome == .cancelled }, nil)
        case .attendances: return (present.count, nil)
        case .persons: return (Set(present.map(\.person)).count, nil)
        case .guests:
            guard present.allSatisfy({ $0.isResident != nil }) else { return nil }
            return (Set(present.filter { $0.isResident == false }.map(\.person)).count, nil)
        case .walkIns: return (parts.count { $0.outcome == .walkIn }, nil)
        case .waiting: return (booked.count { $0.outcome == .waiting || $0.outcome == .offered }, booked.count)
        case .noShows:
            let missing = parts.count { $0.outcome == .noShow }
            return (missing, missing + parts.count { $0.outcome == .attended })
        case .unrecorded: return (parts.count { $0.outcome == .confirmed }, nil)
        case .satisfaction1, .satisfaction2, .satisfaction3, .satisfaction4, .satisfaction5:
            let answers = (1...5).map { score in
                lessons.reduce(0) { $0 &+ ($1.scores.indices.contains(score - 1) ? $1.scores[score - 1] : 0) }
            }
            let score = (1...5).first { name == .satisfaction($0) } ?? 1
            return (answers[score - 1], answers.reduce(0, &+))
        }
    }
}
