// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What an exchange needs from the place where changes are kept.
package protocol ReplicaStorage {
    /// The device that this storage belongs to.
    var device: DeviceID { get }

    /// The spaces held, each summed up; what was written here is sealed first.
    func summaries() throws -> [SpaceSummary]

    /// How far each author's chain goes here.
    func vector(of space: SpaceID) throws -> [VectorEntry]

    /// The rows of the sealed runs that a peer lacks, causes first.
    func runs(of space: SpaceID, lacking known: [ReplicaID: UInt64]) throws -> [Int64]

    /// The rows of the sealed runs that a device is not known to hold, causes first.
    func runs(of space: SpaceID, lackingAt device: DeviceID) throws -> [Int64]

    /// The rows of the sealed runs of `system` that show that a device's rights have ended, and by whose word, as far as it
    /// lacks them, causes first; where this device speaks for the ward, also of those that show that.
    func runs(ending device: DeviceID, lacking known: [ReplicaID: UInt64]) throws -> [Int64]

    /// A sealed run by its row.
    func run(_ row: Int64) throws -> RunEnvelope?

    /// The hash of the header that an author's chain here has at a number; `nil` where it does not go that far.
    func headerHash(of replica: ReplicaID, at seq: UInt64, in space: SpaceID) throws -> Hash32?

    /// Takes in a frame in one transaction, which is the cursor too.
    func receive(_ frame: SyncFrame, from peer: DeviceID) throws -> [Receipt]

    /// The parts of runs that arrived from a peer without their end.
    func staged(from peer: DeviceID) throws -> [StagedRun]

    /// The grants in effect here; `nil` before anything of the ward is known.
    func access() throws -> Access?

    /// What each record in a range adds to its space's digest, by id, from what is live of it.
    func forEachSum(
        in space: SpaceID,
        _ range: RecordPrefix,
        _ body: (RecordID, SpaceDigest) throws -> Void
    ) throws

    /// Works records out anew from the log where they are not what it says, and sums the space up again.
    ///
    /// Gives those that were wrong.
    func restate(_ records: Set<RecordID>, in space: SpaceID) throws -> Set<RecordID>

    /// The sealed run of an author that begins at a number.
    func run(_ space: SpaceID, _ replica: ReplicaID, first: UInt64) throws -> RunEnvelope?

    /// Notes what a peer holds.
    ///
    /// - Returns: the spaces in which it lacks what it was known to hold: it lost them.
    @discardableResult
    func note(_ findings: [PeerFinding], of peer: DeviceID) throws -> [SpaceID]
}

extension ReplicaStorage {
    /// The grants as they bound an exchange with a peer.
    func scope(with peer: DeviceID) throws -> ExchangeScope {
        ExchangeScope(access: try access(), own: device, peer: peer)
    }
}

/// What two devices may exchange: what both may hold, by the grants in effect at the one that asks itself.
struct ExchangeScope {
    let access: Access?
    let own: DeviceID
    let peer: DeviceID

    /// Whether the space may be named to the peer, and what is in it sent.
    ///
    /// Every member holds `system`, and a device that joins has nothing else to learn from who is one.
    func mayName(_ space: SpaceID) -> Bool { space == .system || access?.mayRead(peer, space) == true }

    /// Whether what the peer has of the space is to be taken.
    func mayTake(_ space: SpaceID) -> Bool { space == .system || access?.mayRead(own, space) == true }

    func isShared(_ space: SpaceID) -> Bool { mayName(space) && mayTake(space) }
}

/// What was found out of a peer's copy of a space.
package enum PeerFinding {
    /// It holds all that was summed up here; `isProved` where what is in effect and the digests are equal too.
    case equal(SpaceSummary, isProved: Bool)
    /// It holds this much.
    case differs(SpaceSummary, [VectorEntry])
}

/// What two sites compare of a space.
package struct SpaceSummary: Hashable, Sendable {
    package var space: SpaceID
    /// Of the vector: SHA-256 over its entries, 16 bytes.
    package var vectorHash: Bytes16
    /// Of what is received but not in effect; zero where everything is.
    package var exceptionsHash: Bytes16
    /// What the state adds up to.
    package var digest: Bytes16
    /// How many sealed changes this side wrote itself; not sent.
    package var ownSeq: UInt64
    /// How far this side's log goes, in its own count; not sent.
    package var position: Int64

    package init(
        space: SpaceID,
        vectorHash: Bytes16,
        exceptionsHash: Bytes16,
        digest: Bytes16,
        ownSeq: UInt64 = 0,
        position: Int64 = 0
    ) {
        self.space = space
        self.vectorHash = vectorHash
        self.exceptionsHash = exceptionsHash
        self.digest = digest
        self.ownSeq = ownSeq
        self.position = position
    }
}

/// The cursor inside a run that arrived in part.
package struct StagedRun: Hashable, Sendable {
    package var space: SpaceID
    package var replica: ReplicaID
    /// The run's first number.
    package var first: UInt64
    /// SHA-256 of the encoded run, 16 bytes of it: a run that was cut anew begins again.
    package var hash: Bytes16
    /// Bytes that are here.
    package var offset: Int

    package init(space: SpaceID, replica: ReplicaID, first: UInt64, hash: Bytes16, offset: Int) {
        self.space = space
        self.replica = replica
        self.first = first
        self.hash = hash
        self.offset = offset
    }
}
