// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// What was kept of a newer schema's operations, shown once this program knows the schema too.
extension StoreTransaction {
    func showNews(_ news: [SchemaTables.News]) throws {
        for item in news {
            let rids = try item.isNewTable ? openRows(item.collection) : touched(by: item)
            for rid in rids { try rederive(rid) }
            try refreshSearch(item.collection)
        }
    }

    /// Gives the records of a collection that had no table their rows.
    private func openRows(_ collection: CollectionSchema) throws -> [Int64] {
        let insert = try statement(
            "INSERT INTO \(collection.name)(rid, id, space) SELECT rid, id, space FROM record WHERE collection = ?"
        )
        insert.bind(1, collection.number)
        try insert.run()
        return try rids("SELECT rid FROM \(collection.name)")
    }

    /// The records on which something stands that has a place only now; and those on which sites differ, since a group
    /// may ask a person now that did not before.
    private func touched(by news: SchemaTables.News) throws -> [Int64] {
        let new = Set(news.fields.map(\.number))
        let fields = new.reduce(into: FieldMask(0)) { $0 |= 1 << FieldMask($1) }
        let registers = news.collection.groups.filter { $0.kind.mergeClass == .register }
        var out: [Int64] = []
        let select = try statement("SELECT rid, meta FROM record WHERE collection = ?")
        select.bind(1, news.collection.number)
        while try select.step() {
            let meta = try RecordMeta(decoding: select.blob(1))
            if meta.sources.contains(where: { $0.fields & fields != 0 })
                || registers.contains(where: { meta.heads(of: $0.number).count > 1 })
            {
                out.append(select.int(0))
            }
        }
        var seen = Set(out)
        for group in news.collection.groups
        where group.kind.mergeClass != .register && group.fields.contains(where: { new.contains($0.number) }) {
            let holders = try rids(
                "SELECT DISTINCT rid FROM item JOIN record USING(rid) WHERE grp = ? AND collection = ?",
                Int64(group.number),
                Int64(news.collection.number)
            )
            out += holders.filter { seen.insert($0).inserted }
        }
        return out
    }

    /// A newer schema may look through other fields, or fold them otherwise.
    private func refreshSearch(_ collection: CollectionSchema) throws {
        guard SchemaTables.hasSearch(collection) else { return }
        for rid in try rids("SELECT rid FROM \(collection.name)") { try updateSearch(rid, collection) }
    }

    private func rids(_ sql: String, _ arguments: Int64...) throws -> [Int64] {
        let select = try statement(sql)
        for (index, argument) in arguments.enumerated() { select.bind(Int32(index + 1), argument) }
        var out: [Int64] = []
        while try select.step() { out.append(select.int(0)) }
        return out
    }
}
