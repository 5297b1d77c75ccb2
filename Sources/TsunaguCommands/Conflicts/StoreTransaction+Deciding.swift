// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension StoreTransaction {
    /// The open conflict of a record's group that one of some fields belongs to.
    func undecided(_ rid: Int64, _ fields: [String]) throws -> ConflictRow? {
        try conflicts(rid: rid).first { conflict in
            conflict.group?.fields.contains { fields.contains($0.name) } == true
        }
    }

    /// Fails with 75 where a write would decide a conflict in passing: whoever decides sees all values and says why.
    func requireDecided(_ row: StoredRecord, _ fields: [String]) throws {
        guard let conflict = try undecided(row.rid, fields) else { return }
        throw CommandError(
            .tryAgain,
            Localized(
                ja: "\(conflict.group?.label ?? "")は競合 \(conflict.id) で決める途中です",
                en: "\(conflict.group?.name ?? "") is being decided in conflict \(conflict.id)"
            ),
            record: row.id.description,
            hint: Localized(
                ja: "tsunagu conflict resolve \(conflict.id) で決めてください",
                en: "decide it with 'tsunagu conflict resolve \(conflict.id)'"
            )
        )
    }

    /// Why no value of an open case is taken or written, where it is one that has none; `nil` where it is no such case.
    func undecidable(_ id: String) throws -> CommandError? {
        let others = try findings() + quarantineCases(Places(self))
        guard let open = others.first(where: { $0.id.utf8.elementsEqual(id.utf8) }) else { return nil }
        if open.kind == .quarantine {
            return CommandError(
                .usage,
                Localized(
                    ja: "\(id) は隔離された変更で、選ぶ値はありません",
                    en: "\(id) is a quarantined change, which has no values to choose from"
                ),
                record: id,
                hint: Localized(
                    ja: "有効にするなら tsunagu conflict resolve \(id) --adopt",
                    en: "to let it count: 'tsunagu conflict resolve \(id) --adopt'"
                )
            )
        }
        return CommandError(
            .usage,
            Localized(
                ja: "\(id) は要確認（\(open.code)）で、選ぶ値はありません。記録を直すと消えます",
                en:
                    "\(id) is a finding (\(open.code)), which has no values to choose from; it goes when the records are put right"
            ),
            record: id,
            hint: Localized(
                ja: "tsunagu conflict show \(id) が挙げる記録を確かめ、直すか取り消してください",
                en: "look at the records that 'tsunagu conflict show \(id)' names, and correct or cancel one"
            )
        )
    }
}
