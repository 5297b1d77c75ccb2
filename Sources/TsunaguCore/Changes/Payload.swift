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

        /// Whether nothing is left of it but its commitment, its shape and its record's name.
        package var isErased: Bool { range.isEmpty }
    }

    /// What stands for an entry's salt in a change of which an entry was erased.
    package enum Opening: Sendable {
        case salt(Bytes16)
        /// The commitment of an erased entry, 32 bytes.
        case leaf(Hash32)
    }

    /// The canonical forms, one after another.
    package private(set) var bytes: [UInt8] = []
    package private(set) var entries: [Entry] = []
    /// `nil` in a change of which an entry was erased: the others' salts then stand one by one.
    package let salts: Salts?
    /// One an entry where there are no `salts`, else none.
    package private(set) var openings: [Opening] = []

    /// A change is applied in one piece, so it must fit in memory many times over.
    package static let bytesMax = 1 << 20
    package static let entriesMax = 4096

    package init(salts: Salts?) { self.salts = salts }

    /// The id that an entry at a place gives to a record it creates, in a change being made.
    package func idOfEntry(_ index: Int) -> RecordID {
        guard let salts else { preconditionFailure("a change being made has its seed") }
        return salts.entry(index).id
    }

    /// The id that the next entry gives to a record it creates.
    package var nextID: RecordID { idOfEntry(entries.count) }

    /// The id that the entry at a place gave to the record it created.
    package func createdID(_ index: Int) throws(CodecError) -> RecordID {
        guard entries.indices.contains(index), entries[index].reference == .created else {
            throw .invalid("a reference to no entry that creates a record")
        }
        return entries[index].id
    }

    /// Appends a record's group of operations.
    ///
    /// `writeSlots` appends exactly the slots of the shape, in its order.
    package mutating func append(
        _ shape: Shape,
        id: RecordID,
        reference: RecordReference,
        salt: Bytes16? = nil,
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
        if let salt { openings.append(.salt(salt)) }
    }

    /// Appends what is left of an erased entry; only where there are no `salts`.
    package mutating func appendErased(_ shape: Shape, id: RecordID, isCreated: Bool, leaf: Hash32) {
        let end = bytes.count
        let reference: RecordReference = isCreated ? .created : .explicit
        entries.append(Entry(shape: shape, id: id, reference: reference, range: end..<end, slotsStart: end))
        openings.append(.leaf(leaf))
    }

    /// The same without the content of some entries.
    ///
    /// The change's seed is given up with it, since that and the commitment would let a short value be guessed.
    package func redacted(where isErased: (Entry) -> Bool) -> Payload {
        guard entries.contains(where: { !$0.isErased && isErased($0) }) else { return self }
        let leaves = leaves()
        var out = Payload(salts: nil)
        for (index, entry) in entries.enumerated() {
            if entry.isErased || isErased(entry) {
                let leaf = Array(leaves[32 * index..<32 * (index + 1)])
                out.appendErased(entry.shape, id: entry.id, isCreated: entry.reference == .created, leaf: leaf)
            } else {
                out.append(entry.shape, id: entry.id, reference: entry.reference, salt: salt(index)) {
                    $0 += bytes[entry.slotsStart..<entry.range.upperBound]
                }
            }
        }
        return out
    }

    /// The salt of an entry that is not erased.
    private func salt(_ index: Int) -> Bytes16 {
        if let salts { return salts.entry(index).salt }
        guard case .salt(let salt) = openings[index] else { preconditionFailure("entry \(index) is erased") }
        return salt
    }

    /// An entry's values, one a slot of its shape.
    package func values(of entry: Entry) throws(CodecError) -> [Value] {
        try bytes.withMemory { memory throws(CodecError) in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound]))
            var values: [Value] = []
            for _ in 0..<entry.shape.slotCount { values.append(try reader.slot().value()) }
            return values
        }
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
                if !openings.isEmpty, case .leaf(let leaf) = openings[index] {
                    out += leaf
                    continue
                }
                let content = UnsafeRawBufferPointer(rebasing: memory[entry.range])
                Commitment.appendLeaf(salt: salt(index), entry: content, to: &out)
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
