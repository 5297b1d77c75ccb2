// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The body of an operation on a set, log, counter, ledger or flow: what is added to the group, and for a set what is
/// removed.
package struct Items: Hashable, Sendable {
    /// One addition.
    package struct Item: Hashable, Sendable {
        /// 1 + the greatest depth its author saw in that list, so that a reply never sorts before its cause whatever
        /// the clocks say; 0 in a set.
        package var depth: UInt64
        /// What the class makes of it: a text, an amount, a transition.
        package var content: [UInt8]

        package init(depth: UInt64 = 0, _ content: [UInt8]) {
            self.depth = depth
            self.content = content
        }
    }

    /// What is added, in order; an item's place is part of its name.
    package var added: [Item]
    /// Elements whose additions that the author saw are taken out of the set.
    package var removed: [[UInt8]]

    package static let countMax = 4096
    /// A reply adds one to the greatest depth it saw: what is beyond every honest list must not make it overflow.
    package static let depthMax: UInt64 = 1 << 32

    package init(added: [Item] = [], removed: [[UInt8]] = []) {
        self.added = added
        self.removed = removed
    }

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        out.appendVarint(UInt64(added.count))
        for item in added {
            out.appendVarint(item.depth)
            out.appendPrefixed(item.content)
        }
        out.appendVarint(UInt64(removed.count))
        for element in removed { out.appendPrefixed(element) }
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        self.init()
        for _ in 0..<(try reader.varint("items", atMost: UInt64(Items.countMax))) {
            let depth = UInt64(try reader.varint("depth", atMost: Items.depthMax))
            added.append(Item(depth: depth, Array(try reader.prefixed("item", atMost: Slot.bytesMax))))
        }
        for _ in 0..<(try reader.varint("removals", atMost: UInt64(Items.countMax))) {
            removed.append(Array(try reader.prefixed("element", atMost: Slot.bytesMax)))
        }
        try reader.expectEnd()
    }
}
