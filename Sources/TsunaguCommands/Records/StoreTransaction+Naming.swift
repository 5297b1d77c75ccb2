// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

/// How a person names a record: by the key that the office uses (宛名番号, code), by its id, or by the beginning of that.
extension StoreTransaction {
    /// The one record that is meant.
    ///
    /// A live record's key stands above a deleted one's, and both above the beginning of an id.
    ///
    /// - Parameters:
    ///   - key: the field that the office names records by.
    ///   - isShown: whether a record may be meant at all.
    /// - Throws: 66 where there is none, 65 with the candidates where there are several.
    package func find(
        _ collection: CollectionSchema,
        _ name: String,
        key: Field?,
        where isShown: (StoredRecord) throws -> Bool = { _ in true }
    ) throws -> StoredRecord {
        if let key, !name.isEmpty {
            let byKey = try records(
                collection,
                where: "\(key.name) = ? ORDER BY deleted, id",
                [.text(name)],
                limit: 20
            ).filter(isShown)
            let live = byKey.filter { !$0.deleted }
            let named = live.isEmpty ? byKey : live
            if named.count > 1 { throw Self.ambiguous(collection, name, named) }
            if let only = named.first { return only }
        }
        let byID = try records(collection, idPrefix: name).filter(isShown)
        if byID.count > 1 { throw Self.ambiguous(collection, name, byID) }
        guard let only = byID.first else { throw try notFound(collection, name) }
        return only
    }

    /// Nothing of the name is held here, or it is among what a damaged table lost.
    private func notFound(_ collection: CollectionSchema, _ name: String) throws -> CommandError {
        guard try lacksRows(collection) else { return CommandError.notFound(collection, name) }
        return CommandError(
            .notFound,
            Localized(
                ja: "\(collection.label)が見つかりません: \(name)。\(collection.label)の表から行が失われています",
                en: "there is no \(collection.name) '\(name)' here, and rows of that table are lost"
            ),
            record: name,
            hint: Localized(
                ja: "tsunagu doctor --repair で変更の記録から作り直せます",
                en: "'tsunagu doctor --repair' works them out anew from the log"
            )
        )
    }

    private static func ambiguous(_ collection: CollectionSchema, _ name: String, _ found: [StoredRecord])
        -> CommandError
    {
        let candidates = found.map(\.id.description).joined(separator: ", ")
        return CommandError(
            .badInput,
            Localized(
                ja: "「\(name)」に当たる\(collection.label)が複数あります: \(candidates)",
                en: "'\(name)' names more than one \(collection.name): \(candidates)"
            ),
            record: name,
            hint: Localized(ja: "id をもっと長く指定してください", en: "give more of the id")
        )
    }
}

extension CommandError {
    /// Nothing of the name is held here.
    static func notFound(_ collection: CollectionSchema, _ name: String) -> CommandError {
        CommandError(
            .notFound,
            Localized(ja: "\(collection.label)が見つかりません: \(name)", en: "there is no \(collection.name) '\(name)' here"),
            record: name,
            hint: Localized(
                ja: "番号か id を確かめるか、同期してからやり直してください",
                en: "check the number or id, or sync and try again"
            )
        )
    }

    /// A record that is deleted cannot be worked on.
    static func deleted(_ row: StoredRecord) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "\(row.collection.label)は削除されています: \(row.id)",
                en: "the \(row.collection.name) \(row.id) is deleted"
            ),
            record: row.id.description,
            hint: row.collection.name == "resident"
                ? Localized(ja: "tsunagu resident revive で戻せます", en: "'tsunagu resident revive' brings it back") : nil
        )
    }
}
