// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A day of the Gregorian calendar as people in Tokyo write it.
///
/// It is never an instant: no time zone can shift it.
package struct Day: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 1 to 9999.
    package let year: Int
    /// 1 to 12.
    package let month: Int
    /// 1 to the month's length.
    package let day: Int

    /// Checks that the day exists.
    package init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month) else { return nil }
        guard (1...Day.length(ofMonth: month, in: year)).contains(day) else { return nil }
        self.init(unchecked: year, month, day)
    }

    private init(unchecked year: Int, _ month: Int, _ day: Int) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// Reads exactly `2026-12-01`.
    package init?(iso text: some Collection<UInt8>) {
        guard let (year, month, day) = Day.parts(iso: text) else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// Reads a day of the register, where 29 February occurs in common years too: it is read as 1 March, the day that
    /// follows the 28th, for whoever counts an age from it.
    package init?(register text: some Collection<UInt8>) {
        guard let (year, month, day) = Day.parts(iso: text) else { return nil }
        if let real = Day(year: year, month: month, day: day) {
            self = real
        } else if month == 2, day == 29, (1...9999).contains(year) {
            self.init(unchecked: year, 3, 1)
        } else {
            return nil
        }
    }

    /// The day that a moment falls on in Tokyo, nine hours ahead of UTC on every day, whatever the machine's zone.
    ///
    /// - Parameter milliseconds: since 1970 in UTC; the last day is that of the year 9999.
    package init(inTokyo milliseconds: UInt64) {
        // Days since 1 March of the year 0, in eras of 400 years that all have as many.
        let days = min(Int(milliseconds / 1000 + 9 * 3600) / 86_400, 2_932_896) + 719_468
        let (era, dayOfEra) = (days / 146_097, days % 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let number = month < 10 ? month + 3 : month - 9
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        self.init(unchecked: era * 400 + yearOfEra + (number <= 2 ? 1 : 0), number, day)
    }

    /// Days are numbered one after the other.
    package var number: Int {
        let (y, m) = month > 2 ? (year, month - 3) : (year - 1, month + 9)
        return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day
    }

    /// The day after.
    package var next: Day {
        if day < Day.length(ofMonth: month, in: year) { return Day(unchecked: year, month, day + 1) }
        return month < 12 ? Day(unchecked: year, month + 1, 1) : Day(unchecked: year + 1, 1, 1)
    }

    /// `2026-12-01`.
    package var description: String {
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    package static func < (a: Day, b: Day) -> Bool { (a.year, a.month, a.day) < (b.year, b.month, b.day) }

    /// The number of days of a month.
    package static func length(ofMonth month: Int, in year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The three numbers of text in the form of `2026-12-01`, whether or not that day exists.
    static func parts(iso text: some Collection<UInt8>) -> (year: Int, month: Int, day: Int)? {
        guard text.count == 10 else { return nil }
        var numbers = [0, 0, 0]
        var part = 0
        for (index, byte) in text.enumerated() {
            if index == 4 || index == 7 {
                guard byte == UInt8(ascii: "-") else { return nil }
                part += 1
            } else {
                guard 48...57 ~= byte else { return nil }
                numbers[part] = numbers[part] * 10 + Int(byte - 48)
            }
        }
        return (numbers[0], numbers[1], numbers[2])
    }
}
