// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Every byte that a site keeps, sends or hands on once it knows that people are erased, searched for what anybody ever
/// wrote of them.
@Suite("Bytes of erased people")
struct ErasedBytesTests {
    private static let ordinary = [
        "family_name=小豆島", "given_name=消子", "family_kana=ショウドシマ", "given_kana=キエコ", "birth_date=1972-11-23",
        "address=東京都千代田区旧町7-7", "building=空家荘101", "phone=03-7777-6666", "household=00012312312",
    ]
    private static let hidden = [
        "family_name=隠岐ノ島", "given_name=新名子", "address=東京都千代田区避難町9-9", "phone=03-8888-7777",
    ]
    private static let others = ["03-5555-4444", "03-5555-3333", "03-5555-2222", "転居の相談", "隠れた相談", "遅れた相談"]

    private static let search = ByteSearch(
        (ordinary + hidden).map { String($0.split(separator: "=")[1]) } + others,
        parts: ["旧町", "避難町", "小豆島消子", "ショウドシマキエコ"]
    )

    /// Two people who were erased for good, one of them under protection, and sites that know it or do not.
    private struct Ward {
        let fixture: WardFixture
        /// They know.
        let knowing: Site
        let holder: Site
        /// They have the people, wrote of them since, and do not know.
        let away: Site
        let late: Site
        /// They hold the space and nothing in it.
        let empty: Site
        let bare: Site

        init() throws {
            fixture = try WardFixture()
            let centre = fixture.centre
            let spaces = ["residents", "lessons/*"]
            knowing = try fixture.join("knowing", spaces: spaces)
            holder = try fixture.join("holder", spaces: spaces + ["residents/protected"])
            away = try fixture.join("away", spaces: spaces)
            late = try fixture.join("late", spaces: spaces)
            empty = try fixture.join("empty", spaces: spaces)
            bare = try fixture.join("bare", spaces: spaces)
            _ = try centre.addLesson(.kudan(capacity: 3))
            let one = try centre.addResident(["family_name=前", "given_name=名"]).description
            let other = try centre.addResident(["family_name=旧", "number=00012345678"]).description
            _ = try centre.addResident(["family_name=残る", "phone=03-1111-1111"])
            // What a booking told a lesson's space is a record of its own, and stays; its link to the resident goes.
            _ = try centre.addBooking(lesson: "K1", .resident(one))
            _ = try centre.setResident(one, ErasedBytesTests.ordinary)
            _ = try centre.noteResident(one, "転居の相談")
            for site in [knowing, holder, away, late] { try fixture.sync(site) }
            // Values that stand beside each other, and one that was replaced.
            _ = try knowing.setResident(one, ["phone=03-5555-4444"])
            _ = try centre.setResident(one, ["phone=03-5555-3333"])
            _ = try centre.protectResident(other, reason: "申出")
            _ = try centre.setResident(other, ErasedBytesTests.hidden)
            _ = try centre.noteResident(other, "隠れた相談")
            for site in [knowing, holder, knowing] { try fixture.sync(site) }
            for site in [away, late] {
                for id in [one, other] {
                    _ = try site.setResident(id, ["phone=03-5555-2222"])
                    _ = try site.noteResident(id, "遅れた相談")
                }
            }
            // The office has a log and tables full of them before they go.
            #expect(try ErasedBytesTests.search.found(on: centre).count > 20)
            _ = try centre.eraseResident(one, reason: "保存期間の満了")
            _ = try centre.eraseResident(other, reason: "保存期間の満了")
            for site in [knowing, holder] { try fixture.sync(site) }
        }
    }

    /// What is found, told in a failure.
    private func expectNone(_ found: [String], _ place: String) {
        #expect(found.isEmpty, "\(place): \(Set(found).sorted())")
    }

    @Test func `Nobody who knows keeps a byte of them, and those who write of them later bring none back`() throws {
        let ward = try Ward()
        for site in [ward.fixture.centre, ward.knowing, ward.holder] {
            try expectNone(Self.search.found(on: site), "\(site.person.id)")
        }
        for _ in 0..<2 {
            for site in [ward.away, ward.late, ward.knowing, ward.holder] { try ward.fixture.sync(site) }
        }
        for site in [ward.fixture.centre, ward.knowing, ward.holder, ward.away, ward.late] {
            try expectNone(Self.search.found(on: site), "\(site.person.id)")
            try site.store.checkpoint()
            try expectNone(Self.search.found(on: site), "\(site.person.id)")
        }
    }

    @Test func `Nothing of them goes over the line to whoever has them, or has nothing, from either end`() throws {
        let ward = try Ward()
        // What is asked for outright, as if nothing of it were known.
        for (asker, peer) in [
            (ward.away, ward.fixture.centre), (ward.empty, ward.fixture.centre), (ward.holder, ward.fixture.centre),
            (ward.away, ward.knowing), (ward.empty, ward.holder),
        ] {
            let session = try HubSession(asker.keys, with: Hub(peer))
            let runs = try #require(try session.pull(ByteSearch.wants(of: ward.fixture.centre)))
            #expect(runs.count > 3)
            try expectNone(Self.search.found(in: runs), "\(peer.person.id) to \(asker.person.id)")
        }
        // What a whole exchange says, where the hub knows, and where the client does.
        for client in [ward.away, ward.empty] {
            let line = OpenLine()
            #expect(try line.exchange(client, with: ward.fixture.centre).failure == nil)
            #expect(!line.runs.hub.isEmpty)
            expectNone(Self.search.found(in: line.said.hub), "to \(client.person.id)")
            try expectNone(Self.search.found(in: line.runs.hub), "to \(client.person.id)")
            // The line hides nothing: whoever did not know sent what it wrote.
            #expect(try Self.search.found(in: line.runs.client).isEmpty == (client === ward.empty))
        }
        for hub in [ward.late, ward.bare] {
            let line = OpenLine()
            #expect(try line.exchange(ward.knowing, with: hub).failure == nil)
            #expect(!line.runs.client.isEmpty)
            expectNone(Self.search.found(in: line.said.client), "to \(hub.person.id)")
            try expectNone(Self.search.found(in: line.runs.client), "to \(hub.person.id)")
        }
        for site in [ward.away, ward.empty, ward.late, ward.bare, ward.knowing, ward.fixture.centre] {
            try expectNone(Self.search.found(on: site), "\(site.person.id)")
        }
    }

    @Test func `Bundles made afterwards hold nothing of them, whatever their receiver has`() throws {
        let ward = try Ward()
        let path = ward.fixture.root + "/bundle"
        for maker in [ward.fixture.centre, ward.knowing, ward.holder] {
            for receiver in [ward.away, ward.empty, ward.holder] where maker !== receiver {
                try ByteSearch.forget(receiver, at: maker)
                _ = try maker.exportBundle(to: path, for: receiver.person.id.description)
                let bytes = [UInt8](try #require(FileManager.default.contents(atPath: path)))
                let runs = try ByteSearch.runs(ofBundle: bytes, for: receiver)
                #expect(runs.count > 3)
                try expectNone(Self.search.found(in: runs), "\(maker.person.id) for \(receiver.person.id)")
                expectNone(Self.search.found(in: bytes), "sealed")
            }
        }
    }

    @Test func `Backups made afterwards hold nothing of them, nor do copies of an old one that hear of it`() throws {
        let ward = try Ward()
        let passphrase = Array("合言葉は長く".utf8)
        func restored(_ site: Site) throws -> Site {
            let path = ward.fixture.root + "/backup-\(site.person.id)"
            try site.backUp(to: path, passphrase: passphrase)
            return try Site.restore(
                DataDirectory(path + "-restored"),
                from: path,
                passphrase: passphrase,
                person: site.person,
                force: false
            )
        }
        for site in [ward.fixture.centre, ward.knowing, ward.holder] {
            try expectNone(Self.search.found(on: restored(site)), "\(site.person.id)")
            // What a backup leaves behind at the site that made it.
            try expectNone(Self.search.found(on: site), "\(site.person.id)")
        }
        let old = try restored(ward.away)
        #expect(try Self.search.found(on: old) != [])
        try ward.fixture.sync(old)
        try expectNone(Self.search.found(on: old), "an old copy")
    }
}
