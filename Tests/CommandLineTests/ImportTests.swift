// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite struct ImportTests {
    static let header = "number,family_name,given_name,phone,birth_date,languages\n"

    @Test func aFileWithFaultsIsRefusedWholeWithLinesAndRemedies() throws {
        let site = try TestSite.ward()
        let file = try site.file(
            "bad.csv",
            Self.header + "1,佐藤,花,03-1111-2222,1950-04-01,\n" + "2,\"鈴木\n一行\",太郎,,,\n" + "3,田中,,9012345678,,\n"
                + "4,山田,,,1950-13-01,\n" + "1,佐藤,再,,,\n"
        )
        let before = try site.run("digest").output
        let plain = try site.run("import", "residents", file)
        #expect(plain.status == 65 && plain.output.isEmpty)
        for line in [
            ":5: phone \"9012345678\"", "Write \"09012345678\" if that is right", ":6: birth_date",
            ":7: number \"1\": line 2",
        ] {
            #expect(plain.errors.contains(line), "\(line) in \(plain.errors)")
        }
        #expect(plain.errors.contains(":3: family_name"))
        let json = try site.run("import", "residents", file, "--json")
        let problems = json.error["problems"] as? [[String: Any]] ?? []
        #expect(problems.compactMap { $0["line"] as? Int } == [3, 5, 6, 7])
        #expect(
            problems.compactMap { $0["code"] as? String } == [
                "control_character", "lost_zero", "date", "duplicate_key",
            ]
        )
        #expect(try site.run("digest").output == before)
        #expect(try site.run("import", "residents", file, "--lang", "ja").errors.contains("何も取り込んでいません"))
    }

    @Test func `A file is read as UTF-8, whatever is said of its encoding, or refused with the remedy`() throws {
        let site = try TestSite.ward()
        let file = try site.file("people.csv", Self.header + "1,佐藤,花,03-1111-2222,1950-04-01,\n")
        let refused = try site.run("import", "residents", file, "--encoding", "cp932", "--json")
        #expect(refused.status == 64 && refused.output.isEmpty)
        #expect((refused.error["hint"] as? String)?.contains("CSV UTF-8") == true, "\(refused.errors)")
        #expect(try site.run("import", "residents", file, "--encoding", "shift-jis").status == 64)
        for (encoding, done) in [("utf-8", "created"), ("auto", "unchanged")] {
            let counts = try site.json("import", "residents", file, "--encoding", encoding, "--update").object
            #expect(counts[done] as? Int == 1, "\(encoding): \(counts)")
        }
    }

    @Test(arguments: [
        ("empty.csv", "", "empty_file"), ("header.csv", "番号,氏\n", "unknown_column"),
        ("twice.csv", "number,宛名番号\n", "duplicate_column"),
        ("none.csv", "family_name\n佐藤\n", "missing_column"), ("quote.csv", "number\n\"1\n2\n", "unterminated_quote"),
        ("short.csv", "number,phone\n1\n", "wrong_field_count"),
    ])
    func aFileThatIsNoTableIsRefused(_ name: String, _ content: String, _ code: String) throws {
        let site = try TestSite.ward()
        let path = try site.file(name, content)
        if content.isEmpty { try Data().write(to: URL(filePath: path)) }
        let result = try site.run("import", "residents", path, "--json")
        #expect(result.status == 65)
        #expect((result.error["problems"] as? [[String: Any]])?.first?["code"] as? String == code)
    }

    @Test func bytesThatAreNoUTF8AreNamed() throws {
        let site = try TestSite.ward()
        let path = try site.file("cp932.csv")
        try (Data("number,family_name\n1,".utf8) + Data([0x8d, 0xb2, 0x93, 0xa1, 10])).write(to: URL(filePath: path))
        let result = try site.run("import", "residents", path, "--json")
        #expect(result.status == 65)
        let problem = (result.error["problems"] as? [[String: Any]])?.first
        #expect(problem?["code"] as? String == "not_utf8" && problem?["line"] as? Int == 2)
    }

    @Test(arguments: [
        (String.Encoding.shiftJIS, "cp932"), (.utf16, "UTF-16"), (.utf16BigEndian, "UTF-16"),
    ])
    func `a file in another encoding is told what it looks like and how to save it as UTF-8`(
        _ encoding: String.Encoding,
        _ name: String
    ) throws {
        let site = try TestSite.ward()
        // The Swift library writes no mark for an encoding whose order of bytes is named.
        let mark = Data(encoding == .utf16BigEndian ? [0xFE, 0xFF] : [])
        func file(_ name: String, _ text: String) throws -> String {
            let path = try site.file(name)
            try (mark + #require(text.data(using: encoding))).write(to: URL(filePath: path))
            return path
        }
        let csv = try file("rows.csv", "宛名番号,氏,電話\n1,佐藤,\n")
        let good = try site.file("good.csv", "宛名番号,氏\n1,佐藤\n")
        let mapping = try file("mapping.json", "{\n\"説明\": 1}")
        let sound = try site.file(
            "good.json",
            #"{"format":"tsunagu-mapping-1","kind":"residents","columns":[{"from":"宛名番号","to":"number"}]}"#
        )
        for words in [[csv], [csv, "--mapping", sound], [good, "--mapping", mapping]] {
            let result = try site.run(["import", "residents", "--json"] + words)
            #expect(result.status == 65)
            let problems = result.error["problems"] as? [[String: Any]] ?? []
            #expect(problems.compactMap { $0["code"] as? String } == ["not_utf8"], "\(words)")
            #expect((problems.first?["message"] as? String)?.contains(name) == true)
            #expect((problems.first?["hint"] as? String)?.contains("iconv -f \(name.lowercased()) -t utf-8") == true)
        }
    }

    @Test func `a file with several wrong columns is told all of them, and of mappings`() throws {
        let site = try TestSite.ward()
        let file = try site.file("foreign.csv", "番号,氏名,電話,phone\n")
        let result = try site.run("import", "residents", file)
        #expect(result.status == 65)
        for word in ["番号", "氏名", "stands twice", "required column number", "--mapping", "Examples/mappings"] {
            #expect(result.errors.contains(word), "\(word) in \(result.errors)")
        }
    }

    @Test func `a directory is no file`() throws {
        let site = try TestSite.ward()
        let folder = site.directory.path
        let good = try site.file("good.csv", "number,family_name\n1,佐藤\n")
        for words in [
            ["import", "residents", folder], ["import", "residents", good, "--mapping", folder],
            ["export", "residents", folder],
        ] {
            let result = try site.run(words + ["--json"])
            #expect(result.status == 64)
            #expect(result.error["record"] as? String == folder)
            #expect((result.error["hint"] as? String)?.isEmpty == false)
        }
    }

    @Test func aHundredFaultsAreEnough() throws {
        let site = try TestSite.ward()
        let rows = (1...500).map { "\($0),x,,9012345678,,\n" }.joined()
        let result = try site.run("import", "residents", try site.file("many.csv", Self.header + rows), "--json")
        #expect(result.status == 65)
        #expect((result.error["problems"] as? [Any])?.count == 100)
        #expect(result.error["more"] as? Bool == true)
    }

    @Test func aKeyThatExistsNeedsUpdate() throws {
        let site = try TestSite.ward()
        let id = try site.add("number=1", "family_name=佐藤", "phone=03-1111-2222", "languages=en")
        let file = try site.file("again.csv", Self.header + "1,佐藤,花,03-1111-2222,,en;zh\n2,鈴木,,,,\n")
        let refused = try site.run("import", "residents", file, "--json")
        #expect(refused.status == 65)
        #expect(refused.errors.contains("--update") && refused.errors.contains(id))
        #expect(try site.json("resident", "find", "鈴木").list.isEmpty)

        let before = try site.run("digest").output
        let dry = try site.json("import", "residents", file, "--update", "--dry-run").object
        #expect(dry["created"] as? Int == 1 && dry["updated"] as? Int == 1)
        #expect(try site.run("digest").output == before)
        let done = try site.json("import", "residents", file, "--update").object
        #expect(done["rows"] as? Int == 2 && done["created"] as? Int == 1 && done["updated"] as? Int == 1)
        let shown = try site.json("resident", "show", id).object
        #expect(shown["given_name"] as? String == "花" && shown["languages"] as? [String] == ["en", "zh"])

        let digest = try site.run("digest").output
        let again = try site.json("import", "residents", file, "--update").object
        #expect(again["unchanged"] as? Int == 2 && again["updated"] as? Int == 0)
        #expect(try site.run("digest").output == digest)
        // One field was written, not the row.
        let history = try site.json("resident", "history", id).list
        #expect(history.filter { $0["field"] as? String == "family_name" }.count == 1)
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func aDeletedResidentDoesNotComeBackByAFile() throws {
        let site = try TestSite.ward()
        let id = try site.add("number=1", "family_name=佐藤")
        _ = try site.run("resident", "delete", id, "--reason", "転出")
        let file = try site.file("back.csv", "number,family_name\n1,佐藤\n")
        for words in [["import", "residents", file, "--json"], ["import", "residents", file, "--update", "--json"]] {
            let result = try site.run(words)
            #expect(result.status == 65)
            #expect((result.error["problems"] as? [[String: Any]])?.first?["code"] as? String == "deleted")
        }
    }

    @Test func labelsLineEndsAndMarksOfSpreadsheetsAreRead() throws {
        let site = try TestSite.ward()
        let file = try site.file("excel.csv", "\u{FEFF}宛名番号,氏,郵便番号\r\n=\"00000000012\",\"佐藤, 花\",102-0083\r\n")
        #expect(try site.json("import", "residents", file).object["created"] as? Int == 1)
        let shown = try site.json("resident", "show", "00000000012").object
        #expect(shown["family_name"] as? String == "佐藤, 花" && shown["postal_code"] as? String == "1020083")
    }

    @Test func theSampleWardGoesInAndOutUnchanged() throws {
        let site = try TestSite.ward()
        let directory = try site.file("sample")
        _ = try site.run("sample", "--residents", "600", "--seed", "3", directory)
        let kinds = ["residents", "procedures", "lessons", "bookings"]
        for kind in kinds {
            let counts = try site.json("import", kind, "\(directory)/\(kind).csv").object
            #expect(counts["rows"] as? Int == counts["created"] as? Int)
        }
        let other = try TestSite("other", beside: site)
        _ = try other.run("init", "--name", "港区")
        for kind in kinds {
            let csv = try site.file("out-\(kind).csv")
            #expect(try site.run("export", kind, csv).status == 0)
            let mode = try FileManager.default.attributesOfItem(atPath: csv)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(try other.json("import", kind, csv).object["created"] as? Int ?? 0 > 0)
            #expect(try other.run("export", kind).output == Array(Data(contentsOf: URL(filePath: csv))))
            // Every row says what it said, and the ward is none the wiser for hearing it again.
            let again = try site.json("import", kind, csv, "--update").object
            #expect(again["unchanged"] as? Int == again["rows"] as? Int, "\(kind): \(again)")
            #expect(try site.run("export", kind, "--format", "json").json is [Any])
        }
        let status = { (site: TestSite) in
            try site.json("booking", "list").list.map { "\($0["status"]!) \($0["position"]!)" }
        }
        #expect(try status(site).sorted() == status(other).sorted())
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func bookingsNeedTheirLessonAndResident() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 1)
        let file = try site.file(
            "bookings.csv",
            "lesson,number,name,kana\nL9,,田中,\nL1,123,,\nL1,,田中,タナカ\nL1,,田中,ﾀﾅｶ\nL1,1,田中,\n"
        )
        let problems = try site.run("import", "bookings", file, "--json").error["problems"] as? [[String: Any]] ?? []
        #expect(
            problems.compactMap { $0["code"] as? String } == [
                "unknown_lesson", "unknown_resident", "duplicate_key", "person_twice",
            ]
        )
        #expect(problems.compactMap { $0["line"] as? Int } == [2, 3, 5, 6])
        let good = try site.file("good.csv", "lesson,name\nL1,い\nL1,ろ\nL1,は\n")
        _ = try site.json("import", "bookings", good)
        let list = try site.json("booking", "list", "L1").list
        let names = list.map { ($0["person"] as? [String: Any])?["name"] as? String }
        #expect(names == ["い", "ろ", "は"])
        #expect(list.map { $0["status"] as? String } == ["confirmed", "waiting", "waiting"])
        #expect(list.map { $0["position"] as? Int } == [nil, 1, 2])
    }

    @Test func `an export replaces plain files only, and writes through symbolic links`() throws {
        let site = try TestSite.ward()
        _ = try site.add("number=1", "family_name=佐藤")
        let expected = try site.run("export", "residents").output
        let files = FileManager.default

        let pipe = try site.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let device = try site.file("device")
        try files.createSymbolicLink(atPath: device, withDestinationPath: "/dev/null")
        for path in [pipe, device, "/dev/null"] {
            let result = try site.run("export", "residents", path, "--json")
            #expect(result.status == 64)
            #expect((result.error["hint"] as? String)?.contains("standard output") == true)
        }
        #expect(try files.attributesOfItem(atPath: pipe)[.type] as? FileAttributeType != .typeRegular)
        #expect(try files.attributesOfItem(atPath: "/dev/null")[.type] as? FileAttributeType == .typeCharacterSpecial)

        try files.createDirectory(atPath: site.file("folder"), withIntermediateDirectories: true)
        // The second hop is relative to where the first link stands, and what it names is not there yet.
        let (first, second) = (try site.file("first.csv"), try site.file("folder/second.csv"))
        try files.createSymbolicLink(atPath: first, withDestinationPath: second)
        try files.createSymbolicLink(atPath: second, withDestinationPath: "target.csv")
        for _ in 1...2 {
            #expect(try site.run("export", "residents", first).status == 0)
            #expect(try Array(Data(contentsOf: URL(filePath: site.file("folder/target.csv")))) == expected)
            #expect(try files.destinationOfSymbolicLink(atPath: first) == second)
            #expect(try files.destinationOfSymbolicLink(atPath: second) == "target.csv")
        }

        let loop = try site.file("loop.csv")
        try files.createSymbolicLink(atPath: loop, withDestinationPath: loop)
        #expect(try site.run("export", "residents", loop).status == 1)
    }

    @Test func anExportThatFailsLeavesNoFile() throws {
        let site = try TestSite.ward()
        #expect(try site.run("export", "residents", "/nowhere/out.csv").status == 1)
        let target = try site.file("there.csv", "old")
        #expect(try site.run("export", "residents", target).status == 0)
        #expect(!FileManager.default.fileExists(atPath: target + ".new"))
    }
}
