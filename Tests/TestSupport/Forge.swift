// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// Builds a chain change by change under a device's own key: what its program would not write, another may.
package struct Forge {
    /// What is said of a record.
    package struct Entry {
        package var shape: Shape
        /// `nil` for a record that the change creates.
        package var id: RecordID?
        package var slots: [Value]

        package init(_ shape: Shape, _ id: RecordID?, _ slots: [Value]) {
            self.shape = shape
            self.id = id
            self.slots = slots
        }
    }

    package let space: SpaceID
    package let replica: ReplicaID
    package private(set) var chain = Chain()
    private let key: Curve25519.Signing.PrivateKey
    private let person: Operator
    private let block: RunEncoder.Block
    private var changes: [Change] = []
    private var base = Chain()
    /// Where the last run began.
    private var runStart = Chain()

    package init(
        _ space: SpaceID,
        as replica: ReplicaID,
        _ key: Curve25519.Signing.PrivateKey,
        _ person: Operator,
        seed: Bytes16 = Bytes16(5)
    ) {
        self.space = space
        self.replica = replica
        self.key = key
        self.person = person
        block = RunEncoder.Block(start: 1, seed: seed)
    }

    /// The same chain up to another's last run.
    package mutating func continueFrom(_ other: Forge) {
        base = other.runStart
        chain = other.runStart
    }

    package mutating func append(
        _ entries: [Entry],
        deps: DepsDelta = .none,
        systemDeps: DepsDelta = .none,
        milliseconds: UInt64? = nil
    ) throws {
        let seq = chain.seq + 1
        let timestamp = Timestamp(milliseconds: milliseconds ?? 1_800_000_000_000 + seq)
        var payload = Payload(salts: Salts(blockSeed: block.seed!, seq: seq, timestamp: timestamp))
        for entry in entries {
            let reference: RecordReference = entry.id == nil ? .created : .explicit
            payload.append(entry.shape, id: entry.id ?? payload.nextID, reference: reference) { out in
                for slot in entry.slots { out.appendSlot(slot) }
            }
        }
        let header = ChangeHeader(
            next: Dot(replica, seq),
            in: space,
            behind: chain,
            by: person,
            at: timestamp,
            deps: deps,
            systemDeps: systemDeps
        )
        let change = Change(header: header, payload: payload)
        try chain.advance(by: change.header, hash: change.hash)
        changes.append(change)
    }

    /// The changes since the last run, sealed.
    package mutating func run() throws -> RunEnvelope {
        defer {
            runStart = base
            base = chain
            changes = []
        }
        let message = Seal.message(space: space, replica: replica, seq: chain.seq, hash: chain.hash)
        return RunEnvelope(
            space: space,
            replica: replica,
            first: base.seq + 1,
            count: changes.count,
            signature: Array(try key.signature(for: message)),
            body: RunEncoder.encode(changes) { _ in block }
        )
    }
}

extension ChangeHeader {
    /// The header of a chain's next change in its first block, by a program of schema version 1, with nothing that can be
    /// left out.
    package init(
        next dot: Dot,
        in space: SpaceID,
        behind chain: Chain,
        by person: Operator = Operator(id: "a", label: "a"),
        at timestamp: Timestamp,
        deps: DepsDelta = .none,
        systemDeps: DepsDelta = .none
    ) {
        self.init(
            space: space,
            dot: dot,
            author: person,
            timestamp: timestamp,
            deps: deps,
            systemDeps: systemDeps,
            previous: chain.hash,
            schemaVersion: 1,
            blockStart: 1,
            batch: nil,
            transaction: nil,
            payloadHash: ChangeHeader.noHash
        )
    }
}
