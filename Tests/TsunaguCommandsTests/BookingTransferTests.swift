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
        _ = try centre.addLesson(.kudan(code, capacity: capacity, date: "2089-12-01"))
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
        _ = try centre.cancelLesson("K1", reason: "台風\n翌週に延期")
        #expect(try carry(.lessons, updates: true).updated == 1)
        #expect(try there.lesson("K1").cancelReason == "台風\n翌週に延期")
        #expect(try carry(.lessons, updates: true).unchanged == 2)
        #expect(try there.cases().isEmpty && there.doctor().allSatisfy { $0.ok || $0.isWarning })
    }

    @Test func `Groups that the file keeps apart stay so, whatever they were before`() throws {
        try plan("K1", capacity: 9)
        let names = ["甲", "乙"]
        var ids = try centre.addBookings(lesson: "K1", names.map(guest)).map(\.record.id.description)
        #expect(try carry(.lessons).created == 1 && carry(.bookings).created == 2)
        _ = try centre.cancelBooking(ids[1], reason: "都合")
        ids = try centre.addBookings(lesson: "K1", ["乙", "丙"].map(guest)).map(\.record.id.description)
        #expect(ids.count == 2)
        _ = try carry(.bookings, updates: true)
        func groups(_ site: Site) throws -> Set<Set<String>> {
            let all = try site.bookings(lesson: "K1", cancelled: false).filter { $0.party != nil }
            return Set(
                Dictionary(grouping: all, by: \.party).values.map { Set($0.map { $0.record.text("name")!.string }) }
            )
        }
        #expect(try groups(there) == [["甲"], ["乙", "丙"]])
        #expect(try carry(.bookings, updates: true).unchanged == 3)
    }

    @Test func `Who was there beyond the seats takes nobody's elsewhere, and a typed booking stays typed`() throws {
        try plan("K1", capacity: 2)
        for name in ["一", "二"] { _ = try centre.addBooking(lesson: "K1", guest(name)) }
        for number in 0..<6 { _ = try centre.admitWalkIn(lesson: "K1", guest("当日\(number)"), reason: "遠方") }
        let resident = try centre.addResident(["number=12", "family_name=山田", "given_name=花"]).description
        let first = try centre.bookings(lesson: "K1").first { $0.record.text("name") == "一" }!.record.id.description
        _ = try centre.linkBooking(first, resident: resident)
        #expect(try carry(.lessons).created == 1 && carry(.bookings).created == 8)
        let seated = try there.bookings(lesson: "K1").filter { $0.status == "confirmed" }
        #expect(Set(seated.map { $0.record.text("name") }) == ["一", "二"])
    }

    @Test func `A lesson that was called off by mistake takes place, with whoever had booked`() throws {
        try plan("K1", capacity: 1)
        let ids = try ["一", "二"].map { try centre.addBooking(lesson: "K1", guest($0)).record.id.description }
        _ = try centre.cancelLesson("K1", reason: "押し間違い")
        #expect(try ids.map { try centre.booking($0).status } == ["cancelled", "cancelled"])
        #expect(try !centre.resumeLesson("K1", reason: "中止ではない").isCancelled)
        #expect(try ids.map { try centre.booking($0).status } == ["confirmed", "waiting"])
        #expect(try centre.resumeLesson("K1", reason: "もう一度").confirmed == 1)
        _ = try centre.cancelLesson("K1", reason: "台風")
        #expect(try centre.lesson("K1").cancelReason == "台風")
    }

    @Test func `Who calls a lesson off without knowing that another's cancellation was taken back prevails`() throws {
        try plan("K1", capacity: 1)
        _ = try centre.addBooking(lesson: "K1", guest("一"))
        let branch = try clock.site(ward.join("branch"))
        func sync() throws { for _ in 0..<2 { _ = try branch.sync(with: LoopbackTransport(Hub(centre))) } }
        try sync()
        _ = try branch.cancelLesson("K1", reason: "浸水")
        _ = try centre.cancelLesson("K1", reason: "講師の病気")
        _ = try centre.resumeLesson("K1", reason: "代わりの講師")
        try sync()
        for site in [centre, branch] {
            #expect(try site.lesson("K1").isCancelled && site.cases().isEmpty)
        }
        _ = try branch.resumeLesson("K1", reason: "水が引いた")
        try sync()
        for site in [centre, branch] {
            #expect(try !site.lesson("K1").isCancelled)
            #expect(try site.bookings(lesson: "K1").map(\.status) == ["confirmed"])
        }
    }

    @Test func `A seat that is offered outlives a cancellation that is taken back`() throws {
        for code in ["K1", "K2"] { try plan(code, capacity: 1) }
        let ids = try ["一", "二", "三"].map { try centre.addBooking(lesson: "K1", guest($0)).record.id.description }
        _ = try centre.promoteBooking(ids[1], reason: "順", answerBy: "2089-11-22")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try centre.booking(ids[1]).status == "offered")
        _ = try centre.cancelLesson("K1", reason: "間違い")
        clock.set("2089-11-25")
        _ = try centre.addBooking(lesson: "K2", guest("別"))
        #expect(try centre.resumeLesson("K1", reason: "取消").confirmed == 1)
        #expect(try centre.booking(ids[1]).status == "offered" && centre.booking(ids[1]).answerBy == "2089-11-27")
        #expect(try centre.acceptOffer(ids[1]).status == "confirmed")
    }

    @Test func `What a booking says of the person is corrected without losing the place`() throws {
        try plan("K1", capacity: 1)
        let ids = try ["一", "二", "三"].map { try centre.addBooking(lesson: "K1", guest($0)).record.id.description }
        let (booking, changed) = try centre.setBooking(ids[1], ["phone=03-1234-5678", "age_group=75+"])
        #expect(changed == ["phone", "age_group"] && booking.position == 1)
        #expect(booking.record.text("phone") == "03-1234-5678")
        for word in ["lesson=x", "name=", "status=cancelled", "age_group=old"] {
            #expect(throws: CommandError.self, "\(word)") { try centre.setBooking(ids[1], [word]) }
        }
    }

    @Test func `Two bookings that are linked to one resident are a finding`() throws {
        try plan("K1", capacity: 5)
        let resident = try centre.addResident(["number=12", "family_name=山田", "given_name=花"]).description
        let ids = try ["一", "二"].map { try centre.addBooking(lesson: "K1", guest($0)).record.id.description }
        _ = try centre.linkBooking(ids[0], resident: resident)
        #expect(try centre.cases().isEmpty)
        _ = try centre.linkBooking(ids[1], resident: resident)
        #expect(try centre.cases(.finding).map(\.code) == ["linked_twice"])
        _ = try centre.cancelBooking(ids[0], reason: "二重")
        #expect(try centre.cases().isEmpty)
        #expect(try centre.addBooking(lesson: "K1", .resident(String(resident.prefix(8)))).status == "confirmed")
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
        // A file that moves the day alone leaves no deadline behind it either.
        let moved = ward.root + "/moved.csv"
        let columns = "code,title,date,time,capacity,space"
        try Data("\(columns)\nK1,教室,2089-11-28,10:00-12:00,3,lessons/kudan\n".utf8).write(to: URL(filePath: moved))
        let late = try #require(throws: ImportFailure.self) {
            try centre.importFile(.lessons, at: moved, ImportOptions(updates: true))
        }
        #expect(late.problems.map(\.code) == ["deadline"])
        let path = ward.root + "/late.csv"
        let row = "L9,教室,2089-12-01,10:00-12:00,3,lessons/kudan,2089-12-02"
        try Data("code,title,date,time,capacity,space,deadline\n\(row)\n".utf8).write(to: URL(filePath: path))
        let failure = try #require(throws: ImportFailure.self) { try centre.importFile(.lessons, at: path) }
        #expect(failure.problems.map(\.code) == ["deadline"] && failure.problems[0].column == "deadline")
    }
}
