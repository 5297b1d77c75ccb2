// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto

/// How an entry names its record on disk and wire; what is hashed always holds the id itself.
package enum RecordReference: Hashable, Sendable {
    /// Sixteen bytes.
    case explicit
    /// The id that this entry's place in its change gives (`Salts`).
    case created
    /// The id that entry `index` of an earlier change of the same space gave.
    case of(Dot, index: Int)
}

/// The operations of one change, grouped by record, in canonical form.
///
/// An entry is `shape ‖ id ‖ slots`. Entries stand in one array; nothing is allocated for each.
package struct Payload: Sendable {
    package struct Entry: Sendable {
        package let shape: Shape
        package let id: RecordID
        package fileprivate(set) var reference: RecordReference
        /// Where its canonical form stands in `bytes`.
        package let range: Range<Int>
        /// Where its first slot begins in `bytes`.
        package let slotsStart: Int
    }

    /// The canonical forms, one after another.
    package private(set) var bytes: [UInt8] = []
    package private(set) var entries: [Entry] = []
    private let salts: Salts

    /// A change is applied in one piece, so it must fit in memory many times over.
    package static let bytesMax = 1 << 20
    package static let entriesMax = 4096

    package init(salts: Salts) { self.salts = salts }

    /// The id that an entry at a place gives to a record it creates.
    package func idOfEntry(_ index: Int) -> RecordID { salts.entry(index).id }

    /// The id that the next entry gives to a record it creates.
    package var nextID: RecordID { salts.entry(entries.count).id }

    /// Appends a record's group of operations.
    ///
    /// `writeSlots` appends exactly the slots of the shape, in its order.
    package mutating func append(
        _ shape: Shape,
        id: RecordID,
        reference: RecordReference,
        writeSlots: (inout [UInt8]) throws -> Void
    ) rethrows {
        let start = bytes.count
        bytes.append(contentsOf: shape.encoded)
        bytes.append(id.raw)
        let slotsStart = bytes.count
        try writeSlots(&bytes)
        entries.append(
            Entry(shape: shape, id: id, reference: reference, range: start..<bytes.count, slotsStart: slotsStart)
        )
    }

    /// Names records by their ids where they are named by changes of some replicas.
    mutating func spellOut(_ isAmbiguous: (ReplicaID) -> Bool) {
        for index in entries.indices {
            if case .of(let dot, _) = entries[index].reference, isAmbiguous(dot.replica) {
                entries[index].reference = .explicit
            }
        }
    }

    /// The salted hashes of all entries, 32 bytes each, one after another.
    package func leaves() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(32 * entries.count)
        bytes.withUnsafeBytes { memory in
            for (index, entry) in entries.enumerated() {
                let content = UnsafeRawBufferPointer(rebasing: memory[entry.range])
                Commitment.appendLeaf(salt: salts.entry(index).salt, entry: content, to: &out)
            }
        }
        return out
    }
}

/// The hashes by which a header commits to its operations.
package enum Commitment {
    /// Of one entry: SHA-256(salt ‖ canonical form).
    ///
    /// Erasing an entry keeps this and gives up the rest.
    package static func appendLeaf(salt: Bytes16, entry: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        var hash = SHA256()
        salt.withBytes { hash.update(bufferPointer: $0) }
        hash.update(bufferPointer: entry)
        hash.finalize().withUnsafeBytes { out.append(contentsOf: $0) }
    }

    /// Of all entries of a change: SHA-256("tsunagu/payload/1" ‖ count ‖ leaves).
    package static func payload(leaves: [UInt8]) -> Hash32 {
        var hash = SHA256()
        hash.update(data: Array("tsunagu/payload/1".utf8))
        withUnsafeBytes(of: UInt64(leaves.count / 32).bigEndian) { hash.update(bufferPointer: $0) }
        hash.update(data: leaves)
        return Array(hash.finalize())
    }
}
