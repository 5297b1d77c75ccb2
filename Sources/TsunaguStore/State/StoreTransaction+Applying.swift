// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TsunaguCore

/// Moves the state by a change that is in effect: records, typed tables, items, conflicts, digest.
extension StoreTransaction {
    /// One entry of a change, read in place.
    struct EntryView {
        let shape: Shape
        let plan: ShapePlan
        let id: RecordID
        let reference: RecordReference
        let dot: LocalDot
        let timestamp: Timestamp
        let leaf: Bytes16
        let slots: [Slot]
    }

    /// Applies a change whose causes are all in effect.
    ///
    /// - Parameter chain: the author's chain *at* the change, whose deps say what the author had seen.
    func apply(_ change: Change, at chain: Chain, _ space: SpaceRow) throws {
        let author = try author(change.header.dot.replica)
        let dot = LocalDot(author: author, seq: change.header.dot.seq)
        let covers = try coverage(of: chain, author)
        try change.payload.bytes.withUnsafeBytes { memory in
            var slots: [Slot] = []
            for (index, entry) in change.payload.entries.enumerated() where !entry.isErased {
                slots.removeAll(keepingCapacity: true)
                let content = UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound])
                var reader = ByteReader(content)
                for _ in 0..<entry.shape.slotCount { slots.append(try reader.slot()) }
                let view = EntryView(
                    shape: entry.shape,
                    plan: plan(entry.shape),
                    id: entry.id,
                    reference: entry.reference,
                    dot: dot,
                    timestamp: change.header.timestamp,
                    leaf: change.leaf(index),
                    slots: slots
                )
                try apply(view, index: index, space, covers)
            }
        }
        guard space.id == .system else { return }
        access = nil
        hasNewsOfMembers = true
    }

    /// Ends what changes of one run began: what had to wait for all of them is done once.
    func endApplying() throws {
        let records = recordsToRederive.sorted()
        recordsToRederive = []
        for rid in records { try rederive(rid) }
        try showMovedItems()
    }

    /// Whether a change's author had seen another change, by this store's numbers.
    func coverage(of chain: Chain, _ author: UInt32) throws -> (LocalDot) -> Bool {
        var known: [UInt32: UInt64] = [author: chain.seq - 1]
        for (replica, seq) in chain.deps.entries {
            // Of an author without a number nothing is here that could be covered.
            if let number = try knownAuthor(replica), number != author { known[number] = seq }
        }
        let exceptions = try chain.deps.exceptions.compactMap { exception in
            try knownAuthor(exception.replica).map { ($0, exception.first, exception.last) }
        }
        return { dot in
            guard dot.seq <= known[dot.author] ?? 0 else { return false }
            if Mutant.exceptionsAreCovered.isPlanted { return true }
            return !exceptions.contains { $0.0 == dot.author && $0.1 <= dot.seq && dot.seq <= $0.2 }
        }
    }

    func plan(_ shape: Shape) -> ShapePlan {
        if let plan = plans[ObjectIdentifier(shape)] { return plan }
        let plan = ShapePlan(shape, schema: schema)
        // The plan keeps the shape alive, so that its identity is not given to another.
        plans[ObjectIdentifier(shape)] = plan
        return plan
    }

    func findRecord(_ space: SpaceRow, _ collection: UInt32, _ id: RecordID) throws -> (rid: Int64, meta: RecordMeta)? {
        let select = try statement("SELECT rid, meta FROM record WHERE id = ? AND space = ? AND collection = ?")
        return try id.raw.withBytes { bytes in
            select.bindInPlace(1, blob: bytes)
            select.bind(2, space.no)
            select.bind(3, collection)
            guard try select.step() else { return nil }
            defer { select.reset() }
            return (select.int(0), try RecordMeta(decoding: select.blob(1)))
        }
    }

    private func apply(
        _ entry: EntryView,
        index: Int,
        _ space: SpaceRow,
        _ covers: @escaping (LocalDot) -> Bool
    ) throws {
        if let (rid, meta) = try findRecord(space, entry.shape.collection, entry.id) {
            arrivals.records.insert(rid)
            let insert = try statement("INSERT OR IGNORE INTO history(rid, author, seq) VALUES (?, ?, ?)")
            insert.bind(1, rid)
            insert.bind(2, entry.dot.author)
            insert.bind(3, entry.dot.seq)
            try insert.run()
            if entry.reference == .created { try noteCreator(rid, entry.dot, index) }
            // Once a record has to be worked out anew, the rest of what is written on it comes along.
            guard !recordsToRederive.contains(rid) else { return }
            try update(rid, meta, with: entry, space, covers)
        } else {
            try create(entry, index: index, space)
        }
    }

    /// Notes which change gave a record its id, where somebody who had not seen that wrote on the id first.
    ///
    /// What a record of rights said at first is what counts, whoever arrives before it.
    private func noteCreator(_ rid: Int64, _ dot: LocalDot, _ index: Int) throws {
        let former = try statement(
            """
            INSERT OR IGNORE INTO history(rid, author, seq)
            SELECT rid, author, seq FROM record WHERE rid = ? AND entry < 0
            """
        )
        former.bind(1, rid)
        try former.run()
        let update = try statement("UPDATE record SET author = ?, seq = ?, entry = ? WHERE rid = ? AND entry < 0")
        update.bind(1, dot.author)
        update.bind(2, dot.seq)
        update.bind(3, index)
        update.bind(4, rid)
        try update.run()
        let delete = try statement(
            """
            DELETE FROM history WHERE rid = ?1 AND EXISTS (
                SELECT 1 FROM record WHERE record.rid = ?1 AND record.author = history.author AND record.seq = history.seq
            )
            """
        )
        delete.bind(1, rid)
        try delete.run()
    }

    // MARK: - New records

    private func create(_ entry: EntryView, index: Int, _ space: SpaceRow) throws {
        let plan = entry.plan
        var source = RecordMeta.Source(dot: entry.dot, timestamp: entry.timestamp, leaf: entry.leaf)
        source.fields = plan.registerFields | (plan.touchesLife ? 1 : 0)
        source.heads = plan.registerGroups | (plan.touchesLife ? 1 : 0)
        source.deletes = deletes(entry)
        let meta = RecordMeta(sources: source.heads == 0 ? [] : [source])
        let encoded = meta.encoded
        let insert = try statement(
            "INSERT INTO record(id, space, collection, author, seq, entry, meta) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        try entry.id.raw.withBytes { id in
            try encoded.withUnsafeBytes { meta in
                insert.bindInPlace(1, blob: id)
                insert.bind(2, space.no)
                insert.bind(3, entry.shape.collection)
                insert.bind(4, entry.dot.author)
                insert.bind(5, entry.dot.seq)
                insert.bind(6, entry.reference == .created ? index : -1)
                insert.bindInPlace(7, blob: meta)
                try insert.run()
            }
        }
        let rid = db.lastInsertedRowID
        arrivals.records.insert(rid)
        try insertTypedRow(rid, entry, space, deleted: meta.isDeleted)
        space.add(meta.digest)
        try applyItems(rid, entry, space, covers: { _ in false })
    }

    private func insertTypedRow(_ rid: Int64, _ entry: EntryView, _ space: SpaceRow, deleted: Bool) throws {
        let plan = entry.plan
        guard let sql = plan.insertSQL else { return }
        let insert = try statement(sql)
        try entry.id.raw.withBytes { id in
            insert.bind(1, rid)
            insert.bindInPlace(2, blob: id)
            insert.bind(3, space.no)
            insert.bind(4, deleted ? 1 : 0)
            var index: Int32 = 5
            for column in plan.columns {
                try insert.bindInPlace(index, entry.slots[column.slot])
                index += 1
            }
            if plan.hasSearch {
                insert.bind(
                    index,
                    searchKey(try plan.searchSlots.map { try $0.map { try entry.slots[$0].shown() } ?? "" })
                )
            }
            try insert.run()
        }
    }

    /// Parts stand apart in the key, so that a search does not match across two fields.
    func searchKey(_ parts: [String]) -> String {
        parts.map(schema.searchKey).joined(separator: "\n")
    }

    private func deletes(_ entry: EntryView) -> Bool {
        guard let index = entry.shape.operations.firstIndex(where: { $0.group == 0 }) else { return false }
        return entry.slots[entry.plan.slotStarts[index]].tag != 0
    }

    // MARK: - Known records

    private func update(
        _ rid: Int64,
        _ old: RecordMeta,
        with entry: EntryView,
        _ space: SpaceRow,
        _ covers: @escaping (LocalDot) -> Bool
    ) throws {
        var meta = old
        var columns: [(field: Field, value: Value)] = []
        var source = RecordMeta.Source(dot: entry.dot, timestamp: entry.timestamp, leaf: entry.leaf)
        source.deletes = deletes(entry)
        for (index, operation) in entry.shape.operations.enumerated()
        where operation.mergeClass == .register && operation.group != 0 {
            let slots = entry.slots[entry.plan.slotStarts[index]...].prefix(operation.fields.count)
            let step = try step(rid, operation, Array(slots), source, &meta, entry.plan, covers)
            guard let step else {
                recordsToRederive.insert(rid)
                return
            }
            columns += step
        }
        if entry.plan.touchesLife {
            meta.replace(group: 0, groupFields: 1, with: source, members: 1, covers: covers)
        }
        space.add(Mutant.digestOnlyGrows.isPlanted ? meta.digest : meta.digest - old.digest)
        try save(rid, meta)
        if let collection = entry.plan.collection {
            try writeColumns(rid, collection, columns, deleted: meta.isDeleted == old.isDeleted ? nil : meta.isDeleted)
        }
        if meta.isLifeContested || old.isLifeContested {
            try noteLife(rid, meta, entry.shape.collection, entry.id, space)
        }
        try applyItems(rid, entry, space, covers: covers)
    }

    /// One register operation on a known record.
    ///
    /// - Returns: the columns to set; `nil` where the record's history is needed.
    private func step(
        _ rid: Int64,
        _ operation: Shape.Operation,
        _ slots: [Slot],
        _ source: RecordMeta.Source,
        _ meta: inout RecordMeta,
        _ plan: ShapePlan,
        _ covers: @escaping (LocalDot) -> Bool
    ) throws -> [(field: Field, value: Value)]? {
        guard let group = plan.collection?.group(operation.group), group.kind.mergeClass == .register,
            let groupFields = plan.groupFields(operation.group)
        else { return nil }
        let members = operation.fields.reduce(into: FieldMask(0)) { $0 |= 1 << FieldMask($1) }
        // Where a member that this schema does not know was ever written, which of its writes are live and whether they
        // differ is the history's to say.
        let live = meta.sources.reduce(members) { $0 | $1.fields }
        guard live & ~(plan.knownFields | 1) == 0 else { return nil }
        let contested = meta.isContested(operation.group, groupFields)
        // Who writes while a change is out of effect may cover a head and not all that lies behind it.
        let seesAll = meta.sources.allSatisfy {
            $0.heads >> UInt64(operation.group) & 1 == 0 && $0.fields & members == 0 || covers($0.dot)
        }
        if !contested && seesAll || seesAll && members == groupFields {
            meta.replace(
                group: operation.group,
                groupFields: groupFields,
                with: source,
                members: members,
                covers: covers
            )
            if contested { try clearContest(rid, operation.group) }
            return try group.fields.compactMap { field in
                guard let index = operation.fields.firstIndex(of: field.number) else { return nil }
                return (field, try slots[index].value())
            }
        }
        let write = GroupState.Write(
            dot: source.dot,
            timestamp: source.timestamp,
            leaf: source.leaf,
            members: try zip(operation.fields, slots).map { ($0, try $1.value()) },
            covers: covers
        )
        guard let state = try groupState(rid, group, meta, plan.collection!, groupFields)?.applying(write) else {
            return nil
        }
        meta.set(group: operation.group, groupFields: groupFields, to: state)
        return try settle(rid, group, state)
    }

    /// Keeps a worked-out group: its siblings while it is contested, its conflict, and the values to show.
    func settle(_ rid: Int64, _ group: MergeGroup, _ state: GroupState) throws -> [(field: Field, value: Value)] {
        try clearContest(rid, group.number)
        let order = try replicaOrder(state)
        let alternatives = state.alternatives(by: order)
        if state.isContested {
            let insert = try statement("INSERT INTO sibling(rid, grp, author, seq, head) VALUES (?, ?, ?, ?, ?)")
            for head in state.heads {
                insert.bind(1, rid)
                insert.bind(2, group.number)
                insert.bind(3, head.dot.author)
                insert.bind(4, head.dot.seq)
                insert.bind(5, head.encoded)
                try insert.run()
            }
            if group.kind == .review, state.differs { try openConflict(rid, group.number, state.liveDots) }
        }
        guard let shown = alternatives.last else { return [] }
        return group.fields.map { field in
            (field, shown.values.first { $0.field == field.number }?.value ?? .null)
        }
    }

    private func clearContest(_ rid: Int64, _ group: UInt32) throws {
        let delete = try statement("DELETE FROM sibling WHERE rid = ? AND grp = ?")
        delete.bind(1, rid)
        delete.bind(2, group)
        try delete.run()
        try closeConflict(rid, group)
    }

    /// The group in full: from its siblings where it is contested, else from the typed row.
    func groupState(
        _ rid: Int64,
        _ group: MergeGroup,
        _ meta: RecordMeta,
        _ collection: CollectionSchema,
        _ groupFields: FieldMask
    ) throws -> GroupState? {
        let heads = meta.heads(of: group.number)
        if heads.isEmpty { return GroupState(heads: []) }
        if meta.isContested(group.number, groupFields) {
            let select = try statement("SELECT head FROM sibling WHERE rid = ? AND grp = ?")
            select.bind(1, rid)
            select.bind(2, group.number)
            var state = GroupState(heads: [])
            while try select.step() { state.heads.append(try GroupState.Head(decoding: select.blob(0))) }
            return state
        }
        let names = group.fields.map(\.name).joined(separator: ", ")
        let select = try statement("SELECT \(names) FROM \(collection.name) WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return nil }
        defer { select.reset() }
        var members: [GroupState.Member] = []
        for (index, field) in group.fields.enumerated() {
            guard let source = meta.sources.first(where: { $0.fields >> FieldMask(field.number) & 1 == 1 }) else {
                continue
            }
            members.append(
                GroupState.Member(
                    field: field.number,
                    sources: [
                        GroupState.MemberSource(
                            dot: source.dot,
                            timestamp: source.timestamp,
                            leaf: source.leaf,
                            value: select.value(Int32(index))
                        )
                    ]
                )
            )
        }
        members.sort { $0.field < $1.field }
        return GroupState(
            heads: [
                GroupState.Head(
                    dot: heads[0].dot,
                    timestamp: heads[0].timestamp,
                    leaf: heads[0].leaf,
                    members: members
                )
            ])
    }

    func save(_ rid: Int64, _ meta: RecordMeta) throws {
        let update = try statement("UPDATE record SET meta = ? WHERE rid = ?")
        update.bind(1, meta.encoded)
        update.bind(2, rid)
        try update.run()
    }

    func writeColumns(
        _ rid: Int64,
        _ collection: CollectionSchema,
        _ columns: [(field: Field, value: Value)],
        deleted: Bool?
    ) throws {
        var names = columns.map(\.field.name)
        if deleted != nil { names.append("deleted") }
        guard !names.isEmpty else { return }
        let update = try statement(
            "UPDATE \(collection.name) SET \(names.map { "\($0) = ?" }.joined(separator: ", ")) WHERE rid = ?"
        )
        var index: Int32 = 1
        for column in columns {
            update.bind(index, column.value)
            index += 1
        }
        if let deleted {
            update.bind(index, deleted ? 1 : 0)
            index += 1
        }
        update.bind(index, rid)
        try update.run()
        if columns.contains(where: \.field.searchable) { try updateSearch(rid, collection) }
    }

    func updateSearch(_ rid: Int64, _ collection: CollectionSchema) throws {
        let fields = SchemaTables.searchFields(collection)
        let select = try statement(
            "SELECT \(fields.map(\.name).joined(separator: ", ")) FROM \(collection.name) WHERE rid = ?"
        )
        select.bind(1, rid)
        guard try select.step() else { return }
        let parts = fields.indices.map { select.text(Int32($0)) }
        select.reset()
        let update = try statement("UPDATE \(collection.name) SET search = ? WHERE rid = ?")
        update.bind(1, searchKey(parts))
        update.bind(2, rid)
        try update.run()
    }
}

extension RecordMeta {
    /// Whether a group has more than one maximal write, or a member with more than one source.
    func isContested(_ group: UInt32, _ groupFields: FieldMask) -> Bool {
        var heads = 0
        var seen: FieldMask = 0
        for source in sources {
            if source.heads >> UInt64(group) & 1 == 1 { heads += 1 }
            let fields = source.fields & groupFields
            if heads > 1 || seen & fields != 0 { return true }
            seen |= fields
        }
        return false
    }
}

extension GroupState {
    /// Whether a person would see different values, byte for byte.
    var differs: Bool {
        let all = alternatives { _ in ReplicaID(device: DeviceID(signingKey: []), incarnation: 0) }
        return all.dropFirst().contains { other in
            !other.values.elementsEqual(all[0].values) { a, b in
                a.field == b.field && (a.value == b.value || a.value.isLike(b.value))
            }
        }
    }

    /// The changes that make up the group's state.
    var liveDots: Set<LocalDot> {
        Set(heads.map(\.dot) + heads.flatMap { $0.members.flatMap { $0.sources.map(\.dot) } })
    }
}

/// The stored form of a sibling.
extension GroupState.Head {
    var encoded: [UInt8] {
        var out: [UInt8] = []
        out.append(dot, timestamp, leaf)
        out.appendVarint(UInt64(members.count))
        for member in members {
            out.appendVarint(UInt64(member.field))
            out.appendVarint(UInt64(member.sources.count))
            for source in member.sources.sorted(by: { $0.dot < $1.dot }) {
                out.append(source.dot, source.timestamp, source.leaf)
                out.appendSlot(source.value)
            }
        }
        return out
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        let (dot, timestamp, leaf) = try reader.origin()
        self.init(dot: dot, timestamp: timestamp, leaf: leaf, members: [])
        for _ in 0..<(try reader.varint("members", atMost: 128)) {
            var member = GroupState.Member(field: UInt32(try reader.varint("field", atMost: 126)), sources: [])
            for _ in 0..<(try reader.varint("sources", atMost: 65_536)) {
                let (dot, timestamp, leaf) = try reader.origin()
                member.sources.append(
                    GroupState.MemberSource(
                        dot: dot,
                        timestamp: timestamp,
                        leaf: leaf,
                        value: try reader.slot().value()
                    )
                )
            }
            members.append(member)
        }
        try reader.expectEnd()
    }
}

extension Value {
    /// Always `false` but for a planted defect.
    fileprivate func isLike(_ other: Value) -> Bool {
        Mutant.canonicalEquivalenceIsEquality.isPlanted && text != nil && text?.string == other.text?.string
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ dot: LocalDot, _ timestamp: Timestamp, _ leaf: Bytes16) {
        appendVarint(UInt64(dot.author))
        appendVarint(dot.seq)
        appendUInt64(timestamp.raw)
        append(leaf)
    }
}

extension ByteReader {
    fileprivate mutating func origin() throws(CodecError) -> (LocalDot, Timestamp, Bytes16) {
        let author = UInt32(truncatingIfNeeded: try varint())
        return (LocalDot(author: author, seq: try varint()), Timestamp(raw: try uint64()), try bytes16())
    }
}
