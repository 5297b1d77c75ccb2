// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Groups that not every role writes.
@Suite("Writers of groups") struct WritersTests {
    private typealias Number = TestSchema.Number

    /// A founder and a clerk with the strict schema; a third whose program knows nothing of writers.
    private struct Ward {
        let scratch: Scratch
        let centre: TestSite
        let clerk: TestSite
        let tampered: TestSite

        init() throws {
            scratch = try Scratch()
            centre = try TestSite("centre", in: scratch, schema: TestSchema.strict, seed: 1)
            clerk = try TestSite("clerk", in: scratch, root: centre, schema: TestSchema.strict, seed: 2)
            tampered = try TestSite("tampered", in: scratch, root: centre, schema: TestSchema.v1, seed: 3)
            for site in [clerk, tampered] { try centre.admit(site) }
            for site in [clerk, tampered] { try site.pull(from: centre) }
        }

        func check() throws {
            for site in [centre, clerk] {
                try site.compareWithDefinition(rederiving: true) { Disagreement($0) }
                let found = try site.store.read { try $0.verify() }
                #expect(!found.areTablesFaulty && found.log.faults.isEmpty)
            }
            #expect(try centre.digest() == clerk.digest())
            for space in [SpaceID.system, TestSchema.space] {
                #expect(
                    try centre.store.read { try $0.inEffect(space) } == clerk.store.read { try $0.inEffect(space) }
                )
            }
        }
    }

    private let note = TestSchema.note

    @Test func `An honest program refuses before anything is written`() throws {
        let ward = try Ward()
        let id = try ward.clerk.write { try $0.create(note, [(Number.title, .text("t"))]) }
        let before = try ward.clerk.vector(TestSchema.space)
        let attempts: [(Draft) throws -> Void] = [
            { try $0.set(note, id, [(Number.phone, .text("1"))]) }, { try $0.delete(note, id, reason: "x") },
            { try $0.create(note, [(Number.title, .text("t")), (Number.phone, .text("1"))]) },
        ]
        for work in attempts {
            #expect(throws: StoreError.self) { try ward.clerk.write { try work($0) } }
        }
        #expect(try ward.clerk.vector(TestSchema.space) == before)
        try ward.centre.pull(from: ward.clerk)
        try ward.centre.write { try $0.set(note, id, [(Number.phone, .text("1"))]) }
        try ward.clerk.pull(from: ward.centre)
        #expect(try ward.clerk.record(id)?.text("phone") == "1")
        try ward.check()
    }

    @Test func `A change that says more than its author may is out as a whole, with what follows it`() throws {
        let ward = try Ward()
        let (centre, clerk, tampered) = (ward.centre, ward.clerk, ward.tampered)
        let fine = try tampered.write { try $0.create(note, [(Number.title, .text("fine"))]) }
        try tampered.seal()
        let more = try tampered.write {
            try $0.set(note, fine, [(Number.title, .text("changed")), (Number.phone, .text("1"))])
            return try $0.create(note, [(Number.title, .text("with it"))])
        }
        try tampered.seal()
        let after = try tampered.write { try $0.create(note, [(Number.title, .text("after"))]) }
        #expect(
            try centre.pull(from: tampered).map { "\($0)" }.sorted() == [
                "applied(1)", "quarantined(1)", "quarantined(1)",
            ]
        )
        // In one run it is the same.
        try clerk.pull(from: centre)
        for site in [centre, clerk] {
            #expect(try site.record(fine)?.text("title") == "fine")
            for id in [more, after] { #expect(try site.record(id) == nil) }
            #expect(Set(try site.store.read { try $0.quarantined().map(\.reason) }) == [.notWriter])
        }
        try ward.check()

        // A grant of a role that may lets it in; where that grant falls it is out again.
        let second = try TestSite("second", in: ward.scratch, root: centre, schema: TestSchema.strict, seed: 9)
        try centre.admit(second, role: .admin)
        try second.pull(from: centre)
        let system = try second.vector(.system)[second.replica] ?? 0
        try second.grant(tampered, role: .admin)
        for site in [centre, clerk] { try site.pull(from: second) }
        for site in [centre, clerk] {
            for id in [fine, more, after] { #expect(try site.record(id) != nil) }
            #expect(try site.record(fine)?.text("phone") == "1")
        }
        try ward.check()
        try centre.revoke(second, after: [:], system: system)
        try clerk.pull(from: centre)
        for site in [centre, clerk] { for id in [more, after] { #expect(try site.record(id) == nil) } }
        try ward.check()

        // An admin may take the author's word for it.
        try centre.adopt([tampered.replica: 2])
        try clerk.pull(from: centre)
        for site in [centre, clerk] {
            #expect(try site.record(more) != nil && site.record(after) == nil)
            #expect(try site.record(fine)?.text("phone") == "1")
        }
        try ward.check()
    }

    @Test func `What a program learns of writers when it is renewed holds for what it has`() throws {
        let ward = try Ward()
        let (centre, clerk, tampered) = (ward.centre, ward.clerk, ward.tampered)
        // A group that the strict schema of before does not know, and the one after keeps for admins.
        let old = try TestSite(
            "old",
            in: ward.scratch,
            root: centre,
            schema: Schema(version: 0, collections: []),
            seed: 4
        )
        try centre.admit(old)
        let id = try tampered.write { try $0.create(note, [(Number.phone, .text("1"))]) }
        try centre.pull(from: tampered)
        try old.pull(from: centre)
        #expect(try old.store.read { try $0.quarantined() }.isEmpty)
        try old.reopen(schema: TestSchema.strict)
        #expect(try old.record(id) == nil)
        try clerk.pull(from: centre)
        #expect(try old.digest() == centre.digest())
        #expect(try old.store.read { try $0.quarantined().map(\.reason) } == [.notWriter])
        try ward.check()
    }

    @Test(arguments: Seeds.chosen(0..<12))
    func `What is in effect is a function of what is known, whoever tampers and in whatever order it comes`(
        seed: UInt64
    ) throws {
        let scratch = try Scratch()
        defer { withExtendedLifetime(scratch) {} }
        var generator = SeededGenerator(seed: seed)
        let centre = try TestSite("centre", in: scratch, schema: TestSchema.strict, seed: seed &* 100)
        var sites = [centre]
        for index in 1..<4 {
            let site = try TestSite(
                "s\(index)",
                in: scratch,
                root: centre,
                schema: TestSchema.strict,
                seed: seed &* 100 &+ UInt64(index)
            )
            try centre.admit(site, role: index == 1 ? .admin : .branch)
            sites.append(site)
        }
        let tampered = try TestSite("t", in: scratch, root: centre, seed: seed &* 100 &+ 7)
        try centre.admit(tampered, role: generator.chance(70) ? .branch : nil)
        for site in sites.dropFirst() + [tampered] { try site.pull(from: centre) }
        var ids: [RecordID] = []
        /// The first number under which the tampered program writes what it may not.
        var first: UInt64?
        for _ in 0..<40 {
            switch generator.below(10) {
            case 0...2:
                guard try tampered.store.read({ try !$0.isOwnWorkWithheld() }) else { continue }
                let value = Value.text(ExactText("\(generator.below(100))"))
                let field = generator.chance(40) ? Number.phone : Number.title
                if field == Number.phone, first == nil {
                    first = (try tampered.vector(TestSchema.space)[tampered.replica] ?? 0) + 1
                }
                if let id = ids.isEmpty ? nil : generator.pick(ids), try tampered.record(id) != nil {
                    try tampered.write { try $0.set(note, id, [(field, value)]) }
                } else {
                    ids.append(try tampered.write { try $0.create(note, [(field, value)]) })
                }
            case 3:
                let site = generator.pick(sites)
                let isOver = try site.store.read { transaction in
                    try transaction.currentAccess()?.isRevoked(site.device) == true || transaction.isOwnWorkWithheld()
                }
                if isOver { continue }
                ids.append(try site.write { try $0.create(note, [(Number.title, .text("t"))]) })
            case 4 where generator.chance(30):
                let admin = sites[generator.below(2)]
                guard try admin.store.read({ try $0.currentAccess()?.isAdmin(admin.device) }) == true else { continue }
                switch generator.below(3) {
                case 0: try admin.grant(tampered, role: generator.chance(50) ? .admin : .branch)
                case 1:
                    guard let seq = try admin.vector(TestSchema.space)[tampered.replica] else { continue }
                    try admin.adopt([tampered.replica: 1 + UInt64(generator.below(Int(seq)))])
                default:
                    let seq = try centre.vector(.system)[sites[1].replica] ?? 0
                    try centre.revoke(sites[1], after: [:], system: UInt64(generator.below(Int(seq) + 1)))
                }
            default:
                let site = generator.pick(sites + [tampered])
                let peer = generator.pick(sites + [tampered])
                if site !== peer { try site.pull(from: peer) }
            }
        }
        for _ in 0..<3 {
            for site in sites { for peer in sites + [tampered] where peer !== site { try site.pull(from: peer) } }
        }
        #expect(try Set(sites.map { try $0.digest() }).count == 1)
        #expect(try Set(sites.map { try $0.store.read { try $0.inEffect(TestSchema.space) } }).count == 1)
        for site in sites { try site.compareWithDefinition(rederiving: true) { Disagreement($0) } }
        // What is in effect is what the definition says of each chain.
        let access = try #require(try centre.store.read { try $0.currentAccess() })
        let end = try centre.vector(TestSchema.space)[tampered.replica] ?? 0
        let inEffect = try centre.store.read { try $0.inEffect(TestSchema.space) }
        let honours = access.honours(tampered.replica, in: TestSchema.space, barred: first.map { [.branch: $0] } ?? [:])
        for seq in 1..<end + 1 {
            #expect(inEffect.covers(Dot(tampered.replica, seq)) == (seq <= honours), "\(seq) of \(end)")
        }
    }
}
