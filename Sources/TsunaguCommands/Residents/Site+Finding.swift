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
        let typed = text.unicodeScalars.split(whereSeparator: \.properties.isWhitespace).map { String($0) }
        let words = typed.map(SearchKey.fold).filter { !$0.isEmpty }
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
        return try reading(.find) { transaction in
            try transaction.requireHeld(.residents)
            let scope = try transaction.residentScope(self)
            if try !transaction.showsProtected(self), try transaction.isMarked(words: typed) {
                throw CommandError.askWardOffice
            }
            let places = try Places(transaction)
            let rows = try transaction.records(
                WardSchema.resident,
                where: (conditions + [scope]).joined(separator: " AND ")
                    + " ORDER BY family_kana, given_kana, number, id",
                words.map { .text($0) },
                limit: limit
            )
            return (try rows.map { try transaction.view($0, places, entries: false) }, transaction.seen(rows))
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
