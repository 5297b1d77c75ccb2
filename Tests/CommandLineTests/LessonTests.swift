// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

@Suite struct LessonTests {
    private static func lesson(_ site: TestSite, _ code: String = "L1", capacity: Int) throws -> TestSite.Result {
        try site.run(
            "lesson",
            "add",
            "--space",
            "lessons/kudan",
            "--code",
            code,
            "--title",
            "スマホ入門",
            "--date",
            "2026-12-01",
            "--time",
            "10:00-12:00",
            "--capacity",
            "\(capacity)",
            "--json"
        )
    }

    @Test func aFullLessonIsNotOverbookedAndTheFirstInLineMovesUp() throws {
        let site = try TestSite.ward()
        #expect(try Self.lesson(site, capacity: 2).status == 0)
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
        _ = try Self.lesson(site, capacity: 3)
        let id = try site.add(
            "family_name=佐藤",
            "given_name=花",
            "number=12",
            "birth_date=1953-12-02",
            "phone=03-1111-2222"
        )
        let first = try site.json("booking", "add", "L1", "--resident", "12").object
        let second = try site.json("booking", "add", "L1", "--resident", id).object
        #expect(first["id"] as? String == second["id"] as? String)
        let person = first["person"] as? [String: Any]
        #expect(person?["name"] as? String == "佐藤 花" && person?["resident"] as? String == id)
        // Seventy-three until the day before the birthday.
        #expect(person?["age_group"] as? String == "70-74")
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

    @Test func morePlannedSeatsGoToWhoWaits() throws {
        let site = try TestSite.ward()
        _ = try Self.lesson(site, capacity: 1)
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
        _ = try Self.lesson(site, capacity: 0)
        let booking = try site.json("booking", "add", "L1", "--name", "田中").object
        #expect(booking["status"] as? String == "waiting" && booking["position"] as? Int == 1)
    }

    @Test func aLessonsWordsAreChecked() throws {
        let site = try TestSite.ward()
        #expect(try Self.lesson(site, capacity: 2).status == 0)
        let twice = try Self.lesson(site, capacity: 2)
        #expect(twice.status == 65 && twice.errors.contains("L1"))
        #expect(try Self.lesson(site, "L2", capacity: -1).status == 64)
        #expect(try Self.lesson(site, "L2", capacity: 100_000).status == 65)
        let words = ["lesson", "add", "--code", "L2", "--title", "x", "--capacity", "1"]
        for (space, date, time) in [
            ("residents", "2026-12-01", "10:00-12:00"), ("lessons/九段", "2026-12-01", "10:00-12:00"),
            ("lessons/kudan", "2026-02-29", "10:00-12:00"), ("lessons/kudan", "2026-12-01", "12:00-10:00"),
        ] {
            #expect(try site.run(words + ["--space", space, "--date", date, "--time", time]).status == 65)
        }
        #expect(try site.json("lesson", "list").list.count == 1)
    }

    @Test func `Of two who ask for one seat offline one gets it, and the other when that is given up`() throws {
        let centre = try TestSite.ward()
        _ = try Self.lesson(centre, capacity: 1)
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
