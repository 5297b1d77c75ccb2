// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Erasing as far as tables go: the record is emptied and counts as gone; the log still holds what was written.
///
/// Everything else of protection asks here, so that the engine's erasure has one place to take over.
extension Draft {
    func erase(_ collection: CollectionSchema, _ id: RecordID) throws {
        let registers = collection.groups.filter { $0.kind.mergeClass == .register }.flatMap(\.fields)
        try set(collection, id, registers.map { ($0.number, .null) })
        try delete(collection, id, reason: StoreTransaction.erased)
    }
}

extension StoreTransaction {
    /// What the deletion says that stands for an erasure.
    static let erased: ExactText = "erased"

    /// Whether a record was erased, whatever was written on it by those who did not know.
    func isErased(_ row: StoredRecord) throws -> Bool {
        guard try row.deleted || conflicts(rid: row.rid).contains(where: { $0.group == nil }) else { return false }
        return try entries(on: row.rid).contains { $0.isErasure }
    }

    /// What was written on an erased record without knowledge of that.
    func lateEdits(of row: StoredRecord) throws -> [PersonEdit] {
        let entries = try entries(on: row.rid)
        let erasures = try entries.filter(\.isErasure).compactMap { try causes(of: $0.header.dot, in: row.space) }
        return entries.filter { entry in
            !entry.isErasure && !erasures.contains { $0.covers(entry.header.dot) }
        }.map(PersonEdit.init)
    }
}

extension WithdrawnEntry {
    /// A person who deletes a record with the same word does not empty it.
    fileprivate var isErasure: Bool {
        shape.operations.first?.group == 0 && values.count > 1 && values[0] == .text(StoreTransaction.erased)
            && values[1...].allSatisfy { $0 == .null }
    }
}
