// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One transaction of one author in one space, whole.
package struct Change: Sendable {
    package private(set) var header: ChangeHeader
    package private(set) var payload: Payload
    /// The commitments of the payload's entries, 32 bytes each.
    package let leaves: [UInt8]
    /// The header's hash, which the next change of the author names.
    package let hash: Hash32

    /// Completes a header with the commitment to its operations.
    package init(header: ChangeHeader, payload: Payload) {
        var header = header
        leaves = payload.leaves()
        header.payloadHash = Commitment.payload(leaves: leaves)
        hash = header.hash()
        self.header = header
        self.payload = payload
    }

    /// The same change without the content of some entries: its hash stays.
    package func redacted(where isErased: (Payload.Entry) -> Bool) -> Change {
        var out = self
        out.payload = payload.redacted(where: isErased)
        return out
    }

    /// The same change under the name of the branch that it belongs to; its hash stays that of its author's chain.
    package func filed(under replica: ReplicaID) -> Change {
        var out = self
        out.header.dot = Dot(replica, header.dot.seq)
        return out
    }

    /// The same change with ids spelled out where it named records by changes of some replicas.
    package func spellingOut(_ isAmbiguous: (ReplicaID) -> Bool) -> Change {
        var out = self
        out.payload.spellOut(isAmbiguous)
        return out
    }

    /// What counts towards the bound of a seal.
    package var sealedBytes: Int { payload.bytes.count + header.extensions.count }

    /// The first sixteen bytes of an entry's commitment: what digests add up.
    package func leaf(_ index: Int) -> Bytes16 {
        leaves.withUnsafeBytes { Bytes16(loading: $0.baseAddress! + 32 * index) }
    }
}

/// Where an author's chain in a space stands after some change.
package struct Chain: Hashable, Sendable {
    /// The last number, 0 before the first.
    package var seq: UInt64 = 0
    /// The hash of that change's header.
    package var hash: Hash32 = ChangeHeader.noHash
    /// That change's stamp.
    package var timestamp = Timestamp(raw: 0)
    /// That change's deps in full.
    package var deps = VersionVector()
    /// Its deps in `system` in full.
    package var systemDeps = VersionVector()

    package init() {}

    /// Numbers stand in SQLite's signed integers, with room for a run behind the last.
    package static let seqMax = UInt64(Int64.max) - 65_536

    /// Follows the chain by one change.
    package mutating func advance(by header: ChangeHeader, hash: Hash32) throws(CodecError) {
        try deps.advance(by: header.deps)
        try systemDeps.advance(by: header.systemDeps)
        seq = header.dot.seq
        timestamp = header.timestamp
        self.hash = hash
    }

    /// Whether the change after which the chain stands here had seen `dot`.
    package func covers(_ dot: Dot, author: ReplicaID) -> Bool {
        dot.replica == author ? dot.seq < seq : deps.covers(dot)
    }
}

/// A signature over the head of a chain: it authenticates every change up to there.
public struct Seal: Hashable, Sendable {
    /// The last change that it covers.
    public let seq: UInt64
    /// Ed25519, 64 bytes.
    public let signature: [UInt8]

    /// Joins the parts.
    public init(seq: UInt64, signature: [UInt8]) {
        self.seq = seq
        self.signature = signature
    }

    /// A seal stands at least after so many changes.
    public static let changesMax = 1024
    /// And at least after so many bytes of canonical operations.
    public static let bytesMax = 256 << 10

    /// What is signed.
    package static func message(space: SpaceID, replica: ReplicaID, seq: UInt64, hash: Hash32) -> [UInt8] {
        var out = Array("tsunagu/seal/1".utf8)
        out.appendPrefixed(Array(space.name.utf8))
        out.append(replica)
        out.appendVarint(seq)
        out.append(contentsOf: hash)
        return out
    }
}
