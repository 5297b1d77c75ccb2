// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// Works every record out anew from the log and compares it with what is stored.
extension StoreTransaction {
    /// The records and typed tables against the log, and the digests against the records.
    package func checkRecords() throws -> (tables: StoreCheck, digests: StoreCheck) {
        var tables = StoreCheck()
        var digests = StoreCheck()
        for id in try spaces() {
            guard let space = try space(id) else { continue }
            var sum = SpaceDigest()
            for author in try authors(of: space) {
                try forEachRun(space, author) { run in
                    guard run.isInEffect else { return }
                    let decoded = try decode(run.body, base: run.base, first: run.first, last: run.last, space, author)
                    for change in decoded.changes { try check(change, space, author, &sum, &tables) }
                }
            }
            digests.checked += 1
            if sum != space.digest {
                digests.fault(
                    "\(id): \(Hex.encode(space.digest.bytes.bytes)) is noted, \(Hex.encode(sum.bytes.bytes)) is so"
                )
            }
        }
        let count = try statement("SELECT count(*) FROM record")
        defer { count.reset() }
        if try count.step(), Int(count.int(0)) != tables.checked {
            tables.fault("\(count.int(0)) records are stored, the log has \(tables.checked)")
        }
        return (tables, digests)
    }

    /// The records that a change brought first; those it only touched come with the change that brought them.
    private func check(
        _ change: Change,
        _ space: SpaceRow,
        _ author: UInt32,
        _ sum: inout SpaceDigest,
        _ out: inout StoreCheck
    ) throws {
        let dot = LocalDot(author: author, seq: change.header.dot.seq)
        let select = try statement(
            """
            SELECT rid, author, seq, EXISTS (SELECT 1 FROM history WHERE history.rid = record.rid) FROM record
            WHERE id = ? AND space = ? AND collection = ?
            """
        )
        for (index, entry) in change.payload.entries.enumerated() {
            select.bind(1, entry.id.bytes)
            select.bind(2, space.no)
            select.bind(3, entry.shape.collection)
            guard try select.step() else {
                out.fault("\(space.id): the log has a record that the tables have not", record: entry.id)
                continue
            }
            let (rid, first) = (select.int(0), LocalDot(author: select.number(1), seq: select.unsigned(2)))
            let hasMore = select.int(3) != 0
            select.reset()
            guard first == dot else { continue }
            let past = try hasMore ? past(rid).map(\.entry) : [onlyEntry(change, index, dot)]
            let state = try RecordHistory.evaluate(past)
            sum += state.digest
            out.checked += 1
            try compare(rid, entry.id, schema.collection(entry.shape.collection), state, &out)
        }
    }

    /// The whole past of a record that nobody wrote on again.
    private func onlyEntry(_ change: Change, _ index: Int, _ dot: LocalDot) throws -> RecordHistory.Entry {
        let entry = change.payload.entries[index]
        var values: [Value] = []
        try change.payload.bytes.withUnsafeBytes { memory in
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound]))
            for _ in 0..<entry.shape.slotCount { values.append(try reader.slot().value()) }
        }
        return RecordHistory.Entry(
            dot: dot,
            timestamp: change.header.timestamp,
            leaf: change.leaf(index),
            shape: entry.shape,
            values: values,
            covers: { _ in false }
        )
    }

    // MARK: - Comparing

    private func compare(
        _ rid: Int64,
        _ id: RecordID,
        _ collection: CollectionSchema?,
        _ state: RecordHistory.State,
        _ out: inout StoreCheck
    ) throws {
        let select = try statement("SELECT meta FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return }
        let meta = try RecordMeta(decoding: select.blob(0))
        select.reset()
        if Set(meta.sources) != Set(state.meta.sources) {
            out.fault("what is live is not what the log says", record: id)
        }
        let stored = try storedItems(rid)
        let expected = state.items.flatMap { group, items in items.map { GroupItem(group: group, item: $0) } }
        if stored != Set(expected) { out.fault("items are not what the log says", record: id) }
        try compareSiblings(rid, id, collection, state, &out)
        if let collection { try compareRow(rid, id, collection, state, &out) }
    }

    private struct GroupItem: Hashable {
        let group: UInt32
        let item: RecordHistory.LiveItem
    }

    private func storedItems(_ rid: Int64) throws -> Set<GroupItem> {
        let select = try statement("SELECT DISTINCT grp FROM item WHERE rid = ?")
        select.bind(1, rid)
        var groups: [UInt32] = []
        while try select.step() { groups.append(select.number(0)) }
        var out: Set<GroupItem> = []
        for group in groups { for item in try items(rid, group) { out.insert(GroupItem(group: group, item: item)) } }
        return out
    }

    private func compareSiblings(
        _ rid: Int64,
        _ id: RecordID,
        _ collection: CollectionSchema?,
        _ state: RecordHistory.State,
        _ out: inout StoreCheck
    ) throws {
        let select = try statement("SELECT grp, head FROM sibling WHERE rid = ?")
        select.bind(1, rid)
        var stored: [UInt32: Set<[UInt8]>] = [:]
        while try select.step() { stored[select.number(0), default: []].insert(select.bytes(1)) }
        let contested = state.registers.filter { collection?.group($0.key) != nil && $0.value.isContested }
        guard Set(stored.keys) == Set(contested.keys) else {
            return out.fault("groups that sites differ on are not noted", record: id)
        }
        for (group, state) in contested
        where try stored[group]!.count != state.heads.count
            || Set(heads(stored[group]!)) != Set(state.heads.map(Self.normal))
        {
            out.fault("what sites differ on is not what the log says", record: id)
        }
        let conflicts = try statement("SELECT grp FROM conflict WHERE rid = ?")
        conflicts.bind(1, rid)
        var open: Set<UInt32> = []
        while try conflicts.step() { open.insert(conflicts.number(0)) }
        var expected = Set(contested.filter { collection!.group($0.key)!.kind == .review && $0.value.differs }.keys)
        if state.meta.isLifeContested { expected.insert(0) }
        if open != expected { out.fault("the inbox is not what the log says", record: id) }
    }

    private func heads(_ stored: Set<[UInt8]>) throws -> [GroupState.Head] {
        try stored.map { bytes in
            Self.normal(try bytes.withMemory { memory throws(CodecError) in try GroupState.Head(decoding: memory) })
        }
    }

    /// A head with its sources in one order: theirs means nothing.
    private static func normal(_ head: GroupState.Head) -> GroupState.Head {
        var head = head
        for index in head.members.indices {
            head.members[index].sources.sort { ($0.dot.author, $0.dot.seq) < ($1.dot.author, $1.dot.seq) }
        }
        return head
    }

    private func compareRow(
        _ rid: Int64,
        _ id: RecordID,
        _ collection: CollectionSchema,
        _ state: RecordHistory.State,
        _ out: inout StoreCheck
    ) throws {
        let fields = SchemaTables.columns(of: collection)
        let search = SchemaTables.hasSearch(collection) ? ", search" : ""
        let names = fields.map { ", \($0.name)" }.joined()
        let select = try statement("SELECT deleted\(search)\(names) FROM \(collection.name) WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return out.fault("\(collection.name): the row is missing", record: id) }
        let deleted = select.int(0) != 0
        let key = search.isEmpty ? [] : Array(select.text(1).utf8)
        let first: Int32 = search.isEmpty ? 1 : 2
        let values = fields.indices.map { select.value(first + Int32($0)) }
        select.reset()
        if deleted != state.meta.isDeleted { out.fault("\(collection.name): deleted or not", record: id) }
        let expected = try expectedValues(rid, collection, state)
        for (field, value) in zip(fields, values) {
            let wanted = expected[field.number] ?? .null
            // A set that lost its last member is shown as one without members.
            if value == wanted || wanted == .null && value == .text("[]") { continue }
            out.fault("\(collection.name).\(field.name) is not what the log says", record: id)
        }
        guard !search.isEmpty else { return }
        // The key keeps empty fields apart or leaves them out, as the row was written; what it holds is the same.
        let wanted = zip(fields, values).filter(\.0.searchable).map {
            Array(schema.searchKey($0.1.text?.string ?? "").utf8)
        }
        if key.split(separator: UInt8(ascii: "\n")).map(Array.init) != wanted.filter({ !$0.isEmpty }) {
            out.fault("\(collection.name): the search key is stale", record: id)
        }
    }

    /// What the columns of a row show; fields that are not there show nothing.
    private func expectedValues(
        _ rid: Int64,
        _ collection: CollectionSchema,
        _ state: RecordHistory.State
    ) throws -> [UInt32: Value] {
        var out: [UInt32: Value] = [:]
        for group in collection.groups {
            switch group.kind {
            case .latest, .review:
                guard let register = state.registers[group.number] else { continue }
                for (field, value) in register.alternatives(by: try replicaOrder(register)).last?.values ?? [] {
                    out[field] = value
                }
            case .set, .flow, .counter:
                guard state.items[group.number] != nil else { continue }
                let contents = try items(rid, group.number).map(\.item.content)
                out[group.fields[0].number] = Self.shownValue(group, contents)
            case .log, .seats: continue
            }
        }
        return out
    }
}
