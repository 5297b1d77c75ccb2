// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// A row of a typed table.
package struct StoredRecord: Sendable {
    package let rid: Int64
    package let collection: CollectionSchema
    package let id: RecordID
    package let space: SpaceID
    package let deleted: Bool
    package let values: [String: Value]

    /// The text of a field, `nil` where it is empty.
    package func text(_ field: String) -> String? { values[field]?.text?.string }

    /// The number of a field.
    package func integer(_ field: String) -> Int64? { values[field]?.integer }
}

extension StoreTransaction {
    /// Rows of a collection's table.
    ///
    /// - Parameters:
    ///   - condition: SQL over the table's columns, with `?` for each of `arguments`.
    package func records(
        _ collection: CollectionSchema,
        where condition: String = "1",
        _ arguments: [Value] = [],
        limit: Int = -1
    ) throws -> [StoredRecord] {
        var out: [StoredRecord] = []
        try forEachRecord(collection, where: condition, arguments, limit: limit) { out.append($0) }
        return out
    }

    /// The same one by one, for what does not fit in memory.
    ///
    /// `body` must not use this transaction.
    package func forEachRecord(
        _ collection: CollectionSchema,
        where condition: String = "1",
        _ arguments: [Value] = [],
        limit: Int = -1,
        _ body: (StoredRecord) throws -> Void
    ) throws {
        let fields = SchemaTables.columns(of: collection)
        var spaces: [Int64: SpaceID] = [:]
        let names = fields.map { ", \($0.name)" }.joined()
        let select = try statement(
            "SELECT rid, id, space, deleted\(names) FROM \(collection.name) WHERE \(condition) LIMIT ?"
        )
        for (index, argument) in arguments.enumerated() { select.bind(Int32(index + 1), argument) }
        select.bind(Int32(arguments.count + 1), limit)
        defer { select.reset() }
        while try select.step() {
            let no = select.int(2)
            if spaces[no] == nil { spaces[no] = try knownSpaceName(no) }
            guard let id = RecordID(bytes: select.bytes(1)), let space = spaces[no] else { continue }
            var values: [String: Value] = [:]
            for (index, field) in fields.enumerated() { values[field.name] = select.value(Int32(index + 4)) }
            try body(
                StoredRecord(
                    rid: select.int(0),
                    collection: collection,
                    id: id,
                    space: space,
                    deleted: select.int(3) != 0,
                    values: values
                )
            )
        }
    }

    /// One record by its id.
    package func record(_ collection: CollectionSchema, _ id: RecordID) throws -> StoredRecord? {
        try records(collection, where: "id = ?", [.bytes(id.bytes)]).first
    }

    /// The records whose id begins with some hexadecimal digits; at most two are looked for.
    package func records(_ collection: CollectionSchema, idPrefix: String) throws -> [StoredRecord] {
        let digits = idPrefix.utf8.count
        guard (1...32).contains(digits), Hex.decode(idPrefix + (digits % 2 == 0 ? "" : "0")) != nil else { return [] }
        let low = Hex.decode(idPrefix + String(repeating: "0", count: 32 - digits))!
        let high = Hex.decode(idPrefix + String(repeating: "f", count: 32 - digits))!
        let select = try statement(
            "SELECT rid FROM record WHERE id BETWEEN ? AND ? AND collection = ? LIMIT 2"
        )
        select.bind(1, low)
        select.bind(2, high)
        select.bind(3, collection.number)
        var rids: [Int64] = []
        while try select.step() { rids.append(select.int(0)) }
        return try rids.flatMap { try records(collection, where: "rid = ?", [.integer($0)]) }
    }

    /// How many of some records each device created.
    ///
    /// - Parameters:
    ///   - condition: over the collection's columns.
    package func creators(
        of collection: CollectionSchema,
        where condition: String,
        _ arguments: [Value]
    ) throws -> [DeviceID: Int] {
        let select = try statement(
            """
            SELECT author, COUNT(*) FROM record WHERE rid IN (SELECT rid FROM \(collection.name) WHERE \(condition))
            GROUP BY author
            """
        )
        for (index, argument) in arguments.enumerated() { select.bind(Int32(index + 1), argument) }
        var counts: [(author: UInt32, count: Int)] = []
        while try select.step() { counts.append((select.number(0), Int(select.int(1)))) }
        return try counts.reduce(into: [:]) { $0[try replica($1.author).device, default: 0] += $1.count }
    }

    /// Which record a number of this store's means.
    package func recordName(_ rid: Int64) throws -> (collection: UInt32, id: RecordID, space: SpaceID)? {
        let select = try statement("SELECT collection, id, space FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return nil }
        let (collection, id, space) = (select.number(0), RecordID(bytes: select.bytes(1))!, select.int(2))
        select.reset()
        return (collection, id, try spaceName(space))
    }

    /// How many records of a space are there, deleted ones included.
    package func counts(of id: SpaceID) throws -> (records: Int, changes: Int, unsealed: Int) {
        guard let space = try space(id) else { return (0, 0, 0) }
        func count(_ sql: String) throws -> Int {
            let select = try statement(sql)
            select.bind(1, space.no)
            defer { select.reset() }
            return try select.step() ? Int(select.int(0)) : 0
        }
        return (
            try count("SELECT count(*) FROM record WHERE space = ? AND collection >= 16"),
            try count("SELECT coalesce(sum(seq), 0) FROM chain WHERE space = ?"),
            try count("SELECT coalesce(sum(seq - sealed), 0) FROM chain WHERE space = ?")
        )
    }

    /// A live item with who added it.
    package struct ItemRow: Sendable {
        package let dot: Dot
        package let index: Int
        package let depth: UInt64
        package let timestamp: Timestamp
        package var content: [UInt8]
    }

    /// The live items of a group in list order.
    package func items(of rid: Int64, group: MergeGroup) throws -> [ItemRow] {
        try items(rid, group.number).map { live in
            ItemRow(
                dot: Dot(try replica(live.dot.author), live.dot.seq),
                index: live.index,
                depth: live.item.depth,
                timestamp: live.timestamp,
                content: live.item.content
            )
        }
    }

    // MARK: - Conflicts

    /// A group on which sites differ.
    package struct ConflictRow: Sendable {
        /// Twelve characters, the same at every site.
        package let id: String
        package let rid: Int64
        /// `nil` for an edit against a deletion.
        package let group: MergeGroup?
        package let alternatives: [Alternative]
        /// The place in `alternatives` of the one shown meanwhile.
        package let shown: Int
    }

    /// One of the values among which a person chooses.
    package struct Alternative: Sendable {
        package let values: [(field: Field, value: Value)]
        package let deleted: Bool
        /// The change that said so, by the name its chain goes by here.
        package let dot: Dot
        package let person: Operator
        package let device: DeviceID
        package let timestamp: Timestamp
        /// Who an import's rows come from; `nil` for what was typed.
        package let source: ExactText?
    }

    /// The open conflicts, or the one of an id.
    package func conflicts(id: String? = nil, rid: Int64? = nil) throws -> [ConflictRow] {
        let select = try statement(
            """
            SELECT rid, grp, id FROM conflict WHERE (?1 IS NULL OR id = ?1) AND (?2 IS NULL OR rid = ?2) ORDER BY id
            """
        )
        if let id { select.bind(1, id) } else { select.bindNull(1) }
        if let rid { select.bind(2, rid) } else { select.bindNull(2) }
        var rows: [(rid: Int64, group: UInt32, id: String)] = []
        while try select.step() { rows.append((select.int(0), select.number(1), select.text(2))) }
        return try rows.compactMap { row in
            row.group == 0 ? try lifeConflict(row.rid, row.id) : try groupConflict(row.rid, row.group, row.id)
        }
    }

    private func groupConflict(_ rid: Int64, _ number: UInt32, _ id: String) throws -> ConflictRow? {
        guard let name = try recordName(rid), let collection = schema.collection(name.collection),
            let group = collection.group(number)
        else { return nil }
        if let flow = try flow(of: rid, group) { return try flowConflict(rid, group, flow, name.space, id) }
        let select = try statement("SELECT head FROM sibling WHERE rid = ? AND grp = ?")
        select.bind(1, rid)
        select.bind(2, number)
        var state = GroupState(heads: [])
        while try select.step() { state.heads.append(try GroupState.Head(decoding: select.blob(0))) }
        let alternatives = try state.alternatives(by: replicaOrder(state)).map { alternative in
            let origin = try header(name.space, alternative.dot)
            return Alternative(
                values: group.fields.map { field in
                    (field, alternative.values.first { $0.field == field.number }?.value ?? .null)
                },
                deleted: false,
                dot: Dot(try replica(alternative.dot.author), alternative.dot.seq),
                person: origin.author,
                device: origin.dot.replica.device,
                timestamp: alternative.timestamp,
                source: origin.source
            )
        }
        return ConflictRow(id: id, rid: rid, group: group, alternatives: alternatives, shown: alternatives.count - 1)
    }

    private func flowConflict(
        _ rid: Int64,
        _ group: MergeGroup,
        _ flow: FlowState,
        _ space: SpaceID,
        _ id: String
    ) throws -> ConflictRow {
        let origins = try flow.standing.compactMap { step in
            try step.dot.map { (step, try header(space, LocalDot(author: author($0.replica), seq: $0.seq))) }
        }.sorted { ($0.0.timestamp, $0.1.dot) < ($1.0.timestamp, $1.1.dot) }
        let alternatives = origins.map { step, origin in
            Alternative(
                values: [(group.fields[0], .text(step.transition.to))],
                deleted: false,
                dot: step.dot ?? origin.dot,
                person: origin.author,
                device: origin.dot.replica.device,
                timestamp: step.timestamp,
                source: origin.source
            )
        }
        let shown = origins.lastIndex { $0.0.transition.to == flow.state } ?? 0
        return ConflictRow(id: id, rid: rid, group: group, alternatives: alternatives, shown: shown)
    }

    private func lifeConflict(_ rid: Int64, _ id: String) throws -> ConflictRow? {
        guard let name = try recordName(rid), let space = try space(name.space),
            let meta = try findRecord(space, name.collection, name.id)?.meta
        else { return nil }
        let heads = try meta.heads(of: 0).map { ($0, try header(name.space, $0.dot)) }
            .sorted { ($0.0.timestamp, $0.1.dot) < ($1.0.timestamp, $1.1.dot) }
        let alternatives = try heads.map { head, origin in
            Alternative(
                values: [],
                deleted: head.deletes,
                dot: Dot(try replica(head.dot.author), head.dot.seq),
                person: origin.author,
                device: origin.dot.replica.device,
                timestamp: head.timestamp,
                source: origin.source
            )
        }
        let shown = alternatives.lastIndex { !$0.deleted } ?? alternatives.count - 1
        return ConflictRow(id: id, rid: rid, group: nil, alternatives: alternatives, shown: shown)
    }

    private func header(_ id: SpaceID, _ dot: LocalDot) throws -> ChangeHeader {
        guard let space = try space(id), let run = try run(space, dot.author, containing: dot.seq),
            let change = run.changes.first(where: { $0.header.dot.seq == dot.seq })
        else {
            throw StoreError.damagedLog(
                space: id,
                replica: try replica(dot.author),
                seq: dot.seq,
                .unresolvedReference(Dot(try replica(dot.author), dot.seq))
            )
        }
        return change.header
    }

    /// How many conflicts are open, and how many changes are quarantined.
    package func inboxCounts() throws -> (conflicts: Int, quarantined: Int) {
        let conflicts = try statement("SELECT count(*) FROM conflict")
        defer { conflicts.reset() }
        let quarantined = try statement(
            "SELECT coalesce(sum(seq - first + 1), 0) FROM withheld JOIN chain USING (space, author)"
        )
        defer { quarantined.reset() }
        let waiting = try quarantined.step() ? Int(quarantined.int(0)) : 0
        return (try conflicts.step() ? Int(conflicts.int(0)) : 0, try waiting - saidAnew())
    }

    /// How many changes of `system` are quarantined and were said anew.
    private func saidAnew() throws -> Int {
        guard let known = try currentAccess()?.saidAnew, !known.isEmpty else { return 0 }
        return try exceptions(.system).reduce(0) { sum, exception in
            sum
                + Int(
                    min(exception.last, max(known[exception.replica] ?? 0, exception.first - 1)) - (exception.first - 1)
                )
        }
    }

    // MARK: - History

    /// One value that a field or list ever had.
    package struct HistoryRow: Sendable {
        package enum State: String, Sendable {
            /// What is shown.
            case current
            /// Replaced by somebody who had seen it.
            case past
            /// Stood beside another at the same time, and was not shown or not taken.
            case lost
        }

        package let field: Field?
        package let value: Value
        package let header: ChangeHeader
        package let state: State
    }

    /// Every value that a record's fields ever had, in causal order.
    package func history(of rid: Int64) throws -> [HistoryRow] {
        guard let name = try recordName(rid), let collection = schema.collection(name.collection),
            let row = try records(collection, where: "rid = ?", [.integer(rid)]).first
        else { return [] }
        let past = try past(rid)
        var out: [HistoryRow] = []
        for (place, entry) in past.enumerated() {
            for (operation, values) in entry.entry.operations {
                if operation.group == 0 {
                    let replaced = past.contains { $0.entry.life != nil && $0.entry.covers(entry.entry.dot) }
                    out.append(
                        HistoryRow(
                            field: nil,
                            value: values.first ?? .null,
                            header: entry.header,
                            state: replaced ? .past : .current
                        )
                    )
                    continue
                }
                guard let group = collection.group(operation.group) else { continue }
                if operation.mergeClass == .register {
                    for (number, value) in zip(operation.fields, values) {
                        guard let field = group.fields.first(where: { $0.number == number }) else { continue }
                        let state = state(of: value, field, in: past, at: place, shown: row.values[field.name] ?? .null)
                        out.append(HistoryRow(field: field, value: value, header: entry.header, state: state))
                    }
                } else if case .bytes(let body)? = values.first {
                    let items = try body.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
                    for item in items.added {
                        out.append(
                            HistoryRow(
                                field: group.fields[0],
                                value: .bytes(item.content),
                                header: entry.header,
                                state: .current
                            )
                        )
                    }
                }
            }
        }
        return out
    }

    /// A value is lost where it stood beside another and was not the one that was shown or taken.
    private func state(
        of value: Value,
        _ field: Field,
        in past: [PastEntry],
        at place: Int,
        shown: Value
    ) -> HistoryRow.State {
        let own = past[place].entry
        let writers = past.map(\.entry).filter { $0.writes(field.number) && $0.dot != own.dot }
        let later = writers.filter { $0.covers(own.dot) }
        if later.isEmpty, value == shown { return .current }
        let rivals = writers.filter { other in
            !other.covers(own.dot) && !own.covers(other.dot) && other.value(of: field.number) != value
        }
        guard !rivals.isEmpty else { return .past }
        // Entries stand in causal order, so the first that had seen both is the one that decided.
        let decision = later.first { later in rivals.contains { later.covers($0.dot) } }
        return decision?.value(of: field.number) == value ? .past : .lost
    }
}

extension RecordHistory.Entry {
    fileprivate func value(of field: UInt32) -> Value? {
        for (operation, values) in operations where operation.mergeClass == .register && operation.group != 0 {
            for (number, value) in zip(operation.fields, values) where number == field { return value }
        }
        return nil
    }

    fileprivate func writes(_ field: UInt32) -> Bool { value(of: field) != nil }
}
