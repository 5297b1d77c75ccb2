// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// From when to when a lesson lasts, in wall time at the venue: `10:00-12:00`, `23:30-00:30` into the next day.
package struct LessonTime: Hashable, Sendable, CustomStringConvertible {
    /// `10:00`.
    package let start: ExactText
    /// `12:00`; on the next day where it is not after the start.
    package let end: ExactText

    /// Reads `HH:MM-HH:MM`.
    ///
    /// A lesson lasts 1 minute to 12 hours; an end before the start is therefore of the next day only where that makes
    /// a lesson, and a slip of the pen (`12:00-10:00`) is refused.
    package init?(_ text: some Collection<UInt8>) {
        guard text.count == 11 else { return nil }
        let bytes = Array(text)
        guard bytes[5] == UInt8(ascii: "-") else { return nil }
        guard let start = LessonTime.minutes(bytes[..<5]), let end = LessonTime.minutes(bytes[6...]) else { return nil }
        guard (1...720).contains((end - start + 1440) % 1440) else { return nil }
        self.start = ExactText(String(decoding: bytes[..<5], as: UTF8.self))
        self.end = ExactText(String(decoding: bytes[6...], as: UTF8.self))
    }

    /// The time of a lesson's two fields; `nil` where they are no lesson's time.
    package init?(start: ExactText, end: ExactText) {
        self.init(Array(start.utf8) + [UInt8(ascii: "-")] + Array(end.utf8))
    }

    /// Minutes from the first day's midnight; the upper bound is beyond 1,440 where the lesson ends on the next day.
    package var minutes: Range<Int> {
        let from = LessonTime.minutes(start.utf8)!
        let to = LessonTime.minutes(end.utf8)!
        return from..<(to > from ? to : to + 1440)
    }

    /// `10:00-12:00`.
    package var description: String { "\(start)-\(end)" }

    /// Minutes from midnight of exactly `HH:MM`, 00:00 to 23:59.
    static func minutes(_ text: some Collection<UInt8>) -> Int? {
        guard text.count == 5 else { return nil }
        var digits: [Int] = []
        for (index, byte) in text.enumerated() {
            if index == 2 {
                guard byte == UInt8(ascii: ":") else { return nil }
            } else {
                guard 48...57 ~= byte else { return nil }
                digits.append(Int(byte - 48))
            }
        }
        let hour = digits[0] * 10 + digits[1]
        let minute = digits[2] * 10 + digits[3]
        return hour < 24 && minute < 60 ? hour * 60 + minute : nil
    }
}
