// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// A hub whose data was emptied, put back to an older state, or begun anew.
@Suite("A hub that is not what it was")
struct HubEpochTests {
    /// A ward whose centre's files can be taken away and put back.
    private final class Ward {
        let fixture: WardFixture
        private(set) var centre: Site
        private(set) var hub: Hub
        private var backup: String { fixture.root + "/backup" }

        init() throws {
            fixture = try WardFixture()
            (centre, hub) = (fixture.centre, fixture.hub)
        }

        /// Keeps a copy of the centre's data directory as it is now.
        func backUp() throws {
            try centre.store.close()
            try FileManager.default.copyItem(atPath: centre.directory.path, toPath: backup)
            try reopen()
        }

        func restore() throws {
            try centre.store.close()
            try FileManager.default.removeItem(atPath: centre.directory.path)
            try FileManager.default.copyItem(atPath: backup, toPath: centre.directory.path)
            try reopen()
        }

        /// Begins the ward anew by its recovery key, with the device key that the others know.
        func empty() throws {
            try centre.store.close()
            let directory = centre.directory
            for suffix in ["", "-wal", "-shm"] { DataDirectory.remove(directory.database + suffix) }
            centre = try Site.initialise(
                directory,
                person: centre.person,
                name: "千代田区",
                code: "131016",
                deviceName: "centre",
                recoveryKey: fixture.recoveryKey,
                identity: WardFixture.identity
            )
            hub = Hub(centre)
        }

        private func reopen() throws {
            centre = try Site.open(centre.directory, person: centre.person)
            hub = Hub(centre)
        }

        @discardableResult
        func sync(_ site: Site) throws -> SyncReport { try site.sync(with: LoopbackTransport(hub)) }

        func join(_ name: String) throws -> Site {
            let code = try centre.invite(role: .branch, name: name, spaces: [], milliseconds: 60_000, hub: "https://h")
            return try Site.join(
                DataDirectory(fixture.root + "/" + name),
                person: WardFixture.clerk,
                code: code.code,
                hub: nil,
                deviceName: name,
                connect: { _ in LoopbackTransport(hub) }
            ).site
        }
    }

    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(
                try transaction.records(WardSchema.resident, where: "deleted = 0")
                    .map { $0.text("family_name") ?? "" }
            )
        }
    }

    private func add(_ site: Site, _ names: [String]) throws {
        for name in names { _ = try site.addResident(["family_name=\(name)"]) }
    }

    private func codes(_ site: Site) throws -> Set<String> { Set(try site.status().notices.map(\.code)) }

    @Test func `A hub put back to an older state gets back everybody's work, and its clients are told`() throws {
        let ward = try Ward()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try add(a, ["あ1"])
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        try ward.backUp()
        try add(ward.centre, ["本1", "本2"])
        try add(b, ["い1", "い2"])
        try add(a, ["あ2"])
        for site in [b, a, b] { #expect(try ward.sync(site).upToDate) }

        try ward.restore()
        try add(a, ["あ3"])
        let report = try ward.sync(a)
        #expect(report.upToDate)
        #expect(report.outcome.lost.map(\.name).contains("residents"))
        #expect(report.lossMessage != nil)
        #expect(try codes(a).contains("peer_lost_changes"))
        // What the hub wrote itself came back too: it numbers no change twice.
        #expect(try codes(ward.centre).contains("own_changes_returned"))
        try add(ward.centre, ["本3"])
        for site in [b, a] { #expect(try ward.sync(site).upToDate) }
        let all: Set = ["あ1", "あ2", "あ3", "い1", "い2", "本1", "本2", "本3"]
        for site in [a, b, ward.centre] { #expect(try names(site) == all) }
        #expect(try ward.fixture.digests(a) == ward.fixture.digests(ward.centre))
        #expect(try ward.fixture.digests(b) == ward.fixture.digests(ward.centre))
        #expect(try ward.sync(a).outcome.lost.isEmpty, "told once")
    }

    @Test func `A hub that forgot a site that joined since learns again who it is`() throws {
        let ward = try Ward()
        _ = try ward.join("a")
        try ward.backUp()
        let late = try ward.join("late")
        try add(late, (0..<50).map { "遅\($0)" })
        try ward.restore()
        #expect(try ward.sync(late).upToDate)
        #expect(try names(ward.centre).count == 50)
        #expect(try ward.fixture.digests(late) == ward.fixture.digests(ward.centre))
    }

    @Test func `A hub that learns from a stranger what it wrote once numbers nothing twice`() throws {
        let ward = try Ward()
        #expect(try ward.sync(try ward.join("first")).upToDate)
        try ward.backUp()
        let (late, later) = (try ward.join("late"), try ward.join("later"))
        for site in [late, later] { #expect(try ward.sync(site).upToDate) }

        try ward.restore()
        let before = try ward.centre.read { try $0.ownReplica() }
        // The hub knows neither, so that what it wrote itself comes back with what says who asks.
        #expect(try ward.sync(late).upToDate)
        #expect(try codes(ward.centre).contains("own_changes_returned"))
        #expect(try ward.centre.read { try $0.ownReplica() } != before)

        let another = try ward.join("another")
        try add(later, ["後"])
        for site in [later, late, another] {
            #expect(try ward.sync(site).upToDate)
            #expect(try names(site) == ["後"])
            #expect(try ward.fixture.digests(site) == ward.fixture.digests(ward.centre))
        }
    }

    @Test func `An emptied hub is named, and filled again without a deletion`() throws {
        let ward = try Ward()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try add(ward.centre, ["本"])
        try add(a, ["あ"])
        try add(b, ["い"])
        for site in [a, b, a] { #expect(try ward.sync(site).upToDate) }
        try add(a, (0..<50).map { "未\($0)" })

        try ward.empty()
        let report = try ward.sync(a)
        #expect(report.upToDate)
        #expect(report.outcome.isNewEpoch && report.lossMessage != nil)
        #expect(try codes(a).contains("hub_epoch_changed"))
        #expect(try ward.sync(b).upToDate)
        #expect(try ward.sync(a).upToDate)
        for site in [a, b, ward.centre] {
            #expect(try names(site).count == 53)
            #expect(try ward.fixture.digests(site) == ward.fixture.digests(a))
            #expect(
                try site.read { try $0.records(WardSchema.resident, where: "deleted = 1") }.isEmpty
            )
        }
    }

    @Test func `A hub that was begun anew and filled again by hand stops, and doubles nobody`() throws {
        let ward = try Ward()
        let a = try ward.join("a")
        try add(ward.centre, ["甲", "乙"])
        #expect(try ward.sync(a).upToDate)
        let before = try ward.fixture.digests(a)

        try ward.empty()
        try add(ward.centre, ["甲", "乙"])
        for _ in 0..<2 {
            let report = try ward.sync(a)
            #expect(report.failure?.code == .failed)
            #expect(report.failure?.message.en.contains("hub epoch changed") == true)
        }
        #expect(try ward.fixture.digests(a) == before)
        #expect(try names(ward.centre).count == 2)
    }

    @Test func `A hub with another key is refused, and nothing here is touched`() throws {
        let ward = try Ward()
        let a = try ward.join("a")
        try add(a, ["あ"])
        #expect(try ward.sync(a).upToDate)
        try add(a, ["い"])
        let other = try WardFixture()
        let report = try a.sync(with: other.transport())
        #expect(report.failure?.code == .notPermitted)
        #expect(try names(a) == ["あ", "い"])
        #expect(try ward.sync(a).upToDate)
    }

    @Test func `A hub that forked itself loses neither what it wrote before nor what it wrote instead`() throws {
        let ward = try Ward()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        try ward.backUp()
        try add(ward.centre, ["前1", "前2"])
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        try ward.restore()
        // Before anybody told it that it is older: the numbers that it gave away once.
        try add(ward.centre, ["後"])
        try add(a, ["あ"])
        #expect(try ward.sync(a).upToDate)
        try add(ward.centre, ["新"])
        for site in [a, b, a] { #expect(try ward.sync(site).upToDate) }
        for site in [a, b, ward.centre] {
            #expect(try names(site) == ["前1", "前2", "後", "あ", "新"])
            #expect(try codes(site).contains("equivocation"))
            #expect(try site.status().refused.isEmpty)
            #expect(try ward.fixture.digests(site) == ward.fixture.digests(ward.centre))
            #expect(try site.cases(.finding).map(\.code) == ["equivocation"])
        }
    }
}
