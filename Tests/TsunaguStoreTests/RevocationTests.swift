// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Changes that a revocation takes out of effect, whenever each of them arrives.
@Suite struct RevocationTests {
    private typealias Number = TestSchema.Number
    private let note = TestSchema.note

    private func ward(_ names: [String] = ["centre", "clerk", "thief"]) throws -> (sites: [TestSite], scratch: Scratch)
    {
        let scratch = try Scratch()
        return (try makeWard(names, in: scratch), scratch)
    }

    private func check(_ sites: [TestSite]) throws {
        for site in sites {
            try site.compareWithDefinition(rederiving: true) { Disagreement($0) }
            let found = try site.store.read { try $0.verify() }
            #expect(!found.areTablesFaulty && found.log.faults.isEmpty)
        }
    }

    @Test func `What is beyond the cut goes out of effect where it was, and never takes effect where it was not`()
        throws
    {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let id = try clerk.write { try $0.create(note, [(Number.title, .text("start")), (Number.phone, .text("1"))]) }
        for site in [centre, thief] { try site.pull(from: clerk) }
        try thief.write { try $0.set(note, id, [(Number.phone, .text("before"))]) }
        try thief.seal()
        let last = try #require(try thief.vector(TestSchema.space)[thief.replica])
        for site in [centre, clerk] { try site.pull(from: thief) }
        try thief.write { try $0.set(note, id, [(Number.title, .text("after"))]) }
        let made = try thief.write { try $0.create(note, [(Number.title, .text("made by the thief"))]) }
        // The clerk has it in effect when the revocation comes; the centre gets it afterwards.
        try clerk.pull(from: thief)
        #expect(try clerk.record(id)?.text("title") == "after")
        try centre.revoke(thief, after: [thief.replica: last])
        try clerk.pull(from: centre)
        #expect(try centre.pull(from: clerk) == [.quarantined(2)])
        for site in [centre, clerk] {
            #expect(try site.record(id)?.text("title") == "start")
            #expect(try site.record(id)?.text("phone") == "before")
            #expect(try site.record(made) == nil)
            #expect(try site.store.read { try $0.inboxCounts().quarantined } == 2)
            #expect(try site.store.read { try $0.quarantined().flatMap(\.records) }.contains(made))
        }
        #expect(try centre.digest() == clerk.digest())
        try check([centre, clerk])
    }

    @Test func `What is honoured of a revoked device is taken, however much else of it is quarantined`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let made = try thief.write { try $0.create(note, [(Number.title, .text("before"))]) }
        try thief.seal()
        try centre.pull(from: thief)
        try centre.revoke(thief, after: [thief.replica: 1])
        try clerk.pull(from: centre, [.system])
        let other = ReplicaID(device: thief.device, incarnation: 7)
        var forge = Forge(TestSchema.space, as: other, thief.key, thief.person)
        let title = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        for number in 0...1024 {
            try forge.append([Forge.Entry(title, RecordID(derivedFrom: [Array("\(number)".utf8)]), [.text("x")])])
            let receipt = try clerk.receive([try forge.run()])
            #expect(receipt == [number < 1024 ? .quarantined(1) : .refused(.shareFull)])
        }
        #expect(try clerk.pull(from: centre) == [.applied(1)])
        #expect(try clerk.record(made)?.text("title") == "before")
        #expect(try centre.digest() == clerk.digest())
        try check([centre, clerk])
    }

    @Test func `Whoever waits for what a revocation keeps out waits until that is here, and no longer`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let made = try thief.write { try $0.create(note, [(Number.title, .text("thief"))]) }
        try clerk.pull(from: thief)
        let own = try clerk.write { transaction in
            try transaction.set(note, made, [(Number.title, .text("clerk"))])
            return try transaction.create(note, [(Number.title, .text("own"))])
        }
        try clerk.seal()
        try centre.revoke(thief, after: [:])
        let run = try #require(try clerk.runs(TestSchema.space).first { $0.replica == clerk.replica })
        #expect(try centre.receive([run]) == [.held(waitsFor: "\(thief.device.short) 1")])
        #expect(try centre.pull(from: thief) == [.quarantined(1)])
        #expect(try centre.record(own)?.text("title") == "own")
        #expect(try centre.store.read { try $0.heldCauses(in: TestSchema.space) }.isEmpty)
        try clerk.pull(from: centre)
        #expect(try centre.digest() == clerk.digest())
        try check([centre, clerk])
    }

    @Test func `What is adopted comes before what was written having seen it, though its author excepts it since`()
        throws
    {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let made = try clerk.write { try $0.create(note, [(Number.title, .text("start"))]) }
        try thief.pull(from: clerk)
        try thief.write { try $0.set(note, made, [(Number.title, .text("thief"))]) }
        try clerk.pull(from: thief)
        try clerk.write { try $0.set(note, made, [(Number.title, .text("clerk"))]) }
        try centre.revoke(thief, after: [:])
        try clerk.pull(from: centre)
        // Now it has the thief's change among its exceptions.
        try clerk.write { try $0.set(note, made, [(Number.phone, .text("2"))]) }
        try centre.pull(from: clerk)
        try centre.pull(from: thief)
        let last = try #require(try centre.vector(TestSchema.space)[thief.replica])
        try centre.adopt([thief.replica: last])
        try clerk.pull(from: centre)
        for site in [centre, clerk] {
            #expect(try site.record(made)?.text("title") == "clerk")
            #expect(try site.conflicts().isEmpty)
        }
        #expect(try centre.digest() == clerk.digest())
        try check([centre, clerk])
    }

    @Test func `What others wrote having seen it stands, and holds nobody up`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let made = try thief.write {
            try $0.create(note, [(Number.title, .text("thief")), (Number.phone, .text("1"))])
        }
        try clerk.pull(from: thief)
        try clerk.write { try $0.set(note, made, [(Number.title, .text("clerk"))]) }
        try centre.revoke(thief, after: [:])
        // The centre learns of the thief's change after it was voided, and of the clerk's that builds on it.
        try centre.pull(from: clerk)
        try clerk.pull(from: centre)
        for site in [centre, clerk] {
            #expect(try site.record(made)?.text("title") == "clerk")
            #expect(try site.record(made)?.text("phone") == nil)
        }
        #expect(try centre.digest() == clerk.digest())
        try check([centre, clerk])
    }

    @Test func `What a revoked admin's accomplice wrote goes with the grant that it stood on`() throws {
        let (sites, scratch) = try ward(["centre", "clerk", "thief", "accomplice"])
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        let outsider = try TestSite("outsider", in: scratch, root: centre, seed: 99)
        try centre.grant(thief, role: .admin)
        for site in [thief, clerk] { try site.pull(from: centre) }
        let known = try #require(try centre.vector(.system)[centre.replica])
        #expect(known > 0)
        try thief.admit(outsider)
        for site in [clerk, outsider] { try site.pull(from: thief) }
        let id = try outsider.write { try $0.create(note, [(Number.title, .text("x"))]) }
        #expect(try clerk.pull(from: outsider) == [.applied(1)])
        try centre.revoke(thief, after: [:])
        try clerk.pull(from: centre)
        try centre.pull(from: clerk)
        for site in [centre, clerk] {
            #expect(try site.record(id) == nil)
            #expect(try site.store.read { try $0.currentAccess()?.isMember(outsider.device) } == false)
        }
        #expect(try centre.digest() == clerk.digest())
        #expect(try centre.digest(.system) == clerk.digest(.system))
        try check([centre, clerk])
    }

    @Test func `A retired device is honoured until the cut that its last word sets`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, _, leaver) = (sites[0], sites[1], sites[2])
        try centre.revoke(leaver, after: nil)
        let id = try leaver.write { try $0.create(note, [(Number.title, .text("handed in"))]) }
        #expect(try centre.pull(from: leaver) == [.applied(1)])
        try centre.revoke(leaver, after: [leaver.replica: 1])
        let late = try leaver.write { try $0.create(note, [(Number.title, .text("late"))]) }
        #expect(try centre.pull(from: leaver) == [.quarantined(1)])
        #expect(try centre.record(id) != nil)
        #expect(try centre.record(late) == nil)
        try check([centre])
    }

    @Test func `What an admin adopts takes effect as it was written, beside what others wrote meanwhile`() throws {
        let (sites, scratch) = try ward(["centre", "clerk", "lost", "second"])
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, lost, second) = (sites[0], sites[1], sites[2], sites[3])
        try centre.grant(second, role: .admin)
        let id = try clerk.write {
            let id = try $0.create(note, [(Number.title, .text("start")), (Number.phone, .text("1"))])
            try $0.edit(note, id, group: TestSchema.entries, add: [Array("first".utf8)])
            return id
        }
        for site in [centre, lost, second] { for peer in [centre, clerk] { try site.pull(from: peer) } }
        try centre.revoke(lost, after: [:])
        // Offline work of before anybody there heard of it.
        try lost.write { draft in
            try draft.set(note, id, [(Number.title, .text("lost")), (Number.phone, .text("2"))])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("second".utf8)])
        }
        let made = try lost.write { try $0.create(note, [(Number.title, .text("made there"))]) }
        try clerk.write { try $0.set(note, id, [(Number.title, .text("clerk"))]) }
        try second.pull(from: centre)
        for site in [centre, second] { #expect(try site.pull(from: lost).contains(.quarantined(2))) }
        #expect(try centre.record(made) == nil)

        // Two admins at once, and one of them twice.
        for admin in [centre, second, second] { try admin.adopt([lost.replica: 2]) }
        for site in [centre, second, clerk] { for peer in [centre, second, clerk] { try site.pull(from: peer) } }
        for site in [centre, second, clerk] {
            #expect(try site.store.read { try $0.inboxCounts().quarantined } == 0)
            #expect(try site.record(made)?.text("title") == "made there")
            #expect(try site.record(id)?.text("phone") == "2")
            // A newer value that the other had not seen is not replaced.
            let conflicts = try site.conflicts()
            #expect(conflicts.count == 1)
            #expect(Set(conflicts[0].alternatives.map { $0.values[0].value.text }) == ["lost", "clerk"])
            let log = try site.store.read { transaction in
                try transaction.records(note, where: "id = ?", [.bytes(id.bytes)])
                    .flatMap { try transaction.items(of: $0.rid, group: TestSchema.entries) }
            }
            #expect(log.map { String(decoding: $0.content, as: UTF8.self) } == ["first", "second"])
        }
        #expect(try Set([centre, second, clerk].map { try $0.digest() }).count == 1)
        try check([centre, second, clerk])
        // What comes behind is another matter.
        let later = try lost.write { try $0.create(note, [(Number.title, .text("later"))]) }
        #expect(try centre.pull(from: lost) == [.quarantined(1)])
        #expect(try centre.record(later) == nil)
        // Whoever adopted goes with his word where he is cut off himself.
        try centre.revoke(second, after: [:])
        #expect(try centre.record(made) != nil)
    }

    @Test func `An adoption counts only from an admin, never for system, and goes with its author's rights`() throws {
        let (sites, scratch) = try ward(["centre", "clerk", "stranger", "second"])
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, second) = (sites[0], sites[1], sites[3])
        let outsider = try TestSite("outsider", in: scratch, root: centre, seed: 77)
        try centre.admit(outsider, role: nil)
        try centre.grant(second, role: .admin)
        for site in [clerk, second, outsider] { try site.pull(from: centre) }
        let made = try outsider.write { try $0.create(note, [(Number.title, .text("x"))]) }
        #expect(try centre.pull(from: outsider) == [.quarantined(1)])
        try clerk.adopt([outsider.replica: 1])
        try centre.pull(from: clerk)
        #expect(try centre.record(made) == nil)
        let system = try second.vector(.system)[second.replica] ?? 0
        try second.adopt([outsider.replica: 1])
        try centre.pull(from: second)
        #expect(try centre.record(made) != nil)
        try centre.revoke(second, after: [:], system: system)
        #expect(try centre.record(made) == nil)
        try check([centre])
    }

    @Test func `No edit of a grant or a revocation gives or takes a right`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, thief) = (sites[0], sites[1], sites[2])
        try centre.revoke(thief, after: [:])
        let rows = try centre.store.read { transaction in
            (
                try transaction.records(SystemSchema.revocation, where: "1"),
                try transaction.records(SystemSchema.grant, where: "1")
            )
        }
        try centre.write(.system) { draft in
            for row in rows.0 { try draft.set(SystemSchema.revocation, row.id, [(1, .text(clerk.device.description))]) }
            for row in rows.1 { try draft.set(SystemSchema.grant, row.id, [(4, .text("read"))]) }
        }
        let access = try #require(try centre.store.read { try $0.currentAccess() })
        #expect(access.isRevoked(thief.device) && !access.isRevoked(clerk.device))
        #expect(access.mayWrite(clerk.device, TestSchema.space))
    }

    @Test(arguments: Seeds.chosen(0..<16))
    func `State is a function of what is known, whatever the order in which it came`(seed: UInt64) throws {
        let (sites, scratch) = try ward(["centre", "second", "a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        var generator = SeededGenerator(seed: seed)
        try sites[0].grant(sites[1], role: .admin)
        for site in sites.dropFirst() { try site.pull(from: sites[0]) }
        var ids: [RecordID] = []
        for _ in 0..<40 {
            let site = generator.pick(sites)
            // Who knows that its rights ended writes nothing more.
            let isRevoked = try site.store.read { try $0.currentAccess()?.isRevoked(site.device) } == true
            switch generator.below(10) {
            case 0...3 where !isRevoked:
                if let id = ids.isEmpty ? nil : generator.pick(ids), try site.record(id) != nil {
                    let value = Value.text(ExactText("\(generator.below(100))"))
                    try site.write {
                        try $0.set(note, id, [(generator.chance(50) ? Number.title : Number.phone, value)])
                    }
                } else {
                    ids.append(try site.write { try $0.create(note, [(Number.title, .text("t"))]) })
                }
            case 4 where generator.chance(40):
                let (admin, target) = (sites[generator.below(2)], generator.pick(sites))
                let isOver = try admin.store.read { try $0.currentAccess()?.isAdmin(admin.device) } != true
                guard admin !== target, !isOver else { continue }
                let seqs = try [SpaceID.system, TestSchema.space].map { try admin.vector($0)[target.replica] ?? 0 }
                let cut = try admin.vector(TestSchema.space)[target.replica].map {
                    UInt64(generator.below(Int($0) + 1))
                }
                try admin.revoke(target, after: [target.replica: cut ?? 0], system: seqs[0])
            case 5 where generator.chance(50):
                let (admin, target) = (sites[generator.below(2)], generator.pick(sites))
                let isOver = try admin.store.read { try $0.currentAccess()?.isAdmin(admin.device) } != true
                guard !isOver, let seq = try admin.vector(TestSchema.space)[target.replica] else { continue }
                try admin.adopt([target.replica: 1 + UInt64(generator.below(Int(seq)))])
            default:
                try site.pull(from: generator.pick(sites))
            }
        }
        for _ in 0..<3 {
            for site in sites { for peer in sites where peer !== site { try site.pull(from: peer) } }
        }
        #expect(try Set(sites.map { try $0.digest() }).count == 1)
        #expect(try Set(sites.map { try $0.digest(.system) }).count == 1)
        #expect(try Set(sites.map { try $0.store.read { try $0.inEffect(TestSchema.space) } }).count == 1)
        try check(sites)
    }
}
