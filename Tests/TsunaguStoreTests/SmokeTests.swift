// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// The shortest way through everything: two sites, every kind, one conflict, one import.
@Suite struct SmokeTests {
    private typealias Number = TestSchema.Number

    @Test func twoSitesThatExchangeEverythingShowTheSame() throws {
        let scratch = try Scratch()
        let ward = try makeWard(["centre", "branch"], in: scratch)
        let (a, b) = (ward[0], ward[1])
        let note = TestSchema.note
        let id = try a.write { draft in
            let id = try draft.create(note, [(Number.title, .text("神")), (Number.size, .integer(-7))])
            try draft.set(note, id, [(Number.phone, .text("03-0000-0000"))])
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("ja".utf8), Array("en".utf8)])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("first".utf8)])
            try draft.edit(note, id, group: TestSchema.tally, add: [Tally.encode(3)])
            try draft.edit(note, id, group: TestSchema.seats, add: [LedgerEntry.open.encoded])
            try draft.edit(
                note,
                id,
                group: TestSchema.status,
                add: [Transition(from: "", to: "open", reason: "").encoded]
            )
            return id
        }
        #expect(try b.pull(from: a) == [.applied(1)])
        #expect(try a.digest() == b.digest())
        let shown = try #require(try b.record(id))
        #expect(shown.text("title") == "神")
        #expect(shown.integer("size") == -7)
        #expect(shown.text("phone") == "03-0000-0000")
        #expect(shown.text("tags") == #"["en","ja"]"#)
        #expect(shown.integer("tally") == 3)
        #expect(shown.text("status") == "open")

        try a.write { try $0.set(note, id, [(Number.title, .text("A"))]) }
        try b.write { try $0.set(note, id, [(Number.title, .text("B"))]) }
        try a.exchange(with: b)
        #expect(try a.digest() == b.digest())
        let (first, second) = (try a.conflicts(), try b.conflicts())
        #expect(first.count == 1)
        #expect(first.map(\.id) == second.map(\.id))
        #expect(try a.record(id)?.values == b.record(id)?.values)

        try b.write {
            try $0.set(note, id, [(Number.title, .text("AB")), (Number.body, .null), (Number.size, .integer(1))])
        }
        try a.exchange(with: b)
        #expect(try a.conflicts().isEmpty && b.conflicts().isEmpty)
        #expect(try a.record(id)?.text("title") == "AB")

        let shape = Shape(
            collection: note.number,
            operations: [Shape.Operation(group: 1, .register, fields: [1, 2, 3])]
        )
        try a.write { draft in
            for index in 0..<3000 {
                try draft.append(shape) { out in
                    out.appendSlot(.text("row \(index)"))
                    out.appendSlot(.null)
                    out.appendSlot(.integer(Int64(index)))
                }
            }
        }
        try b.pull(from: a)
        #expect(try a.digest() == b.digest())
        #expect(try b.store.read { try $0.counts(of: TestSchema.space).records } == 3001)
    }
}
