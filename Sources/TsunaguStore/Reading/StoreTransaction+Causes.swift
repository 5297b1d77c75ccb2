// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What stands behind a state: which changes it comes from, and what their authors had seen.
extension StoreTransaction {
    /// The changes that say last whether a record lives.
    package func lifeHeads(of rid: Int64) throws -> [Dot] { try heads(of: rid, 0) }

    /// The changes that hold a register group of a record now; several where sites differ or wrote the same at once.
    package func heads(of rid: Int64, group: MergeGroup) throws -> [Dot] { try heads(of: rid, group.number) }

    private func heads(of rid: Int64, _ group: UInt32) throws -> [Dot] {
        guard let name = try recordName(rid), let space = try space(name.space),
            let found = try findRecord(space, name.collection, name.id)
        else { return [] }
        return try found.meta.heads(of: group).map { Dot(try replica($0.dot.author), $0.dot.seq) }
    }

    /// What the author of a change in the log had seen; `nil` where the log does not hold it.
    package func causes(of dot: Dot, in id: SpaceID) throws -> VersionVector? {
        guard let space = try space(id), let author = try knownAuthor(dot.replica),
            let run = try run(space, author, containing: dot.seq), let first = run.changes.first?.header.dot.seq,
            let stored = try storedRun(space.no, author, from: first)
        else { return nil }
        var chain = try decodeChain(stored.base)
        for change in run.changes where change.header.dot.seq <= dot.seq {
            try chain.advance(by: change.header, hash: change.hash)
        }
        var causes = chain.deps
        causes[dot.replica] = dot.seq - 1
        return causes
    }

    /// The changes of a chain under some numbers, as far as the log holds them.
    package func changes(
        _ numbers: ClosedRange<UInt64>,
        of replica: ReplicaID,
        in id: SpaceID
    ) throws -> [Change] {
        guard let space = try space(id), let author = try knownAuthor(replica) else { return [] }
        var out: [Change] = []
        try forEachRun(space, author, holding: Range(numbers)) { run, _ in
            out += run.changes.filter { numbers.contains($0.header.dot.seq) }
        }
        return out
    }

    /// What was written on a record and is in effect, in causal order.
    package func entries(on rid: Int64) throws -> [WithdrawnEntry] {
        guard let name = try recordName(rid) else { return [] }
        return try past(rid).map {
            WithdrawnEntry(header: $0.header, id: name.id, shape: $0.entry.shape, values: $0.entry.values)
        }
    }

    /// Goes through all that the log of a space holds, author by author.
    package func forEachChange(in id: SpaceID, _ body: (Change) throws -> Void) throws {
        guard let space = try space(id) else { return }
        try forEachChain(of: space) { _, change in try body(change) }
    }

    /// Whether a change in the log is in effect; else it is quarantined.
    package func isEffective(_ dot: Dot, in id: SpaceID) throws -> Bool { try isInEffect(dot, id) }
}
