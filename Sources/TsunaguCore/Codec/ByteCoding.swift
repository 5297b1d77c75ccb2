// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Why bytes are not what the format says.
public enum CodecError: Error, Hashable, Sendable {
    /// The input ends inside a value.
    case truncated
    /// A number is not in its shortest form or does not fit 64 bits.
    case malformedNumber
    /// A size is above its bound.
    case tooLarge(what: String, found: UInt64, bound: UInt64)
    /// A value that the format does not allow.
    case invalid(String)
    /// An entry names its record through a change that is not here (yet).
    case unresolvedReference(Dot)
    /// Bytes are left over.
    case trailingBytes(Int)
    /// The format's version is newer than this program.
    case unknownVersion(UInt8)
}

extension CodecError: CustomStringConvertible {
    /// What a person reads; places are named by whoever knows them.
    public var description: String {
        switch self {
        case .truncated: "the bytes end too early"
        case .malformedNumber: "a number is malformed"
        case .tooLarge(let what, let found, let bound): "\(what): \(found) is more than \(bound)"
        case .invalid(let what): what
        case .unresolvedReference(let dot): "change \(dot.seq) of \(dot.replica.device.short) is not here"
        case .trailingBytes(let count): "\(count) bytes are left over"
        case .unknownVersion(let version): "version \(version) is not known"
        }
    }
}

extension [UInt8] {
    /// Calls `body` with the bytes in place, keeping the type of its error, which `withUnsafeBytes` does not.
    package func withMemory<R>(_ body: (UnsafeRawBufferPointer) throws(CodecError) -> R) throws(CodecError) -> R {
        try withUnsafeBufferPointer { buffer throws(CodecError) in try body(UnsafeRawBufferPointer(buffer)) }
    }
}

/// Appends the format's primitives to an array of bytes.
extension [UInt8] {
    /// An unsigned LEB128 number in its shortest form.
    package mutating func appendVarint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        append(UInt8(value))
    }

    /// A signed number, zigzag coded.
    package mutating func appendZigzag(_ value: Int64) { appendVarint(UInt64(bitPattern: value << 1 ^ value >> 63)) }

    /// Eight bytes, most significant first.
    package mutating func appendUInt64(_ value: UInt64) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// A length and that many bytes.
    package mutating func appendPrefixed(_ bytes: some Collection<UInt8>) {
        appendVarint(UInt64(bytes.count))
        append(contentsOf: bytes)
    }

    /// Sixteen bytes.
    package mutating func append(_ bytes: Bytes16) { bytes.withBytes { append(contentsOf: $0) } }

    /// Twenty-four bytes.
    package mutating func append(_ replica: ReplicaID) {
        append(replica.device.raw)
        appendUInt64(replica.incarnation)
    }
}

/// Reads the format's primitives from memory that the caller keeps alive.
package struct ByteReader {
    private var base: UnsafeRawPointer
    private let end: UnsafeRawPointer

    /// Reads from the start of `buffer`, which must outlive the reader.
    package init(_ buffer: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; any will do, since nothing is read from it.
        base = buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
        end = base + buffer.count
    }

    /// Bytes left.
    package var count: Int { end - base }

    package var isAtEnd: Bool { base == end }

    /// Fails unless everything was read.
    package func expectEnd() throws(CodecError) {
        guard isAtEnd else { throw .trailingBytes(count) }
    }

    package mutating func byte() throws(CodecError) -> UInt8 {
        guard base < end else { throw .truncated }
        defer { base += 1 }
        return base.load(as: UInt8.self)
    }

    @inline(__always)
    package mutating func varint() throws(CodecError) -> UInt64 {
        guard base < end else { throw .truncated }
        let first = base.load(as: UInt8.self)
        base += 1
        if first < 0x80 { return UInt64(first) }
        return try varintTail(first)
    }

    private mutating func varintTail(_ first: UInt8) throws(CodecError) -> UInt64 {
        var value = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while true {
            let next = try byte()
            guard shift < 63 || next <= 1 else { throw .malformedNumber }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 {
                // A last byte of zero would be a second spelling of the same number.
                guard next != 0 else { throw .malformedNumber }
                return value
            }
            shift += 7
            guard shift <= 63 else { throw .malformedNumber }
        }
    }

    /// A number that must not be above `bound`.
    package mutating func varint(_ what: String, atMost bound: UInt64) throws(CodecError) -> Int {
        let value = try varint()
        guard value <= bound else { throw .tooLarge(what: what, found: value, bound: bound) }
        return Int(value)
    }

    package mutating func zigzag() throws(CodecError) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    package mutating func uint64() throws(CodecError) -> UInt64 {
        let raw = try bytes(8)
        return UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self))
    }

    /// The next `count` bytes, in place.
    @inline(__always)
    package mutating func bytes(_ count: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= end - base else { throw .truncated }
        defer { base += count }
        return UnsafeRawBufferPointer(start: base, count: count)
    }

    /// A length of at most `bound` and that many bytes, in place.
    package mutating func prefixed(_ what: String, atMost bound: Int) throws(CodecError) -> UnsafeRawBufferPointer {
        try bytes(varint(what, atMost: UInt64(bound)))
    }

    /// A length-prefixed text in UTF-8.
    package mutating func text(_ what: String, atMost bound: Int) throws(CodecError) -> ExactText {
        guard let text = ExactText(validating: try prefixed(what, atMost: bound)) else {
            throw .invalid("\(what) is not UTF-8")
        }
        return text
    }

    package mutating func bytes16() throws(CodecError) -> Bytes16 { Bytes16(loading: try bytes(16).baseAddress!) }

    package mutating func replica() throws(CodecError) -> ReplicaID { ReplicaID(bytes: try bytes(24))! }

    package mutating func space() throws(CodecError) -> SpaceID {
        let text = try text("space name", atMost: 65)
        guard let space = SpaceID(text.string) else { throw .invalid("'\(text)' is no space's name") }
        return space
    }
}
