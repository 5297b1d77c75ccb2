// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

/// Two sites, or a store and the model, that do not agree.
package struct Disagreement: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}

/// The reference model of one space of notes, which change of it is whose, and what must be the same wherever it is
/// seen.
package final class ModelBook {
    package let space: SpaceID
    package private(set) var model: ReferenceModel
    package var recordIDs: [RecordID] = []
    private var numberOf: [Dot: Int] = [:]
    private var dots: [Dot] = []
    private var forgotten: Set<Int> = []
    private var digests: [Set<ReferenceModel.Live>: Bytes16] = [:]
    private var liveOf: [Bytes16: Set<ReferenceModel.Live>] = [:]
    private var conflictIDs: [ConflictKey: String] = [:]
    private var conflictKeys: [String: ConflictKey] = [:]

    private struct ConflictKey: Hashable {
        let record: Int
        let group: UInt32
        let changes: Set<Int>
    }

    package init(_ space: SpaceID = TestSchema.space) {
        self.space = space
        model = ReferenceModel(registers: TestSchema.modelRegisters, flows: TestSchema.modelFlows)
    }

    package func dot(_ change: Int) -> Dot { dots[change] }

    package func number(_ dot: Dot) -> Int? { numberOf[dot] }

    /// All that was written and not forgotten.
    package var changes: [Int] { model.changes.indices.filter { !forgotten.contains($0) } }

    /// Adds what somebody wrote who saw `past`.
    ///
    /// - Returns: the model's number for it.
    @discardableResult
    package func append(_ dot: Dot, stamp: UInt64, site: Int, past: Set<Int>, _ entries: [ReferenceModel.Entry]) -> Int
    {
        let change = dots.count
        dots.append(dot)
        numberOf[dot] = change
        model.changes.append(
            ReferenceModel.Change(
                site: site,
                number: dot.seq,
                stamp: stamp,
                replica: dot.replica.bytes,
                past: past,
                entries: entries
            )
        )
        return change
    }

    /// The changes that a site has in effect, by the model's numbers.
    package func visible(in vector: VersionVector) -> Set<Int> { Set(changes.filter { vector.covers(dots[$0]) }) }

    // MARK: - Writing

    /// What somebody who sees `visible` may write in one change: a few records, so that edits meet; some come into being
    /// at several sites at once under a derived id.
    package func randomEntries(
        seeing visible: Set<Int>,
        isWide: Bool = false,
        _ generator: inout SeededGenerator
    ) -> [ReferenceModel.Entry] {
        var entries: [ReferenceModel.Entry] = []
        var taken: Set<Int> = []
        for _ in 0...generator.below(2) {
            let known = model.records(in: visible).sorted()
            let record: Int
            if known.isEmpty || generator.chance(25) {
                record = generator.chance(50) ? generator.below(3) : max(recordIDs.count, 3)
            } else {
                record = generator.pick(known)
            }
            nameRecords(upTo: record)
            guard taken.insert(record).inserted else { continue }
            entries.append(
                RandomEdit.entry(on: record, of: model, in: visible, isWide: isWide, &generator) { dots[$0] }
            )
        }
        return entries
    }

    /// Gives ids that all sites derive alike to records that have none.
    package func nameRecords(upTo record: Int) {
        while recordIDs.count <= max(record, 2) {
            recordIDs.append(RecordID(derivedFrom: [Array("\(space) \(recordIDs.count)".utf8)]))
        }
    }

    /// Forgets changes that went with the only disk that held them; their numbers may be given again.
    package func forget(_ gone: Set<Int>) {
        forgotten.formUnion(gone)
        for change in gone where numberOf[dots[change]] == change { numberOf[dots[change]] = nil }
        // What is written under their numbers may give an equal digest or conflict id.
        (digests, liveOf, conflictIDs, conflictKeys) = ([:], [:], [:], [:])
        renameUnwritten()
    }

    /// Forgets the ids of records that no change of the model touches: a transaction that came to nothing made them.
    package func renameUnwritten() {
        let written = model.records(in: Set(changes))
        for record in recordIDs.indices.dropFirst(3) where !written.contains(record) {
            recordIDs[record] = RecordID(derivedFrom: [Array("\(space) unwritten \(record)".utf8)])
        }
    }

    /// Writes in the engine what entries say.
    ///
    /// - Parameter derived: whether new records keep the ids that all sites derive alike.
    /// - Returns: the entries as the model must have them.
    package func write(
        _ entries: [ReferenceModel.Entry],
        _ draft: Draft,
        _ note: CollectionSchema,
        seeing visible: Set<Int>,
        derived: Bool = false
    ) throws -> [ReferenceModel.Entry] {
        let known = model.records(in: visible)
        return try entries.map { entry in
            var entry = entry
            let said = entry.life
            let values = entry.registers.values.flatMap { $0 }.sorted { $0.key < $1.key }.map {
                (field: $0.key, value: $0.value.value)
            }
            if !derived, entry.record >= 3, !known.contains(entry.record) {
                recordIDs[entry.record] = try draft.create(note, values)
                // A record that begins with an operation that is no write of a register says outright that it lives.
                if values.isEmpty { entry.life = entry.life ?? false }
            } else {
                try draft.set(note, recordIDs[entry.record], values)
            }
            let record = recordIDs[entry.record]
            for group in Set(entry.added.keys).union(entry.removed.keys) {
                try draft.edit(
                    note,
                    record,
                    group: note.group(group)!,
                    add: (entry.added[group] ?? []).map(\.content),
                    remove: entry.removed[group] ?? []
                )
            }
            if let life = said {
                if life { try draft.delete(note, record, reason: "gone") } else { try draft.revive(note, record) }
            }
            return entry
        }
    }

    // MARK: - Comparing

    /// Holds all records of a store against the model.
    ///
    /// - Parameters:
    ///   - note: the collection as the store's schema has it; what an older one does not know is not asked of it.
    ///   - failure: makes an error of what differs.
    package func compare(
        _ store: Store,
        _ note: CollectionSchema,
        _ visible: Set<Int>,
        _ failure: (String) -> any Error
    ) throws {
        try store.read { transaction in
            var live: Set<ReferenceModel.Live> = []
            var conflicts = 0
            for (number, id) in recordIDs.enumerated() {
                let expected = model.record(number, in: visible)
                let stored = try transaction.record(note, id)
                guard (stored == nil) == (expected == nil) else {
                    throw failure("record \(number) is \(stored == nil ? "missing" : "there, which nobody wrote")")
                }
                guard let stored, let expected else { continue }
                let fail: (String) -> any Error = { failure("record \(number) \($0)") }
                try compare(stored, expected, note, fail)
                try compareItems(transaction, stored, expected, note, fail)
                conflicts += try compareConflicts(transaction, stored, expected, number, note, fail)
                live.formUnion(expected.live)
            }
            let listed = try transaction.conflicts().count {
                try transaction.recordName($0.rid)?.space == space
            }
            guard listed == conflicts else { throw failure("\(listed) conflicts are listed, \(conflicts) there") }
            if !visible.isEmpty { try compareDigest(transaction.digest(of: space), live, failure) }
        }
    }

    private func compare(
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ note: CollectionSchema,
        _ failure: (String) -> any Error
    ) throws {
        guard stored.deleted == expected.isDeleted else { throw failure("deleted: \(stored.deleted)") }
        for field in note.groups.filter({ $0.kind.mergeClass == .register }).flatMap(\.fields) {
            let shown = ReferenceModel.Content(stored.values[field.name] ?? .null)
            guard shown == expected.shown[field.number] ?? .empty else {
                throw failure("\(field.name): \(shown), expected \(expected.shown[field.number] ?? .empty)")
            }
        }
        for group in note.groups where group.kind == .set {
            let members = Set((expected.items[group.number] ?? []).map(\.content))
                .sorted { $0.lexicographicallyPrecedes($1) }
            let list = "[" + members.map { "\"\(String(decoding: $0, as: UTF8.self))\"" }.joined(separator: ",") + "]"
            let found = stored.text(group.fields[0].name) ?? "[]"
            guard found == list else { throw failure("\(group.name): \(found) instead of \(list)") }
        }
        let sum = (expected.items[5] ?? []).reduce(Int64(0)) { $0 + Tally.sum([$1.content]) }
        guard stored.integer("tally") ?? 0 == sum else { throw failure("tally") }
        guard stored.text("status") ?? "" == expected.flows[7]?.state ?? "" else { throw failure("status") }
    }

    private func compareItems(
        _ transaction: StoreTransaction,
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ note: CollectionSchema,
        _ failure: (String) -> any Error
    ) throws {
        for group in note.groups where group.kind.mergeClass != .register && group.kind != .seats {
            let items = try transaction.items(of: stored.rid, group: group).map { item in
                guard let change = numberOf[item.dot] else { throw failure("\(group.name): of nobody's change") }
                return ReferenceModel.Item(change: change, place: item.index, depth: item.depth, content: item.content)
            }
            let wanted = expected.items[group.number] ?? []
            guard items == wanted else { throw failure("\(group.name): \(items), expected \(wanted)") }
            // A reply stands after what its author had seen.
            guard group.kind == .log || group.kind == .flow else { continue }
            for (place, item) in items.enumerated() {
                let past = model.changes[item.change].past
                guard !items[place...].contains(where: { past.contains($0.change) }) else {
                    throw failure("\(group.name): a reply before its cause")
                }
            }
        }
    }

    private func compareConflicts(
        _ transaction: StoreTransaction,
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ number: Int,
        _ note: CollectionSchema,
        _ failure: (String) -> any Error
    ) throws -> Int {
        let rows = try transaction.conflicts(rid: stored.rid)
        let known = expected.conflicts.filter { group, _ in group == 0 || note.group(group) != nil }
        for row in rows {
            let group = row.group?.number ?? 0
            guard let conflict = known[group] else { throw failure("no conflict") }
            let deletes = row.alternatives.map(\.deleted)
            let values = row.alternatives.map { alternative in
                Dictionary(
                    uniqueKeysWithValues: alternative.values.map { ($0.field.number, ReferenceModel.Content($0.value)) }
                )
            }
            let wanted = conflict.values.map { choice in
                row.group.map { group in
                    Dictionary(uniqueKeysWithValues: group.fields.map { ($0.number, choice[$0.number] ?? .empty) })
                } ?? [:]
            }
            guard deletes == conflict.deletes, values == wanted else {
                throw failure("conflict: \(values), expected \(wanted)")
            }
            let key = ConflictKey(record: number, group: group, changes: conflict.changes)
            guard conflictIDs[key] ?? row.id == row.id else { throw failure("another conflict id") }
            guard conflictKeys[row.id] ?? key == key else { throw failure("one id for two conflicts") }
            conflictIDs[key] = row.id
            conflictKeys[row.id] = key
        }
        guard rows.count == known.count else {
            throw failure("\(rows.count) conflicts, expected \(known)")
        }
        return known.count
    }

    /// Equal states have equal digests, and different ones have different ones.
    private func compareDigest(
        _ digest: Bytes16?,
        _ live: Set<ReferenceModel.Live>,
        _ failure: (String) -> any Error
    ) throws {
        guard let digest else { throw failure("no digest") }
        guard digests[live] ?? digest == digest else { throw failure("another digest for an equal state") }
        guard liveOf[digest] ?? live == live else { throw failure("one digest for two states") }
        digests[live] = digest
        liveOf[digest] = live
    }
}
