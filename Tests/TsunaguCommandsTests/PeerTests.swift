// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Sites of one network that exchange without the ward office.
@Suite("Peers")
struct PeerTests {
    private let residents = SpaceID("residents")!

    @discardableResult
    private func exchange(_ site: Site, with peer: Site) throws -> SyncReport {
        try site.sync(with: LoopbackTransport(Hub(peer)))
    }

    private func names(_ site: Site) throws -> Set<String> {
        Set(try site.read { try $0.records(WardSchema.resident) }.map { $0.text("family_name") ?? "" })
    }

    private let guest = BookingPerson.guest(name: "鈴木", kana: "スズキ", phone: "03-0000-0000", ageGroup: nil)

    private func lesson(_ site: Site) throws {
        _ = try site.addLesson(.kudan(capacity: 10))
    }

    @Test func `Two branches exchange without the hub, and in whichever order it hears of it nothing changes`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b] { try ward.sync(site) }
        _ = try a.addResident(["family_name=あ"])
        _ = try b.addResident(["family_name=い"])

        func proved(_ site: Site) throws -> UInt64? {
            try site.status().spaces.first { $0.id == residents }?.provedAt
        }
        let before = try [a, b].map(proved)
        let report = try exchange(a, with: b)
        #expect(report.upToDate && report.failure == nil)
        #expect(try names(a) == ["あ", "い"])
        #expect(try ward.digests(a) == ward.digests(b))
        for site in [a, b] {
            #expect(try site.status().spaces.allSatisfy { $0.unsent == 0 }, "somebody else holds it")
        }
        #expect(try [a, b].map(proved) == before, "it is not with the ward")
        #expect(try names(ward.centre).isEmpty)

        #expect(try ward.sync(b).upToDate)
        #expect(try names(ward.centre) == ["あ", "い"])
        let late = try ward.sync(a)
        #expect(late.upToDate && late.outcome.sent == 0 && late.outcome.received == 0)
    }

    @Test func `Who joined later is taken for what the ward says of it, whoever of the two asks`() throws {
        let ward = try WardFixture()
        let (first, second) = (try ward.join("first"), try ward.join("second"))
        let late = try ward.join("late")
        _ = try late.addResident(["family_name=後"])
        let asked = try exchange(first, with: late)
        #expect(asked.upToDate && asked.outcome.received > 0)
        #expect(try exchange(late, with: second).upToDate)
        for site in [first, second] {
            #expect(try names(site) == ["後"])
            #expect(try ward.digests(site) == ward.digests(late))
        }
    }

    @Test func `Whom neither the ward nor this site knows is told nothing`() throws {
        let (ward, other) = (try WardFixture(), try WardFixture())
        let (site, stranger) = (try ward.join("site"), try other.join("stranger"))
        _ = try site.addResident(["family_name=佐藤"])
        var client = SyncClient(stranger: stranger.keys.device, as: stranger.keys.device)
        let storage = StoreReplica(site)
        guard case .send(.compare(let summaries)) = try client.begin(storage) else {
            Issue.record("no comparison")
            return
        }
        #expect(summaries.isEmpty)
        // It claims to hold everything, and nothing of what is here.
        let entry = VectorEntry(
            replica: ReplicaID(device: stranger.keys.device, incarnation: 1),
            seq: 9,
            hash: Hash32(repeating: 0, count: 32)
        )
        let claims = [residents, .system].map { ($0, SyncReply.Relation.differs([entry])) }
        guard case .send(.pull(let pull)) = try client.received(.compared(claims), storage) else {
            Issue.record("something else than a pull")
            return
        }
        #expect(pull.wants == [.system: [entry.replica: 0]])
        #expect(try site.status().notices.isEmpty)
    }

    @Test func `A device of another ward is refused at either end`() throws {
        let (ward, other) = (try WardFixture(), try WardFixture())
        let (site, stranger) = (try ward.join("site"), try other.join("stranger"))
        _ = try stranger.addResident(["family_name=他"])
        let before = try ward.digests(site)
        for report in [try exchange(stranger, with: site), try exchange(site, with: stranger)] {
            #expect(report.failure?.code == .notPermitted && report.outcome.received == 0)
        }
        #expect(try ward.digests(site) == before)
    }

    /// What a client says first of what it holds, and what the other end answers.
    private func firstWords(_ site: Site, to peer: Site) throws -> (named: Set<String>, told: Set<String>) {
        var client = SyncClient(peer: peer.keys.device)
        guard case .send(let request) = try client.begin(StoreReplica(site)), case .compare(let summaries) = request,
            case .compared(let spaces) = try SyncServer(client: site.keys.device).answer(request, StoreReplica(peer))
        else {
            Issue.record("no comparison")
            return ([], [])
        }
        return (Set(summaries.map(\.space.name)), Set(spaces.map(\.space.name)))
    }

    @Test func `A venue gets nothing of the register from a branch, whoever of them asks`() throws {
        let ward = try WardFixture()
        try lesson(ward.centre)
        let branch = try ward.join("branch")
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        try ward.sync(branch)
        _ = try branch.addResident(["family_name=佐藤"])
        let booking = try venue.addBooking(lesson: "K1", guest).record.id

        for report in [try exchange(branch, with: venue), try exchange(venue, with: branch)] {
            #expect(report.upToDate)
        }
        #expect(try branch.read { try $0.record(WardSchema.booking, booking) } != nil)
        let held: Set = ["lessons/kudan", "system"]
        #expect(Set(try venue.read { try $0.spaces().map(\.name) }) == held)
        // Not even that there is one is said, or how much is in it.
        let (asked, answered) = (try firstWords(branch, to: venue), try firstWords(venue, to: branch))
        #expect(asked.named == held && asked.told == held)
        #expect(answered.named == held && answered.told == held)
        // Who asks for it all the same gets none of it, and what it brings of it is not taken.
        let server = SyncServer(client: venue.keys.device)
        let wants: [SpaceID: [ReplicaID: UInt64]] = [
            residents: [ReplicaID(device: branch.keys.device, incarnation: 1): 0]
        ]
        let pull = SyncRequest.PullRequest(wants: wants, staged: [], frameBytesMax: 1 << 20)
        var frames = try server.frames(pull, StoreReplica(branch))
        #expect(try frames.next(from: StoreReplica(branch)) == nil)
        let row = try #require(try StoreReplica(branch).runs(of: residents, lacking: [:]).last)
        let run = try #require(try StoreReplica(branch).run(row))
        let push = SyncRequest.push(SyncFrame(items: [.run(run)]))
        #expect(try server.answer(push, StoreReplica(branch)) == .receipts([.refused(.notGranted)]))
    }

    @Test func `What one venue wrote goes from neighbour to neighbour`() throws {
        let ward = try WardFixture()
        try lesson(ward.centre)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        for site in [a, b] { try ward.sync(site) }
        let booking = try venue.addBooking(lesson: "K1", guest).record.id
        for (site, peer) in [(venue, a), (a, b)] { #expect(try exchange(site, with: peer).upToDate) }
        #expect(try b.read { try $0.record(WardSchema.booking, booking) } != nil)
        #expect(try ward.sync(b).upToDate)
        #expect(try ward.centre.read { try $0.record(WardSchema.booking, booking) } != nil)
    }

    @Test func `Two versions written apart reach a third through one of the two, and one decision ends it everywhere`()
        throws
    {
        let ward = try WardFixture()
        let id = try ward.centre.addResident(["family_name=佐藤", "number=100", "phone=03-0000-0000"]).description
        let (a, b, c) = (try ward.join("a"), try ward.join("b"), try ward.join("c"))
        for site in [a, b, c] { try ward.sync(site) }
        _ = try a.setResident(id, ["phone=03-0000-0001"])
        _ = try b.setResident(id, ["phone=03-0000-0002"])
        for (site, peer) in [(a, b), (c, a)] { #expect(try exchange(site, with: peer).upToDate) }
        #expect(try ward.sync(b).upToDate)

        func open(_ site: Site) throws -> [String] { try site.cases(.conflict).map(\.id) }
        let list = try open(a)
        #expect(list.count == 1)
        for site in [b, c, ward.centre] { #expect(try open(site) == list) }
        for site in [a, b, c, ward.centre] {
            let values = try site.cases(.conflict)[0].values.flatMap(\.fields).map(\.value)
            #expect(values == [.text("03-0000-0001"), .text("03-0000-0002")])
        }
        _ = try b.resolve(list[0], .take(2), reason: "本人に確認")
        for (site, peer) in [(c, b), (a, c)] { #expect(try exchange(site, with: peer).upToDate) }
        #expect(try ward.sync(a).upToDate)
        for site in [a, b, c, ward.centre] {
            #expect(try open(site).isEmpty)
            #expect(try ward.digests(site) == ward.digests(a))
            #expect(try site.resident(id).text("phone") == "03-0000-0002")
        }
    }

    @Test func `One number given twice is shown with both people by whoever hears of both, under one name`() throws {
        let ward = try WardFixture()
        let (a, b, c) = (try ward.join("a"), try ward.join("b"), try ward.join("c"))
        _ = try a.addResident(["family_name=佐藤", "number=200", "phone=03-0000-0001"])
        _ = try b.addResident(["family_name=佐藤", "number=200", "phone=03-0000-0002"])
        for (site, peer) in [(a, b), (c, a)] { #expect(try exchange(site, with: peer).upToDate) }
        #expect(try ward.sync(c).upToDate)
        let found = try c.cases()
        #expect(found.count == 1 && found[0].records.count == 2)
        for site in [a, b, ward.centre] {
            #expect(try site.cases().map(\.id) == found.map(\.id))
            #expect(try ward.digests(site)[residents] == ward.digests(c)[residents])
        }
    }

    /// What is in conflict is not edited in passing.
    private func edit(_ site: Site, _ id: String, _ word: String) throws {
        do {
            _ = try site.setResident(id, [word])
        } catch let error as CommandError where error.code == .tryAgain {}
    }

    /// Two of five listen beside the centre, and anybody may ask any of the three.
    @Test(arguments: 0..<6 as Range<UInt64>)
    func `Whatever the order of exchanges with several peers, all end equal`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let ward = try WardFixture()
        try lesson(ward.centre)
        let known = try (0..<4).map { try ward.centre.addResident(["family_name=家\($0)"]).description }
        let sites = [ward.centre] + (try ["a", "b", "c", "d"].map { try ward.join($0) })
        // Those who joined first hear of the later ones.
        for site in sites.dropFirst() { try ward.sync(site) }

        var written = 4
        for step in 0..<80 {
            let site = generator.pick(sites)
            switch generator.below(8) {
            case 0:
                _ = try site.addResident(["family_name=新\(step)", "phone=03-0000-\(1000 + step)"])
                written += 1
            case 1: try edit(site, generator.pick(known), "phone=03-0000-\(1000 + step)")
            case 2: try edit(site, generator.pick(known), "family_name=改\(step)")
            case 3:
                guard let conflict = try site.cases(.conflict).first else { continue }
                _ = try site.resolve(conflict.id, .take(1 + generator.below(conflict.values.count)), reason: "確認")
            default:
                let peer = generator.pick(Array(sites.prefix(3)))
                guard peer !== site else { continue }
                let line = LoopbackTransport(Hub(peer))
                if generator.chance(30) {
                    var left = generator.below(4000)
                    line.onPiece = { piece in
                        left -= piece.count
                        if left >= 0 { return piece }
                        throw TransportError.unreachable("cut")
                    }
                }
                _ = try site.sync(with: line)
            }
        }
        // Each with each of the three, in an order of its own, until a whole round moves nothing.
        var rounds = 0
        var moved = true
        while moved {
            moved = false
            rounds += 1
            try #require(rounds <= 4, "seed \(seed): news does not end")
            var pairs = sites.flatMap { site in sites.prefix(3).filter { $0 !== site }.map { (site, $0) } }
            pairs.shuffle(using: &generator)
            for (site, peer) in pairs {
                let report = try exchange(site, with: peer)
                #expect(report.upToDate, "seed \(seed)")
                if report.outcome.sent + report.outcome.received > 0 { moved = true }
            }
        }
        for site in sites {
            #expect(try ward.digests(site) == ward.digests(ward.centre), "seed \(seed)")
            #expect(try site.cases().map(\.id) == ward.centre.cases().map(\.id), "seed \(seed)")
            #expect(try site.read { try $0.records(WardSchema.resident).count } == written, "seed \(seed)")
        }
    }

    @Test func `With several named at once, "up to date" is said when all have what any of them brought`() throws {
        let ward = try WardFixture()
        let (site, a, b) = (try ward.join("site"), try ward.join("a"), try ward.join("b"))
        for each in [site, a, b, site] { try ward.sync(each) }
        _ = try a.addResident(["family_name=あ"])
        _ = try b.addResident(["family_name=い"])
        let places = ["https://centre": ward.centre, "https://a": a, "https://b": b]
        let addresses = ["https://centre", "https://down", "https://a", "https://b"]
        let reports = try site.sync(with: addresses.map { PeerAddress(url: $0, trust: .anyone) }) { address in
            guard let peer = places[address.url] else { throw TransportError.unreachable("nobody there") }
            return LoopbackTransport(Hub(peer))
        }
        #expect(reports.map(\.url) == addresses)
        #expect(reports.map(\.upToDate) == [true, false, true, true])
        #expect(reports[1].failure?.code == .unreachable)
        for each in [ward.centre, a, b] { #expect(try names(each) == ["あ", "い"]) }
        #expect(try site.peers().map(\.url).contains("https://down") == false, "who did not answer is not remembered")
    }
}
