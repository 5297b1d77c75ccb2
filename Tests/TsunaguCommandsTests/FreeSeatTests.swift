// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

@Suite("Where free seats are")
struct FreeSeatTests {
    private let ward: WardFixture

    init() throws { ward = try WardFixture() }

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: nil, phone: nil, ageGroup: nil)
    }

    private func plan(capacity: Int) throws {
        _ = try ward.centre.addLesson(.kudan(capacity: capacity, date: "2090-04-03"))
    }

    private func seats(_ site: Site, _ reason: FreeSeats.Reason, of other: Site? = nil) throws -> Int {
        try site.lesson("K1").freeSeats
            .filter { $0.reason == reason && (other == nil || $0.device == other?.keys.device) }
            .reduce(0) { $0 + $1.count }
    }

    @Test func `A free seat is handed out here, or it is told who has it and why it is not`() throws {
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try plan(capacity: 12)
        for _ in 0..<3 { for site in [a, b] { try ward.sync(site) } }
        for site in [ward.centre, a, b] {
            let free = try site.lesson("K1").freeSeats
            #expect(free.reduce(0) { $0 + $1.count } == 12)
            #expect(free.allSatisfy { $0.site != nil && ($0.reason == .here) == ($0.device == site.keys.device) })
            #expect(try seats(site, .here) + seats(site, .elsewhere) == 12)
        }
        // All that is here is given away; the next person is told that there are seats, only not here.
        let own = try seats(a, .here)
        for number in 0..<own { _ = try a.addBooking(lesson: "K1", guest("客\(number)")) }
        let last = try a.addBooking(lesson: "K1", guest("最後"))
        #expect(last.status == "waiting" && last.waitingReason == .freeElsewhere)
        #expect(try seats(a, .here) == 0)
        #expect(try seats(a, .forWaiting) == 1)
        #expect(try seats(a, .elsewhere) == 12 - own - 1)
        try ward.sync(a)
        #expect(try a.booking(last.record.id.description).status == "confirmed")
        #expect(try seats(a, .forWaiting) == 0)
        // More are planned; who owns the ledger makes them.
        _ = try a.setCapacity("K1", "15")
        #expect(try seats(a, .notMade, of: ward.centre) == 3)
        try ward.sync(a)
        #expect(try seats(a, .notMade) == 0)
        for number in 0..<15 { _ = try ward.centre.addBooking(lesson: "K1", guest("本庁\(number)")) }
        for _ in 0..<2 { for site in [a, b] { try ward.sync(site) } }
        let full = try b.bookings(lesson: "K1", cancelled: false).filter { $0.status == "waiting" }
        #expect(!full.isEmpty && full.allSatisfy { $0.waitingReason == .full && $0.position != nil })
        #expect(try b.lesson("K1").freeSeats.isEmpty)
        _ = try b.cancelLesson("K1", reason: "台風")
        #expect(try b.lesson("K1").freeSeats.isEmpty)
    }

    @Test func `A lesson's ledger goes to another site, and nobody's seat with it`() throws {
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try plan(capacity: 12)
        func refusal(_ site: Site, to name: String) -> CommandError.Code? {
            do { _ = try site.passLesson("K1", to: name) } catch { return (error as? CommandError)?.code }
            return nil
        }
        #expect(refusal(ward.centre, to: "a") == .badInput, "it has not taken part yet")
        for _ in 0..<3 { for site in [a, b] { try ward.sync(site) } }
        #expect(refusal(a, to: "b") == .notPermitted)
        #expect(refusal(ward.centre, to: "nobody") == .notFound)
        let seat = try b.addBooking(lesson: "K1", guest("一")).record.id
        _ = try ward.centre.passLesson("K1", to: "a")
        #expect(refusal(ward.centre, to: "b") == .notPermitted)
        _ = try ward.centre.setCapacity("K1", "20")
        #expect(try seats(ward.centre, .notMade, of: a) == 8)
        for _ in 0..<4 { for site in [a, b] { try ward.sync(site) } }
        for site in [ward.centre, a, b] {
            let lesson = try site.lesson("K1")
            #expect(lesson.confirmed == 1)
            #expect(try site.booking(seat.description).status == "confirmed")
            #expect(lesson.rights.reduce(0) { $0 + $1.held } == 20)
            #expect(lesson.freeSeats.reduce(0) { $0 + $1.count } == 19)
        }
        #expect(try seats(ward.centre, .here) > 0)
        #expect(try a.passLesson("K1", to: "千代田区").rights.reduce(0) { $0 + $1.held } == 20)
    }

    @Test func `A lesson's venue gets its share when the day is near, although nobody wrote anything`() throws {
        let space = "lessons/kudan"
        let sites = [
            try ward.join("venue", role: .venue, spaces: [space]), try ward.join("a"), try ward.join("b"),
        ]
        try plan(capacity: 20)
        // Midday of 20 March 2090, two weeks before, and of 1 April, on the eve.
        let clock = Clock(3_793_694_400_000)
        var environment = Store.Environment.system
        environment.now = { clock.now.withLock { $0 } }
        func again(_ site: Site) throws -> Site {
            try Site.open(site.directory, person: WardFixture.clerk, environment: environment)
        }
        let (centre, others) = (try again(ward.centre), try sites.map(again))
        let hub = Hub(centre)
        func sync(_ site: Site) throws { #expect(try site.sync(with: LoopbackTransport(hub)).outcome.upToDate) }
        func held(_ site: Site) throws -> Int {
            try site.lesson("K1").rights.filter { $0.device == site.keys.device }.reduce(0) { $0 + $1.held }
        }
        for _ in 0..<4 { for site in others { try sync(site) } }
        #expect((4...6).contains(try held(others[0])))
        clock.now.withLock { $0 = 3_794_731_200_000 }
        for _ in 0..<3 { for site in others { try sync(site) } }
        #expect(try held(others[0]) >= 10)
        #expect(try others[1...].allSatisfy { try held($0) > 0 })
    }

    private final class Clock: Sendable {
        let now: Mutex<UInt64>
        init(_ now: UInt64) { self.now = Mutex(now) }
    }
}
