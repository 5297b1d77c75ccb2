// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension Draft {
    func erase(_ collection: CollectionSchema, _ id: RecordID) throws {
        let registers = collection.groups.filter { $0.kind.mergeClass == .register }.flatMap(\.fields)
        try set(collection, id, registers.map { ($0.number, .null) })
        try delete(collection, id, reason: "")
    }
}

extension StoredRecord {
    var isErased: Bool { deleted && values.values.allSatisfy { $0 == .null || $0.text?.string.hasPrefix("[") == true } }
}
