// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// An item with the record that it belongs to.
package struct OwnedItem: Sendable {
    package let rid: Int64
    package let id: RecordID
    /// Whether the record is deleted.
    package let deleted: Bool
    package let group: UInt32
    package var item: StoreTransaction.ItemRow
}

extension StoreTransaction {
    /// The items of some groups of all records that meet a condition: by record, then by group, then in list order.
    ///
    /// One query, where asking record by record would be two for each.
    package func items(
        of collection: CollectionSchema,
        groups: [MergeGroup],
        where condition: String,
        _ arguments: [Value]
    ) throws -> [OwnedItem] {
        let numbers = groups.map { String($0.number) }.joined(separator: ", ")
        let select = try statement(
            """
            SELECT r.rid, r.id, r.deleted, i.grp, i.author, i.seq, i.idx, i.depth, i.timestamp, i.content
            FROM \(collection.name) r JOIN item i ON i.rid = r.rid JOIN author a ON a.no = i.author
            WHERE i.grp IN (\(numbers)) AND (\(condition))
            ORDER BY r.rid, i.grp, i.depth, i.timestamp, a.replica, i.seq, i.idx
            """
        )
        for (index, argument) in arguments.enumerated() { select.bind(Int32(index + 1), argument) }
        var out: [OwnedItem] = []
        while try select.step() {
            let item = ItemRow(
                dot: Dot(try replica(select.number(4)), select.unsigned(5)),
                index: Int(select.int(6)),
                depth: select.unsigned(7),
                timestamp: Timestamp(raw: UInt64(bitPattern: select.int(8))),
                content: select.bytes(9)
            )
            out.append(
                OwnedItem(
                    rid: select.int(0),
                    id: RecordID(bytes: select.bytes(1))!,
                    deleted: select.int(2) != 0,
                    group: select.number(3),
                    item: item
                )
            )
        }
        return out
    }

    /// Where a record stands among the entries of a change: what orders the things of one change, at every site alike.
    package func place(of id: RecordID, _ collection: CollectionSchema, in dot: Dot, _ space: SpaceID) throws -> Int? {
        guard let row = try self.space(space), let author = try knownAuthor(dot.replica),
            let run = try run(row, author, containing: dot.seq),
            let change = run.changes.first(where: { $0.header.dot.seq == dot.seq })
        else { return nil }
        return change.payload.entries.firstIndex { $0.id == id && $0.shape.collection == collection.number }
    }

    /// Whether a change gave a record its id: nobody else can have made that record.
    package func isCreation(
        of id: RecordID,
        _ collection: CollectionSchema,
        in dot: Dot,
        _ space: SpaceID
    ) throws -> Bool {
        guard let row = try self.space(space), let author = try knownAuthor(dot.replica) else { return false }
        // The record's row names one change that created it: nearly always this one, and no run has to be read.
        let named = try statement(
            """
            SELECT 1 FROM record
            WHERE id = ? AND space = ? AND collection = ? AND author = ? AND seq = ? AND entry >= 0
            """
        )
        named.bind(1, id.bytes)
        named.bind(2, row.no)
        named.bind(3, collection.number)
        named.bind(4, author)
        named.bind(5, dot.seq)
        let isNamed = try named.step()
        named.reset()
        if isNamed { return true }
        guard let run = try run(row, author, containing: dot.seq),
            let change = run.changes.first(where: { $0.header.dot.seq == dot.seq })
        else { return false }
        return change.payload.entries.contains {
            $0.id == id && $0.shape.collection == collection.number && $0.reference == .created
        }
    }

    /// The header of a change in the log.
    package func header(of dot: Dot, in space: SpaceID) throws -> ChangeHeader? {
        guard let row = try self.space(space), let author = try knownAuthor(dot.replica),
            let run = try run(row, author, containing: dot.seq)
        else { return nil }
        return run.changes.first { $0.header.dot.seq == dot.seq }?.header
    }
}
