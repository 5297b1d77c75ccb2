// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TsunaguCore

/// The typed tables that a person queries with `sqlite3`: one a collection, named like it, one column a field.
///
/// Beside the fields: `rid` (the key of `record`), `id` (`lower(hex(id))` is what commands print), `space`
/// (`space.no`), `deleted`, and `search` where the collection has searchable fields.
enum SchemaTables {
    /// The fields that have a column: members of registers, sets and flows.
    static func columns(of collection: CollectionSchema) -> [Field] {
        collection.groups.filter { $0.kind.hasColumn }.flatMap(\.fields)
    }

    /// The fields whose text is looked through, in the order in which it stands in the key.
    static func searchFields(_ collection: CollectionSchema) -> [Field] { columns(of: collection).filter(\.searchable) }

    static func hasSearch(_ collection: CollectionSchema) -> Bool { !searchFields(collection).isEmpty }

    /// What a file did not know of a collection before.
    struct News {
        let collection: CollectionSchema
        let isNewTable: Bool
        /// Fields that have a column only now.
        var fields: [Field] = []
    }

    /// Creates what is missing; an older file gains the columns of a newer schema.
    static func update(_ db: Database, to schema: Schema) throws -> [News] {
        var out: [News] = []
        for collection in schema.collections {
            var news = News(collection: collection, isNewTable: try !db.tableExists(collection.name))
            if !news.isNewTable {
                let present = try Set(db.columns(in: collection.name).map(\.name))
                for field in columns(of: collection) where !present.contains(field.name) {
                    try db.execute(sql: "ALTER TABLE \(collection.name) ADD COLUMN \(field.name) \(field.kind.sqlType)")
                    news.fields.append(field)
                }
                if hasSearch(collection), !present.contains("search") {
                    try db.execute(sql: "ALTER TABLE \(collection.name) ADD COLUMN search TEXT")
                }
            } else {
                var parts = [
                    "rid INTEGER PRIMARY KEY", "id BLOB NOT NULL", "space INTEGER NOT NULL",
                    "deleted INTEGER NOT NULL DEFAULT 0",
                ]
                parts += columns(of: collection).map { "\($0.name) \($0.kind.sqlType)" }
                if hasSearch(collection) { parts.append("search TEXT") }
                try db.execute(sql: "CREATE TABLE \(collection.name)(\(parts.joined(separator: ", ")))")
            }
            for field in columns(of: collection) where field.indexed {
                let name = "\(collection.name)_by_\(field.name)"
                try db.execute(sql: "CREATE INDEX IF NOT EXISTS \(name) ON \(collection.name)(\(field.name))")
            }
            out.append(news)
        }
        return out
    }
}

extension MergeKind {
    /// Whether the group's current value stands in the typed table.
    var hasColumn: Bool {
        switch self {
        case .latest, .review, .set, .flow, .counter: true
        case .log, .seats: false
        }
    }
}

extension Field.Kind {
    var sqlType: String {
        switch self {
        case .text: "TEXT"
        case .integer: "INTEGER"
        }
    }
}
