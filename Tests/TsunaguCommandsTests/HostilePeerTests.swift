// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import GRDB
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Hostile peers")
struct HostilePeerTests {
    @Test func `A number that no store can hold is refused before anything is kept`() throws {
        var frame: [UInt8] = [2]
        frame.appendPrefixed(Array("system".utf8))
        frame.append(ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1))
        frame.appendVarint(1 << 63)
        frame.append(Bytes16(0))
        frame.appendVarint(0)
        frame.appendVarint(10)
        frame.appendPrefixed([1, 2, 3])
        #expect(throws: CodecError.self) {
            try frame.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) }
        }
    }

    @Test func `A vector that names an author twice is refused`() throws {
        let entry = VectorEntry(
            replica: ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1),
            seq: 1,
            hash: Hash32(repeating: 0, count: 32)
        )
        let reply = SyncReply.compared([(.system, .differs([entry, entry]))]).encoded
        #expect(throws: CodecError.self) {
            try reply.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
        }
    }

    @Test(arguments: ["-1", "9223372036854775807", "18446744073709551616", "many", ""], [1 as UInt8, 4, 19, 20])
    func `A receipt whose number no chain has is refused`(number: String, code: UInt8) {
        var reply: [UInt8] = [2, 1, code]
        reply.appendPrefixed(Array(number.utf8))
        #expect(throws: CodecError.self) {
            try reply.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
        }
    }

    @Test(arguments: [1 << 40, Int(Chain.seqMax)])
    func `A peer's receipts say no more of what was sent than there was of it`(count: Int) throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        try ward.sync(site)
        for name in ["甲", "乙", "丙"] {
            _ = try site.addResident(["family_name=\(name)"])
            try site.seal()
        }
        let peer = LyingPeer(liar) { request in
            guard case .push(let frame) = request else { return compared([], request) }
            return .reply(.receipts(frame.items.map { _ in .applied(count) }))
        }
        let outcome = try site.sync(with: peer).outcome
        let changes = try site.read { transaction in
            try transaction.spaces().flatMap { try transaction.vector(of: $0) }.reduce(0) { $0 + Int($1.seq) }
        }
        // Once in each round, since it then says that it has nothing after all.
        #expect((1...changes * 8).contains(outcome.sent))
        #expect(!outcome.upToDate)
    }

    @Test func `A part is alone in its frame`() throws {
        func part(_ offset: Int) -> SyncFrame.Item {
            let replica = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)
            let cursor = StagedRun(space: .system, replica: replica, first: 1, hash: Bytes16(1), offset: offset)
            return .part(cursor, total: 4 << 20, bytes: [0])
        }
        func decode(_ items: [SyncFrame.Item]) throws -> SyncFrame {
            try SyncFrame(items: items).encoded.withMemory { memory throws(CodecError) in
                try SyncFrame(decoding: memory)
            }
        }
        let run = try #require(SyncFrame.junk(1).items.first)
        #expect(try decode([part(0)]).items == [part(0)])
        #expect(try decode([run, run]).items == [run, run])
        for items in [[part(0), part(1)], [part(0), run], [run, part(0)]] {
            #expect(throws: CodecError.self) { try decode(items) }
        }
    }

    @Test func `One peer's rubbish does not take the holding area from the others`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let replica = StoreReplica(ward.centre)
        func junk(_ first: UInt64) -> SyncFrame {
            SyncFrame(items: [
                .run(
                    RunEnvelope(
                        space: .system,
                        replica: ReplicaID(device: a.keys.device, incarnation: first),
                        first: 5,
                        count: 1,
                        signature: [UInt8](repeating: 0, count: 64),
                        body: [1]
                    )
                )
            ])
        }
        var refused = 0
        for number in 0..<200 as Range<UInt64> {
            if case .refused(.holdingFull) = try replica.receive(junk(number), from: a.keys.device)[0] { refused += 1 }
        }
        #expect(refused > 0)
        guard case .held = try replica.receive(junk(1000), from: b.keys.device)[0] else {
            Issue.record("another peer's run finds no place")
            return
        }
        #expect(try ward.sync(b).upToDate)
    }

    @Test func `An invitation does not let its holder take another device's place`() throws {
        let ward = try WardFixture()
        let a = try ward.join("a")
        let text = try ward.centre.invite(
            role: .venue,
            name: "EVIL",
            spaces: ["lessons/evil"],
            milliseconds: 60_000,
            hub: "https://hub.example"
        ).code
        let code = try #require(InvitationCode(text))
        let record = try #require(
            try ward.centre.read { try $0.record(SystemSchema.device, RecordID(a.keys.device.raw)) }
        )
        let proof = try #require(record.text("key_proof").flatMap { Hex.decode($0) })
        let request = Enrolment.Request(
            invitation: RecordID(derivedFrom: [Array("invitation".utf8), code.secret]),
            signingKey: a.keys.signingPublic,
            receivingKey: a.keys.receivingPublic,
            proof: proof,
            deviceName: "pwned"
        )
        // The thief has the public keys and the proof, which everybody can read, but not the device's own key.
        let forged = try request.encoded(try code.key(), device: Curve25519.Signing.PrivateKey())
        #expect(ward.hub.answer(path: "/v1/enrol", body: forged).status == 403)
        // And the device itself keeps the site it has.
        let own = try request.encoded(try code.key(), device: a.keys.signing)
        #expect(ward.hub.answer(path: "/v1/enrol", body: own).status == 403)
    }

    /// What a peer said that it has, in chains that nobody ever wrote.
    private func claims(_ count: Int, seq: UInt64) -> [VectorEntry] {
        (0..<count).map { number in
            VectorEntry(
                replica: ReplicaID(
                    device: DeviceID(signingKey: [UInt8(number >> 8), UInt8(number & 255)]),
                    incarnation: 1
                ),
                seq: seq,
                hash: Hash32(repeating: 1, count: 32)
            )
        }.sorted { $0.replica < $1.replica }
    }

    private func compared(_ claims: [VectorEntry], _ request: SyncRequest) -> LyingPeer.Answer {
        if case .push(let frame) = request { return .reply(.receipts(frame.items.map { _ in .duplicate })) }
        guard case .compare(let summaries) = request else { return .reply(.failed("?")) }
        return .reply(.compared(summaries.map { ($0.space, .differs(claims)) }))
    }

    /// After a lie the site is what it was, and goes on with others.
    private func expectUnharmed(_ site: Site, _ before: [SpaceID: Bytes16], _ ward: WardFixture) throws {
        #expect(try ward.digests(site) == before)
        #expect(try ward.sync(site).upToDate)
    }

    @Test(arguments: [1, 1000], [1 as UInt64, Chain.seqMax])
    func `A peer that promises what it never delivers ends soon, and is not up to date`(authors: Int, seq: UInt64)
        throws
    {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        try ward.sync(site)
        let before = try ward.digests(site)
        let peer = LyingPeer(liar) { request in
            if case .pull = request { .frames { nil } } else { compared(claims(authors, seq: seq), request) }
        }
        let report = try site.sync(with: peer)
        #expect(!report.upToDate && report.failure == nil)
        #expect((2..<10).contains(peer.requests))
        try expectUnharmed(site, before, ward)
    }

    @Test func `Where the word on who may what never becomes equal, the rest is exchanged all the same`() throws {
        let ward = try WardFixture()
        let (site, peer) = (try ward.join("site"), try ward.join("peer"))
        for one in [site, peer, site] { try ward.sync(one) }
        _ = try ward.centre.addResident(["family_name=佐藤"])
        _ = try site.addResident(["family_name=鈴木"])
        let session = try HubSession(peer.keys, with: ward.hub)
        let system = try StoreReplica(peer).vector(of: .system)
        let keeper = LyingPeer(peer) { request in
            switch request {
            case .pull(var pull):
                // Of `system` it claims what it does not give.
                pull.wants[.system] = nil
                var frames = try session.frames(pull) ?? []
                return .frames { frames.isEmpty ? nil : frames.removeFirst() }
            case .compare:
                guard case .compared(let spaces) = try session.ask(request) else { return .reply(.failed("?")) }
                let more = (system + claims(1, seq: 9)).sorted { $0.replica < $1.replica }
                return .reply(.compared(spaces.map { $0 == .system ? ($0, .differs(more)) : ($0, $1) }))
            default: return .reply(try session.ask(request))
            }
        }
        #expect(try !site.sync(with: keeper).upToDate)
        for one in [site, ward.centre] {
            #expect(try one.read { try $0.records(WardSchema.resident).count } == 2)
        }
    }

    @Test(arguments: [false, true])
    func `A peer that answers a pull without end is left after some hundred frames`(isDuplicate: Bool) throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        try ward.sync(site)
        let before = try ward.digests(site)
        let storage = StoreReplica(liar)
        let row = try #require(try storage.runs(of: .system, lacking: [:]).first)
        let known = try #require(try storage.run(row))
        var frames: UInt64 = 0
        let peer = LyingPeer(liar) { request in
            guard case .pull = request else { return compared(claims(1, seq: 9), request) }
            return .frames {
                frames += 1
                return isDuplicate ? SyncFrame(items: [.run(known)]) : SyncFrame.junk(frames)
            }
        }
        let report = try site.sync(with: peer)
        #expect(!report.upToDate && report.failure == nil, "\(String(describing: report.failure))")
        #expect((200..<1000).contains(frames))
        // What of it waits has the peer's share alone.
        let held = try site.read { try $0.heldCauses(in: .system) }
        #expect(held.count <= 64)
        try expectUnharmed(site, before, ward)
    }

    @Test func `A peer that changes what it says in every round is left after a few`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        try ward.sync(site)
        let before = try ward.digests(site)
        var seq: UInt64 = 0
        let peer = LyingPeer(liar) { request in
            if case .pull = request { return .frames { nil } }
            seq += 1
            return compared(claims(1, seq: seq), request)
        }
        let report = try site.sync(with: peer)
        #expect(!report.upToDate && report.failure == nil)
        #expect(peer.requests < 40)
        try expectUnharmed(site, before, ward)
    }

    @Test func `A peer that leads the search for a difference astray is left after some requests`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        for index in 0..<40 { _ = try ward.centre.addResident(["family_name=家\(index)"]) }
        try ward.sync(site)
        let before = try ward.digests(site)
        var generator = SeededGenerator(seed: 1)
        let peer = LyingPeer(liar) { request in
            switch request {
            case .compare(let summaries):
                return .reply(.compared(summaries.map { ($0.space, .equal(exceptions: true, digest: false)) }))
            case .sums(let sums):
                let lies = sums.ranges.map { _ in RangeSum.parts((0..<16).map { _ in Bytes16(generator.bytes(16))! }) }
                return .reply(.sums(lies))
            default: return .reply(.failed("?"))
            }
        }
        let report = try site.sync(with: peer)
        #expect(!report.upToDate)
        #expect((10..<500).contains(peer.requests))
        try expectUnharmed(site, before, ward)
    }

    @Test func `A peer that claims to have no records makes nobody list all of one's own`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        for index in 0..<100 { _ = try ward.centre.addResident(["family_name=家\(index)"]) }
        try ward.sync(site)
        let before = try ward.digests(site)
        let residents = SpaceID("residents")!
        let records = try site.read { transaction in
            var records = 0
            try transaction.forEachSum(in: residents, .all) { _, _ in records += 1 }
            return records
        }
        #expect(records > RangeSum.recordsMax)
        var asked: [[RecordPrefix]] = []
        let peer = LyingPeer(liar) { request in
            switch request {
            case .compare(let summaries):
                return .reply(
                    .compared(summaries.map { ($0.space, .equal(exceptions: true, digest: $0.space != residents)) })
                )
            case .sums(let sums):
                asked.append(sums.ranges)
                return .reply(.sums(sums.ranges.map { _ in .records([]) }))
            default: return .reply(.failed("?"))
            }
        }
        let report = try site.sync(with: peer)
        #expect(report.failure == nil)
        // Once of all, once of the parts that have records.
        #expect(asked.first == [.all] && asked.count > 1)
        #expect(Set(asked.dropFirst().first ?? []).isSubset(of: (0..<16).map(RecordPrefix.all.child)))
        #expect(report.outcome.differences.count == records)
        try expectUnharmed(site, before, ward)
    }

    @Test func `A record of another range than was asked about ends the exchange`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        for index in 0..<100 { _ = try ward.centre.addResident(["family_name=家\(index)"]) }
        try ward.sync(site)
        let peer = LyingPeer(liar) { request in
            switch request {
            case .compare(let summaries):
                return .reply(.compared(summaries.map { ($0.space, .equal(exceptions: true, digest: false)) }))
            case .sums(let sums):
                let lies = sums.ranges.map { range in
                    RangeSum.records([RangeSum.Record(id: RecordPrefix.all.last, sum: Bytes16(1))])
                }
                return .reply(.sums(lies))
            default: return .reply(.failed("?"))
            }
        }
        let failure = try site.sync(with: peer).failure
        #expect(failure?.message.en.contains("another range") == true)
    }

    enum Drip: CaseIterable {
        /// A byte of an answer each minute.
        case bytes
        /// A frame every four minutes that brings nothing.
        case frames
        /// A byte more of a run every four minutes.
        case parts
    }

    @Test(arguments: Drip.allCases)
    func `A peer that drips is left within minutes`(drip: Drip) throws {
        let ward = try WardFixture()
        let joined = try ward.join("site")
        let liar = try ward.join("liar")
        try ward.sync(joined)
        try joined.store.close()
        let machine = TestMachine(now: 1_800_000_000_000, seed: 1)
        let site = try Site.open(joined.directory, person: WardFixture.clerk, environment: machine.environment)
        let before = try ward.digests(site)
        let start = machine.now
        var number = 0
        let peer = LyingPeer(liar) { request in
            guard case .pull = request else { return compared(claims(1, seq: 9), request) }
            return .frames {
                machine.now += 240_000
                number += 1
                guard drip == .parts else { return SyncFrame.junk(UInt64(number)) }
                let part = StagedRun(
                    space: .system,
                    replica: ReplicaID(device: DeviceID(signingKey: [9]), incarnation: 1),
                    first: 1,
                    hash: Bytes16(1),
                    offset: number - 1
                )
                return SyncFrame(items: [.part(part, total: 4 << 20, bytes: [0])])
            }
        }
        if drip == .bytes { peer.onByte = { machine.now += 60_000 } }
        let failure = try site.sync(with: peer).failure
        #expect(failure?.message.en.contains("too slowly") == true)
        #expect(machine.now - start < 30 * 60_000)
        try expectUnharmed(site, before, ward)
    }
}
