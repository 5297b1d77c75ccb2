// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Days counted: distances, weekdays and the years that a ward plans in.
extension Day {
    /// Days since 1 January 1970, which is day 0.
    package var number: Int {
        // Years that begin in March, so that the day that comes and goes is the last of its year.
        let year = month <= 2 ? self.year - 1 : self.year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// The day of such a number; `nil` outside the years 1 to 9999.
    package init?(number: Int) {
        let shifted = number + 719_468
        guard shifted >= 0 else { return nil }
        let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let part = (5 * dayOfYear + 2) / 153
        let month = part < 10 ? part + 3 : part - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
            month: month,
            day: dayOfYear - (153 * part + 2) / 5 + 1
        )
    }

    /// The day that a moment falls on in Tokyo, whatever the machine's zone: Japan has had no other time since 1951.
    ///
    /// - Parameter milliseconds: Unix time; what lies beyond the year 9999 is its last day.
    package init(tokyo milliseconds: UInt64) {
        let number = Int(clamping: (milliseconds / 1000 + 9 * 3600) / 86_400)
        self = Day(number: min(number, 2_932_896)) ?? Day(year: 9999, month: 12, day: 31)!
    }

    /// The day so many days later, or earlier for a negative number; `nil` outside the years 1 to 9999.
    package func adding(_ days: Int) -> Day? { Day(number: number + days) }

    /// 0 is Sunday.
    package var weekday: Int { ((number + 4) % 7 + 7) % 7 }

    /// The year that begins on 1 April, by the calendar year of that day.
    package var fiscalYear: Int { month >= 4 ? year : year - 1 }
}
