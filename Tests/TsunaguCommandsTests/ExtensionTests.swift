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

/// One chain that was cut into runs in two ways: its author was put back to a backup with changes under no seal.
@Suite("A backup with unsealed changes")
struct ExtensionTests {
    private final class Ward {
        let fixture: WardFixture
        private(set) var centre: Site
        private var hub: Hub

        init() throws {
            fixture = try WardFixture()
            (centre, hub) = (fixture.centre, fixture.hub)
        }

        func sync(_ site: Site) throws -> SyncReport { try site.sync(with: LoopbackTransport(hub)) }

        func join(_ name: String) throws -> Site {
            let code = try centre.invite(role: .branch, name: name, spaces: [], milliseconds: 60_000, hub: "https://h")
            return try Site.join(
                DataDirectory(fixture.root + "/" + name),
                person: WardFixture.clerk,
                code: code.code,
                hub: nil,
                deviceName: name,
                connect: { _ in LoopbackTransport(self.hub) }
            ).site
        }

        /// Copies a site's data directory.
        func backUp(_ site: Site) throws -> Site {
            try site.store.close()
            try FileManager.default.copyItem(atPath: site.directory.path, toPath: site.directory.path + "-backup")
            return try reopen(site)
        }

        func restore(_ site: Site) throws -> Site {
            try site.store.close()
            try FileManager.default.removeItem(atPath: site.directory.path)
            try FileManager.default.copyItem(atPath: site.directory.path + "-backup", toPath: site.directory.path)
            return try reopen(site)
        }

        private func reopen(_ site: Site) throws -> Site {
            let opened = try Site.open(site.directory, person: site.person)
            if site.directory.path == centre.directory.path { (centre, hub) = (opened, Hub(opened)) }
            return opened
        }
    }

    private func add(_ site: Site, _ name: String) throws { _ = try site.addResident(["family_name=\(name)"]) }

    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(try transaction.records(WardSchema.resident, where: "deleted = 0").map { $0.text("family_name") ?? "" })
        }
    }

    private func codes(_ site: Site) throws -> Set<String> { Set(try site.status().notices.map(\.code)) }

    @Test func `A hub put back to unsealed changes gets back what it sealed together with them`() throws {
        let ward = try Ward()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        try add(ward.centre, "前")
        _ = try ward.backUp(ward.centre)
        try add(ward.centre, "後")
        #expect(try ward.sync(a).upToDate)
        let before = try ward.centre.read { try $0.ownReplica() }

        _ = try ward.restore(ward.centre)
        #expect(try ward.sync(a).upToDate)
        #expect(try names(ward.centre) == ["前", "後"])
        #expect(try codes(ward.centre).contains("own_changes_returned"))
        #expect(try ward.centre.read { try $0.ownReplica() } != before)
        try add(ward.centre, "新")
        // `b` gets the chain as the hub holds it now, `a` has it as it was cut first.
        for site in [b, a] { #expect(try ward.sync(site).upToDate) }
        for site in [a, b, ward.centre] {
            #expect(try names(site) == ["前", "後", "新"])
            #expect(try ward.fixture.digests(site) == ward.fixture.digests(ward.centre))
            #expect(try site.status().refused.isEmpty)
        }
    }

    @Test func `A clerk's machine put back to unsealed changes gets them back, and numbers none twice`() throws {
        let ward = try Ward()
        var a = try ward.join("a")
        let b = try ward.join("b")
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        try add(a, "前1")
        try add(a, "前2")
        a = try ward.backUp(a)
        try add(a, "後")
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        let before = try a.read { try $0.ownReplica() }

        a = try ward.restore(a)
        #expect(try ward.sync(a).upToDate)
        #expect(try codes(a).contains("own_changes_returned"))
        #expect(try a.read { try $0.ownReplica() } != before)
        try add(a, "新")
        for site in [a, b, a] { #expect(try ward.sync(site).upToDate) }
        for site in [a, b, ward.centre] {
            #expect(try names(site) == ["前1", "前2", "後", "新"])
            #expect(try ward.fixture.digests(site) == ward.fixture.digests(ward.centre))
            #expect(try site.status().refused.isEmpty)
        }
    }

    private static let space = SpaceID("residents")!

    /// The runs of residents that a site holds of a replica.
    private func runs(of replica: ReplicaID?, at site: Site) throws -> [RunEnvelope] {
        try site.read { transaction in
            try transaction.runs(of: Self.space, lacking: [:]).compactMap { try transaction.run($0) }
                .filter { $0.replica == replica }
        }
    }

    @Test func `What returns by way of the holding area is noticed as what returns at once is`() throws {
        let ward = try Ward()
        var a = try ward.join("a")
        let b = try ward.join("b")
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        a = try ward.backUp(a)
        try add(b, "因")
        for site in [b, a] { #expect(try ward.sync(site).upToDate) }
        try add(a, "果")
        #expect(try ward.sync(a).upToDate)
        let (own, other) = (try a.read { try $0.ownReplica() }, try b.read { try $0.ownReplica() })
        let (effects, causes) = (try runs(of: own, at: ward.centre), try runs(of: other, at: ward.centre))
        try #require(effects.count == 1 && causes.count == 1)

        a = try ward.restore(a)
        let storage = StoreReplica(a)
        let hub = ward.centre.keys.device
        guard case .held = try storage.receive(SyncFrame(items: [.run(effects[0])]), from: hub)[0] else {
            Issue.record("it does not wait for what it saw")
            return
        }
        #expect(try a.read { try $0.ownReplica() } == own)
        guard case .applied = try storage.receive(SyncFrame(items: [.run(causes[0])]), from: hub)[0] else {
            Issue.record("not applied")
            return
        }
        #expect(try names(a) == ["因", "果"])
        #expect(try a.read { try $0.ownReplica() } != own)
        #expect(try codes(a).contains("own_changes_returned"))
    }

    @Test func `Runs that differ only in their cuts are the same, and one that begins inside another goes on`() throws {
        let ward = try Ward()
        let a = try ward.join("a")
        #expect(try ward.sync(a).upToDate)
        try add(ward.centre, "前")
        _ = try ward.backUp(ward.centre)
        try add(ward.centre, "後")
        #expect(try ward.sync(a).upToDate)
        let replica = try ward.centre.read { try $0.ownReplica() }
        let whole = try #require(try runs(of: replica, at: a).last)
        try #require(whole.count == 2)

        // The restored hub's log has the same in two runs, and the second stands for itself.
        _ = try ward.restore(ward.centre)
        #expect(try ward.sync(a).upToDate)
        let cut = try runs(of: replica, at: ward.centre).filter { $0.first >= whole.first }
        #expect(cut.count == 2)
        #expect(cut.last?.last == whole.last && cut.last?.signature == whole.signature)
        for run in cut { #expect(try a.store.write { try $0.receive(run) } == .duplicate) }
        #expect(try ward.centre.store.write { try $0.receive(whole) } == .duplicate)
        var forged = whole
        forged.signature[0] ^= 1
        #expect(try ward.centre.store.write { try $0.receive(forged) } == .refused(.badSeal))

        // A damaged run is taken again from a hub, however either has cut it.
        for (site, other, damaged) in [(ward.centre, a, cut), (a, ward.centre, [whole])] {
            for run in damaged {
                let place = RunPlace(space: Self.space, replica: run.replica, first: run.first)
                let queue = try DatabaseQueue(path: site.directory.database)
                let before = try site.read { try $0.sealedRun(place) }
                try queue.write { db in
                    let bytes = try #require(before?.signature)
                    try db.execute(sql: "UPDATE run SET body = x'00' WHERE signature = ?", arguments: [Data(bytes)])
                }
                #expect(try site.read { try $0.verify().damagedRuns } == [place])
                let storage = StoreReplica(other)
                var pieces: [RunEnvelope] = []
                while (pieces.last?.last ?? 0) < run.last {
                    let next = (pieces.last?.last).map { $0 + 1 } ?? run.first
                    pieces.append(try #require(try storage.run(Self.space, run.replica, first: next)))
                }
                var wrong = pieces
                wrong[wrong.count - 1].signature[0] ^= 1
                #expect(try !site.write { try $0.replaceRun(place, with: wrong) })
                #expect(try !site.write { try $0.replaceRun(place, with: Array(pieces.dropLast())) })
                #expect(try site.write { try $0.replaceRun(place, with: pieces) })
                #expect(try site.read { try $0.verify().log.faultCount } == 0)
                #expect(try site.read { try $0.sealedRun(place)?.signature } == before?.signature)
            }
        }
    }
}
