// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A record from all the operations in effect on it: the definition of its state.
///
/// The store keeps the same state step by step and comes back here where the step needs the past.
package struct RecordHistory {
    /// One change's operations on the record.
    package struct Entry {
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var leaf: Bytes16
        package var shape: Shape
        /// One value a slot of the shape.
        package var values: [Value]
        /// Whether its author had seen a change.
        package var covers: (LocalDot) -> Bool

        package init(
            dot: LocalDot,
            timestamp: Timestamp,
            leaf: Bytes16,
            shape: Shape,
            values: [Value],
            covers: @escaping (LocalDot) -> Bool
        ) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
            self.shape = shape
            self.values = values
            self.covers = covers
        }

        /// The operations with their values.
        package var operations: [(operation: Shape.Operation, values: ArraySlice<Value>)] {
            var start = 0
            return shape.operations.map { operation in
                defer { start += operation.fields.count }
                return (operation, values[start..<start + operation.fields.count])
            }
        }

        /// What the change says about the record's life: every write of a register or a set says that it lives.
        package var life: Bool? {
            var deletes: Bool?
            for (operation, values) in operations {
                if operation.group == 0 { return values.first != .null }
                if operation.mergeClass == .register || operation.mergeClass == .set { deletes = false }
            }
            return deletes
        }
    }

    /// A live item.
    package struct LiveItem: Hashable, Sendable {
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var leaf: Bytes16
        package var index: Int
        package var item: Items.Item

        package init(dot: LocalDot, timestamp: Timestamp, leaf: Bytes16, index: Int, item: Items.Item) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
            self.index = index
            self.item = item
        }
    }

    /// The record's state.
    package struct State {
        /// Liveness of life and of all register groups.
        package var meta = RecordMeta()
        /// Each register group.
        package var registers: [UInt32: GroupState] = [:]
        /// The live items of each other group that was ever written, none where all are gone.
        package var items: [UInt32: [LiveItem]] = [:]

        /// What it adds to the digest of its space.
        package var digest: SpaceDigest {
            items.reduce(meta.digest) { sum, group in
                group.value.reduce(sum) { $0 + SpaceDigest(leaf: $1.leaf, group: group.key, item: $1.index) }
            }
        }
    }

    package static func evaluate(_ entries: [Entry]) throws(CodecError) -> State {
        var state = State()
        var writes: [UInt32: [GroupState.Write]] = [:]
        var removals: [(group: UInt32, element: [UInt8], covers: (LocalDot) -> Bool)] = []
        for entry in entries {
            for (operation, values) in entry.operations where operation.group != 0 {
                if operation.mergeClass == .register {
                    writes[operation.group, default: []].append(
                        GroupState.Write(
                            dot: entry.dot,
                            timestamp: entry.timestamp,
                            leaf: entry.leaf,
                            members: Array(zip(operation.fields, values)),
                            covers: entry.covers
                        )
                    )
                } else {
                    guard case .bytes(let body)? = values.first else { throw .invalid("the body of an operation") }
                    let items = try body.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
                    state.items[operation.group, default: []] += []
                    for (index, item) in items.added.enumerated() {
                        state.items[operation.group, default: []].append(
                            LiveItem(
                                dot: entry.dot,
                                timestamp: entry.timestamp,
                                leaf: entry.leaf,
                                index: index,
                                item: item
                            )
                        )
                    }
                    removals += items.removed.map { (operation.group, $0, entry.covers) }
                }
            }
        }
        for removal in removals {
            state.items[removal.group]?.removeAll {
                $0.item.content == removal.element && (removal.covers($0.dot) || Mutant.removalWins.isPlanted)
            }
        }
        for (group, writes) in writes.sorted(by: { $0.key < $1.key }) {
            let result = GroupState.evaluate(writes)
            state.registers[group] = result
            let fields = writes.reduce(into: FieldMask(0)) { mask, write in
                for member in write.members { mask |= 1 << FieldMask(member.field) }
            }
            state.meta.set(group: group, groupFields: fields, to: result)
        }
        let lives = entries.compactMap { entry in entry.life.map { (entry, $0) } }
        for (entry, deletes) in lives where !lives.contains(where: { $0.0.covers(entry.dot) }) {
            var source = RecordMeta.Source(dot: entry.dot, timestamp: entry.timestamp, leaf: entry.leaf)
            source.deletes = deletes
            state.meta.replace(group: 0, groupFields: 1, with: source, members: 1, covers: { _ in false })
        }
        return state
    }
}
