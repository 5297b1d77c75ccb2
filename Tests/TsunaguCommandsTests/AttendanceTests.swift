// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What is noted on the day of a lesson with two seats, and whose seat it touches.
@Suite struct AttendanceTests {
    let ward: WardFixture
    let clock = VirtualClock("2090-12-01")
    let centre: Site

    init() throws {
        ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 2))
        centre = try clock.site(ward.centre)
    }

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    private func book(_ site: Site, _ names: String...) throws -> [String] {
        try names.map { try site.addBooking(lesson: "K1", guest($0)).record.id.description }
    }

    private func sync(_ site: Site) throws { _ = try site.sync(with: LoopbackTransport(Hub(centre))) }

    private func counts(_ site: Site) throws -> [String: Int] {
        Dictionary(
            try site.lesson("K1").counts.filter { $0.count > 0 }.map { ($0.status, $0.count) },
            uniquingKeysWith: +
        )
    }

    private func statuses(_ site: Site, _ ids: [String]) throws -> [String] {
        try ids.map { try site.booking($0).status }
    }

    private func refusal(_ body: () throws -> Void) -> CommandError.Code? {
        do { try body() } catch { return (error as? CommandError)?.code }
        return nil
    }

    @Test func `Who was there is noted, all of them or nobody, and an error leads back`() throws {
        let ids = try book(centre, "一", "二", "三")
        #expect(try centre.mark(.attended, [ids[0]]).map(\.status) == ["attended"])
        #expect(try centre.lesson("K1").confirmed == 2, "who came still sits there")
        #expect(try centre.roster("K1").missing.map { $0.text("name") } == ["二"])
        #expect(try centre.roster("K1").presentCount == 1)
        #expect(refusal { try centre.mark(.attended, [ids[1], ids[2]]) } == .badInput)
        #expect(try statuses(centre, ids) == ["attended", "confirmed", "waiting"])
        #expect(refusal { try centre.mark(.absent, [ids[2]]) } == .badInput)
        #expect(try centre.markRestAbsent(lesson: "K1").map(\.record.id.description) == [ids[1]])
        #expect(try counts(centre) == ["attended": 1, "no_show": 1, "waiting": 1])
        // Late, but there; and the other one was somebody else.
        #expect(try centre.mark(.attended, [ids[1]])[0].status == "attended")
        #expect(try centre.mark(.undone, [ids[0]])[0].status == "confirmed")
        #expect(refusal { _ = try centre.cancelBooking(ids[1], reason: "都合") } == .badInput)
        #expect(try statuses(centre, ids) == ["confirmed", "attended", "waiting"])
        #expect(try centre.cases().isEmpty)
        clock.set("2090-11-30")
        #expect(refusal { _ = try centre.markRestAbsent(lesson: "K1") } == .badInput)
    }

    @Test func `Who had cancelled and was there is a fact and a finding until somebody looks into it`() throws {
        let ids = try book(centre, "一", "二", "三")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try statuses(centre, ids) == ["cancelled", "confirmed", "confirmed"])
        #expect(try centre.mark(.attended, [ids[0]])[0].status == "attended")
        #expect(try centre.lesson("K1").confirmed == 2, "nobody's seat is taken back")
        #expect(try counts(centre) == ["attended": 1, "confirmed": 2, "beyond": 1])
        let found = try centre.cases(.finding)
        #expect(found.map(\.code) == ["attended_though_cancelled"])
        #expect(found[0].records.map(\.description).contains(ids[0]))
        #expect(try centre.mark(.attended, [ids[0]], reason: "本人に確認")[0].status == "attended")
        #expect(try centre.cases(.finding).isEmpty)
        // The mark was an error after all.
        #expect(try centre.mark(.undone, [ids[0]])[0].status == "cancelled")
        #expect(try counts(centre) == ["cancelled": 1, "confirmed": 2])
    }

    @Test(arguments: [true, false])
    func `A cancellation and an attendance at two places at once are both kept`(officeFirst: Bool) throws {
        let ids = try book(centre, "一", "二", "三")
        let venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        let branch = try clock.site(try ward.join("branch"))
        for site in [venue, branch] { try sync(site) }
        _ = try branch.cancelBooking(ids[0], reason: "電話で連絡")
        _ = try venue.mark(.attended, [ids[0]])
        let order = officeFirst ? [branch, venue] : [venue, branch]
        for site in order + order + order { try sync(site) }
        for site in [centre, branch, venue] {
            #expect(try site.booking(ids[0]).status == "attended")
            #expect(try site.cases(.finding).map(\.code) == ["attended_though_cancelled"])
            #expect(try site.cases(.conflict).isEmpty)
            #expect(try site.lesson("K1").confirmed == 2)
            #expect(try site.lesson("K1").rights.reduce(0) { $0 + $1.held } == 2)
        }
        #expect(try ward.digests(branch) == ward.digests(centre))
    }

    @Test(arguments: [true, false])
    func `Somebody noted as there at one place and as missing at another is a finding until a person decides`(
        wasThere: Bool
    ) throws {
        let ids = try book(centre, "一", "二")
        let venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        try sync(venue)
        _ = try venue.mark(.attended, [ids[0]])
        _ = try centre.mark(.absent, [ids[0]])
        for _ in 0..<2 { try sync(venue) }
        for site in [venue, centre] {
            #expect(try site.booking(ids[0]).status == "attended")
            #expect(try site.cases(.finding).map(\.code) == ["marked_apart"])
        }
        _ = try venue.mark(wasThere ? .attended : .absent, [ids[0]], reason: "会場に確認")
        try sync(venue)
        for site in [venue, centre] {
            #expect(try site.booking(ids[0]).status == (wasThere ? "attended" : "no_show"))
            #expect(try site.cases().isEmpty)
        }
    }

    @Test func `A walk-in that was noted in error is in no figure`() throws {
        let id = try centre.admitWalkIn(lesson: "K1", guest("一")).record.id.description
        #expect(try centre.mark(.undone, [id])[0].status == "cancelled")
        let figures = try centre.lessonFigures().figures
        #expect(figures.filter { [.cancelled, .walkIns, .attendances].contains($0.name) }.allSatisfy { $0.value == 0 })
    }

    @Test func `Who comes without a booking takes a free seat here, or comes on top with a reason`() throws {
        let first = try centre.admitWalkIn(lesson: "K1", guest("一"))
        #expect(first.status == "walk_in")
        #expect(try centre.lesson("K1").confirmed == 1)
        let booked = try book(centre, "二", "三")
        #expect(try statuses(centre, booked) == ["confirmed", "waiting"])
        #expect(refusal { _ = try centre.admitWalkIn(lesson: "K1", guest("四")) } == .badInput)
        #expect(try centre.admitWalkIn(lesson: "K1", guest("四"), reason: "遠方から").status == "walk_in")
        #expect(try centre.lesson("K1").confirmed == 2)
        // Asking for the same twice makes nothing, and a second visit to the form finds who is there.
        #expect(try centre.admitWalkIn(lesson: "K1", guest("四")).status == "walk_in")
        #expect(try centre.admitWalkIn(lesson: "K1", guest("二")).status == "attended")
        #expect(try counts(centre) == ["walk_in": 2, "attended": 1, "waiting": 1, "beyond": 1])
        #expect(try centre.admitWalkIn(lesson: "K1", guest("三"), reason: "待っていた").status == "walk_in")
        #expect(try centre.lesson("K1").waiting == 0)
        // An error: the seat is the next one's.
        _ = try book(centre, "五")
        #expect(try centre.mark(.undone, [first.record.id.description])[0].status == "cancelled")
        #expect(try counts(centre)["confirmed"] == 1)
        #expect(try centre.lesson("K1").confirmed == 2)
        let figures = try centre.lessonFigures().figures.filter { $0.period.kind == "month" && $0.venue == nil }
        #expect(figures.first { $0.name == .walkIns }?.value == 2)
        #expect(figures.first { $0.name == .attendances && $0.ages == .all }?.value == 3)
    }

    @Test func `Somebody taken in at the door to whom the office gave a seat meanwhile sits on it`() throws {
        let ids = try book(centre, "一", "二", "三")
        let venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        try sync(venue)
        #expect(try venue.mark(.attended, [ids[2]], reason: "空席に見えた")[0].status == "walk_in")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        for _ in 0..<2 { try sync(venue) }
        for site in [centre, venue] {
            #expect(try statuses(site, ids) == ["cancelled", "confirmed", "attended"])
            #expect(try counts(site)["beyond"] == nil)
            #expect(try site.cases().isEmpty)
        }
    }

    @Test func `Helpers without a seat take none, wait for none and stand in no figure`() throws {
        let helper = try centre.addBooking(lesson: "K1", guest("講師"), usesSeat: false)
        let another = try centre.addBooking(lesson: "K1", guest("通訳"), usesSeat: false)
        #expect(helper.status == "confirmed" && !another.usesSeat)
        let ids = try book(centre, "一", "二", "三")
        #expect(try statuses(centre, ids) == ["confirmed", "confirmed", "waiting"])
        #expect(try counts(centre) == ["confirmed": 2, "waiting": 1, "without_seat": 2])
        // When one of them does not come after all, nobody moves up.
        _ = try centre.cancelBooking(another.record.id.description, reason: "都合")
        #expect(try statuses(centre, ids) == ["confirmed", "confirmed", "waiting"])
        #expect(try centre.mark(.attended, [helper.record.id.description])[0].status == "attended")
        #expect(try centre.roster("K1").missing.count == 2)
        let bookings = try centre.lessonFigures().figures.first { $0.name == .bookings && $0.venue == nil }
        #expect(bookings?.value == 3)
        #expect(try centre.lesson("K1").rights.map(\.held) == [2])
    }

    @Test func `A lesson that was cancelled elsewhere and took place all the same says so`() throws {
        let ids = try book(centre, "一")
        let venue = try clock.site(try ward.join("venue", role: .venue, spaces: ["lessons/kudan"]))
        try sync(venue)
        _ = try centre.cancelLesson("K1", reason: "大雪")
        #expect(refusal { try centre.mark(.attended, ids) } == .badInput)
        _ = try venue.mark(.attended, ids)
        for _ in 0..<2 { try sync(venue) }
        for site in [centre, venue] {
            #expect(try site.booking(ids[0]).status == "attended")
            #expect(try site.cases(.finding).map(\.code) == ["attended_though_cancelled"])
        }
    }
}
