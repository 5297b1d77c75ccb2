// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

@Suite("Seats between sites")
struct SeatTests {
    private let space = SpaceID("lessons/kudan")!

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    private func ward(capacity: Int) throws -> WardFixture {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: capacity))
        return ward
    }

    private func status(_ site: Site, _ id: RecordID) throws -> String { try site.booking(id.description).status }

    @Test func `A full lesson is never overbooked, and a cancellation seats the first who waits`() throws {
        let ward = try ward(capacity: 2)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let first = try a.addBooking(lesson: "K1", guest("一")).record.id
        let second = try b.addBooking(lesson: "K1", guest("二")).record.id
        let third = try a.addBooking(lesson: "K1", guest("三")).record.id
        for site in [a, b, a, b] { try ward.sync(site) }
        for site in [a, b, ward.centre] {
            #expect(try site.lesson("K1").confirmed == 2)
            #expect(try site.lesson("K1").waiting == 1)
        }
        let waiting = try #require(try [first, second, third].first { try status(a, $0) == "waiting" })
        let seated = try #require(try [first, second, third].first { try status(a, $0) == "confirmed" })
        _ = try b.cancelBooking(seated.description, reason: "都合")
        for site in [b, a] { try ward.sync(site) }
        #expect(try status(a, waiting) == "confirmed")
        #expect(try status(a, seated) == "cancelled")
        #expect(try a.lesson("K1").confirmed == 2)
        #expect(try ward.digests(a) == ward.digests(ward.centre))
    }

    @Test func `A cancellation that had not seen a booking does not undo it, and a person is told`() throws {
        let ward = try ward(capacity: 5)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let id = try a.addBooking(lesson: "K1", guest("田中")).record.id
        try ward.sync(a)
        #expect(try status(a, id) == "confirmed")
        // The same person books and cancels at a counter that knows nothing of it.
        #expect(try b.addBooking(lesson: "K1", guest("田中")).record.id == id)
        _ = try b.cancelBooking(id.description, reason: "都合")
        for site in [b, a, b] { try ward.sync(site) }
        for site in [a, b, ward.centre] {
            #expect(try status(site, id) == "confirmed")
            let findings = try site.cases(.finding)
            #expect(findings.map(\.code) == ["cancelled_and_booked"])
            #expect(findings.first?.records.contains(id) == true)
        }
        // Whoever has seen both may end it.
        _ = try ward.centre.cancelBooking(id.description, reason: "本人に確認")
        for site in [a, b] { try ward.sync(site) }
        #expect(try status(b, id) == "cancelled")
        #expect(try b.cases(.finding).isEmpty)
    }

    @Test func `Who asks again at another counter is not undone by a cancellation that did not know`() throws {
        let ward = try ward(capacity: 5)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let id = try a.addBooking(lesson: "K1", guest("田中")).record.id
        for site in [a, b] { try ward.sync(site) }
        #expect(try b.addBooking(lesson: "K1", guest("田中")).record.id == id)
        let asked = try ward.digests(b)
        _ = try b.addBooking(lesson: "K1", guest("田中"))
        #expect(try ward.digests(b) == asked, "once is enough")
        _ = try a.cancelBooking(id.description, reason: "都合")
        for _ in 0..<3 { for site in [a, b] { try ward.sync(site) } }
        for site in [ward.centre, a, b] {
            #expect(try status(site, id) == "confirmed")
            #expect(try site.cases(.finding).map(\.code) == ["cancelled_and_booked"])
        }
        // Whoever has seen both may end it, and then it is over.
        _ = try b.cancelBooking(id.description, reason: "本人に確認")
        for _ in 0..<2 { for site in [b, a] { try ward.sync(site) } }
        for site in [ward.centre, a, b] {
            #expect(try status(site, id) == "cancelled")
            #expect(try site.cases(.finding).isEmpty)
        }
    }

    @Test func `Booking and cancelling again and again at one counter is no contradiction`() throws {
        let ward = try ward(capacity: 5)
        for _ in 0..<3 {
            let id = try ward.centre.addBooking(lesson: "K1", guest("田中")).record.id
            _ = try ward.centre.cancelBooking(id.description, reason: "都合")
        }
        let id = try ward.centre.addBooking(lesson: "K1", guest("田中")).record.id
        #expect(try status(ward.centre, id) == "confirmed")
        #expect(try ward.centre.cases(.finding).isEmpty)
    }

    @Test(arguments: [-365, 365])
    func `A clock that is a year off does not jump the queue`(days: Int) throws {
        let ward = try ward(capacity: 1)
        let (a, joined) = (try ward.join("a"), try ward.join("late"))
        let seated = try a.addBooking(lesson: "K1", guest("一")).record.id
        try ward.sync(a)
        let second = try a.addBooking(lesson: "K1", guest("二")).record.id
        try ward.sync(a)
        try ward.sync(joined)
        var environment = Store.Environment.system
        environment.now = { UInt64(Int64(Store.Environment.system.now()) + Int64(days) * 86_400_000) }
        let late = try Site.open(joined.directory, person: WardFixture.clerk, environment: environment)
        let third = try late.addBooking(lesson: "K1", guest("三"))
        #expect(third.position == 2, "behind whom its clerk saw waiting")
        try ward.sync(late)
        _ = try ward.centre.cancelBooking(seated.description, reason: "都合")
        // Whoever holds the right hears of it.
        for site in [a, late, a] { try ward.sync(site) }
        #expect(try status(a, second) == "confirmed")
        #expect(try status(a, third.record.id) == "waiting")
    }

    @Test(arguments: [Int64.min, -1, 200_000, Int64.max])
    func `A capacity that no lesson can have mints nothing and stops nobody`(capacity: Int64) throws {
        let ward = try ward(capacity: 1)
        let a = try ward.join("a")
        let id = try a.read { try $0.records(WardSchema.lesson).first!.id }
        try a.write { transaction in
            try transaction.draft(space, by: a.person).set(WardSchema.lesson, id, [(7, .integer(capacity))])
        }
        for name in ["一", "二", "三"] { _ = try a.addBooking(lesson: "K1", guest(name)) }
        #expect(try ward.sync(a).upToDate)
        #expect(try ward.centre.lesson("K1").confirmed == 1)
        #expect(try ward.centre.lesson("K1").rights.map(\.held) == [1])
    }

    @Test func `A booking in another lesson's space takes no place in its queue`() throws {
        let ward = try ward(capacity: 1)
        let other = SpaceID("lessons/other")!
        try ward.centre.write { try $0.found(other, by: ward.centre.person) }
        let venue = try ward.join("venue", role: .venue, spaces: [other.name])
        let lesson = try ward.centre.read { try $0.records(WardSchema.lesson).first!.id }
        try venue.write { transaction in
            let draft = try transaction.draft(other, by: venue.person)
            let id = try draft.create(WardSchema.booking, [(1, .text(lesson.description)), (3, .text("よそ者"))])
            let step = Transition(from: "", to: "requested", reason: "")
            let group = WardSchema.booking.field(named: "status")!.group
            try draft.edit(WardSchema.booking, id, group: group, add: [step.encoded])
        }
        try ward.sync(venue)
        let before = try ward.centre.read { try $0.counts(of: space).changes }
        try ward.sync(venue)
        #expect(try ward.centre.lesson("K1").confirmed == 0)
        #expect(try ward.centre.lesson("K1").waiting == 0)
        #expect(try ward.centre.read { try $0.counts(of: space).changes } == before)
    }
}
