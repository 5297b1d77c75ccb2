// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TsunaguCore

/// Sets right a file whose pages are damaged, where these hold nothing but what the log tells too.
extension Store {
    /// Makes damaged indexes and derived tables anew, works out what they hold from the log, and writes the file anew.
    ///
    /// All of it is one transaction, which stays only where the whole check finds no fault after it; killed before the
    /// file is written anew, the next call does that.
    ///
    /// - Returns: whether the file was set right; without that it is as it was.
    package func rebuildDamagedTables() throws -> Bool {
        let tables = try look { try $0.damagedTables() }
        guard try look({ try $0.isDerived(tables) }) else { return false }
        do {
            if !tables.isEmpty { try write { try $0.rebuild(tables) } }
        } catch is StoreTransaction.NotDerived {
            return false
        } catch StoreError.damaged, StoreError.damagedLog {
            return false
        }
        // What the damaged pages held is in no table any more, and they are not free either.
        try vacuum()
        return try checkFile().faultCount == 0
    }
}

extension StoreTransaction {
    /// What is damaged is more than the log could tell.
    struct NotDerived: Error {}

    /// Tables that the log tells, or whose loss costs nothing that does not come again.
    private var derivedTables: Set<String> {
        Set(schema.collections.map(\.name)).union(
            ["record", "history", "item", "sibling", "conflict", "part", "holding", "staged"]
        )
    }

    /// Whether every one of some damaged tables is one that the log tells, or damaged in its indexes alone.
    func isDerived(_ tables: [String]) throws -> Bool {
        try tables.allSatisfy { try derivedTables.contains($0) || isReadable($0) }
    }

    fileprivate func rebuild(_ tables: [String]) throws {
        try makeAnew(tables)
        guard try damagedTables().isEmpty else { throw NotDerived() }
        guard !derivedTables.isDisjoint(with: tables) else { return }
        // The devices' keys first: by these the log is checked.
        let shown = schema.collections.filter { tables.contains($0.name) }
        try showNews(shown.map { SchemaTables.News(collection: $0, isNewTable: true) })
        _ = try repairTables()
        let found = try verify()
        guard found.log.faultCount == 0, !found.areTablesFaulty else { throw NotDerived() }
    }

    /// Makes empty tables, or where a table is not derived its indexes, by the file's own definitions.
    private func makeAnew(_ tables: [String]) throws {
        var definitions: [String] = []
        // A damaged tree cannot be dropped, which would walk it: it is forgotten.
        try db.execute(sql: "PRAGMA writable_schema = 1")
        for table in tables {
            let rows =
                "FROM sqlite_schema WHERE tbl_name = ?"
                + (derivedTables.contains(table) ? "" : " AND type = 'index' AND sql IS NOT NULL")
            definitions += try String.fetchAll(
                db,
                sql: "SELECT sql \(rows) AND sql IS NOT NULL ORDER BY type DESC",
                arguments: [table]
            )
            try db.execute(sql: "DELETE \(rows)", arguments: [table])
        }
        try db.execute(sql: "PRAGMA writable_schema = RESET")
        for sql in definitions { try db.execute(sql: sql) }
    }

    /// The tables in which, or in whose indexes, SQLite finds a fault.
    func damagedTables() throws -> [String] {
        let names = try String.fetchAll(
            db,
            sql: "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return try names.filter { name in try !integrityFaults("integrity_check(\(name))").isEmpty }
    }

    /// Whether all rows of a table can be read and are in order, whatever its indexes hold.
    private func isReadable(_ table: String) throws -> Bool {
        do {
            var former: Int64?
            let rows = try Row.fetchCursor(db, sql: "SELECT rowid, * FROM \(table) NOT INDEXED ORDER BY rowid")
            while let row = try rows.next() {
                let no: Int64 = row[0]
                guard former.map({ $0 < no }) ?? true else { return false }
                former = no
            }
            return true
        } catch is DatabaseError {
            // Damaged, or a table that is its own index.
            return false
        }
    }
}
