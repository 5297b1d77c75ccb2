// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// An old site among newer ones.
@Suite struct SchemaUpgradeTests {
    private typealias Number = TestSchema.Number

    /// A new site that founded the ward, an old one, and another new one behind the old.
    private struct Ward {
        let scratch: Scratch
        let new: TestSite
        let old: TestSite
        let far: TestSite

        init() throws {
            scratch = try Scratch()
            new = try TestSite("new", in: scratch, schema: TestSchema.v2, seed: 1)
            old = try TestSite("old", in: scratch, root: new, schema: TestSchema.v1, seed: 2)
            far = try TestSite("far", in: scratch, root: new, schema: TestSchema.v2, seed: 3)
            try new.admit(old)
            try new.admit(far)
            for site in [old, far] { try site.pull(from: new, [.system]) }
        }

        func check(_ site: TestSite) throws {
            try site.compareWithDefinition(rederiving: true) { Disagreement($0) }
        }
    }

    @Test func whatIsUnknownIsKeptPassedOnDigestedAndShownAfterTheUpgrade() throws {
        let ward = try Ward()
        let (new, old, far) = (ward.new, ward.old, ward.far)
        let (note, place) = (TestSchema.wideNote, TestSchema.place)
        let (id, shop) = try new.write { draft in
            let id = try draft.create(
                note,
                [
                    (Number.title, .text("t")), (Number.extra, .text("EXTRA")), (Number.memo, .text("memo")),
                ]
            )
            try draft.edit(note, id, group: TestSchema.labels, add: [Array("red".utf8)])
            let shop = try draft.create(place, [(1, .text("hall"))])
            try draft.edit(place, shop, group: place.groups[1], add: [Array("lessons".utf8)])
            return (id, shop)
        }
        #expect(try old.pull(from: new) == [.applied(1)])
        #expect(try old.digest() == new.digest())
        #expect(try old.record(id)?.text("title") == "t")
        try ward.check(old)

        // The old site writes on the same record, and what it does not know stays.
        try old.write { try $0.set(TestSchema.note, id, [(Number.title, .text("T2"))]) }
        try far.pull(from: old)
        #expect(try far.digest() == old.digest())
        let seen = try #require(try far.record(id))
        #expect(seen.text("title") == "T2")
        #expect(seen.text("extra") == "EXTRA")
        #expect(seen.text("memo") == "memo")
        #expect(seen.text("labels") == #"["red"]"#)
        try ward.check(far)

        let digest = try old.digest()
        try old.reopen(schema: TestSchema.v2)
        #expect(try old.digest() == digest)
        #expect(try old.record(id)?.values == seen.values)
        let found = try #require(try old.record(shop, place))
        #expect(found.text("name") == "hall")
        #expect(found.text("uses") == #"["lessons"]"#)
        #expect(try old.store.read { try $0.records(note, where: "search LIKE '%extra%'") }.count == 1)
        try ward.check(old)
        try old.reopen()
        #expect(try old.record(id)?.values == seen.values)
    }

    @Test func aConflictOnWhatIsUnknownIsListedAfterTheUpgrade() throws {
        let ward = try Ward()
        let (new, old, far) = (ward.new, ward.old, ward.far)
        let id = try new.write { try $0.create(TestSchema.wideNote, [(Number.title, .text("t"))]) }
        try far.pull(from: new)
        for site in [new, far] {
            try site.write {
                try $0.set(
                    TestSchema.wideNote,
                    id,
                    [(Number.memo, .text("memo of \(site.name)")), (Number.extra, .text(site.name))]
                )
            }
        }
        try old.pull(from: new)
        try old.pull(from: far)
        try new.exchange(with: far)
        #expect(try old.digest() == new.digest())
        try ward.check(old)
        // A write of all that the old schema knows leaves the unknown member as it is: open.
        try old.write {
            try $0.set(TestSchema.note, id, [(Number.title, .text("all")), (Number.body, .null), (Number.size, .null)])
        }
        try ward.check(old)
        try new.pull(from: old)
        #expect(try old.digest() == new.digest())
        try ward.check(new)
        try old.reopen(schema: TestSchema.v2)
        try ward.check(old)
        #expect(try old.conflicts().map(\.id) == new.conflicts().map(\.id))
        #expect(try old.conflicts().count == 2)
    }

    @Test func editsMadeBeforeTheUpgradeArrive() throws {
        let ward = try Ward()
        let ids = try (0..<20).map { step in
            try ward.old.write { try $0.create(TestSchema.note, [(Number.title, .text("\(step)"))]) }
        }
        try ward.old.reopen(schema: TestSchema.v2)
        try ward.new.pull(from: ward.old)
        for (step, id) in ids.enumerated() { #expect(try ward.new.record(id)?.text("title") == "\(step)") }
    }

    @Test func anOlderProgramDoesNotOpenANewerFile() throws {
        let ward = try Ward()
        try ward.old.reopen(schema: TestSchema.v2)
        try ward.old.store.close()
        #expect(throws: StoreError.self) { try Store.open(at: ward.old.path, schema: TestSchema.v1) }
        #expect(throws: Never.self) { try Store.open(at: ward.old.path, schema: TestSchema.v2).close() }
    }

    @Test func oldAndNewSitesAgreeThroughRandomHistories() throws {
        for seed in 0..<15 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let ward = try Ward()
            let sites = [ward.new, ward.old, ward.far]
            let ids = (0..<3).map { RecordID(derivedFrom: [Array("\($0)".utf8)]) }
            for step in 0..<25 {
                let site = generator.pick(sites)
                if generator.chance(50) {
                    let id = generator.pick(ids)
                    let wide = site.name != "old"
                    var values: [(field: UInt32, value: Value)] = []
                    for field in [Number.title, Number.body] + (wide ? [Number.extra, Number.memo] : [])
                    where generator.chance(50) {
                        values.append((field, .text("\(generator.below(3))")))
                    }
                    try site.write { try $0.set(wide ? TestSchema.wideNote : TestSchema.note, id, values) }
                } else {
                    try site.pull(from: generator.pick(sites.filter { $0.name != site.name }))
                }
                try site.compareWithDefinition(rederiving: step % 5 == 0) {
                    Disagreement("seed \(seed), step \(step): \($0)")
                }
            }
            for _ in 0..<2 {
                for site in sites { for peer in sites where peer.name != site.name { try site.pull(from: peer) } }
            }
            #expect(try Set(sites.map { try $0.digest() }).count == 1, "seed \(seed)")
            try ward.old.reopen(schema: TestSchema.v2)
            try ward.check(ward.old)
            let lists = try sites.map { try $0.conflicts().map(\.id) }
            #expect(Set(lists).count == 1, "seed \(seed)")
            for id in ids { #expect(try Set(sites.map { try $0.record(id)?.values }).count == 1, "seed \(seed)") }
        }
    }
}
