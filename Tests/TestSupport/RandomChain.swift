// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// An author's changes with everything that a header and a payload can hold.
package struct RandomChain {
    package let space: SpaceID
    package let author: ReplicaID
    package private(set) var changes: [Change] = []
    package private(set) var blocks: [RunEncoder.Block] = []
    package private(set) var chain = Chain()
    /// The chain before each change.
    package private(set) var bases: [Chain] = []
    private let others: [ReplicaID]
    private let people: [Operator]
    private let shapes: [Shape]

    package init(length: Int, _ generator: inout SeededGenerator) {
        space = SpaceID(generator.pick(["residents", "lessons/kudan", "notes"]))!
        author = ReplicaID(of: DeviceID(bytes: generator.bytes(16))!, drawn: generator.next())
        others = (0..<3).map { _ in
            ReplicaID(of: DeviceID(bytes: generator.bytes(16))!, drawn: generator.next())
        }.sorted()
        people = ["sato", "suzuki", "\u{FA19}"].map { Operator(id: ExactText($0), label: ExactText("担当 \($0)")) }
        shapes = (0..<4).map { _ in RandomChain.shape(&generator) }
        for _ in 0..<length { append(&generator) }
    }

    package func block(_ seq: UInt64) -> RunEncoder.Block { blocks.last { $0.start <= seq }! }

    package static func shape(_ generator: inout SeededGenerator) -> Shape {
        var groups: Set<UInt32> = []
        for _ in 0...generator.below(3) { groups.insert(UInt32(generator.below(63))) }
        let operations = groups.sorted().map { group in
            guard group > 0, generator.chance(60) else {
                return Shape.Operation(group: group, group == 0 ? .register : generator.pick([.set, .log, .flow]))
            }
            var fields: Set<UInt32> = []
            for _ in 0...generator.below(4) { fields.insert(1 + UInt32(generator.below(126))) }
            return Shape.Operation(group: group, .register, fields: fields.sorted())
        }
        return Shape(collection: 16 + UInt32(generator.below(3)), operations: operations)
    }

    package static func value(_ generator: inout SeededGenerator) -> Value {
        switch generator.below(6) {
        case 0: .null
        case 1: .integer(Int64(bitPattern: generator.next()))
        case 2: .integer(Int64(generator.below(200)) - 100)
        case 3: .bytes(generator.bytes(generator.below(40)))
        default:
            .text(
                ExactText(
                    String(repeating: generator.pick(["a", "神", "\u{FA19}", "辻\u{E0100}"]), count: generator.below(12))
                )
            )
        }
    }

    private mutating func append(_ generator: inout SeededGenerator) {
        let seq = chain.seq + 1
        if blocks.isEmpty || generator.chance(10) {
            blocks.append(RunEncoder.Block(start: seq, seed: Bytes16(generator.bytes(16))!))
        }
        let block = blocks.last!
        let timestamp = Timestamp(
            raw: (1_700_000_000_000 + UInt64(generator.below(1 << 30))) << 16
                | UInt64(generator.pick([0, 0, 1, 0xffff]))
        )
        var payload = Payload(salts: Salts(blockSeed: block.seed!, seq: seq, timestamp: timestamp))
        for _ in 0...generator.below(4) { append(to: &payload, seq, &generator) }
        var deps = chain.deps
        for other in others where generator.chance(20) { deps[other] += 1 + UInt64(generator.below(300)) }
        if generator.chance(15) {
            deps.exceptions =
                generator.chance(30)
                ? []
                : others.prefix(2).map {
                    VersionVector.Exception(replica: $0, first: 2, last: 2 + UInt64(generator.below(9)))
                }
        }
        var system = chain.systemDeps
        if generator.chance(10) { system[generator.pick(others)] += 1 }
        let header = ChangeHeader(
            space: space,
            dot: Dot(author, seq),
            author: generator.pick(people),
            timestamp: timestamp,
            deps: DepsDelta(from: chain.deps, to: deps),
            systemDeps: DepsDelta(from: chain.systemDeps, to: system),
            previous: chain.hash,
            schemaVersion: 1 + UInt32(generator.below(3)),
            blockStart: block.start,
            batch: generator.chance(30) ? Bytes16(UInt128(7 + generator.below(2))) : nil,
            transaction: generator.chance(15)
                ? ChangeHeader.Transaction(id: Bytes16(generator.bytes(16))!, parts: [generator.bytes(32)]) : nil,
            extensions: generator.chance(15) ? generator.bytes(generator.below(30)) : [],
            payloadHash: ChangeHeader.noHash
        )
        let change = Change(header: header, payload: payload)
        bases.append(chain)
        guard (try? chain.advance(by: change.header, hash: change.hash)) != nil else {
            preconditionFailure("deps go back")
        }
        changes.append(change)
    }

    private func append(to payload: inout Payload, _ seq: UInt64, _ generator: inout SeededGenerator) {
        let shape = generator.pick(shapes)
        let id: RecordID
        let reference: RecordReference
        if generator.chance(60) {
            (id, reference) = (payload.nextID, .created)
        } else if let earlier = changes.last, let created = try? earlier.payload.createdID(payload.entries.count) {
            // Another entry than any other of this change names, so that no record stands twice in it.
            (id, reference) = (created, .of(earlier.header.dot, index: payload.entries.count))
        } else {
            (id, reference) = (RecordID(Bytes16(generator.bytes(16))!), .explicit)
        }
        payload.append(shape, id: id, reference: reference) { out in
            for operation in shape.operations {
                for _ in operation.fields {
                    if operation.mergeClass == .register {
                        out.appendSlot(RandomChain.value(&generator))
                    } else {
                        let items = Items(
                            added: (0..<generator.below(3)).map { Items.Item(depth: UInt64($0), generator.bytes(5)) },
                            removed: generator.chance(30) && operation.mergeClass == .set ? [[1, 2]] : []
                        )
                        out.appendSlot(.bytes(items.encoded))
                    }
                }
            }
        }
    }

    /// Erases what was written on some records, and gives up the seeds of the blocks that held it.
    package mutating func erase(_ ids: Set<RecordID>) {
        for place in changes.indices {
            let change = changes[place].redacted { ids.contains($0.id) }
            if change.payload.salts == nil {
                blocks[blocks.firstIndex { $0.start == change.header.blockStart }!].seed = nil
            }
            changes[place] = change
        }
    }

    /// A run of some of the changes, by place.
    package func encode(_ places: Range<Int>) -> [UInt8] {
        RunEncoder.encode(changes[places]) { block($0) }
    }

    /// Reads a run that begins at a place.
    package func decode(_ body: [UInt8], at place: Int, count: Int) throws(CodecError) -> RunDecoder.Run {
        let context = RunDecoder.Context(space: space, author: author, chain: bases[place]) {
            dot,
            index throws(CodecError) in
            guard dot.replica == author, let change = changes.first(where: { $0.header.dot == dot }) else { return nil }
            return try change.payload.createdID(index)
        }
        return try RunDecoder.decode(body, count: count, in: context)
    }
}
