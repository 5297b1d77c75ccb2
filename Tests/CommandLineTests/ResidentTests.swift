// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite struct ResidentTests {
    /// Forms that normalisation, or a comparison by canonical equivalence, would change.
    static let exact = [
        "\u{FA19}", "\u{795E}", "\u{FA11}\u{9AD9}", "か\u{3099}", "が", "\u{845B}\u{E0100}", "\u{20BB7}野屋", "ﾊﾅ",
        "\u{10DE92}",
        "e\u{301}", "a\"b\\c", "①㈱～−",
    ]

    @Test(arguments: exact)
    func textComesOutByteForByte(_ text: String) throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=" + text, "number=00000000001")
        let quoted = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        #expect(try site.json("resident", "show", id).output.contains("\"family_name\":\"\(quoted)\""))
        #expect(try site.run("resident", "show", id).output.contains(text))
        #expect(try site.json("resident", "history", id).output.contains("\"value\":\"\(quoted)\""))
        #expect(try site.json("export", "residents").output.contains("\"family_name\":\"\(quoted)\""))

        // Out as CSV, into another ward, and out again.
        let csv = try site.file("residents.csv")
        _ = try site.run("export", "residents", csv)
        let other = try TestSite("other", beside: site)
        _ = try other.run("init", "--name", "港区")
        #expect(try other.json("import", "residents", csv).object["created"] as? Int == 1)
        #expect(try other.run("export", "residents").output == Array(Data(contentsOf: URL(filePath: csv))))
        #expect(try other.json("resident", "show", "00000000001").output.contains("\"family_name\":\"\(quoted)\""))
    }

    @Test func anotherFormOfACharacterIsAnotherValue() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=\u{795E}")
        #expect(
            try site.json("resident", "set", id, "family_name=\u{FA19}").object["changed"] as? [String] == [
                "family_name"
            ]
        )
        #expect(try site.json("resident", "show", id).output.contains("\u{FA19}"))
        #expect(try site.json("resident", "history", id).list.count == 2)
    }

    @Test func whatDoesNotChangeIsNotWritten() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤", "phone=03-1111-2222", "languages=en,zh")
        let before = try site.run("digest").output
        let same = try site.json("resident", "set", id, "family_name=佐藤", "phone=03-1111-2222", "languages=zh, en")
        #expect(same.object["changed"] as? [String] == [])
        #expect(try site.run("digest").output == before)
        let changed = try site.json("resident", "set", id, "family_name=佐藤", "phone=", "languages=en,ko")
        #expect(changed.object["changed"] as? [String] == ["phone", "languages"])
        let shown = try site.json("resident", "show", id).object
        #expect(shown["phone"] is NSNull)
        #expect(shown["languages"] as? [String] == ["en", "ko"])
        let languages = try site.json("resident", "history", id).list.filter { $0["field"] as? String == "languages" }
        #expect(languages.map { "\($0["value"]!) \($0["state"]!)" } == ["en current", "zh past", "ko current"])
    }

    @Test func nothingOfARefusedCommandIsWritten() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤", "phone=03-1111-2222")
        let before = try site.run("digest").output
        let refused = try site.run("resident", "set", id, "family_name=鈴木", "phone=312345678", "--json")
        #expect(refused.status == 65)
        #expect(refused.error["record"] as? String == id)
        #expect((refused.error["hint"] as? String)?.contains("0312345678") == true)
        #expect(try site.run("resident", "set", id, "phone=03-1", "phone=03-2").status == 65)
        #expect(try site.run("resident", "set", id, "family_name=a\u{1}b").status == 65)
        #expect(try site.run("digest").output == before)
    }

    @Test func aResidentIsNamedByNumberIdOrItsBeginning() throws {
        let site = try TestSite.ward()
        let ids = try (0..<40).map { try site.add("family_name=人\($0)", "number=\(1000 + $0)") }
        #expect(try site.json("resident", "show", "1003").object["id"] as? String == ids[3])
        #expect(try site.json("resident", "show", String(ids[3].prefix(20))).object["id"] as? String == ids[3])
        // Among so many ids two begin with the same letter.
        let first = Dictionary(grouping: ids.filter { $0.first!.isLetter }) { $0.prefix(1) }
            .first { $0.value.count > 1 }!.key
        // Few digits are a number that was cut short, though ids begin with them.
        for id in ids where id.first!.isNumber {
            #expect(try site.run("resident", "show", String(id.prefix(1))).status == 66)
        }
        let ambiguous = try site.run("resident", "show", String(first), "--json")
        #expect(ambiguous.status == 65)
        #expect((ambiguous.error["message"] as? String)?.contains(String(first)) == true)
        #expect(ids.filter { ambiguous.errors.contains($0) }.count >= 2)
        #expect(try site.run("resident", "show", "001003").status == 66)
        #expect(try site.run("resident", "add", "family_name=x", "number=1003").status == 65)
    }

    @Test func findingFoldsAndNeedsEveryWord() throws {
        let site = try TestSite.ward()
        let id = try site.add(
            "family_name=\u{9AD9}\u{FA11}",
            "given_name=花子",
            "family_kana=タカサキ",
            "given_kana=ハナコ",
            "number=00012345678",
            "phone=090-0111-2222"
        )
        _ = try site.add("family_name=佐藤", "given_name=花子", "number=00099999999")
        func found(_ words: String...) throws -> [String] {
            try site.run(["resident", "find", "--json"] + words).list.compactMap { $0["id"] as? String }
        }
        for words in ["高崎", "たかさき", "ﾀｶｻｷ", "高崎花子", "タカサキ\u{3000}ハナコ", "00012345678", "0901112222"] {
            let hits = try found(words)
            #expect(words == "0901112222" ? hits.isEmpty : hits == [id], "\(words)")
        }
        #expect(try found("09001112222") == [id])
        #expect(try found("高崎", "花子") == [id])
        #expect(try found("高崎", "佐藤").isEmpty)
        #expect(try found("花子").count == 2)
        #expect(try site.json("resident", "find", "花子", "--limit", "1").list.count == 1)
        #expect(try site.run("resident", "find", " ").status == 64)
    }

    @Test func deletionKeepsEverythingReadable() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤", "number=77")
        #expect(try site.run("resident", "delete", id).status == 64)
        #expect(try site.run("resident", "delete", id, "--reason", " ").status == 65)
        #expect(try site.run("resident", "delete", id, "--reason", "転出").status == 0)
        #expect(try site.json("resident", "show", "77").object["deleted"] as? Bool == true)
        #expect(try site.json("resident", "find", "佐藤").list.isEmpty)
        #expect(try site.json("resident", "find", "佐藤", "--all").list.count == 1)
        #expect(try site.run("resident", "set", id, "phone=03-1111-2222").status == 65)
        #expect(try site.json("resident", "history", id).list.last?["reason"] as? String == "転出")
        // The number is free again, and a living resident's number stands above a deleted one's.
        let second = try site.add("family_name=鈴木", "number=77")
        #expect(try site.json("resident", "show", "77").object["id"] as? String == second)
        #expect(try site.run("resident", "revive", id, "--reason", "取消").status == 0)
        #expect(try site.json("resident", "show", id).object["deleted"] as? Bool == false)
        let finding = try site.json("conflict", "list", "--kind", "finding").list
        #expect(finding.count == 1 && finding[0]["code"] as? String == "unique_number")
        #expect(Set(finding[0]["records"] as? [String] ?? []) == [id, second])
        #expect(try site.run("resident", "show", "77").status == 65)
    }

    @Test func notesGrow() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤")
        _ = try site.run("resident", "note", id, "一行目\n二行目")
        _ = try site.run("resident", "set", id, "notes=続き")
        let notes = try site.json("resident", "show", id).object["notes"] as? [[String: Any]] ?? []
        #expect(notes.compactMap { $0["text"] as? String } == ["一行目\n二行目", "続き"])
        #expect(notes.allSatisfy { $0["operator"] as? String == "centre" && $0["site"] as? String == "千代田区" })
    }

    @Test func textCannotSteerATerminal() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐\u{202E}藤")
        let shown = try site.run("resident", "show", id)
        #expect(!shown.output.contains("\u{202E}"))
        #expect(shown.output.contains("\\u{202E}"))
        #expect(try site.json("resident", "show", id).output.contains("\u{202E}"))
    }
}
