// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Equal changes, unequal digests")
struct DivergenceTests {
    private let residents = SpaceID("residents")!

    /// A ward of many residents, and a branch that has them all.
    private func ward(_ count: Int) throws -> (ward: WardFixture, branch: Site, ids: [RecordID]) {
        let ward = try WardFixture()
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
            for index in 0..<count {
                let id = try draft.append(shape) { out in
                    out.appendSlot(.text("家\(index)"))
                    out.appendSlot(.text("名\(index)"))
                    out.appendSlot(.text("03-0000-\(index)"))
                }
                ids.append(id)
            }
        }
        let branch = try ward.join("branch")
        #expect(try ward.sync(branch).upToDate)
        return (ward, branch, ids)
    }

    private func execute(_ site: Site, _ sql: String, _ arguments: StatementArguments = []) throws {
        try DatabaseQueue(path: site.directory.database).write { try $0.execute(sql: sql, arguments: arguments) }
    }

    /// Makes a site's state of a record another, and its digest with it, as a defect in merging would.
    private func corrupt(_ site: Site, _ id: RecordID) throws {
        try execute(
            site,
            "UPDATE record SET meta = CAST(substr(meta, 1, 15) || x'7777' || substr(meta, 18) AS BLOB) WHERE id = ?",
            [Data(id.bytes)]
        )
        try execute(site, "UPDATE space SET digest = randomblob(16) WHERE name = 'residents'")
    }

    private func isWhole(_ site: Site) throws -> Bool {
        try site.read { transaction in
            let found = try transaction.verify()
            return found.log.faultCount + found.tables.faultCount + found.digests.faultCount == 0
        }
    }

    @Test(arguments: [false, true])
    func `One corrupted record is located, named and set right on the side that is wrong`(_ atHub: Bool) throws {
        let (ward, branch, ids) = try ward(2000)
        let wrong = atHub ? ward.centre : branch
        try corrupt(wrong, ids[777])
        #expect(try !isWhole(wrong))
        let report = try ward.sync(branch)
        #expect(
            report.outcome.differences == [
                SyncClient.Difference(space: residents, record: ids[777], wrong: atHub ? .peer : .here)
            ]
        )
        #expect(report.upToDate && report.outcome.diverged.isEmpty)
        for site in [branch, ward.centre] { #expect(try isWhole(site)) }
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
        let notices = try wrong.read { try $0.notices() }.map { "\($0.code) \($0.detail)" }
        #expect(notices.last == "record_restated residents \(ids[777])")
        #expect(try ward.sync(branch).outcome.differences.isEmpty)
    }

    @Test func `What is found costs bytes in proportion to the logarithm of the records`() throws {
        var bytes: [Int] = []
        for count in [250, 4000] {
            let (ward, branch, ids) = try ward(count)
            let before = try ward.sync(branch)
            try corrupt(branch, ids[count / 2])
            let report = try ward.sync(branch)
            #expect(report.upToDate)
            bytes.append(report.bytesSent + report.bytesReceived - before.bytesSent - before.bytesReceived)
        }
        // Sixteen times the records are a level or two more, of sixteen sums with their envelope.
        #expect(bytes[0] < 4096 && bytes[1] < 2 * bytes[0], "\(bytes)")
    }

    @Test func `Many records, on both sides, and a record that is missing`() throws {
        let (ward, branch, ids) = try ward(1000)
        for index in 0..<20 { try corrupt(index % 2 == 0 ? branch : ward.centre, ids[index * 37]) }
        try execute(branch, "DELETE FROM record WHERE id = ?", [Data(ids[5].bytes)])
        let report = try ward.sync(branch)
        let expected = (0..<20).map {
            SyncClient.Difference(space: residents, record: ids[$0 * 37], wrong: $0 % 2 == 0 ? .here : .peer)
        }
        let missing = SyncClient.Difference(space: residents, record: ids[5], wrong: .here)
        #expect(Set(report.outcome.differences) == Set(expected + [missing]))
        #expect(report.upToDate)
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
        #expect(try branch.read { try $0.record(WardSchema.resident, ids[5])?.values["phone"] } == .text("03-0000-5"))
    }

    @Test(arguments: [false, true])
    func `A sum that is kept wrongly is added up again, and no record is blamed`(_ atHub: Bool) throws {
        let (ward, branch, _) = try ward(100)
        try execute(
            atHub ? ward.centre : branch,
            "UPDATE space SET digest = zeroblob(16) WHERE name IN ('residents', 'system')"
        )
        let report = try ward.sync(branch)
        #expect(report.upToDate && report.outcome.differences.isEmpty)
        for site in [branch, ward.centre] { #expect(try isWhole(site)) }
    }

    @Test func `A search that is cut anywhere is taken up by the next exchange`() throws {
        let (ward, branch, ids) = try ward(600)
        var cut = 1
        while true {
            try corrupt(branch, ids[cut])
            try corrupt(ward.centre, ids[cut + 100])
            let transport = ward.transport()
            var left = cut
            transport.onPost = { path, _ in
                guard path == "/v1/exchange" else { return }
                left -= 1
                if left < 0 { throw TransportError.unreachable("cut") }
            }
            let report = try branch.sync(with: transport)
            if report.failure == nil { break }
            #expect(!report.upToDate)
            #expect(try ward.sync(branch).upToDate)
            #expect(try isWhole(branch) && isWhole(ward.centre))
            cut += 1
        }
        #expect(cut > 4)
    }

    @Test func `A space that the client may not hold is not added up for it, and neither is anything without end`()
        throws
    {
        let (ward, _, ids) = try ward(50)
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        let server = SyncServer(client: venue.keys.device)
        let replica = StoreReplica(ward.centre)
        let summary = try #require(try replica.summaries().first { $0.space == residents })
        let ask = SumsRequest(summary: summary, ranges: [.all])
        #expect(try server.answer(.sums(ask), replica) == .sums(nil))
        let run = try #require(try ward.centre.read { try $0.runs(of: residents, lacking: [:]) }.first)
        let envelope = try #require(try replica.run(run))
        let again = SyncRequest.run(residents, envelope.replica, first: envelope.first)
        #expect(try server.answer(again, replica) == .run(nil))

        // The same question from one who may, over and over: answered as often as a search can need.
        let branch = try ward.join("other")
        let answering = SyncServer(client: branch.keys.device)
        #expect(try answering.answer(.sums(ask), replica) != .sums(nil))
        #expect(try answering.answer(again, replica) == .run(envelope))
        let search = SumsRequest(summary: summary, ranges: [RecordPrefix(ids[0])])
        guard case .sums(let sums?) = try answering.answer(.sums(search), replica) else {
            Issue.record("no answer")
            return
        }
        guard case .records(let records) = sums[0] else {
            Issue.record("no record")
            return
        }
        #expect(records.map(\.id) == [ids[0]] && records.allSatisfy { !$0.wasWrong })
    }

    @Test func `Requests for sums read back as they were written, and hostile ones are refused`() throws {
        let summary = SpaceSummary(
            space: residents,
            vectorHash: Bytes16(1),
            exceptionsHash: Bytes16(2),
            digest: Bytes16(3)
        )
        let id = RecordID(derivedFrom: [[1]])
        let ranges = [RecordPrefix.all.child(0), RecordPrefix.all.child(3).child(15), RecordPrefix.all.child(9)]
        let requests: [SyncRequest] = [
            .sums(SumsRequest(summary: summary, ranges: ranges)),
            .sums(SumsRequest(summary: summary, ranges: [RecordPrefix(id)])),
            .run(residents, ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 7), first: 9),
        ]
        for request in requests {
            let bytes = request.encoded
            #expect(try bytes.withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory) } == request)
            for end in bytes.indices {
                #expect(throws: CodecError.self) {
                    try Array(bytes[..<end]).withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory)
                    }
                }
            }
        }
        let replies: [SyncReply] = [
            .sums(nil), .sums([.parts((0..<16).map { Bytes16(UInt128($0)) })]), .run(nil),
            .sums([.records([RangeSum.Record(id: id, sum: Bytes16(4), wasWrong: true)])]),
        ]
        for reply in replies {
            let bytes = reply.encoded
            #expect(try bytes.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) } == reply)
        }
        let overlapping = SyncRequest.sums(
            SumsRequest(summary: summary, ranges: [.all, RecordPrefix.all.child(0)])
        ).encoded
        #expect(throws: CodecError.self) {
            try overlapping.withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory) }
        }
    }
}
