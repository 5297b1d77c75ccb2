// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// Files from elsewhere, taken in through a mapping.
@Suite struct MappingTests {
    /// A ward that takes in one file under one mapping.
    private struct Trial {
        let ward: WardFixture

        init() throws { ward = try WardFixture() }

        @discardableResult
        func take(
            _ csv: String,
            _ mapping: String,
            _ kind: TransferFile = .residents,
            updates: Bool = false,
            isDry: Bool = false
        ) throws -> ImportCounts {
            let (rows, map) = (ward.root + "/rows.csv", ward.root + "/map.json")
            try Data(csv.utf8).write(to: URL(filePath: rows))
            try Data(mapping.utf8).write(to: URL(filePath: map))
            return try ward.centre.importFile(
                kind,
                at: rows,
                ImportOptions(updates: updates, isDry: isDry, mapping: map)
            )
        }

        /// The faults for which a file is refused; nothing has changed.
        func faults(
            _ csv: String,
            _ mapping: String,
            _ kind: TransferFile = .residents
        ) throws -> (file: String, problems: [ImportProblem]) {
            let before = try ward.digests(ward.centre)
            let changes = try ward.centre.log().count
            let failure = try #require(throws: ImportFailure.self) { try take(csv, mapping, kind) }
            #expect(try ward.digests(ward.centre) == before)
            #expect(try ward.centre.log().count == changes)
            return (URL(filePath: failure.file).lastPathComponent, failure.problems)
        }

        /// The columns of what is held now, as bytes.
        func export(_ columns: String..., kind: TransferFile = .residents) throws -> [[ExactText]] {
            let path = ward.root + "/out.csv"
            _ = try ward.centre.exportFile(kind, to: path)
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
            let rows = lines.map { $0.split(separator: ",", omittingEmptySubsequences: false) }
            let places = columns.map { name in rows[0].firstIndex { $0 == name }! }
            return rows.dropFirst().map { row in places.map { ExactText(row[$0]) } }
        }
    }

    /// A mapping of residents whose column 番号 is the number.
    private static func mapping(_ columns: String, _ rest: String = "") -> String {
        """
        {
          "format": "tsunagu-mapping-1", "kind": "residents",
          "columns": [
            { "from": "番号", "to": "number" },
            \(columns)
          ]\(rest.isEmpty ? "" : ",\n  " + rest)
        }
        """
    }

    // MARK: - What a mapping does

    @Test func `columns are renamed, values mapped, cells split, constants added and the rest ignored`() throws {
        let trial = try Trial()
        let mapping = Self.mapping(
            """
            { "from": "氏名", "to": ["氏", "名"], "separator": "　" },
            { "from": "性別", "to": "sex", "values": { "男": "M", "女": "F" } },
            { "from": "言葉", "to": "languages", "separator": "、", "values": { "日本語": "", "英語": "en" },
              "keep_others": true }
            """,
            #""constants": { "standing": "日本人" }, "ignore": ["備考"]"#
        )
        let csv = "備考,氏名,番号,性別,言葉\nx,山田　太郎,12,男,日本語、 英語 、zh\n,佐藤　花,13,,\n"
        #expect(try trial.take(csv, mapping).created == 2)
        #expect(
            try trial.export("number", "family_name", "given_name", "sex", "languages", "standing") == [
                ["12", "山田", "太郎", "M", "en;zh", "日本人"], ["13", "佐藤", "花", "", "", "日本人"],
            ]
        )
        #expect(try trial.take(csv, mapping, updates: true).unchanged == 2)
        let changed = try trial.take(csv.replacingOccurrences(of: "佐藤", with: "鈴木"), mapping, updates: true)
        #expect(changed.updated == 1 && changed.unchanged == 1)
    }

    @Test func `a column may feed several fields`() throws {
        let trial = try Trial()
        try trial.take("番号\n7\n", Self.mapping(#"{ "from": "番号", "to": "household" }"#))
        #expect(try trial.export("number", "household") == [["7", "7"]])
    }

    @Test func `values are compared byte for byte`() throws {
        let trial = try Trial()
        // The two are equal to `String`, and one escape stands for a character beyond the first plane.
        let mapping = Self.mapping(
            #"{ "from": "性別", "to": "sex", "values": { "\#u{FA19}": "A", "\#u{795E}": "B", "\ud842\udfb7": "C" } }"#
        )
        try trial.take("番号,性別\n1,\u{FA19}\n2,\u{795E}\n3,\u{20BB7}\n", mapping)
        #expect(try trial.export("sex") == [["A"], ["B"], ["C"]])
    }

    @Test(arguments: [
        (#""default": "9""#, ["1", "9", ""]), (#""keep_others": true"#, ["1", "女", ""]),
    ])
    func `a default takes what has no mapping, and an empty cell stays empty`(_ rest: String, _ wanted: [String]) throws
    {
        let trial = try Trial()
        let mapping = Self.mapping(#"{ "from": "性別", "to": "sex", "values": { "男": "1" }, \#(rest) }"#)
        try trial.take("番号,性別\n1,男\n2,女\n3,\n", mapping)
        #expect(try trial.export("sex") == wanted.map { [ExactText($0)] })
    }

    @Test func `an empty cell has a value where the mapping says so`() throws {
        let trial = try Trial()
        try trial.take("番号,性別\n1,\n", Self.mapping(#"{ "from": "性別", "to": "sex", "values": { "": "X" } }"#))
        #expect(try trial.export("sex") == [["X"]])
    }

    @Test func `uneven parts fill the fields where that is allowed`() throws {
        let trial = try Trial()
        let mapping = Self.mapping(
            #"{ "from": "氏名", "to": ["family_name", "given_name"], "separator": "　", "uneven": "fill" }"#
        )
        try trial.take("番号,氏名\n1,佐藤\n2,山口　アンナ　マリア\n3,\n", mapping)
        #expect(try trial.export("family_name", "given_name") == [["佐藤", ""], ["山口", "アンナ　マリア"], ["", ""]])
    }

    @Test func `an update leaves fields alone that the mapping does not name`() throws {
        let trial = try Trial()
        try trial.take("番号,電話\n1,03-1111-2222\n", Self.mapping(#"{ "from": "電話", "to": "phone" }"#))
        let other = Self.mapping(#"{ "from": "氏", "to": "family_name" }"#)
        #expect(try trial.take("番号,氏\n1,佐藤\n", other, updates: true).updated == 1)
        #expect(try trial.export("family_name", "phone") == [["佐藤", "03-1111-2222"]])
    }

    // MARK: - What is refused

    @Test(arguments: [
        (#"{ "from": "姓", "to": "family_name", "note": "x" }"#, "mapping_key", "columns[1].note"),
        (#"{ "from": "姓" }"#, "mapping_key", "columns[1]"),
        (#"{ "from": "姓", "to": 5 }"#, "mapping_type", "columns[1].to"),
        (#"{ "from": "姓", "to": [] }"#, "mapping_type", "columns[1].to"),
        (#"{ "from": "姓", "to": "surname" }"#, "unknown_field", "columns[1].to"),
        (#"{ "from": "姓", "to": "宛名番号" }"#, "two_sources", "columns[1].to"),
        (#"{ "from": "姓", "to": ["family_name", "given_name"] }"#, "mapping_key", "columns[1].to"),
        (#"{ "from": "姓", "to": "family_name", "separator": "x" }"#, "mapping_key", "columns[1].separator"),
        (#"{ "from": "姓", "to": "languages", "separator": "" }"#, "mapping_separator", "columns[1].separator"),
        (
            #"{ "from": "姓", "to": "languages", "separator": ";", "uneven": "fill" }"#, "mapping_key",
            "columns[1].uneven"
        ),
        (#"{ "from": "姓", "to": "sex", "default": "x" }"#, "mapping_key", "columns[1].default"),
        (
            #"{ "from": "姓", "to": "sex", "values": {}, "default": "x", "keep_others": true }"#, "mapping_key",
            "columns[1].keep_others"
        ),
        (
            #"{ "from": "姓", "to": "sex", "values": { "a": "1", "a": "2" } }"#, "mapping_twice",
            #"columns[1].values["a"]"#
        ),
        (#"{ "from": "姓", "to": "sex", "values": { "a": 1 } }"#, "mapping_type", #"columns[1].values["a"]"#),
        (
            #"{ "from": "姓", "to": "moved_in", "values": { "a": "2026-02-30" } }"#, "date", #"columns[1].values["a"]"#
        ),
        (#"{ "from": "姓", "to": "sex", "to": "phone" }"#, "mapping_twice", "columns[1].to"),
    ])
    func `a faulty column is refused where it stands`(_ column: String, _ code: String, _ path: String) throws {
        let (file, problems) = try Trial().faults("番号,姓\n1,佐藤\n", Self.mapping(column))
        #expect(file == "map.json" && problems.count == 1)
        #expect(problems.first?.code == code && problems.first?.column == path && problems.first?.line == 5)
    }

    @Test(arguments: [
        (#""more": []"#, "mapping_key", "more"), (#""constants": { "sex": 1 }"#, "mapping_type", #"constants["sex"]"#),
        (#""constants": { "number": "2" }"#, "two_sources", #"constants["number"]"#),
        (#""constants": { "birth_date": "1950-13-01" }"#, "date", #"constants["birth_date"]"#),
        (#""ignore": ["番号"]"#, "mapping_twice", "ignore[0]"), (#""ignore": ["x", "x"]"#, "mapping_twice", "ignore[1]"),
        (#""ignore": "x""#, "mapping_type", "ignore"), (#""kind": "residents""#, "mapping_twice", "kind"),
    ])
    func `a faulty member is refused where it stands`(_ member: String, _ code: String, _ path: String) throws {
        let mapping = Self.mapping(#"{ "from": "姓", "to": "family_name" }"#, member)
        let (file, problems) = try Trial().faults("番号,姓\n1,佐藤\n", mapping)
        #expect(file == "map.json" && problems.count == 1)
        #expect(problems.first?.code == code && problems.first?.column == path && problems.first?.line == 7)
    }

    @Test(arguments: [
        ("", 1), ("{", 1), ("{\n\"a\": 1,\n}", 3), ("[1 2]", 1), ("{} x", 1), ("\"\\ud800\"", 1), ("\"\\x\"", 1),
        ("\"a\nb\"", 1), ("\"\\u12", 1), ("tru", 1), ("\n\n-", 3), (String(repeating: "[", count: 100_000), 1),
    ])
    func `what is no JSON is refused with its line`(_ text: String, _ line: Int) throws {
        let (file, problems) = try Trial().faults("番号\n1\n", text)
        #expect(file == "map.json")
        #expect(problems.map(\.code) == ["mapping_syntax"] && problems.first?.line == line)
    }

    @Test func `a mapping for another kind, of another format or without a key is refused`() throws {
        let trial = try Trial()
        let mapping = Self.mapping(#"{ "from": "姓", "to": "family_name" }"#)
        let csv = "番号,姓\n1,佐藤\n"
        #expect(try trial.faults(csv, mapping, .bookings).problems.map(\.code) == ["mapping_kind"])
        let newer = mapping.replacingOccurrences(of: "mapping-1", with: "mapping-2")
        #expect(try trial.faults(csv, newer).problems.map(\.code) == ["mapping_format"])
        let unkeyed = #"{"format": "tsunagu-mapping-1", "kind": "residents", "columns": [{"from": "姓", "to": "氏"}]}"#
        #expect(try trial.faults(csv, unkeyed).problems.map(\.code) == ["missing_column"])
        let list = try trial.faults(csv, "[]").problems
        #expect(list.map(\.code) == ["mapping_type"] && list[0].hint.en.contains("tsunagu-mapping-1"))
    }

    @Test func `a file whose columns are not those of the mapping is refused`() throws {
        let trial = try Trial()
        let mapping = Self.mapping(#"{ "from": "姓", "to": "family_name" }"#, #""ignore": ["備考"]"#)
        let absent = try trial.faults("番号,苗字\n1,佐藤\n", mapping)
        #expect(absent.file == "map.json" && absent.problems.map(\.column) == ["columns[1]", "ignore[0]"])
        #expect(absent.problems.allSatisfy { $0.code == "missing_column" && $0.hint.en.contains("苗字") })
        let uncovered = try trial.faults("番号,姓,備考,新\n1,佐藤,,\n", mapping)
        #expect(uncovered.file == "rows.csv" && uncovered.problems.map(\.code) == ["unknown_column"])
        #expect(uncovered.problems.first?.column == "新")
        let doubled = try trial.faults("番号,姓,姓,備考\n1,佐藤,佐藤,\n", mapping)
        #expect(doubled.file == "rows.csv" && doubled.problems.map(\.code) == ["duplicate_column"])
    }

    @Test func `rows that the mapping cannot read are refused with row, column and remedy`() throws {
        let trial = try Trial()
        let mapping = Self.mapping(
            """
            { "from": "氏名", "to": ["氏", "名"], "separator": "　" },
            { "from": "性別", "to": "sex", "values": { "男": "M" } },
            { "from": "言葉", "to": "languages", "separator": "、" },
            { "from": "電話番号", "to": "phone" }
            """
        )
        let (file, problems) = try trial.faults(
            """
            番号,氏名,性別,言葉,電話番号
            1,山田　太郎,男,,
            2,佐藤,男,,
            3,佐藤　花,女,,
            4,佐藤　花,,a;b、c,
            5,佐藤　花,,,9012345678
            1,佐藤　花,,,

            """,
            mapping
        )
        #expect(file == "rows.csv")
        #expect(problems.map(\.line) == [3, 4, 5, 6, 7])
        #expect(
            problems.map(\.code) == [
                "uneven_parts", "unmapped_value", "member_separator", "lost_zero", "duplicate_key",
            ]
        )
        // What the file calls it, whichever field it feeds.
        #expect(problems.map(\.column) == ["氏名", "性別", "言葉", "電話番号", "番号"])
        #expect(problems[1].value == "女" && problems[1].hint.en.contains("columns[2].values (line 6)"))
        #expect(try trial.ward.centre.exportFile(.residents, to: trial.ward.root + "/none.csv") == 0)
    }

    @Test func `a dry run says what would happen and writes nothing`() throws {
        let trial = try Trial()
        let before = try trial.ward.digests(trial.ward.centre)
        let mapping = Self.mapping(#"{ "from": "姓", "to": "family_name" }"#)
        #expect(try trial.take("番号,姓\n1,佐藤\n", mapping, isDry: true).created == 1)
        #expect(try trial.ward.digests(trial.ward.centre) == before)
    }
}
