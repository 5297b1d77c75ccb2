// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// The day of a lesson as it is typed.
@Suite struct AttendanceTests {
    /// A ward with a lesson: one of a day that is over, where marking the rest absent is allowed.
    private func lesson(_ capacity: Int, date: String = "2026-01-15") throws -> TestSite {
        let site = try TestSite.ward()
        #expect(try site.addLesson(capacity: capacity, date: date).status == 0)
        return site
    }

    @Test func `Attendance is typed by number or id, and a walk-in in one line`() throws {
        let site = try lesson(3)
        for (name, kana) in [("和田", "ワダ"), ("阿部", "アベ"), ("加藤", "カトウ"), ("無席", "ムセキ")] {
            _ = try site.json("booking", "add", "L1", "--name", name, "--kana", kana)
        }
        _ = try site.json("lesson", "roster", "L1", "--print", try site.file("page.html"))
        let first = try site.json("booking", "attend", "L1", "1").object
        #expect(first["status"] as? String == "attended")
        #expect((first["person"] as? [String: Any])?["name"] as? String == "阿部")
        // The fourth by kana is 和田; 無席 has no seat, so that nobody of the line is noted.
        let refused = try site.run("booking", "attend", "L1", "2-4", "--lang", "ja")
        #expect(refused.status == 65 && refused.errors.contains("無席"))
        #expect(try site.json("lesson", "roster", "L1").object["present"] as? Int == 1)
        #expect(try site.json("booking", "attend", "L1", "2", "4").list.count == 2)
        let roster = try site.json("lesson", "roster", "L1", "--missing").object
        #expect(roster["missing"] as? Int == 0 && roster["present"] as? Int == 3)

        let full = try site.run("booking", "add", "L1", "--name", "当日", "--kana", "トウジツ", "--walk-in", "--lang", "ja")
        #expect(full.status == 65 && full.errors.contains("--reason"))
        let walkIn = try site.json("booking", "add", "L1", "--name", "当日", "--walk-in", "--reason", "遠方から").object
        #expect(walkIn["status"] as? String == "walk_in" && walkIn["position"] as? Int == nil)
        let shown = try site.json("lesson", "show", "L1").object
        let counts = shown["counts"] as? [String: Int] ?? [:]
        #expect(counts["attended"] == 3 && counts["walk_in"] == 1 && counts["beyond"] == 1 && counts["waiting"] == 1)
        #expect(shown["confirmed"] as? Int == 3)
        #expect(try site.json("lesson", "list").list.first?["counts"] as? [String: Int] == counts)

        let id = try #require(first["id"] as? String)
        #expect(
            try site.json("booking", "attend", String(id.prefix(8)), "--undo").object["status"] as? String
                == "confirmed"
        )
        #expect(try site.json("booking", "attend", "L1", "--rest-absent").list.count == 1)
        #expect(try site.json("booking", "show", id).object["status"] as? String == "no_show")
        #expect(try site.run("booking", "attend", "L1", "9").status == 66)
        #expect(try site.run("booking", "attend", "L1", "x").status == 64)
        #expect(try site.run("booking", "attend", "L1", "1", "--undo", "--absent").status == 64)
        #expect(try site.run("booking", "attend", "L1").status == 64)
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func `Who cancelled after the page was printed is noted by the number, and is a finding`() throws {
        let site = try lesson(3)
        let id = try #require(try site.json("booking", "add", "L1", "--name", "阿部").object["id"] as? String)
        _ = try site.json("lesson", "roster", "L1", "--print", try site.file("page.html"))
        _ = try site.json("booking", "cancel", id, "--reason", "都合")
        #expect(try site.json("booking", "attend", "L1", "1").object["status"] as? String == "attended")
        let found = try site.json("conflict", "list", "--kind", "finding").list
        #expect(found.map { $0["code"] as? String } == ["attended_though_cancelled"])
        #expect(try site.run("conflict", "list", "--lang", "ja").text.contains("取り消した人"))
        _ = try site.json("booking", "attend", id, "--reason", "本人に確認")
        #expect(try site.json("conflict", "list").list.isEmpty)
    }

    @Test func `What is typed of another day is done, and a note says so`() throws {
        let site = try lesson(5, date: TestSite.distantDay)
        for name in ["阿部", "加藤", "佐藤", "田中"] {
            let added = try site.run("booking", "add", "L1", "--name", name)
            #expect(added.status == 0 && added.errors.isEmpty, "a booking is for another day: \(added.errors)")
        }
        _ = try site.json("lesson", "roster", "L1", "--print", try site.file("page.html"))
        // Digits and hyphens as a Japanese keyboard types them.
        for (words, count) in [(["１"], 1), (["２ー３"], 2), (["2〜3", "４"], 3)] {
            let marked = try site.run(["booking", "attend", "L1"] + words + ["--json", "--lang", "ja"])
            #expect(marked.status == 0 && max(marked.list.count, 1) == count, "\(words)")
            #expect(marked.errors.contains("今日ではなく 2090-12-01"), "\(words): \(marked.errors)")
        }
        #expect(try site.json("lesson", "roster", "L1").object["present"] as? Int == 4)

        let past = try lesson(1)
        let late = try past.run("booking", "add", "L1", "--name", "紙", "--lang", "en")
        #expect(late.status == 0 && late.errors.contains("was on 2026-01-15"))
    }

    @Test func `Groups, helpers and promotion are commands`() throws {
        let site = try lesson(2, date: TestSite.distantDay)
        let couple = try site.json(
            "booking",
            "add",
            "L1",
            "--name",
            "夫",
            "--with",
            "妻,ツマ,090-0000-0000"
        ).object
        let others = couple["companions"] as? [[String: Any]] ?? []
        #expect(couple["status"] as? String == "confirmed" && others.map { $0["status"] as? String } == ["confirmed"])
        #expect(others.first?["party"] as? String == couple["id"] as? String)
        let helper = try site.json("booking", "add", "L1", "--name", "講師", "--no-seat").object
        #expect(helper["status"] as? String == "confirmed" && helper["counts"] as? Bool == false)
        let waiting = try ["い", "ろ"].map { try site.json("booking", "add", "L1", "--name", $0).object }
        #expect(waiting.map { $0["position"] as? Int } == [1, 2])
        let id = try #require(waiting[1]["id"] as? String)
        #expect(try site.run("booking", "promote", id).status == 64)
        let promoted = try site.json("booking", "promote", id, "--reason", "通訳の都合", "--answer-by", "2090-01-01").object
        #expect(promoted["position"] as? Int == 1)
        _ = try site.json("booking", "cancel", try #require(couple["id"] as? String), "--reason", "都合")
        #expect(try site.json("booking", "show", id).object["status"] as? String == "offered")
        #expect(try site.json("booking", "accept", id).object["status"] as? String == "confirmed")
        #expect(try site.run("booking", "accept", id).status == 65)
        #expect(try site.run("booking", "add", "L1", "--name", "x", "--with", "y", "--walk-in").status == 64)
        #expect(try site.run("booking", "add", "L1", "--name", "x", "--with", "").status == 64)
    }
}
