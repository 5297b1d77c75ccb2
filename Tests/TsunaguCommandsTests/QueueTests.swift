// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Who of those who wait is next, and what a person may change about it.
@Suite struct QueueTests {
    let ward: WardFixture
    /// Ahead of this machine's, so that it stamps what is written.
    let clock = VirtualClock("2089-11-20")
    let centre: Site

    init() throws {
        ward = try WardFixture()
        centre = try clock.site(ward.centre)
    }

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    private func plan(_ capacity: Int, date: String = "2089-12-01") throws {
        _ = try centre.addLesson(.kudan(capacity: capacity, date: date))
    }

    private func book(_ site: Site, _ names: String...) throws -> [String] {
        try names.map { try site.addBooking(lesson: "K1", guest($0)).record.id.description }
    }

    private func sync(_ site: Site) throws { _ = try site.sync(with: LoopbackTransport(Hub(centre))) }

    private func statuses(_ site: Site, _ ids: [String]) throws -> [String] {
        try ids.map { try site.booking($0).status }
    }

    private func refusal(_ body: () throws -> Void) -> CommandError.Code? {
        do { try body() } catch { return (error as? CommandError)?.code }
        return nil
    }

    // MARK: - Order

    @Test func `One cancellation with two who wait seats exactly the first`() throws {
        try plan(2)
        let ids = try book(centre, "一", "二", "三", "四")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try statuses(centre, ids) == ["cancelled", "confirmed", "confirmed", "waiting"])
        // A seat that was never anybody's, planned and withdrawn, seats nobody beyond the rest.
        _ = try centre.setCapacity("K1", "4")
        _ = try book(centre, "五")
        _ = try centre.cancelBooking(ids[3], reason: "都合")
        _ = try centre.setCapacity("K1", "2")
        #expect(try centre.lesson("K1").confirmed == 3)
        #expect(try centre.cases(.finding).map(\.code) == ["over_capacity"])
        let late = try book(centre, "六")
        _ = try centre.cancelBooking(ids[1], reason: "都合")
        #expect(try statuses(centre, late) == ["waiting"])
        #expect(try centre.lesson("K1").confirmed == 2)
    }

    @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
    func `The order is that of asking at every site, in whichever order they meet`(order: [Int]) throws {
        try plan(1)
        let sites = try ["a", "b", "c"].map { try clock.site(try ward.join($0)) }
        let seated = try book(centre, "先")
        var asked: [String] = []
        for (place, name) in zip(order, ["一", "二", "三"]) {
            // Each had seen who asked before.
            try sync(sites[place])
            asked += try book(sites[place], name)
            try sync(sites[place])
        }
        for site in sites { try sync(site) }
        for site in sites + [centre] {
            let waiting = try site.bookings(lesson: "K1").filter { $0.status == "waiting" }
            #expect(waiting.map(\.record.id.description) == asked)
        }
        _ = try sites[0].cancelBooking(seated[0], reason: "都合")
        for site in sites { try sync(site) }
        #expect(try statuses(centre, asked) == ["confirmed", "waiting", "waiting"])
    }

    @Test func `Two places offline fill one lesson, not two`() throws {
        try plan(3)
        let sites = try ["a", "b"].map { try clock.site(try ward.join($0)) }
        for (site, name) in zip(sites, ["一", "二"]) { _ = try book(site, name) }
        for site in sites + sites + sites { try sync(site) }
        for site in sites + [centre] {
            #expect(try site.lessons().count == 1)
            #expect(try site.bookings(lesson: "K1").map(\.status) == ["confirmed", "confirmed"])
        }
    }

    // MARK: - Promotion by a person

    @Test func `A person may be put before the others with a reason that stays in sight`() throws {
        try plan(1)
        let ids = try book(centre, "一", "二", "三")
        #expect(refusal { _ = try centre.promoteBooking(ids[2], reason: " ") } == .badInput)
        #expect(refusal { _ = try centre.promoteBooking(ids[0], reason: "急ぎ") } == .badInput)
        let promoted = try centre.promoteBooking(ids[2], reason: "手話通訳の都合")
        #expect(promoted.status == "waiting" && promoted.position == 1)
        #expect(try centre.booking(ids[1]).position == 2)
        let notes = try centre.booking(ids[2]).record.fields.first { $0.field.name == "notes" }?.shown
        guard case .entries(let entries)? = notes else {
            Issue.record("there are no notes")
            return
        }
        #expect(entries.map(\.text) == ["先にした理由: 手話通訳の都合"])
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try statuses(centre, ids) == ["cancelled", "waiting", "confirmed"])
    }

    @Test func `Promotion by order and by two people at once seats one, wherever they are`() throws {
        try plan(1)
        let (a, b) = (try clock.site(try ward.join("a")), try clock.site(try ward.join("b")))
        let ids = try book(centre, "一", "二", "三", "四")
        for site in [a, b] { try sync(site) }
        _ = try a.promoteBooking(ids[2], reason: "先約")
        _ = try b.promoteBooking(ids[3], reason: "遠方")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        for site in [a, b, a, b] { try sync(site) }
        for site in [a, b, centre] {
            #expect(try statuses(site, ids) == ["cancelled", "confirmed", "waiting", "waiting"])
            #expect(try site.lesson("K1").confirmed == 1)
            #expect(try site.cases().isEmpty)
        }
        _ = try b.cancelBooking(ids[1], reason: "都合")
        for site in [b, a, b] { try sync(site) }
        let seated = try ids.filter { try centre.booking($0).status == "confirmed" }
        #expect(seated.count == 1 && (seated == [ids[2]] || seated == [ids[3]]))
        #expect(try a.lesson("K1").confirmed == 1 && b.lesson("K1").waiting == 1)
    }

    @Test func `A promotion that meets a cancellation gives way to it, and a person is told`() throws {
        try plan(1)
        let a = try clock.site(try ward.join("a"))
        let ids = try book(centre, "一", "二", "三")
        try sync(a)
        _ = try a.cancelBooking(ids[2], reason: "都合")
        _ = try centre.promoteBooking(ids[2], reason: "先約")
        for _ in 0..<2 { try sync(a) }
        for site in [a, centre] {
            #expect(try statuses(site, ids) == ["confirmed", "waiting", "cancelled"])
            #expect(try site.cases(.finding).map(\.code) == ["cancelled_and_booked"])
            #expect(try site.cases(.conflict).isEmpty)
        }
    }

    // MARK: - Offers

    @Test func `A seat that is offered is kept until the day, and then the next one's`() throws {
        try plan(1)
        let ids = try book(centre, "一", "二", "三")
        #expect(refusal { _ = try centre.promoteBooking(ids[2], reason: "順", answerBy: "2089-11-19") } == .badInput)
        #expect(refusal { _ = try centre.acceptOffer(ids[2]) } == .badInput)
        _ = try centre.promoteBooking(ids[2], reason: "順", answerBy: "2089-11-25")
        #expect(try statuses(centre, ids) == ["confirmed", "waiting", "waiting"])
        #expect(refusal { _ = try centre.acceptOffer(ids[2]) } == .badInput, "no seat to accept: it stays first")
        #expect(try centre.booking(ids[2]).position == 1)
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try centre.booking(ids[0]).cancelReason == "都合")
        #expect(try statuses(centre, ids) == ["cancelled", "waiting", "offered"])
        #expect(try centre.booking(ids[2]).answerBy == "2089-11-25")
        #expect(try centre.lesson("K1").confirmed == 1, "nobody else is given it")
        clock.set("2089-11-25")
        _ = try book(centre, "四")
        #expect(try statuses(centre, ids) == ["cancelled", "waiting", "offered"])
        clock.set("2089-11-26")
        _ = try book(centre, "五")
        #expect(try statuses(centre, ids) == ["cancelled", "confirmed", "cancelled"], "and it stays in sight")
        #expect(try centre.lesson("K1").confirmed == 1)
        // Whoever answers too late asks again, and has a place.
        #expect(refusal { _ = try centre.acceptOffer(ids[2]) } == .badInput)
        #expect(try centre.addBooking(lesson: "K1", guest("三")).position == 3)
    }

    @Test func `Who accepts an offer keeps the seat, and who has it late has two days`() throws {
        try plan(1)
        let ids = try book(centre, "一", "二")
        _ = try centre.promoteBooking(ids[1], reason: "順", answerBy: "2089-11-21")
        clock.set("2089-11-24")
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try centre.booking(ids[1]).answerBy == "2089-11-26")
        #expect(try centre.acceptOffer(ids[1]).status == "confirmed")
        clock.set("2089-11-30")
        _ = try book(centre, "三")
        #expect(try centre.booking(ids[1]).status == "confirmed")
    }

    // MARK: - Together

    @Test func `People who come together are confirmed together or wait together`() throws {
        try plan(4)
        let people = ["父", "母", "祖父", "祖母", "叔母"].map(guest)
        #expect(refusal { _ = try centre.addBookings(lesson: "K1", people) } == .badInput, "they would wait for ever")
        #expect(try centre.bookings(lesson: "K1").isEmpty)
        _ = try centre.setCapacity("K1", "5")
        _ = try book(centre, "先")
        let family = try centre.addBookings(lesson: "K1", people)
        #expect(family.map(\.status) == Array(repeating: "waiting", count: 5))
        #expect(Set(family.map(\.waitingReason)) == [.groupTooLarge])
        #expect(Set(family.map(\.party)) == [family[0].record.id])
        #expect(try centre.lesson("K1").freeSeats.map(\.reason) == [.here], "who comes alone has one at once")
        // Nobody is kept waiting for seats that five cannot use.
        let ids = try book(centre, "一", "二", "三")
        #expect(try statuses(centre, ids) == ["confirmed", "confirmed", "confirmed"])
        #expect(refusal { _ = try centre.addBookings(lesson: "K1", [guest("夫"), guest("夫")]) } == .badInput)
        #expect(refusal { _ = try centre.addBookings(lesson: "K1", [guest("一"), guest("連れ")]) } == .badInput)
        #expect(try centre.bookings(lesson: "K1").count == 9, "who is booked already makes no group unnoticed")
        let couple = try centre.addBookings(lesson: "K1", [guest("夫"), guest("妻")]).map(\.record.id.description)
        #expect(try statuses(centre, couple) == ["waiting", "waiting"], "one seat is free")
        #expect(try centre.booking(couple[1]).waitingReason == .groupTooLarge)
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try statuses(centre, couple) == ["confirmed", "confirmed"])
        // The lesson is full; who gives up the seat beside him frees one.
        let single = try book(centre, "四")
        #expect(try statuses(centre, single) == ["waiting"])
        #expect(try centre.booking(single[0]).waitingReason == .full)
        _ = try centre.cancelBooking(couple[1], reason: "風邪")
        #expect(try statuses(centre, couple + single) == ["confirmed", "cancelled", "confirmed"])
        _ = try centre.setCapacity("K1", "10")
        #expect(try statuses(centre, family.map(\.record.id.description)) == Array(repeating: "confirmed", count: 5))
    }

    @Test func `Whoever puts one of a group before the others, or takes his offer, does so for all of them`() throws {
        try plan(2)
        let ids = try book(centre, "一", "二", "三")
        let couple = try centre.addBookings(lesson: "K1", [guest("夫"), guest("妻")]).map(\.record.id.description)
        _ = try centre.promoteBooking(couple[1], reason: "通訳の都合", answerBy: "2089-11-25")
        #expect(try couple.map { try centre.booking($0).position } == [1, 2])
        #expect(refusal { _ = try centre.acceptOffer(couple[0]) } == .badInput)
        _ = try centre.cancelBooking(ids[0], reason: "都合")
        #expect(try centre.booking(ids[2]).waitingReason == .keptForGroup, "one seat is free, and not his")
        #expect(try centre.booking(couple[0]).waitingReason == .groupTooLarge)
        #expect(try centre.lesson("K1").freeSeats.map(\.reason) == [.kept])
        #expect(try centre.roster("K1").free == 0)
        _ = try centre.cancelBooking(ids[1], reason: "都合")
        #expect(try statuses(centre, couple + [ids[2]]) == ["offered", "offered", "waiting"])
        #expect(try centre.acceptOffer(couple[0]).status == "confirmed")
        clock.set("2089-11-30")
        _ = try book(centre, "四")
        #expect(try statuses(centre, couple + [ids[2]]) == ["confirmed", "confirmed", "waiting"])
        #expect(refusal { _ = try centre.promoteBooking(ids[2], reason: "順", answerBy: "2089-12-02") } == .badInput)
    }

    @Test func `Seats are kept for a group only while it can have them`() throws {
        try plan(3)
        let ids = try book(centre, "一", "二")
        let group = try centre.addBookings(lesson: "K1", [guest("夫"), guest("妻")]).map(\.record.id.description)
        _ = try centre.promoteBooking(group[0], reason: "順", answerBy: "2089-11-22")
        let late = try book(centre, "三")
        #expect(try centre.booking(late[0]).waitingReason == .keptForGroup)
        // Nobody answers for a seat that is not there; once the day is over the seat is the next one's.
        clock.set("2089-11-23")
        let last = try book(centre, "四")
        #expect(try statuses(centre, late + last) == ["confirmed", "waiting"])
        // Put first once more, without a day, and then the lesson gets too small for them.
        _ = try centre.promoteBooking(group[1], reason: "順")
        _ = try centre.cancelBooking(late[0], reason: "都合")
        #expect(try centre.booking(last[0]).waitingReason == .keptForGroup)
        for id in ids { _ = try centre.cancelBooking(id, reason: "都合") }
        #expect(try statuses(centre, group) == ["confirmed", "confirmed"])
        _ = try centre.cancelBooking(group[0], reason: "都合")
        let three = try centre.addBookings(lesson: "K1", ["父", "母", "子"].map(guest)).map(\.record.id.description)
        _ = try centre.promoteBooking(three[0], reason: "順")
        let single = try book(centre, "五")
        #expect(try centre.booking(single[0]).waitingReason == .keptForGroup)
        _ = try centre.setCapacity("K1", "2")
        _ = try centre.setCapacity("K1", "2")
        let status = try statuses(centre, single + last)
        #expect(
            try centre.lesson("K1").confirmed == 2 && status.contains("confirmed"),
            "nobody waits for three in two seats"
        )
    }

    @Test func `Whatever space stands between the names it is one person`() throws {
        try plan(3)
        let names = ["山田 花子", "山田　花子", "山田花子", "山田\u{A0}花子"]
        let ids = try names.map { try centre.addBooking(lesson: "K1", guest($0)).record.id }
        #expect(Set(ids).count == 1)
        // A space that lies between two vowels does not make another reading.
        let kana = try ["サカモト オサム", "サカモトオサム", "ｻｶﾓﾄ　ｵｻﾑ"].map { kana in
            let who = BookingPerson.guest(name: "坂本 修", kana: kana, phone: nil, ageGroup: nil)
            return try centre.addBooking(lesson: "K1", who).record.id
        }
        #expect(Set(kana).count == 1)
        #expect(try centre.booking(ids[0].description).record.text("name") == "山田 花子", "as it was typed first")
        #expect(try centre.addBooking(lesson: "K1", guest("山田花代")).record.id != ids[0])
    }

    @Test func `What somebody needs is kept whenever it is said`() throws {
        try plan(2)
        func needs(_ words: [String]) throws -> Set<String> {
            let record = try centre.addBooking(lesson: "K1", guest("一"), needs: words).record
            guard case .members(let members)? = record.fields.first(where: { $0.field.name == "needs" })?.shown else {
                return []
            }
            return Set(members.map(\.string))
        }
        #expect(try needs([]) == [])
        #expect(try needs(["車いす"]) == ["車いす"], "of a booking that stands")
        let id = try centre.bookings(lesson: "K1")[0].record.id.description
        _ = try centre.cancelBooking(id, reason: "都合")
        #expect(try needs(["筆談"]) == ["車いす", "筆談"], "of one that is asked for anew")
    }

    @Test func `Rights that lie apart are brought together for a group`() throws {
        try plan(6, date: "2090-04-03")
        let a = try clock.site(try ward.join("a"))
        for _ in 0..<3 { try sync(a) }
        #expect(try a.lesson("K1").rights.count == 2)
        let group = try a.addBookings(lesson: "K1", ["父", "母", "祖父", "祖母", "叔母"].map(guest))
        #expect(group.map(\.status) == Array(repeating: "waiting", count: 5))
        for _ in 0..<3 { try sync(a) }
        for site in [a, centre] {
            #expect(try site.lesson("K1").confirmed == 5)
            #expect(try site.lesson("K1").waiting == 0)
        }
    }

    // MARK: - All at once

    /// Ten seats, two rights at each of five places; each asks for four.
    @Test func `Of twenty who ask at five places offline ten are confirmed and ten wait in one order`() throws {
        try plan(10, date: "2089-11-01")
        let sites = try (0..<5).map { try clock.site(try ward.join("venue\($0)")) }
        let lesson = try centre.lesson("K1").record
        let rights = WardSchema.lesson.field(named: "rights")!.group
        let holders = try sites.compactMap { try $0.read { try $0.ownReplica() } }
        #expect(holders.count == 5)
        try centre.write { transaction in
            let draft = try transaction.draft(lesson.space, by: centre.person)
            for holder in holders {
                try draft.edit(WardSchema.lesson, lesson.id, group: rights, add: [LedgerEntry.grant(holder, 2).encoded])
            }
        }
        for site in sites { try sync(site) }
        var told: [String: String] = [:]
        for (place, site) in sites.enumerated() {
            for number in 0..<4 {
                let view = try site.addBooking(lesson: "K1", guest("客\(place)-\(number)"))
                told[view.record.id.description] = view.status
            }
        }
        #expect(told.values.count { $0 == "confirmed" } == 10)
        for site in sites + sites { try sync(site) }
        let order = try centre.bookings(lesson: "K1").filter { $0.status == "waiting" }.map(\.record.id)
        #expect(order.count == 10)
        for site in sites + [centre] {
            #expect(try site.lesson("K1").confirmed == 10)
            #expect(try site.bookings(lesson: "K1").filter { $0.status == "waiting" }.map(\.record.id) == order)
            for (id, status) in told { #expect(try site.booking(id).status == status) }
        }
    }

    @Test(arguments: 0..<3)
    func `Whatever is done to bookings at several places, seats are spent once and promises kept`(seed: Int) throws {
        try plan(5, date: "2090-04-03")
        let sites = try ["a", "b", "c"].map { try clock.site(try ward.join($0)) }
        for _ in 0..<2 { for site in sites { try sync(site) } }
        var random = SeededGenerator(seed: UInt64(seed))
        func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
        let all = sites + [centre]
        func act(_ site: Site) throws {
            let known = try site.bookings(lesson: "K1").map(\.record.id.description)
            let (who, any) = (guest("客\(pick(12))"), known.isEmpty ? "" : known[pick(known.count)])
            switch pick(9) {
            case 0, 1: _ = try site.addBooking(lesson: "K1", who, usesSeat: pick(5) > 0)
            case 2: _ = try site.addBookings(lesson: "K1", [who, guest("連れ\(pick(9))")])
            case 3: _ = try site.admitWalkIn(lesson: "K1", who, reason: pick(2) == 0 ? nil : "来た")
            case 4: _ = try site.cancelBooking(any, reason: "都合")
            case 5: try site.mark([.attended, .absent, .undone][pick(3)], [any], reason: "確認")
            case 6: _ = try site.promoteBooking(any, reason: "都合", answerBy: pick(2) == 0 ? nil : "2089-11-25")
            case 7: _ = try site.acceptOffer(any)
            default: if site.keys.device != centre.keys.device { try sync(site) }
            }
        }
        for step in 0..<40 {
            // What the commands refuse is refused; what they do must keep the rules.
            do { try act(all[pick(4)]) } catch is CommandError {}
            if step == 25 { clock.set("2089-11-26") }
            for site in all {
                let lesson = try site.lesson("K1")
                #expect(lesson.confirmed <= 5 && lesson.rights.reduce(0) { $0 + $1.held } <= 5)
            }
        }
        for _ in 0..<6 { for site in sites { try sync(site) } }
        for site in all {
            let lesson = try site.lesson("K1")
            #expect(try ward.digests(site) == ward.digests(centre))
            #expect(lesson.confirmed <= 5 && lesson.rights.reduce(0) { $0 + $1.held } == 5)
            let alone = try site.bookings(lesson: "K1").filter { $0.status == "waiting" && $0.party == nil }
            // Worked out anew: somebody alone waits beside a free seat only for a group that is too large for the free ones,
            // not for the lesson, and that a person put first.
            let free = 5 - lesson.confirmed
            let waiting = try site.bookings(lesson: "K1").filter { $0.status == "waiting" }
            let groups = Dictionary(grouping: waiting.filter { $0.party != nil }, by: \.party).values
            let isKept = groups.contains { group in
                (free + 1...max(5, free + 1)).contains(group.count)
                    && group.contains { $0.record.fields.contains { "\($0)".contains("した理由") } }
            }
            #expect(alone.isEmpty || free == 0 || isKept, "nobody waits for a free seat")
            #expect(try site.cases().allSatisfy { $0.code != "unbacked" && $0.kind != .conflict })
            #expect(try site.doctor().allSatisfy { $0.ok || $0.isWarning })
        }
    }
}
