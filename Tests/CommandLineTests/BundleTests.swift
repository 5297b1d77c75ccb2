// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// Changes on a stick between sites that no line joins.
@Suite struct BundleTests {
    @Test func aSiteJoinsByStick() throws {
        let centre = try TestSite.ward()
        let id = try centre.add("family_name=佐藤")
        let invited = try centre.json("invite", "--role", "branch", "--name", "麹町出張所").object
        let code = try #require(invited["code"] as? String)
        let kojimachi = try TestSite("kojimachi", beside: centre)
        let (request, answer) = (try centre.file("request"), try centre.file("answer"))

        #expect(try kojimachi.run("join", "--answer", answer).status == 66)
        _ = try kojimachi.json("join", code, "--request", request)
        #expect(try centre.run("invite", "--accept", request).status == 64)
        #expect(
            (try centre.json("invite", "--accept", request, "--answer", answer).object["files"] as? [String]) == [
                answer
            ]
        )
        #expect(try (kojimachi.json("join", "--answer", answer).object["received"] as? Int ?? 0) > 0)
        #expect(try kojimachi.json("resident", "show", id).object["family_name"] as? String == "佐藤")
        #expect(try kojimachi.digests() == centre.digests())

        let thief = try TestSite("thief", beside: centre)
        _ = try thief.json("join", code, "--request", request)
        #expect(try centre.run("invite", "--accept", request, "--answer", answer).status == 77)
        #expect(try centre.run("invite", "--accept", answer, "--answer", request).status == 65)
    }

    @Test func sitesThatNeverMeetExchangeByStick() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let kojimachi = try centre.invite("麹町出張所", role: "branch")
        let jimbocho = try centre.invite("神保町出張所", role: "branch")
        centre.stop()
        let stick = try centre.file("stick.tsunagu")
        let id = try jimbocho.add("family_name=佐藤", "phone=03-1111-2222")

        // The neighbour joined before and never heard of this site, which brings what says who it is.
        let written = try jimbocho.json("bundle", "export", stick, "--for", "麹町出張所").object
        #expect((written["files"] as? [[String: Any]])?.first?["path"] as? String == stick)
        #expect((written["devices"] as? [String])?.count == 1)
        let seen = try kojimachi.json("bundle", "inspect", stick).object
        #expect(seen["member"] as? Bool == false && seen["part"] as? Int == 1 && seen["parts"] as? Int == 1)
        #expect(try kojimachi.run("resident", "show", id).status == 66)
        let report = try kojimachi.json("bundle", "import", stick).object
        #expect(report["site"] as? String == "神保町出張所" || (report["applied"] as? Int ?? 0) > 0)
        #expect((report["refused"] as? [Any])?.isEmpty == true)
        #expect(try kojimachi.json("resident", "show", id).object["phone"] as? String == "03-1111-2222")

        // The answer is a bundle, twice is as once, and people are told in words.
        let back = try centre.file("back.tsunagu")
        _ = try kojimachi.json("bundle", "export", back, "--for", "神保町出張所", "--max-size", "1M")
        for _ in 1...2 { #expect(try jimbocho.run("bundle", "import", back).status == 0) }
        #expect(try kojimachi.digests() == jimbocho.digests())
        let text = try kojimachi.run("bundle", "inspect", stick, "--lang", "ja").output
        #expect(text.contains("神保町出張所") && text.contains("うち新しいもの 0"))

        // For others, for nobody, cut off, no bundle, no file, no size.
        for words in [["import", stick], ["inspect", stick]] {
            let refused = try centre.run(["bundle"] + words + ["--json"])
            #expect(refused.status == 77 && refused.output.isEmpty)
        }
        #expect(try centre.run("bundle", "export", back, "--for", "どこにもない").status == 66)
        let whole = try Data(contentsOf: URL(filePath: stick))
        try whole.dropLast(1).write(to: URL(filePath: stick))
        #expect(try kojimachi.run("bundle", "import", stick).status == 65)
        try Data("氏名,電話\n".utf8).write(to: URL(filePath: stick))
        #expect(try kojimachi.run("bundle", "inspect", stick).status == 65)
        #expect(try kojimachi.run("bundle", "import", stick + ".none").status == 66)
        #expect(try kojimachi.run("bundle", "export", back, "--for", "神保町出張所", "--max-size", "viel").status == 64)
        #expect(try kojimachi.run("bundle", "export", back, "--for", "神保町出張所", "--max-size", "1K").status == 64)
    }
}
