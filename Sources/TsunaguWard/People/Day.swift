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
