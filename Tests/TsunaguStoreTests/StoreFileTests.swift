// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// A file that cannot be read is never taken for a store with nothing in it.
@Suite struct StoreFileTests {
    private func closedStore(_ scratch: Scratch) throws -> (path: String, bytes: [UInt8]) {
        let site = try TestSite("a", in: scratch, seed: 1)
        for step in 0..<40 {
            try site.write { try $0.create(TestSchema.note, [(1, .text("value \(step)"))]) }
        }
        try site.store.close()
        return (site.path, Array(try Data(contentsOf: URL(fileURLWithPath: site.path))))
    }

    private func write(_ bytes: some Collection<UInt8>, to path: String) throws {
        for name in [path, path + "-wal", path + "-shm"] { try? FileManager.default.removeItem(atPath: name) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    private func isRefused(_ path: String) -> Bool {
        do {
            try Store.open(at: path, schema: TestSchema.v1).close()
            return false
        } catch is StoreError {
            return true
        } catch {
            Issue.record("\(error) is no StoreError")
            return true
        }
    }

    @Test func everyTornFileIsRefused() throws {
        let scratch = try Scratch()
        let (path, bytes) = try closedStore(scratch)
        #expect(bytes.count > 100_000)
        for length in stride(from: 0, to: bytes.count, by: 512) {
            try write(bytes.prefix(length), to: path)
            #expect(isRefused(path), "cut at \(length)")
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == length, "and left as it was")
        }
        try write(bytes, to: path)
        let store = try Store.open(at: path, schema: TestSchema.v1)
        #expect(try store.read { try $0.records(TestSchema.note).count } == 40)
    }

    @Test func whoeverWritesWhileReadingIsRefusedAndLeavesNothing() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        #expect(throws: StoreError.self) { try site.store.read { try $0.setMeta("a", .integer(1)) } }
        #expect(try site.store.read { try $0.meta("a") } == nil)
        try site.store.write { try $0.setMeta("a", .integer(2)) }
        #expect(try site.store.read { try $0.meta("a")?.integer } == 2)
    }

    @Test func aFileTornWhileItsLogWasThereIsRefusedUnlessTheLogHoldsTheRest() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        for step in 0..<40 { try site.write { try $0.create(TestSchema.note, [(1, .text("value \(step)"))]) } }
        try site.reopen()
        try site.write { try $0.create(TestSchema.note, [(1, .text("in the log"))]) }
        let copy = scratch.path("copy.db")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: site.path))
        let log = try Data(contentsOf: URL(fileURLWithPath: site.path + "-wal"))
        #expect(!log.isEmpty)
        for length in stride(from: 0, to: bytes.count, by: 4096) {
            try write(bytes.prefix(length), to: copy)
            try log.write(to: URL(fileURLWithPath: copy + "-wal"))
            // What is cut off may stand in the log; then everything must be there.
            if isRefused(copy) { continue }
            let store = try Store.open(at: copy, schema: TestSchema.v1)
            #expect(try store.read { try $0.records(TestSchema.note).count } == 41, "cut at \(length)")
        }
        try write(bytes, to: copy)
        try log.write(to: URL(fileURLWithPath: copy + "-wal"))
        let store = try Store.open(at: copy, schema: TestSchema.v1)
        #expect(try store.read { try $0.records(TestSchema.note).count } == 41)
    }

    @Test func foreignFilesAreRefused() throws {
        let scratch = try Scratch()
        let foreign = scratch.path("foreign.db")
        try DatabaseQueue(path: foreign).write { try $0.execute(sql: "CREATE TABLE a(b); INSERT INTO a VALUES (1)") }
        #expect(isRefused(foreign))
        let text = scratch.path("text.db")
        try write(Array(String(repeating: "This is not a database. ", count: 100).utf8), to: text)
        #expect(isRefused(text))
        #expect(throws: StoreError.self) { try Store.open(at: scratch.url.path, schema: TestSchema.v1) }
        #expect {
            try Store.open(at: scratch.path("nothing.db"), schema: TestSchema.v1)
        } throws: { if case StoreError.missing = $0 { true } else { false } }
        #expect(!FileManager.default.fileExists(atPath: scratch.path("nothing.db")))
    }

    @Test func damageInThePagesIsFoundBeforeAnythingIsWritten() throws {
        let scratch = try Scratch()
        let (path, bytes) = try closedStore(scratch)
        var zeroed = bytes
        for index in 4096..<zeroed.count { zeroed[index] = 0 }
        try write(zeroed, to: path)
        do {
            let store = try Store.open(at: path, schema: TestSchema.v1)
            #expect(throws: StoreError.self) { try store.read { try $0.records(TestSchema.note) } }
        } catch {
            #expect(error is StoreError)
        }
    }

    @Test func anExistingFileIsNotCreatedAgain() throws {
        let scratch = try Scratch()
        let (path, bytes) = try closedStore(scratch)
        #expect { try Store.create(at: path, schema: TestSchema.v1) } throws: {
            if case StoreError.exists = $0 { true } else { false }
        }
        #expect(Array(try Data(contentsOf: URL(fileURLWithPath: path))) == bytes)
        #expect(throws: StoreError.self) {
            try Store.create(at: scratch.path("no/such/folder.db"), schema: TestSchema.v1)
        }
    }

    @Test func `A store that was closed says so to whoever goes on`() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        let id = try site.write { try $0.create(TestSchema.note, [(1, .text("x"))]) }
        try site.store.close()
        try site.store.close()
        func isMissing(_ error: any Error) -> Bool { if case StoreError.missing = error { true } else { false } }
        #expect { try site.store.read { try $0.spaces() } } throws: { isMissing($0) }
        #expect { try site.write { try $0.set(TestSchema.note, id, [(1, .text("y"))]) } } throws: { isMissing($0) }
        #expect { try site.store.checkpoint() } throws: { isMissing($0) }
    }

    @Test func onlyTheOwnerMayReadTheFiles() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        try site.write { try $0.create(TestSchema.note, [(1, .text("x"))]) }
        for suffix in ["", "-wal", "-shm"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: site.path + suffix)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600, "\(suffix)")
        }
    }

    @Test func whatASeparateToolReadsIsTheCurrentValue() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        let id = try site.write { try $0.create(TestSchema.note, [(1, .text("\u{FA19}")), (3, .integer(5))]) }
        try site.write { try $0.set(TestSchema.note, id, [(3, .integer(6))]) }
        let rows = try DatabaseQueue(path: site.path).read { db in
            try Row.fetchAll(db, sql: "SELECT lower(hex(id)) AS id, title, size, deleted FROM note")
        }
        #expect(rows.count == 1)
        #expect(rows[0]["id"] == id.description)
        #expect(Array((rows[0]["title"] as String).utf8) == Array("\u{FA19}".utf8))
        #expect(rows[0]["size"] == 6)
        #expect(rows[0]["deleted"] == 0)
    }
}
