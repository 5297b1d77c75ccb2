// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore

/// A record as it is shown: every field of its collection in the schema's order.
package struct RecordView: Sendable {
    /// What a field shows.
    package enum Shown: Sendable {
        /// Empty, or never written.
        case none
        case text(ExactText)
        case integer(Int64)
        /// The members of a set, in the order of their bytes.
        case members([ExactText])
        /// The entries of a list, oldest first.
        case entries([Entry])
    }

    /// One entry of a list.
    package struct Entry: Sendable {
        package let text: ExactText
        package let author: Authorship
    }

    package let collection: CollectionSchema
    package let id: RecordID
    package let space: SpaceID
    package let deleted: Bool
    package let fields: [(field: Field, shown: Shown)]
    /// The conflicts that are open on it.
    package let conflicts: [String]

    /// The text of a field; `nil` where it is empty or no text.
    package func text(_ name: String) -> ExactText? {
        guard case .text(let text)? = fields.first(where: { $0.field.name == name })?.shown else { return nil }
        return text
    }
}

extension StoreTransaction {
    /// A stored row with what else is known of it.
    ///
    /// - Parameter entries: whether the entries of lists are read too, which lists of records leave out.
    func view(_ row: StoredRecord, _ places: Places, entries: Bool = true) throws -> RecordView {
        var fields: [(field: Field, shown: RecordView.Shown)] = []
        for group in row.collection.groups {
            switch group.kind {
            case .latest, .review, .flow, .counter:
                for field in group.fields { fields.append((field, Self.shown(row.values[field.name]))) }
            case .set:
                let members = Set(try items(of: row.rid, group: group).map(\.content)).compactMap {
                    ExactText(validating: $0)
                }
                fields.append((group.fields[0], .members(members.sorted())))
            case .log where entries:
                fields.append((group.fields[0], .entries(try self.entries(row, group, places))))
            case .log, .seats: continue
            }
        }
        return RecordView(
            collection: row.collection,
            id: row.id,
            space: row.space,
            deleted: row.deleted,
            fields: fields,
            conflicts: try conflictIDs(of: row.rid)
        )
    }

    private static func shown(_ value: Value?) -> RecordView.Shown {
        switch value {
        case .text(let text): .text(text)
        case .integer(let number): .integer(number)
        case .bytes, .null, nil: .none
        }
    }

    private func entries(_ row: StoredRecord, _ group: MergeGroup, _ places: Places) throws -> [RecordView.Entry] {
        // What a resident's person brought along from another record stands first.
        let carried = try row.collection.name == "resident" ? notesBrought(to: row) : []
        let brought = carried.map { note in
            RecordView.Entry(text: note.text, author: places.authorship(note.person, note.device, note.timestamp))
        }
        return try brought
            + items(of: row.rid, group: group).compactMap { item in
                guard let text = ExactText(validating: item.content),
                    let header = try header(of: item.dot, in: row.space)
                else {
                    return nil
                }
                return RecordView.Entry(text: text, author: places.authorship(header))
            }
    }
}
