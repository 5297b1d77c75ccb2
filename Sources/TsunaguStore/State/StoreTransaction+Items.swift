// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Groups that are no registers: their live items, and the column that shows them.
extension StoreTransaction {
    func applyItems(
        _ rid: Int64,
        _ entry: EntryView,
        _ space: SpaceRow,
        covers: (LocalDot) -> Bool
    ) throws {
        for (index, operation) in entry.shape.operations.enumerated() where operation.mergeClass != .register {
            let items = try Items(decoding: entry.slots[entry.plan.slotStarts[index]].bytes)
            if !items.removed.isEmpty { try remove(items.removed, rid, operation.group, space, covers) }
            for (place, item) in items.added.enumerated() {
                let live = RecordHistory.LiveItem(
                    dot: entry.dot,
                    timestamp: entry.timestamp,
                    leaf: entry.leaf,
                    index: place,
                    item: item
                )
                try insert(live, rid, operation.group)
                space.add(SpaceDigest(leaf: entry.leaf, group: operation.group, item: place))
            }
            if let group = entry.plan.collection?.group(operation.group), group.kind.mergeClass == operation.mergeClass
            {
                itemsToShow[ShownGroup(rid: rid, group: group.number)] = (entry.plan.collection!, group)
            }
        }
    }

    /// Shows the groups whose items moved: once for all the changes that moved them.
    func showMovedItems() throws {
        let moved = itemsToShow.sorted { ($0.key.rid, $0.key.group) < ($1.key.rid, $1.key.group) }
        itemsToShow = [:]
        for (key, (collection, group)) in moved { try showItems(key.rid, collection, group) }
    }

    /// A group of a record whose column is behind its items.
    struct ShownGroup: Hashable {
        let rid: Int64
        let group: UInt32
    }

    func insert(_ live: RecordHistory.LiveItem, _ rid: Int64, _ group: UInt32) throws {
        let insert = try statement(
            """
            INSERT INTO item(rid, grp, author, seq, idx, depth, timestamp, leaf, content)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        )
        insert.bind(1, rid)
        insert.bind(2, group)
        insert.bind(3, live.dot.author)
        insert.bind(4, live.dot.seq)
        insert.bind(5, live.index)
        insert.bind(6, live.item.depth)
        insert.bind(7, Int64(bitPattern: live.timestamp.raw))
        insert.bind(8, live.leaf)
        insert.bind(9, live.item.content)
        try insert.run()
    }

    private func remove(
        _ elements: [[UInt8]],
        _ rid: Int64,
        _ group: UInt32,
        _ space: SpaceRow,
        _ covers: (LocalDot) -> Bool
    ) throws {
        let delete = try statement(
            "DELETE FROM item WHERE rid = ? AND grp = ? AND author = ? AND seq = ? AND idx = ?"
        )
        for live in try items(rid, group)
        where elements.contains(live.item.content)
            && (covers(live.dot) || Mutant.removalWins.isPlanted)
        {
            delete.bind(1, rid)
            delete.bind(2, group)
            delete.bind(3, live.dot.author)
            delete.bind(4, live.dot.seq)
            delete.bind(5, live.index)
            try delete.run()
            space.add(SpaceDigest() - SpaceDigest(leaf: live.leaf, group: group, item: live.index))
        }
    }

    /// A group's live items in list order: (depth, timestamp, replica, seq, index).
    ///
    /// A stamp is unsigned, SQLite's number is not: the last half of the range follows the first.
    func items(_ rid: Int64, _ group: UInt32) throws -> [RecordHistory.LiveItem] {
        let select = try statement(
            """
            SELECT author, item.seq, idx, depth, timestamp, leaf, content FROM item JOIN author ON author.no = author
            WHERE rid = ? AND grp = ?
            ORDER BY \(Mutant.clocksOrderLists.isPlanted ? "" : "depth,") timestamp < 0, timestamp, replica, item.seq, idx
            """
        )
        select.bind(1, rid)
        select.bind(2, group)
        var out: [RecordHistory.LiveItem] = []
        while try select.step() {
            out.append(
                RecordHistory.LiveItem(
                    dot: LocalDot(author: select.number(0), seq: select.unsigned(1)),
                    timestamp: Timestamp(raw: UInt64(bitPattern: select.int(4))),
                    leaf: Bytes16(select.bytes(5)) ?? Bytes16(0),
                    index: Int(select.int(2)),
                    item: Items.Item(depth: select.unsigned(3), select.bytes(6))
                )
            )
        }
        return out
    }

    /// Writes the typed column of a set, a flow or a counter, and keeps the conflict of a flow.
    func showItems(_ rid: Int64, _ collection: CollectionSchema, _ group: MergeGroup) throws {
        guard group.kind.mergeClass != .register, group.kind.hasColumn else { return }
        let items = try items(rid, group.number)
        let space = try forkedSpace(of: rid)
        let value = try shownValue(group, items, in: space)
        try writeColumns(rid, collection, [(group.fields[0], value)], deleted: nil)
        guard let flow = try flow(group, items, in: space) else { return }
        if flow.isContested {
            try openConflict(rid, group.number, liveDots(flow))
        } else {
            try closeConflict(rid, group.number)
        }
    }

    /// What the column of a group shows of its live items, which stand in list order.
    ///
    /// - Parameter space: where they are; `nil` where no chain forked there.
    func shownValue(_ group: MergeGroup, _ items: [RecordHistory.LiveItem], in space: SpaceID?) throws -> Value {
        switch group.kind {
        case .set: return .text(JSONText.array(items.map(\.item.content)))
        case .flow:
            let flow = try flow(group, items, in: space)
            return flow.flatMap { $0.standing.isEmpty ? nil : .text($0.state) } ?? .null
        case .counter: return .integer(Tally.sum(items.map(\.item.content)))
        case .latest, .review, .log, .seats: return .null
        }
    }

    /// Where a flow stands; `nil` for another kind.
    ///
    /// - Parameter space: where it is; `nil` where no chain forked there.
    func flow(_ group: MergeGroup, _ items: [RecordHistory.LiveItem], in space: SpaceID?) throws -> FlowState? {
        guard let machine = group.machine else { return nil }
        let steps = try items.compactMap { live in
            let replica = try replica(live.dot.author)
            return try Transition(live.item.content).map { transition in
                FlowStep(
                    dot: Dot(replica, live.dot.seq),
                    place: live.index,
                    depth: live.item.depth,
                    timestamp: live.timestamp,
                    transition: try named(transition, by: replica, in: space)
                )
            }
        }
        return FlowState(steps, machine)
    }

    /// Where a flow of a record stands; `nil` for a group of another kind.
    package func flow(of rid: Int64, _ group: MergeGroup) throws -> FlowState? {
        try flow(group, items(rid, group.number), in: forkedSpace(of: rid))
    }

    /// The changes that a contested flow's conflict is about.
    func liveDots(_ flow: FlowState) throws -> Set<LocalDot> {
        Set(try flow.standing.compactMap(\.dot).map { LocalDot(author: try author($0.replica), seq: $0.seq) })
    }
}

/// The JSON that a set's column holds.
package enum JSONText {
    /// An array of strings, each once, in byte order.
    package static func array(_ elements: [[UInt8]]) -> String {
        let unique = Set(elements).sorted { $0.lexicographicallyPrecedes($1) }
        return "[" + unique.map { string(String(decoding: $0, as: UTF8.self)) }.joined(separator: ",") + "]"
    }

    /// A string in quotes, with the escapes that JSON requires and no others.
    package static func string(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20: out += "\\u00" + Hex.encode([UInt8(scalar.value)])
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
