// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

@Suite("Bounds of a run")
struct RunBoundTests {
    private let space = SpaceID("notes")!
    private let author = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)

    /// Changes of one author, each with so many bytes of zeros, which compress to almost nothing.
    private func run(_ count: Int, bytes: Int) throws -> [UInt8] {
        let block = RunEncoder.Block(start: 1, seed: Bytes16(7))
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        var chain = Chain()
        var changes: [Change] = []
        for seq in 1...UInt64(count) {
            let timestamp = Timestamp(milliseconds: 1_000_000 + seq)
            var payload = Payload(salts: Salts(blockSeed: block.seed!, seq: seq, timestamp: timestamp))
            payload.append(shape, id: payload.nextID, reference: .created) { out in
                out.appendSlot(tag: 1, [UInt8](repeating: 48, count: bytes))
            }
            let header = ChangeHeader(next: Dot(author, seq), in: space, behind: chain, at: timestamp)
            let change = Change(header: header, payload: payload)
            try chain.advance(by: change.header, hash: change.hash)
            changes.append(change)
        }
        return RunEncoder.encode(changes) { _ in block }
    }

    private func decode(_ body: [UInt8], _ count: Int) throws(CodecError) -> RunDecoder.Run {
        try RunDecoder.decode(
            body,
            count: count,
            in: RunDecoder.Context(space: space, author: author, chain: Chain(), resolve: { _, _ in nil })
        )
    }

    @Test func `A run within the bounds is read`() throws {
        #expect(try decode(run(5, bytes: 200_000), 5).changes.count == 5)
    }

    @Test func `A few kilobytes cannot ask for megabytes of hashing`() throws {
        let body = try run(30, bytes: 200_000)
        #expect(body.count < 4096, "\(body.count)")
        #expect {
            try decode(body, 30)
        } throws: { if case CodecError.tooLarge(what: "run", _, _) = $0 { true } else { false } }
    }
}
