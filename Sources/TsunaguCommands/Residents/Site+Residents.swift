// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

extension SpaceID {
    /// The register.
    package static let residents = SpaceID("residents")!
    /// The guide.
    package static let procedures = SpaceID("procedures")!
}

extension WardSchema {
    /// What a resident is called by at the counter.
    static let residentNumber = resident.field(named: "number")!.field
}

extension Site {
    /// Adds a resident.
    package func addResident(_ words: [String]) throws -> RecordID {
        let assignments = try FieldAssignment.parse(words, WardSchema.resident)
        let naming = ["family_name", "given_name", "number"]
        guard assignments.contains(where: { naming.contains($0.field.name) && $0.hasValue }) else {
            throw CommandError(
                .badInput,
                Localized(ja: "氏名も宛名番号もありません", en: "neither a name nor a number is given"),
                hint: Localized(
                    ja: "例: family_name=佐藤 given_name=花",
                    en: "for example family_name=Sato given_name=Hana"
                )
            )
        }
        return try write { transaction in
            try transaction.requireWrite(self, .residents)
            try transaction.requireUnmarked(assignments, self)
            try transaction.requireFreeNumber(assignments, for: nil, self)
            return try transaction.draft(.residents, by: person).create(WardSchema.resident, assignments)
        }
    }

    /// One resident in full.
    package func resident(_ name: String) throws -> RecordView {
        try reading(.show) { transaction in
            let row = try transaction.resident(name, self)
            return (try transaction.view(row, Places(transaction)), transaction.seen([row]))
        }
    }

    /// Writes what assignments change.
    ///
    /// - Returns: the record and the fields that changed.
    package func setResident(_ name: String, _ words: [String]) throws -> (id: RecordID, changed: [String]) {
        let assignments = try FieldAssignment.parse(words, WardSchema.resident, record: name)
        guard !assignments.isEmpty else {
            throw CommandError(.usage, Localized(ja: "項目=値 がありません", en: "there is no field=value"))
        }
        return try write { transaction in
            let row = try transaction.resident(name, self)
            try transaction.requireWrite(self, row.space)
            guard !row.deleted else { throw CommandError.deleted(row) }
            try transaction.requireFreeNumber(assignments, for: row.id, self)
            try transaction.requireDecided(row, assignments.map(\.field.name))
            let draft = try transaction.draft(row.space, by: person)
            let changed = try draft.write(assignments, to: row, transaction)
            if let protection = try transaction.protection(of: row.id) {
                try transaction.flushDrafts()
                let new = try transaction.record(WardSchema.resident, row.id)
                try transaction.setMarks(of: protection, with: { new?.text($0) }, by: self)
            }
            return (row.id, changed)
        }
    }

    /// Appends a note.
    package func noteResident(_ name: String, _ text: String) throws -> RecordID {
        let assignments = try FieldAssignment.parse(["notes=" + text], WardSchema.resident, record: name)
        return try write { transaction in
            let row = try transaction.resident(name, self)
            try transaction.requireWrite(self, row.space)
            _ = try transaction.draft(row.space, by: person).write(assignments, to: row, transaction)
            return row.id
        }
    }

    /// Marks a resident as deleted (除票); everything stays readable.
    package func deleteResident(_ name: String, reason: String) throws -> RecordID {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            let row = try transaction.resident(name, self)
            try transaction.requireWrite(self, row.space)
            if !row.deleted {
                try transaction.draft(row.space, by: person).delete(WardSchema.resident, row.id, reason: reason)
            }
            return row.id
        }
    }

    /// Brings a deleted resident back.
    package func reviveResident(_ name: String, reason: String) throws -> RecordID {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            let row = try transaction.resident(name, self)
            try transaction.requireWrite(self, row.space)
            // Also where another site edits what this one deleted: reviving decides between the two.
            if try row.deleted || transaction.conflicts(rid: row.rid).contains(where: { $0.group == nil }) {
                let draft = try transaction.draft(row.space, by: person)
                draft.reason = reason
                try draft.revive(WardSchema.resident, row.id)
            }
            return row.id
        }
    }

    /// A reason that a person gave: one that says something and that a change can hold.
    static func checkedReason(_ text: String) throws -> ExactText {
        let isBlank = text.unicodeScalars.allSatisfy { $0.properties.isWhitespace }
        guard !isBlank, text.utf8.count <= 4096 else {
            throw CommandError(
                .badInput,
                Localized(ja: "理由が空か長すぎます", en: "the reason is empty or too long"),
                hint: Localized(ja: "4096バイトまでで書いてください", en: "write one of up to 4096 bytes")
            )
        }
        return ExactText(text)
    }
}

extension FieldAssignment {
    fileprivate var hasValue: Bool {
        if case .value(.null) = content { false } else { true }
    }
}

extension StoreTransaction {
    /// The resident of a 宛名番号, an id or the beginning of one; the id that a person had before is good too.
    ///
    /// - Parameter name: a number, an id or its beginning; fewer than six digits are no beginning of an id.
    /// - Throws: 77 where exactly this person is kept at the ward office.
    func resident(_ name: String, _ site: Site) throws -> StoredRecord {
        do {
            return try find(WardSchema.resident, name, key: WardSchema.residentNumber) { row in
                // A few digits are a number that was cut short, and nobody's id.
                let isCut = name.utf8.count < 6 && name.utf8.allSatisfy { 48...57 ~= $0 }
                guard !isCut || row.values["number"]?.text == ExactText(name) else { return false }
                return try isInScope(row, site)
            }
        } catch let error as CommandError where error.code == .notFound {
            if let id = RecordID(hex: name), let row = try successor(of: id, site) { return row }
            throw try isMarked(words: [name]) ? CommandError.askWardOffice : error
        }
    }

    /// The record that now stands for a person who had another one, as far as this site may know.
    private func successor(of id: RecordID, _ site: Site) throws -> StoredRecord? {
        guard try showsProtected(site) else { return nil }
        return try (protection(ofOrdinary: id) ?? protection(of: id)).flatMap { try present($0) }
    }

    /// Refuses exactly a person who is kept at the ward office: another record would be a duplicate, and tell.
    fileprivate func requireUnmarked(_ assignments: [FieldAssignment], _ site: Site) throws {
        let values = assignments.reduce(into: [String: String]()) { values, assignment in
            if case .value(.text(let text)) = assignment.content { values[assignment.field.name] = text.string }
        }
        guard try isMarked({ values[$0] }) else { return }
        guard try showsProtected(site) else { throw CommandError.askWardOffice }
        throw CommandError(
            .badInput,
            Localized(ja: "支援措置の住民として登録されています", en: "the person is registered, as a protected resident"),
            hint: Localized(ja: "tsunagu resident find で探してください", en: "look with 'tsunagu resident find'")
        )
    }

    /// Refuses a number that another living resident has here.
    ///
    /// What two sites give out at once becomes a finding.
    fileprivate func requireFreeNumber(
        _ assignments: [FieldAssignment],
        for id: RecordID?,
        _ site: Site
    ) throws {
        guard let assignment = assignments.first(where: { $0.field.number == WardSchema.residentNumber.number }),
            case .value(let value) = assignment.content, value != .null
        else { return }
        let condition = try "number = ? AND deleted = 0 AND " + residentScope(site)
        let others = try records(WardSchema.resident, where: condition, [value], limit: 2)
        guard let other = others.first(where: { $0.id != id }) else { return }
        throw CommandError(
            .badInput,
            Localized(
                ja: "宛名番号 \(value.text?.string ?? "") は別の住民が使っています",
                en: "another resident has the number \(value.text?.string ?? "")"
            ),
            record: other.id.description,
            hint: Localized(ja: "番号を確かめてください", en: "check the number")
        )
    }
}
