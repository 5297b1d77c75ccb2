// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// `Protocol/vectors`: bytes that any implementation must read as this one does, or refuse as this one does.
///
/// With `TSUNAGU_WRITE_VECTORS=1` the files are made anew; they change only with the format.
@Suite struct VectorTests {
    struct RunVector: Codable, Equatable {
        var space: String
        var replica: String
        var first: UInt64
        var count: Int
        var seal: String
        var body: String
        /// Of each change's header, in order.
        var headerHashes: [String]?
        /// What a site that took in the accepted runs answers.
        var refusal: String?
        var because: String?
    }

    struct Vector: Codable, Equatable {
        var description: String
        var rootSigningKey: String
        var runs: [RunVector]
        var digests: [String: String]
        var conflicts: [String]
    }

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Protocol/vectors")

    private static var writes: Bool { ProcessInfo.processInfo.environment["TSUNAGU_WRITE_VECTORS"] != nil }

    /// Two sites, every merge class, a conflict, a deletion, and records named in all three ways.
    private func ward(_ scratch: Scratch) throws -> [TestSite] {
        let sites = try makeWard(["本庁", "出張所"], in: scratch, seed: 7)
        let (a, b) = (sites[0], sites[1])
        let note = TestSchema.note
        let id = try a.write { draft in
            let id = try draft.create(
                note,
                [(1, .text("\u{FA19}\u{845B}\u{E0100}")), (2, .text("ｶﾞ")), (3, .integer(-7))]
            )
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("ja".utf8), Array("en".utf8)])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("窓口".utf8)])
            return id
        }
        try a.write { draft in
            try draft.create(note, id: RecordID(derivedFrom: [Array("derived".utf8)]), [(1, .text("x")), (2, .null)])
        }
        try b.pull(from: a)
        try a.write { try $0.set(note, id, [(1, .text("\u{795E}"))]) }
        try b.write { draft in
            try draft.set(note, id, [(1, .text("\u{FA19}"))])
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("zh".utf8)], remove: [Array("en".utf8)])
            let step = Transition(from: "", to: "requested", reason: "")
            try draft.edit(note, id, group: TestSchema.status, add: [step.encoded])
        }
        try b.write { draft in
            try draft.delete(note, RecordID(derivedFrom: [Array("derived".utf8)]), reason: "二重")
        }
        try a.exchange(with: b)
        return sites
    }

    private func runs(_ site: TestSite) throws -> [RunEnvelope] {
        try site.runs(.system) + site.runs(TestSchema.space)
    }

    private func describe(_ run: RunEnvelope, _ hashes: [String]?) -> RunVector {
        RunVector(
            space: run.space.name,
            replica: run.replica.description,
            first: run.first,
            count: run.count,
            seal: Hex.encode(run.signature),
            body: Hex.encode(run.body),
            headerHashes: hashes
        )
    }

    private func envelope(_ vector: RunVector) throws -> RunEnvelope {
        RunEnvelope(
            space: try #require(SpaceID(vector.space)),
            replica: try #require(ReplicaID(hex: vector.replica)),
            first: vector.first,
            count: vector.count,
            signature: try #require(Hex.decode(vector.seal)),
            body: try #require(Hex.decode(vector.body))
        )
    }

    /// A reader that knows the founder's key and nothing else.
    private func reader(_ scratch: Scratch, _ key: String) throws -> Store {
        let store = try Store.create(at: scratch.path("reader.db"), schema: TestSchema.v1)
        let key = try #require(Hex.decode(key))
        try store.write { transaction in
            try transaction.setMeta("root", .bytes(DeviceID(signingKey: key).bytes))
            try transaction.setMeta("root_key", .bytes(key))
        }
        return store
    }

    private func read(_ name: String) throws -> Vector {
        try JSONDecoder().decode(Vector.self, from: Data(contentsOf: Self.folder.appending(path: name)))
    }

    private func write(_ vector: Vector, _ name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try (encoder.encode(vector) + Data("\n".utf8)).write(to: Self.folder.appending(path: name))
    }

    private func hashes(_ store: Store, _ run: RunEnvelope) throws -> [String] {
        try store.read { transaction in
            try (run.first...run.last).map {
                Hex.encode(try transaction.headerHash(Dot(run.replica, $0), run.space) ?? [])
            }
        }
    }

    @Test func acceptedRunsMeanWhatTheFileSays() throws {
        if Self.writes {
            let scratch = try Scratch()
            let sites = try ward(scratch)
            let all = try runs(sites[0])
            try write(
                Vector(
                    description: "Two sites in the spaces system and notes: registers, set, log, flow, a deletion, "
                        + "a conflict over U+FA19 and U+795E. The schema is that of Tests/TestSupport/TestSchema.swift.",
                    rootSigningKey: Hex.encode(sites[0].publicKey),
                    runs: all.map { describe($0, try? hashes(sites[0].store, $0)) },
                    digests: [
                        "system": Hex.encode(try sites[0].digest(.system)!.bytes),
                        "notes": Hex.encode(try sites[0].digest()!.bytes),
                    ],
                    conflicts: try sites[0].conflicts().map(\.id)
                ),
                "accepted/two-sites.json"
            )
        }
        let vector = try read("accepted/two-sites.json")
        let scratch = try Scratch()
        let store = try reader(scratch, vector.rootSigningKey)
        for run in vector.runs {
            let envelope = try envelope(run)
            #expect(try store.write { try $0.receive(envelope) } == .applied(run.count))
            #expect(try hashes(store, envelope) == run.headerHashes)
        }
        for (space, digest) in vector.digests {
            let found = try store.read { try $0.digest(of: SpaceID(space)!) }
            #expect(Hex.encode(found?.bytes ?? []) == digest)
        }
        #expect(try store.read { try $0.conflicts().map(\.id) } == vector.conflicts)
        #expect(!vector.conflicts.isEmpty)
    }

    @Test func refusedRunsAreRefusedAndLeaveNothing() throws {
        let accepted = try read("accepted/two-sites.json")
        if Self.writes { try write(try refused(accepted), "refused/two-sites.json") }
        let vector = try read("refused/two-sites.json")
        #expect(vector.runs.count >= 6)
        for run in vector.runs {
            let scratch = try Scratch()
            let store = try reader(scratch, vector.rootSigningKey)
            for good in accepted.runs where good.space == "system" {
                let envelope = try envelope(good)
                _ = try store.write { try $0.receive(envelope) }
            }
            let before = try store.read { try $0.digest(of: .system) }
            let envelope = try envelope(run)
            guard case .refused(let refusal) = try store.write({ try $0.receive(envelope) }) else {
                Issue.record("taken: \(run.because ?? "")")
                continue
            }
            #expect(refusal.code == run.refusal, "\(run.because ?? "")")
            #expect(try store.read { try $0.digest(of: .system) } == before)
            // The good run is taken after it.
            let good = try #require(accepted.runs.first { $0.space == "notes" && $0.first == 1 })
            let next = try self.envelope(good)
            #expect(try store.write { try $0.receive(next) } == .applied(good.count))
        }
    }

    private func refused(_ accepted: Vector) throws -> Vector {
        let good = try #require(accepted.runs.first { $0.space == "notes" && $0.first == 1 })
        var out = accepted
        out.description = "Each is to be refused by a site that took in the accepted runs of system."
        out.conflicts = []
        out.digests = [:]
        func bad(_ because: String, _ refusal: String, _ change: (inout RunVector) -> Void) -> RunVector {
            var run = good
            run.headerHashes = nil
            run.because = because
            run.refusal = refusal
            change(&run)
            return run
        }
        out.runs = [
            bad("one bit of the seal differs", "bad_seal") { $0.seal = "00" + $0.seal.dropFirst(2) },
            bad("the body ends early", "malformed") { $0.body = String($0.body.dropLast(8)) },
            bad("a byte follows the body", "malformed") { $0.body += "00" },
            bad("an unknown form of body", "malformed") { $0.body = "7f" + $0.body.dropFirst(2) },
            bad("an empty body", "malformed") { $0.body = "" },
            bad("fewer changes than the body holds", "malformed") { $0.count = max(1, $0.count - 1) },
            bad("the seal of another author's chain", "unknown_device") {
                $0.replica = String(repeating: "ab", count: 24)
            },
            bad("the same changes in another space", "bad_seal") { $0.space = "residents" },
        ]
        return out
    }
}
