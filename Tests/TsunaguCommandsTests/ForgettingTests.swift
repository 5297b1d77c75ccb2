// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What is left of the people of a lesson on 1 December.
@Suite struct ForgettingTests {
    let ward: WardFixture
    let clock = VirtualClock("2090-11-20")
    let centre: Site
    let branch: Site
    let venue: Site
    let bookings: [RecordID]
    static let names = ["阿部忘太", "\u{FA19}田忘子", "和田忘介"]
    static let phones = ["090-1111-2222", "090-3333-4444", "090-5555-6666"]

    init() throws {
        let ward = try WardFixture()
        self.ward = ward
        _ = try ward.centre.addLesson(.kudan(capacity: 2))
        let ages = ["75+", "70-74", nil]
        bookings = try zip(zip(Self.names, Self.phones), ages).map { person, age in
            let guest = BookingPerson.guest(name: person.0, kana: nil, phone: person.1, ageGroup: age)
            return try ward.centre.addBooking(lesson: "K1", guest).record.id
        }
        centre = try clock.site(ward.centre)
        branch = try clock.site(try ward.join("branch"))
        venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        for site in [branch, venue] { try sync(site) }
    }

    private func sync(_ site: Site) throws { _ = try site.sync(with: LoopbackTransport(Hub(centre))) }

    /// A day on which somebody else wrote too, so that two clocks say it.
    private func live(until day: String) throws {
        clock.set(day)
        _ = try branch.addResident(["family_name=暦"])
        try sync(branch)
        clock.advance(hours: 1)
        try centre.write { _ in }
    }

    private func held(_ site: Site) throws -> Int {
        try site.read { try $0.records(WardSchema.booking).count }
    }

    private func outcomes(_ site: Site) throws -> [String] {
        try site.read { transaction in
            try transaction.records(WardSchema.attendance).map {
                "\($0.text("age_group") ?? "unknown") \($0.text("outcomes") ?? "")"
            }.sorted()
        }
    }

    /// Whether any file of a site still holds one of some texts.
    private func holds(_ site: Site, _ texts: [String]) throws -> Bool {
        let folder = URL(filePath: site.directory.database).deletingLastPathComponent()
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).contains {
            file in
            guard let data = try? Data(contentsOf: file) else { return false }
            return texts.contains { data.range(of: Data($0.utf8)) != nil }
        }
    }

    @Test func `Thirty days after the lesson names and phones are gone everywhere, and the figures stay`() throws {
        try live(until: "2090-12-31")
        #expect(try held(centre) == 3, "the thirtieth day is not over")
        let before = try centre.lessonFigures().figures
        try live(until: "2091-01-01")
        #expect(try held(centre) == 0)
        for site in [branch, venue] {
            #expect(try held(site) == 3)
            try sync(site)
            #expect(try held(site) == 0)
        }
        for site in [centre, branch, venue] {
            #expect(try outcomes(site) == ["70-74 [\"confirmed\"]", "75+ [\"confirmed\"]", "unknown [\"waiting\"]"])
            #expect(try !holds(site, Self.names + Self.phones))
            #expect(try site.doctor().allSatisfy(\.ok))
        }
        #expect(try centre.lessonFigures().figures == before)
        #expect(before.contains { $0.name == .waiting && $0.value == 1 && $0.of == 3 })
        #expect(try ward.digests(branch) == ward.digests(centre))
        // Looking again finds nothing to do.
        let changes = try centre.read { try $0.counts(of: SpaceID("lessons/kudan")!).changes }
        try live(until: "2091-01-05")
        #expect(try centre.read { try $0.counts(of: SpaceID("lessons/kudan")!).changes } == changes)
    }

    @Test func `One clock that is wrong forgets nobody`() throws {
        clock.set("2100-01-01")
        for _ in 0..<3 {
            clock.advance(hours: 2)
            try centre.write { _ in }
        }
        #expect(try held(centre) == 3)
        // Nor do other people's.
        clock.set("2090-11-21")
        let early = VirtualClock("2100-01-01")
        let wrong = try early.site(branch)
        _ = try wrong.addResident(["family_name=先"])
        try sync(wrong)
        clock.advance(hours: 2)
        try centre.write { _ in }
        #expect(try held(centre) == 3)
    }

    @Test func `What is written later on a booking brings nobody back, and who was there is kept`() throws {
        let late = try clock.site(try ward.join("late"))
        try sync(late)
        let secret = "忘れた頃の訂正"
        _ = try late.cancelBooking(bookings[0].description, reason: secret)
        try late.write { transaction in
            try transaction.draft(SpaceID("lessons/kudan")!, by: late.person)
                .set(WardSchema.booking, bookings[1], [(3, .text(ExactText(secret)))])
        }
        try live(until: "2091-01-02")
        #expect(try held(centre) == 0)
        try sync(late)
        for site in [late, branch, venue] { try sync(site) }
        for site in [centre, late, branch, venue] {
            #expect(try held(site) == 0)
            #expect(try !holds(site, Self.names + Self.phones + [secret]))
            #expect(try outcomes(site).contains("75+ [\"cancelled\",\"confirmed\"]"))
        }
        #expect(try centre.lessonFigures().figures.contains { $0.name == .cancelled && $0.value == 1 })
        #expect(try ward.digests(late) == ward.digests(centre))
    }

    @Test func `A booking that nobody knew of is forgotten after it came`() throws {
        let guest = BookingPerson.guest(name: "後田忘代", kana: nil, phone: nil, ageGroup: "75+")
        _ = try venue.addBooking(lesson: "K1", guest)
        try live(until: "2091-01-02")
        try sync(venue)
        #expect(try held(centre) == 1)
        clock.advance(hours: 2)
        try centre.write { _ in }
        #expect(try held(centre) == 0)
        for _ in 0..<2 { try sync(venue) }
        #expect(try held(venue) == 0)
        #expect(try outcomes(venue).count == 4)
        #expect(try !holds(venue, ["後田忘代"]))
    }

    @Test func `A sheet that was typed in afterwards stays as long from then on`() throws {
        clock.set("2090-12-20")
        let guest = BookingPerson.guest(name: "紙田", kana: nil, phone: nil, ageGroup: nil)
        _ = try centre.addBooking(lesson: "K1", guest)
        try live(until: "2091-01-02")
        #expect(try held(centre) == 1)
        try live(until: "2091-01-20")
        #expect(try held(centre) == 0)
    }

    @Test func `Two offices that forget at once agree`() throws {
        let other = try clock.site(try ward.join("admin", role: .admin))
        try sync(other)
        clock.set("2091-01-02")
        _ = try branch.addResident(["family_name=暦"])
        try sync(branch)
        // Both know the day; neither knows of the other's act.
        try other.write { transaction in
            _ = try transaction.draft(.residents, by: other.person).create(WardSchema.resident, [(1, .text("暦"))])
        }
        clock.advance(hours: 1)
        try centre.write { _ in }
        #expect(try held(centre) == 0)
        for _ in 0..<3 {
            clock.advance(hours: 1)
            try sync(other)
        }
        #expect(try held(other) == 0)
        #expect(try outcomes(other) == outcomes(centre))
        #expect(try other.cases(.conflict).isEmpty)
        #expect(try ward.digests(other) == ward.digests(centre))
    }

    @Test func `The days are the office's to set`() throws {
        #expect(try centre.contactDays() == 30)
        try centre.setContactDays(60)
        try live(until: "2091-01-29")
        #expect(try held(centre) == 3)
        try centre.setContactDays(7)
        clock.advance(hours: 1)
        try centre.write { _ in }
        #expect(try held(centre) == 0)
        #expect(throws: CommandError.self) { try branch.setContactDays(7) }
        for days in [0, -1, 4000] { #expect(throws: CommandError.self) { try centre.setContactDays(days) } }
    }
}
