// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// What a record held leaves the tables and the log of every site, whose chains stay what they were.
@Suite struct ErasureTests {
    private typealias Number = TestSchema.Number
    private let note = TestSchema.note

    private func ward(_ names: [String] = ["centre", "clerk", "far"]) throws -> (sites: [TestSite], scratch: Scratch) {
        let scratch = try Scratch()
        return (try makeWard(names, in: scratch), scratch)
    }

    private func check(_ sites: [TestSite], _ comment: Comment? = nil) throws {
        for site in sites {
            try site.compareWithDefinition(rederiving: true) { Disagreement("\(site.name): \($0)") }
            #expect(try site.digest() == sites[0].digest(), comment)
        }
    }

    private func exchange(_ sites: [TestSite]) throws {
        for _ in 0..<2 {
            for site in sites.dropFirst() { try site.exchange(with: sites[0]) }
        }
    }

    /// A note that is told by these words, among others of the same change and block.
    private func secret(_ site: TestSite) throws -> (secret: RecordID, open: RecordID) {
        try site.write { draft in
            let secret = try draft.create(
                note,
                [
                    (Number.title, .text("shelter")), (Number.body, .text("Moved to Kudan 3")),
                    (Number.phone, .text("090-7")),
                ]
            )
            try draft.edit(note, secret, group: TestSchema.tags, add: [Array("violence".utf8)])
            return (secret, try draft.create(note, [(Number.title, .text("weather"))]))
        }
    }

    private static let words = ["shelter", "Moved to Kudan 3", "090-7", "violence"]

    /// None of the words is in any file of a site, as the machine would find them.
    private func expectNoTrace(_ site: TestSite, _ words: [String] = words) throws {
        for suffix in ["", "-wal", "-shm"] {
            guard let data = FileManager.default.contents(atPath: site.path + suffix) else { continue }
            for word in words { #expect(data.range(of: Data(word.utf8)) == nil, "\(site.name)\(suffix): \(word)") }
        }
        // Runs stand compressed in the file.
        try site.store.read { transaction in
            try transaction.forEachChange(in: TestSchema.space) { change in
                let data = Data(change.payload.bytes)
                for word in words { #expect(data.range(of: Data(word.utf8)) == nil, "\(site.name): \(word)") }
            }
        }
    }

    @Test func `Nothing of an erased record is in tables, log or free pages, and what is left verifies`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, far) = (sites[0], sites[1], sites[2])
        let (secret, open) = try secret(clerk)
        try clerk.write { try $0.set(note, secret, [(Number.phone, .text("090-70"))]) }
        try centre.pull(from: clerk)
        try centre.write { try $0.set(note, secret, [(Number.body, .text("Moved to Kudan 3, rear"))]) }
        try clerk.pull(from: centre)
        let before = try clerk.vector(TestSchema.space)
        try centre.write { try $0.erase(note, secret) }
        try clerk.pull(from: centre)
        for site in [centre, clerk] {
            #expect(try site.record(secret) == nil)
            #expect(try site.record(open)?.text("title") == "weather")
            try expectNoTrace(site)
            #expect(try site.store.read { try $0.isErased(note, secret, in: TestSchema.space) })
        }
        #expect(try clerk.vector(TestSchema.space)[clerk.replica] == before[clerk.replica])
        // Who never held it gets it without.
        try far.pull(from: clerk)
        try expectNoTrace(far)
        try check([centre, clerk, far])
        // The clerk writes on, under a new block, and what it wrote goes on to others.
        let later = try clerk.write { try $0.create(note, [(Number.title, .text("later"))]) }
        try exchange(sites)
        for site in sites { #expect(try site.record(later)?.text("title") == "later") }
        try check(sites)
    }

    @Test func `What was written without knowing is erased as it arrives, and told of once`() throws {
        for order in [false, true] {
            let (sites, scratch) = try ward()
            defer { withExtendedLifetime(scratch) {} }
            let (centre, clerk, far) = (sites[0], sites[1], sites[2])
            let (secret, _) = try secret(clerk)
            try exchange(sites)
            try centre.write { try $0.erase(note, secret) }
            try far.write { draft in
                try draft.set(note, secret, [(Number.phone, .text("090-71"))])
                try draft.create(note, [(Number.title, .text("beside it"))])
            }
            try far.write { try $0.edit(note, secret, group: TestSchema.entries, add: [Array("violence again".utf8)]) }
            var told: [WithdrawnEntry] = []
            func take(_ site: TestSite, from other: TestSite) throws {
                for run in try other.runs(TestSchema.space, lacking: site.vector(TestSchema.space)) {
                    told += try site.store.write { transaction in
                        _ = try transaction.receive(run)
                        return transaction.withdrawn
                    }
                }
            }
            // The eraser gets the edits, or their author the erasure: it is told of what goes, in either case.
            if order { try take(centre, from: far) } else { try take(far, from: centre) }
            #expect(told.map(\.header.dot.seq) == [1, 2], "\(order)")
            #expect(told.map(\.id) == [secret, secret])
            #expect(told.first?.values == [.text("090-71")])
            try exchange(sites)
            for site in sites {
                #expect(try site.record(secret) == nil)
                try expectNoTrace(site, Self.words + ["090-71", "violence again"])
            }
            #expect(try centre.store.read { try $0.records(note) }.contains { $0.text("title") == "beside it" })
            try check(sites)
        }
    }

    @Test func `A run that gives up its block for one record erases another that stood in the block before`() throws {
        let (sites, scratch) = try ward(["centre", "second", "clerk"])
        defer { withExtendedLifetime(scratch) {} }
        let (centre, second, clerk) = (sites[0], sites[1], sites[2])
        try centre.grant(second, role: .admin)
        try exchange(sites)
        let (secret, _) = try secret(second)
        let other = try clerk.write { try $0.create(note, [(Number.phone, .text("090-71"))]) }
        try exchange(sites)
        try centre.write { try $0.erase(note, other) }
        try clerk.pull(from: centre)
        // It has not heard of that erasure, and makes one of its own.
        try second.write { try $0.set(note, other, [(Number.phone, .text("090-72"))]) }
        try second.write { try $0.erase(note, secret) }
        #expect(try clerk.pull(from: second, [TestSchema.space]) == [.applied(2)])
        try exchange(sites)
        for site in sites {
            for record in [secret, other] { #expect(try site.record(record) == nil) }
            try expectNoTrace(site, Self.words + ["090-71", "090-72"])
        }
        try check(sites)
    }

    @Test func `An older copy does not bring it back`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, far) = (sites[0], sites[1], sites[2])
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        try centre.write { try $0.erase(note, secret) }
        try clerk.pull(from: centre)
        // It was away, and has all of it still; a site that lost everything begins with what it has.
        let new = try TestSite("new", in: scratch, root: centre, seed: 77)
        try centre.admit(new)
        try new.pull(from: centre, [.system])
        try new.pull(from: far)
        #expect(try new.record(secret)?.text("title") == "shelter")
        try exchange([centre, clerk, new, far])
        for site in [centre, clerk, new, far] {
            #expect(try site.record(secret) == nil)
            try expectNoTrace(site)
        }
        try check([centre, clerk, new, far])
    }

    @Test func `It stands whatever becomes of who erased, and in whatever order that is learnt`() throws {
        let (sites, scratch) = try ward(["centre", "second", "clerk", "far"])
        defer { withExtendedLifetime(scratch) {} }
        let (centre, second, clerk, far) = (sites[0], sites[1], sites[2], sites[3])
        try centre.grant(second, role: .admin)
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        try second.write { try $0.erase(note, secret) }
        // The clerk learns of the erasure first, the others of the end of its author's rights, and of the rights of
        // whom it made an admin.
        try clerk.pull(from: second)
        try centre.revoke(second, after: [:])
        try far.pull(from: centre)
        for site in [far, centre] { try site.pull(from: clerk) }
        try clerk.pull(from: centre)
        for site in [centre, clerk, far] {
            #expect(try site.record(secret) == nil, "\(site.name)")
            try expectNoTrace(site)
        }
        try check([centre, clerk, far])
    }

    @Test func `Nobody else erases, until an admin's rights come`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["centre", "clerk", "far", "guest"], in: scratch, granting: ["clerk", "far"])
        let (centre, clerk, far, guest) = (sites[0], sites[1], sites[2], sites[3])
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        #expect(throws: StoreError.self) { try far.write { try $0.erase(note, secret) } }
        // One without any grant writes what waits for it.
        try guest.write { try $0.erase(note, secret) }
        #expect(try guest.record(secret) != nil)
        #expect(try clerk.pull(from: guest, [TestSchema.space]) == [.quarantined(1)])
        #expect(try clerk.record(secret) != nil)
        try centre.grant(guest, role: .admin)
        try clerk.pull(from: centre, [.system])
        #expect(try clerk.record(secret) == nil)
        try expectNoTrace(clerk)
        try exchange(sites)
        #expect(try guest.record(secret) == nil)
        try check(sites)
    }

    @Test func `What is quarantined is erased too`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["centre", "clerk", "guest"], in: scratch, granting: ["clerk"])
        let (centre, clerk, guest) = (sites[0], sites[1], sites[2])
        let (secret, _) = try secret(clerk)
        try centre.pull(from: clerk)
        try guest.pull(from: clerk)
        try guest.store.write {
            _ = try $0.draft(TestSchema.space, by: guest.person).set(note, secret, [(Number.phone, .text("090-72"))])
        }
        #expect(try centre.pull(from: guest, [TestSchema.space]) == [.quarantined(1)])
        try centre.write { try $0.erase(note, secret) }
        try expectNoTrace(centre, Self.words + ["090-72"])
        try clerk.pull(from: centre)
        try expectNoTrace(clerk, Self.words + ["090-72"])
        try centre.grant(guest)
        try clerk.pull(from: centre)
        for site in [centre, clerk] { #expect(try site.record(secret) == nil) }
        try check([centre, clerk])
    }

    @Test func `What is written on an erased record here is gone at once`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk) = (sites[0], sites[1])
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        try centre.write { try $0.erase(note, secret) }
        try centre.write { try $0.create(note, id: secret, [(Number.title, .text("shelter again"))]) }
        #expect(try centre.record(secret) == nil)
        try expectNoTrace(centre)
        try exchange(sites)
        try check(sites)
    }

    @Test func `A store that was cut off between the erasure and the scrubbing scrubs when it opens`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let clerk = sites[1]
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        try sites[0].write { try $0.erase(note, secret) }
        try clerk.pull(from: sites[0])
        try clerk.store.write { try $0.setMeta("scrub_is_due", .integer(1)) }
        try clerk.reopen()
        #expect(try clerk.store.read { try $0.meta("scrub_is_due") } == nil)
        try expectNoTrace(clerk)
    }

    @Test func `The check finds what should be erased, and the repair erases it`() throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk) = (sites[0], sites[1])
        let (secret, _) = try secret(clerk)
        try exchange(sites)
        let queue = try DatabaseQueue(path: clerk.path)
        let bodies = try queue.read { try Row.fetchAll($0, sql: "SELECT no, body FROM run") }
        try centre.write { try $0.erase(note, secret) }
        try clerk.pull(from: centre)
        try queue.write { db in
            try db.execute(sql: "DELETE FROM erased")
            for row in bodies {
                let (no, body): (Int64, Data) = (row["no"], row["body"])
                try db.execute(sql: "UPDATE run SET body = ? WHERE no = ?", arguments: [body, no])
            }
        }
        try queue.close()
        try clerk.reopen()
        #expect(try clerk.store.read { try $0.verify() }.log.faultCount > 0)
        #expect(try clerk.store.write { try $0.repairLog() } > 0)
        _ = try clerk.store.write { try $0.repairTables() }
        try expectNoTrace(clerk)
        try check([centre, clerk])
    }

    @Test(arguments: [false, true])
    func `A run that a peer brings again does not bring back what is erased`(isLost: Bool) throws {
        let (sites, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let (centre, clerk, far) = (sites[0], sites[1], sites[2])
        let (secret, _) = try secret(clerk)
        try clerk.write { try $0.create(note, [(Number.title, .text("of the same block"))]) }
        try exchange(sites)
        try centre.write { try $0.erase(note, secret) }
        // The peer has it whole still.
        let whole = try #require(try far.runs(TestSchema.space).first { $0.replica == clerk.replica })
        let author = "author = (SELECT no FROM author WHERE replica = x'\(Hex.encode(clerk.replica.bytes))')"
        let place = "\(author) AND first = 1 AND space = (SELECT no FROM space WHERE name = '\(TestSchema.space)')"
        let queue = try DatabaseQueue(path: centre.path)
        let sql = isLost ? "DELETE FROM run WHERE \(place)" : "UPDATE run SET body = x'00' WHERE \(place)"
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
        try centre.reopen()
        let isBack = try centre.store.write { transaction in
            isLost
                ? try transaction.putBack(whole)
                : try transaction.replaceRun(
                    RunPlace(space: TestSchema.space, replica: clerk.replica, first: 1),
                    with: [whole]
                )
        }
        #expect(isBack)
        try expectNoTrace(centre)
        try check([centre])
    }

    @Test func `All sites come to the same, whatever is written and erased in whatever order`() throws {
        for seed in 0..<30 as Range<UInt64> {
            let scratch = try Scratch()
            let sites = try makeWard(["centre", "clerk", "far"], in: scratch, seed: 100 + seed)
            try sites[0].grant(sites[1], role: .admin)
            try exchange(sites)
            var generator = SeededGenerator(seed: seed)
            var ids: [RecordID] = []
            var erased: Set<RecordID> = []
            for step in 0..<40 {
                let site = generator.pick(sites)
                switch generator.below(10) {
                case 0...2:
                    ids.append(try site.write { try $0.create(note, [(Number.title, .text("word\(step)x"))]) })
                case 3...5:
                    guard !ids.isEmpty else { continue }
                    let id = generator.pick(ids)
                    let value = ExactText("word\(step)x")
                    try site.write { draft in
                        if generator.chance(50) {
                            try draft.set(note, id, [(Number.body, .text(value))])
                        } else {
                            try draft.edit(note, id, group: TestSchema.tags, add: [Array(value.utf8)])
                        }
                    }
                case 6:
                    guard !ids.isEmpty, site.name != "far" else { continue }
                    let id = generator.pick(ids)
                    erased.insert(id)
                    try site.write { try $0.erase(note, id) }
                case 7: try site.seal()
                default: try site.pull(from: generator.pick(sites.filter { $0.name != site.name }))
                }
            }
            for _ in 0..<2 { try exchange(sites) }
            try check(sites, "seed \(seed)")
            for site in sites {
                for id in ids { #expect((try site.record(id) == nil) == erased.contains(id), "seed \(seed)") }
            }
        }
    }
}
