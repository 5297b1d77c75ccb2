// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore

/// The inbox's table: kept in step with the groups it speaks of.
extension StoreTransaction {
    func openConflict(_ rid: Int64, _ group: UInt32, _ dots: Set<LocalDot>) throws {
        let select = try statement("SELECT id, collection, space FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return }
        let (id, collection, space) = (select.bytes(0), select.number(1), select.int(2))
        select.reset()
        let name = try conflictID(try spaceName(space), collection, id, group, dots)
        let insert = try statement("INSERT OR REPLACE INTO conflict(rid, grp, id) VALUES (?, ?, ?)")
        insert.bind(1, rid)
        insert.bind(2, group)
        insert.bind(3, name)
        try insert.run()
    }

    /// Keeps the conflict between an edit and a deletion.
    func noteLife(_ rid: Int64, _ meta: RecordMeta, _ collection: UInt32, _ id: RecordID, _ space: SpaceRow) throws {
        if meta.isLifeContested {
            try openConflict(rid, 0, Set(meta.heads(of: 0).map(\.dot)))
        } else {
            try closeConflict(rid, 0)
        }
    }

    func closeConflict(_ rid: Int64, _ group: UInt32) throws {
        let delete = try statement("DELETE FROM conflict WHERE rid = ? AND grp = ?")
        delete.bind(1, rid)
        delete.bind(2, group)
        try delete.run()
    }

    /// Twelve characters over (space, collection, record, group, sorted dots): the same at every site.
    func conflictID(
        _ space: SpaceID,
        _ collection: UInt32,
        _ id: [UInt8],
        _ group: UInt32,
        _ dots: Set<LocalDot>
    ) throws -> String {
        var bytes = Array("tsunagu/conflict/1".utf8)
        bytes.appendPrefixed(Array(space.name.utf8))
        bytes.appendVarint(UInt64(collection))
        bytes.append(contentsOf: id)
        bytes.appendVarint(UInt64(group))
        for dot in try dots.map({ Dot(try replica($0.author), $0.seq) }).sorted() {
            bytes.append(dot.replica)
            bytes.appendVarint(dot.seq)
        }
        return String(Base32.encode(Array(SHA256.hash(data: bytes)).prefix(8)).prefix(12))
    }

    // MARK: - The past of a record

    /// A change's operations on a record, as the log has them.
    struct PastEntry {
        let header: ChangeHeader
        let chain: Chain
        let entry: RecordHistory.Entry
    }

    /// Everything in effect that was written on a record, by causal order, then (timestamp, replica).
    func past(_ rid: Int64) throws -> [PastEntry] {
        let select = try statement("SELECT id, space, collection, author, seq FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return [] }
        let (id, spaceNo, collection) = (RecordID(bytes: select.bytes(0))!, select.int(1), select.number(2))
        var dots = [LocalDot(author: select.number(3), seq: select.unsigned(4))]
        select.reset()
        let later = try statement("SELECT author, seq FROM history WHERE rid = ?")
        later.bind(1, rid)
        while try later.step() { dots.append(LocalDot(author: later.number(0), seq: later.unsigned(1))) }
        guard let space = try space(try spaceName(spaceNo)) else { return [] }
        return try past(space, collection, id, Set(dots))
    }

    /// What some changes wrote on a record, in the same order.
    func past(
        _ space: SpaceRow,
        _ collection: UInt32,
        _ id: RecordID,
        _ dots: Set<LocalDot>
    ) throws -> [PastEntry] {
        var out: [PastEntry] = []
        var cursor: ChainCursor?
        for dot in dots.sorted() { out.append(try pastEntry(space, collection, id, dot, &cursor)) }
        return causalOrder(out)
    }

    /// How far an author's chain was followed in a run.
    private struct ChainCursor {
        let author: UInt32
        let first: UInt64
        var next: Int
        var chain: Chain
    }

    private func pastEntry(
        _ space: SpaceRow,
        _ collection: UInt32,
        _ id: RecordID,
        _ dot: LocalDot,
        _ cursor: inout ChainCursor?
    ) throws -> PastEntry {
        guard let run = try run(space, dot.author, containing: dot.seq),
            let place = run.changes.firstIndex(where: { $0.header.dot.seq == dot.seq })
        else { throw try missingChange(space, dot) }
        let change = run.changes[place]
        let chain = try chain(in: run, space, dot.author, before: place + 1, &cursor)
        guard
            let index = change.payload.entries.firstIndex(where: {
                $0.id == id && $0.shape.collection == collection && !$0.isErased
            })
        else { throw try missingChange(space, dot) }
        let entry = change.payload.entries[index]
        return PastEntry(
            header: change.header,
            chain: chain,
            entry: RecordHistory.Entry(
                dot: dot,
                timestamp: change.header.timestamp,
                leaf: change.leaf(index),
                shape: entry.shape,
                values: try change.payload.values(of: entry),
                covers: try coverage(of: chain, dot.author)
            )
        )
    }

    /// A change that the table of records names and the log does not hold: the file is damaged.
    func missingChange(_ space: SpaceRow, _ dot: LocalDot) throws -> StoreError {
        let replica = try replica(dot.author)
        return .damagedLog(space: space.id, replica: replica, seq: dot.seq, .unresolvedReference(Dot(replica, dot.seq)))
    }

    /// Where an author's chain stood before one of a run's changes, by its place in the run.
    func chain(in run: RunDecoder.Run, _ space: SpaceRow, _ author: UInt32, before place: Int) throws -> Chain {
        var cursor: ChainCursor?
        return try chain(in: run, space, author, before: place, &cursor)
    }

    /// The same; a run keeps deps as differences, which are followed from where the last call ended.
    private func chain(
        in run: RunDecoder.Run,
        _ space: SpaceRow,
        _ author: UInt32,
        before place: Int,
        _ cursor: inout ChainCursor?
    ) throws -> Chain {
        let first = run.changes[0].header.dot.seq
        var current: ChainCursor
        if let cursor, cursor.author == author, cursor.first == first, cursor.next <= place {
            current = cursor
        } else {
            let select = try statement("SELECT base FROM run WHERE space = ? AND author = ? AND first = ?")
            select.bind(1, space.no)
            select.bind(2, author)
            select.bind(3, first)
            guard try select.step() else { return Chain() }
            let base = select.bytes(0)
            select.reset()
            current = ChainCursor(author: author, first: first, next: 0, chain: try decodeChain(base))
        }
        for change in run.changes[current.next..<place] {
            try current.chain.advance(by: change.header, hash: change.hash)
        }
        current.next = place
        cursor = current
        return current.chain
    }

    /// Earlier before later; what is concurrent by (timestamp, replica).
    ///
    /// - Complexity: quadratic in the number of entries.
    private func causalOrder(_ entries: [PastEntry]) -> [PastEntry] {
        var rest = entries.sorted {
            ($0.header.timestamp, $0.header.dot) < ($1.header.timestamp, $1.header.dot)
        }
        // Of each how many others come before it (Kahn, "Topological sorting of large networks", 1962).
        var causes = rest.map { entry in
            rest.count { $0.entry.dot != entry.entry.dot && entry.entry.covers($0.entry.dot) }
        }
        var out: [PastEntry] = []
        while !rest.isEmpty {
            // Causality has no cycles; a damaged log must not loop here.
            let next = causes.firstIndex(of: 0) ?? 0
            let entry = rest.remove(at: next)
            causes.remove(at: next)
            for place in rest.indices where rest[place].entry.covers(entry.entry.dot) { causes[place] -= 1 }
            out.append(entry)
        }
        return out
    }

    /// Works out a record anew from all that was written on it: what the state is defined as.
    package func rederive(_ rid: Int64) throws {
        guard let name = try recordName(rid), let space = try space(name.space),
            let meta = try findRecord(space, name.collection, name.id)?.meta
        else { return }
        try rederive(rid, meta, space)
    }

    func rederive(_ rid: Int64, _ old: RecordMeta, _ space: SpaceRow) throws {
        let select = try statement("SELECT id, collection FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return }
        let (id, number) = (RecordID(bytes: select.bytes(0))!, select.number(1))
        select.reset()
        let state = try RecordHistory.evaluate(try past(rid).map(\.entry))

        var digest = old.digest
        let items = try statement("SELECT grp, idx, leaf FROM item WHERE rid = ?")
        items.bind(1, rid)
        while try items.step() {
            digest += SpaceDigest(
                leaf: Bytes16(items.bytes(2)) ?? Bytes16(0),
                group: items.number(0),
                item: Int(items.int(1))
            )
        }
        space.add(state.digest - digest)

        for table in ["item", "sibling", "conflict"] {
            let delete = try statement("DELETE FROM \(table) WHERE rid = ?")
            delete.bind(1, rid)
            try delete.run()
        }
        try save(rid, state.meta)
        for (group, live) in state.items {
            for item in live { try insert(item, rid, group) }
        }
        if let collection = schema.collection(number) {
            var columns: [(field: Field, value: Value)] = []
            for group in collection.groups {
                if group.kind.mergeClass != .register {
                    if state.items[group.number] != nil { try showItems(rid, collection, group) }
                } else if let register = state.registers[group.number] {
                    columns += try settle(rid, group, register)
                }
            }
            try writeColumns(rid, collection, columns, deleted: state.meta.isDeleted)
        }
        try noteLife(rid, state.meta, number, id, space)
    }
}
