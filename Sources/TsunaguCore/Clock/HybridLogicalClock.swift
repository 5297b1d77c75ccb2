// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A moment: 48 bits of Unix milliseconds and a 16-bit counter, ordered as one number.
///
/// It breaks ties among concurrent things only; what is causally later wins whatever the stamps say
/// (Kulkarni et al., "Logical Physical Clocks", 2014).
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Milliseconds in the high 48 bits, counter in the low 16.
    public var raw: UInt64

    /// Wraps the packed form.
    public init(raw: UInt64) { self.raw = raw }

    /// The first stamp of a millisecond; a clock beyond the 48 bits stands still at their end.
    public init(milliseconds: UInt64) { self.raw = min(milliseconds, Self.millisecondsMax) << 16 }

    /// The greatest time that fits, in the year 10889.
    public static let millisecondsMax: UInt64 = 1 << 48 - 1

    /// Unix milliseconds.
    public var milliseconds: UInt64 { raw >> 16 }

    /// Whether one comes before the other, by bytes.
    public static func < (a: Timestamp, b: Timestamp) -> Bool { a.raw < b.raw }
}

/// The clock of a replica: never goes back, and follows remote stamps only within a bound.
public struct HybridLogicalClock: Hashable, Sendable {
    /// How far ahead of the machine's own time a remote stamp may be and still be adopted, in milliseconds.
    ///
    /// One device that lives in another year must not drag the others along (actualbudget/actual#3786).
    public static let adoptionBoundMilliseconds: UInt64 = 10 * 60 * 1000

    /// The last stamp given or adopted.
    public private(set) var last: Timestamp

    /// Continues from a stored stamp.
    public init(last: Timestamp = Timestamp(raw: 0)) { self.last = last }

    /// The next stamp: the machine's time, or one above the last where the machine's time lags.
    public mutating func tick(milliseconds now: UInt64) -> Timestamp {
        last = max(Timestamp(milliseconds: now), Timestamp(raw: last.raw == .max ? .max : last.raw + 1))
        return last
    }

    /// Takes note of a remote stamp.
    ///
    /// - Returns: by how many milliseconds the stamp is ahead, where it is outside the bound and so not adopted.
    public mutating func adopt(_ remote: Timestamp, milliseconds now: UInt64) -> UInt64? {
        if remote.milliseconds > now, remote.milliseconds - now > Self.adoptionBoundMilliseconds,
            !Mutant.clockFollowsAnybody.isPlanted
        {
            return remote.milliseconds - now
        }
        last = max(last, remote)
        return nil
    }
}
