// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// The nine concurrent pairs of {create, update, delete}.
@Suite struct LifeTests {
    enum Act: String, CaseIterable, Sendable { case create, update, delete }

    /// What is published of each pair: who is shown as deleted, and which conflicts are open.
    static func outcome(_ first: Act, _ second: Act) -> (deleted: Bool, life: Bool, content: Bool) {
        switch (first, second) {
        case (.delete, .delete): (true, false, false)
        case (.delete, _), (_, .delete): (false, true, false)
        // Two creations of one derived id, two edits, or an edit beside a creation, with differing titles.
        default: (false, false, true)
        }
    }

    @Test(arguments: Act.allCases, Act.allCases)
    func everyPairEndsAsTheTableSays(first: Act, second: Act) throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b", "c"], in: scratch)
        let id = RecordID(derivedFrom: [Array("one".utf8)])
        // For two creations nothing is there before; otherwise the record is.
        if first != .create || second != .create {
            try sites[2].write { try $0.create(TestSchema.note, id: id, [(1, .text("start"))]) }
            for site in sites.prefix(2) { try site.pull(from: sites[2]) }
        }
        for (site, act) in zip(sites, [first, second]) {
            try site.write { draft in
                switch act {
                case .create: try draft.create(TestSchema.note, id: id, [(1, .text("by \(site.name)"))])
                case .update: try draft.set(TestSchema.note, id, [(1, .text("by \(site.name)"))])
                case .delete: try draft.delete(TestSchema.note, id, reason: ExactText("by \(site.name)"))
                }
            }
        }
        for _ in 0..<2 { for site in sites.dropFirst() { try sites[0].exchange(with: site) } }
        let expected = Self.outcome(first, second)
        for site in sites {
            let record = try #require(try site.record(id))
            #expect(record.deleted == expected.deleted)
            let conflicts = try site.conflicts()
            #expect(conflicts.contains { $0.group == nil } == expected.life)
            #expect(conflicts.contains { $0.group != nil } == expected.content)
            if expected.life {
                let row = try #require(conflicts.first { $0.group == nil })
                #expect(row.alternatives.map(\.deleted).sorted { !$0 && $1 } == [false, true])
                #expect(!row.alternatives[row.shown].deleted)
            }
        }
        #expect(try Set(sites.map { try $0.digest() }).count == 1)
        #expect(try Set(sites.map { try $0.conflicts().map(\.id) }).count == 1)
    }

    @Test(arguments: [true, false])
    func eitherDecisionEndsTheContest(deleting: Bool) throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        let id = try sites[0].write { try $0.create(TestSchema.note, [(1, .text("x"))]) }
        try sites[1].pull(from: sites[0])
        try sites[0].write { try $0.delete(TestSchema.note, id, reason: "moved") }
        try sites[1].write { try $0.set(TestSchema.note, id, [(1, .text("y"))]) }
        try sites[0].exchange(with: sites[1])
        try sites[0].write { draft in
            if deleting {
                try draft.delete(TestSchema.note, id, reason: "really")
            } else {
                try draft.revive(TestSchema.note, id)
            }
        }
        try sites[0].exchange(with: sites[1])
        for site in sites {
            #expect(try site.conflicts().isEmpty)
            #expect(try site.record(id)?.deleted == deleting)
            #expect(try site.record(id)?.text("title") == "y")
        }
    }

    @Test func aRecordDeletedByAllStaysDeletedAndAnEditThatSawItRevives() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        let id = try sites[0].write { try $0.create(TestSchema.note, [(1, .text("x"))]) }
        try sites[0].write { try $0.delete(TestSchema.note, id, reason: "gone") }
        try sites[1].pull(from: sites[0])
        #expect(try sites[1].record(id)?.deleted == true)
        try sites[1].write { try $0.edit(TestSchema.note, id, group: TestSchema.entries, add: [Array("note".utf8)]) }
        #expect(try sites[1].record(id)?.deleted == true, "an entry of a log says nothing of life")
        try sites[1].write { try $0.set(TestSchema.note, id, [(1, .text("back"))]) }
        try sites[0].exchange(with: sites[1])
        for site in sites { #expect(try site.record(id)?.deleted == false) }
    }
}
