// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TsunaguCore
import TsunaguStore

extension TestSite {
    /// Every row of every table, as text: what "nothing was changed" means.
    package func dump() throws -> [String: [String]] { try Self.dump(path: path) }

    package static func dump(path: String) throws -> [String: [String]] {
        var configuration = Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { db in
            var out: [String: [String]] = [:]
            let tables = try String.fetchAll(
                db,
                sql: "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
            for table in tables {
                out[table] = try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map(describe).sorted()
            }
            return out
        }
    }

    private static func describe(_ row: Row) -> String {
        row.map { name, value in
            switch value.storage {
            case .null: "\(name)=null"
            case .int64(let number): "\(name)=\(number)"
            case .double(let number): "\(name)=\(number)"
            case .string(let text): "\(name)='\(Hex.encode(text.utf8))'"
            case .blob(let data): "\(name)=x\(Hex.encode(data))"
            }
        }.joined(separator: " ")
    }

    private struct Undo: Error {}

    /// Compares every record with what the definition makes of the log; and works every record out anew, which must
    /// change nothing.
    package func compareWithDefinition(rederiving: Bool, _ failure: (String) -> any Error) throws {
        func check(_ transaction: StoreTransaction, _ place: String) throws {
            let found = try transaction.verify()
            for fault in found.log.faults + found.tables.faults + found.digests.faults {
                throw failure("\(place): \(fault.record?.description ?? "") \(fault.detail)")
            }
        }
        try store.read { try check($0, "by definition") }
        guard rederiving else { return }
        do {
            try store.write { transaction in
                let digest = try transaction.digest(of: TestSchema.space)
                let rids = try transaction.records(TestSchema.note).map(\.rid)
                for rid in rids { try transaction.rederive(rid) }
                try check(transaction, "worked out anew")
                guard try transaction.digest(of: TestSchema.space) == digest else {
                    throw failure("worked out anew, the digest is another")
                }
                throw Undo()
            }
        } catch is Undo {}
    }
}
