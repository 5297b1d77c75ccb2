// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// Options, languages, exit statuses: what every command has in common.
@Suite struct FrameTests {
    @Test func globalOptionsStandBeforeAndAfterTheCommand() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤")
        let forms = [
            ["--json", "resident", "show", id], ["resident", "--json", "show", id], ["resident", "show", "--json", id],
            ["resident", "show", id, "--json"],
        ]
        let outputs = try forms.map { try site.run($0).output }
        #expect(Set(outputs).count == 1)
        #expect(outputs[0].contains("\"family_name\":\"佐藤\""))
        let path = site.directory.path
        let places = [["--data", path, "digest"], ["digest", "--data=" + path], ["digest", "--data", path]]
        #expect(try Set(places.map { try site.run($0, data: false).output }).count == 1)
    }

    @Test func whatStandsBehindTwoDashesIsNoOption() throws {
        let site = try TestSite.ward()
        let result = try site.run("resident", "find", "--json", "--", "--json")
        #expect(result.status == 0)
        #expect(result.list.isEmpty)
    }

    static let statuses: [(words: [String], status: Int32)] = [
        (["resident", "show"], 64), (["nonsense"], 64), (["resident", "show", "--lang", "fr", "x"], 64),
        (["resident", "set", "x", "phone"], 64), (["booking", "add", "L1"], 64),
        (["conflict", "resolve", "abcdefghijkl"], 64), (["log", "--limit", "0"], 64),
        (["resident", "show", "nobody"], 66), (["lesson", "show", "nothing"], 66),
        (["import", "residents", "/nowhere.csv"], 66), (["log", "--space", "nowhere"], 66),
        (["resident", "add", "phone=9012345678", "family_name=x"], 65), (["resident", "add", "colour=red"], 65),
        (["conflict", "resolve", "abcdefghijkl", "--take", "1", "--reason", "x"], 75),
        (["conflict", "resolve", "abc", "--take", "1", "--reason", "x"], 66), (["init", "--name", "again"], 1),
    ]

    @Test(arguments: statuses)
    func exitStatusesTellWhatHappened(_ words: [String], _ status: Int32) throws {
        let site = try TestSite.ward()
        let plain = try site.run(words)
        #expect(plain.status == status)
        #expect(plain.output.isEmpty)
        #expect(!plain.errors.isEmpty)

        let json = try site.run(words + ["--json"])
        #expect(json.status == status)
        #expect(json.output.isEmpty)
        #expect(json.error.keys.sorted().prefix(4).elementsEqual(["code", "hint", "message", "record"]))
        #expect((json.error["message"] as? String)?.isEmpty == false)
    }

    @Test(arguments: [
        (["wrongcommand"], "tsunagu に wrongcommand という命令はありません", "tsunagu --help"),
        (["resident", "wrong"], "tsunagu resident に wrong という命令はありません", "tsunagu resident --help"),
        (["resident"], "tsunagu resident の命令がありません", "show"),
        (["status", "--wrong"], "知らない指定です: --wrong", "tsunagu status --help"),
        (["status", "--operater", "x"], "知らない指定です: --operater（--operator のことですか）", "status --help"),
        (["init", "--name"], "値がありません: --name <name>", "tsunagu init --help"),
        (["resident", "show"], "必要な指定がありません: <id>", "tsunagu resident show --help"),
        (["status", "a", "b"], "余分な引数です: a、b", "tsunagu status --help"),
        (["status", "--json=x"], "値を取らない指定です: --json（x）", "tsunagu status --help"),
        (["export", "x"], "「x」。次のどれかにしてください: residents、procedures", "tsunagu export --help"),
        (["invite", "--role", "x", "--name", "y"], "役割は", "tsunagu invite --help"),
    ])
    func `a slip in a command line is told in the language of the person`(
        _ words: [String],
        _ japanese: String,
        _ hint: String
    ) throws {
        let site = try TestSite()
        let result = try site.run(["--lang", "ja"] + words)
        #expect(result.status == 64 && result.output.isEmpty)
        #expect(result.errors.contains(japanese) && result.errors.contains(hint), "\(result.errors)")
        let english = try site.run(["--lang", "en"] + words)
        #expect(english.status == 64)
        #expect(english.errors.unicodeScalars.allSatisfy { $0.isASCII || $0 == "→" }, "\(english.errors)")
        #expect(english.errors.contains(hint))
    }

    @Test func `the daemon's options are judged in the language of the person`() throws {
        let result = try Program.tsunagud.run(["--wrong"])
        #expect(result.status == 64)
        #expect(result.errors.contains("Unknown option '--wrong'") && result.errors.contains("tsunagud --help"))
        let japanese = try Program.tsunagud.run(["--listen"], environment: ["LANG": "ja_JP.UTF-8"])
        #expect(japanese.status == 64)
        #expect(japanese.errors.contains("値がありません: --listen <host:port>"))
        #expect(try Program.tsunagud.run(["--help"]).status == 0)
    }

    @Test func aMissingSiteIsSaidWithWhatToDo() throws {
        let site = try TestSite()
        let result = try site.run("status")
        #expect(result.status == 66)
        #expect(result.errors.contains("tsunagu init"))
        #expect(!FileManager.default.fileExists(atPath: site.directory.path))
    }

    @Test(arguments: [
        (["LANG": "C.UTF-8"], true), (["LANG": "ja_JP.UTF-8"], true), (["LANG": "en_GB.UTF-8"], false),
        (["LANG": "ja_JP.UTF-8", "LC_ALL": "en_US.UTF-8"], false),
    ])
    func japaneseIsSpokenUnlessEnglishIsAskedFor(_ environment: [String: String], _ isJapanese: Bool) throws {
        let site = try TestSite.ward()
        let said = try site.run(["resident", "show", "nobody"], environment: environment).errors
        #expect(said.contains("見つかりません") == isJapanese)
        #expect(
            try site.run(["--lang", "ja", "resident", "show", "x"], environment: environment).errors.contains("見つかりません")
        )
        #expect(
            try site.run(["resident", "show", "x", "--lang=en"], environment: environment).errors.contains(
                "there is no"
            )
        )
        let help = try site.run(["resident", "--help"], environment: environment)
        #expect(help.status == 0)
        #expect(help.text.contains("住民") == isJapanese)
    }

    @Test func theOperatorIsTheOptionThenTheEnvironmentThenTheLogin() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤")
        _ = try site.run("--operator", "窓口 花子", "resident", "set", id, "phone=03-0000-0001")
        _ = try site.run(["resident", "set", id, "phone=03-0000-0002"], environment: ["TSUNAGU_OPERATOR": "二郎"])
        _ = try site.run(["resident", "set", id, "phone=03-0000-0003"], environment: ["TSUNAGU_OPERATOR": ""])
        let phones = try site.json("resident", "history", id).list.filter { $0["field"] as? String == "phone" }
        let operators = phones.compactMap { $0["operator"] as? String }
        #expect(operators.prefix(2) == ["窓口 花子", "二郎"])
        #expect(operators.count == 3 && operators[2] != "centre" && !operators[2].isEmpty)
    }

    @Test func theDataDirectoryIsTheOptionThenTheEnvironmentThenTheDataHome() throws {
        let site = try TestSite.ward()
        let path = site.directory.path
        let digest = try site.run("digest").output
        #expect(try site.run(["digest"], environment: ["TSUNAGU_DATA": path], data: false).output == digest)
        let home = try site.file("home")
        let founded = try site.run(["init", "--name", "港区"], environment: ["XDG_DATA_HOME": home], data: false)
        #expect(founded.status == 0)
        #expect(FileManager.default.fileExists(atPath: home + "/tsunagu/ward.sqlite"))
    }

    @Test func `numbers are said with their counters and plurals`() throws {
        let site = try TestSite.ward()
        let file = try site.file("one.csv", "number,family_name\n1,佐藤\n")
        #expect(try site.run("import", "residents", file).text == "1 row: 1 created, 0 updated, 0 unchanged\n")
        #expect(try site.run("export", "residents", site.file("out.csv")).text == "1 row written\n")
        #expect(try site.run("status").text.contains("0 conflicts, 0 findings, 0 quarantined"))
        #expect(try site.run("status", "--lang", "ja").text.contains("競合 0件、要確認 0件、隔離 0件"))
        let refused = try site.run("import", "residents", site.file("bad.csv", "a,b\n"), "--lang", "ja")
        #expect(refused.errors.contains("問題が3件あります"))
    }

    @Test func quietSaysNothingWhereAllIsWell() throws {
        let site = try TestSite.ward()
        let added = try site.run("--quiet", "resident", "add", "family_name=佐藤")
        #expect(added.status == 0 && added.output.isEmpty && added.errors.isEmpty)
        #expect(try !site.run("-q", "resident", "find", "佐藤").output.isEmpty)
        // Only what a person should know of.
        #expect(try !site.run("-q", "doctor").text.split(separator: "\n").contains { $0.hasPrefix("ok") })
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func completionsAreGenerated(_ shell: String) throws {
        let site = try TestSite()
        let script = try site.run(["--generate-completion-script", shell], data: false)
        #expect(script.status == 0)
        #expect(script.text.contains("resident"))
    }
}
