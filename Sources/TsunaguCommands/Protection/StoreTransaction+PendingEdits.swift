// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What stands beside a protected person's values as the inbox shows it.
struct PendingEdit {
    let record: RecordID
    /// The record that the person has now.
    let resident: StoredRecord
    let edit: PersonEdit
    let operation: Shape.Operation
    /// `nil` for the record's life.
    let group: MergeGroup?

    static let code = "pending_edit"

    /// Twelve characters, the same at every site.
    var id: String {
        String(Base32.encode(RecordID(derivedFrom: [Array(Self.code.utf8), record.bytes]).bytes.prefix(8)).prefix(12))
    }

    /// What is added to a set and taken from it; `nil` for a register.
    var items: Items? {
        guard group?.kind == .set, case .bytes(let body)? = edit.values.first else { return nil }
        return try? body.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
    }

    /// The members that were written, with what was written.
    var written: [(field: Field, value: Value)] {
        if let items, let field = group?.fields.first {
            let signed = items.added.map { ("+", $0.content) } + items.removed.map { ("-", $0) }
            let text = signed.map { $0 + String(decoding: $1, as: UTF8.self) }.joined(separator: " ")
            return [(field, .text(text))]
        }
        return zip(operation.fields, edit.values).compactMap { number, value in
            group?.fields.first { $0.number == number }.map { ($0, value) }
        }
    }

    /// What stands in those members now.
    var shown: [(field: Field, value: Value)] {
        written.map { ($0.field, resident.values[$0.field.name] ?? .null) }
    }

    /// Whether it says that the record is deleted.
    var deletes: Bool { group == nil && edit.values != [.null] }
}

extension StoreTransaction {
    /// The values that wait for a decision, of one person or of all: undecided, and neither shown nor part of a conflict.
    func pendingEdits(of resident: RecordID? = nil) throws -> [PendingEdit] {
        let condition = resident == nil ? "1" : "resident = ?"
        let arguments = resident.map { [Value.text($0.description)] } ?? []
        let rows = try records(
            WardSchema.pendingEdit,
            where: "decision IS NULL AND \(condition) ORDER BY id",
            arguments
        )
        return try rows.compactMap { try pendingEdit($0) }.filter { try isOpen($0) }
    }

    private func pendingEdit(_ row: StoredRecord) throws -> PendingEdit? {
        guard let id = row.text("resident").flatMap({ RecordID(hex: $0) }),
            let resident = try protection(of: id).flatMap({ try present($0) }),
            let content = row.text("content").flatMap({ Hex.decode($0) }),
            let edit = try? PersonEdit(decoding: content), let operation = edit.operations.first?.operation
        else { return nil }
        let group = resident.collection.group(operation.group)
        guard group != nil || operation.group == 0 else { return nil }
        return PendingEdit(record: row.id, resident: resident, edit: edit, operation: operation, group: group)
    }

    private func isOpen(_ pending: PendingEdit) throws -> Bool {
        guard let group = pending.group else { return pending.deletes != pending.resident.deleted }
        if let wanted = pending.items {
            let members = Set(try items(of: pending.resident.rid, group: group).map(\.content))
            return wanted.added.contains { !members.contains($0.content) }
                || wanted.removed.contains { members.contains($0) }
        }
        if pending.written.map(\.value) == pending.shown.map(\.value) { return false }
        return try !conflicts(rid: pending.resident.rid).filter { $0.group?.number == group.number }
            .flatMap(\.alternatives).contains { alternative in
                pending.written.allSatisfy { member in
                    alternative.values.contains { $0.field.number == member.field.number && $0.value == member.value }
                }
            }
    }

    /// The same as findings, with both values.
    func pendingCases(_ places: Places, _ site: Site) throws -> [Case] {
        guard try showsProtected(site) else { return [] }
        return try pendingEdits().map { (pending: PendingEdit) -> Case in
            let head = try pending.group.flatMap { try heads(of: pending.resident.rid, group: $0).max() }
            let latest = try head.flatMap { try header(of: $0, in: pending.resident.space) }
            let other = Case.Alternative(
                n: 2,
                fields: pending.written,
                deleted: pending.deletes,
                author: places.authorship(
                    pending.edit.person,
                    pending.edit.origin.replica.device,
                    pending.edit.timestamp
                ),
                source: nil
            )
            let shown = Case.Alternative(
                n: 1,
                fields: pending.shown,
                deleted: pending.resident.deleted,
                author: latest.map { places.authorship($0) } ?? other.author,
                source: nil
            )
            return Case(
                id: pending.id,
                kind: .finding,
                code: PendingEdit.code,
                space: .protectedResidents,
                collection: WardSchema.resident,
                records: [pending.resident.id],
                label: Self.label(pending.resident),
                group: pending.group,
                values: [shown, other],
                shown: 1
            )
        }
    }

    /// Decides what stands beside a protected person's value.
    ///
    /// - Returns: the person's record; `nil` where the id names no such case.
    func decidePending(_ id: String, _ decision: Decision, reason: ExactText, by site: Site) throws -> RecordID? {
        guard let pending = try pendingEdits().first(where: { $0.id.utf8.elementsEqual(id.utf8) }) else { return nil }
        try requireWrite(site, .protectedResidents)
        try requireWrite(site, pending.resident.space)
        let draft = try draft(pending.resident.space, by: site.person)
        draft.reason = reason
        let resident = pending.resident.id
        switch decision {
        case .take(1): break
        case .take(2):
            if let items = pending.items, let group = pending.group {
                try draft.edit(
                    WardSchema.resident,
                    resident,
                    group: group,
                    add: items.added.map(\.content),
                    remove: items.removed
                )
            } else if pending.group?.kind.mergeClass == .register {
                try draft.set(WardSchema.resident, resident, pending.written.map { ($0.field.number, $0.value) })
            } else if pending.deletes {
                try draft.delete(WardSchema.resident, resident, reason: reason)
            } else if pending.group == nil {
                try draft.revive(WardSchema.resident, resident)
            }
        case .take(let n):
            throw CommandError(
                .badInput,
                Localized(ja: "値 \(n) はありません（1〜2）", en: "there is no value \(n) (1 to 2)"),
                record: id
            )
        case .set(let words):
            let assignments = try FieldAssignment.parse(words, WardSchema.resident)
            _ = try draft.write(assignments, to: pending.resident, self)
        }
        try self.draft(.protectedResidents, by: site.person).set(
            WardSchema.pendingEdit,
            pending.record,
            [(3, .text("decided"))]
        )
        return resident
    }
}
