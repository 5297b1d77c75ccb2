// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The records whose ids begin with some hexadecimal digits: the ranges by which two sites look for what differs.
package struct RecordPrefix: Hashable, Comparable, Sendable {
    /// How many digits, 0 to 32: all ids, or one.
    package let digits: Int
    /// The digits, followed by zeros.
    private let value: UInt128

    /// All ids.
    package static let all = RecordPrefix(digits: 0, 0)

    /// One id.
    package init(_ record: RecordID) { self.init(digits: 32, record.raw.value) }

    private init(digits: Int, _ value: UInt128) {
        self.digits = digits
        self.value = value
    }

    package var first: RecordID { RecordID(Bytes16(value)) }

    package var last: RecordID { RecordID(Bytes16(value | ~Self.mask(digits))) }

    /// Whether it is one id.
    package var isRecord: Bool { digits == 32 }

    /// The part whose next digit is `digit`.
    ///
    /// - Precondition: it is more than one id.
    package func child(_ digit: Int) -> RecordPrefix {
        precondition(digits < 32 && 0..<16 ~= digit, "digit \(digit) behind \(digits)")
        return RecordPrefix(digits: digits + 1, value | UInt128(digit) << UInt128(124 - 4 * digits))
    }

    /// The digit that tells the part in which an id of this range lies.
    package func digit(of record: RecordID) -> Int {
        precondition(digits < 32, "one id has no parts")
        return Int(truncatingIfNeeded: record.raw.value >> UInt128(124 - 4 * digits)) & 15
    }

    package static func < (a: RecordPrefix, b: RecordPrefix) -> Bool { (a.value, a.digits) < (b.value, b.digits) }

    private static func mask(_ digits: Int) -> UInt128 { digits == 0 ? 0 : ~0 << UInt128(128 - 4 * digits) }
}

extension [UInt8] {
    /// u8 digits ‖ the digits, two a byte, the last byte filled up with zero.
    package mutating func append(_ prefix: RecordPrefix) {
        append(UInt8(prefix.digits))
        append(contentsOf: prefix.first.bytes.prefix((prefix.digits + 1) / 2))
    }
}

extension ByteReader {
    package mutating func recordPrefix() throws(CodecError) -> RecordPrefix {
        let digits = Int(try byte())
        guard digits <= 32 else { throw .invalid("a prefix of \(digits) digits") }
        var prefix = RecordPrefix.all
        let bytes = Array(try self.bytes((digits + 1) / 2))
        for place in 0..<digits { prefix = prefix.child(Int(bytes[place / 2] >> (place % 2 == 0 ? 4 : 0)) & 15) }
        guard digits % 2 == 0 || bytes[digits / 2] & 15 == 0 else { throw .invalid("a prefix in a longer spelling") }
        return prefix
    }
}
