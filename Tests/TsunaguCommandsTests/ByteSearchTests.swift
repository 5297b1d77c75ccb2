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

/// Every byte that a site without the grant keeps, gets, sends or hands on, searched for what the office wrote of a
/// protected person.
///
/// Runs are unpacked, and sealed carriers opened, so that neither compression nor encryption hides anything. What was
/// written before the protection is not looked for: it stays in logs until they can be erased.
@Suite("Bytes of a protected person")
struct ByteSearchTests {
    /// What the office writes when the person is protected, and after it.
    private static let later = [
        "family_name=隠岐ノ島", "given_name=新名子", "family_kana=オキノシマ", "given_kana=シンメイコ", "birth_date=1981-12-13",
        "address=東京都千代田区避難町9-9", "building=隠家荘404", "phone=03-8888-7777", "household=00098765432",
    ]
    private static let note = "加害者は車で来る"
    private static let reason = "申出による支援措置の理由"

    private static let search = ByteSearch(
        later.map { String($0.split(separator: "=")[1]) } + [
            note, reason, "隠岐ノ島新名子", "オキノシマシンメイコ",
        ],
        parts: ["避難町", "隠家荘", "0388887777"]
    )

    /// A protected person of whom the office wrote much, and sites that exchanged whatever they may.
    private struct Ward {
        let fixture: WardFixture
        let branch: Site
        let venue: Site
        let auditor: Site
        /// A branch that may hold the protected too.
        let holder: Site
        /// What travelled between each client and the hub.
        private(set) var wire: [UInt8] = []

        init() throws {
            fixture = try WardFixture()
            let centre = fixture.centre
            _ = try centre.addLesson(.kudan(capacity: 3))
            branch = try fixture.join("branch")
            venue = try fixture.join("venue", role: .venue, spaces: ["lessons/kudan"])
            auditor = try fixture.join("auditor", role: .auditor)
            holder = try fixture.join("holder", spaces: ["residents", "residents/protected", "lessons/*"])
            let id = try centre.addResident([
                "family_name=旧", "given_name=名", "number=00012345678", "phone=03-1111-1111",
            ])
            .description
            try exchange()
            _ = try centre.protectResident(id, reason: ByteSearchTests.reason)
            try exchange()
            _ = try centre.setResident(id, ByteSearchTests.later)
            _ = try centre.noteResident(id, ByteSearchTests.note)
            // Somebody edits the old record without knowing, and the office looks, searches and says no.
            try exchange()
            _ = try centre.resident(id)
            _ = try centre.findResidents("隠岐ノ島")
            _ = try centre.residentHistory(id)
            #expect(throws: CommandError.self) { try centre.addBooking(lesson: "K1", .resident(id)) }
            #expect(throws: CommandError.self) { try branch.addResident(ByteSearchTests.later) }
            _ = try branch.findResidents("佐藤")
            try exchange()
            try exchange()
        }

        private mutating func exchange() throws {
            for site in [branch, venue, auditor, holder] {
                let line = fixture.transport()
                var seen: [UInt8] = []
                line.onPost = { _, body in seen += body }
                line.onPiece = { piece in
                    seen += piece
                    return piece
                }
                #expect(try site.sync(with: line).failure == nil)
                wire += seen
            }
        }
    }

    @Test func `No site without the grant has a byte of the person, in whatever file or form`() throws {
        let ward = try Ward()
        // The search finds what is there, and those who may have it do.
        for site in [ward.fixture.centre, ward.holder] {
            let found = try Self.search.found(on: site)
            #expect(found.contains { $0.hasPrefix("ward.sqlite") } && found.contains { $0.hasPrefix("a run") })
        }
        for site in [ward.branch, ward.venue, ward.auditor] {
            let found = try Self.search.found(on: site)
            #expect(found.isEmpty, "\(site.person.id): \(found)")
            try site.store.checkpoint()
            #expect(try Self.search.found(on: site).isEmpty)
        }
    }

    @Test func `Nothing of the person can be read on the line, nor is it in what is asked for and told`() throws {
        let ward = try Ward()
        #expect(ward.wire.count > 10_000)
        #expect(Self.search.found(in: ward.wire).isEmpty)
        // The same, opened: all that the hub would give to each for any question.
        let centre = ward.fixture.centre
        let wants = try ByteSearch.wants(of: centre)
        for (site, mayHave) in [(ward.branch, false), (ward.venue, false), (ward.auditor, false), (ward.holder, true)] {
            let session = try HubSession(site.keys, with: ward.fixture.hub)
            let runs = try #require(try session.pull(wants))
            #expect(!runs.isEmpty)
            #expect(try Self.search.found(in: runs).isEmpty != mayHave, "\(site.person.id)")
            #expect(Self.search.found(in: try session.ask(.compare([])).encoded).isEmpty)
        }
        // A neighbour that holds them gives them to no branch either.
        let session = try HubSession(ward.branch.keys, with: Hub(ward.holder))
        #expect(try Self.search.found(in: #require(try session.pull(wants))).isEmpty)
    }

    @Test func `Bundles for others hold nothing of the person, sealed or opened`() throws {
        let ward = try Ward()
        let path = ward.fixture.root + "/bundle"
        let makers = [ward.fixture.centre, ward.holder, ward.branch]
        for maker in makers {
            for (receiver, name) in [(ward.branch, "branch"), (ward.venue, "venue"), (ward.auditor, "auditor")]
            where maker.keys.device != receiver.keys.device {
                try ByteSearch.forget(receiver, at: maker)
                _ = try maker.exportBundle(to: path, for: name)
                let bytes = [UInt8](try #require(FileManager.default.contents(atPath: path)))
                #expect(Self.search.found(in: bytes).isEmpty)
                let runs = try ByteSearch.runs(ofBundle: bytes, for: receiver)
                #expect(runs.count > 5)
                #expect(try Self.search.found(in: runs).isEmpty, "\(maker.person.id) for \(name)")
            }
        }
    }

    @Test func `Backups hold the person sealed at the office, and not at all elsewhere`() throws {
        let ward = try Ward()
        let passphrase = Array("合言葉は長く".utf8)
        for (site, mayHave) in [(ward.fixture.centre, true), (ward.branch, false), (ward.venue, false)] {
            let path = ward.fixture.root + "/backup-\(site.person.id)"
            try site.backUp(to: path, passphrase: passphrase)
            #expect(Self.search.found(in: try #require(FileManager.default.contents(atPath: path))).isEmpty)
            let restored = try Site.restore(
                DataDirectory(path + "-restored"),
                from: path,
                passphrase: passphrase,
                person: site.person,
                force: false
            )
            #expect(try Self.search.found(on: restored).isEmpty != mayHave)
            // What a backup leaves behind at the site that made it.
            if !mayHave { #expect(try Self.search.found(on: site).isEmpty) }
        }
    }

    @Test func `What a branch exports and prints says nothing of the person`() throws {
        let ward = try Ward()
        let path = ward.fixture.root + "/out.csv"
        for site in [ward.branch, ward.auditor] {
            for kind in [TransferFile.residents, .bookings] {
                _ = try site.exportFile(kind, to: path)
                #expect(Self.search.found(in: try #require(FileManager.default.contents(atPath: path))).isEmpty)
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(
                Self.search.found(in: Array("\(try site.cases()) \(try site.log()) \(try site.status())".utf8)).isEmpty
            )
        }
    }
}
