// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("What others see while sites exchange")
struct InterleavingTests {
    /// An exchange without a carrier, a message at a time.
    private struct Stepper {
        private let here: StoreReplica
        private let there: StoreReplica
        private let server: SyncServer
        private var client: SyncClient
        private var action: SyncClient.Action
        private var frames: FrameWriter?

        init(_ site: Site, _ hub: Site) throws {
            here = StoreReplica(site)
            there = StoreReplica(hub)
            server = SyncServer(client: site.keys.device)
            client = SyncClient(peer: hub.keys.device, frameBytesMax: 512)
            action = try client.begin(here)
        }

        var isOver: Bool { if case .finish = action { true } else { false } }
        var isUpToDate: Bool { client.outcome.upToDate }

        mutating func step() throws {
            guard case .send(let request) = action else { return }
            guard case .pull(let pull) = request else {
                action = try client.received(server.answer(request, there), here)
                return
            }
            if frames == nil { frames = try server.frames(pull, there) }
            if let frame = try frames?.next(from: there) {
                try client.received(frame: frame, here)
            } else {
                frames = nil
                action = try client.pullEnded(here)
            }
        }
    }

    private func expectWhole(_ site: Site, _ comment: Comment) throws {
        let found = try site.read { try $0.verify() }
        #expect(found.log.faultCount + found.tables.faultCount + found.digests.faultCount == 0, comment)
    }

    @Test(arguments: 0..<6 as Range<UInt64>)
    func `Exchanges with two peers, message by message in turn, leave a whole store after each`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let ward = try WardFixture()
        let (site, second) = (try ward.join("site"), try ward.join("second", role: .admin))
        for index in 0..<40 {
            _ = try generator.pick([ward.centre, second, site]).addResident([
                "family_name=家\(index)", "address=\(Hex.encode(generator.bytes(40)))",
            ])
        }
        var steppers = [try Stepper(site, ward.centre), try Stepper(site, second)]
        var messages = 0
        while let next = [generator.below(2), 0, 1].first(where: { !steppers[$0].isOver }) {
            try steppers[next].step()
            messages += 1
            try expectWhole(site, "seed \(seed), message \(messages)")
        }
        #expect(messages > 12)
        for hub in [ward.centre, second, ward.centre] {
            var last = try Stepper(site, hub)
            while !last.isOver { try last.step() }
            #expect(last.isUpToDate)
        }
        #expect(try ward.digests(site) == ward.digests(ward.centre))
        #expect(try site.read { try $0.records(WardSchema.resident).count } == 40)
    }

    @Test func `A booking and its link to a resident arrive together wherever the line is cut`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 200))
        let branch = try ward.join("branch")
        try ward.sync(branch)
        var cuts = 0
        for cut in stride(from: 1, to: 2600, by: 53) {
            let resident = try ward.centre.addResident(["family_name=家\(cut)"])
            let booking = try ward.centre.addBooking(lesson: "K1", .resident(resident.description)).record.id
            let broken = ward.transport()
            var left = cut
            broken.onPiece = { piece in
                left -= piece.count
                if left >= 0 { return piece }
                throw TransportError.unreachable("cut")
            }
            if try branch.sync(with: broken).failure != nil { cuts += 1 }
            let seen = try branch.read { transaction in
                [
                    try transaction.record(WardSchema.booking, booking) != nil,
                    try transaction.record(WardSchema.bookingLink, PersonKey.link(of: booking)) != nil,
                ]
            }
            #expect(Set(seen).count == 1, "cut after \(cut) bytes: \(seen)")
            if seen == [false, false] { #expect(try ward.sync(branch).upToDate) }
        }
        #expect(cuts > 10)
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func `What a site shows never goes back, and what it wrote stays visible`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let ward = try WardFixture()
        let (site, other) = (try ward.join("site"), try ward.join("other"))
        let theirs = try ward.centre.addResident(["family_name=甲", "phone=03-0000-1000"]).description
        let own = try site.addResident(["family_name=乙", "phone=03-0000-1000"]).description
        func version(_ id: String) throws -> Int {
            try site.resident(id).text("phone").flatMap { Int($0.string.suffix(4)) } ?? 0
        }
        for each in [site, other] { try ward.sync(each) }
        var (seen, written, centres) = (1000, 1000, 1000)
        for _ in 0..<40 {
            switch generator.below(4) {
            case 0:
                centres += 1
                _ = try ward.centre.setResident(theirs, ["phone=03-0000-\(centres)"])
            case 1:
                written += 1
                _ = try site.setResident(own, ["phone=03-0000-\(written)"])
            case 2:
                let line = ward.transport()
                var left = generator.below(3000)
                line.onPiece = { piece in
                    left -= piece.count
                    if left >= 0 { return piece }
                    throw TransportError.unreachable("cut")
                }
                _ = try site.sync(with: line)
            default: try ward.sync(generator.pick([site, other]))
            }
            let now = try version(theirs)
            #expect(now >= seen, "seed \(seed)")
            seen = now
            #expect(try version(own) == written, "seed \(seed)")
        }
        for _ in 0..<2 { try ward.sync(site) }
        #expect(try version(theirs) == centres)
    }

    @Test func `A number that is changed here and a telephone there are one person with both`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let id = try ward.centre.addResident(["family_name=佐藤", "number=100", "phone=03-0000-0001"]).description
        for site in [a, b] { try ward.sync(site) }
        _ = try a.setResident(id, ["number=200"])
        _ = try b.setResident("100", ["phone=03-0000-0002"])
        for site in [a, b, a, b] { try ward.sync(site) }
        for site in [a, b, ward.centre] {
            let row = try site.resident("200")
            #expect(row.id.description == id)
            #expect(row.text("phone") == "03-0000-0002")
            #expect(try site.read { try $0.records(WardSchema.resident).count } == 1)
            #expect(try site.cases().isEmpty)
        }
    }
}
