// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A change by the number that this store gave its author: causal metadata in two or three bytes.
package struct LocalDot: Hashable, Comparable, Sendable {
    package var author: UInt32
    package var seq: UInt64

    package init(author: UInt32, seq: UInt64) {
        self.author = author
        self.seq = seq
    }

    /// An order of this store's only; sites agree on that of `Dot`.
    package static func < (a: LocalDot, b: LocalDot) -> Bool { (a.author, a.seq) < (b.author, b.seq) }
}

/// A set of field numbers below 127; bit 0 is the record's life.
package typealias FieldMask = UInt128

/// What is live of a record's registers: for each change that still serves, the fields that it serves and the groups of
/// which it is a maximal write.
///
/// A record written in one go costs one entry, not one per field.
package struct RecordMeta: Hashable, Sendable {
    /// A change that serves.
    package struct Source: Hashable, Sendable {
        package var dot: LocalDot
        package var timestamp: Timestamp
        /// The first half of the entry's commitment.
        package var leaf: Bytes16
        /// The fields whose value comes from here.
        package var fields: FieldMask = 0
        /// The groups of which no later write is known; bit 0 for life.
        package var heads: UInt64 = 0
        /// Whether it says that the record is deleted; false where it is no head of life.
        package var deletes = false

        package init(dot: LocalDot, timestamp: Timestamp, leaf: Bytes16) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
        }
    }

    package var sources: [Source]

    package init(sources: [Source] = []) { self.sources = sources }

    /// The maximal writes of a group.
    package func heads(of group: UInt32) -> [Source] { sources.filter { $0.heads >> group & 1 == 1 } }

    /// Whether the record counts as deleted.
    ///
    /// Where an edit and a deletion are concurrent it does not, until a person has decided: a resident whom somebody
    /// edits must not drop out of the lists.
    package var isDeleted: Bool {
        let heads = heads(of: 0)
        if Mutant.deletionWins.isPlanted { return heads.contains(where: \.deletes) }
        return !heads.isEmpty && heads.allSatisfy(\.deletes)
    }

    /// Whether an edit and a deletion stand side by side.
    package var isLifeContested: Bool {
        let heads = heads(of: 0)
        return heads.contains(where: \.deletes) && !heads.allSatisfy(\.deletes)
    }

    /// What the record's registers add to the digest of their space.
    package var digest: SpaceDigest {
        sources.reduce(SpaceDigest()) { $0 + SpaceDigest(leaf: $1.leaf, fields: $1.fields) }
    }

    /// Takes a write of all members of a group that replaces those heads which it covers; others stay beside it.
    ///
    /// For life, and for every write of a group whose only head it covers.
    package mutating func replace(
        group: UInt32,
        groupFields: FieldMask,
        with write: Source,
        members: FieldMask,
        covers: (LocalDot) -> Bool
    ) {
        for index in sources.indices where covers(sources[index].dot) {
            sources[index].heads &= ~(1 << UInt64(group))
            sources[index].fields &= ~(groupFields & members)
            if group == 0 { sources[index].deletes = false }
        }
        update(write) {
            $0.heads |= 1 << UInt64(group)
            $0.fields |= members
            if group == 0 { $0.deletes = write.deletes }
        }
        sources.removeAll { $0.fields == 0 && $0.heads == 0 }
    }

    /// Sets a group to a worked-out state.
    package mutating func set(group: UInt32, groupFields: FieldMask, to state: GroupState) {
        for index in sources.indices {
            sources[index].heads &= ~(1 << UInt64(group))
            sources[index].fields &= ~groupFields
        }
        for head in state.heads {
            update(Source(dot: head.dot, timestamp: head.timestamp, leaf: head.leaf)) {
                $0.heads |= 1 << UInt64(group)
            }
            for member in head.members {
                for source in member.sources {
                    update(Source(dot: source.dot, timestamp: source.timestamp, leaf: source.leaf)) {
                        $0.fields |= 1 << FieldMask(member.field)
                    }
                }
            }
        }
        sources.removeAll { $0.fields == 0 && $0.heads == 0 }
    }

    private mutating func update(_ source: Source, _ change: (inout Source) -> Void) {
        if let index = sources.firstIndex(where: { $0.dot == source.dot }) {
            change(&sources[index])
        } else {
            var new = Source(dot: source.dot, timestamp: source.timestamp, leaf: source.leaf)
            change(&new)
            sources.append(new)
        }
    }

    /// The stored form.
    package var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(40 * sources.count)
        // By dot, so that equal states have equal bytes in a store, whatever led to them.
        let ordered = sources.count < 2 ? sources : sources.sorted { $0.dot < $1.dot }
        for source in ordered {
            out.appendVarint(UInt64(source.dot.author) << 1 | (source.deletes ? 1 : 0))
            out.appendVarint(source.dot.seq)
            out.appendUInt64(source.timestamp.raw)
            out.append(source.leaf)
            out.appendVarint(UInt64(truncatingIfNeeded: source.fields))
            out.appendVarint(UInt64(truncatingIfNeeded: source.fields >> 64))
            out.appendVarint(source.heads)
        }
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        sources = []
        while !reader.isAtEnd {
            let author = try reader.varint()
            let seq = try reader.varint()
            var source = Source(
                dot: LocalDot(author: UInt32(truncatingIfNeeded: author >> 1), seq: seq),
                timestamp: Timestamp(raw: try reader.uint64()),
                leaf: try reader.bytes16()
            )
            source.deletes = author & 1 == 1
            let low = try reader.varint()
            source.fields = FieldMask(low) | FieldMask(try reader.varint()) << 64
            source.heads = try reader.varint()
            sources.append(source)
        }
    }
}
