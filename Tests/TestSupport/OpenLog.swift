// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The log of a space taken apart, so that it can be put together otherwise.
package struct OpenLog {
    /// A run, read.
    package struct Run {
        package let envelope: RunEnvelope
        /// Where its author's chain stands before it.
        package let base: Chain
        package let changes: [Change]
        package let blocks: [RunEncoder.Block]

        /// Some changes in place of its own, encoded anew under the same seal.
        package func with(_ changes: [Change], first: UInt64? = nil) -> RunEnvelope {
            var run = envelope
            run.first = first ?? envelope.first
            run.count = changes.count
            run.body = RunEncoder.encode(changes) { seq in blocks.last { $0.start <= seq } ?? blocks[0] }
            return run
        }

        /// One header otherwise, under the same seal.
        package func altered(_ place: Int, _ alter: (inout ChangeHeader) -> Void) -> RunEnvelope {
            var changes = changes
            var header = changes[place].header
            alter(&header)
            changes[place] = Change(header: header, payload: changes[place].payload)
            return with(changes)
        }

        /// The first slot of one change's first entry otherwise, under the same seal.
        package func altered(_ place: Int, value: Value) throws(CodecError) -> RunEnvelope {
            var changes = changes
            let (header, payload) = (changes[place].header, changes[place].payload)
            let seq = header.dot.seq
            let block = blocks.last { $0.start <= seq } ?? blocks[0]
            var new = Payload(salts: Salts(blockSeed: block.seed!, seq: seq, timestamp: header.timestamp))
            for (index, entry) in payload.entries.enumerated() {
                var slots = try Self.slots(Array(payload.bytes[entry.slotsStart..<entry.range.upperBound]), entry.shape)
                if index == 0 { slots[0] = value }
                new.append(entry.shape, id: entry.id, reference: entry.reference) { out in
                    for slot in slots { out.appendSlot(slot) }
                }
            }
            changes[place] = Change(header: header, payload: new)
            return with(changes)
        }

        private static func slots(_ bytes: [UInt8], _ shape: Shape) throws(CodecError) -> [Value] {
            try bytes.withMemory { memory throws(CodecError) in
                var reader = ByteReader(memory)
                var out: [Value] = []
                for _ in 0..<shape.slotCount { out.append(try reader.slot().value()) }
                return out
            }
        }
    }

    package private(set) var runs: [Run] = []

    /// Reads sealed runs of one space, causes first.
    package init(_ envelopes: [RunEnvelope]) throws(CodecError) {
        var chains: [ReplicaID: Chain] = [:]
        var payloads: [Dot: Payload] = [:]
        for envelope in envelopes {
            let base = chains[envelope.replica] ?? Chain()
            let known = payloads
            let context = RunDecoder.Context(space: envelope.space, author: envelope.replica, chain: base) {
                known[$0]?.idOfEntry($1)
            }
            let run = try RunDecoder.decode(envelope.body, count: envelope.count, in: context)
            chains[envelope.replica] = run.chain
            for change in run.changes { payloads[change.header.dot] = change.payload }
            runs.append(Run(envelope: envelope, base: base, changes: run.changes, blocks: run.blocks))
        }
    }
}
