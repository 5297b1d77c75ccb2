// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Exchanges between sites")
struct ExchangeTests {
    private let residents = SpaceID("residents")!
    private let resident = WardSchema.resident

    private func add(_ site: Site, _ family: String, phone: String = "03-0000-0000") throws -> RecordID {
        try site.write { transaction in
            try transaction.draft(residents, by: site.person).create(
                resident,
                [(1, .text(family)), (2, .text("花")), (14, .text(phone))]
            )
        }
    }

    private func set(_ site: Site, _ id: RecordID, _ field: UInt32, _ value: Value) throws {
        try site.write { transaction in
            try transaction.draft(residents, by: site.person).set(resident, id, [(field, value)])
        }
    }

    private func value(_ site: Site, _ id: RecordID, _ field: String) throws -> Value? {
        try site.read { try $0.record(resident, id)?.values[field] }
    }

    @Test func `What one site writes arrives at the others, byte for byte`() throws {
        let ward = try WardFixture()
        let a = try ward.join("a")
        let b = try ward.join("b")
        let id = try add(a, "\u{FA19}\u{9AD9}葛\u{E0100}")
        #expect(try ward.sync(a).upToDate)
        #expect(try ward.sync(b).upToDate)
        #expect(try value(b, id, "family_name") == .text("\u{FA19}\u{9AD9}葛\u{E0100}"))
        #expect(try ward.digests(a) == ward.digests(b))
        #expect(try ward.digests(a) == ward.digests(ward.centre))
    }

    @Test func `Two forms of one character written at once are a conflict with both bytes, everywhere`() throws {
        let ward = try WardFixture()
        let a = try ward.join("a")
        let b = try ward.join("b")
        let id = try add(ward.centre, "神")
        try ward.sync(a)
        try ward.sync(b)
        try set(a, id, 1, .text("\u{FA19}"))
        try set(b, id, 1, .text("\u{795E}\u{795E}"))
        try set(b, id, 1, .text("\u{795E}"))
        for site in [a, b, a, b] { #expect(try ward.sync(site).failure == nil) }
        var ids: Set<String> = []
        for site in [a, b, ward.centre] {
            let conflicts = try site.read { try $0.conflicts() }
            #expect(conflicts.count == 1)
            let values =
                conflicts.first?.alternatives.map { $0.values.first { $0.field.name == "family_name" }!.value } ?? []
            #expect(Set(values) == [.text("\u{FA19}"), .text("\u{795E}")])
            ids.formUnion(conflicts.map(\.id))
        }
        #expect(ids.count == 1)
        #expect(try ward.digests(a) == ward.digests(b))
    }

    @Test func `A venue gets its own space and nothing of any other`() throws {
        let ward = try WardFixture()
        let kudan = SpaceID("lessons/kudan")!
        try ward.centre.write { try $0.found(kudan, by: ward.centre.person) }
        _ = try add(ward.centre, "佐藤")
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        #expect(try ward.sync(venue).upToDate)
        #expect(try venue.read { try $0.spaces().map(\.name) } == ["lessons/kudan", "system"])
        #expect(try venue.read { try $0.records(resident) }.isEmpty)
    }

    @Test func `Ten edits among many residents move less than four kibibytes`() throws {
        let ward = try WardFixture()
        var ids: [RecordID] = []
        for index in 0..<200 { ids.append(try add(ward.centre, "家\(index)")) }
        let a = try ward.join("a")
        try ward.sync(a)
        for id in ids.prefix(10) { try set(a, id, 14, .text("090-0111-\(1000 + id.bytes[0].hashValue % 1000)")) }
        let report = try ward.sync(a)
        #expect(report.upToDate)
        #expect(report.outcome.sent == 10)
        #expect(report.bytesSent + report.bytesReceived < 4096, "\(report.bytesSent) + \(report.bytesReceived)")
    }

    @Test func `An answer that breaks off at any byte is never up to date, and the next exchange completes it`() throws
    {
        let ward = try WardFixture()
        for index in 0..<50 { _ = try add(ward.centre, "家\(index)") }
        let whole = try ward.join("whole")
        for cut in stride(from: 0, to: 6000, by: 487) {
            let code = try ward.centre.invite(
                role: .branch,
                name: "cut \(cut)",
                spaces: [],
                milliseconds: 60_000,
                hub: "https://hub.example"
            )
            let directory = DataDirectory(ward.root + "/cut\(cut)")
            var left = cut
            let broken = ward.transport()
            broken.onPiece = { piece in
                left -= piece.count
                if left < 0 { throw TransportError.unreachable("cut") }
                return piece
            }
            // Enrolment and hello pass; the cut comes somewhere in what follows, or not at all.
            let join = { (transport: LoopbackTransport) in
                try Site.join(
                    directory,
                    person: WardFixture.clerk,
                    code: code.code,
                    hub: nil,
                    deviceName: "cut",
                    connect: { _ in transport }
                )
            }
            do {
                #expect(try join(broken).report.upToDate)
            } catch let error as CommandError {
                #expect(error.code == .unreachable)
                #expect(try join(ward.transport()).report.upToDate)
            }
            let site = try Site.open(directory, person: WardFixture.clerk)
            #expect(try ward.sync(site).upToDate)
            try ward.sync(whole)
            #expect(try ward.digests(site)[residents] == ward.digests(whole)[residents])
        }
    }

    @Test func `A device that does not belong to the ward gets no answer`() throws {
        let ward = try WardFixture()
        let other = try WardFixture()
        let stranger = try other.join("stranger")
        let report = try ward.sync(stranger)
        #expect(report.failure?.code == .notPermitted)
        #expect(!report.upToDate)
    }

    @Test func `A request that was answered is not answered again`() throws {
        let ward = try WardFixture()
        let a = try ward.join("a")
        var requests: [[UInt8]] = []
        let transport = ward.transport()
        transport.onPost = { path, body in if path == "/v1/exchange" { requests.append(body) } }
        _ = try a.sync(with: transport)
        for request in requests { #expect(ward.hub.answer(path: "/v1/exchange", body: request).status == 401) }
    }

    @Test func `A code works once, and again only for the device that used it`() throws {
        let ward = try WardFixture()
        let code = try ward.centre.invite(
            role: .branch,
            name: "a",
            spaces: [],
            milliseconds: 60_000,
            hub: "https://hub.example"
        ).code
        func join(_ name: String) throws -> Site {
            try Site.join(
                DataDirectory(ward.root + "/" + name),
                person: WardFixture.clerk,
                code: code,
                hub: nil,
                deviceName: name,
                connect: { _ in ward.transport() }
            ).site
        }
        let first = try join("first")
        // Whoever was cut off before being told that all is well asks again.
        #expect(try join("first").keys.device == first.keys.device)
        #expect { try join("second") } throws: { ($0 as? CommandError)?.code == .notPermitted }
    }
}
