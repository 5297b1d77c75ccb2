// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Runs that were spoilt and then sealed by their own author's key, so that everything behind the seal meets them.
@Suite("Runs that a hostile member seals")
struct HostileRunTests {
    private struct Undo: Error {}

    private let note = TestSchema.note

    /// A receiver that knows the first part of what two members wrote, with every kind of group.
    private struct Ward {
        let scratch: Scratch
        let receiver: TestSite
        let author: TestSite
        let log: OpenLog
        /// The author's runs that the receiver lacks.
        let news: [OpenLog.Run]

        init() throws {
            let note = TestSchema.note
            scratch = try Scratch()
            let sites = try makeWard(["receiver", "author", "other"], in: scratch)
            (receiver, author) = (sites[0], sites[1])
            let other = sites[2]
            var ids: [RecordID] = []
            for round in 0..<3 {
                for site in [other, author] {
                    ids.append(
                        try site.write { draft in
                            let id = try draft.create(note, [(1, .text("題\(round)")), (3, .integer(Int64(round)))])
                            try draft.edit(note, id, group: TestSchema.tags, add: [Array("a".utf8), Array("b".utf8)])
                            return id
                        }
                    )
                    let target = ids[ids.count / 2]
                    if try site.record(target) != nil {
                        try site.write { draft in
                            try draft.edit(note, target, group: TestSchema.entries, add: [Array("記録".utf8)])
                            try draft.edit(note, target, group: TestSchema.tags, remove: [Array("a".utf8)])
                            try draft.edit(note, target, group: TestSchema.tally, add: [[4]])
                            try draft.set(note, target, [(4, .text("03-\(round)"))])
                        }
                    }
                    try site.write { draft in
                        let ledger = LedgerEntry.open.encoded
                        try draft.step(note, ids[ids.count - 1], group: TestSchema.status, to: "open", reason: "x")
                        try draft.edit(note, ids[ids.count - 1], group: TestSchema.seats, add: [ledger])
                        if round == 2 { try draft.delete(note, ids[ids.count - 1], reason: "x") }
                    }
                    try site.seal()
                    for peer in [other, author] where peer !== site { try peer.pull(from: site) }
                    if round == 0 { try receiver.pull(from: site) }
                }
            }
            log = try OpenLog(author.runs(TestSchema.space))
            let (known, replica) = (try receiver.vector(TestSchema.space), author.replica)
            // What others wrote between is there.
            try receiver.pull(from: other, [.system])
            for run in log.runs where run.envelope.replica != replica { _ = try receiver.receive([run.envelope]) }
            news = log.runs.filter { $0.envelope.replica == replica && $0.envelope.first > known[replica] ?? 0 }
        }

        /// The run under its author's seal, where it can be read at all.
        func sealed(_ body: [UInt8], in run: OpenLog.Run) throws -> RunEnvelope {
            var out = run.envelope
            out.body = body
            let changes = log.runs.flatMap(\.changes)
            let context = RunDecoder.Context(space: out.space, author: out.replica, chain: run.base) { dot, index in
                changes.first { $0.header.dot == dot }?.payload.idOfEntry(index)
            }
            do throws(CodecError) {
                let chain = try RunDecoder.decode(body, count: out.count, in: context).chain
                let message = Seal.message(space: out.space, replica: out.replica, seq: chain.seq, hash: chain.hash)
                out.signature = (try? TestSite.sign(message, with: author.key)) ?? []
            } catch {}
            return out
        }
    }

    /// What becomes of a run; nothing of it stays.
    private func attempt(_ run: RunEnvelope, at site: TestSite) throws -> Receipt {
        var receipt: Receipt?
        do {
            try site.store.write { transaction in
                receipt = try transaction.receive(run)
                throw Undo()
            }
        } catch is Undo {}
        return try #require(receipt)
    }

    /// Takes a run in at a copy of a site, where everything must be what the log says.
    private func verify(_ run: RunEnvelope, at site: TestSite, _ scratch: Scratch) throws {
        let path = scratch.path("copy-\(UInt64.random(in: .min ... .max)).db")
        try site.store.copy(to: path)
        let store = try Store.open(at: path, schema: site.store.schema, environment: site.machine.environment)
        _ = try store.write { try $0.receive(run) }
        let found = try store.read { try $0.verify() }
        #expect(found.log.faults.isEmpty && !found.areTablesFaulty, "\(found.log.faults) \(found.tables.faults)")
        try store.close()
    }

    @Test(arguments: 0..<4 as Range<UInt64>)
    func `Whatever a member seals is refused, waits, or is what the log says`(seed: UInt64) throws {
        let ward = try Ward()
        let run = try #require(ward.news.first)
        let stored = try Bodies.stored(run.envelope.body)
        let before = try ward.receiver.dump()
        var generator = SeededGenerator(seed: seed)
        var counts: [String: Int] = [:]
        for _ in 0..<700 {
            let forged = try ward.sealed(Bodies.spoiltInside(stored, &generator), in: run)
            let receipt = try attempt(forged, at: ward.receiver)
            switch receipt {
            case .refused(let refusal):
                #expect(["malformed", "bad_seal"].contains(refusal.code), "\(refusal)")
                counts[refusal.code, default: 0] += 1
            case .applied:
                counts["applied", default: 0] += 1
                if counts["applied"]! <= 30 { try verify(forged, at: ward.receiver, ward.scratch) }
            case .held: counts["held", default: 0] += 1
            case .duplicate, .quarantined, .partial: Issue.record("\(receipt)")
            }
        }
        #expect(counts["applied"] ?? 0 > 20 && counts["malformed"] ?? 0 > 100, "\(counts)")
        #expect(try ward.receiver.dump() == before)
        for run in ward.news {
            guard case .applied = try ward.receiver.receive([run.envelope])[0] else {
                Issue.record("a good run is not taken")
                continue
            }
        }
        #expect(try ward.receiver.digest() == ward.author.digest())
    }

    @Test func `A run that begins in what is known and goes on spoilt is no better`() throws {
        let ward = try Ward()
        let known = try #require(
            ward.log.runs.last {
                $0.envelope.replica == ward.author.replica && $0.envelope.first < ward.news[0].envelope.first
            }
        )
        let run = try #require(ward.news.first)
        let before = try ward.receiver.dump()
        var generator = SeededGenerator(seed: 9)
        var joined = known.with(known.changes + run.changes)
        joined.signature = run.envelope.signature
        let stored = try Bodies.stored(joined.body)
        var taken = 0
        for _ in 0..<500 {
            var forged = joined
            forged.body = try Bodies.spoiltInside(stored, &generator)
            let changes = ward.log.runs.flatMap(\.changes)
            let context = RunDecoder.Context(space: forged.space, author: forged.replica, chain: known.base) {
                dot,
                index in
                changes.first { $0.header.dot == dot }?.payload.idOfEntry(index)
            }
            if let chain = try? RunDecoder.decode(forged.body, count: forged.count, in: context).chain {
                let message = Seal.message(
                    space: forged.space,
                    replica: forged.replica,
                    seq: chain.seq,
                    hash: chain.hash
                )
                forged.signature = try TestSite.sign(message, with: ward.author.key)
            }
            switch try attempt(forged, at: ward.receiver) {
            case .refused(.malformed), .refused(.badSeal), .refused(.fork), .held: break
            case .applied: taken += 1
            case let receipt: Issue.record("\(receipt)")
            }
        }
        #expect(taken > 0)
        #expect(try ward.receiver.dump() == before)
    }

    // MARK: - What costs time or room

    /// A member's chain with as many other chains in its deps as the format allows, all of them excepted.
    private func wide(_ site: TestSite, chains: Int, changes: Int) throws -> (Forge, RunEnvelope) {
        let others = (0..<chains).map { ReplicaID(device: DeviceID(signingKey: [7]), incarnation: UInt64($0)) }.sorted()
        let exceptions = others.map { VersionVector.Exception(replica: $0, first: 1, last: 1) }
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        var forge = Forge(TestSchema.space, as: site.replica, site.key, site.person)
        for place in 0..<changes {
            try forge.append(
                [Forge.Entry(shape, nil, [.text("x")])],
                deps: DepsDelta(entries: place == 0 ? others.map { Dot($0, 1) } : [], exceptions: exceptions)
            )
        }
        let run = try forge.run()
        return (forge, run)
    }

    @Test func `Ten times as many chains among what was seen cost ten times as much, not a hundred times`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["receiver", "few", "many"], in: scratch)
        func time(_ site: TestSite, chains: Int) throws -> Duration {
            let (_, run) = try wide(site, chains: chains, changes: 20)
            var receipts: [Receipt] = []
            let time = try ContinuousClock().measure { receipts = try sites[0].receive([run]) }
            #expect(receipts == [.applied(20)])
            return time
        }
        let (few, many) = (try time(sites[1], chains: 2000), try time(sites[2], chains: 20_000))
        #expect(many < few * 30 + .seconds(1), "\(few), \(many)")
    }

    @Test func `A run that grows where it is cut anew is refused and stops nobody`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["receiver", "member"], in: scratch)
        let (receiver, member) = (sites[0], sites[1])
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        // A chain that is named often: first in the dictionary of the whole, and behind many others in that of the rest.
        let often = ReplicaID(device: DeviceID(signingKey: [8]), incarnation: 1)
        let others = (0..<17_000).map { ReplicaID(device: DeviceID(signingKey: [7]), incarnation: UInt64($0)) }.sorted()
        let all = VersionVector.Exception(replica: often, first: 1, last: 1 << 40)
        let many = (0..<60_000 as Range<UInt64>).map {
            VersionVector.Exception(replica: often, first: 1 + 2 * $0, last: 1 + 2 * $0)
        }
        var forge = Forge(TestSchema.space, as: member.replica, member.key, member.person)
        func append(_ entries: [Dot], _ exceptions: [VersionVector.Exception]) throws {
            try forge.append(
                [Forge.Entry(shape, nil, [.text("x")])],
                deps: DepsDelta(entries: entries, exceptions: exceptions)
            )
        }
        try append([Dot(often, 1 << 40)], [all])
        var alone = forge
        try append(others.map { Dot($0, 1) }, [all])
        for _ in 0..<17 { try append([], many) }
        #expect(try receiver.receive([alone.run()]) == [.applied(1)])
        let run = try forge.run()
        #expect(run.body.count < 1 << 20)
        let before = try receiver.dump()
        guard case .refused(.malformed) = try receiver.receive([run])[0] else {
            Issue.record("taken")
            return
        }
        #expect(try receiver.dump() == before)
    }

    @Test func `What a member may keep in quarantine counts what is kept beside its runs`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["receiver", "member"], in: scratch, granting: ["receiver"])
        try sites[0].grant(sites[1], writes: false)
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        let (wide, run) = try wide(sites[1], chains: 20_000, changes: 1)
        var forge = wide
        #expect(try sites[0].receive([run]) == [.quarantined(1)])
        func add(_ text: String) throws -> Receipt {
            try forge.append([Forge.Entry(shape, nil, [.text(text)])])
            return try sites[0].receive([try forge.run()])[0]
        }
        // Most of the 16 MiB by what they say themselves.
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<17 {
            let noise = String(decoding: generator.bytes(1_000_000).map { 0x30 + $0 & 63 }, as: UTF8.self)
            #expect(try add(noise) == .quarantined(1))
        }
        // Some 100 KB are kept for each, though it says a letter.
        var receipts: [Receipt] = []
        repeat { receipts.append(try add("x")) } while receipts.last == .quarantined(1) && receipts.count < 60
        #expect(receipts.count > 1 && receipts.last == .refused(.shareFull), "\(receipts.count)")
    }

    // MARK: - What an admin says

    @Test(arguments: 0..<3 as Range<UInt64>)
    func `Whatever an admin's program says of rights is read alike by all or counts for nothing`(seed: UInt64) throws {
        let scratch = try Scratch()
        let sites = try makeWard(["root", "admin", "clerk"], in: scratch)
        try sites[0].grant(sites[1], role: .admin)
        try sites[2].write { try $0.create(note, [(1, .text("x"))]) }
        for site in sites { for peer in sites where peer !== site { try site.pull(from: peer) } }
        let before = try sites[0].dump()
        var generator = SeededGenerator(seed: seed)
        let clerk = sites[2]
        let cut = Revocation.Cut([TestSchema.space: [clerk.replica: 1], .system: [clerk.replica: 0]]).text
        let facts: [(CollectionSchema, [String])] = [
            (SystemSchema.grant, [clerk.device.description, "branch", "notes lessons/*", "write"]),
            (SystemSchema.revocation, [clerk.device.description, "lost", cut]),
            (SystemSchema.adoption, [cut]),
            (SystemSchema.device, ["x", "y", Hex.encode(clerk.publicKey)]),
        ]
        for round in 0..<300 as Range<UInt64> {
            let (collection, texts) = generator.pick(facts)
            let fields = collection.groups[0].fields.prefix(texts.count).map(\.number)
            let shape = Shape(
                collection: collection.number,
                operations: [Shape.Operation(group: 1, .register, fields: Array(fields))]
            )
            let place = generator.below(texts.count)
            let values = texts.enumerated().map { index, text -> Value in
                guard index == place else { return .text(text) }
                return .text(String(decoding: Bodies.spoilt(Array(text.utf8), &generator), as: UTF8.self))
            }
            var forge = Forge(
                .system,
                as: ReplicaID(device: sites[1].device, incarnation: round + 100),
                sites[1].key,
                sites[1].person
            )
            try forge.append([Forge.Entry(shape, nil, values)])
            let receipt = try attempt(forge.run(), at: sites[0])
            #expect(receipt == .applied(1) || receipt == .quarantined(1), "\(values): \(receipt)")
        }
        #expect(try sites[0].dump() == before)
    }
}
