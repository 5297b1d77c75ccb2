// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite struct ConflictTests {
    /// A centre and a branch that wrote on one resident while they were apart.
    private static func apart(
        _ fields: [String],
        centre atCentre: [[String]],
        branch atBranch: [[String]]
    ) throws -> (centre: TestSite, branch: TestSite, id: String) {
        let centre = try TestSite.ward()
        let added = try centre.run(["resident", "add", "--json", "number=1"] + fields)
        let id = try #require(added.object["id"] as? String)
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        centre.stop()
        for words in atCentre { #expect(try centre.run(words).status == 0) }
        for words in atBranch { #expect(try branch.run(words).status == 0) }
        try centre.start()
        try branch.sync()
        return (centre, branch, id)
    }

    private static func conflicts(_ site: TestSite) throws -> [[String: Any]] {
        try site.json("conflict", "list", "--kind", "conflict").list
    }

    @Test func bothValuesAreShownAlikeEverywhereAndOneIsTaken() throws {
        let (centre, branch, id) = try Self.apart(
            ["family_name=佐藤", "address=千代田区麹町一丁目", "building=古い"],
            centre: [["resident", "set", "1", "address=千代田区麹町二丁目", "building="]],
            branch: [["resident", "set", "1", "address=千代田区麹町三丁目"]]
        )
        let (here, there) = (try Self.conflicts(centre), try Self.conflicts(branch))
        #expect(here.count == 1 && here[0]["id"] as? String == there[0]["id"] as? String)
        let open = here[0]
        #expect(open["record"] as? String == id && open["group"] as? String == "address")
        #expect(open["kind"] as? String == "conflict" && open["collection"] as? String == "resident")
        let values = open["values"] as? [[String: Any]] ?? []
        #expect(values.compactMap { $0["n"] as? Int } == [1, 2])
        #expect(Set(values.compactMap { $0["operator"] as? String }) == ["centre", "麹町出張所"])
        #expect(Set(values.compactMap { $0["site"] as? String }) == ["千代田区", "麹町出張所"])
        let name = try #require(open["id"] as? String)
        #expect(try centre.json("resident", "show", id).object["conflicts"] as? [String] == [name])
        #expect(try centre.json("conflict", "list", "--site", "麹町出張所").list.count == 1)
        #expect(try centre.json("conflict", "list", "--site", "神保町").list.isEmpty)
        #expect(try centre.run("conflict", "show", name).text.contains("千代田区麹町三丁目"))

        #expect(try centre.run("conflict", "resolve", name, "--take", "3", "--reason", "x").status == 65)
        #expect(
            try centre.run("conflict", "resolve", name, "--set", "phone=03-1111-2222", "--reason", "x").status == 65
        )
        #expect(
            try centre.run("conflict", "resolve", name, "--take", "1", "--set", "address=x", "--reason", "x").status
                == 64
        )
        #expect(try centre.run("conflict", "resolve", name, "--take", "1", "--reason", "本人に確認").status == 0)
        try branch.sync()
        // The whole group is what the centre wrote: its empty building, not the branch's inherited one.
        for site in [centre, branch] {
            let shown = try site.json("resident", "show", id).object
            #expect(shown["address"] as? String == "千代田区麹町二丁目" && shown["building"] is NSNull)
            #expect(try Self.conflicts(site).isEmpty)
            #expect(try site.run("conflict", "resolve", name, "--take", "1", "--reason", "遅い").status == 75)
        }
        let history = try branch.json("resident", "history", id).list.filter { $0["field"] as? String == "address" }
        #expect(history.contains { $0["value"] as? String == "千代田区麹町三丁目" && $0["state"] as? String == "lost" })
        #expect(history.last?["reason"] as? String == "本人に確認")
        #expect(try branch.json("log", "--space", "residents", "--limit", "1").list[0]["reason"] as? String == "本人に確認")
        for site in [centre, branch] { #expect(try site.json("doctor").object["ok"] as? Bool == true) }
    }

    @Test func anotherValueMayBeWritten() throws {
        let (centre, branch, id) = try Self.apart(
            ["phone=03-0000-0000"],
            centre: [["resident", "set", "1", "phone=03-1111-1111"]],
            branch: [["resident", "set", "1", "phone=03-2222-2222"]]
        )
        let name = "\(try Self.conflicts(branch)[0]["id"]!)"
        #expect(
            try branch.run("conflict", "resolve", name, "--set", "phone=03-3333-3333", "--reason", "電話で確認").status == 0
        )
        try branch.sync()
        #expect(try centre.json("resident", "show", id).object["phone"] as? String == "03-3333-3333")
        #expect(try Self.conflicts(centre).isEmpty)
    }

    @Test func equalBytesAreNoConflictAndEqualLooksAre() throws {
        let (centre, _, _) = try Self.apart(
            ["family_name=佐藤", "phone=1"],
            centre: [["resident", "set", "1", "family_name=\u{795E}", "phone=03-1111-1111"]],
            branch: [["resident", "set", "1", "family_name=\u{FA19}", "phone=03-1111-1111"]]
        )
        let open = try Self.conflicts(centre)
        #expect(open.compactMap { $0["group"] as? String } == ["name"])
        let output = try centre.json("conflict", "list").output
        #expect(output.contains("\u{795E}") && output.contains("\u{FA19}"))
    }

    @Test(arguments: [true, false])
    func anEditAgainstADeletionIsDecided(_ takesDeletion: Bool) throws {
        let (centre, branch, id) = try Self.apart(
            ["family_name=佐藤"],
            centre: [["resident", "delete", "1", "--reason", "転出"]],
            branch: [["resident", "set", "1", "phone=03-1111-1111"]]
        )
        let open = try Self.conflicts(branch)
        #expect(open.count == 1 && open[0]["code"] as? String == "edit_or_deletion")
        // Until somebody decides, a resident whom somebody edits stays in the lists.
        #expect(try centre.json("resident", "find", "佐藤").list.count == 1)
        let values = open[0]["values"] as? [[String: Any]] ?? []
        // Both sides are in sight: why it was deleted, and what was written.
        #expect(values.first { $0["deleted"] as? Bool == true }?["reason"] as? String == "転出")
        let written = values.first { $0["deleted"] as? Bool == false }?["fields"] as? [String: Any]
        #expect(written?["phone"] as? String == "03-1111-1111")
        let text = try centre.run("conflict", "show", "\(open[0]["id"]!)").text
        #expect(text.contains("転出") && text.contains("03-1111-1111"))
        let n = try #require(values.first { $0["deleted"] as? Bool == takesDeletion }?["n"] as? Int)
        let name = "\(open[0]["id"]!)"
        #expect(try centre.run("conflict", "resolve", name, "--set", "phone=1", "--reason", "x").status == 64)
        #expect(try centre.run("conflict", "resolve", name, "--take", "\(n)", "--reason", "確認").status == 0)
        try branch.sync()
        for site in [centre, branch] {
            let shown = try site.json("resident", "show", id).object
            #expect(shown["deleted"] as? Bool == takesDeletion && shown["phone"] as? String == "03-1111-1111")
            #expect(try Self.conflicts(site).isEmpty)
            #expect(try site.json("doctor").object["ok"] as? Bool == true)
        }
    }

    @Test func numbersGivenOutTwiceAreAFinding() throws {
        let (centre, branch, _) = try Self.apart(
            ["family_name=佐藤"],
            centre: [["resident", "add", "number=77", "family_name=井伊"]],
            branch: [["resident", "add", "number=77", "family_name=六角"]]
        )
        let findings = try [centre, branch].map { try $0.json("conflict", "list", "--kind", "finding").list }
        #expect(findings.allSatisfy { $0.count == 1 && $0[0]["code"] as? String == "unique_number" })
        #expect(findings[0][0]["id"] as? String == findings[1][0]["id"] as? String)
        let inbox = try centre.json("status").object["inbox"] as? [String: Any]
        #expect(inbox?["finding"] as? Int == 1 && inbox?["conflict"] as? Int == 0)

        // People are called by name, and who is protected by none.
        let name = try #require(findings[0][0]["id"] as? String)
        let records = try #require(findings[0][0]["records"] as? [String])
        for site in [centre, branch] {
            let text = try site.run("conflict", "show", name).text
            #expect(text.contains("井伊") && text.contains("六角") && records.allSatisfy { text.contains($0) })
        }
        let other = try #require(
            try records.first { try centre.json("resident", "show", $0).object["family_name"] as? String == "六角" }
        )
        _ = try centre.json("resident", "protect", other, "--reason", "支援措置")
        let left = try #require(try centre.json("conflict", "list", "--kind", "finding").list.first?["id"] as? String)
        let text = try centre.run("conflict", "show", left, "--lang", "en").text
        #expect(text.contains("井伊") && !text.contains("六角"))
    }
}
