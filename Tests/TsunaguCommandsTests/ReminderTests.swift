// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Who is reminded of a lesson on 1 December, and how often.
@Suite struct ReminderTests {
    let ward: WardFixture
    let clock = VirtualClock("2090-11-24")
    let centre: Site
    let bookings: [RecordID]

    init() throws {
        let ward = try WardFixture()
        self.ward = ward
        _ = try ward.centre.addLesson(.kudan(capacity: 2))
        centre = try clock.site(ward.centre)
        bookings = try ["阿部", "加藤", "和田"].map { name in
            let guest = BookingPerson.guest(name: name, kana: nil, phone: "03-0000-0000", ageGroup: nil)
            return try ward.centre.addBooking(lesson: "K1", guest).record.id
        }
    }

    private func names(_ site: Site, all: Bool = false) throws -> [String] {
        try site.reminders(all: all).map {
            "\($0.booking?.record.text("name")?.string ?? "") \($0.kind.rawValue) \($0.status)"
        }
    }

    private func code(_ body: () throws -> Void) -> CommandError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? CommandError)?.code
        }
    }

    @Test func `Where a lesson moves nobody is told the former day, and everybody the new one`() throws {
        #expect(try centre.queueReminders().queued == 2)
        let first = try centre.reminders()[0]
        _ = try centre.markReminderSent(first.id.description)
        _ = try centre.setLesson("K1", ["date=2090-11-28"])
        #expect(try names(centre).isEmpty, "also before the job runs")
        #expect(
            code { _ = try centre.markReminderSent(try centre.reminders(all: true)[1].id.description) } == .tryAgain
        )
        #expect(try centre.queueReminders() == ReminderCounts(queued: 2, withdrawn: 1))
        #expect(try centre.reminders().map(\.date.description) == ["2090-11-28", "2090-11-28"])
        #expect(try centre.queueReminders() == ReminderCounts())
        // Far away again: what was queued is not sent a month before.
        _ = try centre.setLesson("K1", ["date=2090-12-28"])
        #expect(try centre.queueReminders() == ReminderCounts(queued: 0, withdrawn: 2))
        _ = try centre.setLesson("K1", ["date=2090-11-28"])
        #expect(try centre.queueReminders() == ReminderCounts(queued: 2, withdrawn: 0))
    }

    @Test func `Who has a seat is reminded a week and a day before, once each`() throws {
        #expect(try centre.queueReminders() == ReminderCounts(queued: 2, withdrawn: 0))
        #expect(try centre.queueReminders() == ReminderCounts())
        #expect(try names(centre) == ["加藤 week_before queued", "阿部 week_before queued"])
        for reminder in try centre.reminders() { _ = try centre.markReminderSent(reminder.id.description) }
        #expect(try names(centre).isEmpty)
        clock.set("2090-11-26")
        #expect(try centre.queueReminders() == ReminderCounts())
        clock.set("2090-11-30")
        #expect(try centre.queueReminders().queued == 2)
        clock.set("2090-12-02")
        // Nobody is reminded of yesterday.
        #expect(try centre.queueReminders() == ReminderCounts(queued: 0, withdrawn: 2))
        #expect(
            try names(centre, all: true).sorted()
                == [
                    "加藤 day_before withdrawn", "加藤 week_before sent", "阿部 day_before withdrawn", "阿部 week_before sent",
                ].sorted()
        )
    }

    @Test(arguments: ["2090-11-23", "2090-12-02"])
    func `Long before and afterwards there is nothing to send`(day: String) throws {
        clock.set(day)
        #expect(try centre.queueReminders() == ReminderCounts())
    }

    @Test func `Whoever cancels while the job is queued is not reminded, and who moves up is`() throws {
        _ = try centre.queueReminders()
        let queued = try #require(
            try centre.reminders().first { $0.booking?.record.id == bookings[0] }
        )
        _ = try ward.centre.cancelBooking(bookings[0].description, reason: "都合")
        #expect(try names(centre) == ["加藤 week_before queued"])
        #expect(code { _ = try centre.markReminderSent(queued.id.description) } == .tryAgain)
        #expect(try centre.queueReminders() == ReminderCounts(queued: 1, withdrawn: 1))
        #expect(try names(centre) == ["加藤 week_before queued", "和田 week_before queued"])
        // Who comes back and has a seat again is reminded after all.
        _ = try ward.centre.cancelBooking(bookings[1].description, reason: "都合")
        let again = BookingPerson.guest(name: "阿部", kana: nil, phone: "03-0000-0000", ageGroup: nil)
        #expect(try ward.centre.addBooking(lesson: "K1", again).status == "confirmed")
        #expect(try centre.queueReminders() == ReminderCounts(queued: 1, withdrawn: 1))
        #expect(try names(centre) == ["和田 week_before queued", "阿部 week_before queued"])
    }

    @Test func `The job on two machines makes one reminder, and two who sent it are one mark`() throws {
        let other = try clock.site(try ward.join("admin", role: .admin))
        try ward.sync(other)
        #expect(try centre.queueReminders().queued == 2)
        #expect(try other.queueReminders().queued == 2)
        for site in [centre, other] {
            let first = try #require(try site.reminders().first)
            #expect(try site.markReminderSent(first.id.description).status == "sent")
            // Noting it again changes nothing.
            let changes = try site.read { try $0.counts(of: first.lesson.record.space).changes }
            #expect(try site.markReminderSent(first.id.description).status == "sent")
            #expect(try site.read { try $0.counts(of: first.lesson.record.space).changes } == changes)
        }
        for _ in 0..<2 { try ward.sync(other) }
        for site in [centre, other] {
            #expect(try site.read { try $0.records(WardSchema.reminder) }.count == 2)
            #expect(try names(site, all: true) == ["加藤 week_before sent", "阿部 week_before queued"])
            #expect(try site.cases(.conflict).isEmpty)
        }
        #expect(try ward.digests(other) == ward.digests(ward.centre))
    }

    @Test func `What was sent stays sent, whoever withdrew it meanwhile`() throws {
        let other = try clock.site(try ward.join("admin", role: .admin))
        _ = try centre.queueReminders()
        for _ in 0..<2 { try ward.sync(other) }
        let first = try #require(try other.reminders().first { $0.booking?.record.id == bookings[0] })
        _ = try other.markReminderSent(first.id.description)
        _ = try ward.centre.cancelBooking(bookings[0].description, reason: "都合")
        #expect(try centre.queueReminders().withdrawn == 1)
        for _ in 0..<2 { try ward.sync(other) }
        for site in [centre, other] {
            #expect(try names(site, all: true).contains("阿部 week_before sent"))
            #expect(try site.cases(.conflict).isEmpty)
        }
    }

    @Test func `Only the ward office writes the outbox, and a venue sees it`() throws {
        let venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        _ = try centre.queueReminders()
        for _ in 0..<2 { try ward.sync(venue) }
        let first = try #require(try venue.reminders().first)
        #expect(code { _ = try venue.markReminderSent(first.id.description) } == .notPermitted)
        #expect(code { _ = try venue.queueReminders() } == .notPermitted)
        // Nor past the commands.
        #expect(throws: (any Error).self) {
            try venue.write { transaction in
                let group = WardSchema.reminder.field(named: "status")!.group
                try transaction.draft(first.lesson.record.space, by: venue.person)
                    .step(WardSchema.reminder, first.id, group: group, to: "sent", reason: "")
            }
        }
    }
}
