// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite struct LessonTests {
    @Test func aFullLessonIsNotOverbookedAndTheFirstInLineMovesUp() throws {
        let site = try TestSite.ward()
        #expect(try site.addLesson(capacity: 2).status == 0)
        let bookings = try ["い", "ろ", "は", "に"].map { name in
            try site.json("booking", "add", "L1", "--name", name, "--phone", "03-0000-000\(name.utf8.last! % 10)")
                .object
        }
        #expect(bookings.map { $0["status"] as? String } == ["confirmed", "confirmed", "waiting", "waiting"])
        #expect(bookings.map { $0["position"] as? Int } == [nil, nil, 1, 2])
        let shown = try site.json("lesson", "show", "L1").object
        #expect(shown["confirmed"] as? Int == 2 && shown["waiting"] as? Int == 2 && shown["capacity"] as? Int == 2)
        let rights = shown["rights"] as? [[String: Any]] ?? []
        #expect(rights.count == 1 && rights[0]["site"] as? String == "千代田区" && rights[0]["free"] as? Int == 0)

        let ids = bookings.compactMap { $0["id"] as? String }
        #expect(try site.run("booking", "cancel", ids[1]).status == 64)
        let cancelled = try site.json("booking", "cancel", ids[1], "--reason", "都合").object
        #expect(cancelled["status"] as? String == "cancelled")
        func status(_ id: String) throws -> String { "\(try site.json("booking", "show", id).object["status"]!)" }
        #expect(try ids.map(status) == ["confirmed", "cancelled", "confirmed", "waiting"])
        // Cancelling twice frees one seat, not two.
        #expect(try site.run("booking", "cancel", ids[1], "--reason", "都合").status == 0)
        #expect(try ids.map(status) == ["confirmed", "cancelled", "confirmed", "waiting"])
        // Whoever asks again stands at the end, under the same booking.
        let again = try site.json("booking", "add", "L1", "--name", "ろ", "--phone", "03-0000-000\("ろ".utf8.last! % 10)")
            .object
        #expect(again["id"] as? String == ids[1] && again["position"] as? Int == 2)
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func onePersonHasOneBooking() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 3)
        let id = try site.add(
            "family_name=佐藤",
            "given_name=花",
            "number=12",
            "birth_date=2015-12-02",
            "phone=03-1111-2222"
        )
        let first = try site.json("booking", "add", "L1", "--resident", "12").object
        let second = try site.json("booking", "add", "L1", "--resident", id).object
        #expect(first["id"] as? String == second["id"] as? String)
        let person = first["person"] as? [String: Any]
        #expect(person?["name"] as? String == "佐藤 花" && person?["resident"] as? String == id)
        // Seventy-five on the day before the birthday.
        #expect(person?["age_group"] as? String == "75+")
        let typed = try site.json("booking", "add", "L1", "--name", "田中", "--kana", "タナカ", "--phone", "090-0111-2222")
            .object
        let alike = try site.json("booking", "add", "L1", "--name", "田中", "--kana", "ﾀﾅｶ", "--phone", "09001112222")
            .object
        #expect(typed["id"] as? String == alike["id"] as? String)
        #expect(try site.json("lesson", "show", "L1").object["confirmed"] as? Int == 2)
        #expect(try site.run("booking", "add", "L1", "--resident", "12", "--name", "x").status == 64)
        #expect(try site.run("booking", "add", "L1", "--resident", "13").status == 66)
        #expect(try site.run("booking", "add", "L9", "--name", "x").status == 66)
        #expect(try site.run("booking", "add", "L1", "--name", "x", "--age-group", "80").status == 65)
    }

    @Test func `A booking is corrected, and keeps its seat and place`() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 1)
        let ids = try ["い", "ろ", "は"].map { name in
            try #require(try site.json("booking", "add", "L1", "--name", name).object["id"] as? String)
        }
        let corrected = try site.json("booking", "set", ids[1], "name=路", "kana=ﾛ", "phone=03-1234-5678", "needs=筆談")
            .object
        #expect(corrected["status"] as? String == "waiting" && corrected["position"] as? Int == 1)
        let person = try site.json("booking", "show", ids[1]).object["person"] as? [String: Any]
        #expect(person?["name"] as? String == "路")
        let text = try site.run("booking", "show", ids[1]).text
        #expect(text.contains("03-1234-5678") && text.contains("筆談"))
        for wrong in ["status=confirmed", "name=", "resident=x", "answer_by=2090-01-01"] {
            let refused = try site.run("booking", "set", ids[1], "needs=手話", wrong)
            #expect(refused.status == 65, "\(wrong): \(refused.status)")
        }
        #expect(try !site.run("booking", "show", ids[1]).text.contains("手話"), "nothing is half done")
        #expect(try site.run("booking", "set", ids[1]).status == 64)
        #expect(try site.run("booking", "set", "ffffffff", "name=x").status == 66)
    }

    @Test func `A lesson that was called off takes place after all`() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 1)
        for name in ["い", "ろ"] { _ = try site.json("booking", "add", "L1", "--name", name) }
        func statuses() throws -> [String] {
            try site.json("booking", "list", "L1").list.compactMap { $0["status"] as? String }
        }
        #expect(try site.run("lesson", "resume", "L1").status == 64)
        #expect(try site.json("lesson", "cancel", "L1", "--reason", "台風").object["status"] as? String == "cancelled")
        #expect(try statuses() == ["cancelled", "cancelled"])
        #expect(try site.run("booking", "add", "L1", "--name", "は").status == 65)
        let back = try site.json("lesson", "resume", "L1", "--reason", "進路がそれた").object
        #expect(back["status"] as? String != "cancelled" && back["cancel_reason"] is NSNull)
        #expect(try statuses() == ["confirmed", "waiting"])
        #expect(try site.run("lesson", "resume", "L9", "--reason", "x").status == 66)
    }

    @Test func morePlannedSeatsGoToWhoWaits() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 1)
        for name in ["い", "ろ", "は"] { _ = try site.json("booking", "add", "L1", "--name", name) }
        let csv = try site.run("export", "lessons").text
        func plan(_ capacity: Int) throws -> TestSite.Result {
            let file = try site.file("lessons.csv", csv.replacing(",1,", with: ",\(capacity),"))
            return try site.json("import", "lessons", file, "--update")
        }
        #expect(try plan(2).object["updated"] as? Int == 1)
        let shown = try site.json("lesson", "show", "L1").object
        #expect(shown["capacity"] as? Int == 2 && shown["confirmed"] as? Int == 2 && shown["waiting"] as? Int == 1)
        #expect(try plan(2).object["unchanged"] as? Int == 1)
        let names = try site.json("booking", "list", "L1").list.map {
            ($0["person"] as? [String: Any])?["name"] as? String
        }
        #expect(names.last == "は")
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func withoutSeatsEverybodyWaits() throws {
        let site = try TestSite.ward()
        _ = try site.addLesson(capacity: 0)
        let booking = try site.json("booking", "add", "L1", "--name", "田中").object
        #expect(booking["status"] as? String == "waiting" && booking["position"] as? Int == 1)
    }

    @Test func aLessonsWordsAreChecked() throws {
        let site = try TestSite.ward()
        #expect(try site.addLesson(capacity: 2).status == 0)
        let twice = try site.addLesson(capacity: 2)
        #expect(twice.status == 65 && twice.errors.contains("L1"))
        #expect(try site.addLesson("L2", capacity: -1).status == 64)
        #expect(try site.addLesson("L2", capacity: 100_000).status == 65)
        let words = ["lesson", "add", "--code", "L2", "--title", "x", "--capacity", "1"]
        for (space, date, time) in [
            ("residents", "2090-12-01", "10:00-12:00"), ("lessons/九段", "2090-12-01", "10:00-12:00"),
            ("lessons/kudan", "2090-02-29", "10:00-12:00"), ("lessons/kudan", "2090-12-01", "12:00-10:00"),
        ] {
            #expect(try site.run(words + ["--space", space, "--date", date, "--time", time]).status == 65)
        }
        #expect(try site.json("lesson", "list").list.count == 1)
    }

    @Test func `Of two who ask for one seat offline one gets it, and the other when that is given up`() throws {
        let centre = try TestSite.ward()
        _ = try centre.addLesson(capacity: 1)
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        let venue = try centre.invite("九段会場", role: "venue", "lessons/kudan")
        centre.stop()
        let told = [
            try branch.json("booking", "add", "L1", "--name", "い").object,
            try venue.json("booking", "add", "L1", "--name", "ろ").object,
        ]
        let promised = told.filter { $0["status"] as? String == "confirmed" }.compactMap { $0["id"] as? String }
        #expect(promised.count <= 1)
        try centre.start()
        for site in [branch, venue, branch, venue] { try site.sync() }
        func bookings(_ site: TestSite) throws -> [String: String] {
            Dictionary(
                uniqueKeysWithValues: try site.json("booking", "list", "L1").list.map {
                    ($0["id"] as? String ?? "", $0["status"] as? String ?? "")
                }
            )
        }
        let statuses = try bookings(centre)
        #expect(statuses.values.sorted() == ["confirmed", "waiting"])
        #expect(promised.allSatisfy { statuses[$0] == "confirmed" })
        for site in [branch, venue] { #expect(try bookings(site) == statuses) }
        // A cancellation at a branch moves the next one up once whoever holds the right has it.
        let id = try #require(statuses.first { $0.value == "confirmed" }?.key)
        _ = try branch.run("booking", "cancel", id, "--reason", "都合")
        for site in [branch, venue, branch] { try site.sync() }
        #expect(try bookings(venue).values.sorted() == ["cancelled", "confirmed"])
    }
}
