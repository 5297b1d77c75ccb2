// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What records add to their space's digest, from what is live of them, not from the sum that is kept.
extension StoreTransaction {
    /// Each record's sum, by id; records of several collections under one id are one.
    ///
    /// - Complexity: one pass over the range, by the index on ids.
    package func forEachSum(
        in id: SpaceID,
        _ range: RecordPrefix,
        _ body: (RecordID, SpaceDigest) throws -> Void
    ) throws {
        guard let space = try space(id) else { return }
        let select = try statement(
            """
            SELECT record.rid, id, meta, grp, idx, leaf FROM record LEFT JOIN item ON item.rid = record.rid
            WHERE id BETWEEN ? AND ? AND space = ? ORDER BY id, collection
            """
        )
        select.bind(1, range.first.bytes)
        select.bind(2, range.last.bytes)
        select.bind(3, space.no)
        defer { select.reset() }
        var current: (id: RecordID, rid: Int64, sum: SpaceDigest)?
        while try select.step() {
            guard let id = RecordID(bytes: select.bytes(1)) else { continue }
            let rid = select.int(0)
            if current?.id != id {
                if let current { try body(current.id, current.sum) }
                current = (id, 0, SpaceDigest())
            }
            if current?.rid != rid {
                current!.rid = rid
                // Bytes that cannot be read add nothing, which is another sum than that of any other site.
                if let meta = try? RecordMeta(decoding: select.blob(2)) { current!.sum += meta.digest }
            }
            guard !select.isNull(3) else { continue }
            let leaf = Bytes16(select.bytes(5)) ?? Bytes16(0)
            current!.sum += SpaceDigest(leaf: leaf, group: select.number(3), item: Int(select.int(4)))
        }
        if let current { try body(current.id, current.sum) }
    }

    /// What one row of the table of records adds, as it is stored.
    func storedSum(_ rid: Int64) throws -> SpaceDigest {
        let select = try statement("SELECT meta FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return SpaceDigest() }
        var sum = (try? RecordMeta(decoding: select.blob(0)).digest) ?? SpaceDigest()
        select.reset()
        let items = try statement("SELECT grp, idx, leaf FROM item WHERE rid = ?")
        items.bind(1, rid)
        while try items.step() {
            let leaf = Bytes16(items.bytes(2)) ?? Bytes16(0)
            sum += SpaceDigest(leaf: leaf, group: items.number(0), item: Int(items.int(1)))
        }
        return sum
    }
}
