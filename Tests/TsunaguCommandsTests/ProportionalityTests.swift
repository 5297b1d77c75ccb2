// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import Synchronization
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Work is proportional to the difference")
struct ProportionalityTests {
    /// Tables that grow with the ward: an exchange of a few edits must not read one of them through.
    private static let large = ["run", "record", "history", "item", "seed", "resident", "procedure", "booking"]

    private final class Statements: Sendable {
        let seen = Mutex<Set<String>>([])

        var environment: Store.Environment {
            var environment = Store.Environment.system
            environment.observe = { sql in self.seen.withLock { $0.formUnion(sql) } }
            return environment
        }
    }

    @Test func `Ten edits among thousands of residents move less than four kibibytes and scan no large table`() throws {
        let ward = try WardFixture()
        let residents = SpaceID("residents")!
        let shape = Shape(
            collection: WardSchema.resident.number,
            operations: [
                Shape.Operation(group: 1, .register, fields: [1, 2]),
                Shape.Operation(group: 7, .register, fields: [14]),
            ]
        )
        var ids: [RecordID] = []
        try ward.centre.write { transaction in
            let draft = try transaction.draft(residents, by: ward.centre.person)
            for index in 0..<5000 {
                ids.append(
                    try draft.append(shape) { out in
                        out.appendSlot(.text("家\(index)"))
                        out.appendSlot(.text("名\(index)"))
                        out.appendSlot(.text("03-0000-\(index)"))
                    }
                )
            }
        }
        let joined = try ward.join("branch")
        let (here, there) = (Statements(), Statements())
        let branch = try Site.open(joined.directory, person: WardFixture.clerk, environment: here.environment)
        let hub = Hub(try Site.open(ward.centre.directory, person: .daemon, environment: there.environment))
        for (place, id) in ids.prefix(10).enumerated() {
            try branch.write { transaction in
                try transaction.draft(residents, by: branch.person).set(
                    WardSchema.resident,
                    id,
                    [(14, .text("090-0111-000\(place)"))]
                )
            }
        }
        here.seen.withLock { $0 = [] }

        let report = try branch.sync(with: LoopbackTransport(hub))
        #expect(report.upToDate)
        #expect(report.outcome.sent == 10)
        #expect(report.bytesSent + report.bytesReceived < 4096, "\(report.bytesSent) + \(report.bytesReceived)")
        for (site, statements) in [(branch, here), (ward.centre, there)] {
            let used = statements.seen.withLock { $0 }
            #expect(!used.isEmpty)
            for sql in used { try expectNoScan(sql, site) }
        }
    }

    /// What SQLite itself says it will read.
    private func expectNoScan(_ sql: String, _ site: Site) throws {
        let queue = try DatabaseQueue(path: site.directory.database)
        let plan = try queue.read { db in
            let statement = try db.makeStatement(sql: "EXPLAIN QUERY PLAN \(sql)")
            statement.setUncheckedArguments(StatementArguments())
            return try Row.fetchAll(statement)
        }
        for row in plan {
            let detail: String = row["detail"]
            let table = String(detail.split(separator: " ")[1])
            // The partial index holds waiting runs only. A search by space alone reads a whole space.
            let reads = detail.hasPrefix("SCAN ") && !detail.contains("withheld") || detail.hasSuffix("(space=?)")
            #expect(!reads || !Self.large.contains(table), "\(detail): \(sql)")
        }
    }
}
