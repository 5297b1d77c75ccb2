// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A day in Tokyo is that day on every machine.
@Suite("Time zones")
struct TimeZoneTests {
    @Test(arguments: ["Asia/Tokyo", "UTC", "America/New_York", "Pacific/Kiritimati"])
    func `Days and hours are shown, stored and exported as they were typed`(zone: String) throws {
        let site = try TestSite.ward()
        let environment = ["TZ": zone]
        func json(_ words: String...) throws -> [String: Any] {
            let result = try site.run(words + ["--json"], environment: environment)
            #expect(result.status == 0, "\(result.errors)")
            return result.object
        }
        let births = ["1926-12-24", "1926-12-25", "1989-01-07", "1989-01-08", "2019-04-30", "2019-05-01", "2024-02-29"]
        for birth in births {
            let id = try #require(try json("resident", "add", "family_name=家", "birth_date=\(birth)")["id"] as? String)
            #expect(try json("resident", "show", id)["birth_date"] as? String == birth)
        }
        let words = ["lesson", "add", "--space", "lessons/kudan", "--title", "夜の教室", "--capacity", "3"]
        for (code, date, time) in [("A", "2026-04-01", "00:00-00:30"), ("B", "2026-04-01", "22:00-23:59")] {
            let added = try site.run(
                words + ["--code", code, "--date", date, "--time", time, "--json"],
                environment: environment
            )
            #expect(added.status == 0, "\(added.errors)")
            let shown = try json("lesson", "show", code)
            #expect(shown["date"] as? String == date && shown["time"] as? String == time)
        }
        let residents = try site.run(["export", "residents"], environment: environment).text
        for birth in births { #expect(residents.contains(birth)) }
        let lessons = try site.run(["export", "lessons"], environment: environment).text
        #expect(lessons.contains("2026-04-01"))
        #expect(!lessons.contains("2026-03-31") && !lessons.contains("2026-04-02"))
    }
}
