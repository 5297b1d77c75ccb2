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

/// Who asks more than is fair, and who has no right to ask.
@Suite("Hostile guests")
struct HostileGuestTests {
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
        guard case .run(var run)? = SyncFrame.junk(number).items.first else { return SyncFrame() }
        run.replica = ReplicaID(device: ward.centre.keys.device, incarnation: number)
        return SyncFrame(items: [.run(run)])
    }

    @Test func `What a stranger brings is neither held nor listed`() throws {
        let ward = try WardFixture()
        let replica = try #require(try ward.centre.read { try $0.ownReplica() })
        let ask = try openStranger(ward)
        #expect(try ask(.push(SyncFrame.junk(1))) == .receipts([.refused(.unknownDevice)]))
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
        let reply = try writer.write { _ in try ask(.push(SyncFrame.junk(1))) }
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
