// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Finds records by one indexed field again and again: what an import asks for every row, without what a general query
/// costs.
package struct RecordLookup {
    /// What was found.
    package struct Found {
        package let rid: Int64
        package let id: RecordID
        package let deleted: Bool
        /// The fields asked for, in the order asked.
        package let values: [Value]
        /// Whether another live record has the same key.
        package let isAmbiguous: Bool
    }

    private let select: RawStatement
    private let count: Int

    fileprivate init(_ select: RawStatement, count: Int) {
        self.select = select
        self.count = count
    }

    /// The record of a key, live ones before deleted ones.
    package func find(_ key: Value) throws -> Found? {
        select.bind(1, key)
        defer { select.reset() }
        guard try select.step() else { return nil }
        let (rid, id, deleted) = (select.int(0), RecordID(bytes: select.bytes(1))!, select.int(2) != 0)
        let values = (0..<count).map { select.value(Int32($0 + 3)) }
        let hasOther = try !deleted && select.step() && select.int(2) == 0
        return Found(rid: rid, id: id, deleted: deleted, values: values, isAmbiguous: hasOther)
    }
}

extension StoreTransaction {
    /// A look-up by a field's value, or by the record's id where `field` is `nil`.
    package func lookup(
        _ collection: CollectionSchema,
        by field: Field?,
        reading fields: [Field] = []
    ) throws -> RecordLookup {
        let names = fields.map { ", \($0.name)" }.joined()
        let key = field?.name ?? "id"
        let select = try statement(
            "SELECT rid, id, deleted\(names) FROM \(collection.name) WHERE \(key) = ? ORDER BY deleted, id LIMIT 2"
        )
        return RecordLookup(select, count: fields.count)
    }

    /// Whether a collection has any record here.
    package func isEmpty(_ collection: CollectionSchema) throws -> Bool {
        let select = try statement("SELECT 1 FROM \(collection.name) LIMIT 1")
        defer { select.reset() }
        return try !select.step()
    }

    /// How many rows of a collection's table meet a condition.
    package func count(
        _ collection: CollectionSchema,
        where condition: String = "1",
        _ arguments: [Value] = []
    ) throws -> Int {
        let select = try statement("SELECT count(*) FROM \(collection.name) WHERE \(condition)")
        for (index, argument) in arguments.enumerated() { select.bind(Int32(index + 1), argument) }
        defer { select.reset() }
        return try select.step() ? Int(select.int(0)) : 0
    }
}
