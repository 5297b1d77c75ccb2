// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// How many residents a search answers with where nobody says otherwise.
    package static let findLimit = 50

    /// Residents by any part of name, kana, number or phone: every word of the text must be found, folded.
    ///
    /// A word without a digit may run from 氏 into 名, since people write names without a space.
    ///
    /// - Parameter all: finds deleted ones too.
    /// - Complexity: one pass over the keys of the register.
    package func findResidents(_ text: String, all: Bool = false, limit: Int = findLimit) throws -> [RecordView] {
        let words = text.unicodeScalars.split(whereSeparator: \.properties.isWhitespace).map {
            SearchKey.fold(String($0))
        }
        .filter { !$0.isEmpty }
        guard !words.isEmpty else {
            throw CommandError(
                .usage,
                Localized(ja: "探す言葉がありません", en: "there is nothing to look for"),
                hint: Localized(ja: "氏名、カナ、番号、電話の一部を書いてください", en: "write a part of name, kana, number or phone")
            )
        }
        var conditions = words.map { word in
            // Digits stay inside their field: the end of a number and the start of a phone number are no number.
            word.utf8.contains { 48...57 ~= $0 }
                ? "instr(search, ?) > 0" : "instr(replace(search, char(10), ''), ?) > 0"
        }
        if !all { conditions.append("deleted = 0") }
        let condition = conditions.joined(separator: " AND ") + " ORDER BY family_kana, given_kana, number, id"
        return try read { transaction in
            try transaction.requireHeld(.residents)
            let places = try Places(transaction)
            return try transaction.records(
                WardSchema.resident,
                where: condition,
                words.map { .text($0) },
                limit: limit
            ).map { try transaction.view($0, places, entries: false) }
        }
    }
}

extension StoreTransaction {
    /// Fails with 77 where this site does not hold a space: an empty answer would say that there is nothing.
    func requireHeld(_ space: SpaceID) throws {
        guard try spaces().contains(space) else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "この端末は \(space) を持っていません", en: "this device does not hold \(space)"),
                hint: Localized(ja: "本庁に権限を依頼してください", en: "ask the ward office for a grant")
            )
        }
    }
}
