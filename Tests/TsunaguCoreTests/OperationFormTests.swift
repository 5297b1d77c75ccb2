// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// Shapes, items, payloads: the canonical form that is hashed.
@Suite struct OperationFormTests {
    private func shape(_ bytes: [UInt8]) throws(CodecError) -> Shape {
        try bytes.withMemory { memory throws(CodecError) -> Shape in
            var reader = ByteReader(memory)
            let shape = try Shape(reading: &reader)
            try reader.expectEnd()
            return shape
        }
    }

    @Test func shapesComeBackAndAreEqualByTheirForm() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<500 {
            let written = RandomChain.shape(&generator)
            let read = try shape(written.encoded)
            #expect(read == written && read.hashValue == written.hashValue)
            #expect(read.operations == written.operations && read.slotCount == written.slotCount)
            for length in written.encoded.indices {
                #expect(throws: CodecError.self) { try shape(Array(written.encoded.prefix(length))) }
            }
        }
    }

    @Test(
        arguments: [
            [20, 0],  // no operation
            [20, 1, 1, 1, 0],  // a register without members
            [20, 1, 1, 1, 1, 0],  // member 0 of a register
            [20, 1, 0, 1, 1, 1],  // life with a member that is not 0
            [20, 1, 0, 2, 1, 0],  // life as a set
            [20, 1, 1, 1, 2, 2, 1],  // members out of order
            [20, 1, 1, 1, 2, 1, 1],  // a member twice
            [20, 2, 2, 1, 1, 1, 1, 1, 1, 2],  // groups out of order
            [20, 2, 1, 1, 1, 1, 1, 1, 1, 2],  // a group twice
            [20, 1, 63, 1, 1, 1],  // a group beyond the last
            [20, 1, 1, 1, 1, 127],  // a field beyond the last
            [20, 1, 1, 0, 1, 1], [20, 1, 1, 7, 1, 0],  // classes that are not there
            [20, 1, 3, 2, 1, 1], [20, 1, 3, 2, 2, 0, 1],  // a set with members
            [20, 65, 1, 1, 1, 1],  // too many operations
        ] as [[UInt8]]
    )
    func shapesOutsideTheFormAreRefused(bytes: [UInt8]) {
        #expect(throws: CodecError.self) { try shape(bytes) }
    }

    private func items(_ bytes: [UInt8]) throws(CodecError) -> Items {
        try bytes.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
    }

    @Test func itemsComeBack() throws {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<300 {
            let written = Items(
                added: (0..<generator.below(6)).map { _ in
                    Items.Item(depth: UInt64(generator.below(1000)), generator.bytes(generator.below(20)))
                },
                removed: (0..<generator.below(4)).map { _ in generator.bytes(generator.below(9)) }
            )
            #expect(try items(written.encoded) == written)
            #expect(throws: CodecError.self) { try items(written.encoded + [0]) }
            for length in written.encoded.indices {
                #expect(throws: CodecError.self) { try items(Array(written.encoded.prefix(length))) }
            }
        }
    }

    @Test func tooManyItemsAndTooDeepOnesAreRefused() throws {
        var many: [UInt8] = []
        many.appendVarint(UInt64(Items.countMax) + 1)
        #expect(throws: CodecError.tooLarge(what: "items", found: 4097, bound: 4096)) { try items(many) }
        let last = Items(added: [Items.Item(depth: Items.depthMax, [])])
        #expect(try items(last.encoded) == last)
        let beyond = Items(added: [Items.Item(depth: Items.depthMax + 1, [])])
        #expect(throws: CodecError.self) { try items(beyond.encoded) }
    }

    @Test func slotsTellWhatTheyHold() throws {
        for value in [.null, .text("\u{FA19}"), .integer(.min), .integer(0), .bytes([]), .bytes([0, 255])] as [Value] {
            var bytes: [UInt8] = []
            bytes.appendSlot(value)
            let read = try bytes.withMemory { memory throws(CodecError) -> Value in
                var reader = ByteReader(memory)
                let slot = try reader.slot()
                try slot.check()
                return try slot.value()
            }
            #expect(read == value)
        }
        var empty: [UInt8] = []
        empty.appendSlot(.text(""))
        var null: [UInt8] = []
        null.appendSlot(.null)
        #expect(empty != null, "emptied is not the same as an empty text")
    }

    private func payload(_ values: [Value], seed: UInt64 = 1, seq: UInt64 = 1, milliseconds: UInt64 = 5) -> Payload {
        let salts = Salts(blockSeed: Bytes16(UInt128(seed)), seq: seq, timestamp: Timestamp(milliseconds: milliseconds))
        var out = Payload(salts: salts)
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        for value in values { out.append(shape, id: out.nextID, reference: .created) { $0.appendSlot(value) } }
        return out
    }

    @Test func theCommitmentCoversEveryValueItsPlaceAndItsSalt() {
        let base = Commitment.payload(leaves: payload([.text("a"), .text("b")]).leaves())
        let others = [
            payload([.text("b"), .text("a")]), payload([.text("a")]), payload([.text("a"), .text("b"), .text("")]),
            payload([.text("a"), .bytes(Array("b".utf8))]), payload([.text("a"), .text("b")], seed: 2),
            payload([.text("a"), .text("b")], seq: 2), payload([.text("a"), .text("b")], milliseconds: 6),
        ]
        for other in others { #expect(Commitment.payload(leaves: other.leaves()) != base) }
        #expect(Commitment.payload(leaves: payload([.text("a"), .text("b")]).leaves()) == base)
    }

    @Test func oneEntryCanBeErasedByTheSaltsOfItsSiblings() {
        let whole = payload([.text("kept"), .text("erased"), .text("kept too")])
        let salts = Salts(blockSeed: Bytes16(1), seq: 1, timestamp: Timestamp(milliseconds: 5))
        var leaves: [UInt8] = []
        whole.bytes.withUnsafeBytes { memory in
            for (index, entry) in whole.entries.enumerated() {
                if index == 1 {
                    leaves += whole.leaves()[32..<64]
                } else {
                    let content = UnsafeRawBufferPointer(rebasing: memory[entry.range])
                    Commitment.appendLeaf(salt: salts.entry(index).salt, entry: content, to: &leaves)
                }
            }
        }
        #expect(leaves == whole.leaves())
    }

    @Test func createdIDsDifferByPlaceChangeAndMoment() {
        var ids: Set<RecordID> = []
        for seq in 1...20 as ClosedRange<UInt64> {
            for milliseconds in 1...5 as ClosedRange<UInt64> {
                let made = payload([], seq: seq, milliseconds: milliseconds)
                for place in 0..<20 { ids.insert(made.idOfEntry(place)) }
            }
        }
        #expect(ids.count == 2000, "two clones with one open block never give one name twice")
    }

    @Test func theHashOfAHeaderCoversEveryPartOfIt() {
        let author = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)
        let other = ReplicaID(device: DeviceID(signingKey: [2]), incarnation: 1)
        let base = ChangeHeader(
            space: TestSchema.space,
            dot: Dot(author, 3),
            author: Operator(id: "a", label: "b"),
            timestamp: Timestamp(milliseconds: 9),
            deps: .none,
            systemDeps: .none,
            previous: [UInt8](repeating: 1, count: 32),
            schemaVersion: 1,
            blockStart: 1,
            batch: nil,
            transaction: nil,
            payloadHash: [UInt8](repeating: 2, count: 32)
        )
        let exception = VersionVector.Exception(replica: other, first: 1, last: 2)
        let edits: [(inout ChangeHeader) -> Void] = [
            { $0.space = .system }, { $0.dot.seq = 4 }, { $0.dot.replica = other },
            { $0.author = Operator(id: "ab", label: "") }, { $0.author = Operator(id: "\u{FA19}", label: "b") },
            { $0.author = Operator(id: "\u{795E}", label: "b") },
            { $0.timestamp = Timestamp(raw: $0.timestamp.raw + 1) },
            { $0.deps = DepsDelta(entries: [Dot(other, 1)], exceptions: nil) },
            { $0.systemDeps = DepsDelta(entries: [Dot(other, 1)], exceptions: nil) },
            { $0.deps = DepsDelta(entries: [], exceptions: []) },
            { $0.deps = DepsDelta(entries: [], exceptions: [exception]) }, { $0.previous[0] = 0 },
            { $0.schemaVersion = 2 }, { $0.blockStart = 2 }, { $0.batch = Bytes16(1) },
            { $0.transaction = ChangeHeader.Transaction(id: Bytes16(1), parts: []) },
            { $0.transaction = ChangeHeader.Transaction(id: Bytes16(1), parts: [ChangeHeader.noHash]) },
            { $0.extensions = [1] }, { $0.payloadHash[31] = 0 },
        ]
        var hashes = Set([base.hash()])
        for edit in edits {
            var header = base
            edit(&header)
            #expect(hashes.insert(header.hash()).inserted)
        }
    }
}
