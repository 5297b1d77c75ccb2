// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Data directories that were copied, and go on beside each other under one device's key.
@Suite("Copies of a machine")
struct CopyTests {
    private let ward: WardFixture

    init() throws { ward = try WardFixture() }

    private func add(_ site: Site, _ names: [String]) throws {
        for name in names { _ = try site.addResident(["family_name=\(name)"]) }
    }

    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(try transaction.records(WardSchema.resident, where: "deleted = 0").map { $0.text("family_name") ?? "" })
        }
    }

    /// The files of a data directory under another name.
    private func copyFiles(_ site: Site, as name: String) throws -> DataDirectory {
        let copy = DataDirectory(ward.root + "/" + name)
        try site.store.checkpoint()
        try FileManager.default.copyItem(atPath: site.directory.path, toPath: copy.path)
        return copy
    }

    /// A copy that goes on at another hour: what two machines write under one number in one millisecond has one name.
    private func copy(_ site: Site, as name: String) throws -> Site {
        var environment = Store.Environment.system
        let ahead = UInt64(name.utf8.reduce(0) { $0 + Int($1) }) * 60_000
        environment.now = { Store.Environment.system.now() + ahead }
        return try Site.open(copyFiles(site, as: name), person: WardFixture.clerk, environment: environment)
    }

    /// Everybody holds and shows the same, and says so; nothing is unsent, refused or deleted.
    private func expectSame(_ sites: [Site], _ expected: Set<String>) throws {
        for site in sites {
            let shown = try names(site)
            #expect(shown == expected)
            #expect(try ward.digests(site) == ward.digests(ward.centre))
            #expect(try site.read { try $0.records(WardSchema.resident, where: "deleted = 1") }.isEmpty)
            let status = try site.status()
            #expect(status.refused.isEmpty && status.quarantined == 0)
            // Two copies are nobody else's loss.
            #expect(!status.notices.contains { $0.code == "peer_lost_changes" }, "\(status.notices)")
            #expect(status.spaces.allSatisfy { $0.unsent == 0 && $0.waitingFor.isEmpty } || site === ward.centre)
            #expect(try site.cases(.finding).map(\.code) == ["equivocation"])
            #expect(try site.doctor().allSatisfy(\.ok))
        }
        #expect(Set(try sites.map { site in try site.read { try $0.ownReplica()! } }).count == sites.count)
    }

    private func syncAll(_ sites: [Site]) throws {
        for site in sites + sites { try ward.sync(site) }
        for site in sites {
            let report = try ward.sync(site)
            #expect(report.upToDate && report.outcome.refused.isEmpty, "\(report.outcome.refused)")
        }
    }

    /// Made between two exchanges, or before the first; who comes to the hub first; and how much each wrote.
    @Test(arguments: [true, false], [[1, 1], [1, 4], [4, 1], [3, 3]])
    func `Both copies' work arrives, whoever comes first, and both go on`(isSynced: Bool, counts: [Int]) throws {
        for isOriginalFirst in [true, false] {
            let name = "site-\(isOriginalFirst)"
            let original = try ward.join(name)
            let other = try ward.join("other-\(isOriginalFirst)")
            let before = try names(ward.centre)
            try add(original, ["共\(name)"])
            if isSynced { #expect(try ward.sync(original).upToDate) }
            let copy = try copy(original, as: "copy-\(isOriginalFirst)")
            let written = ["本", "写"].map { word in (0..<4).map { "\(word)\($0)\(name)" } }
            try add(original, Array(written[0].prefix(counts[0])))
            try add(copy, Array(written[1].prefix(counts[1])))
            for site in isOriginalFirst ? [original, copy] : [copy, original] { try ward.sync(site) }
            try add(other, ["他\(name)"])
            try syncAll([original, copy, other])
            try add(original, ["本後\(name)"])
            try add(copy, ["写後\(name)"])
            try syncAll([original, copy, other])
            let all = before.union(["共\(name)", "他\(name)", "本後\(name)", "写後\(name)"])
                .union(written[0].prefix(counts[0])).union(written[1].prefix(counts[1]))
            for site in [original, copy, other] {
                let shown = try names(site)
                #expect(shown == all)
                #expect(try ward.digests(site) == ward.digests(ward.centre))
            }
            guard isOriginalFirst else { continue }
            try expectSame([original, copy, other, ward.centre], all)
        }
    }

    @Test func `Copies of a machine that keeps a lesson's seats come to rest, and one of them keeps it`() throws {
        _ = try ward.centre.addLesson(.kudan("K0", capacity: 6))
        let (owner, other) = (try ward.join("owner"), try ward.join("other"))
        for site in [owner, other, owner] { try ward.sync(site) }
        _ = try owner.addLesson(.kudan(capacity: 6))
        for site in [owner, other, owner] { try ward.sync(site) }
        let copy = try copy(owner, as: "copy")
        let people = [(owner, "本"), (copy, "写")]
        for (site, name) in people {
            let guest = BookingPerson.guest(name: name, kana: nil, phone: nil, ageGroup: nil)
            _ = try site.addBooking(lesson: "K1", guest)
        }
        let sites = [owner, copy, other]
        func round() throws -> Int {
            try sites.reduce(0) { sum, site in
                let report = try ward.sync(site)
                return sum + report.outcome.sent + report.outcome.received
            }
        }
        var rounds = 0
        while try round() > 0, rounds < 12 { rounds += 1 }
        #expect(rounds < 12)
        let views = try (sites + [ward.centre]).map { try $0.lesson("K1") }
        #expect(Set(views.map { $0.owner?.device }) == [owner.keys.device])
        #expect(Set(views.map(\.owner)).count == 1)
        #expect(views.allSatisfy { $0.confirmed == 2 && $0.waiting == 0 })
    }

    @Test(arguments: [1, 3, 12])
    func `A machine that was put back and wrote before it met anybody keeps what it wrote twice`(writes: Int) throws {
        let site = try ward.join("site")
        let other = try ward.join("other")
        try add(site, ["前"])
        try ward.sync(site)
        let image = try copyFiles(site, as: "image")
        // Sealed in many runs, so that the hub's last ones do not go on from what the older disk holds.
        let lost = (0..<6).map { "戻\($0)" }
        for name in lost {
            try add(site, [name])
            #expect(try ward.sync(site).upToDate)
        }
        try site.store.close()
        let again = try Site.open(image, person: WardFixture.clerk)
        let new = (0..<writes).map { "新\($0)" }
        for name in new {
            try add(again, [name])
            try again.seal()
        }
        let report = try ward.sync(again)
        #expect(report.upToDate)
        try syncAll([again, other])
        try add(again, ["後"])
        try syncAll([again, other])
        try expectSame([again, other, ward.centre], Set(["前", "後"] + lost + new))
    }

    @Test func `Three copies and a copy of a copy come to the same`() throws {
        let first = try ward.join("site")
        try add(first, ["共"])
        let second = try copy(first, as: "second")
        let third = try copy(first, as: "third")
        for (site, name) in zip([first, second, third], ["一", "二", "三"]) { try add(site, [name, name + name]) }
        let fourth = try copy(second, as: "fourth")
        try add(second, ["二後"])
        try add(fourth, ["四"])
        try syncAll([third, fourth, first, second])
        for (site, name) in zip([first, second, third, fourth], ["甲", "乙", "丙", "丁"]) { try add(site, [name]) }
        try syncAll([fourth, second, third, first])
        let all: Set = ["共", "一", "二", "三", "一一", "二二", "三三", "二後", "四", "甲", "乙", "丙", "丁"]
        try expectSame([first, second, third, fourth, ward.centre], all)
        #expect(try ward.centre.read { try $0.forks(in: SpaceID("residents")!) }.map(\.branches) == [4])
    }

    @Test func `Copies that meet each other at a neighbour, and there alone, come to the same`() throws {
        let original = try ward.join("site")
        let neighbour = try ward.join("neighbour")
        try ward.sync(original)
        try add(original, ["共"])
        let copy = try copy(original, as: "copy")
        try add(original, ["本1", "本2"])
        try add(copy, ["写1"])
        let hub = Hub(neighbour)
        for site in [original, copy, original, copy] { _ = try site.sync(with: LoopbackTransport(hub)) }
        for site in [original, copy] { #expect(try site.sync(with: LoopbackTransport(hub)).upToDate) }
        for site in [original, copy, neighbour] { #expect(try names(site) == ["共", "本1", "本2", "写1"]) }
        try syncAll([neighbour, original, copy])
        try expectSame([original, copy, neighbour, ward.centre], ["共", "本1", "本2", "写1"])
    }

    @Test(arguments: [[0, 1], [1, 0]])
    func `By bundles alone the copies' work comes together`(order: [Int]) throws {
        let original = try ward.join("site")
        let other = try ward.join("other")
        try add(original, ["共"])
        for site in [original, other, original] { #expect(try ward.sync(site).upToDate) }
        let copy = try copy(original, as: "copy")
        try add(original, ["本1", "本2"])
        try add(copy, ["写1"])
        var count = 0
        func carry(_ from: Site, _ to: Site, _ name: String) throws {
            count += 1
            let path = ward.root + "/bundle-\(count)"
            _ = try from.exportBundle(to: path, for: name)
            _ = try? to.importBundle(path)
        }
        let copies = [original, copy]
        for _ in 0..<3 {
            for place in order {
                try carry(copies[place], other, "other")
                try carry(other, copies[place], "site")
            }
        }
        let all: Set = ["共", "本1", "本2", "写1"]
        for site in [original, copy, other] { #expect(try names(site) == all) }
        #expect(try ward.digests(original) == ward.digests(other))
        #expect(try ward.digests(copy) == ward.digests(other))
    }

    @Test func `A clerk who corrected what one of the copies wrote stands beside both, and decides`() throws {
        let original = try ward.join("site")
        let clerk = try ward.join("clerk")
        let id = try original.addResident(["family_name=共", "phone=03-0000-0000"])
        try ward.sync(original)
        let copy = try copy(original, as: "copy")
        _ = try original.setResident(id.description, ["phone=03-1111-1111"])
        _ = try copy.setResident(id.description, ["phone=03-2222-2222"])
        for site in [original, clerk] { #expect(try ward.sync(site).upToDate) }
        _ = try clerk.setResident(id.description, ["phone=03-3333-3333"])
        #expect(try ward.sync(clerk).upToDate)
        try syncAll([copy, original, clerk])
        for site in [original, copy, clerk, ward.centre] {
            let conflict = try #require(try site.cases(.conflict).first)
            let values = conflict.values.compactMap { $0.fields.first?.value.text?.string }
            #expect(Set(values) == ["03-1111-1111", "03-2222-2222", "03-3333-3333"])
            #expect(try site.cases(.conflict).count == 1)
        }
        let open = try ward.centre.cases(.conflict)[0]
        let place = try #require(open.values.first { $0.fields.first?.value.text == "03-3333-3333" })
        _ = try ward.centre.resolve(open.id, .take(place.n), reason: "確認")
        try syncAll([copy, original, clerk])
        for site in [original, copy, clerk] { #expect(try site.cases(.conflict).isEmpty) }
    }

    /// Whose branch is handed in first, and whether the thief's begins before all that the device ever wrote.
    @Test(arguments: [true, false], [true, false])
    func `Whoever steals a copy takes nothing out of effect that was handed in`(isOlder: Bool, isKnown: Bool) throws {
        let original = try ward.join("site")
        let other = try ward.join("other")
        let early = isOlder ? try copyFiles(original, as: "stolen") : nil
        try add(original, ["前"])
        try ward.sync(original)
        let stolen = try early ?? copyFiles(original, as: "stolen")
        try add(original, ["本1", "本2"])
        #expect(try ward.sync(original).upToDate)
        let thief = try Site.open(stolen, person: WardFixture.clerk)
        try add(thief, ["盗1", "盗2", "盗3", "盗4"])
        if isKnown { _ = try ward.sync(thief) }
        _ = try ward.centre.revoke("site", mode: .lost, reason: "盗難")
        if !isKnown {
            // What he hands in is kept apart.
            _ = try ward.sync(thief)
        }
        for _ in 0..<2 { _ = try ward.sync(other) }
        let honest: Set = ["前", "本1", "本2"]
        let expected = isKnown ? honest.union(["盗1", "盗2", "盗3", "盗4"]) : honest
        for site in [ward.centre, other] {
            let shown = try names(site)
            #expect(shown == expected)
            #expect(try site.cases(.finding).isEmpty, "the device is no member any more")
        }
        #expect(try ward.digests(other) == ward.digests(ward.centre))
        if !isKnown {
            #expect(try ward.centre.status().quarantined > 0)
            #expect(try ward.centre.adopt(site: "site", reason: "確認") == 4)
            let found = try names(ward.centre)
            #expect(found == honest.union(["盗1", "盗2", "盗3", "盗4"]), "\(found)")
        }
    }

    @Test(arguments: Revocation.Mode.allCases)
    func `A copy whose rights ended hands in what only it wrote before it erases itself`(mode: Revocation.Mode) throws {
        let original = try ward.join("site")
        try add(original, ["共"])
        try ward.sync(original)
        let copy = try copy(original, as: "copy")
        try add(original, ["本1", "本2"])
        try add(copy, ["写1"])
        try ward.sync(original)
        _ = try ward.centre.revoke("site", mode: mode, reason: "返却")
        #expect(try ward.sync(copy).failure?.code == .notPermitted)
        #expect(!DataDirectory.exists(copy.directory.database))
        #expect(try ward.sync(original).failure?.code == .notPermitted)
        #expect(!DataDirectory.exists(original.directory.database))
        let honest: Set = ["共", "本1", "本2"]
        #expect(try names(ward.centre) == (mode == .lost ? honest : honest.union(["写1"])))
        #expect(try ward.centre.read { try $0.counts(of: SpaceID("residents")!).changes } >= 4)
    }
}
