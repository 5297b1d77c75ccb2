// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Deletions and what is decided after them; `OutcomeTests` has the concurrent pairs.
@Suite struct LifeTests {
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
