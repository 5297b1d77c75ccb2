// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

extension WardSchema {
    static let procedureCode = procedure.field(named: "code")!.field
}

extension Site {
    /// The procedures of the guide by code; those that hold all words of `text` where one is given.
    package func procedures(matching text: String? = nil, all: Bool = false) throws -> [RecordView] {
        let words = (text ?? "").unicodeScalars.split(whereSeparator: \.properties.isWhitespace)
            .map { SearchKey.fold(String($0)) }.filter { !$0.isEmpty }
        var conditions = words.map { _ in "instr(search, ?) > 0" }
        if !all { conditions.append("deleted = 0") }
        let condition = (conditions.isEmpty ? "1" : conditions.joined(separator: " AND ")) + " ORDER BY code, id"
        return try read { transaction in
            try transaction.requireHeld(.procedures)
            let places = try Places(transaction)
            return try transaction.records(WardSchema.procedure, where: condition, words.map { .text($0) })
                .map { try transaction.view($0, places) }
        }
    }

    /// One procedure by its code or id.
    package func procedure(_ name: String) throws -> RecordView {
        try read { transaction in
            try transaction.view(
                transaction.find(WardSchema.procedure, name, key: WardSchema.procedureCode),
                Places(transaction)
            )
        }
    }

    /// Writes what assignments change in a procedure.
    package func setProcedure(_ name: String, _ words: [String]) throws -> (id: RecordID, changed: [String]) {
        let assignments = try FieldAssignment.parse(words, WardSchema.procedure, record: name)
        guard !assignments.isEmpty else {
            throw CommandError(.usage, Localized(ja: "項目=値 がありません", en: "there is no field=value"))
        }
        try FieldAssignment.requireFilled(["code", "name"], assignments, WardSchema.procedure, record: name)
        return try write { transaction in
            try transaction.requireWrite(self, .procedures)
            let row = try transaction.find(WardSchema.procedure, name, key: WardSchema.procedureCode)
            guard !row.deleted else { throw CommandError.deleted(row) }
            return (row.id, try transaction.draft(.procedures, by: person).write(assignments, to: row, transaction))
        }
    }
}
