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
        let run = try #require(junk(1).items.first)
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

    /// A run of system that waits for a chain nobody has.
    private func junk(_ number: UInt64, bytes: Int = 1) -> SyncFrame {
        let run = RunEnvelope(
            space: .system,
            replica: ReplicaID(device: DeviceID(signingKey: [9]), incarnation: number),
            first: 5,
            count: 1,
            signature: [UInt8](repeating: 0, count: 64),
            body: [UInt8](repeating: 1, count: bytes)
        )
        return SyncFrame(items: [.run(run)])
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
                return isDuplicate ? SyncFrame(items: [.run(known)]) : junk(frames)
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
                guard drip == .parts else { return junk(UInt64(number)) }
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

    @Test func `Who opens sessions without end takes none from the others`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        _ = try a.addResident(["family_name=佐藤"])
        let line = ward.transport()
        var posts = 0
        line.onPost = { _, _ in
            posts += 1
            guard posts == 3 else { return }
            // In the middle of another's exchange: a flood of hellos in its name, and of whole sessions of one device.
            for _ in 0..<1500 {
                let hello = Handshake.Client(device: a.keys.device).hello.encoded
                #expect(ward.hub.answer(path: "/v1/hello", body: hello).status == 200)
            }
            for _ in 0..<12 { try ward.sync(b) }
        }
        #expect(try a.sync(with: line).upToDate)
        #expect(posts > 3)
    }

    @Test func `One device has a few sessions, and loses its own oldest`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        func open(_ site: Site) throws -> ClientSession {
            let client = Handshake.Client(device: site.keys.device)
            let answer = ward.hub.answer(path: "/v1/hello", body: client.hello.encoded)
            let welcome = try Handshake.Welcome(decoding: try answer.next() ?? [])
            let session = try client.finish(welcome, sign: site.keys.sign)
            #expect(try status(session, 1) == 200)
            return session
        }
        func status(_ session: ClientSession, _ counter: UInt64) throws -> Int {
            let request = try Envelope.request(SyncRequest.compare([]).encoded, counter: counter, session)
            return ward.hub.answer(path: "/v1/exchange", body: request).status
        }
        let other = try open(b)
        let sessions = try (0..<20).map { _ in try open(a) }
        let alive = try sessions.count { try status($0, 2) == 200 }
        #expect(alive <= 8)
        #expect(try status(try #require(sessions.last), 3) == 200)
        #expect(try status(other, 2) == 200)
    }

    @Test func `A device that asks without end waits for the next minute, and the others do not`() throws {
        let ward = try WardFixture()
        let machine = TestMachine(seed: 1)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let centre = try Site.open(
            ward.centre.directory,
            person: WardFixture.clerk,
            environment: machine.environment
        )
        let hub = Hub(centre, requestsPerMinuteMax: 20)
        func statuses(_ site: Site, _ count: Int) throws -> [Int] {
            let client = Handshake.Client(device: site.keys.device)
            let answer = hub.answer(path: "/v1/hello", body: client.hello.encoded)
            let welcome = try Handshake.Welcome(decoding: try answer.next() ?? [])
            let session = try client.finish(welcome, sign: site.keys.sign)
            return try (1...UInt64(count)).map { counter in
                let request = try Envelope.request(SyncRequest.compare([]).encoded, counter: counter, session)
                return hub.answer(path: "/v1/exchange", body: request).status
            }
        }
        #expect(try statuses(a, 22) == Array(repeating: 200, count: 20) + [429, 429])
        // A new session is no new beginning, and what is told is no defect of the line.
        #expect(try statuses(a, 1) == [429])
        let failure = try a.sync(with: LoopbackTransport(hub)).failure
        #expect(failure?.code == .unreachable && failure?.message.en.contains("429") == true)
        #expect(try statuses(b, 20) == Array(repeating: 200, count: 20))
        machine.now += 60_000
        #expect(try statuses(a, 1) == [200])
    }

    /// A session of a device that nobody knows with the ward's hub.
    private func openStranger(_ ward: WardFixture) throws -> (SyncRequest) throws -> SyncReply {
        let session = try HubSession(DeviceKeys { .random(in: .min ... .max) }, with: ward.hub)
        return { try session.ask($0) }
    }

    /// A run that says it is the centre's, and waits for others.
    private func forged(_ ward: WardFixture, _ number: UInt64) -> SyncFrame {
        guard case .run(var run)? = junk(number).items.first else { return SyncFrame() }
        run.replica = ReplicaID(device: ward.centre.keys.device, incarnation: number)
        return SyncFrame(items: [.run(run)])
    }

    @Test func `What a stranger brings is neither held nor listed`() throws {
        let ward = try WardFixture()
        let replica = try #require(try ward.centre.read { try $0.ownReplica() })
        let ask = try openStranger(ward)
        #expect(try ask(.push(junk(1))) == .receipts([.refused(.unknownDevice)]))
        // Its author is known, and what comes before it is not.
        #expect(try ask(.push(forged(ward, 1))) == .receipts([.refused(.holdingFull)]))
        // The centre's own chain, with a seal that is not the centre's.
        var frame = forged(ward, replica.incarnation)
        if case .run(var run)? = frame.items.first {
            run.first = 1
            frame.items = [.run(run)]
        }
        guard case .receipts(let receipts) = try ask(.push(frame)), case .refused = receipts.first else {
            Issue.record("a forged run was taken")
            return
        }
        #expect(try ward.centre.read { try $0.heldCauses(in: .system) }.isEmpty)
        let status = try ward.centre.status()
        #expect(status.refused.isEmpty && status.notices.isEmpty)
        #expect(try ward.centre.read { try $0.ownReplica() } == replica)
    }

    @Test func `What brings nothing is refused without a write`() throws {
        let ward = try WardFixture()
        let ask = try openStranger(ward)
        // While another process writes, nobody else can.
        let writer = try Site.open(ward.centre.directory, person: WardFixture.clerk)
        let reply = try writer.write { _ in try ask(.push(junk(1))) }
        #expect(reply == .receipts([.refused(.unknownDevice)]))
    }

    @Test func `Strangers together have a budget, and members are served beyond it`() throws {
        let ward = try WardFixture()
        let site = try ward.join("site")
        var taken = 0
        for _ in 0..<4 {
            let ask = try openStranger(ward)
            for number in 0..<50 as Range<UInt64> {
                if case .receipts = try ask(.push(forged(ward, number))) { taken += 1 }
            }
        }
        #expect((1...64).contains(taken))
        _ = try site.addResident(["family_name=佐藤"])
        #expect(try ward.sync(site).upToDate)
    }

    @Test func `What is half brought has a share, and what is whole still comes through`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        let storage = StoreReplica(ward.centre)
        func part(_ number: UInt64, _ count: Int) -> SyncFrame {
            let cursor = StagedRun(
                space: .system,
                replica: ReplicaID(device: DeviceID(signingKey: [9]), incarnation: number),
                first: 1,
                hash: Bytes16(1),
                offset: 0
            )
            return SyncFrame(items: [.part(cursor, total: 4 << 20, bytes: [UInt8](repeating: 0, count: count))])
        }
        for number in 0..<200 as Range<UInt64> {
            let size = number < 100 ? 1 : 1 << 20
            #expect(try storage.receive(part(number, size), from: liar.keys.device) == [.partial])
        }
        let kept = try storage.staged(from: liar.keys.device)
        #expect(kept.count <= 64 && kept.reduce(0) { $0 + $1.offset } <= 16 << 20)
        #expect(kept.contains { $0.replica.incarnation == 199 }, "what comes now has the place of what was left")
        _ = try liar.addResident(["family_name=佐藤"])
        #expect(try ward.sync(liar).upToDate)
        #expect(try ward.sync(site).upToDate)
    }

    @Test func `A tiny part writes no more than a row, and of strangers nothing is kept in part`() throws {
        let ward = try WardFixture()
        let liar = try ward.join("liar")
        let storage = StoreReplica(ward.centre)
        let whole = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        func part(_ offset: Int, _ count: Int) -> SyncFrame {
            let cursor = StagedRun(
                space: .system,
                replica: ReplicaID(device: DeviceID(signingKey: [9]), incarnation: 1),
                first: 1,
                hash: SyncFrame.hash(whole),
                offset: offset
            )
            return SyncFrame(
                items: [.part(cursor, total: whole.count, bytes: Array(whole[offset..<offset + count]))]
            )
        }
        #expect(try storage.receive(part(0, 10), from: .stranger) == [.refused(.holdingFull)])
        #expect(try storage.staged(from: .stranger).isEmpty)

        #expect(try storage.receive(part(0, 200_000), from: liar.keys.device) == [.partial])
        for offset in 200_000..<200_200 {
            #expect(try storage.receive(part(offset, 1), from: liar.keys.device) == [.partial])
        }
        // Sent twice, and one that overlaps what is here.
        #expect(try storage.receive(part(100, 50), from: liar.keys.device) == [.duplicate])
        #expect(try storage.receive(part(199_000, 50_000), from: liar.keys.device) == [.partial])
        let queue = try DatabaseQueue(path: ward.centre.directory.database)
        let rows = try queue.read { try Int.fetchAll($0, sql: "SELECT length(bytes) FROM staged ORDER BY start") }
        #expect(rows == [200_000, 49_000])
        #expect(try storage.staged(from: liar.keys.device).map(\.offset) == [249_000])
        // Together they are what was sent: what is wrong with them is no more than that they are no run.
        let receipt = try storage.receive(part(249_000, 51_000), from: liar.keys.device)[0]
        guard case .refused(.malformed(let reason)) = receipt else {
            Issue.record("\(receipt)")
            return
        }
        #expect(reason != "parts do not fit")
        #expect(try storage.staged(from: liar.keys.device).isEmpty)
    }

    @Test func `Who writes without a grant fills no disk, and what others write is taken`() throws {
        let ward = try WardFixture()
        let (site, auditor) = (try ward.join("site"), try ward.join("auditor", role: .auditor, spaces: ["residents"]))
        try ward.sync(auditor)
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<40 {
            try auditor.write { transaction in
                let draft = try transaction.draft(SpaceID("residents")!, by: auditor.person)
                for _ in 0..<10 {
                    let noise = String(decoding: generator.bytes(60_000).map { 0x30 + $0 & 63 }, as: UTF8.self)
                    try draft.create(WardSchema.resident, [(1, .text("監")), (11, .text(ExactText(noise)))])
                }
            }
        }
        let report = try ward.sync(auditor)
        #expect(report.outcome.refused.contains { $0.reason == Refusal.shareFull.code })
        let kept = try ward.centre.read { try $0.inboxCounts().quarantined }
        #expect(kept > 0 && kept < 400)
        _ = try site.addResident(["family_name=佐藤"])
        #expect(try ward.sync(site).failure == nil)
        #expect(try ward.centre.read { try $0.records(WardSchema.resident).count } == 1)
    }

    @Test(arguments: ["residents", "residents/protected", "lessons/*", "*"])
    func `A venue cannot be invited into the register`(space: String) throws {
        let ward = try WardFixture()
        #expect {
            try ward.centre.invite(role: .venue, name: "会場", spaces: [space], milliseconds: 60_000, hub: nil)
        } throws: { ($0 as? CommandError)?.code == .usage }
    }
}
