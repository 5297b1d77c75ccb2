// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// The fields of a collection in the order in which an entry holds them, and the shapes that rows have had.
///
/// Rows of a file differ in which cells are empty, so a file has few shapes, and each is worked out once.
struct RowShapes {
    struct Place {
        let group: UInt32
        let mergeClass: MergeClass
        let field: UInt32
    }

    let collection: CollectionSchema
    /// By group, then by field.
    let places: [Place]
    /// Where a field's number stands in `places`.
    private let index: [Int]
    private var shapes: [FieldMask: Shape] = [:]

    init(_ collection: CollectionSchema) {
        self.collection = collection
        var places: [Place] = []
        for group in collection.groups.sorted(by: { $0.number < $1.number }) {
            for field in group.fields.sorted(by: { $0.number < $1.number }) {
                places.append(Place(group: group.number, mergeClass: group.kind.mergeClass, field: field.number))
            }
        }
        var index = [Int](repeating: -1, count: 128)
        for (place, item) in places.enumerated() { index[Int(item.field)] = place }
        self.places = places
        self.index = index
    }

    func place(of field: UInt32) -> Int { index[Int(field)] }

    /// The shape of an entry that writes the places whose bits are set.
    mutating func shape(_ mask: FieldMask) -> Shape {
        if let known = shapes[mask] { return known }
        var operations: [Shape.Operation] = []
        var start = 0
        while start < places.count {
            let end = places[start...].firstIndex { $0.group != places[start].group } ?? places.count
            let written = (start..<end).filter { mask >> FieldMask($0) & 1 == 1 }
            if !written.isEmpty {
                let isRegister = places[start].mergeClass == .register
                operations.append(
                    Shape.Operation(
                        group: places[start].group,
                        places[start].mergeClass,
                        fields: isRegister ? written.map { places[$0].field } : [0]
                    )
                )
            }
            start = end
        }
        let shape = Shape(collection: collection.number, operations: operations)
        shapes[mask] = shape
        return shape
    }
}

/// One entry that is being put together; its storage is used again for the next row.
struct RowEntry {
    private(set) var mask: FieldMask = 0
    private var values: [Value]

    init(_ shapes: RowShapes) { values = Array(repeating: .null, count: shapes.places.count) }

    mutating func clear() { mask = 0 }

    mutating func write(_ value: Value, at place: Int) {
        values[place] = value
        mask |= 1 << FieldMask(place)
    }

    mutating func write(_ items: Items, at place: Int) { write(.bytes(items.encoded), at: place) }

    func writeSlots(_ out: inout [UInt8]) {
        for place in values.indices where mask >> FieldMask(place) & 1 == 1 { out.appendSlot(values[place]) }
    }
}
