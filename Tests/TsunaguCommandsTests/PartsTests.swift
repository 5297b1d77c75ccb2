// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Runs larger than a frame")
struct PartsTests {
    private struct LineCut: Error {}

    /// How many frames get through before the line is cut, and what went over it.
    private final class Line {
        var framesLeft: Int
        private(set) var bytes = 0
        private(set) var parts = 0

        init(framesLeft: Int = .max) { self.framesLeft = framesLeft }

        func carry(_ frame: SyncFrame) throws {
            guard framesLeft > 0 else { throw LineCut() }
            framesLeft -= 1
            bytes += frame.encoded.count
            parts += frame.items.count { if case .part = $0 { true } else { false } }
        }
    }

    /// The whole exchange without a carrier, in frames of 256 bytes.
    private func exchange(_ site: Site, _ hub: Site, over line: Line) throws -> SyncClient.Outcome {
        let (here, there) = (StoreReplica(site), StoreReplica(hub))
        let server = SyncServer(client: site.keys.device)
        var client = SyncClient(peer: hub.keys.device, frameBytesMax: 256)
        var action = try client.begin(here)
        while case .send(let request) = action {
            switch request {
            case .pull(let pull):
                var frames = try server.frames(pull, there)
                while let frame = try frames.next(from: there) {
                    try line.carry(frame)
                    try client.received(frame: frame, here)
                }
                action = try client.pullEnded(here)
            case .push(let frame):
                try line.carry(frame)
                action = try client.received(server.answer(request, there), here)
            case .compare, .sums, .run, .leave:
                action = try client.received(server.answer(request, there), here)
            }
        }
        return client.outcome
    }

    /// Text that does not compress, so that a run is many frames long.
    private func addMany(_ site: Site) throws {
        for index in 0..<60 {
            let noise = Hex.encode(RecordID(derivedFrom: [Array("\(index)".utf8)]).bytes)
            _ = try site.addResident(["family_name=家\(index)", "address=\(noise)"])
        }
    }

    @Test func `A pull that is cut after any frame goes on at that frame`() throws {
        let ward = try WardFixture()
        let (whole, cut) = (try ward.join("whole"), try ward.join("cut"))
        for site in [whole, cut] { try ward.sync(site) }
        try addMany(ward.centre)

        let line = Line()
        #expect(try exchange(whole, ward.centre, over: line).upToDate)
        #expect(line.parts > 5, "a run is larger than many frames")

        var (bytes, cuts) = (0, 0)
        var outcome = SyncClient.Outcome()
        while !outcome.upToDate {
            let piece = Line(framesLeft: 1)
            do { outcome = try exchange(cut, ward.centre, over: piece) } catch is LineCut { cuts += 1 }
            bytes += piece.bytes
            try #require(cuts < 100, "the exchange does not get on")
        }
        #expect(cuts > 2)
        #expect(bytes == line.bytes, "no byte went twice")
        #expect(try ward.digests(cut) == ward.digests(ward.centre))
        #expect(try StoreReplica(cut).staged(from: ward.centre.keys.device).isEmpty)
    }

    @Test func `What one peer half brought is forgotten once another brought it whole`() throws {
        let ward = try WardFixture()
        let (whole, cut) = (try ward.join("whole"), try ward.join("cut"))
        for site in [whole, cut] { try ward.sync(site) }
        try addMany(ward.centre)
        #expect(throws: LineCut.self) { try exchange(cut, ward.centre, over: Line(framesLeft: 5)) }
        try #require(try !StoreReplica(cut).staged(from: ward.centre.keys.device).isEmpty)
        #expect(try exchange(whole, ward.centre, over: Line()).upToDate)
        #expect(try exchange(cut, whole, over: Line()).upToDate)
        #expect(try StoreReplica(cut).staged(from: ward.centre.keys.device).isEmpty)
    }

    @Test func `A push that is cut after any frame loses nothing and doubles nothing`() throws {
        let ward = try WardFixture()
        let site = try ward.join("site")
        try addMany(site)
        var left = 1
        var outcome = SyncClient.Outcome()
        while !outcome.upToDate {
            do { outcome = try exchange(site, ward.centre, over: Line(framesLeft: left)) } catch is LineCut {
                left += 1
            }
            try #require(left < 500, "the exchange does not get on")
        }
        #expect(left > 5)
        #expect(try ward.centre.read { try $0.records(WardSchema.resident).count } == 60)
        #expect(try ward.digests(site) == ward.digests(ward.centre))
    }
}
