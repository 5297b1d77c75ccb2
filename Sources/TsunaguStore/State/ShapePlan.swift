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
    /// The kind of each slot's value, where the schema knows it.
    private let kinds: [Field?]
    /// Why no author of this schema writes such a shape: a group of another class, a member of another group.
    let contradiction: String?
    /// The roles that may not write all of it, each with the first group that it may not; 0 is the record's life.
    let barred: [Role: UInt32]
    /// Where each operation's slots begin.
    let slotStarts: [Int]
    /// Inserts a new row of the typed table; `nil` for a collection that this schema does not know.
    let insertSQL: String?
    let hasSearch: Bool
    /// For each searchable field of the collection, in its order, the slot that writes it.
    let searchSlots: [Int?]

    init(_ shape: Shape, schema: Schema) {
        self.shape = shape
        let collection = schema.collection(shape.collection)
        self.collection = collection
        var fields: FieldMask = 0
        var groups: UInt64 = 0
        var touchesLife = false
        var columns: [Column] = []
        var kinds: [Field?] = []
        var contradiction: String?
        var barred: [Role: UInt32] = [:]
        var starts: [Int] = []
        var slot = 0
        for operation in shape.operations {
            starts.append(slot)
            if operation.mergeClass == .register || operation.mergeClass == .set { touchesLife = true }
            let known = collection?.group(operation.group)
            let writers = collection?.writers(of: operation.group) ?? Role.allCases
            for role in Role.allCases where barred[role] == nil && !writers.contains(role) {
                barred[role] = operation.group
            }
            if let known, known.kind.mergeClass != operation.mergeClass {
                contradiction = "\(collection!.name): group \(known.number) is no \(operation.mergeClass)"
            }
            if operation.mergeClass == .register, operation.group != 0 {
                groups |= 1 << UInt64(operation.group)
                for (offset, number) in operation.fields.enumerated() {
                    if fields >> FieldMask(number) & 1 == 1
                        || collection?.group(ofField: number).map({ $0.number != operation.group }) == true
                    {
                        contradiction = "field \(number) is not of group \(operation.group)"
                    }
                    fields |= 1 << FieldMask(number)
                    let field = known?.fields.first { $0.number == number }
                    kinds.append(field)
                    if let field, known?.kind.mergeClass == .register {
                        columns.append(Column(slot: slot + offset, field: field))
                    }
                }
            } else {
                kinds.append(nil)
            }
            slot += operation.fields.count
        }
        registerFields = fields
        registerGroups = groups
        self.touchesLife = touchesLife
        self.columns = columns
        slotStarts = starts
        self.kinds = kinds
        let known = collection?.groups.filter { $0.kind.mergeClass == .register }.flatMap(\.fields) ?? []
        knownFields = known.reduce(into: FieldMask(0)) { $0 |= 1 << FieldMask($1.number) }
        self.contradiction = contradiction
        self.barred = barred
        hasSearch = collection.map(SchemaTables.hasSearch) ?? false
        searchSlots = (collection.map(SchemaTables.searchFields) ?? []).map { field in
            columns.first { $0.field.number == field.number }?.slot
        }
        insertSQL = collection.map { collection in
            let search = SchemaTables.hasSearch(collection) ? ["search"] : []
            let names = ["rid", "id", "space", "deleted"] + columns.map(\.field.name) + search
            let marks = Array(repeating: "?", count: names.count).joined(separator: ", ")
            return "INSERT INTO \(collection.name)(\(names.joined(separator: ", "))) VALUES (\(marks))"
        }
    }

    /// All register fields that this schema knows of the collection.
    let knownFields: FieldMask

    /// The first field whose value is of another kind than its column.
    func mismatch(in content: UnsafeRawBufferPointer) throws -> Field? {
        var reader = ByteReader(content)
        for field in kinds {
            let tag = try reader.slot().tag
            guard let field, tag != 0 else { continue }
            switch field.kind {
            case .text: if tag != 1 { return field }
            case .integer: if tag != 2 { return field }
            }
        }
        return nil
    }

    /// The fields of a group as this schema knows them; `nil` for a group that it does not know.
    func groupFields(_ group: UInt32) -> FieldMask? {
        collection?.group(group).map { $0.fields.reduce(into: FieldMask(0)) { $0 |= 1 << FieldMask($1.number) } }
    }
}
