// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

#if canImport(Glibc)
    import Glibc
#endif

/// A moment as the clock on a wall in Tokyo shows it, whatever the machine's zone: Japan has had no other time since 1951.
struct TokyoTime {
    private let parts: tm
    private let milliseconds: UInt64

    init(milliseconds: UInt64) {
        var seconds = time_t(milliseconds / 1000) + 9 * 3600
        var parts = tm()
        gmtime_r(&seconds, &parts)
        self.parts = parts
        self.milliseconds = milliseconds % 1000
    }

    init(_ timestamp: Timestamp) { self.init(milliseconds: timestamp.milliseconds) }

    /// The first moment of a day such as 2026-12-01, in Unix milliseconds; `nil` for anything else.
    static func start(of day: String) -> UInt64? {
        let parts = day.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
        guard day.utf8.count == 10, parts.count == 3, let year = parts[0], let month = parts[1], let number = parts[2]
        else { return nil }
        var time = tm()
        (time.tm_year, time.tm_mon, time.tm_mday) = (year - 1900, month - 1, number)
        let wanted = time
        let seconds = timegm(&time) - 9 * 3600
        // A day that is none would become another one.
        guard seconds >= 0, time.tm_mon == wanted.tm_mon, time.tm_mday == wanted.tm_mday else { return nil }
        return UInt64(seconds) * 1000
    }

    private var date: String {
        "\(Self.padded(Int(parts.tm_year) + 1900, 4))-\(Self.padded(Int(parts.tm_mon) + 1, 2))-\(Self.padded(Int(parts.tm_mday), 2))"
    }

    private var clock: String {
        [parts.tm_hour, parts.tm_min, parts.tm_sec].map { Self.padded(Int($0), 2) }.joined(separator: ":")
    }

    /// `2026-12-01T10:00:00.123+09:00`.
    var iso: String { "\(date)T\(clock).\(Self.padded(Int(milliseconds), 3))+09:00" }

    /// `2026-12-01 10:00:00`.
    var plain: String { "\(date) \(clock)" }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
