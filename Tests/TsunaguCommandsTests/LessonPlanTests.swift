// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

@Suite("Lessons that change")
struct LessonPlanTests {
    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    private func refusal(_ body: () throws -> Void) -> CommandError.Code? {
        do { try body() } catch { return (error as? CommandError)?.code }
        return nil
    }

    @Test func `More planned seats go to who waits, and fewer take nobody's seat away`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("a")
        _ = try ward.centre.addLesson(.kudan(capacity: 1))
        for name in ["一", "二", "三"] { _ = try ward.centre.addBooking(lesson: "K1", guest(name)) }
        try ward.sync(branch)
        _ = try branch.setCapacity("K1", "2")
        try ward.sync(branch)
        #expect(try branch.lesson("K1").confirmed == 2)
        #expect(try branch.lesson("K1").waiting == 1)
        #expect(try ward.centre.setCapacity("K1", "1").confirmed == 2)
        #expect(try ward.centre.cases(.finding).map(\.code) == ["over_capacity"])
        #expect(refusal { _ = try ward.centre.setCapacity("K1", "") } == .badInput)
        #expect(refusal { _ = try ward.centre.setCapacity("K1", "many") } == .badInput)
        #expect(refusal { _ = try ward.centre.setCapacity("K9", "3") } == .notFound)
    }

    @Test func `A venue plans nothing`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 1))
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        #expect(refusal { _ = try venue.setCapacity("K1", "9") } == .notPermitted)
        _ = try venue.setLesson("K1", ["room=和室"])
        try ward.sync(venue)
        #expect(try ward.centre.lesson("K1").record.text("room") == "和室")
    }

    @Test func `The bookings of a cancelled lesson are told so, and nobody moves up or comes in`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("a")
        _ = try ward.centre.addLesson(.kudan(capacity: 1))
        let ids = try ["一", "二"].map { try ward.centre.addBooking(lesson: "K1", guest($0)).record.id }
        try ward.sync(branch)
        #expect(refusal { _ = try branch.cancelLesson("K1", reason: " ") } == .badInput)
        _ = try branch.cancelLesson("K1", reason: "大雪")
        // Meanwhile more seats are planned, and the one who sits gives up.
        _ = try ward.centre.setCapacity("K1", "5")
        _ = try ward.centre.cancelLesson("K1", reason: "大雪")
        _ = try ward.centre.cancelBooking(ids[0].description, reason: "都合")
        for _ in 0..<2 { try ward.sync(branch) }
        for site in [ward.centre, branch] {
            #expect(try site.lesson("K1").cancelReason == "大雪")
            #expect(try site.bookings(lesson: "K1").allSatisfy { $0.status == "cancelled" && $0.isLessonCancelled })
            #expect(try site.lesson("K1").confirmed == 0)
            #expect(try site.lesson("K1").waiting == 0)
            #expect(try site.cases().isEmpty)
            #expect(refusal { _ = try site.addBooking(lesson: "K1", guest("三")) } == .badInput)
        }
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
    }

    @Test func `Room, time and needs change, and what makes no lesson is refused`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 1))
        let changed = try ward.centre.setLesson("K1", ["room=和室", "time=23:30-00:30", "needs=手話,筆談"]).changed
        #expect(changed == ["room", "start_time", "end_time", "needs"])
        #expect(try ward.centre.lesson("K1").time == "23:30-00:30")
        #expect(try ward.centre.setLesson("K1", ["room=和室"]).changed.isEmpty)
        for words in [["time=12:00-10:00"], ["start_time=01:00"], ["date=2026-02-29"], ["title="], ["status=x"]] {
            #expect(refusal { _ = try ward.centre.setLesson("K1", words) } == .badInput, "\(words)")
        }
        _ = try ward.centre.addLesson(.kudan("K2", capacity: 1))
        #expect(refusal { _ = try ward.centre.setLesson("K1", ["code=K2"]) } == .badInput)
        #expect(refusal { _ = try ward.centre.setLesson("K1", []) } == .usage)
    }

    @Test func `A weekly series keeps weekday and time, over the end of a year too`() throws {
        let ward = try WardFixture()
        var plan = LessonPlan.kudan(capacity: 1, date: "2091-12-20")
        plan.time = "23:30-00:30"
        plan.others.append("deadline=2091-12-18")
        _ = try ward.centre.addLessons(plan, weekly: 3)
        let lessons = try ward.centre.lessons()
        #expect(lessons.map { $0.record.text("code") } == ["K1-1", "K1-2", "K1-3"])
        #expect(lessons.map { $0.record.text("date") } == ["2091-12-20", "2091-12-27", "2092-01-03"])
        #expect(lessons.map { $0.record.text("deadline") } == ["2091-12-18", "2091-12-25", "2092-01-01"])
        #expect(lessons.allSatisfy { $0.time == "23:30-00:30" })
        // The second code of this series is taken: none of it is made.
        plan.code = "K2-2"
        _ = try ward.centre.addLesson(plan)
        plan.code = "K2"
        #expect(refusal { _ = try ward.centre.addLessons(plan, weekly: 3) } == .badInput)
        #expect(try ward.centre.lessons().count == 4)
        for weeks in [0, 54] { #expect(refusal { _ = try ward.centre.addLessons(plan, weekly: weeks) } == .badInput) }
    }

    @Test(arguments: [
        ("2090-11-30T14:59:59", UInt64(3_815_737_199_000), true), ("2090-11-30T15:00:00", 3_815_737_200_000, false),
    ])
    func `The deadline ends at midnight in Tokyo, and going beyond it takes a reason that stays`(
        utc: String,
        now: UInt64,
        isOpen: Bool
    ) throws {
        let ward = try WardFixture()
        var plan = LessonPlan.kudan(capacity: 2)
        plan.others = ["deadline=2090-11-30"]
        _ = try ward.centre.addLesson(plan)
        var environment = Store.Environment.system
        environment.now = { now }
        let site = try Site.open(ward.centre.directory, person: WardFixture.clerk, environment: environment)
        #expect((refusal { _ = try site.addBooking(lesson: "K1", guest("一")) } == nil) == isOpen, "\(utc)")
        let id = try site.addBooking(lesson: "K1", guest("二"), reason: "電話の不通").record.id
        let shown = try site.booking(id.description)
        #expect(shown.status == "confirmed")
        let notes = shown.record.fields.first { $0.field.name == "notes" }?.shown
        guard case .entries(let entries)? = notes else {
            Issue.record("there are no notes")
            return
        }
        #expect(entries.map(\.text) == (isOpen ? [] : ["申込期限後に受付: 電話の不通"]))
    }

    @Test func `One person in the register and by name is a finding, and both keep their seats`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("a")
        _ = try ward.centre.addLesson(.kudan(capacity: 3))
        let resident = try ward.centre.addResident([
            "family_name=田中", "family_kana=タナカ", "phone=090-1111-2222", "number=12",
        ])
        try ward.sync(branch)
        let first = try ward.centre.addBooking(lesson: "K1", .resident("12")).record.id
        let typed = BookingPerson.guest(name: "田中", kana: "ﾀﾅｶ", phone: "09011112222", ageGroup: nil)
        let second = try branch.addBooking(lesson: "K1", typed).record.id
        for _ in 0..<2 { try ward.sync(branch) }
        for site in [ward.centre, branch] {
            let found = try site.cases(.finding)
            #expect(found.map(\.code) == ["booked_twice"])
            #expect(Set(found.flatMap(\.records)) == [first, second])
            #expect(try site.lesson("K1").confirmed == 2)
        }
        let linked = try branch.linkBooking(second.description, resident: "12")
        #expect(linked.resident == resident)
        #expect(try branch.booking(first.description).resident == resident)
        _ = try branch.cancelBooking(second.description, reason: "二重")
        #expect(try branch.cases(.finding).isEmpty)
    }

    @Test(arguments: [
        ("2090-12-01", "11:00-13:00", true), ("2090-12-01", "12:00-13:00", false), ("2090-11-30", "23:30-00:30", false),
        ("2090-11-30", "23:30-10:30", true), ("2090-12-02", "10:00-12:00", false),
    ])
    func `One person in two lessons at once is a finding`(date: String, time: String, isFound: Bool) throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 3))
        var other = LessonPlan.kudan("K2", space: "lessons/other", capacity: 3, date: date)
        other.time = time
        _ = try ward.centre.addLesson(other)
        for code in ["K1", "K2"] { _ = try ward.centre.addBooking(lesson: code, guest("一")) }
        #expect(try ward.centre.cases(.finding).map(\.code) == (isFound ? ["overlap"] : []))
        _ = try ward.centre.cancelLesson("K2", reason: "大雪")
        #expect(try ward.centre.cases(.finding).isEmpty)
    }
}
