// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// One act over several spaces becomes visible elsewhere in one step, or not at all.
@Suite("Transactions over several spaces")
struct TransactionTests {
    private let note = TestSchema.note
    private let spaces = ["alpha", "beta", "gamma"].map { SpaceID($0)! }

    private struct Ward {
        let author: TestSite
        let receiver: TestSite
        let scratch: Scratch
    }

    /// An author and a receiver that both know the first `held` of the spaces.
    private func ward(held: Int = 3, access: String = "*", writer: String = "*") throws -> Ward {
        let scratch = try Scratch()
        let sites = try makeWard(["root", "author", "receiver"], in: scratch, granting: ["root"])
        let (root, author, receiver) = (sites[0], sites[1], sites[2])
        try root.store.write { transaction in
            for space in spaces { try transaction.found(space, by: root.person) }
        }
        try root.grant(author, spaces: writer)
        try root.grant(receiver, spaces: access)
        for site in [author, receiver] { try site.pull(from: root, [.system]) }
        try author.pull(from: root, spaces)
        try receiver.pull(from: root, Array(spaces.prefix(held)))
        return Ward(author: author, receiver: receiver, scratch: scratch)
    }

    /// Writes one note in each of some spaces, in one transaction.
    private func act(_ site: TestSite, _ title: String, in spaces: some Sequence<SpaceID>) throws -> [RecordID] {
        try site.store.write { transaction in
            try spaces.map { try transaction.draft($0, by: site.person).create(note, [(1, .text(ExactText(title)))]) }
        }
    }

    private func runs(_ ward: Ward, _ space: SpaceID) throws -> [RunEnvelope] {
        try ward.author.runs(space, lacking: ward.receiver.vector(space))
    }

    @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
    func `Parts wait for each other, in whatever order they come`(order: [Int]) throws {
        let ward = try ward()
        let ids = try act(ward.author, "one act", in: spaces)
        let before = try spaces.map { try ward.receiver.digest($0) }
        for place in order.dropLast() {
            let receipts = try ward.receiver.receive(runs(ward, spaces[place]))
            guard case .held(let cause) = receipts[0] else {
                Issue.record("\(receipts)")
                continue
            }
            #expect(cause.hasPrefix(ward.author.device.short), "what it waits for is told: \(cause)")
            #expect(try spaces.map { try ward.receiver.digest($0) } == before, "nothing of it is visible")
            try ward.receiver.reopen()
        }
        #expect(try ward.receiver.receive(runs(ward, spaces[order.last!])) == [.applied(3)])
        for id in ids { #expect(try ward.receiver.record(id)?.text("title") == "one act") }
        #expect(try spaces.map { try ward.receiver.digest($0) } == spaces.map { try ward.author.digest($0) })
        #expect(
            try spaces.allSatisfy { space in try ward.receiver.store.read { try $0.heldCauses(in: space) }.isEmpty }
        )
    }

    @Test func `The table of parts is what the log's headers carry, quarantined or not, and is set right from them`()
        throws
    {
        let ward = try ward(writer: "alpha")
        for title in ["one", "two"] { _ = try act(ward.author, title, in: spaces) }
        for space in spaces { try ward.receiver.receive(runs(ward, space)) }
        for site in [ward.author, ward.receiver] {
            let sound = try site.dump()
            #expect(sound["part"]?.count == 9)
            #expect(try site.store.read { try $0.verify().tables.faultCount } == 0)
            let queue = try DatabaseQueue(path: site.path)
            for damage in [
                "DELETE FROM part WHERE seq = (SELECT max(seq) FROM part)", "DELETE FROM part",
                "UPDATE part SET seq = seq + 1", "UPDATE part SET seq = seq - 1", "UPDATE part SET author = author + 7",
                "UPDATE part SET txn = zeroblob(16) WHERE seq = (SELECT min(seq) FROM part)",
                "UPDATE part SET txn = x'00' WHERE seq = (SELECT min(seq) FROM part)",
                "INSERT INTO part VALUES (zeroblob(16), 99, 1, 1)",
            ] {
                try queue.write { try $0.execute(sql: damage) }
                let found = try site.store.read { try $0.verify() }
                #expect(
                    found.tables.faultCount > 0 && found.log.faultCount + found.digests.faultCount == 0,
                    "\(damage)"
                )
                let repaired = try site.store.write { try $0.repairTables() }
                #expect(repaired.rows > 0 && repaired.records.isEmpty, "\(damage)")
                #expect(try site.dump() == sound, "\(damage)")
            }
        }
    }

    @Test func `A site that does not hold a space does not wait for its part`() throws {
        let ward = try ward(held: 2, access: "alpha beta")
        _ = try act(ward.author, "one act", in: spaces)
        guard case .held = try ward.receiver.receive(runs(ward, spaces[0]))[0] else {
            Issue.record("the other space that it holds is waited for")
            return
        }
        #expect(try ward.receiver.receive(runs(ward, spaces[1])) == [.applied(2)])
    }

    @Test func `A part that is quarantined releases the others, and a person is told`() throws {
        let ward = try ward(writer: "alpha")
        let ids = try act(ward.author, "half allowed", in: spaces.prefix(2))
        guard case .held = try ward.receiver.receive(runs(ward, spaces[0]))[0] else {
            Issue.record("not held")
            return
        }
        try ward.receiver.receive(runs(ward, spaces[1]))
        #expect(try ward.receiver.record(ids[0]) != nil)
        #expect(try ward.receiver.record(ids[1]) == nil)
        let split = try ward.receiver.store.read { try $0.splitTransactions() }
        #expect(split.map(\.records) == [[ids[0]]])
        #expect(split.map(\.space) == [spaces[0]])
    }

    /// One act whose second part is not what the schema says.
    private func actAgainstSchema(_ site: TestSite) throws -> RecordID {
        let wrongGroup = Shape(collection: 20, operations: [Shape.Operation(group: 2, .register, fields: [1])])
        return try site.store.write { transaction in
            _ = try transaction.draft(spaces[1], by: site.person).append(wrongGroup) { $0.appendSlot(.text("x")) }
            return try transaction.draft(spaces[0], by: site.person).create(note, [(1, .text("half sound"))])
        }
    }

    private func expectSplit(_ id: RecordID, at site: TestSite) throws {
        #expect(try site.record(id) != nil)
        let split = try site.store.read { try $0.splitTransactions() }
        #expect(split.map(\.records) == [[id]])
        #expect(split.map(\.space) == [spaces[0]])
        #expect(try site.store.read { try $0.heldCauses(in: spaces[0]) }.isEmpty)
    }

    @Test(arguments: [false, true])
    func `A part that is refused under its author's seal releases the others, whichever comes first`(
        isRefusedFirst: Bool
    ) throws {
        let ward = try ward()
        let id = try actAgainstSchema(ward.author)
        let (sound, refused) = (try runs(ward, spaces[0]), try runs(ward, spaces[1]))
        for run in isRefusedFirst ? refused + sound : sound + refused {
            let receipt = try ward.receiver.receive([run])[0]
            switch (run.space == spaces[0], isRefusedFirst) {
            case (true, true): #expect(receipt == .applied(1))
            case (true, false): if case .held = receipt {} else { Issue.record("\(receipt)") }
            case (false, _): if case .refused(.malformed) = receipt {} else { Issue.record("\(receipt)") }
            }
            try ward.receiver.reopen()
        }
        try expectSplit(id, at: ward.receiver)
    }

    @Test func `A part that is refused before its seal is checked releases nothing`() throws {
        let ward = try ward()
        let id = try actAgainstSchema(ward.author)
        try ward.receiver.receive(runs(ward, spaces[0]))
        let refused = try runs(ward, spaces[1])[0]
        var forged = refused
        forged.signature[0] ^= 1
        #expect(try ward.receiver.receive([forged]) == [.refused(.badSeal)])
        forged.body = [1, 2, 3]
        guard case .refused(.malformed) = try ward.receiver.receive([forged])[0] else {
            Issue.record("not refused")
            return
        }
        #expect(try ward.receiver.record(id) == nil)
        try ward.receiver.receive([refused])
        try expectSplit(id, at: ward.receiver)
    }

    @Test func `A part in a chain that forked comes with its branch`() throws {
        let ward = try ward()
        let liar = try TestSite("author", in: Scratch(), root: nil, seed: 1001)
        try #require(liar.replica == ward.author.replica, "one seed, one machine")
        // Before the act, so that its time tells nothing.
        liar.machine.now = ward.author.machine.now - 1000
        try liar.write(spaces[1]) { try $0.create(note, [(1, .text("otherwise"))]) }
        #expect(try ward.receiver.receive(liar.runs(spaces[1])) == [.applied(1)])
        let ids = try act(ward.author, "one act", in: spaces.prefix(2))
        guard case .held = try ward.receiver.receive(runs(ward, spaces[0]))[0] else {
            Issue.record("not held")
            return
        }
        let forked = try ward.author.runs(spaces[1]).filter { $0.replica == ward.author.replica }
        #expect(try ward.receiver.receive(forked) == [.applied(2)])
        for id in ids { #expect(try ward.receiver.record(id) != nil) }
        #expect(try ward.receiver.store.read { try $0.splitTransactions() }.isEmpty)
    }

    @Test func `A part that its author never wrote is not waited for any more once that shows`() throws {
        let ward = try ward()
        let ids = try act(ward.author, "one act", in: spaces.prefix(2))
        let first = try runs(ward, spaces[0])
        guard case .held = try ward.receiver.receive(first)[0] else {
            Issue.record("not held")
            return
        }
        // The same author with the same keys, on a disk that never saw the second part.
        let liar = try TestSite("author", in: Scratch(), root: nil, seed: 1001)
        #expect(liar.replica == ward.author.replica)
        try liar.store.write {
            try $0.setMeta("root", .bytes(ReplicaID(bytes: ward.receiver.replica.bytes)!.device.bytes))
        }
        liar.machine.now = ward.author.machine.now + 1000
        try liar.write(spaces[1]) { try $0.create(note, [(1, .text("later"))]) }
        try ward.receiver.receive(liar.runs(spaces[1]))
        #expect(try ward.receiver.record(ids[0])?.text("title") == "one act")
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `Whatever is cut, shuffled, doubled and lost in between, no act is ever seen in part`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let ward = try ward()
        var acts: [[RecordID]] = []
        for index in 0..<(seed == 0 ? 1400 : 120) {
            let touched = spaces.filter { _ in generator.chance(50) }
            acts.append(try act(ward.author, "act \(index)", in: touched))
            if generator.chance(5) { try ward.author.seal() }
        }
        let all = try spaces.flatMap { try runs(ward, $0) }
        var waiting = all
        for _ in 0..<200 where !waiting.isEmpty {
            let place = generator.below(waiting.count)
            let run = generator.chance(80) ? waiting[place] : generator.pick(all)
            let receipt = try ward.receiver.receive([run])[0]
            switch receipt {
            case .applied, .held, .duplicate: break
            // It comes again with the next exchange.
            case .refused(.holdingFull): continue
            default: Issue.record("\(receipt)")
            }
            if generator.chance(70) { waiting.removeAll { $0 == run } }
            if generator.chance(5) { try ward.receiver.reopen() }
            guard generator.chance(seed == 0 ? 2 : 30) else { continue }
            for act in acts {
                let seen = try act.count { try ward.receiver.record($0) != nil }
                #expect(seen == 0 || seen == act.count, "seed \(seed): \(seen) of \(act.count) parts are visible")
            }
        }
        for _ in 0..<4 { try ward.receiver.receive(all) }
        for act in acts { #expect(try act.allSatisfy { try ward.receiver.record($0) != nil }) }
        #expect(try spaces.map { try ward.receiver.digest($0) } == spaces.map { try ward.author.digest($0) })
    }
}
