// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Something that a person has to look at: a conflict, a finding, or what is quarantined.
package struct Case: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// Sites differ on what a group of fields holds, or on whether a record lives.
        case conflict
        /// Records that together break a rule which nobody can keep while offline.
        case finding
        /// Changes that no grant covers: kept, not in effect.
        case quarantine
    }

    /// One of the values among which a person chooses.
    package struct Alternative: Sendable {
        /// From 1.
        package let n: Int
        package let fields: [(field: Field, value: Value)]
        package let deleted: Bool
        package let author: Authorship
        /// Who an import's rows come from; `nil` for what was typed.
        package let source: ExactText?
        /// Why it was written, of an edit against a deletion.
        package var reason: ExactText?
    }

    /// Twelve characters, the same at every site.
    package let id: String
    package let kind: Kind
    /// Which finding or refusal it is.
    package let code: String
    package let space: SpaceID
    package let collection: CollectionSchema?
    /// All records concerned, the first one first.
    package let records: [RecordID]
    /// What the first record is called by at the counter: a name, a code.
    package let label: ExactText?
    /// The group that sites differ on; `nil` for an edit against a deletion, and where it is no conflict.
    package let group: MergeGroup?
    /// By (hlc, replica).
    package let values: [Alternative]
    /// The `n` of what is shown meanwhile.
    package let shown: Int?
    /// What is quarantined, a line for each act of who may do what; of records where one case alone is looked at.
    package var says: [String] = []
    /// How many records are listed of a case for people.
    package static let recordsShown = 20
    /// What people call the records, as far as they are known here, where one case alone is looked at.
    package var names: [RecordID: ExactText] = [:]

    /// Who the rows come from that have a part in it; of several, who sent the latest.
    package var source: ExactText? { values.last { $0.source != nil }?.source }
}

extension StoreTransaction {
    /// A conflict of the inbox for people.
    func openCase(_ row: ConflictRow, _ places: Places) throws -> Case? {
        guard let name = try recordName(row.rid), let collection = schema.collection(name.collection) else {
            return nil
        }
        let values = try row.alternatives.enumerated().map { index, alternative in
            let said = try row.group == nil ? said(by: alternative.dot, of: name.id, collection, in: name.space) : nil
            return Case.Alternative(
                n: index + 1,
                fields: said?.fields ?? alternative.values,
                deleted: alternative.deleted,
                author: places.authorship(alternative.person, alternative.device, alternative.timestamp),
                source: alternative.source,
                reason: said?.reason
            )
        }
        let label = try records(collection, where: "rid = ?", [.integer(row.rid)]).first.flatMap(Self.label)
        return Case(
            id: row.id,
            kind: .conflict,
            code: row.group == nil ? "edit_or_deletion" : "concurrent_values",
            space: name.space,
            collection: collection,
            records: [name.id],
            label: label,
            group: row.group,
            values: values,
            shown: row.shown + 1
        )
    }

    /// What one side of an edit against a deletion wrote on the record, and why.
    private func said(
        by dot: Dot,
        of id: RecordID,
        _ collection: CollectionSchema,
        in space: SpaceID
    ) throws -> (fields: [(field: Field, value: Value)], reason: ExactText?) {
        guard let change = try changes(dot.seq...dot.seq, of: dot.replica, in: space).first else { return ([], nil) }
        let content = try change.content().filter { $0.collection == collection.number && $0.id == id }
        return (
            content.flatMap { $0.fields(in: collection) },
            content.lazy.compactMap { $0.life?.text }.first ?? change.header.reason
        )
    }

    /// The cases that may be shown here, and the protected residents that they show.
    func shownCases(_ cases: [Case], _ site: Site) throws -> ([Case], [RecordID]) {
        let shows = try showsProtected(site)
        var seen: [RecordID] = []
        let shown = try cases.filter { open in
            guard open.collection?.name == "resident" else { return true }
            let hidden = try open.records.filter { try record(WardSchema.resident, $0)?.space == .protectedResidents }
            seen += hidden
            return shows || hidden.isEmpty
        }
        return (shown, shows ? seen : [])
    }

    /// What people call the records of a case; who is protected is called nothing here, since nobody noted that he was seen.
    func names(of records: [RecordID]) throws -> [RecordID: ExactText] {
        let collections = [WardSchema.lesson, WardSchema.booking, WardSchema.resident, WardSchema.procedure]
        return try records.prefix(Case.recordsShown).reduce(into: [:]) { names, id in
            for collection in collections where names[id] == nil {
                guard let row = try record(collection, id), row.space != .protectedResidents else { continue }
                names[id] = Self.label(row)
            }
        }
    }

    /// What people call a record.
    static func label(_ row: StoredRecord) -> ExactText? {
        switch row.collection.name {
        case "resident":
            let parts = ["family_name", "given_name"].compactMap { row.text($0) }
            return parts.isEmpty ? row.values["number"]?.text : ExactText(parts.joined(separator: " "))
        case "lesson":
            let parts = ["code", "title"].compactMap { row.text($0) }
            return parts.isEmpty ? nil : ExactText(parts.joined(separator: " "))
        default: return row.values["name"]?.text
        }
    }
}
