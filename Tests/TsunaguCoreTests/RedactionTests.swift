// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// Runs of which some records' entries were erased.
@Suite struct RedactionTests {
    /// A chain, the same with some records erased, and their ids.
    private func chains(_ seed: UInt64) -> (whole: RandomChain, redacted: RandomChain, erased: Set<RecordID>) {
        var generator = SeededGenerator(seed: seed)
        let whole = RandomChain(length: 2 + generator.below(10), &generator)
        let ids = Set(whole.changes.flatMap { $0.payload.entries.map(\.id) }).sorted()
        let erased = Set(ids.filter { _ in generator.chance(20) } + [generator.pick(ids)])
        var redacted = whole
        redacted.erase(erased)
        return (whole, redacted, erased)
    }

    @Test func `The hashes stay, whatever is erased and wherever runs are cut`() throws {
        for seed in 0..<200 as Range<UInt64> {
            let (whole, redacted, erased) = chains(seed)
            var generator = SeededGenerator(seed: seed)
            var place = 0
            while place < whole.changes.count {
                let count = 1 + generator.below(whole.changes.count - place)
                let body = redacted.encode(place..<place + count)
                let run = try redacted.decode(body, at: place, count: count)
                for (read, written) in zip(run.changes, whole.changes[place...]) {
                    #expect(read.hash == written.hash, "seed \(seed)")
                    #expect(read.leaves == written.leaves, "seed \(seed)")
                    #expect(read.header == written.header, "seed \(seed)")
                    for (entry, former) in zip(read.payload.entries, written.payload.entries) {
                        #expect(entry.isErased == erased.contains(entry.id), "seed \(seed)")
                        #expect((entry.id, entry.shape) == (former.id, former.shape), "seed \(seed)")
                        #expect((entry.reference == .created) == (former.reference == .created), "seed \(seed)")
                        guard !entry.isErased else { continue }
                        #expect(
                            read.payload.bytes[entry.range] == written.payload.bytes[former.range],
                            "seed \(seed)"
                        )
                    }
                }
                #expect(RunEncoder.encode(run.changes) { redacted.block($0) } == body, "seed \(seed)")
                place += count
            }
        }
    }

    @Test func `Neither the seed of a block nor a salt of what was erased is in the run`() throws {
        for seed in 0..<60 as Range<UInt64> {
            let (whole, redacted, erased) = chains(seed)
            let body = try Bodies.stored(redacted.encode(0..<whole.changes.count))
            for change in whole.changes {
                let holdsErased = change.payload.entries.contains { erased.contains($0.id) }
                guard holdsErased else { continue }
                let blockSeed = whole.block(change.header.dot.seq).seed!
                #expect(!body.contains(blockSeed.bytes), "seed \(seed)")
                let salts = try #require(change.payload.salts)
                #expect(!body.contains(salts.changeSeed), "seed \(seed)")
                for (index, entry) in change.payload.entries.enumerated() where erased.contains(entry.id) {
                    #expect(!body.contains(salts.entry(index).salt.bytes), "seed \(seed)")
                }
            }
        }
    }

    @Test func `Erasing twice is erasing once`() throws {
        for seed in 0..<60 as Range<UInt64> {
            let (whole, redacted, erased) = chains(seed)
            var again = redacted
            again.erase(erased)
            let places = 0..<whole.changes.count
            #expect(again.encode(places) == redacted.encode(places), "seed \(seed)")
            // In two steps it comes to the same.
            let first = erased.sorted()[0]
            var steps = whole
            steps.erase([first])
            steps.erase(erased.subtracting([first]))
            #expect(steps.encode(places) == redacted.encode(places), "seed \(seed)")
        }
    }

    @Test func `Every truncation is refused`() throws {
        for seed in 0..<4 as Range<UInt64> {
            let (whole, redacted, _) = chains(seed)
            let places = 0..<whole.changes.count
            let body = redacted.encode(places)
            for body in [body, try Bodies.stored(body)] {
                for length in body.indices {
                    #expect(throws: CodecError.self, "seed \(seed), cut at \(length)") {
                        try whole.decode(Array(body.prefix(length)), at: 0, count: places.count)
                    }
                }
                #expect(throws: CodecError.self) { try whole.decode(body + [0], at: 0, count: places.count) }
            }
        }
    }

    @Test func `A mutation is refused or means what its hash says`() throws {
        var generator = SeededGenerator(seed: 5)
        var (refused, same) = (0, 0)
        for seed in 0..<200 as Range<UInt64> {
            let (whole, redacted, _) = chains(seed)
            let count = whole.changes.count
            let body = try Bodies.stored(redacted.encode(0..<count))
            for _ in 0..<20 {
                guard let run = try? whole.decode(Bodies.mutated(body, &generator), at: 0, count: count) else {
                    refused += 1
                    continue
                }
                guard run.chain.hash == whole.chain.hash else { continue }
                same += 1
                for (read, written) in zip(run.changes, whole.changes) {
                    for (entry, former) in zip(read.payload.entries, written.payload.entries) where !entry.isErased {
                        #expect(read.payload.bytes[entry.range] == written.payload.bytes[former.range], "seed \(seed)")
                    }
                }
            }
        }
        #expect(refused > 1000 && same < 1000, "\(refused) refused, \(same) the same")
    }

    @Test func `A seed beside an erased entry is refused`() throws {
        let (whole, redacted, _) = chains(1)
        let count = whole.changes.count
        let run = try redacted.decode(redacted.encode(0..<count), at: 0, count: count)
        // The block's seed put back beside what it would open.
        let body = RunEncoder.encode(run.changes) { seq in
            seq == UInt64(count) ? RunEncoder.Block(start: UInt64(count), seed: nil) : whole.block(seq)
        }
        #expect(throws: CodecError.self) { try whole.decode(body, at: 0, count: count) }
    }
}

extension [UInt8] {
    fileprivate func contains(_ other: [UInt8]) -> Bool {
        guard count >= other.count else { return false }
        return (0...count - other.count).contains { self[$0..<$0 + other.count].elementsEqual(other) }
    }
}
