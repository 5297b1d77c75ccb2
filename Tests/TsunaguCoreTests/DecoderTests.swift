// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// What others may send, cut off at every byte and spoilt by seed: it is read or refused, and what is read means what
/// its bytes say.
@Suite("Decoders of the core")
struct DecoderTests {
    /// Every beginning of some bytes, and so many spoilt copies.
    private func variants(
        _ bytes: [UInt8],
        _ count: Int,
        _ generator: inout SeededGenerator
    ) -> [[UInt8]] {
        bytes.indices.map { Array(bytes.prefix($0)) } + (0..<count).map { _ in Bodies.spoilt(bytes, &generator) }
    }

    // MARK: - Runs

    /// A decoded run, whatever its author made up, can be cut anew: its changes keep their hashes.
    private func check(_ chain: RandomChain, _ body: [UInt8], at place: Int, count: Int) throws -> Bool {
        let run: RunDecoder.Run
        do throws(CodecError) {
            run = try chain.decode(body, at: place, count: count)
        } catch {
            return false
        }
        let again = RunEncoder.encode(run.changes) { seq in run.blocks.last { $0.start <= seq } ?? run.blocks[0] }
        let second = try chain.decode(again, at: place, count: count)
        #expect(second.chain == run.chain && second.blocks.last == run.blocks.last)
        #expect(second.changes.map(\.header) == run.changes.map(\.header))
        #expect(second.changes.map(\.payload.bytes) == run.changes.map(\.payload.bytes))
        #expect(second.changes.map(\.leaves) == run.changes.map(\.leaves))
        return true
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func `A run spoilt in one of its streams is refused, or is what its hashes say`(seed: UInt64) throws {
        var (refused, read) = (0, 0)
        for round in 0..<60 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed << 32 | round)
            let chain = RandomChain(length: 1 + generator.below(5), &generator)
            let count = chain.changes.count
            let place = generator.below(count)
            let stored = try Bodies.stored(chain.encode(place..<count))
            for _ in 0..<60 {
                let isRead = try check(
                    chain,
                    Bodies.spoiltInside(stored, &generator),
                    at: place,
                    count: count - place
                )
                if isRead { read += 1 } else { refused += 1 }
            }
        }
        // Both ways are gone: the outer checks do not hide the inner ones.
        #expect(refused > 1000 && read > 200, "\(refused) refused, \(read) read")
    }

    @Test func `A run whose stream ends early is refused at every byte`() throws {
        for seed in 0..<4 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let chain = RandomChain(length: 3, &generator)
            let streams = try Bodies.streams(Bodies.stored(chain.encode(0..<3)))
            for (place, stream) in streams.enumerated() {
                for end in stream.indices {
                    var cut = streams
                    cut[place] = Array(stream[..<end])
                    #expect(throws: CodecError.self, "stream \(place) cut at \(end)") {
                        try chain.decode(Bodies.stored(streams: cut), at: 0, count: 3)
                    }
                }
            }
        }
    }

    @Test func `What is compressed twice, or has something behind it, is refused`() throws {
        var generator = SeededGenerator(seed: 7)
        let chain = RandomChain(length: 4, &generator)
        let stored = try Bodies.stored(chain.encode(0..<4))
        let raw = Array(stored.dropFirst())
        func body(_ size: Int, _ frames: [UInt8]) -> [UInt8] {
            var out: [UInt8] = [2]
            out.appendVarint(UInt64(size))
            return out + frames
        }
        let frame = Zstd.compress(raw)
        #expect(try chain.decode(body(raw.count, frame), at: 0, count: 4).chain == chain.chain)
        // A frame that says nothing, before or behind; and the same in two.
        let empty = Zstd.compress([])
        let skipped: [UInt8] = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]
        let half = raw.count / 2
        let halves = Zstd.compress(Array(raw[..<half])) + Zstd.compress(Array(raw[half...]))
        for frames in [frame + empty, empty + frame, frame + skipped, skipped + frame, halves, skipped] {
            #expect(throws: CodecError.self) { try chain.decode(body(raw.count, frames), at: 0, count: 4) }
        }
        for size in [0, raw.count - 1, raw.count + 1, 8 << 20] {
            #expect(throws: CodecError.self) { try chain.decode(body(size, frame), at: 0, count: 4) }
        }
    }

    /// A chain of one author that names another's changes as its program likes.
    private struct Deps {
        let space = SpaceID("notes")!
        let author = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)
        let others: [ReplicaID]

        init(_ count: Int) {
            others = (0..<count).map { ReplicaID(device: DeviceID(signingKey: [2]), incarnation: UInt64($0)) }.sorted()
        }

        /// Changes with so many entries, the first of which has seen all the others but for exceptions.
        func changes(entries: [[RecordReference]], exceptions: [VersionVector.Exception]?, repeats: Bool) throws
            -> [Change]
        {
            let block = RunEncoder.Block(start: 1, seed: Bytes16(7))
            let shape = Shape(collection: 20, operations: [Shape.Operation(group: 0, .register)])
            var chain = Chain()
            return try entries.enumerated().map { place, references in
                let (seq, isFirst) = (UInt64(place + 1), place == 0)
                var payload = Payload(
                    salts: Salts(blockSeed: block.seed!, seq: seq, timestamp: Timestamp(milliseconds: seq))
                )
                for (index, reference) in references.enumerated() {
                    payload.append(shape, id: RecordID(Bytes16(UInt128(index))), reference: reference) { $0.append(0) }
                }
                let header = ChangeHeader(
                    next: Dot(author, seq),
                    in: space,
                    behind: chain,
                    at: Timestamp(milliseconds: seq),
                    deps: DepsDelta(
                        entries: isFirst ? others.map { Dot($0, 1 << 20) } : [],
                        exceptions: isFirst || repeats ? exceptions : nil
                    )
                )
                let change = Change(header: header, payload: payload)
                try chain.advance(by: change.header, hash: change.hash)
                return change
            }
        }

        func decode(_ body: [UInt8], count: Int) throws(CodecError) -> RunDecoder.Run {
            let context = RunDecoder.Context(space: space, author: author, chain: Chain()) { _, index in
                RecordID(Bytes16(UInt128(index)))
            }
            return try RunDecoder.decode(body, count: count, in: context)
        }
    }

    @Test func `References among tens of thousands of exceptions cost no more than they are long`() throws {
        let deps = Deps(1)
        let other = deps.others[0]
        let references = (0..<12).map { _ in
            (0..<4096).map { RecordReference.of(Dot(other, 1 << 20), index: $0) }
        }
        func time(exceptions count: UInt64) throws -> Duration {
            // Numbers apart, so that none of them meets the next.
            let exceptions = (0..<count).map {
                VersionVector.Exception(replica: other, first: 2 + 3 * $0, last: 2 + 3 * $0)
            }
            let changes = try deps.changes(entries: references, exceptions: exceptions, repeats: false)
            let body = RunEncoder.encode(changes) { _ in RunEncoder.Block(start: 1, seed: Bytes16(7)) }
            return try ContinuousClock().measure { _ = try deps.decode(body, count: changes.count) }
        }
        let (few, many) = (try time(exceptions: 1), try time(exceptions: 65_536))
        // One by one they would be looked at three thousand million times.
        #expect(many < few * 20 + .seconds(2), "\(few), \(many)")
    }

    @Test func `An entry that its change does not have names no record`() throws {
        let deps = Deps(0)
        func decode(_ index: Int) throws -> RunDecoder.Run {
            let references: [[RecordReference]] = [
                [.created, .created], [.of(Dot(deps.author, 1), index: index)],
            ]
            let changes = try deps.changes(entries: references, exceptions: nil, repeats: false)
            return try deps.decode(
                RunEncoder.encode(changes) { _ in RunEncoder.Block(start: 1, seed: Bytes16(7)) },
                count: 2
            )
        }
        #expect(try decode(1).changes.count == 2)
        for index in [2, 4096] { #expect(throws: CodecError.self) { try decode(index) } }
    }

    // MARK: - What stands in a run

    @Test func `Items and shapes are read in one spelling or refused`() throws {
        var generator = SeededGenerator(seed: 3)
        var read = 0
        for _ in 0..<150 {
            let items = Items(
                added: (0..<generator.below(5)).map {
                    Items.Item(depth: UInt64($0), generator.bytes(generator.below(9)))
                },
                removed: (0..<generator.below(3)).map { _ in generator.bytes(3) }
            )
            for bytes in variants(items.encoded, 40, &generator) {
                let found = try? bytes.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
                guard let found else { continue }
                #expect(found.encoded == bytes)
                read += 1
            }
            for bytes in variants(RandomChain.shape(&generator).encoded, 40, &generator) {
                let found = try? bytes.withMemory { memory throws(CodecError) in
                    var reader = ByteReader(memory)
                    let shape = try Shape(reading: &reader)
                    try reader.expectEnd()
                    return shape
                }
                guard let found else { continue }
                #expect(found.encoded == bytes && found.slotCount > 0)
                read += 1
            }
        }
        #expect(read > 500)
    }

    @Test func `Steps, ledgers and uses are read or count for nothing`() throws {
        var generator = SeededGenerator(seed: 4)
        let dots = (0..<3 as Range<UInt64>).map {
            Dot(ReplicaID(device: DeviceID(signingKey: [1]), incarnation: $0), $0 + 1)
        }
        let step = Transition(from: "open", to: "closed", reason: "理由", answers: dots)
        for bytes in variants(step.encoded, 4000, &generator) {
            if let found = Transition(bytes) { #expect(found.encoded == bytes) }
        }
        let ends = Dictionary(uniqueKeysWithValues: dots.map { ($0.replica, $0.seq) })
        for entry in [LedgerEntry.mint(300), .takeBack(dots[0], 3), .reclaim(dots[1].replica, ends: ends, 2)] {
            for bytes in variants(entry.encoded, 1500, &generator) {
                if let found = LedgerEntry(bytes) { #expect(found.encoded == bytes) }
            }
        }
        for bytes in variants(SeatUse.release(dots[0], for: dots[1]).encoded, 1500, &generator) {
            if let found = SeatUse(bytes) { #expect(found.encoded == bytes) }
        }
    }

    // MARK: - Rights

    @Test func `What says who may do what is read in one spelling or not at all`() throws {
        var generator = SeededGenerator(seed: 5)
        let replica = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 2)
        let cut = Revocation.Cut([.system: [replica: 3], SpaceID("lessons/kudan")!: [replica: Chain.seqMax]])
        var read = 0
        for bytes in variants(Array(cut.text.utf8), 6000, &generator) {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let found = Revocation.Cut(text) else { continue }
            #expect(found == Revocation.Cut(found.text), "\(text)")
            #expect(found.last.values.allSatisfy { $0.values.allSatisfy { $0 <= Chain.seqMax } })
            // Nothing but ASCII says a right: there what is one letter does not depend on a version of Unicode.
            #expect(text.utf8.allSatisfy { $0 < 0x80 }, "\(text)")
            read += 1
        }
        #expect(read > 100)
        // Each of these is the same to somebody.
        let one = "notes \(replica) 3"
        #expect(Revocation.Cut(one) != nil)
        for text in [
            one.uppercased().replacing("NOTES", with: "notes"), "notes \(replica) +3", "notes \(replica) ３", one + " ",
            one + "\u{37E}" + one, one + ";\u{301}",
        ] {
            #expect(Revocation.Cut(text) == nil, "\(text)")
        }
        for bytes in variants(Array(replica.description.utf8), 1000, &generator) {
            _ = ReplicaID(hex: String(decoding: bytes, as: UTF8.self))
        }
        for bytes in variants(Array("residents/protected".utf8), 2000, &generator) {
            let text = String(decoding: bytes, as: UTF8.self)
            if let space = SpaceID(text) { #expect(space.name.utf8.elementsEqual(text.utf8)) }
            // A pattern covers a space where its bytes say so.
            if SpaceID("residents/protected")!.matches(text) {
                #expect(["*", "residents/*", "residents/protected"].contains { $0.utf8.elementsEqual(text.utf8) })
            }
        }
        for bytes in variants(Array(Base32.encode([1, 2, 3, 4, 5, 6, 7]).utf8), 1000, &generator) {
            let text = String(decoding: bytes, as: UTF8.self)
            if let found = Base32.decode(text) {
                #expect(Base32.encode(found).utf8.elementsEqual(text.lowercased().utf8))
            }
        }
    }
}
