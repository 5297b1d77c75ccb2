// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Synchronization
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Runs that are not what their author wrote.
///
/// A refusal is precise, and leaves nothing behind.
@Suite struct RefusalTests {
    private let note = TestSchema.note

    private struct Pair {
        let scratch: Scratch
        let a: TestSite
        let b: TestSite
        let runs: [RunEnvelope]
    }

    /// A site with three sealed runs of two changes each, and one that has none of them.
    private func pair() throws -> Pair {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        for step in 0..<3 {
            let id = try sites[0].write {
                try $0.create(note, [(1, .text("value \(step)")), (3, .integer(Int64(step)))])
            }
            try sites[0].write { try $0.edit(note, id, group: TestSchema.entries, add: [Array("entry".utf8)]) }
            try sites[0].seal()
        }
        return Pair(scratch: scratch, a: sites[0], b: sites[1], runs: try sites[0].runs(TestSchema.space))
    }

    private func expect(_ refusal: Refusal, _ run: RunEnvelope, at site: TestSite) throws {
        let before = try site.dump()
        #expect(try site.receive([run]) == [.refused(refusal)])
        #expect(try site.dump() == before)
    }

    private func expectRefused(_ run: RunEnvelope, at site: TestSite) throws {
        let before = try site.dump()
        let receipt = try site.receive([run])[0]
        guard case .refused = receipt else { throw CodecError.invalid("\(receipt)") }
        #expect(try site.dump() == before)
    }

    @Test func forgedAlteredCutAndSplicedRunsAreRefused() throws {
        let pair = try pair()
        let (good, b) = (pair.runs, pair.b)
        #expect(good.map(\.count) == [2, 2, 2])

        var forged = good[0]
        forged.signature[0] ^= 1
        try expect(.badSeal, forged, at: b)
        forged.signature = []
        try expect(.badSeal, forged, at: b)
        forged.signature = Array(try Curve25519.Signing.PrivateKey().signature(for: [1, 2]))
        try expect(.badSeal, forged, at: b)

        // The second run as if it were the first, and its seal on the first.
        var moved = good[1]
        moved.first = 1
        try expectRefused(moved, at: b)
        var spliced = good[0]
        spliced.signature = good[1].signature
        try expect(.badSeal, spliced, at: b)

        // A run in another space or under another author.
        var elsewhere = good[0]
        elsewhere.space = SpaceID("others")!
        try expect(.badSeal, elsewhere, at: b)
        var asB = good[0]
        asB.replica = ReplicaID(device: pair.a.device, incarnation: pair.a.replica.incarnation &+ 1)
        try expectRefused(asB, at: b)

        // Fewer changes than the body holds, or more.
        for count in [1, 3] {
            var cut = good[0]
            cut.count = count
            try expectRefused(cut, at: b)
        }
        for (first, count) in [(0, 1), (UInt64.max, 1), (UInt64.max, Int.max), (1, -1), (1, 0), (1, Int.max)] {
            try expect(
                .malformed("\(count) changes from number \(first) on"),
                RunEnvelope(
                    space: good[0].space,
                    replica: good[0].replica,
                    first: first,
                    count: count,
                    signature: good[0].signature,
                    body: good[0].body
                ),
                at: b
            )
        }
        // After all of that, the good ones.
        #expect(try b.receive(good) == [.applied(2), .applied(2), .applied(2)])
        #expect(try b.digest() == pair.a.digest())
    }

    @Test func everyTruncationAndManyMutationsLeaveTheStoreAsItWas() throws {
        let pair = try pair()
        let (good, b) = (pair.runs[0], pair.b)
        let before = try b.dump()
        var generator = SeededGenerator(seed: 11)
        let stored = try Bodies.stored(good.body)
        var bodies = good.body.indices.map { Array(good.body.prefix($0)) }
        for _ in 0..<1500 { bodies.append(Bodies.mutated(generator.chance(50) ? stored : good.body, &generator)) }
        for body in bodies where body != good.body && body != stored {
            var run = good
            run.body = body
            let receipt = try b.receive([run])[0]
            // A mutation that only respells the same changes is the author's word still.
            if case .applied = receipt { continue }
            if case .duplicate = receipt { continue }
            guard case .refused = receipt else { throw CodecError.invalid("\(receipt)") }
        }
        let after = try b.dump()
        if try b.vector(TestSchema.space).isEmpty {
            #expect(after == before)
            #expect(try b.receive([good]) == [.applied(2)])
        }
        #expect(try b.receive(Array(pair.runs.dropFirst())) == [.applied(2), .applied(2)])
        #expect(try b.digest() == pair.a.digest())
    }

    @Test func theSameRunAgainIsADuplicateAndAnotherUnderItsNumberABranch() throws {
        let pair = try pair()
        #expect(try pair.b.receive([pair.runs[0], pair.runs[0]]) == [.applied(2), .duplicate])
        // A clone of the first machine writes under the same numbers.
        let clone = try TestSite("clone", in: pair.scratch, root: nil, seed: 1000)
        #expect(clone.replica == pair.a.replica, "one seed, one machine")
        clone.machine.now += 77
        _ = try clone.write { try $0.create(note, [(1, .text("something else"))]) }
        let forked = try clone.runs(TestSchema.space)
        // Garbage under a known number is no accusation.
        var garbage = pair.runs[0]
        garbage.signature[3] ^= 1
        try expect(.badSeal, garbage, at: pair.b)
        garbage.body = [1, 2, 3]
        let before = try pair.b.dump()
        guard case .refused(.malformed) = try pair.b.receive([garbage])[0] else { throw CodecError.invalid("accepted") }
        #expect(try pair.b.dump() == before)
        #expect(try pair.b.receive([forked[0], forked[0], pair.runs[0]]) == [.applied(1), .duplicate, .duplicate])
        // Nobody seals by the name that a branch is filed under.
        var filed = forked[0]
        filed.replica = try #require(try pair.b.vector(TestSchema.space).keys.first { $0 != filed.replica })
        try expect(.malformed("sealed under a branch's name"), filed, at: pair.b)
    }

    @Test func runsThatArriveInTheWrongOrderWait() throws {
        let pair = try pair()
        let short = pair.a.device.short
        #expect(try pair.b.receive([pair.runs[2]]) == [.held(waitsFor: "\(short) 1")])
        #expect(try pair.b.receive([pair.runs[1]]) == [.held(waitsFor: "\(short) 1")])
        try pair.b.reopen()
        #expect(try pair.b.receive([pair.runs[0]]) == [.applied(6)], "what waited for it included")
        #expect(try pair.b.vector(TestSchema.space)[pair.a.replica] == 6)
        #expect(try pair.b.digest() == pair.a.digest())
        #expect(try pair.b.store.read { try $0.heldCauses(in: TestSchema.space) }.isEmpty)
    }

    @Test func aRunThatWaitedAndIsRefusedInItsTurnIsKeptWithTheReason() throws {
        let pair = try pair()
        var spoilt = pair.runs[1]
        spoilt.signature[3] ^= 1
        let peer = pair.a.device
        let receipts = try pair.b.store.write { transaction in
            try [spoilt, pair.runs[0]].map { try transaction.receive($0, from: peer) }
        }
        #expect(receipts == [.held(waitsFor: "\(peer.short) 1"), .applied(2)])
        let refusals = try pair.b.store.read { try $0.refusals() }
        #expect(refusals.map(\.reason) == ["bad_seal"] && refusals.map(\.first) == [spoilt.first])
        #expect(try pair.b.store.read { try $0.heldCauses(in: TestSchema.space) }.isEmpty)
    }

    /// The statements of a receipt.
    private func statements(_ site: TestSite, receiving run: RunEnvelope) throws -> (receipt: Receipt, sql: [String]) {
        let seen = Mutex<[String]>([])
        var environment = site.machine.environment
        environment.observe = { sql in seen.withLock { $0 += sql } }
        let store = try Store.open(at: site.path, schema: site.store.schema, environment: environment)
        defer { try? store.close() }
        let receipt = try store.write { try $0.receive(run) }
        return (receipt, seen.withLock { $0 })
    }

    @Test func `What waits is not read again before what it waits for came`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["root", "a", "b", "c", "outsider"], in: scratch, granting: ["root", "a", "b", "c"])
        let (a, b, c, outsider) = (sites[1], sites[2], sites[3], sites[4])
        let receiver = sites[0]
        try outsider.write { try $0.create(note, [(1, .text("no grant"))]) }
        #expect(try receiver.pull(from: outsider) == [.quarantined(1)])
        try a.write { try $0.create(note, [(1, .text("cause"))]) }
        try b.pull(from: a)
        try b.write { try $0.create(note, [(1, .text("saw it"))]) }
        let waiting = try b.runs(TestSchema.space).filter { $0.replica == b.replica }
        #expect(try receiver.receive(waiting) == [.held(waitsFor: "\(a.device.short) 1")])
        try c.write { try $0.create(note, [(1, .text("another"))]) }

        let body = "SELECT space, replica, first, count, signature, body FROM holding WHERE no = ?"
        let unrelated = try statements(receiver, receiving: c.runs(TestSchema.space)[0])
        #expect(unrelated.receipt == .applied(1))
        for sql in [body] { #expect(!unrelated.sql.contains { $0.contains(sql) }, "\(sql)") }
        let awaited = try statements(receiver, receiving: a.runs(TestSchema.space)[0])
        #expect(awaited.receipt == .applied(2))
        #expect(awaited.sql.contains { $0.contains(body) })
        try sites[0].grant(outsider)
        #expect(try receiver.store.read { try $0.inboxCounts().quarantined } == 0)
    }

    @Test func theHoldingAreaIsBounded() throws {
        let pair = try pair()
        var run = pair.runs[1]
        for first in 0..<64 as Range<UInt64> {
            run.first = 3 + first
            guard case .held = try pair.b.receive([run])[0] else { throw CodecError.invalid("not held") }
        }
        run.first = 1000
        try expect(.holdingFull, run, at: pair.b)
        // What is held for a number again takes no second place, and the causes still get through.
        run.first = 3
        #expect(try pair.b.receive([run]) == [.held(waitsFor: "\(pair.a.device.short) 1")])
        #expect(try pair.b.receive([pair.runs[0]]) == [.applied(4)], "what waited for it included")
        #expect(
            try pair.b.receive([pair.runs[1], pair.runs[2]]).last.map {
                if case .applied = $0 { true } else { $0 == .duplicate }
            } == true
        )
        #expect(try pair.b.digest() == pair.a.digest())
    }

    @Test func aRunAgainstTheSchemaIsRefused() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        func run(_ shape: Shape, _ values: [Value]) throws -> RunEnvelope {
            let other = try TestSite("x", in: Scratch(), root: sites[0], seed: 1001)
            #expect(other.replica == sites[1].replica)
            try other.write { draft in
                try draft.append(shape) { out in for value in values { out.appendSlot(value) } }
            }
            return try other.runs(TestSchema.space)[0]
        }
        let asSet = Shape(collection: 20, operations: [Shape.Operation(group: 1, .set)])
        let wrongGroup = Shape(collection: 20, operations: [Shape.Operation(group: 2, .register, fields: [1])])
        let title = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1, 3])])
        for (shape, values) in [
            (asSet, [Value.bytes(Items().encoded)]), (wrongGroup, [.text("x")]), (title, [.integer(1), .integer(2)]),
            (title, [.text("x"), .text("2")]), (title, [.bytes([1]), .null]),
        ] {
            let before = try sites[0].dump()
            guard case .refused(.malformed) = try sites[0].receive([try run(shape, values)])[0] else {
                Issue.record("\(values)")
                continue
            }
            #expect(try sites[0].dump() == before)
        }
    }
}
