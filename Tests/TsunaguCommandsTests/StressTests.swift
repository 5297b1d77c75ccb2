// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Lines that break, hubs that refuse, clerks that type meanwhile, clocks that lie.
@Suite("Exchanges under stress")
struct StressTests {
    enum Fault: CaseIterable {
        /// The request never arrives.
        case lostRequest
        /// It is answered, and the answer never arrives.
        case lostAnswer
        /// The hub does not know us, does not permit it, or is out of order.
        case status401, status403, status503

        var error: TransportError {
            switch self {
            case .lostRequest, .lostAnswer: .unreachable("cut")
            case .status401: .refused(status: 401, "?")
            case .status403: .refused(status: 403, "?")
            case .status503: .refused(status: 503, "?")
            }
        }
    }

    private func proofs(_ site: Site) throws -> [SpaceID: UInt64] {
        let known = try site.status().spaces.compactMap { space in space.provedAt.map { (space.id, $0) } }
        return Dictionary(uniqueKeysWithValues: known)
    }

    @Test(arguments: Fault.allCases)
    func `Whichever message fails, nothing is lost, and what is said to be proved is the same there`(fault: Fault)
        throws
    {
        let machine = TestMachine(seed: 1)
        let ward = try WardFixture()
        let joined = try ward.join("site")
        try joined.store.close()
        let site = try Site.open(joined.directory, person: WardFixture.clerk, environment: machine.environment)
        try ward.sync(site)
        var written = 0
        var isThrough = false
        for failing in 1..<40 where !isThrough {
            machine.now += 60_000
            for _ in 0..<20 {
                _ = try site.addResident(["family_name=家\(written)"])
                written += 1
            }
            let before = try proofs(site)
            let line = ward.transport()
            var posts = 0
            line.onPost = { _, _ in
                posts += 1
                if posts == failing, fault != .lostAnswer { throw fault.error }
            }
            line.onPiece = { piece in
                if posts == failing, fault == .lostAnswer { throw fault.error }
                return piece
            }
            let report = try site.sync(with: line)
            isThrough = posts < failing
            #expect(report.upToDate == isThrough && (report.failure == nil) == isThrough)
            for (space, proof) in try proofs(site) where proof != before[space] {
                #expect(try ward.digests(site)[space] == ward.digests(ward.centre)[space], "proved, and not the same")
            }
            #expect(try site.read { try $0.records(WardSchema.resident).count } == written)
        }
        #expect(isThrough)
        #expect(try ward.sync(site).upToDate)
        #expect(try ward.centre.read { try $0.records(WardSchema.resident).count } == written)
        #expect(try site.status().spaces.allSatisfy { $0.unsent == 0 })
    }

    @Test func `What is written at either end between any two messages is not passed over`() throws {
        let ward = try WardFixture()
        let (site, other) = (try ward.join("site"), try ward.join("other"))
        var written = 0
        func add(_ place: Site) throws {
            _ = try place.addResident(["family_name=家\(written)"])
            written += 1
        }
        var posts = 0
        for at in 1..<12 {
            for place in [site, ward.centre] { try add(place) }
            let line = ward.transport()
            posts = 0
            line.onPost = { _, _ in
                posts += 1
                if posts == at { for place in [ward.centre, site] { try add(place) } }
            }
            let report = try site.sync(with: line)
            #expect(report.failure == nil)
            // Said after the last comparison, in which what was written before it took part.
            if report.upToDate {
                #expect(try ward.digests(site) == ward.digests(ward.centre), "written at message \(at)")
            }
            #expect(try ward.sync(site).upToDate)
        }
        #expect(posts > 4)
        #expect(try ward.sync(other).upToDate)
        #expect(try other.read { try $0.records(WardSchema.resident).count } == written)
    }

    /// By how much the second writer's clock is off.
    @Test(arguments: [-86_400_000, -1, 0, 86_400_000] as [Int64])
    func `Each change is brought once, and the loser of a collision is kept, whatever the clocks say`(skew: Int64)
        throws
    {
        let start: UInt64 = 1_800_000_000_000
        let (ours, theirs) = (
            TestMachine(now: start, seed: 1), TestMachine(now: UInt64(Int64(start) + skew), seed: 2)
        )
        let ward = try WardFixture()
        let sites = try [("a", ours), ("b", theirs)].map { name, machine in
            let joined = try ward.join(name)
            try joined.store.close()
            return try Site.open(joined.directory, person: WardFixture.clerk, environment: machine.environment)
        }
        let (a, b) = (sites[0], sites[1])
        let id = try a.addResident(["family_name=佐藤", "address=一"]).description
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        _ = try a.setResident(id, ["address=二"])
        theirs.now += 1000
        _ = try b.setResident(id, ["address=三"])
        let gone = try b.addResident(["family_name=鈴木"]).description
        #expect(try ward.sync(a).upToDate)
        let received = try ward.sync(b).outcome.received
        #expect(received == 1)
        _ = try b.deleteResident(gone, reason: "誤登録")
        #expect(try ward.sync(b).outcome.received == 0, "what one wrote does not come back")
        #expect(try ward.sync(a).outcome.received == 3)
        for site in [a, b, ward.centre] {
            let values = try site.cases(.conflict).flatMap(\.values)
            #expect(values.count == 2)
            #expect(Set(values.map(\.author.device)) == [a.keys.device, b.keys.device])
            #expect(Set(values.flatMap(\.fields).map(\.value)).isSuperset(of: [.text("二"), .text("三")]))
            #expect(try site.read { try $0.records(WardSchema.resident, where: "deleted = 1").count } == 1)
            #expect(try site.sync(with: ward.transport()).outcome.received == 0 || site === ward.centre)
        }
    }

    @Test func `Deciding the same collision everywhere, again and again, ends, and adds nothing when nobody writes`()
        throws
    {
        let ward = try WardFixture()
        let sites = [ward.centre] + (try ["a", "b", "c", "d"].map { try ward.join($0) })
        let id = try ward.centre.addResident(["family_name=佐藤", "phone=03-0000-0000"]).description
        func meet() throws -> Int {
            var moved = 0
            for site in sites.dropFirst() + sites.dropFirst() {
                let report = try ward.sync(site)
                moved += report.outcome.sent + report.outcome.received
            }
            return moved
        }
        _ = try meet()
        for round in 0..<6 {
            for (number, site) in sites.enumerated() where try site.cases(.conflict).isEmpty {
                _ = try site.setResident(id, ["phone=03-\(round)-\(number)"])
            }
            _ = try meet()
            for (number, site) in sites.enumerated() {
                let open = try site.cases(.conflict)
                #expect(open.count <= 1 && (open.first?.values.count ?? 0) <= sites.count)
                guard let conflict = open.first else { continue }
                _ = try site.resolve(conflict.id, .take(1 + number % conflict.values.count), reason: "確認")
            }
            _ = try meet()
        }
        #expect(try meet() == 0)
        for site in sites { #expect(try ward.digests(site) == ward.digests(ward.centre)) }
    }

    @Test func `The centre knows what it still has for whom, and when each was here last`() throws {
        let machine = TestMachine(seed: 1)
        let ward = try WardFixture()
        try ward.centre.store.close()
        let centre = try Site.open(ward.centre.directory, person: ward.centre.person, environment: machine.environment)
        let hub = Hub(centre)
        func join(_ name: String) throws -> Site {
            let code = try centre.invite(role: .branch, name: name, spaces: [], milliseconds: 60_000, hub: "https://h")
            return try Site.join(
                DataDirectory(ward.root + "/" + name),
                person: WardFixture.clerk,
                code: code.code,
                hub: nil,
                deviceName: name,
                connect: { _ in LoopbackTransport(hub) }
            ).site
        }
        let (a, b) = (try join("a"), try join("b"))
        #expect(try a.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(
            try centre.status().spaces.allSatisfy { $0.unsent == 0 || $0.id == .protectedResidents },
            "somebody has it"
        )
        for _ in 0..<3 { _ = try centre.addResident(["family_name=佐藤"]) }
        let residents = SpaceID("residents")!
        func unsent() throws -> Int? { try centre.status().spaces.first { $0.id == residents }?.unsent }
        #expect(try unsent() == 3)
        machine.now += 3_600_000
        #expect(try a.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(try unsent() == 0)
        #expect(try centre.status().spaces.first { $0.id == residents }?.provedAt == machine.now)

        func device(_ site: Site) throws -> SiteView.Device {
            try #require(try centre.sites().flatMap(\.devices).first { $0.id == site.keys.device })
        }
        #expect(try device(a).lastContact == machine.now)
        #expect(try device(a).lacking?.isEmpty == true)
        #expect(try device(b).lastContact == machine.now - 3_600_000)
        #expect(try device(b).lacking?.first { $0.space == residents }?.changes == 3)
        #expect(try device(centre).lastContact == nil)
        #expect(try device(centre).lacking == nil)
    }
}
