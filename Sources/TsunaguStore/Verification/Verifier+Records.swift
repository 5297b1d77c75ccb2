// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// Works every record out anew from the log and compares it with what is stored.
extension Verifier {
    /// The records that a change brought first; those it only touched come with the change that brought them.
    func check(_ change: Change, _ space: StoreTransaction.SpaceRow, _ author: UInt32) throws {
        let dot = LocalDot(author: author, seq: change.header.dot.seq)
        let select = try transaction.statement(
            """
            SELECT rid, author, seq, entry, meta, EXISTS (SELECT 1 FROM history WHERE history.rid = record.rid)
            FROM record WHERE id = ? AND space = ? AND collection = ?
            """
        )
        for (index, entry) in change.payload.entries.enumerated() where !entry.isErased {
            let key = Verification.RecordKey(space: space.no, collection: entry.shape.collection, id: entry.id)
            select.bind(1, entry.id.bytes)
            select.bind(2, space.no)
            select.bind(3, entry.shape.collection)
            guard try select.step() else {
                fault(key, "\(space.id): the log has a record that the tables have not")
                continue
            }
            let (rid, first) = (select.int(0), LocalDot(author: select.number(1), seq: select.unsigned(2)))
            let (place, meta, hasMore) = (select.int(3), select.bytes(4), select.int(5) != 0)
            select.reset()
            guard first == dot else {
                if try !isInHistory(dot, of: rid) { fault(key, "a change of it is not noted") }
                continue
            }
            out.tables.checked += 1
            if place != (entry.reference == .created ? index : -1) {
                fault(key, "the entry that brought it is another")
            }
            let past: [RecordHistory.Entry]
            do {
                past = try hasMore ? self.past(rid, space) : [onlyEntry(change, index, dot)]
            } catch let error where error is StoreError || error is CodecError {
                unread.append((rid, key, "a change of it is not in the log"))
                continue
            }
            let state = try RecordHistory.evaluate(past)
            out.sums[space.no]! += state.digest
            try compare(rid, key, space, meta, state)
        }
    }

    private func fault(_ key: Verification.RecordKey, _ detail: String) {
        out.tables.fault(detail, record: key.id)
        out.faultyRecords.insert(key)
    }

    private func isInHistory(_ dot: LocalDot, of rid: Int64) throws -> Bool {
        let select = try transaction.statement("SELECT 1 FROM history WHERE rid = ? AND author = ? AND seq = ?")
        select.bind(1, rid)
        select.bind(2, dot.author)
        select.bind(3, dot.seq)
        defer { select.reset() }
        return try select.step()
    }

    private func past(_ rid: Int64, _ space: StoreTransaction.SpaceRow) throws -> [RecordHistory.Entry] {
        let past = try transaction.past(rid).map(\.entry)
        for entry in past where try !transaction.isLoggedInEffect(entry.dot, space.no) {
            throw CodecError.invalid("\(entry.dot.author) \(entry.dot.seq) is not in effect")
        }
        return past
    }

    /// The whole past of a record that nobody wrote on again.
    private func onlyEntry(_ change: Change, _ index: Int, _ dot: LocalDot) throws -> RecordHistory.Entry {
        let entry = change.payload.entries[index]
        return RecordHistory.Entry(
            dot: dot,
            timestamp: change.header.timestamp,
            leaf: change.leaf(index),
            shape: entry.shape,
            values: try change.payload.values(of: entry),
            covers: { _ in false }
        )
    }

    // MARK: - Comparing

    private func compare(
        _ rid: Int64,
        _ key: Verification.RecordKey,
        _ space: StoreTransaction.SpaceRow,
        _ meta: [UInt8],
        _ state: RecordHistory.State
    ) throws {
        if meta != state.meta.encoded { fault(key, "what is live is not what the log says") }
        let collection = transaction.schema.collection(key.collection)
        let items = try storedItems(rid)
        let expected = state.items.flatMap { group, items in items.map { GroupItem(group: group, item: $0) } }
        if items.count != expected.count || Set(items) != Set(expected) {
            fault(key, "items are not what the log says")
        }
        try compareSiblings(rid, key, space, collection, state)
        if let collection { try compareRow(rid, key, collection, state) }
    }

    private struct GroupItem: Hashable {
        let group: UInt32
        let item: RecordHistory.LiveItem
    }

    private func storedItems(_ rid: Int64) throws -> [GroupItem] {
        let select = try transaction.statement(
            "SELECT grp, author, seq, idx, depth, timestamp, leaf, content FROM item WHERE rid = ?"
        )
        select.bind(1, rid)
        var out: [GroupItem] = []
        while try select.step() {
            let item = RecordHistory.LiveItem(
                dot: LocalDot(author: select.number(1), seq: select.unsigned(2)),
                timestamp: Timestamp(raw: select.unsigned(5)),
                leaf: Bytes16(select.bytes(6)) ?? Bytes16(0),
                index: Int(select.int(3)),
                item: Items.Item(depth: select.unsigned(4), select.bytes(7))
            )
            out.append(GroupItem(group: select.number(0), item: item))
        }
        return out
    }

    private func compareSiblings(
        _ rid: Int64,
        _ key: Verification.RecordKey,
        _ space: StoreTransaction.SpaceRow,
        _ collection: CollectionSchema?,
        _ state: RecordHistory.State
    ) throws {
        let select = try transaction.statement("SELECT grp, author, seq, head FROM sibling WHERE rid = ?")
        select.bind(1, rid)
        var stored: [UInt32: [LocalDot: [UInt8]]] = [:]
        while try select.step() {
            let dot = LocalDot(author: select.number(1), seq: select.unsigned(2))
            stored[select.number(0), default: [:]][dot] = select.bytes(3)
        }
        let contested = state.registers.filter { collection?.group($0.key) != nil && $0.value.isContested }
        let expected = contested.mapValues { state in
            Dictionary(state.heads.map { ($0.dot, $0.encoded) }) { first, _ in first }
        }
        if stored != expected { fault(key, "what sites differ on is not what the log says") }

        var conflicts: [UInt32: String] = [:]
        for (group, state) in contested where collection!.group(group)!.kind == .review && state.differs {
            conflicts[group] = try transaction.conflictID(
                space.id,
                key.collection,
                key.id.bytes,
                group,
                state.liveDots
            )
        }
        for group in collection?.groups ?? [] where group.kind == .flow {
            guard let items = state.items[group.number],
                let flow = try transaction.flow(group, inListOrder(items), in: space.id), flow.isContested
            else { continue }
            conflicts[group.number] = try transaction.conflictID(
                space.id,
                key.collection,
                key.id.bytes,
                group.number,
                transaction.liveDots(flow)
            )
        }
        if state.meta.isLifeContested {
            let dots = Set(state.meta.heads(of: 0).map(\.dot))
            conflicts[0] = try transaction.conflictID(space.id, key.collection, key.id.bytes, 0, dots)
        }
        let open = try transaction.statement("SELECT grp, id FROM conflict WHERE rid = ?")
        open.bind(1, rid)
        var noted: [UInt32: ExactText] = [:]
        while try open.step() { noted[open.number(0)] = ExactText(open.text(1)) }
        if noted != conflicts.mapValues({ ExactText($0) }) { fault(key, "the inbox is not what the log says") }
    }

    private func compareRow(
        _ rid: Int64,
        _ key: Verification.RecordKey,
        _ collection: CollectionSchema,
        _ state: RecordHistory.State
    ) throws {
        let fields = SchemaTables.columns(of: collection)
        let search = SchemaTables.hasSearch(collection) ? ", search" : ""
        let names = fields.map { ", \($0.name)" }.joined()
        let select = try transaction.statement(
            "SELECT deleted, id, space\(search)\(names) FROM \(collection.name) WHERE rid = ?"
        )
        select.bind(1, rid)
        guard try select.step() else { return fault(key, "\(collection.name): the row is missing") }
        let isDeleted = select.int(0)
        let isNamed = select.bytes(1) == key.id.bytes && select.int(2) == key.space
        let searchKey = search.isEmpty ? [] : Array(select.text(3).utf8)
        let first: Int32 = search.isEmpty ? 3 : 4
        let values = fields.indices.map { select.value(first + Int32($0)) }
        select.reset()
        if !isNamed { fault(key, "\(collection.name): the row is another record's") }
        if isDeleted != (state.meta.isDeleted ? 1 : 0) { fault(key, "\(collection.name): deleted or not") }
        let expected = try expectedValues(collection, state, in: transaction.spaceName(key.space))
        for (field, value) in zip(fields, values) {
            let wanted = expected[field.number] ?? .null
            // A set that lost its last member is shown as one without members.
            if value == wanted || wanted == .null && value == .text("[]") { continue }
            fault(key, "\(collection.name).\(field.name) is not what the log says")
        }
        guard !search.isEmpty else { return }
        // The key keeps empty fields apart or leaves them out, as the row was written; what it holds is the same.
        let wanted = zip(fields, values).filter(\.0.searchable).map {
            Array(transaction.schema.searchKey($0.1.text?.string ?? "").utf8)
        }
        if searchKey.split(separator: UInt8(ascii: "\n")).map(Array.init) != wanted.filter({ !$0.isEmpty }) {
            fault(key, "\(collection.name): the search key is stale")
        }
    }

    /// What the columns of a row show; fields that are not there show nothing.
    private func expectedValues(
        _ collection: CollectionSchema,
        _ state: RecordHistory.State,
        in space: SpaceID
    ) throws -> [UInt32: Value] {
        var out: [UInt32: Value] = [:]
        for group in collection.groups {
            switch group.kind {
            case .latest, .review:
                guard let register = state.registers[group.number] else { continue }
                for (field, value) in register.alternatives(by: try transaction.replicaOrder(register)).last?.values
                    ?? []
                {
                    out[field] = value
                }
            case .set, .flow, .counter:
                guard let items = state.items[group.number] else { continue }
                out[group.fields[0].number] = try transaction.shownValue(group, inListOrder(items), in: space)
            case .log, .seats: continue
            }
        }
        return out
    }

    private func inListOrder(_ items: [RecordHistory.LiveItem]) throws -> [RecordHistory.LiveItem] {
        guard items.count > 1 else { return items }
        let replicas = try items.map { try transaction.replica($0.dot.author) }
        return items.indices.sorted { a, b in
            let (x, y) = (items[a], items[b])
            if x.item.depth != y.item.depth { return x.item.depth < y.item.depth }
            return (x.timestamp, replicas[a], x.dot.seq, x.index) < (y.timestamp, replicas[b], y.dot.seq, y.index)
        }.map { items[$0] }
    }
}

/// The other way round: rows that the log does not back.
extension Verifier {
    /// Records whose past could not be read: either what they name is damaged, or what names it.
    func checkUnread() throws {
        for (rid, key, cause) in unread {
            let select = try transaction.statement(
                """
                SELECT author, seq FROM record WHERE rid = ?1 UNION ALL SELECT author, seq FROM history WHERE rid = ?1
                """
            )
            select.bind(1, rid)
            var isDamaged = false
            while try select.step() {
                let dot = LocalDot(author: select.number(0), seq: select.unsigned(1))
                if isUnreadable(dot, key.space) { isDamaged = true }
            }
            if !isDamaged { fault(key, cause) }
            try addStored(rid, key.space)
        }
    }

    /// Rows of every table that belong to no record, and records that no change in effect brought.
    func checkRows() throws {
        let select = try transaction.statement("SELECT count(*) FROM record")
        _ = try select.step()
        let count = Int(select.int(0))
        select.reset()
        if count != out.tables.checked || out.tables.faultCount > 0 { try checkUnbacked() }
        for (table, orphans) in transaction.orphanQueries {
            let select = try transaction.statement("SELECT count(*) FROM \(table) WHERE \(orphans)")
            _ = try select.step()
            let count = select.int(0)
            select.reset()
            if count > 0 { out.tables.fault("\(table): \(count) rows belong to no record") }
        }
        let doubled = try transaction.statement(
            "SELECT id, space, collection FROM record JOIN history USING (rid, author, seq)"
        )
        while try doubled.step() {
            guard let id = RecordID(bytes: doubled.bytes(0)) else { continue }
            let key = Verification.RecordKey(space: doubled.int(1), collection: doubled.number(2), id: id)
            fault(key, "the change that brought it is noted twice")
        }
    }

    /// In the order of the log, so that each run is read once.
    private func checkUnbacked() throws {
        let select = try transaction.statement(
            "SELECT rid, id, space, collection, author, seq FROM record ORDER BY space, author, seq"
        )
        var rows: [(rid: Int64, id: [UInt8], space: Int64, collection: UInt32, first: LocalDot)] = []
        while try select.step() {
            let first = LocalDot(author: select.number(4), seq: select.unsigned(5))
            rows.append((select.int(0), select.bytes(1), select.int(2), select.number(3), first))
        }
        for row in rows {
            if isUnreadable(row.first, row.space) {
                try addStored(row.rid, row.space)
                continue
            }
            guard let id = RecordID(bytes: row.id) else {
                out.tables.fault("record \(row.rid) has no name")
                continue
            }
            if try transaction.isBacked(id, row.space, row.collection, row.first) { continue }
            let key = Verification.RecordKey(space: row.space, collection: row.collection, id: id)
            fault(key, "no change in effect brought it")
        }
    }

    /// Counts what cannot be worked out by what is stored of it.
    private func addStored(_ rid: Int64, _ space: Int64) throws {
        guard out.sums[space] != nil else { return }
        out.sums[space]! += try transaction.storedSum(rid)
    }
}
