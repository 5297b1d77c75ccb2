// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Everything that a store writes can be read by another.
@Suite struct DraftTests {
    private let note = TestSchema.note

    private func pair(_ scratch: Scratch) throws -> (TestSite, TestSite) {
        let sites = try makeWard(["a", "b"], in: scratch)
        return (sites[0], sites[1])
    }

    private func isTooLarge(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch StoreError.changeTooLarge {
            return true
        } catch {
            return false
        }
    }

    @Test func aRecordOfWhichNothingIsSaidLives() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let ids = try a.write { draft in try (0..<3).map { _ in try draft.create(note, []) } }
        try a.write { draft in
            try draft.set(note, ids[0], [])
            try draft.edit(note, ids[0], group: TestSchema.tags)
        }
        #expect(try b.pull(from: a) == [.applied(1)], "an empty edit is no change")
        for id in ids { #expect(try b.record(id)?.deleted == false) }
        #expect(try a.digest() == b.digest())
    }

    @Test func whatIsTooLargeForAChangeIsRefusedWhole() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let before = try a.dump()
        #expect(
            isTooLarge { try a.write { draft in for _ in 0..<4097 { try draft.create(note, [(3, .integer(1))]) } } }
        )
        let megabyte = Value.text(String(repeating: "x", count: 1 << 20))
        #expect(isTooLarge { _ = try a.write { try $0.create(note, [(1, megabyte)]) } })
        let entries = [[UInt8]](repeating: [65], count: 4097)
        #expect(
            isTooLarge {
                try a.write { draft in
                    let id = try draft.create(note, [])
                    try draft.edit(note, id, group: TestSchema.entries, add: entries)
                }
            }
        )
        #expect(
            isTooLarge {
                try a.write { draft in
                    draft.reason = ExactText(String(repeating: "y", count: 65_536))
                    try draft.create(note, [])
                }
            }
        )
        #expect(try a.dump() == before)
        // At the bounds it goes, and a peer takes it.
        try a.write { draft in for _ in 0..<4096 { try draft.create(note, [(3, .integer(1))]) } }
        try a.write { draft in
            draft.reason = ExactText(String(repeating: "y", count: 65_000))
            let id = try draft.create(note, [(1, .text(String(repeating: "x", count: 1_000_000)))])
            try draft.edit(note, id, group: TestSchema.entries, add: Array(entries.dropFirst()))
        }
        let receipts = try b.pull(from: a)
        #expect(receipts.allSatisfy { if case .applied = $0 { true } else { false } }, "\(receipts)")
        #expect(try a.digest() == b.digest())
    }

    @Test func aLongNameIsCutBetweenCharacters() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let person = Operator(
            id: ExactText(String(repeating: "神", count: 100)),
            label: ExactText(String(repeating: "a", count: 300))
        )
        _ = try a.store.write { try $0.draft(TestSchema.space, by: person).create(note, [(1, .text("x"))]) }
        #expect(try b.pull(from: a) == [.applied(1)])
        let record = try #require(try b.store.read { try $0.records(note).first })
        let author = try #require(try b.store.read { try $0.history(of: record.rid) }.first).header.author
        #expect(author.id == ExactText(String(repeating: "神", count: 85)))
        #expect(author.label.utf8.count == 256)
    }

    @Test func anImportThatNamesARecordTwiceWritesItTwice() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let shape = Shape(collection: note.number, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        let id = RecordID(derivedFrom: [Array("one".utf8)])
        try a.write { draft in
            for text in ["first", "second"] { try draft.append(shape, id: id) { $0.appendSlot(.text(text)) } }
            try draft.append(shape) { $0.appendSlot(.text("another")) }
        }
        // Editing after filling in bulk is a change of its own.
        let edited = try a.write { draft in
            try draft.append(shape) { $0.appendSlot(.text("bulk")) }
            return try draft.create(note, [(1, .text("edited"))])
        }
        #expect(try a.record(edited)?.text("title") == "edited")
        #expect(try a.record(id)?.text("title") == "second")
        try b.pull(from: a)
        #expect(try a.digest() == b.digest())
        #expect(try b.record(edited)?.text("title") == "edited")
        #expect(try b.store.read { try $0.records(note).count } == 4)
    }

    @Test func anImportIsCutIntoChangesThatCarryOneBatch() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let shape = Shape(collection: note.number, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        try a.write { draft in
            for row in 0..<5000 { try draft.append(shape) { $0.appendSlot(.text("row \(row)")) } }
        }
        try b.pull(from: a)
        #expect(try b.store.read { try $0.counts(of: TestSchema.space).changes } == 5)
        let batches = try b.store.read { transaction in
            try transaction.records(note, where: "title IN ('row 0', 'row 2000', 'row 4999')").map {
                try #require(try transaction.history(of: $0.rid).first).header.batch
            }
        }
        #expect(batches.count == 3 && Set(batches).count == 1 && batches[0] != nil)
    }

    @Test func theDepthOfAReplyStopsAtTheBoundInsteadOfOverflowing() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let shape = Shape(
            collection: note.number,
            operations: [Shape.Operation(group: 1, .register, fields: [1]), Shape.Operation(group: 4, .log)]
        )
        let id = try a.write { draft in
            try draft.append(shape) { out in
                out.appendSlot(.text("x"))
                out.appendSlot(.bytes(Items(added: [Items.Item(depth: Items.depthMax, [65])]).encoded))
            }
        }
        try b.pull(from: a)
        for content in [66, 67] as [UInt8] {
            try b.write { try $0.edit(note, id, group: TestSchema.entries, add: [[content]]) }
        }
        try a.pull(from: b)
        let rid = try #require(try a.record(id)).rid
        let items = try a.store.read { try $0.items(of: rid, group: TestSchema.entries) }
        #expect(Set(items.map(\.content)) == [[65], [66], [67]])
        #expect(try a.digest() == b.digest())
    }

    @Test func aTransactionOverTwoSpacesNamesItsPartsToTheirHoldersOnly() throws {
        let scratch = try Scratch()
        let (a, b) = try pair(scratch)
        let other = SpaceID("others")!
        try a.store.write { transaction in
            try transaction.found(TestSchema.space, by: a.person)
            try transaction.found(other, by: a.person)
        }
        let ids = try a.store.write { transaction in
            try [TestSchema.space, other].map {
                try transaction.draft($0, by: a.person).create(note, [(1, .text("both"))])
            }
        }
        try b.pull(from: a, [TestSchema.space, other])
        let headers = try b.store.read { transaction in
            try ids.map { id in
                let record = try #require(try transaction.record(note, id))
                return try #require(try transaction.history(of: record.rid).first).header
            }
        }
        let parts = try headers.map { try #require($0.transaction) }
        #expect(parts[0].id == parts[1].id)
        for (part, elsewhere) in zip(parts, [other, TestSchema.space]) {
            let secret = try #require(try b.store.read { try $0.secret(of: elsewhere) })
            let code = HMAC<SHA256>.authenticationCode(
                for: Array("tsunagu/part/1".utf8) + part.id.bytes,
                using: SymmetricKey(data: secret)
            )
            #expect(part.parts == [Array(code)])
        }
    }
}
