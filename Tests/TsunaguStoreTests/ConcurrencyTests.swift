// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Synchronization
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Several connections on one file, as the command line beside the daemon.
@Suite struct ConcurrencyTests {
    private let note = TestSchema.note

    /// Runs `body` on so many threads and passes on what they throw.
    private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
        let failures = Mutex<[any Error]>([])
        let group = DispatchGroup()
        for index in 0..<count {
            let thread = Thread {
                do { try body(index) } catch { failures.withLock { $0.append(error) } }
                group.leave()
            }
            group.enter()
            thread.start()
        }
        group.wait()
        if let first = failures.withLock({ $0.first }) { throw first }
    }

    @Test(.timeLimit(.minutes(1))) func writersAndReadersOnOneFileLoseNothing() throws {
        let scratch = try Scratch()
        let site = try TestSite("a", in: scratch, seed: 1)
        let (path, person) = (site.path, site.person)
        let id = try site.write { try $0.create(note, [(1, .text("start"))]) }
        let (writers, rounds) = (4, 25)
        try onThreads(writers + 2) { index in
            let store = try Store.open(at: path, schema: TestSchema.v1)
            var last = 0
            for round in 0..<rounds {
                if index < writers {
                    try store.write { transaction in
                        let draft = try transaction.draft(TestSchema.space, by: person)
                        try draft.create(TestSchema.note, [(1, .text("\(index) \(round)"))])
                        try draft.edit(TestSchema.note, id, group: TestSchema.tally, add: [Tally.encode(1)])
                    }
                } else {
                    // A transaction is seen whole: as many new records as counts, and never fewer than before.
                    let (records, tally) = try store.read { transaction in
                        (
                            try transaction.records(TestSchema.note).count - 1,
                            try transaction.record(TestSchema.note, id)?.integer("tally") ?? 0
                        )
                    }
                    guard records == Int(tally), records >= last else {
                        throw CodecError.invalid("\(records) \(tally) \(last)")
                    }
                    last = records
                }
            }
            try store.close()
        }
        #expect(try site.record(id)?.integer("tally") == Int64(writers * rounds))
        #expect(try site.store.read { try $0.records(note).count } == writers * rounds + 1)
        #expect(try site.vector(TestSchema.space)[site.replica] == UInt64(writers * rounds + 1))
        try site.compareWithDefinition(rederiving: true) { Disagreement($0) }

        let peer = try TestSite("b", in: scratch, root: site, seed: 2)
        try site.admit(peer)
        try peer.pull(from: site)
        #expect(try peer.digest() == site.digest())
    }

    @Test(.timeLimit(.minutes(1))) func sealingAndReceivingBesideWritersKeepsTheChainWhole() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch)
        for step in 0..<10 {
            try sites[1].write { try $0.create(note, [(1, .text("b \(step)"))]) }
            try sites[1].seal()
        }
        let incoming = try sites[1].runs(TestSchema.space)
        #expect(incoming.count == 10)
        let (path, person, key) = (sites[0].path, sites[0].person, sites[0].key)
        try onThreads(3) { index in
            let store = try Store.open(at: path, schema: TestSchema.v1)
            for round in 0..<10 {
                switch index {
                case 0:
                    try store.write { transaction in
                        _ = try transaction.draft(TestSchema.space, by: person)
                            .create(TestSchema.note, [(1, .text("a \(round)"))])
                    }
                case 1: try store.write { try $0.seal { Array(try key.signature(for: $0)) } }
                default:
                    let receipt = try store.write { try $0.receive(incoming[round]) }
                    guard receipt == .applied(1) else { throw CodecError.invalid("\(receipt)") }
                }
            }
            try store.close()
        }
        try sites[1].pull(from: sites[0])
        #expect(try sites[0].digest() == sites[1].digest())
        #expect(try sites[1].store.read { try $0.records(note).count } == 20)
        let log = try sites[0].store.read { try $0.verify().log }
        #expect(log.faultCount == 0, "\(log.faults)")
    }

    @Test(.timeLimit(.minutes(1))) func severalProgramsThatUpgradeAtOnceUpgradeOnce() throws {
        for _ in 0..<5 {
            let scratch = try Scratch()
            let site = try TestSite("a", in: scratch, seed: 1)
            try site.write { try $0.create(note, [(1, .text("x"))]) }
            try site.store.close()
            let path = site.path
            try onThreads(4) { _ in
                let store = try Store.open(at: path, schema: TestSchema.v2)
                let count = try store.read { try $0.records(TestSchema.wideNote).count }
                guard count == 1 else { throw CodecError.invalid("\(count)") }
                try store.close()
            }
        }
    }
}
