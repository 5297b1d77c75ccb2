// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// How changes become runs.
@Suite struct SealingTests {
    private let note = TestSchema.note

    private func check(_ site: TestSite) throws {
        try site.compareWithDefinition(rederiving: true) { Disagreement($0) }
        let log = try site.store.read { try $0.verify().log }
        #expect(log.faultCount == 0, "\(log.faults)")
    }

    private func head(_ site: TestSite) throws -> Hash32? {
        try site.store.read { try $0.vector(of: TestSchema.space) }.first { $0.replica == site.replica }?.hash
    }

    @Test func manyChangesBecomeOneRunAndKeepTheirHashes() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        var ids: [RecordID] = []
        for step in 0..<50 {
            ids.append(try sites[0].write { try $0.create(note, [(1, .text("\(step)"))]) })
            try sites[0].write { try $0.edit(note, ids[step / 2], group: TestSchema.entries, add: [Array("e".utf8)]) }
        }
        let before = try head(sites[0])
        let runs = try sites[0].runs(TestSchema.space)
        #expect(runs.map(\.count) == [100])
        #expect(try head(sites[0]) == before)
        #expect(try sites[1].receive(runs) == [.applied(100)])
        #expect(try head(sites[0]) == sites[1].store.read { try $0.vector(of: TestSchema.space) }[0].hash)
        #expect(try sites[0].digest() == sites[1].digest())
        for site in sites { try check(site) }
        // Sealed once: what is written afterwards is a run of its own.
        try sites[0].write { try $0.set(note, ids[0], [(1, .text("later"))]) }
        #expect(try sites[0].runs(TestSchema.space).map(\.count) == [100, 1])
        try sites[1].pull(from: sites[0])
        #expect(try sites[1].record(ids[0])?.text("title") == "later")
    }

    @Test func runsStayWithinTheBoundsOfASeal() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        _ = try sites[0].store.write { transaction in
            let draft = try transaction.draft(TestSchema.space, by: sites[0].person)
            for step in 0..<1100 {
                try draft.create(note, [(3, .integer(Int64(step)))])
                try transaction.flushDrafts()
            }
        }
        // Zeros compress to nothing, and still count as what they are.
        for _ in 0..<20 {
            try sites[0].write { try $0.create(note, [(1, .text(String(repeating: "0", count: 200_000)))]) }
        }
        let runs = try sites[0].runs(TestSchema.space)
        #expect(runs.map(\.count).reduce(0, +) == 1120)
        #expect(runs.allSatisfy { $0.count <= Seal.changesMax })
        #expect(runs.count >= 21)
        #expect(try sites[1].receive(runs).allSatisfy { if case .applied = $0 { true } else { false } })
        #expect(try sites[0].digest() == sites[1].digest())
        // The second block of salts has begun, and what it named is found again.
        let first = try sites[1].store.read { try $0.records(note, where: "size IN (0, 1050)") }
        try sites[1].write { draft in
            for record in first { try draft.set(note, record.id, [(1, .text("found"))]) }
        }
        try sites[0].pull(from: sites[1])
        #expect(try sites[0].store.read { try $0.records(note, where: "title = 'found'").count } == 2)
        try check(sites[1])
    }

    @Test func aRunStandsInTheLogBehindWhatItsChangesHadSeen() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b", "c"], in: scratch)
        let id = try sites[0].write { try $0.create(note, [(1, .text("unsealed"))]) }
        let other = try sites[1].write { try $0.create(note, [(1, .text("of b"))]) }
        try sites[0].pull(from: sites[1])
        try sites[0].write { draft in
            try draft.set(note, other, [(1, .text("seen"))])
            try draft.set(note, id, [(1, .text("again"))])
        }
        // Both changes of a are one run now, and it comes behind b's: nobody has to hold anything.
        #expect(try sites[2].pull(from: sites[0]) == [.applied(1), .applied(2)])
        #expect(try sites[2].record(other)?.text("title") == "seen")
    }

    @Test func whatIsReadAfterSealingInOneTransactionIsWhole() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        let key = site.key
        let id = try site.write { try $0.create(note, [(1, .text("0"))]) }
        for step in 1...5 { try site.write { try $0.set(note, id, [(1, .text("\(step)"))]) } }
        let rid = try #require(try site.record(id)).rid
        let history = try site.store.write { transaction in
            _ = try transaction.history(of: rid)
            try transaction.seal { try TestSite.sign($0, with: key) }
            return try transaction.history(of: rid)
        }
        #expect(history.map(\.value) == (0...5).map { .text("\($0)") })
    }

    @Test func sealingNothingChangesNothing() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        try site.seal()
        try site.write { try $0.create(note, [(1, .text("x"))]) }
        try site.seal()
        let before = try site.dump()
        try site.seal()
        #expect(try site.dump() == before)
    }

    @Test func onlyWhatIsLackingIsListed() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        for step in 0..<5 {
            try site.write { try $0.create(note, [(1, .text("\(step)"))]) }
            try site.seal()
        }
        for known in 0...6 as ClosedRange<UInt64> {
            let firsts = try site.runs(TestSchema.space, lacking: [site.replica: known]).map(\.first)
            #expect(firsts == Array(1...5 as ClosedRange<UInt64>).filter { $0 > known })
        }
        // What is not sealed yet goes to nobody.
        try site.write { try $0.create(note, [(1, .text("unsealed"))]) }
        #expect(try site.store.read { try $0.runs(of: TestSchema.space, lacking: [site.replica: 5]) } == [])
    }
}
