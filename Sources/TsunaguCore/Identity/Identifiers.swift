// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A fixed number of bytes that names something; compared and ordered by its bytes.
public protocol Identifier: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Length in bytes.
    static var byteCount: Int { get }
    /// The bytes, exactly `byteCount` of them.
    var bytes: [UInt8] { get }
    /// Makes the identifier of exactly `byteCount` bytes; `nil` for any other length.
    init?(bytes: some Collection<UInt8>)
}

extension Identifier {
    /// Lowercase hexadecimal, as `lower(hex(id))` prints it in `sqlite3`.
    public var description: String { Hex.encode(bytes) }

    /// Reads the form that `description` prints, in either case.
    public init?(hex: some StringProtocol) {
        guard let bytes = Hex.decode(hex) else { return nil }
        self.init(bytes: bytes)
    }

    /// Reads that form alone: what rights hang on has one spelling.
    package init?(exactHex hex: some StringProtocol) {
        self.init(hex: hex)
        guard description.utf8.elementsEqual(hex.utf8) else { return nil }
    }
}

/// A fixed 128-bit value, the storage of most identifiers: no heap, one comparison.
///
/// The bytes are the big-endian form of the number, so numeric order is byte order.
@frozen
public struct Bytes16: Hashable, Comparable, Sendable {
    /// The value, first byte most significant.
    public var value: UInt128

    /// Wraps a number.
    public init(_ value: UInt128) { self.value = value }

    /// Reads 16 bytes; `nil` for any other count.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        // Byte by byte through a generic collection costs twenty times as much.
        self =
            bytes.withContiguousStorageIfAvailable { Self(loading: $0.baseAddress!) }
            ?? Self(bytes.reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// Reads 16 bytes of raw memory.
    public init(loading raw: UnsafeRawPointer) {
        self.value = UInt128(bigEndian: raw.loadUnaligned(as: UInt128.self))
    }

    /// The 16 bytes.
    public var bytes: [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    /// Calls `body` with the 16 bytes in memory.
    public func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withUnsafeBytes(of: value.bigEndian, body)
    }

    /// Byte order.
    public static func < (a: Bytes16, b: Bytes16) -> Bool { a.value < b.value }
}

/// The key pair of a machine, named by its signing key: the first 16 bytes of
/// SHA-256("tsunagu/device/1" ‖ Ed25519 public key).
public struct DeviceID: Identifier {
    /// Length in bytes.
    public static var byteCount: Int { 16 }
    /// The identifier's 16 bytes.
    public let raw: Bytes16

    /// The bytes, first one first.
    public var bytes: [UInt8] { raw.bytes }

    /// Reads the form that the type prints.
    public init?(bytes: some Collection<UInt8>) {
        guard let raw = Bytes16(bytes) else { return nil }
        self.raw = raw
    }

    /// The name that belongs to a signing key.
    public init(signingKey: [UInt8]) {
        var hash = SHA256()
        hash.update(data: Array("tsunagu/device/1".utf8))
        hash.update(data: signingKey)
        self.raw = hash.finalize().withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    /// The first eight hexadecimal digits, for people.
    public var short: String { String(description.prefix(8)) }

    /// Whether one comes before the other, by bytes.
    public static func < (a: DeviceID, b: DeviceID) -> Bool { a.raw < b.raw }
}

/// A device plus a random incarnation: what numbers its own changes without gaps.
public struct ReplicaID: Identifier {
    /// Length in bytes.
    public static var byteCount: Int { 24 }
    /// The device whose key seals this replica's changes.
    public let device: DeviceID
    /// Drawn at random when the replica begins, with the highest bit clear: a restored backup begins another.
    ///
    /// With that bit set it is the name of a branch, which nobody seals under.
    public let incarnation: UInt64

    private static let branchBit: UInt64 = 1 << 63

    /// Joins the two parts.
    public init(device: DeviceID, incarnation: UInt64) {
        self.device = device
        self.incarnation = incarnation
    }

    /// A replica that begins.
    package init(of device: DeviceID, drawn random: UInt64) {
        self.init(device: device, incarnation: random & ~Self.branchBit)
    }

    /// Whether this names a branch of a forked chain, and no author.
    package var isBranch: Bool { incarnation & Self.branchBit != 0 }

    /// The bytes, first one first.
    public var bytes: [UInt8] { device.bytes + (0..<8).map { UInt8(truncatingIfNeeded: incarnation >> (56 - 8 * $0)) } }

    /// Reads the form that the type prints.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 24, let device = DeviceID(bytes: bytes.prefix(16)) else { return nil }
        self.device = device
        let last = bytes.suffix(8)
        self.incarnation =
            last.withContiguousStorageIfAvailable {
                UInt64(bigEndian: UnsafeRawPointer($0.baseAddress!).loadUnaligned(as: UInt64.self))
            } ?? last.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The name under which a branch of this replica's chain is filed, where that has two changes under one number.
    ///
    /// The same device with the first 8 bytes of SHA-256("tsunagu/branch/1" ‖ incarnation ‖ u64 number ‖ hash) as its
    /// incarnation, their highest bit set: whoever meets with the fork gives the branch this name, and no author has it.
    ///
    /// - Parameters:
    ///   - number: the first of the branch.
    ///   - hash: of the branch's header at that number.
    package func branch(at number: UInt64, hash: Hash32) -> ReplicaID {
        var bytes = Array("tsunagu/branch/1".utf8)
        bytes.appendUInt64(incarnation)
        bytes.appendUInt64(number)
        bytes += hash
        let incarnation = SHA256.hash(data: bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        return ReplicaID(device: device, incarnation: incarnation | Self.branchBit)
    }

    /// Whether one comes before the other, by bytes.
    public static func < (a: ReplicaID, b: ReplicaID) -> Bool {
        a.device == b.device ? a.incarnation < b.incarnation : a.device < b.device
    }
}

/// The name of a record inside its space and collection.
public struct RecordID: Identifier {
    /// Length in bytes.
    public static var byteCount: Int { 16 }
    /// The identifier's 16 bytes.
    public let raw: Bytes16

    /// Wraps 16 bytes.
    public init(_ raw: Bytes16) { self.raw = raw }

    /// The bytes, first one first.
    public var bytes: [UInt8] { raw.bytes }

    /// Reads the form that the type prints.
    public init?(bytes: some Collection<UInt8>) {
        guard let raw = Bytes16(bytes) else { return nil }
        self.raw = raw
    }

    /// The record that several sites must name alike without talking: the first 16 bytes of SHA-256 over the parts,
    /// each behind its length.
    public init(derivedFrom parts: [[UInt8]]) {
        var hash = SHA256()
        hash.update(data: Array("tsunagu/record/1".utf8))
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        self.raw = hash.finalize().withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    /// Whether one comes before the other, by bytes.
    public static func < (a: RecordID, b: RecordID) -> Bool { a.raw < b.raw }
}

/// One author's change: the unit that causality counts.
public struct Dot: Hashable, Comparable, Sendable {
    /// Who wrote it.
    public var replica: ReplicaID
    /// The author's running number in the space, from 1.
    public var seq: UInt64

    /// Joins the two parts.
    public init(_ replica: ReplicaID, _ seq: UInt64) {
        self.replica = replica
        self.seq = seq
    }

    /// By replica, then by number.
    public static func < (a: Dot, b: Dot) -> Bool { a.replica == b.replica ? a.seq < b.seq : a.replica < b.replica }
}

/// The unit of replication, permission and placement: `residents`, `lessons/kudan`.
public struct SpaceID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// One or two names of `[a-z0-9-]{1,32}`, joined by a slash.
    public let name: String

    /// Checks the name; `nil` where it is not of the form.
    public init?(_ name: some StringProtocol) {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count) else { return nil }
        for part in parts {
            guard (1...32).contains(part.count) else { return nil }
            for byte in part where !(97...122 ~= byte || 48...57 ~= byte || byte == 45) { return nil }
        }
        self.name = String(name)
    }

    /// Sites, devices, grants and invitations: every member of the ward holds it.
    public static let system = SpaceID("system")!

    /// What people and logs read.
    public var description: String { name }

    /// Whether `pattern`, a space's name or a prefix that ends in `/*`, covers this space.
    public func matches(_ pattern: some StringProtocol) -> Bool {
        if pattern == "*" { return true }
        if pattern.hasSuffix("/*") { return name.hasPrefix(pattern.dropLast(1)) }
        return name == pattern
    }

    // Names are ASCII, where Swift's order of strings is the order of bytes.
    /// Whether one comes before the other, by bytes.
    public static func < (a: SpaceID, b: SpaceID) -> Bool { a.name < b.name }
}

/// The person at the keyboard: part of every change.
public struct Operator: Hashable, Sendable {
    /// What the machine knows the person by, such as a login name.
    public var id: ExactText
    /// What people read.
    public var label: ExactText

    /// At most so many bytes each stand in a change; a longer name is cut where it is written.
    package static let bytesMax = 256

    /// Joins the two parts.
    public init(id: ExactText, label: ExactText) {
        self.id = id
        self.label = label
    }
}
