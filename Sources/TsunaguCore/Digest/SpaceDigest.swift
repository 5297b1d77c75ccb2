// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a space's state adds up to: for every live (record, field, dot) its commitment times a constant of the field,
/// modulo 2^64 in two lanes.
///
/// Order-independent, since addition is; incremental, since what ends is subtracted; covers values, since commitments
/// do; and survives erasure, since a commitment outlives its content. It guards against faults, not against forgers,
/// whom chains and seals stop (`Protocol/decisions/0003-digest.md`).
package struct SpaceDigest: Hashable, Sendable {
    private var high: UInt64 = 0
    private var low: UInt64 = 0

    /// An empty space.
    package init() {}

    /// Reads the stored form of 16 bytes.
    package init(_ bytes: Bytes16) {
        high = UInt64(truncatingIfNeeded: bytes.value >> 64)
        low = UInt64(truncatingIfNeeded: bytes.value)
    }

    /// Register fields that one change serves.
    package init(leaf: Bytes16, fields: FieldMask) {
        var fields = fields
        while fields != 0 {
            add(leaf, key: UInt64(fields.trailingZeroBitCount) << 32)
            fields &= fields - 1
        }
    }

    /// One item of a set, log, counter, ledger or flow.
    package init(leaf: Bytes16, group: UInt32, item: Int) {
        // A field's key is below 1 << 39, so the two kinds never share one; and doubling must not lose the mark.
        add(leaf, key: 1 << 62 | UInt64(group) << 32 | UInt64(item))
    }

    private mutating func add(_ leaf: Bytes16, key: UInt64) {
        high &+= UInt64(truncatingIfNeeded: leaf.value >> 64) &* Self.factor(key &* 2)
        low &+= UInt64(truncatingIfNeeded: leaf.value) &* Self.factor(key &* 2 &+ 1)
    }

    /// An odd number that looks random: the finaliser of SplitMix64 (Steele et al., 2014).
    private static func factor(_ key: UInt64) -> UInt64 {
        var z = key &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return (z ^ z >> 31) | 1
    }

    /// The stored form.
    package var bytes: Bytes16 { Bytes16(UInt128(high) << 64 | UInt128(low)) }

    package static func + (a: SpaceDigest, b: SpaceDigest) -> SpaceDigest {
        var sum = a
        sum.high &+= b.high
        sum.low &+= b.low
        return sum
    }

    package static func - (a: SpaceDigest, b: SpaceDigest) -> SpaceDigest {
        var difference = a
        difference.high &-= b.high
        difference.low &-= b.low
        return difference
    }

    package static func += (a: inout SpaceDigest, b: SpaceDigest) { a = a + b }

    package static func -= (a: inout SpaceDigest, b: SpaceDigest) { a = a - b }
}
