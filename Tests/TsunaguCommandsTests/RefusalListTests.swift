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

@Suite("What is refused is listed")
struct RefusalListTests {
    @Test func `What a peer would not take is listed until it has taken it`() throws {
        let ward = try WardFixture()
        let site = try ward.join("site")
        let peer = ward.centre.keys.device.description
        let replica = ReplicaID(device: site.keys.device, incarnation: 1)
        try site.write { transaction in
            try transaction.replaceRefusals(with: peer, [(.system, replica, 1, "unknown_device", false)])
        }
        #expect(try site.status().refused.map(\.reason) == ["unknown_device"])
        #expect(try ward.sync(site).upToDate)
        #expect(try site.status().refused.isEmpty, "a whole exchange without a refusal says that there is none")
    }

    @Test func `What this side refused is listed until it comes in a form that is taken`() throws {
        let ward = try WardFixture()
        let site = try ward.join("site")
        _ = try site.addResident(["family_name=佐藤"])
        try site.seal()
        let residents = SpaceID("residents")!
        let row = try #require(try StoreReplica(site).runs(of: residents, lacking: [:]).last)
        let good = try #require(try StoreReplica(site).run(row))
        var bad = good
        bad.signature[0] ^= 1
        let centre = StoreReplica(ward.centre)
        _ = try centre.receive(SyncFrame(items: [.run(bad)]), from: site.keys.device)
        #expect(try ward.centre.status().refused.map(\.reason) == ["bad_seal"])
        #expect(try centre.receive(SyncFrame(items: [.run(good)]), from: site.keys.device) == [.applied(1)])
        #expect(try ward.centre.status().refused.isEmpty)
    }

    @Test func `What waited and was applied later in the same exchange is not listed, wherever that ends`() throws {
        let ward = try WardFixture()
        let (site, reader) = (try ward.join("site"), try ward.join("reader"))
        try ward.sync(reader)
        for name in ["一", "二"] {
            _ = try site.addResident(["family_name=\(name)"])
            try site.seal()
        }
        #expect(try ward.sync(site).upToDate)
        let (here, there) = (StoreReplica(reader), StoreReplica(ward.centre))
        let server = SyncServer(client: reader.keys.device)
        var client = SyncClient(peer: ward.centre.keys.device)
        var action = try client.begin(here)
        var waited = 0
        while case .send(let request) = action {
            guard case .pull(let pull) = request else {
                action = try client.received(server.answer(request, there), here)
                continue
            }
            // The line turns the order around.
            var items: [SyncFrame.Item] = []
            var frames = try server.frames(pull, there)
            while let frame = try frames.next(from: there) { items += frame.items }
            for item in items.reversed() {
                try client.received(frame: SyncFrame(items: [item]), here)
                waited = max(waited, client.outcome.refused.count)
            }
            if waited > 0 { break }
            action = try client.pullEnded(here)
        }
        #expect(waited > 0)
        #expect(client.outcome.refused.isEmpty, "cut here, nothing is said to wait")
        #expect(try reader.read { try $0.records(WardSchema.resident).count } == 2)
    }

    /// Three of ten chains of ten changes have a damaged seal in the sender's file.
    @Test func `What is refused is listed at both ends, holds up nothing else, and is taken once it is mended`() throws
    {
        let ward = try WardFixture()
        let sites = try (0..<10).map { try ward.join("s\($0)") }
        for (number, site) in sites.enumerated() {
            for index in 0..<10 { _ = try site.addResident(["family_name=家\(number)-\(index)"]) }
            try site.seal()
        }
        // All by way of one neighbour, whose file is damaged.
        let carrier = sites[9]
        for site in sites.prefix(9) { #expect(try site.sync(with: LoopbackTransport(Hub(carrier))).upToDate) }
        func execute(_ sql: String) throws {
            try DatabaseQueue(path: carrier.directory.database).write { try $0.execute(sql: sql) }
        }
        let chosen = "SELECT no FROM run WHERE last - first = 9 ORDER BY no LIMIT 3"
        try execute("CREATE TABLE kept AS SELECT no, signature FROM run WHERE no IN (\(chosen))")
        try execute("UPDATE run SET signature = zeroblob(64) WHERE no IN (SELECT no FROM kept)")

        let report = try ward.sync(carrier)
        #expect(!report.upToDate && report.failure == nil)
        func count(_ site: Site) throws -> Int { try site.read { try $0.records(WardSchema.resident).count } }
        #expect(try count(ward.centre) == 70)
        // Both ends start anew.
        for site in [carrier, ward.centre] {
            let directory = site.directory
            try site.store.close()
            let again = try Site.open(directory, person: WardFixture.clerk)
            let isCentre = try again.isCentre()
            let refused = try again.status().refused.filter { $0.reason == "bad_seal" }
            #expect(refused.count == 3 && refused.allSatisfy { $0.here == isCentre })
            try again.store.close()
        }
        try execute(
            "UPDATE run SET signature = (SELECT signature FROM kept WHERE kept.no = run.no) WHERE no IN (SELECT no FROM kept)"
        )
        try execute("DROP TABLE kept")
        let (centre, mended) = (
            try Site.open(ward.centre.directory, person: WardFixture.clerk),
            try Site.open(carrier.directory, person: WardFixture.clerk)
        )
        #expect(try mended.sync(with: LoopbackTransport(Hub(centre))).upToDate)
        #expect(try count(centre) == 100)
        for site in [centre, mended] { #expect(try site.status().refused.isEmpty) }
    }
}
