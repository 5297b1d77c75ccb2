// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

@Suite struct RunCodecTests {
    @Test func whatIsEncodedIsDecodedTheSame() throws {
        for seed in 0..<400 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 1 + generator.below(12), &generator)
            let run = try chain.decode(chain.encode(0..<chain.changes.count), at: 0, count: chain.changes.count)
            #expect(run.chain == chain.chain, "seed \(seed)")
            for (read, written) in zip(run.changes, chain.changes) {
                #expect(read.header == written.header, "seed \(seed)")
                #expect(read.hash == written.hash, "seed \(seed)")
                #expect(read.payload.bytes == written.payload.bytes, "seed \(seed)")
                #expect(read.leaves == written.leaves, "seed \(seed)")
                #expect(
                    read.payload.entries.map(\.reference) == written.payload.entries.map(\.reference),
                    "seed \(seed)"
                )
            }
        }
    }

    @Test func hashesDoNotDependOnHowRunsAreCut() throws {
        for seed in 0..<60 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 9, &generator)
            var place = 0
            while place < chain.changes.count {
                let count = 1 + generator.below(chain.changes.count - place)
                let run = try chain.decode(chain.encode(place..<place + count), at: place, count: count)
                #expect(run.changes.map(\.hash) == chain.changes[place..<place + count].map(\.hash), "seed \(seed)")
                #expect(run.blocks.map(\.seed).contains(chain.block(UInt64(place + 1)).seed), "seed \(seed)")
                place += count
            }
        }
    }

    @Test func everyTruncationIsRefused() throws {
        for seed in 0..<6 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 3, &generator)
            for body in [chain.encode(0..<3), try Bodies.stored(chain.encode(0..<3))] {
                for length in body.indices {
                    #expect(throws: CodecError.self, "seed \(seed), cut at \(length)") {
                        try chain.decode(Array(body.prefix(length)), at: 0, count: 3)
                    }
                }
                #expect(throws: CodecError.self) { try chain.decode(body + [0], at: 0, count: 3) }
            }
        }
    }

    /// A mutation may leave the meaning as it was (another order of a dictionary); it never changes it under the hash.
    @Test func tenThousandMutationsAreRefusedOrMeanWhatTheirHashSays() throws {
        var (refused, other) = (0, 0)
        for seed in 0..<100 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 1 + generator.below(4), &generator)
            let count = chain.changes.count
            // Uncompressed, so that the mutation meets the format and not the compressor's own check.
            let body = try Bodies.stored(chain.encode(0..<count))
            for _ in 0..<100 {
                let mutated = Bodies.mutated(body, &generator)
                do throws(CodecError) {
                    let run = try chain.decode(mutated, at: 0, count: count)
                    if run.chain.hash == chain.chain.hash {
                        #expect(run.changes.map(\.payload.bytes) == chain.changes.map(\.payload.bytes), "seed \(seed)")
                        #expect(run.changes.map(\.header) == chain.changes.map(\.header), "seed \(seed)")
                    } else {
                        other += 1
                    }
                } catch {
                    refused += 1
                }
            }
        }
        #expect(refused > 5000)
        #expect(other > 0)
    }

    @Test func mutationsOfCompressedBytesAreRefusedOrHarmless() throws {
        for seed in 0..<20 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 8, &generator)
            let body = chain.encode(0..<8)
            for _ in 0..<100 { _ = try? chain.decode(Bodies.mutated(body, &generator), at: 0, count: 8) }
        }
    }

    @Test func randomBytesAreRefused() throws {
        var generator = SeededGenerator(seed: 1)
        let chain = RandomChain(length: 1, &generator)
        for _ in 0..<2000 {
            let bytes = [UInt8(1 + generator.below(3))] + generator.bytes(generator.below(200))
            #expect(throws: CodecError.self) { try chain.decode(bytes, at: 0, count: 1) }
        }
    }

    @Test func countsOutsideTheBoundsAreRefused() throws {
        var generator = SeededGenerator(seed: 1)
        let chain = RandomChain(length: 2, &generator)
        let body = chain.encode(0..<2)
        for count in [Int.min, -1, 0, 1, 3, 1025, Int.max] {
            #expect(throws: CodecError.self) { try chain.decode(body, at: 0, count: count) }
        }
        #expect(throws: CodecError.unknownVersion(4)) { try chain.decode([4] + body.dropFirst(), at: 0, count: 2) }
        #expect(throws: CodecError.unknownVersion(3)) { try chain.decode([3, 3] + body, at: 0, count: 2) }
        #expect(throws: CodecError.truncated) { try chain.decode([], at: 0, count: 2) }
    }

    @Test func aRunAtAnotherPlaceOfTheChainHasOtherHashes() throws {
        var generator = SeededGenerator(seed: 4)
        let chain = RandomChain(length: 4, &generator)
        let body = chain.encode(2..<3)
        #expect(try chain.decode(body, at: 2, count: 1).chain.hash == chain.changes[2].hash)
        if let misplaced = try? chain.decode(body, at: 3, count: 1) {
            #expect(misplaced.chain.hash != chain.changes[2].hash)
        }
    }

    @Test func aSmallBodyCannotFillTheMemory() throws {
        var generator = SeededGenerator(seed: 1)
        let chain = RandomChain(length: 1, &generator)
        var bomb: [UInt8] = [2]
        bomb.appendVarint(1 << 40)
        bomb += Zstd.compress([UInt8](repeating: 0, count: 1 << 20))
        #expect(throws: CodecError.tooLarge(what: "run", found: 1 << 40, bound: 8 << 20)) {
            try chain.decode(bomb, at: 0, count: 1)
        }
        var lying: [UInt8] = [2]
        lying.appendVarint(100)
        lying += Zstd.compress([UInt8](repeating: 0, count: 1 << 20))
        #expect(throws: CodecError.invalid("compressed data is damaged")) { try chain.decode(lying, at: 0, count: 1) }
    }

    // MARK: - What is signed must be well formed

    private func malformed(_ shape: Shape, _ slots: [UInt8], times: Int = 1, explicit: RecordID? = nil) throws
        -> CodecError?
    {
        let author = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)
        let block = RunEncoder.Block(start: 1, seed: Bytes16(7))
        var payload = Payload(salts: Salts(blockSeed: block.seed!, seq: 1, timestamp: Timestamp(milliseconds: 5)))
        for _ in 0..<times {
            payload.append(shape, id: explicit ?? payload.nextID, reference: explicit == nil ? .created : .explicit) {
                $0 += slots
            }
        }
        let header = ChangeHeader(
            space: TestSchema.space,
            dot: Dot(author, 1),
            author: Operator(id: "a", label: "A"),
            timestamp: Timestamp(milliseconds: 5),
            deps: .none,
            systemDeps: .none,
            previous: ChangeHeader.noHash,
            schemaVersion: 1,
            blockStart: 1,
            batch: nil,
            transaction: nil,
            payloadHash: ChangeHeader.noHash
        )
        let body = RunEncoder.encode([Change(header: header, payload: payload)]) { _ in block }
        let context = RunDecoder.Context(space: TestSchema.space, author: author, chain: Chain()) { _, _ in nil }
        do throws(CodecError) {
            _ = try RunDecoder.decode(body, count: 1, in: context)
            return nil
        } catch {
            return error
        }
    }

    @Test func valuesThatNobodyCouldReadAreRefusedThoughTheyAreSigned() throws {
        let text = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        let set = Shape(collection: 20, operations: [Shape.Operation(group: 3, .set)])
        func slot(_ tag: UInt8, _ bytes: [UInt8]) -> [UInt8] {
            var out: [UInt8] = []
            out.appendSlot(tag: tag, bytes)
            return out
        }
        #expect(try malformed(text, slot(1, Array("ok".utf8))) == nil)
        for bytes in [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe7, 0xa5]] as [[UInt8]] {
            #expect(try malformed(text, slot(1, bytes)) == .invalid("text is not UTF-8"))
        }
        #expect(try malformed(text, slot(0, [1])) == .invalid("a null with content"))
        #expect(try malformed(text, slot(2, [0x80, 0])) == .malformedNumber)
        #expect(try malformed(text, slot(2, [1, 1])) == .trailingBytes(1))
        #expect(try malformed(text, slot(2, [])) == .truncated)
        #expect(try malformed(set, slot(1, Array("x".utf8))) == .invalid("the body of an operation"))
        #expect(try malformed(set, slot(3, [1])) == .truncated)
        #expect(try malformed(set, slot(3, Items().encoded)) == nil)
        var deep: [UInt8] = [1]
        deep.appendVarint(.max)
        deep += [0, 0]
        #expect(try malformed(set, slot(3, deep)) == .tooLarge(what: "depth", found: .max, bound: Items.depthMax))
    }

    @Test func aRecordStandsOnceInAChangeHoweverItIsNamed() throws {
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        let id = RecordID(Bytes16(99))
        #expect(try malformed(shape, [0], times: 3) == nil)
        #expect(try malformed(shape, [0], explicit: id) == nil)
        #expect(try malformed(shape, [0], times: 2, explicit: id) == .invalid("a record stands twice in one change"))
    }
}
