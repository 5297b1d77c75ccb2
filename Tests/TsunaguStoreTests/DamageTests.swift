// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Single faults in every table of a real store: each is found by the check that is meant for it, and set right or left
/// alone; nothing else moves.
@Suite struct DamageTests {
    private enum Part: String {
        case log, tables, digests, waiting
    }

    /// A column and the check that watches over it.
    private static let columns: [(table: String, column: String, part: Part)] =
        [
            ("record", ["meta", "id", "author", "seq", "entry"], Part.tables),
            (
                "note", ["title", "body", "size", "phone", "tags", "tally", "status", "deleted", "search", "id"],
                .tables
            ),
            ("device", ["name", "deleted"], .tables),
            (
                "item", ["content", "leaf", "depth", "timestamp", "author", "seq", "idx", "grp"],
                .tables
            ),
            ("sibling", ["head", "author", "seq", "grp"], .tables), ("conflict", ["id", "grp"], .tables),
            ("history", ["author", "seq", "rid"], .tables), ("space", ["digest"], .digests),
            ("chain", ["state", "seq", "sealed", "block"], .log), ("seed", ["seed", "start"], .log),
            ("run", ["base"], .log),
        ].flatMap { table, columns, part in columns.map { (table, $0, part) } }

    /// Changes one value of one row, or the row itself.
    ///
    /// - Returns: what was done; `nil` where the table has no row or its key forbids it.
    private static func damage(
        _ queue: DatabaseQueue,
        _ table: String,
        _ column: String,
        _ generator: inout SeededGenerator
    ) throws -> String? {
        let choice = (row: generator.next(), kind: generator.below(8), bit: generator.next())
        return try queue.write { db in
            let columns = try db.columns(in: table).map(\.name)
            let keys = try db.primaryKey(table).columns
            let rows = try Row.fetchAll(db, sql: "SELECT * FROM \(table)")
            guard !rows.isEmpty else { return nil }
            let row = rows[Int(choice.row % UInt64(rows.count))]
            let place = (keys.isEmpty ? columns : keys).map { "\($0) IS ?" }.joined(separator: " AND ")
            let key = StatementArguments((keys.isEmpty ? columns : keys).map { row[$0] as DatabaseValue })
            if choice.kind == 0, !["chain", "space", "run"].contains(table) {
                try db.execute(sql: "DELETE FROM \(table) WHERE \(place)", arguments: key)
                return "\(table): a row less"
            }
            let value: DatabaseValue
            switch (row[column] as DatabaseValue).storage {
            case .null: value = "x".databaseValue
            case .int64(let number): value = (number ^ (1 << Int64(choice.bit % 3))).databaseValue
            case .double: return nil
            case .string(let text): value = (text + "x").databaseValue
            case .blob(var data):
                guard !data.isEmpty else { return nil }
                data[Int(choice.bit >> 8) % data.count] ^= 1 << UInt8(choice.bit % 8)
                value = data.databaseValue
            }
            do {
                try db.execute(
                    sql: "UPDATE \(table) SET \(column) = ? WHERE \(place)",
                    arguments: StatementArguments([value]) + key
                )
            } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
                return nil
            }
            return "\(table).\(column)"
        }
    }

    private static func ward(_ seed: UInt64) throws -> SimulatedWard {
        let ward = try SimulatedWard(sites: 3, seed: seed)
        for _ in 0..<80 { try ward.step() }
        try ward.settle()
        for site in ward.sites { try site.seal() }
        return ward
    }

    private static func faults(_ site: TestSite) throws -> [String: [String]] {
        try site.store.read { transaction in
            let found = try transaction.verify()
            let waiting = try transaction.checkWaiting()
            let all = [Part.log: found.log, .tables: found.tables, .digests: found.digests, .waiting: waiting]
            return Dictionary(
                uniqueKeysWithValues: all.filter { $0.value.faultCount > 0 }.map {
                    ($0.key.rawValue, $0.value.faults.map(\.detail))
                }
            )
        }
    }

    private static func repair(_ site: TestSite) throws {
        _ = try site.store.write { try $0.repairLog() }
        _ = try site.store.write { try $0.repairTables() }
        _ = try site.store.write { try $0.dropUnreadableWaiting() }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func everySingleFaultIsFoundAndSetRight(_ seed: UInt64) throws {
        let ward = try Self.ward(seed)
        let site = ward.sites[1]
        let queue = try DatabaseQueue(path: site.path)
        #expect(try Self.faults(site).isEmpty)
        let before = try site.dump()
        var generator = SeededGenerator(seed: seed)
        var done: Set<String> = []
        for (table, column, part) in Self.columns {
            for _ in 0..<3 {
                guard let damage = try Self.damage(queue, table, column, &generator) else { continue }
                done.insert(table)
                let found = try Self.faults(site)
                #expect(found[part.rawValue] != nil, "\(damage) is not seen: \(found)")
                try Self.repair(site)
                let after = try site.dump()
                for (name, rows) in before where after[name] != rows {
                    Issue.record("\(damage), repaired, leaves \(name) another: \(found)")
                }
                guard after == before else { return }
            }
        }
        #expect(done.isSuperset(of: ["record", "note", "item", "history", "space", "chain", "seed", "run"]))
        #expect(try site.digest() == ward.sites[0].digest())
    }

    @Test func aDamagedRunIsNamedAndTakenAgainFromAPeer() throws {
        let ward = try Self.ward(7)
        let site = ward.sites[1]
        let queue = try DatabaseQueue(path: site.path)
        let before = try site.dump()
        var generator = SeededGenerator(seed: 7)
        var harmless = 0
        for step in 0..<30 {
            let column = step % 3 == 2 ? "signature" : "body"
            guard try Self.damage(queue, "run", column, &generator) != nil else { continue }
            let damaged = try site.store.read { try $0.verify() }
            if damaged.log.faultCount == 0 {
                // A bit that means nothing to the compressor: seal and hashes are right, so the run is.
                harmless += 1
                #expect(column == "body" && damaged.tables.faultCount == 0)
                try queue.write { try Self.restore($0, from: before) }
                continue
            }
            let kept = try site.dump()
            try Self.repair(site)
            #expect(try site.dump() == kept, "a log that cannot be read moved something: \(damaged)")
            #expect(!damaged.damagedRuns.isEmpty)
            for place in damaged.damagedRuns {
                let copy = try ward.sites[0].store.read { try $0.sealedRun(place) }
                var wrong = try #require(copy)
                wrong.body[wrong.body.count / 2] ^= 1
                let isRefused = try site.store.write { try $0.replaceRun(place, with: [wrong]) } == false
                #expect(isRefused || column == "body")
                _ = try site.store.write { try $0.replaceRun(place, with: [copy!]) }
            }
            #expect(try site.dump() == before)
            try #require(Self.faults(site).isEmpty, "\(step)")
        }
        #expect(harmless < 6)
    }

    /// Puts the bodies back.
    private static func restore(_ db: Database, from dump: [String: [String]]) throws {
        for row in dump["run"] ?? [] {
            let cells = Dictionary(
                uniqueKeysWithValues: row.split(separator: " ").map { cell in
                    let parts = cell.split(separator: "=", maxSplits: 1)
                    return (String(parts[0]), String(parts[1]))
                }
            )
            let body = Data(try #require(Hex.decode(String(cells["body"]!.dropFirst()))))
            try db.execute(sql: "UPDATE run SET body = ? WHERE no = ?", arguments: [body, Int(cells["no"]!)!])
        }
    }

    /// What nobody else has cannot come again: it is said, and nothing is guessed.
    @Test func aDamagedRunThatNobodyHasIsLeftAsItIs() throws {
        let scratch = try Scratch()
        let site = try makeWard(["a"], in: scratch)[0]
        for step in 0..<6 { try site.write { try $0.create(TestSchema.note, [(1, .text("\(step)"))]) } }
        let queue = try DatabaseQueue(path: site.path)
        try queue.write { db in
            var body: Data = try Data.fetchOne(db, sql: "SELECT body FROM run WHERE first = 3 AND space = 1")!
            body[body.count - 1] ^= 1
            try db.execute(sql: "UPDATE run SET body = ? WHERE first = 3 AND space = 1", arguments: [body])
        }
        let damaged = try site.dump()
        let found = try site.store.read { try $0.verify() }
        #expect(found.log.faultCount == 1 && found.damagedRuns.isEmpty, "\(found.log.faults)")
        #expect(found.tables.faultCount == 0 && found.digests.faultCount == 0, "\(found)")
        try Self.repair(site)
        #expect(try site.dump() == damaged)
    }

    /// Numbers that were given must not be given again, so a chain is not cut back to what is left of it.
    @Test func lostRunsAreNotForgotten() throws {
        let scratch = try Scratch()
        let site = try makeWard(["a"], in: scratch)[0]
        for step in 0..<6 { try site.write { try $0.create(TestSchema.note, [(1, .text("\(step)"))]) } }
        let queue = try DatabaseQueue(path: site.path)
        for lost in [6, 4] {
            try queue.write { try $0.execute(sql: "DELETE FROM run WHERE first = \(lost) AND space = 1") }
            let damaged = try site.dump()
            #expect(try Self.faults(site).keys.contains("log"))
            try Self.repair(site)
            #expect(try site.dump() == damaged)
        }
    }

    @Test func rowsOfNoRecordAreFoundAndDropped() throws {
        let ward = try Self.ward(11)
        let site = ward.sites[2]
        let queue = try DatabaseQueue(path: site.path)
        let before = try site.dump()
        let rows = [
            "INSERT INTO item VALUES (9999, 3, 1, 1, 0, 0, 0, zeroblob(16), x'61')",
            "INSERT INTO item SELECT rid, 3, 777, 1, 0, 0, 0, zeroblob(16), x'61' FROM record WHERE collection = 20 LIMIT 1",
            "INSERT INTO sibling VALUES (9999, 1, 1, 1, x'00')",
            "INSERT INTO conflict VALUES (9999, 1, 'abcdefghijkl')",
            "INSERT INTO history VALUES (9999, 1, 1)",
            "INSERT INTO history SELECT rid, author, seq FROM record WHERE collection = 20 LIMIT 1",
            "INSERT INTO history SELECT rid, 1, 1 FROM record WHERE collection = 20 AND author <> 1 LIMIT 1",
            "INSERT INTO note(rid, id, space) VALUES (9999, zeroblob(16), 1)",
            "INSERT INTO record VALUES (9999, zeroblob(16), 1, 20, 1, 1, 0, x'')",
            "INSERT INTO record VALUES (9999, zeroblob(16), 77, 20, 1, 1, 0, x'')",
            "INSERT INTO record VALUES (9999, x'00', 1, 20, 1, 1, 0, x'')",
        ]
        for sql in rows {
            try queue.write { try $0.execute(sql: sql) }
            guard try site.dump() != before else { continue }
            #expect(try Self.faults(site)["tables"] != nil, "\(sql)")
            try Self.repair(site)
            #expect(try Self.faults(site).isEmpty, "\(sql)")
            #expect(try site.dump() == before, "\(sql)")
        }
    }

    @Test func whatWaitsAndIsOfNoUseIsDropped() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b", "c"], in: scratch)
        let id = try sites[0].write { try $0.create(TestSchema.note, [(1, .text("x"))]) }
        try sites[1].pull(from: sites[0])
        try sites[1].write { try $0.create(TestSchema.note, [(1, .text("y"))]) }
        try sites[0].write { try $0.set(TestSchema.note, id, [(1, .text("z"))]) }
        let held = try sites[1].runs(TestSchema.space).filter { $0.replica == sites[1].replica }
        #expect(try sites[2].receive(held).allSatisfy { if case .held = $0 { true } else { false } })
        try sites[2].store.write { transaction in
            try transaction.stage(
                [1, 2, 3],
                of: StoreTransaction.Staged(
                    space: TestSchema.space,
                    replica: sites[0].replica,
                    first: 1,
                    hash: Bytes16(1),
                    total: 100
                ),
                from: sites[0].replica.device
            )
        }
        #expect(try Self.faults(sites[2]).isEmpty)
        let queue = try DatabaseQueue(path: sites[2].path)
        let damages = [
            "UPDATE holding SET replica = x'00'", "UPDATE holding SET space = '?'", "UPDATE holding SET count = 0",
            "UPDATE holding SET first = -1", "UPDATE holding SET signature = x'00'",
            "UPDATE holding SET signature = zeroblob(64)", "UPDATE holding SET body = substr(body, 1, 5)",
            "UPDATE holding SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB)",
            "UPDATE holding SET presenter = x'0102'", "UPDATE holding SET cause = 7",
            "UPDATE holding SET cause_space = '?'", "UPDATE holding SET cause_replica = x'00'",
            "UPDATE staged SET replica = x'00'",
            "UPDATE staged SET space = '?'",
            "UPDATE staged SET first = 0", "UPDATE staged SET hash = x'00'", "UPDATE staged SET total = 2",
            "UPDATE staged SET bytes = x''",
        ]
        for sql in damages {
            let kept = try sites[2].dump()
            try queue.write { try $0.execute(sql: sql) }
            #expect(try Self.faults(sites[2]).keys.sorted() == ["waiting"], "\(sql)")
            let table = sql.split(separator: " ")[1]
            try Self.repair(sites[2])
            var expected = kept
            expected[String(table)] = []
            #expect(try sites[2].dump() == expected, "\(sql)")
            // It comes again.
            try sites[2].receive(held)
            try sites[2].store.write { transaction in
                try transaction.stage(
                    [1, 2, 3],
                    of: StoreTransaction.Staged(
                        space: TestSchema.space,
                        replica: sites[0].replica,
                        first: 1,
                        hash: Bytes16(1),
                        total: 100
                    ),
                    from: sites[0].replica.device
                )
            }
        }
        try sites[2].pull(from: sites[0])
        try sites[2].pull(from: sites[1])
        try sites[1].pull(from: sites[0])
        #expect(try sites[2].digest() == sites[1].digest())
    }
}
