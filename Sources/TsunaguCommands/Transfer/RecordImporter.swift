// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Takes residents, procedures or lessons in.
final class RecordImporter: RowImporter {
    private(set) var counts = ImportCounts()
    private(set) var touchedLessons: Set<SpaceID> = []

    private let file: RecordRowReader.File
    private let site: Site
    private let transaction: StoreTransaction
    private let options: ImportOptions
    private let collection: CollectionSchema
    /// The register fields by the place that a look-up gives them.
    private let registers: [Field]
    private let registerPlace: [Int]
    private let lookup: RecordLookup
    /// Before the first row of an empty ward, nothing needs to be looked up.
    private let isFirst: Bool
    /// Whether a row may be one of a person who is kept at the ward office.
    private let hasMarks: Bool
    private var reader: RecordRowReader?
    private var shapes: RowShapes
    private var entry: RowEntry
    private var lines: [ExactText: Int32] = [:]
    private var drafts: [SpaceID: Draft] = [:]

    init(_ file: RecordRowReader.File, _ site: Site, _ transaction: StoreTransaction, _ options: ImportOptions) throws {
        self.file = file
        self.site = site
        self.transaction = transaction
        self.options = options
        collection = file.collection
        registers = collection.groups.filter { $0.kind.mergeClass == .register }.flatMap(\.fields)
        var places = [Int](repeating: -1, count: 128)
        for (place, field) in registers.enumerated() { places[Int(field.number)] = place }
        registerPlace = places
        lookup = try transaction.lookup(collection, by: file.keyField, reading: registers)
        isFirst = try transaction.isEmpty(collection)
        hasMarks = try file == .residents && transaction.hasMarks()
        shapes = RowShapes(collection)
        entry = RowEntry(shapes)
        if file != .lessons { try transaction.requireWrite(site, SpaceID(collection.spaces)!) }
    }

    func begin(header: [UnsafeBufferPointer<UInt8>], line: Int) -> [ImportProblem] {
        do throws(HeaderRefusal) {
            reader = try RecordRowReader(file, header: header)
            return []
        } catch {
            return error.problems.map { ImportProblem(line: line, $0) }
        }
    }

    func take(_ cells: [UnsafeBufferPointer<UInt8>], line: Int, applies: Bool) throws -> [ImportProblem] {
        counts.rows += 1
        var faults: [RowProblem] = []
        guard let row = reader!.read(cells, problems: &faults) else {
            return faults.map { ImportProblem(line: line, $0) }
        }
        if let first = lines.updateValue(Int32(clamping: line), forKey: row.key) {
            return [.doubled(line: line, column: file.keyField.name, value: row.key.string, first: Int(first))]
        }
        guard !isFirst, let found = try lookup.find(.text(row.key)) else {
            if hasMarks, try transaction.isMarked({ row.text($0) }) {
                return [.askWardOffice(line: line)]
            }
            if let problem = lateDeadline(row, nil) { return [ImportProblem(line: line, problem)] }
            counts.created += 1
            if applies { try create(row) } else if let space = row.space { _ = try mayWrite(space) }
            return []
        }
        func problem(_ make: (Int, String, String, RecordID) -> ImportProblem) -> [ImportProblem] {
            [make(line, file.keyField.name, row.key.string, found.id)]
        }
        if found.deleted { return problem(ImportProblem.deleted) }
        guard options.updates else { return problem(ImportProblem.exists) }
        if found.isAmbiguous {
            return [.ambiguous(line: line, column: file.keyField.name, value: row.key.string)]
        }
        return try update(row, found, line: line, applies: applies)
    }

    // MARK: - Creating

    private func create(_ row: RecordRow) throws {
        entry.clear()
        for (number, value) in row.fields where value != .null { entry.write(value, at: shapes.place(of: number)) }
        for (number, members) in row.sets where !members.isEmpty {
            entry.write(Items(added: members.map { Items.Item(Array($0.utf8)) }), at: shapes.place(of: number))
        }
        for (number, text) in row.entries {
            entry.write(Items(added: [Items.Item(depth: 1, Array(text.utf8))]), at: shapes.place(of: number))
        }
        let draft: Draft
        if let space = row.space {
            touchedLessons.insert(space)
            draft = try self.draft(space)
            var rights = [Items.Item(depth: 1, LedgerEntry.open.encoded)]
            let capacity = row.fields.first { $0.number == LessonGroups.capacity.field.number }?.value.integer ?? 0
            if capacity > 0 { rights.append(Items.Item(depth: 2, LedgerEntry.mint(Int(capacity)).encoded)) }
            entry.write(Items(added: rights), at: shapes.place(of: LessonGroups.rights.fields[0].number))
            if let reason = row.cancelled { cancel(reason) }
        } else {
            draft = try self.draft(SpaceID(collection.spaces)!)
        }
        try draft.append(shapes.shape(entry.mask)) { entry.writeSlots(&$0) }
    }

    private func draft(_ space: SpaceID) throws -> Draft {
        if let draft = drafts[space] { return draft }
        if file == .lessons {
            try transaction.requireLessonSpace(space, site)
            // The founding is edited, rows are appended: it must be a change before them.
            try transaction.flushDrafts()
        }
        let draft = try transaction.draft(space, by: site.person)
        drafts[space] = draft
        return draft
    }

    /// What a dry run checks of a lesson's space.
    private func mayWrite(_ space: SpaceID) throws {
        guard touchedLessons.insert(space).inserted else { return }
        try transaction.requireWrite(site, space)
        if try !transaction.spaces().contains(space) { try transaction.requireAdmin(site) }
    }

    // MARK: - Updating

    private func update(
        _ row: RecordRow,
        _ found: RecordLookup.Found,
        line: Int,
        applies: Bool
    ) throws -> [ImportProblem] {
        guard let space = try transaction.recordName(found.rid)?.space else { return [] }
        guard try space != .protectedResidents || transaction.showsProtected(site) else {
            return [.askWardOffice(line: line)]
        }
        if let wanted = row.space, wanted != space {
            return [
                ImportProblem(
                    line: line,
                    code: "space",
                    column: "space",
                    value: wanted.name,
                    Localized(ja: "この教室は \(space) にあります", en: "this lesson is in \(space)"),
                    hint: Localized(ja: "別の空間には移せません。新しいコードで加えてください", en: "it cannot move: add it under a new code")
                )
            ]
        }
        entry.clear()
        var changed: [String] = []
        for (number, value) in row.fields where found.values[registerPlace[Int(number)]] != value {
            entry.write(value, at: shapes.place(of: number))
            changed += collection.group(ofField: number)?.fields.filter { $0.number == number }.map(\.name) ?? []
        }
        // A file must not decide in passing what people are to decide with both values in sight.
        if !changed.isEmpty, let conflict = try transaction.undecided(found.rid, changed) {
            return [
                ImportProblem(
                    line: line,
                    code: "conflict",
                    column: conflict.group?.name,
                    value: row.key.string,
                    Localized(ja: "競合 \(conflict.id) で決める途中です", en: "conflict \(conflict.id) is still to be decided"),
                    hint: Localized(
                        ja: "tsunagu conflict resolve \(conflict.id) で決めるか、この行を除いてください",
                        en: "decide it with 'tsunagu conflict resolve \(conflict.id)', or leave the row out"
                    )
                )
            ]
        }
        if let problem = lateDeadline(row, found) { return [ImportProblem(line: line, problem)] }
        for (number, members) in row.sets { try updateSet(number, members, found.rid) }
        for (number, text) in row.entries { try updateLog(number, text, found.rid) }
        if let reason = row.cancelled, try transaction.items(of: found.rid, group: LessonGroups.lessonStatus).isEmpty {
            cancel(reason)
        }
        guard entry.mask != 0 else {
            counts.unchanged += 1
            return []
        }
        counts.updated += 1
        if applies {
            if row.space != nil {
                touchedLessons.insert(space)
                try transaction.requireWrite(site, space)
            }
            try draft(space).append(shapes.shape(entry.mask), id: found.id) { entry.writeSlots(&$0) }
        }
        return []
    }

    /// What is wrong where a lesson's last day to book would be behind it: a file need not have both columns.
    private func lateDeadline(_ row: RecordRow, _ found: RecordLookup.Found?) -> RowProblem? {
        guard file == .lessons else { return nil }
        let late = BookingDeadline.late { name in
            let number = collection.field(named: name)!.field.number
            let written = row.fields.first { $0.number == number }?.value
            return (written ?? found?.values[registerPlace[Int(number)]])?.text
        }
        return late.map { .late(deadline: $0.deadline.description) }
    }

    /// Says of the lesson that it does not take place; one that is cancelled already stays so.
    private func cancel(_ reason: ExactText) {
        let step = Transition(from: FlowMachine.initial, to: BookingState.cancelled, reason: reason)
        entry.write(
            Items(added: [Items.Item(depth: 1, step.encoded)]),
            at: shapes.place(of: LessonGroups.lessonStatus.fields[0].number)
        )
    }

    private func updateSet(_ number: UInt32, _ members: [ExactText], _ rid: Int64) throws {
        let wanted = Set(members.map { Array($0.utf8) })
        let present = try Set(transaction.items(of: rid, group: collection.group(ofField: number)!).map(\.content))
        guard wanted != present else { return }
        let added = wanted.subtracting(present).sorted { $0.lexicographicallyPrecedes($1) }
        let removed = present.subtracting(wanted).sorted { $0.lexicographicallyPrecedes($1) }
        entry.write(Items(added: added.map { Items.Item($0) }, removed: removed), at: shapes.place(of: number))
    }

    private func updateLog(_ number: UInt32, _ text: ExactText, _ rid: Int64) throws {
        let present = try transaction.items(of: rid, group: collection.group(ofField: number)!)
        let content = Array(text.utf8)
        guard !present.contains(where: { $0.content == content }) else { return }
        let depth = (present.map(\.depth).max() ?? 0) + 1
        entry.write(Items(added: [Items.Item(depth: depth, content)]), at: shapes.place(of: number))
    }
}

extension RecordRow {
    /// The text of a resident's field.
    fileprivate func text(_ name: String) -> String? {
        guard let number = WardSchema.resident.field(named: name)?.field.number else { return nil }
        return fields.first { $0.number == number }?.value.text?.string
    }
}
