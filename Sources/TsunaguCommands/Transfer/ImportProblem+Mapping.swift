// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguWard

/// What can be wrong with a mapping file.
extension ImportProblem {
    private init(
        _ place: ColumnMapping.Place,
        _ code: String,
        value: ExactText? = nil,
        _ message: Localized,
        hint: Localized
    ) {
        self.init(
            line: place.line,
            code: code,
            column: place.path,
            value: value.map { RowProblem.safe($0.utf8) },
            message,
            hint: hint
        )
    }

    static func noJSON(_ error: JSONNode.SyntaxError) -> ImportProblem {
        ImportProblem(
            line: error.line,
            code: "mapping_syntax",
            Localized(ja: "\(error.column)バイト目から JSON として読めません", en: "no JSON from byte \(error.column) on"),
            hint: Localized(ja: "引用符、コンマ、括弧の対応を確かめてください", en: "look for a quote, comma or bracket that is missing")
        )
    }

    static func foreign(_ encoding: ForeignEncoding, _ bytes: [UInt8]) -> ImportProblem {
        // No character of several bytes holds a line feed.
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let line = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
        return ImportProblem(
            line: line + 1,
            code: RowProblem.Code.notUTF8.rawValue,
            Localized(ja: encoding.what.ja, en: encoding.what.en),
            hint: Localized(ja: encoding.remedy.ja, en: encoding.remedy.en)
        )
    }

    static func noMapping(_ place: ColumnMapping.Place, _ kind: TransferFile) -> ImportProblem {
        let start = "{\"format\": \"\(ColumnMapping.format)\", \"kind\": \"\(kind.rawValue)\", \"columns\": […]}"
        return ImportProblem(
            place,
            "mapping_type",
            Localized(ja: "読み替えの形ではありません", en: "it has not the form of a mapping"),
            hint: Localized(
                ja: "\(start) の形にしてください（例: Examples/mappings）",
                en: "give it the form \(start) (see Examples/mappings)"
            )
        )
    }

    static func emptySeparator(_ place: ColumnMapping.Place) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_separator",
            Localized(ja: "区切りが空です", en: "the separator is empty"),
            hint: Localized(
                ja: "値の間にある文字を書いてください。例: \"、\"。分けないなら消してください",
                en: "write what stands between the parts, such as \",\"; remove it where nothing is to be split"
            )
        )
    }

    static func unknownKey(_ place: ColumnMapping.Place, known: [String]) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_key",
            Localized(ja: "知らないキーです", en: "this key is unknown"),
            hint: Localized(
                ja: "消すか、次のどれかに改めてください: " + known.joined(separator: "、"),
                en: "remove it, or name it one of: " + known.joined(separator: ", ")
            )
        )
    }

    static func missingKey(_ place: ColumnMapping.Place, _ key: String) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_key",
            Localized(ja: "\(key) がありません", en: "'\(key)' is missing"),
            hint: Localized(ja: "\(key) を加えてください", en: "add '\(key)'")
        )
    }

    static func wrongType(_ place: ColumnMapping.Place, expected: Localized) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_type",
            Localized(ja: "\(expected.ja)ではありません", en: "it is not \(expected.en)"),
            hint: Localized(ja: "\(expected.ja)にしてください", en: "write \(expected.en)")
        )
    }

    static func useless(_ place: ColumnMapping.Place, needs: Localized) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_key",
            Localized(ja: "\(needs.ja)がなければ意味を持ちません", en: "it means something only with \(needs.en)"),
            hint: Localized(ja: "消してください", en: "remove it")
        )
    }

    static func other(_ key: String, _ place: ColumnMapping.Place, _ value: ExactText, expected: String)
        -> ImportProblem
    {
        ImportProblem(
            place,
            "mapping_\(key)",
            value: value,
            Localized(ja: "\(expected) ではありません", en: "it is not \(expected)"),
            hint: key == "kind"
                ? Localized(ja: "この種類の取込みに合う読み替えを指定してください", en: "give the mapping for this kind of import")
                : Localized(ja: "\(expected) と書いてください", en: "write \(expected)")
        )
    }

    static func namedTwice(_ place: ColumnMapping.Place, _ name: ExactText) -> ImportProblem {
        ImportProblem(
            place,
            "mapping_twice",
            value: name,
            Localized(ja: "二度書かれています", en: "it is named twice"),
            hint: Localized(ja: "一つだけ残してください", en: "keep one of them")
        )
    }

    static func unknownField(_ place: ColumnMapping.Place, _ name: ExactText, _ columns: [FileColumn]) -> ImportProblem
    {
        ImportProblem(
            place,
            "unknown_field",
            value: name,
            Localized(ja: "この種類の記録にない項目です", en: "records of this kind have no such field"),
            hint: Localized(
                ja: "次のどれかにしてください: " + columns.map(\.label).joined(separator: "、"),
                en: "name one of: " + columns.map(\.name).joined(separator: ", ")
            )
        )
    }

    static func twoSources(_ place: ColumnMapping.Place, _ field: FileColumn, first: ColumnMapping.Place)
        -> ImportProblem
    {
        ImportProblem(
            place,
            "two_sources",
            value: ExactText(field.name),
            Localized(
                ja: "\(field.label)には \(first.path)（\(first.line)行目）も書き込みます",
                en: "\(first.path) (line \(first.line)) writes this field too"
            ),
            hint: Localized(ja: "一つの項目の元は一つにしてください", en: "leave one source for it")
        )
    }

    static func withoutSource(_ place: ColumnMapping.Place, _ field: FileColumn) -> ImportProblem {
        ImportProblem(
            place,
            "missing_column",
            value: ExactText(field.name),
            Localized(ja: "必要な項目 \(field.label) の元がありません", en: "nothing writes the required field \(field.name)"),
            hint: Localized(ja: "列か constants を加えてください", en: "add a column or a constant for it")
        )
    }

    static func empty(_ place: ColumnMapping.Place, _ field: FileColumn) -> ImportProblem {
        ImportProblem(
            place,
            "empty",
            Localized(ja: "必要な項目 \(field.label) が空になります", en: "it would empty the required field \(field.name)"),
            hint: Localized(ja: "値を書いてください", en: "write a value")
        )
    }

    /// A column that a mapping names and a file does not have, with the columns that it has instead.
    static func absentColumn(_ place: ColumnMapping.Place, _ name: ExactText, others: [String]) -> ImportProblem {
        ImportProblem(
            place,
            "missing_column",
            value: name,
            Localized(ja: "取り込むファイルにこの列がありません", en: "the file to import has no such column"),
            hint: others.isEmpty
                ? Localized(ja: "この行を消してください", en: "remove it")
                : Localized(
                    ja: "消すか、残りの列のどれかに改めてください: " + others.joined(separator: "、"),
                    en: "remove it, or name one of the columns left over: " + others.joined(separator: ", ")
                )
        )
    }
}

/// What can be wrong with a file under a mapping.
extension ImportProblem {
    static func uncovered(line: Int, _ column: String) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "unknown_column",
            column: column,
            Localized(ja: "読み替えにない列です", en: "the mapping does not name this column"),
            hint: Localized(
                ja: "読み替えの columns か ignore に加えてください",
                en: "add it to 'columns' or 'ignore' of the mapping"
            )
        )
    }

    static func doubledColumn(line: Int, _ column: String) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "duplicate_column",
            column: column,
            Localized(ja: "同じ名前の列が二つあります", en: "two columns have this name"),
            hint: Localized(ja: "一つの名前を改めてください", en: "rename one of them")
        )
    }

    static func unmapped(line: Int, _ column: String, _ value: String, _ place: ColumnMapping.Place) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "unmapped_value",
            column: column,
            value: value,
            Localized(ja: "読み替えにない値です", en: "the mapping does not have this value"),
            hint: Localized(
                ja: "\(place.path).values（\(place.line)行目）に加えるか、default か keep_others を書いてください",
                en: "add it to \(place.path).values (line \(place.line)), or give 'default' or 'keep_others'"
            )
        )
    }

    static func unevenParts(
        line: Int,
        _ column: String,
        _ value: String,
        _ parts: Int,
        _ targets: Int,
        _ place: ColumnMapping.Place
    ) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "uneven_parts",
            column: column,
            value: value,
            Localized(ja: "\(targets)つではなく\(parts)つに分かれます", en: "it splits into \(parts) and not \(targets)"),
            hint: Localized(
                ja: "値を直すか、\(place.path)（\(place.line)行目）に \"uneven\": \"fill\" を書いてください",
                en: "correct it, or write \"uneven\": \"fill\" in \(place.path) (line \(place.line))"
            )
        )
    }

    static func memberWithSeparator(line: Int, _ column: String, _ value: String) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "member_separator",
            column: column,
            value: value,
            Localized(ja: "値の中に ; があります", en: "a member holds a semicolon"),
            hint: Localized(ja: "; のない値に読み替えてください", en: "map it to a value without one")
        )
    }
}
