// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// What a change says, read off the log whether it is in effect or not.
extension Change {
    /// What a change writes on one record.
    struct Content {
        let collection: UInt32
        let id: RecordID
        /// Whether the change gave the record its id.
        let isCreated: Bool
        /// The members of registers, by field.
        var registers: [UInt32: Value] = [:]
        /// What it says of the record's life; `nil` where it says nothing.
        var life: Value?

        /// The members of registers that a schema knows, in its order.
        func fields(in collection: CollectionSchema) -> [(field: Field, value: Value)] {
            collection.groups.flatMap(\.fields).compactMap { field in registers[field.number].map { (field, $0) } }
        }
    }

    /// What is left of it, one item a record.
    func content() throws -> [Content] {
        try payload.bytes.withUnsafeBytes { memory in
            try payload.entries.filter { !$0.isErased }.map { entry in
                var out = Content(
                    collection: entry.shape.collection,
                    id: entry.id,
                    isCreated: entry.reference == .created
                )
                let slots = UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound])
                var reader = ByteReader(slots)
                for operation in entry.shape.operations {
                    for field in operation.fields {
                        let slot = try reader.slot()
                        if operation.group == 0 {
                            out.life = try slot.value()
                        } else if operation.mergeClass == .register {
                            out.registers[field] = try slot.value()
                        }
                    }
                }
                return out
            }
        }
    }
}
