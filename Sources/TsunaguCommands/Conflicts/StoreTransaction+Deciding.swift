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
}
