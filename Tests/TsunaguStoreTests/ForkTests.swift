// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Copies of a machine that go on beside each other: one number is two changes, and nothing of them is lost.
@Suite("Forks")
struct ForkTests {
    private let note = TestSchema.note
    private let space = TestSchema.space

    /// A machine and its copy that wrote on the same record, somebody who had seen the one, and who hears of it all.
    private struct Ward {
        let scratch: Scratch
        let founder: TestSite
        let original: TestSite
        let copy: TestSite
        let clerk: TestSite
        let shared: RecordID
        let own: RecordID
        let others: RecordID
        let branch: [RunEnvelope]
        let copied: [RunEnvelope]
        let edits: [RunEnvelope]
        let common: [RunEnvelope]
    }

    /// - Parameter sealsBefore: whether what both have in common is sealed before the copy is made.
    private func ward(sealsBefore: Bool = true) throws -> Ward {
        let scratch = try Scratch()
        let sites = try makeWard(["founder", "original", "clerk"], in: scratch)
        let (founder, original, clerk) = (sites[0], sites[1], sites[2])
        let shared = try original.write { try $0.create(note, [(1, .text("before")), (4, .text("0"))]) }
        try original.write { try $0.edit(note, shared, group: TestSchema.tags, add: [[1]]) }
        let common = sealsBefore ? try original.runs(space) : []
        let copy = try original.copied(as: "copy", in: scratch, seed: 77)
        original.machine.now += 1000
        copy.machine.now += 2000
        try original.write { try $0.set(note, shared, [(1, .text("of the original"))]) }
        let own = try original.write { try $0.create(note, [(1, .text("made by the original"))]) }
        try copy.write { try $0.set(note, shared, [(1, .text("of the copy"))]) }
        let others = try copy.write { try $0.create(note, [(1, .text("made by the copy"))]) }
        try copy.write { try $0.edit(note, shared, group: TestSchema.tags, add: [[2]], remove: [[1]]) }
        let known = common.isEmpty ? [:] : [original.replica: UInt64(2)]
        let branch = try original.runs(space, lacking: known)
        let copied = try copy.runs(space, lacking: known)
        // A clerk who knows the original alone corrects its values, and goes on with its record.
        try clerk.pull(from: original)
        clerk.machine.now += 5000
        try clerk.write { draft in
            try draft.set(note, shared, [(1, .text("corrected")), (4, .text("1"))])
            try draft.set(note, own, [(4, .text("2"))])
        }
        let edits = try clerk.runs(space).filter { $0.replica == clerk.replica }
        return Ward(
            scratch: scratch,
            founder: founder,
            original: original,
            copy: copy,
            clerk: clerk,
            shared: shared,
            own: own,
            others: others,
            branch: branch,
            copied: copied,
            edits: edits,
            common: common
        )
    }

    private func receiver(_ name: String, _ ward: Ward, seed: UInt64) throws -> TestSite {
        let site = try TestSite(name, in: ward.scratch, root: ward.founder, seed: seed)
        try site.pull(from: ward.founder, [.system])
        return site
    }

    private func state(_ site: TestSite) throws -> String {
        try site.store.read { transaction in
            let conflicts = try transaction.conflicts().map(\.id).sorted()
            let vector = try transaction.vector(of: space).map { "\($0.replica) \($0.seq)" }
            return
                "\(try transaction.digest(of: space)!) \(conflicts) \(vector) \(try transaction.inEffect(space).exceptions)"
        }
    }

    private func check(_ site: TestSite) throws {
        try site.compareWithDefinition(rederiving: true) { CodecError.invalid($0) }
    }

    private func titles(_ site: TestSite, _ id: RecordID) throws -> Set<String> {
        try site.store.read { transaction in
            guard let rid = try transaction.record(note, id)?.rid else { return [] }
            let conflict = try transaction.conflicts(rid: rid).first { $0.group?.number == 1 }
            let values = conflict?.alternatives.flatMap { $0.values.filter { $0.field.number == 1 } }.map(\.value)
            return try Set((values ?? [transaction.record(note, id)!.values["title"]!]).map { $0.text?.string ?? "" })
        }
    }

    private func permutations(_ count: Int) -> [[Int]] {
        if count == 0 { return [[]] }
        return permutations(count - 1).flatMap { rest in
            (0...rest.count).map { place in
                var out = rest
                out.insert(count - 1, at: place)
                return out
            }
        }
    }

    @Test(arguments: [true, false])
    func `In whatever order the branches and who had seen one of them arrive, the state is the same`(
        sealsBefore: Bool
    ) throws {
        let ward = try ward(sealsBefore: sealsBefore)
        let parts = [ward.common, ward.branch, ward.copied, ward.edits].filter { !$0.isEmpty }
        var states: Set<String> = []
        for (number, order) in permutations(parts.count).enumerated() {
            let site = try receiver("receiver\(number)", ward, seed: 500 + UInt64(number))
            // What was refused for want of a branch comes again with the next exchange.
            for _ in 0..<3 { for part in order { try site.receive(parts[part]) } }
            states.insert(try state(site))
            if number % 5 == 0 { try check(site) }
            #expect(try titles(site, ward.shared) == ["of the original", "of the copy", "corrected"])
            #expect(try titles(site, ward.own) == ["made by the original"])
            #expect(try titles(site, ward.others) == ["made by the copy"])
            #expect(try site.record(ward.own)?.text("phone") == "2", "what was written on a branch's record stays")
            #expect(try site.store.read { try $0.forks(in: space) }.map(\.branches) == [2])
            #expect(try site.store.read { try $0.notices() }.contains { $0.code == "equivocation" })
        }
        #expect(states.count == 1, "\(states)")
    }

    @Test(arguments: [true, false])
    func `Both machines go on as other replicas, and everybody comes to the same`(sealsBefore: Bool) throws {
        let ward = try ward(sealsBefore: sealsBefore)
        let all = [ward.original, ward.copy, ward.clerk]
        func meet() throws {
            for _ in 0..<3 {
                for site in all {
                    for peer in all where peer !== site { try site.receive(peer.runs(space)) }
                }
            }
            #expect(Set(try all.map(state)).count == 1)
            for site in all { try check(site) }
        }
        try meet()
        let replicas = try all.map { site in try site.store.read { try $0.ownReplica()! } }
        #expect(Set(replicas).count == 3 && !replicas.contains(ward.original.replica))
        #expect(replicas[0].device == replicas[1].device)
        for (place, site) in all.enumerated() {
            try site.write { try $0.set(note, ward.own, [(4, .text("by \(place)"))]) }
            _ = try site.write { try $0.create(note, [(1, .text("new \(place)"))]) }
        }
        try meet()
        // A resolution sees all that was written on the branches.
        try ward.clerk.write { try $0.set(note, ward.shared, [(1, .text("decided")), (2, .null), (3, .null)]) }
        try meet()
        for site in all { #expect(try titles(site, ward.shared) == ["decided"]) }
    }

    @Test func `What is unsealed when the copy's work arrives is sealed and sent`() throws {
        let ward = try ward()
        let late = try ward.original.write { try $0.create(note, [(1, .text("late"))]) }
        try ward.original.receive(ward.copied)
        let later = try ward.original.write { try $0.create(note, [(1, .text("later"))]) }
        let site = try receiver("receiver", ward, seed: 900)
        try site.receive(ward.original.runs(space))
        #expect(try titles(site, late) == ["late"])
        #expect(try titles(site, later) == ["later"])
        #expect(try state(site) == state(ward.original))
        try check(site)
        try check(ward.original)
    }

    @Test func `What an erasure gave up on one branch does not come back with the other`() throws {
        let ward = try ward(sealsBefore: false)
        let site = ward.founder
        try site.receive(ward.branch)
        _ = try site.store.write { try $0.draft(space, by: site.person).erase(note, ward.shared) }
        try site.receive(ward.copied)
        #expect(try site.store.read { try $0.forks(in: space) }.map(\.branches) == [2])
        let seeds = try DatabaseQueue(path: site.path).read { db in
            try Int.fetchAll(
                db,
                sql: """
                    SELECT length(seed) FROM seed JOIN author ON author.no = seed.author
                    WHERE start = 1 AND substr(replica, 1, 16) = ?
                        AND space = (SELECT no FROM space WHERE name = ?)
                    """,
                arguments: [Data(ward.original.device.bytes), space.name]
            )
        }
        #expect(!seeds.isEmpty && seeds.allSatisfy { $0 == 0 }, "\(seeds)")
    }

    @Test func `A chain that has no change in common forks at its first`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["founder", "original"], in: scratch)
        let copy = try sites[1].copied(as: "copy", in: scratch, seed: 5)
        let first = try sites[1].write { try $0.create(note, [(1, .text("one"))]) }
        let second = try copy.write { try $0.create(note, [(1, .text("two"))]) }
        try sites[0].receive(sites[1].runs(space))
        try sites[0].receive(copy.runs(space))
        #expect(try titles(sites[0], first) == ["one"])
        #expect(try titles(sites[0], second) == ["two"])
        #expect(try sites[0].vector(space)[sites[1].replica] == nil)
        try check(sites[0])
    }

    @Test func `More copies than a chain may have are refused, and nothing else is`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["founder", "original"], in: scratch)
        try sites[1].write { _ = try $0.create(note, [(1, .text("first"))]) }
        try sites[1].seal()
        var receipts: [Receipt] = []
        for number in 0..<20 {
            let copy = try sites[1].copied(as: "copy\(number)", in: scratch, seed: UInt64(number))
            copy.machine.now += UInt64(number)
            try copy.write { _ = try $0.create(note, [(1, .text(ExactText("copy \(number)")))]) }
            for run in try copy.runs(space) { receipts += try sites[0].receive([run]) }
        }
        #expect(receipts.contains(.refused(.fork(seq: 2))))
        #expect(try sites[0].store.read { try $0.records(note).count } == 17)
        try check(sites[0])
    }

    @Test(arguments: Seeds.chosen(0..<12))
    func `Whoever is copied, writes, seals and meets in whatever order, nothing is lost and all agree`(seed: UInt64)
        throws
    {
        var generator = SeededGenerator(seed: seed)
        let scratch = try Scratch()
        var sites = try makeWard(["founder", "a", "b"], in: scratch, seed: seed &+ 1)
        let first = try sites[1].write { try $0.create(note, [(1, .text("first"))]) }
        var ids = [first]
        var written: Set<String> = []
        for step in 0..<60 {
            let place = generator.below(sites.count)
            let site = sites[place]
            site.machine.now += UInt64(generator.below(3000))
            switch generator.below(10) {
            case 0 where sites.count < 6:
                sites.append(try site.copied(as: "copy\(step)", in: scratch, seed: generator.next()))
            case 0..<5:
                let word = "\(place) \(step)"
                let id = generator.pick(ids)
                let known = try site.record(id) != nil
                let made = try site.write { draft -> RecordID? in
                    if known, generator.chance(70) {
                        try draft.set(note, id, [(1, .text(ExactText(word)))])
                        try draft.edit(note, id, group: TestSchema.entries, add: [Array(word.utf8)])
                        if generator.chance(30) {
                            try draft.edit(note, id, group: TestSchema.tags, add: [[UInt8(step)]])
                        }
                        return nil
                    }
                    let new = try draft.create(note, [(1, .text(ExactText(word)))])
                    try draft.edit(note, new, group: TestSchema.entries, add: [Array(word.utf8)])
                    return new
                }
                if let made { ids.append(made) }
                written.insert(word)
            case 5: try site.seal()
            default:
                var runs = try generator.pick(sites).runs(space)
                if generator.chance(50) { runs = runs.filter { _ in generator.chance(70) } }
                if generator.chance(50) { runs.shuffle(using: &generator) }
                try site.take(runs)
            }
            if step % 20 == 19 { try check(site) }
        }
        for _ in 0..<4 {
            for site in sites {
                for peer in sites where peer !== site { try site.take(peer.runs(space)) }
            }
        }
        let states = try sites.map(state)
        #expect(Set(states).count == 1, "seed \(seed)")
        for site in sites {
            try check(site)
            let found = try site.store.read { transaction in
                try transaction.records(note).flatMap { row in
                    try transaction.items(of: row.rid, group: TestSchema.entries).map {
                        String(decoding: $0.content, as: UTF8.self)
                    }
                }
            }
            #expect(Set(found) == written, "seed \(seed)")
            #expect(try site.store.read { try $0.heldCauses(in: space) }.isEmpty, "seed \(seed)")
        }
    }
}
