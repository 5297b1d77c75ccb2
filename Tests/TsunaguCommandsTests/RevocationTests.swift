// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// A device whose rights ended meets the ward again.
@Suite("Revoked devices")
struct RevokedDeviceTests {
    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(
                try transaction.records(site.store.schema.collection(named: "resident")!, where: "deleted = 0")
                    .compactMap { $0.text("family_name") }
            )
        }
    }

    private func isErased(_ site: Site) -> Bool {
        let directory = site.directory
        return [directory.database, directory.database + "-wal", directory.deviceKey].allSatisfy {
            !DataDirectory.exists($0)
        }
            && DataDirectory.exists(directory.farewell)
    }

    @Test(arguments: Revocation.Mode.allCases)
    func `It hands in its work, gets a receipt and nothing else, and erases`(mode: Revocation.Mode) throws {
        let ward = try WardFixture()
        let branch = try ward.join("麹町出張所")
        _ = try branch.addResident(["family_name=送信済み"])
        try ward.sync(branch)
        _ = try branch.addResident(["family_name=未送信"])
        _ = try ward.centre.revoke("麹町出張所", mode: mode, reason: "盗難")
        let secret = "失効のあとに書いた名前"
        _ = try ward.centre.addResident(["family_name=\(secret)"])

        let transport = ward.transport()
        var received: [UInt8] = []
        transport.onPiece = { piece in
            received += piece
            return piece
        }
        let report = try branch.sync(with: transport)
        #expect(report.failure?.code == .notPermitted)
        #expect(!report.upToDate)
        #expect(received.count < 2000)
        #expect(isErased(branch))
        let expected: Set<String> = mode == .lost ? ["送信済み", secret] : ["送信済み", "未送信", secret]
        #expect(try names(ward.centre) == expected)
        #expect(try ward.centre.status().quarantined == (mode == .lost ? 1 : 0))
        // Whoever opens the directory is told what happened to it.
        #expect(throws: CommandError.self) { try Site.open(branch.directory, person: WardFixture.clerk) }
    }

    @Test func `Whatever the line loses on the way, nothing is erased before it was handed in`() throws {
        for cut in 1...8 {
            let ward = try WardFixture()
            let branch = try ward.join("branch")
            _ = try branch.addResident(["family_name=未送信"])
            _ = try ward.centre.revoke("branch", mode: .retired, reason: "返却")
            let transport = ward.transport()
            var count = 0
            transport.onPiece = { piece in
                count += 1
                if count == cut { throw TransportError.unreachable("cut") }
                return piece
            }
            let first = try branch.sync(with: transport)
            if first.failure?.code == .unreachable {
                #expect(!isErased(branch))
                #expect(try branch.sync(with: ward.transport()).failure?.code == .notPermitted)
            }
            #expect(isErased(branch))
            #expect(try names(ward.centre) == ["未送信"])
        }
    }

    @Test(arguments: [true, false])
    func `What a lost device handed in is adopted by an admin, by its site or by the case`(bySite: Bool) throws {
        let ward = try WardFixture()
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        let shared = try ward.centre.addResident(["family_name=共有", "phone=1"])
        for site in [branch, other] { try ward.sync(site) }
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        _ = try branch.addResident(["family_name=未送信"])
        _ = try branch.setResident(shared.description, ["phone=2"])
        _ = try ward.centre.setResident(shared.description, ["phone=3"])
        #expect(try branch.sync(with: ward.transport()).failure?.code == .notPermitted)
        try ward.sync(other)
        let cases = try ward.centre.cases(.quarantine)
        #expect(cases.count == 1)
        #expect(throws: CommandError.self) { try other.adopt(site: "branch", reason: "確かめた") }
        let adopted =
            try bySite
            ? ward.centre.adopt(site: "branch", reason: "本人に確かめた")
            : ward.centre.adopt(case: cases[0].id, reason: "本人に確かめた")
        #expect(adopted == 2)
        #expect(throws: CommandError.self) { try ward.centre.adopt(site: "branch", reason: "もう一度") }
        let stale = #expect(throws: CommandError.self) { try ward.centre.adopt(case: cases[0].id, reason: "もう一度") }
        #expect(stale?.code == .tryAgain)
        #expect(try ward.sync(other).upToDate)
        for site in [ward.centre, other] {
            #expect(try names(site) == ["共有", "未送信"])
            #expect(try site.status().quarantined == 0 && site.cases(.conflict).count == 1)
        }
        #expect(try ward.digests(ward.centre) == ward.digests(other))
        // Adopted is what was written: the device stays away.
        #expect(try ward.centre.read { try $0.currentAccess()?.isRevoked(branch.keys.device) } == true)
    }

    @Test func `Somebody else's work that one's own builds on is handed in with it`() throws {
        let ward = try WardFixture()
        let (branch, neighbour) = (try ward.join("branch"), try ward.join("neighbour"))
        try ward.sync(branch)
        _ = try neighbour.addResident(["family_name=隣"])
        #expect(try branch.sync(with: LoopbackTransport(Hub(neighbour))).failure == nil)
        let resident = try branch.read { try $0.records(branch.store.schema.collection(named: "resident")!)[0].id }
        _ = try branch.setResident(resident.description, ["family_name=隣の続き"])
        _ = try ward.centre.revoke("branch", mode: .retired, reason: "返却")

        #expect(try branch.sync(with: ward.transport()).failure?.code == .notPermitted)
        #expect(isErased(branch))
        #expect(try names(ward.centre) == ["隣の続き"])
        #expect(try ward.centre.status().quarantined == 0)
        #expect(try ward.sync(neighbour).upToDate)
    }

    @Test func `Whoever leaves hands a venue nothing that it may not hold`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        try ward.sync(branch)
        _ = try branch.addResident(["family_name=秘密"])
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        try ward.sync(venue)
        let report = try branch.sync(with: LoopbackTransport(Hub(venue)))
        #expect(report.failure?.code == .notPermitted)
        #expect(!isErased(branch))
        #expect(try venue.status().spaces.map(\.id).allSatisfy { $0 == .system || $0.name.hasPrefix("lessons/") })
        // Nor was it offered, or it would have been refused.
        #expect(report.outcome.refused.isEmpty)
    }

    @Test func `A peer that is no admin's is no reason to erase`() throws {
        let ward = try WardFixture()
        let (branch, neighbour) = (try ward.join("branch"), try ward.join("neighbour"))
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        try ward.sync(neighbour)
        let report = try branch.sync(with: LoopbackTransport(Hub(neighbour)))
        #expect(report.failure?.code == .notPermitted)
        #expect(!isErased(branch))
        #expect(try branch.status().spaces.count > 1)
    }

    @Test func `A revoked device is refused as a peer by all who know, and writes nothing itself once it knows`() throws
    {
        let ward = try WardFixture()
        let (branch, neighbour) = (try ward.join("branch"), try ward.join("neighbour"))
        try ward.sync(branch)
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        try ward.sync(neighbour)
        let report = try neighbour.sync(with: LoopbackTransport(Hub(branch)))
        #expect(report.failure?.code == .notPermitted)
        #expect(report.outcome.sent == 0)
    }

    @Test func `What others wrote having seen half a transaction takes effect though the other half was lost`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 9))
        _ = try ward.centre.addResident(["family_name=田中", "number=12"])
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        for site in [branch, other, venue] { try ward.sync(site) }
        // The booking is told to the venue next door; its link to the resident stands on the branch's disk alone.
        let half = try branch.addBooking(lesson: "K1", .resident("12")).record.id
        _ = try venue.sync(with: LoopbackTransport(Hub(branch)))
        let guest = BookingPerson.guest(name: "鈴木", kana: nil, phone: nil, ageGroup: nil)
        let own = try venue.addBooking(lesson: "K1", guest).record.id
        try ward.sync(venue)
        func holds(_ site: Site, _ id: RecordID) throws -> Bool {
            try site.read { try $0.record(WardSchema.booking, id) } != nil
        }
        #expect(try holds(venue, half) && holds(venue, own))
        #expect(try !holds(ward.centre, own), "it waits for the other half of what its author saw")

        _ = try ward.centre.revoke("branch", mode: .lost, reason: "水没")
        for site in [venue, other, venue] { try ward.sync(site) }
        for site in [ward.centre, other, venue] {
            #expect(try holds(site, own) && !holds(site, half))
            #expect(try site.read { try $0.heldCauses(in: SpaceID("lessons/kudan")!) }.isEmpty)
            #expect(try site.doctor().allSatisfy(\.ok))
        }
        #expect(try ward.digests(other) == ward.digests(ward.centre))
        let lessons = SpaceID("lessons/kudan")!
        #expect(try ward.digests(venue)[lessons] == ward.digests(ward.centre)[lessons])
        // Nor is the half lost that there is.
        _ = try ward.centre.adopt(site: "branch", reason: "会場に届いていた")
        for site in [venue, other] { try ward.sync(site) }
        for site in [ward.centre, other, venue] { #expect(try holds(site, half)) }
    }

    @Test func `A right that comes late brings all of the space and only that`() throws {
        let ward = try WardFixture()
        let venue = try ward.join("九段会館", role: .venue, spaces: ["lessons/kudan"])
        for space in ["kudan", "ochanomizu"] {
            _ = try ward.centre.addLesson(.kudan(space, space: "lessons/\(space)", capacity: 3))
        }
        _ = try ward.centre.addResident(["family_name=住民"])
        try ward.sync(venue)
        #expect(try venue.status().spaces.map(\.id.name).sorted() == ["lessons/kudan", "system"])
        _ = try ward.centre.grant("九段会館", space: "lessons/ochanomizu", writes: false)
        try ward.sync(venue)
        #expect(try venue.status().spaces.map(\.id.name).sorted() == ["lessons/kudan", "lessons/ochanomizu", "system"])
        #expect(throws: CommandError.self) { try ward.centre.grant("九段会館", space: "residents", writes: true) }
        #expect(throws: CommandError.self) { try venue.grant("九段会館", space: "lessons/kudan", writes: true) }
        #expect(throws: CommandError.self) { try venue.revoke("千代田区", mode: .lost, reason: "x") }
        #expect(throws: CommandError.self) { try ward.centre.revoke("千代田区", mode: .lost, reason: "x") }
    }

    @Test func `One device of a site goes, and the others go on`() throws {
        let ward = try WardFixture()
        func join(_ device: String, at place: String? = nil) throws -> Site {
            let code = try ward.centre.invite(
                role: .branch,
                name: "麹町",
                spaces: [],
                milliseconds: 60_000,
                hub: "https://hub.example"
            )
            return try Site.join(
                DataDirectory(ward.root + "/" + (place ?? device)),
                person: WardFixture.clerk,
                code: code.code,
                hub: nil,
                deviceName: device,
                connect: { _ in ward.transport() }
            ).site
        }
        let (one, two) = (try join("one"), try join("two"))
        let third = try join("two", at: "three")
        let id = { (site: Site) in site.keys.device.description }
        let unknown = #expect(throws: CommandError.self) {
            try ward.centre.revoke("麹町", device: "four", mode: .lost, reason: "x")
        }
        #expect(unknown?.code == .notFound && unknown?.hint?.en.contains(one.keys.device.short) == true)
        let ambiguous = #expect(throws: CommandError.self) {
            try ward.centre.revoke("麹町", device: "two", mode: .lost, reason: "x")
        }
        #expect(ambiguous?.code == .badInput)
        #expect(throws: CommandError.self) {
            try ward.centre.revoke("千代田区", device: id(one), mode: .lost, reason: "x")
        }
        let ended = try ward.centre.revoke("麹町", device: String(id(two).prefix(12)), mode: .retired, reason: "更新")
        #expect(ended == [two.keys.device])
        #expect(try ward.sync(two).failure?.code == .notPermitted && isErased(two))
        for site in [one, third] { #expect(try ward.sync(site).upToDate) }
        #expect(try ward.centre.revoke("麹町", device: "one", mode: .retired, reason: "更新") == [one.keys.device])
        let again = #expect(throws: CommandError.self) {
            try ward.centre.revoke("麹町", device: "one", mode: .retired, reason: "更新")
        }
        #expect(again?.code == .badInput)
        let site = try #require(try ward.centre.sites().first { $0.name == "麹町" })
        #expect(!site.isRevoked && site.devices.filter { $0.revoked == nil }.map(\.id) == [third.keys.device])
        // What has ended holds nothing.
        #expect(site.devices.filter { $0.revoked != nil }.allSatisfy { $0.grants.isEmpty })
    }

    @Test func `A grant to read is told as one, adds to what there is, and never narrows it`() throws {
        let ward = try WardFixture()
        _ = try ward.join("九段会館", role: .venue, spaces: ["lessons/kudan"])
        func device() throws -> SiteView.Device {
            try #require(try ward.centre.sites().first { $0.name == "九段会館" }?.devices.first)
        }
        #expect(try ward.centre.grant("九段会館", space: "lessons/jimbo", writes: false).count == 1)
        #expect(try device().written == ["lessons/kudan"] && device().onlyRead == ["lessons/jimbo"])
        // Said again it is no news.
        #expect(try ward.centre.grant("九段会館", space: "lessons/jimbo", writes: false).isEmpty)
        let narrowed = #expect(throws: CommandError.self) {
            try ward.centre.grant("九段会館", space: "lessons/kudan", writes: false)
        }
        #expect(narrowed?.code == .badInput && narrowed?.hint?.en.contains("invite") == true)
        #expect(try ward.centre.grant("九段会館", space: "lessons/jimbo", writes: true).count == 1)
        #expect(try device().onlyRead.isEmpty && device().written == ["lessons/kudan", "lessons/jimbo"])
        #expect(try ward.centre.unknownSpaces(["lessons/jimbo", "residents", "lessons/*", "*"]) == ["lessons/jimbo"])
    }
}
