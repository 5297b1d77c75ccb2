// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// What applying an entry of a shape needs, worked out once a shape.
final class ShapePlan {
    /// A slot with a column to go to.
    struct Column {
        let slot: Int
        let field: Field
    }

    let shape: Shape
    let collection: CollectionSchema?
    /// The fields that this shape writes in groups that are registers.
    let registerFields: FieldMask
    /// The groups that it writes as registers.
    let registerGroups: UInt64
    /// Whether the entry says something of the record's life.
    let touchesLife: Bool
    /// Register slots that have a column.
    let columns: [Column]
    /// Where each operation's slots begin.
    let slotStarts: [Int]
    /// Inserts a new row of the typed table; `nil` for a collection that this schema does not know.
    let insertSQL: String?
    let hasSearch: Bool

    init(_ shape: Shape, schema: Schema) {
        self.shape = shape
        let collection = schema.collection(shape.collection)
        self.collection = collection
        var fields: FieldMask = 0
        var groups: UInt64 = 0
        var touchesLife = false
        var columns: [Column] = []
        var starts: [Int] = []
        var slot = 0
        for operation in shape.operations {
            starts.append(slot)
            if operation.mergeClass == .register || operation.mergeClass == .set { touchesLife = true }
            if operation.mergeClass == .register, operation.group != 0 {
                groups |= 1 << UInt64(operation.group)
                let known = collection?.group(operation.group)
                for (offset, number) in operation.fields.enumerated() {
                    fields |= 1 << FieldMask(number)
                    if let field = known?.fields.first(where: { $0.number == number }) {
                        columns.append(Column(slot: slot + offset, field: field))
                    }
                }
            }
            slot += operation.fields.count
        }
        registerFields = fields
        registerGroups = groups
        self.touchesLife = touchesLife
        self.columns = columns
        slotStarts = starts
        hasSearch = collection.map(SchemaTables.hasSearch) ?? false
        insertSQL = collection.map { collection in
            let names = ["rid", "id", "space", "deleted"] + columns.map(\.field.name) + (SchemaTables.hasSearch(collection) ? ["search"] : [])
            let marks = Array(repeating: "?", count: names.count).joined(separator: ", ")
            return "INSERT INTO \(collection.name)(\(names.joined(separator: ", "))) VALUES (\(marks))"
        }
    }

    /// The fields of a group as this schema knows them; `nil` for a group that it does not know.
    func groupFields(_ group: UInt32) -> FieldMask? {
        collection?.group(group).map { $0.fields.reduce(into: FieldMask(0)) { $0 |= 1 << FieldMask($1.number) } }
    }
}
