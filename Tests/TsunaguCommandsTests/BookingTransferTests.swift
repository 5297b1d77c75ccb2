// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore

/// Lessons and bookings that leave a ward as files and come into another one.
@Suite struct BookingTransferTests {
    let ward: WardFixture
    let other: WardFixture
    let clock = VirtualClock("2089-11-20")
    let centre: Site
    let there: Site

    init() throws {
        (ward, other) = (try WardFixture(), try WardFixture())
        (centre, there) = (try clock.site(ward.centre), try clock.site(other.centre))
    }

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    private func plan(_ code: String, capacity: Int) throws {
        var plan = LessonPlan.kudan(capacity: "\(capacity)")
        (plan.code, plan.date) = (code, "2089-12-01")
        _ = try centre.addLesson(plan)
    }

    private func carry(_ kind: TransferFile, updates: Bool = false) throws -> ImportCounts {
        let path = ward.root + "/\(kind).csv"
        _ = try centre.exportFile(kind, to: path)
        return try there.importFile(kind, at: path, ImportOptions(updates: updates))
    }

    /// Who stands where, and with whom, whatever the records are called.
    private func standing(_ site: Site) throws -> [String] {
        let all = try site.bookings(lesson: "K1", cancelled: false)
        let names = Dictionary(uniqueKeysWithValues: all.map { ($0.record.id, $0.record.text("name")!.string) })
        return all.map { booking in
            let group = all.filter { $0.party != nil && $0.party == booking.party }.compactMap { names[$0.record.id] }
            return "\(names[booking.record.id]!) \(booking.status) \(booking.position ?? 0) \(booking.usesSeat) "
                + group.sorted().joined(separator: "+")
        }.sorted()
    }

    @Test func `The same people have seats, wait in the same order and come together`() throws {
        try plan("K1", capacity: 3)
        var ids: [String] = []
        for name in ["一", "二", "三", "四", "五"] {
            ids.append(try centre.addBooking(lesson: "K1", guest(name)).record.id.description)
        }
        _ = try centre.addBooking(lesson: "K1", guest("講師"), usesSeat: false)
        _ = try centre.addBookings(lesson: "K1", [guest("夫"), guest("妻")])
        // Neither the seats nor the queue stand in the order of asking any more.
        _ = try centre.promoteBooking(ids[4], reason: "順")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        _ = try centre.addBooking(lesson: "K1", guest("一"))
        let before = try standing(centre)
        #expect(before.contains("五 confirmed 0 true ") && before.contains("夫 waiting 2 true 夫+妻"))
        #expect(before.contains("講師 confirmed 0 false "))

        #expect(try carry(.lessons).created == 1)
        let counts = try carry(.bookings)
        #expect(counts.created == before.count)
        #expect(try standing(there) == before)
        #expect(try carry(.bookings, updates: true).unchanged == before.count)
    }

    @Test func `A lesson that is called off is so elsewhere, also where it was taken in before`() throws {
        try plan("K1", capacity: 3)
        try plan("K2", capacity: 3)
        _ = try centre.cancelLesson("K2", reason: "講師の都合")
        #expect(try carry(.lessons).created == 2)
        #expect(try !there.lesson("K1").isCancelled)
        #expect(try there.lesson("K2").cancelReason == "講師の都合")
        _ = try centre.cancelLesson("K1", reason: "台風")
        #expect(try carry(.lessons, updates: true).updated == 1)
        #expect(try there.lesson("K1").cancelReason == "台風")
        #expect(try carry(.lessons, updates: true).unchanged == 2)
        #expect(try there.cases().isEmpty && there.doctor().allSatisfy { $0.ok || $0.isWarning })
    }

    @Test func `A deadline behind the lesson is refused wherever it comes from`() throws {
        try plan("K1", capacity: 3)
        func code(_ body: () throws -> Void) -> CommandError.Code? {
            do { try body() } catch { return (error as? CommandError)?.code }
            return nil
        }
        #expect(code { _ = try centre.setLesson("K1", ["deadline=2089-12-02"]) } == .badInput)
        #expect(try centre.setLesson("K1", ["deadline=2089-12-01"]).changed == ["deadline"])
        #expect(code { _ = try centre.setLesson("K1", ["date=2089-11-30"]) } == .badInput, "the day moved before it")
        #expect(
            try centre.setLesson("K1", ["date=2089-11-30", "deadline=2089-11-29"]).changed == ["date", "deadline"]
        )
        let path = ward.root + "/late.csv"
        let row = "L9,教室,2089-12-01,10:00-12:00,3,lessons/kudan,2089-12-02"
        try Data("code,title,date,time,capacity,space,deadline\n\(row)\n".utf8).write(to: URL(filePath: path))
        let failure = try #require(throws: ImportFailure.self) { try centre.importFile(.lessons, at: path) }
        #expect(failure.problems.map(\.code) == ["deadline"] && failure.problems[0].column == "deadline")
    }
}
