// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("What is refused is listed")
struct RefusalListTests {
    /// With as many changes as the original, and with more.
    @Test(arguments: [1, 2])
    func `A copied data directory is told so, loses nothing, and stops nobody else`(writes: Int) throws {
        let ward = try WardFixture()
        let (site, other) = (try ward.join("site"), try ward.join("other"))
        let copy = DataDirectory(ward.root.path + "/copy")
        try site.store.close()
        try FileManager.default.copyItem(atPath: site.directory.path, toPath: copy.path)
        let original = try Site.open(site.directory, person: WardFixture.clerk)
        let clone = try Site.open(copy, person: WardFixture.clerk)
        _ = try original.addResident(["family_name=本"])
        let ids = try (0..<writes).map { try clone.addResident(["family_name=写\($0)"]) }
        #expect(try ward.sync(original).upToDate)

        let report = try ward.sync(clone)
        #expect(!report.upToDate)
        #expect(report.outcome.refused.contains { $0.reason == "equivocation" })
        for place in [clone, ward.centre] {
            #expect(try place.status().refused.contains { $0.reason == "equivocation" && $0.here })
        }
        for id in ids { #expect(try clone.read { try $0.record(WardSchema.resident, id) } != nil) }

        _ = try other.addResident(["family_name=他"])
        #expect(try ward.sync(other).upToDate, "nobody else is held up")
        #expect(try ward.sync(original).upToDate)
        #expect(try ward.digests(other) == ward.digests(original))
    }

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
}
