// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A run as it stands in the log and travels.
package struct RunEnvelope: Hashable, Sendable {
    package var space: SpaceID
    package var replica: ReplicaID
    /// The number of its first change.
    package var first: UInt64
    package var count: Int
    /// Ed25519 over the chain's head after its last change.
    package var signature: [UInt8]
    package var body: [UInt8]

    package init(
        space: SpaceID,
        replica: ReplicaID,
        first: UInt64,
        count: Int,
        signature: [UInt8],
        body: [UInt8]
    ) {
        self.space = space
        self.replica = replica
        self.first = first
        self.count = count
        self.signature = signature
        self.body = body
    }

    package var last: UInt64 { first + UInt64(count) - 1 }
}

/// What a peer is told of a space: how far each author's sealed changes are here, with the hash there.
///
/// The same number under another hash is a fork.
package struct VectorEntry: Hashable, Sendable {
    package var replica: ReplicaID
    package var seq: UInt64
    package var hash: Hash32

    package init(replica: ReplicaID, seq: UInt64, hash: Hash32) {
        self.replica = replica
        self.seq = seq
        self.hash = hash
    }
}
