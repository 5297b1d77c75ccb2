// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Changes that no grant covers (yet).
@Suite struct QuarantineTests {
    private typealias Number = TestSchema.Number
    private let note = TestSchema.note

    private func ward() throws -> (centre: TestSite, clerk: TestSite, outsider: TestSite, scratch: Scratch) {
        let scratch = try Scratch()
        let sites = try makeWard(["centre", "clerk", "outsider"], in: scratch, granting: ["centre", "clerk"])
        return (sites[0], sites[1], sites[2], scratch)
    }

    private func check(_ sites: TestSite...) throws {
        for site in sites { try site.compareWithDefinition(rederiving: true) { Disagreement($0) } }
    }

    @Test func whatNoGrantCoversIsKeptPassedOnAndNotShownUntilTheGrantArrives() throws {
        let (centre, clerk, outsider, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let id = try outsider.write { try $0.create(note, [(Number.title, .text("x"))]) }
        #expect(try centre.pull(from: outsider) == [.quarantined(1)])
        #expect(try centre.record(id) == nil)
        #expect(try centre.store.read { try $0.inboxCounts().quarantined } == 1)
        #expect(try centre.store.read { try $0.inEffect(TestSchema.space) }.covers(Dot(outsider.replica, 1)) == false)
        // Passed on marked by nothing: each receiver judges for itself.
        #expect(try clerk.pull(from: centre) == [.quarantined(1)])
        #expect(try clerk.pull(from: outsider) == [])

        try centre.grant(outsider)
        try clerk.pull(from: centre)
        #expect(try clerk.record(id)?.text("title") == "x")
        #expect(try clerk.store.read { try $0.inboxCounts().quarantined } == 0)
        // The author of the grant hears of it from nobody; its own store must not stay behind.
        #expect(try centre.record(id)?.text("title") == "x")
        #expect(try centre.digest() == clerk.digest())
        try check(centre, clerk)
    }

    @Test func `A revocation counts wherever somebody else wrote under its id first`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["centre", "clerk", "rogue", "thief"], in: scratch)
        let (centre, clerk, rogue, thief) = (sites[0], sites[1], sites[2], sites[3])
        try centre.grant(rogue, role: .admin)
        for site in [clerk, rogue] { try site.pull(from: centre, [.system]) }
        let revocation = try centre.store.write { transaction in
            try transaction.draft(.system, by: centre.person).create(
                SystemSchema.revocation,
                [(1, .text(thief.device.description)), (2, .text("lost")), (3, .text(""))]
            )
        }
        _ = try rogue.store.write { transaction in
            try transaction.draft(.system, by: rogue.person).create(
                SystemSchema.revocation,
                id: revocation,
                [(1, .text(rogue.device.description)), (2, .text("retired"))]
            )
        }
        try clerk.pull(from: rogue, [.system])
        #expect(try clerk.store.read { try $0.currentAccess() }?.isRevoked(thief.device) == false)
        try clerk.pull(from: centre, [.system])
        for site in [clerk, centre] {
            try site.pull(from: rogue, [.system])
            let access = try #require(try site.store.read { try $0.currentAccess() })
            #expect(access.isRevoked(thief.device) && !access.isRevoked(rogue.device), "\(site.name)")
        }
        try clerk.reopen()
        #expect(try clerk.store.read { try $0.verify() }.tables.faultCount == 0)
    }

    @Test func aWriteDoesNotSupersedeWhatWasQuarantinedAtItsAuthor() throws {
        let (centre, clerk, outsider, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let id = try centre.write { try $0.create(note, [(Number.title, .text("start"))]) }
        try outsider.pull(from: centre)
        try clerk.pull(from: centre)
        try outsider.write { try $0.set(note, id, [(Number.title, .text("outside"))]) }
        #expect(try clerk.pull(from: outsider) == [.quarantined(1)])
        try clerk.write { try $0.set(note, id, [(Number.title, .text("clerk"))]) }
        #expect(try clerk.conflicts().isEmpty)
        try centre.pull(from: clerk)
        #expect(try centre.record(id)?.text("title") == "clerk")

        try centre.grant(outsider)
        try centre.pull(from: outsider)
        for site in [clerk, outsider] { try site.pull(from: centre) }
        for site in [centre, clerk, outsider] {
            let row = try #require(try site.conflicts().first)
            #expect(Set(row.alternatives.map { $0.values[0].value }) == [.text("outside"), .text("clerk")])
        }
        #expect(try Set([centre, clerk, outsider].map { try $0.conflicts().map(\.id) }).count == 1)
        #expect(try Set([centre, clerk, outsider].map { try $0.digest() }).count == 1)
        try check(centre, clerk, outsider)
    }

    @Test func whatFollowsAQuarantinedChangeWaitsWithItInAnyOrderOfArrival() throws {
        let (centre, clerk, outsider, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        var ids: [RecordID] = []
        for step in 0..<3 {
            ids.append(try outsider.write { try $0.create(note, [(Number.title, .text("\(step)"))]) })
            try outsider.seal()
        }
        let runs = try outsider.runs(TestSchema.space)
        #expect(runs.count == 3)
        let short = outsider.device.short
        #expect(
            try centre.receive([runs[2], runs[1]]) == [.held(waitsFor: "\(short) 1"), .held(waitsFor: "\(short) 1")]
        )
        #expect(try centre.receive([runs[0]]) == [.quarantined(1)])
        // What was held behind it is in the log too, and one exception speaks of all three.
        #expect(try centre.vector(TestSchema.space)[outsider.replica] == 3)
        #expect(
            try centre.store.read { try $0.waiting(in: TestSchema.space) }
                == [VersionVector.Exception(replica: outsider.replica, first: 1, last: 3)]
        )
        try centre.grant(outsider)
        try clerk.pull(from: centre)
        for id in ids { #expect(try clerk.record(id) != nil) }
    }

    @Test func readOnlyAndForeignSpacesAreNoRightToWrite() throws {
        let scratch = try Scratch()
        let centre = try TestSite("centre", in: scratch, seed: 1)
        for (index, grant) in [("*", false), ("lessons/*", true), ("note", true), ("notes/*", true)].enumerated() {
            let site = try TestSite("s\(index)", in: scratch, root: centre, seed: UInt64(index) + 2)
            try centre.admit(site, spaces: grant.0, writes: grant.1)
            try site.pull(from: centre, [.system])
            try site.write { try $0.create(note, [(Number.title, .text("x"))]) }
            #expect(try centre.pull(from: site) == [.quarantined(1)], "\(grant)")
        }
    }

    @Test func aClerkCannotGrantItself() throws {
        let (centre, clerk, _, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        try clerk.grant(clerk, role: .admin)
        #expect(try centre.pull(from: clerk) == [.quarantined(1)])
        #expect(try centre.store.read { try $0.currentAccess()?.isAdmin(clerk.device) } == false)
    }

    @Test func aRunOfADeviceThatNobodyVouchedForIsRefusedAndComesAgain() throws {
        let scratch = try Scratch()
        let centre = try TestSite("centre", in: scratch, seed: 1)
        let stranger = try TestSite("stranger", in: scratch, root: centre, seed: 2)
        try stranger.write { try $0.create(note, [(Number.title, .text("x"))]) }
        try stranger.grant(stranger, role: .admin)
        #expect(try centre.pull(from: stranger, [.system]) == [.refused(.unknownDevice)])
        #expect(try centre.pull(from: stranger, [TestSchema.space]) == [.refused(.unknownDevice)])
        try centre.admit(stranger)
        #expect(try centre.pull(from: stranger, [TestSchema.space]) == [.applied(1)])
        #expect(try centre.vector(TestSchema.space)[stranger.replica] == 1)
    }
}
