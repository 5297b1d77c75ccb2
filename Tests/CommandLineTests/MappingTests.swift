// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// The mappings that are shipped, and where rows come from.
@Suite struct MappingTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let mappings = root.appending(path: "Examples/mappings")
    /// The real list of procedures, which is no part of the repository.
    private static let survey = root.deletingLastPathComponent()
        .appending(path: "shared/data/real/procedures-survey.csv").path

    @Test(.enabled(if: FileManager.default.fileExists(atPath: survey), "the real survey is not beside the repository"))
    func `the real survey goes in whole, and says nothing new the second time`() throws {
        let site = try TestSite.ward()
        let mapping = Self.mappings.appending(path: "procedures-survey.json").path
        let words = ["import", "procedures", Self.survey, "--mapping", mapping, "--json"]
        let dry = try site.run(words + ["--dry-run"])
        #expect(dry.object["created"] as? Int == 2972, "\(dry.errors)")
        let first = try site.run(words).object
        #expect(first["rows"] as? Int == 2972 && first["created"] as? Int == 2972)
        let digest = try site.run("digest").output
        let second = try site.run(words + ["--update"]).object
        #expect(second["unchanged"] as? Int == 2972 && second["updated"] as? Int == 0)
        #expect(try site.run("digest").output == digest)
        // Every mapped field goes out and comes in again elsewhere as it is.
        let csv = try site.file("out.csv")
        #expect(try site.run("export", "procedures", csv).status == 0)
        let other = try TestSite("other", beside: site)
        _ = try other.run("init", "--name", "港区")
        #expect(try other.json("import", "procedures", csv).object["created"] as? Int == 2972)
        #expect(try other.run("export", "procedures").output == Array(Data(contentsOf: URL(filePath: csv))))
    }

    @Test func `the shipped mapping of residents reads what a register exports`() throws {
        let site = try TestSite.ward()
        let file = try site.file(
            "register.csv",
            "住民番号,世帯コード,氏名漢字,氏名カナ,生年月日,性別コード,続柄名,郵便番号,住所,方書,住定日,行政区コード,抽出日時\r\n"
                + "00100000012,00200000001,山田　太郎,ヤマダ　タロウ,1950-04-01,1,世帯主,102-0083,千代田区麹町一丁目1,,2001-01-01,1,x\r\n"
                + "00100000013,00200000001,アンナ,アンナ,,9,同居人,,,,,1,x\r\n"
        )
        let mapping = Self.mappings.appending(path: "residents-register.json").path
        #expect(try site.json("import", "residents", file, "--mapping", mapping).object["created"] as? Int == 2)
        let shown = try site.json("resident", "show", "00100000012").object
        #expect(shown["family_name"] as? String == "山田" && shown["given_name"] as? String == "太郎")
        #expect(shown["sex"] as? String == "M" && shown["postal_code"] as? String == "1020083")
        let other = try site.json("resident", "show", "00100000013").object
        #expect(other["family_name"] as? String == "アンナ" && other["sex"] is NSNull)
    }

    @Test func `the example of the mappings' documentation is true`() throws {
        let text = try String(contentsOf: Self.mappings.appending(path: "README.md"), encoding: .utf8)
        let blocks = text.split(separator: "```")
        let csv = try #require(blocks.first { $0.hasPrefix("csv\n") })
        let json = try #require(blocks.first { $0.hasPrefix("json\n") })
        let site = try TestSite.ward()
        let mapping = try site.file("lines.json", String(json.dropFirst(5)))
        _ = try site.json(
            "import",
            "residents",
            try site.file("lines.csv", String(csv.dropFirst(4))),
            "--mapping",
            mapping
        )
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| 1") }.map { line in
            line.dropFirst().dropLast().split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        #expect(rows.count == 2)
        for row in rows {
            let shown = try site.json("resident", "show", row[0]).object
            let names = ["number", "family_name", "given_name", "sex"]
            #expect(names.map { shown[$0] as? String ?? "" } == Array(row[..<4]))
            #expect((shown["languages"] as? [String])?.joined(separator: ";") == row[4])
            #expect(shown["standing"] as? String == row[5])
        }
    }

    @Test func `a refused mapping, a missing one and a dry run change no byte of the ward`() throws {
        let site = try TestSite.ward()
        let database = site.directory.appending(path: "ward.sqlite")
        let before = try Data(contentsOf: database)
        let file = try site.file("rows.csv", "番号,姓\n1,佐藤\n")
        let good = try site.file(
            "good.json",
            """
            {"format": "tsunagu-mapping-1", "kind": "residents",
             "columns": [{"from": "番号", "to": "number"}, {"from": "姓", "to": "family_name"}]}
            """
        )
        let bad = try site.file("bad.json", "{\n\"format\": 1\n}")
        let refused = try site.run("import", "residents", file, "--mapping", bad)
        #expect(refused.status == 65 && refused.output.isEmpty)
        #expect(refused.errors.contains("bad.json:2: format"), "\(refused.errors)")
        let problems = try site.run("import", "residents", file, "--mapping", bad, "--json").error["problems"]
        #expect((problems as? [[String: Any]])?.compactMap { $0["line"] as? Int }.min() == 1)
        #expect(try site.run("import", "residents", file, "--mapping", "/nowhere.json").status == 66)
        #expect(try site.run("import", "residents", file, "--mapping", good, "--source", " ").status == 65)
        let dry = try site.json("import", "residents", file, "--mapping", good, "--source", "標準", "--dry-run")
        #expect(dry.object["created"] as? Int == 1)
        #expect(try Data(contentsOf: database) == before)
        #expect(try site.json("import", "residents", file, "--mapping", good).object["created"] as? Int == 1)
        #expect(try Data(contentsOf: database) != before)
    }

    @Test func `conflicts are listed by the source of the rows`() throws {
        let centre = try TestSite.ward()
        defer { centre.stop() }
        let file = { (name: String, phone: String) in try centre.file(name, "number,phone\n1,\(phone)\n") }
        _ = try centre.json("import", "residents", try file("a.csv", "03-1111-1111"), "--source", "移行")
        #expect(try centre.json("log").list.first?["source"] as? String == "移行")
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        _ = try centre.json("import", "residents", try file("b.csv", "03-2222-2222"), "--update", "--source", "標準")
        _ = try branch.run("resident", "set", "1", "phone=03-3333-3333")
        try branch.sync()
        try branch.sync()
        for site in [centre, branch] {
            #expect(try site.json("conflict", "list", "--source", "移行").list.isEmpty)
            let open = try #require(try site.json("conflict", "list", "--source", "標準").list.first)
            #expect(open["source"] as? String == "標準")
            let values = open["values"] as? [[String: Any]] ?? []
            #expect(Set(values.map { $0["source"] as? String }) == ["標準", nil])
            #expect(try site.run("conflict", "show", "\(open["id"]!)").text.contains("source: 標準"))
        }
    }
}
