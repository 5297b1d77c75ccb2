// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Rights to seats that travel between sites, so that a counter without a network confirms at once.
@Suite("Rights to seats")
struct SeatRightsTests {
    private let ward: WardFixture
    private let space = SpaceID("lessons/kudan")!

    init() throws { ward = try WardFixture() }

    private func guest(_ name: String) -> BookingPerson {
        .guest(name: name, kana: "カナ", phone: "090-0000-0000", ageGroup: nil)
    }

    /// A lesson so far ahead that rights travel for it whenever this is run.
    private func plan(at site: Site, code: String = "K1", capacity: Int) throws {
        _ = try site.addLesson(.kudan(code, capacity: capacity))
    }

    @Test func `Whoever was given a seat meanwhile keeps it when a lost device's booking counts again`() throws {
        let ward = try WardFixture()
        let (owner, lost) = (try ward.join("owner"), try ward.join("lost"))
        try plan(at: ward.centre, code: "K0", capacity: 1)
        for site in [owner, lost] { try ward.sync(site) }
        try plan(at: owner, capacity: 1)
        for site in [owner, lost] { try ward.sync(site) }
        // It is told to the owner next door alone, who gives it the seat.
        let early = try lost.addBooking(lesson: "K1", guest("早")).record.id.description
        _ = try lost.sync(with: LoopbackTransport(Hub(owner)))
        #expect(try owner.booking(early).status == "confirmed")
        _ = try ward.centre.revoke("lost", mode: .lost, reason: "紛失")
        try ward.sync(owner)
        let late = try owner.addBooking(lesson: "K1", guest("遅")).record.id.description
        #expect(try owner.booking(late).status == "confirmed", "nobody asks for the seat by then")
        try ward.sync(owner)
        _ = try ward.centre.adopt(site: "lost", reason: "確認")
        for _ in 0..<3 { try ward.sync(owner) }
        for site in [ward.centre, owner] {
            #expect(try site.booking(late).status == "confirmed")
            let again = try site.booking(early)
            #expect(again.status == "waiting" && again.position == 1)
            #expect(try site.lesson("K1").confirmed == 1)
            #expect(try site.cases(.finding).isEmpty)
        }
        #expect(try ward.digests(owner) == ward.digests(ward.centre))
    }

    private func rounds(_ sites: Site..., count: Int = 3) throws {
        for _ in 0..<count { for site in sites { try ward.sync(site) } }
    }

    private func book(_ site: Site, _ names: [String], _ code: String = "K1") throws -> [String: RecordID] {
        var out: [String: RecordID] = [:]
        for name in names {
            let view = try site.addBooking(lesson: code, guest(name))
            if view.status == "confirmed" { out[name] = view.record.id }
        }
        return out
    }

    private func held(_ site: Site, by name: Site) throws -> Int {
        try site.lesson("K1").rights.filter { $0.device == name.keys.device }.reduce(0) { $0 + $1.held }
    }

    private static let passphrase = Array("合言葉合言葉".utf8)

    private func backUp(_ site: Site) throws -> String {
        let file = ward.root + "/backup"
        try site.backUp(to: file, passphrase: Self.passphrase)
        return file
    }

    private func restore(_ file: String, as name: String = "again") throws -> Site {
        try Site.restore(
            DataDirectory(ward.root + "/" + name),
            from: file,
            passphrase: Self.passphrase,
            person: WardFixture.clerk,
            force: false
        )
    }

    /// Nobody who was told to have a seat lost it, nobody waits for a free one, and all see the same.
    private func expectKept(_ promised: [[String: RecordID]], _ sites: [Site], capacity: Int, _ code: String = "K1")
        throws
    {
        for site in sites {
            for (name, id) in promised.flatMap({ $0 }) {
                #expect(try site.booking(id.description).status == "confirmed", "\(name)")
            }
            let lesson = try site.lesson(code)
            #expect(lesson.confirmed <= capacity)
            #expect(lesson.waiting == 0 || lesson.confirmed == capacity)
            #expect(lesson.rights.reduce(0) { $0 + $1.held } <= capacity)
            #expect(try site.cases(.finding).isEmpty)
            #expect(try ward.digests(site)[space] == ward.digests(sites[0])[space])
            #expect(try site.doctor().allSatisfy { $0.ok || $0.isWarning })
        }
    }

    @Test func `Sites without a network confirm as many as there are seats, and nobody is sent home`() throws {
        let (a, b, c) = (try ward.join("a"), try ward.join("b"), try ward.join("c", role: .venue, spaces: [space.name]))
        try plan(at: ward.centre, capacity: 12)
        try rounds(a, b, c)
        let promised = try [a, b, c, ward.centre].enumerated().map { index, site in
            try book(site, (0..<8).map { "\(index)-\($0)" })
        }
        #expect(promised.allSatisfy { !$0.isEmpty }, "everybody has some")
        #expect(promised.reduce(0) { $0 + $1.count } <= 12)
        try rounds(a, b, c)
        try expectKept(promised, [a, b, c, ward.centre], capacity: 12)
        #expect(try a.lesson("K1").confirmed == 12)
        #expect(try a.lesson("K1").waiting == 20)
    }

    @Test func `Whoever joins takes in and says nothing, and takes part from its first exchange on`() throws {
        try plan(at: ward.centre, capacity: 12)
        let before = try ward.digests(ward.centre)
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b, ward.centre] { #expect(try ward.digests(site)[space] == before[space]) }
        try rounds(a, b)
        #expect(try book(a, ["一"]).count == 1)
        #expect(try book(b, ["二"]).count == 1)
    }

    @Test func `Rights follow those who ask, and a quiet site gives back`() throws {
        let (busy, quiet) = (try ward.join("busy"), try ward.join("quiet"))
        try plan(at: ward.centre, capacity: 30)
        try rounds(busy, quiet)
        let before = try held(ward.centre, by: quiet)
        #expect(before > 2)
        try plan(at: ward.centre, code: "K2", capacity: 30)
        _ = try book(busy, (0..<9).map { "客\($0)" })
        try rounds(busy, quiet)
        #expect(try held(ward.centre, by: quiet) < before)
        #expect(try held(ward.centre, by: busy) > held(ward.centre, by: quiet))
    }

    @Test func `A lowered capacity takes unspent rights alone, and names who is beyond it`() throws {
        let a = try ward.join("a")
        try plan(at: ward.centre, capacity: 8)
        try rounds(a)
        let promised = try [book(a, ["一", "二", "三"]), book(ward.centre, ["四", "五"])]
        try rounds(a)
        let id = try ward.centre.read { try $0.records(WardSchema.lesson).first!.id }
        try ward.centre.write { transaction in
            try transaction.draft(space, by: ward.centre.person).set(WardSchema.lesson, id, [(7, .integer(4))])
        }
        try rounds(a)
        let lesson = try ward.centre.lesson("K1")
        #expect(lesson.confirmed == 5 && lesson.rights.reduce(0) { $0 + $1.held } == 5)
        #expect(try ward.centre.cases(.finding).map(\.code) == ["over_capacity"])
        _ = promised
    }

    @Test func `Who gives a seat up and asks again has none until somebody gives him one anew`() throws {
        let a = try ward.join("a")
        try plan(at: ward.centre, capacity: 8)
        try rounds(a)
        let seat = try #require(try book(ward.centre, ["山田"])["山田"])
        try rounds(a)
        // There are none of its own left.
        let asked = try (0..<8).map { try a.addBooking(lesson: "K1", guest("客\($0)")) }
        #expect(asked.last?.status == "waiting")
        _ = try a.cancelBooking(seat.description, reason: "都合")
        #expect(try a.addBooking(lesson: "K1", guest("山田")).status == "waiting", "the office may have given it away")
        try rounds(a)
        for site in [a, ward.centre] {
            #expect(try site.lesson("K1").confirmed == 8 && site.lesson("K1").waiting == 1)
            #expect(try site.booking(seat.description).position == 1, "behind all who asked before")
            #expect(try site.cases(.finding).isEmpty)
        }
        // Whoever comes up again waits where he asked last, not before everybody.
        let first = try #require(asked.first).record.id
        _ = try a.cancelBooking(first.description, reason: "都合")
        try rounds(a)
        #expect(try a.booking(seat.description).status == "confirmed")
    }

    @Test(arguments: [false, true])
    func
        `Whom a second counter told of his seat keeps it, or comes first, when a third that has not seen that gives it up`(
            isKnown: Bool
        ) throws
    {
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try plan(at: ward.centre, capacity: 1)
        let seat = try #require(try book(ward.centre, ["山田"])["山田"])
        let others = try ["客1", "客2"].map { try ward.centre.addBooking(lesson: "K1", guest($0)).record.id }
        try rounds(a, b)
        #expect(try a.addBooking(lesson: "K1", guest("山田")).status == "confirmed")
        _ = try b.cancelBooking(seat.description, reason: "都合")
        #expect(try b.addBooking(lesson: "K1", guest("山田")).status == "waiting")
        for site in isKnown ? [a, b] : [b, a] { try ward.sync(site) }
        try rounds(a, b)
        for site in [a, b, ward.centre] {
            let places = try ([seat] + others).map { try site.booking($0.description).position }
            #expect(places == (isKnown ? [nil, 1, 2] : [1, nil, 2]))
            #expect(try site.lesson("K1").confirmed == 1)
        }
    }

    @Test func `Who holds more rights than are planned by now confirms nobody beyond the plan`() throws {
        let a = try ward.join("a")
        try plan(at: ward.centre, capacity: 8)
        try rounds(a)
        let promised = try book(ward.centre, (0..<8).map { "客\($0)" })
        #expect(promised.count < 8)
        _ = try ward.centre.setCapacity("K1", "\(promised.count)")
        try rounds(a)
        try expectKept([promised], [a, ward.centre], capacity: promised.count)
        #expect(try a.lesson("K1").waiting == 8 - promised.count)
    }

    @Test func `Who decides on a capacity seats those who waited for it`() throws {
        let a = try ward.join("a")
        try plan(at: ward.centre, capacity: 1)
        try rounds(a)
        for (site, seats) in [(a, "3"), (ward.centre, "2")] { _ = try site.setCapacity("K1", seats) }
        try ward.sync(a)
        for name in ["一", "二", "三"] { _ = try ward.centre.addBooking(lesson: "K1", guest(name)) }
        let conflict = try #require(try ward.centre.cases(.conflict).first)
        let more = try #require(conflict.values.first { $0.fields.contains { $0.value == .integer(3) } })
        _ = try ward.centre.resolve(conflict.id, .take(more.n), reason: "確認")
        #expect(try ward.centre.lesson("K1").rights.reduce(0) { $0 + $1.held } == 3)
        try rounds(a)
        #expect(try a.lesson("K1").confirmed == 3)
    }

    @Test func `What a lost holder had is reclaimed, and whom it confirmed within its cut stays confirmed`() throws {
        let (a, thief) = (try ward.join("a"), try ward.join("thief"))
        try plan(at: ward.centre, capacity: 9)
        try rounds(a, thief)
        let kept = try book(thief, ["前"])
        #expect(kept.count == 1)
        try rounds(thief)
        #expect(try book(thief, ["後"]).count == 1)
        _ = try ward.centre.revoke("thief", mode: .lost, reason: "盗難")
        try rounds(a)
        #expect(try held(ward.centre, by: thief) == 1, "the right that somebody sits on")
        let waiters = try [book(a, (0..<9).map { "客\($0)" })]
        try rounds(a)
        try expectKept(waiters + [kept], [a, ward.centre], capacity: 9)
        #expect(try a.lesson("K1").confirmed == 9)
        // The seat of one who cancels is the owner's to give, now that the holder cannot.
        _ = try a.cancelBooking(kept["前"]!.description, reason: "都合")
        try rounds(a)
        #expect(try a.lesson("K1").confirmed == 9 && held(a, by: thief) == 0)
    }

    @Test func `The last that arrives of a lost holder frees what it held in lessons that it is not of`() throws {
        let (owner, thief) = (try ward.join("owner"), try ward.join("thief"))
        try plan(at: ward.centre, code: "K2", capacity: 9)
        try rounds(owner)
        try plan(at: owner, capacity: 9)
        try rounds(owner, thief)
        #expect(try held(owner, by: thief) > 0)
        #expect(try book(thief, ["客"], "K2").count == 1)
        try ward.sync(thief)
        _ = try ward.centre.revoke("thief", mode: .lost, reason: "盗難")
        try ward.sync(owner)
        #expect(try held(owner, by: thief) == 0)
    }

    @Test func `Whom a lost holder confirmed behind its cut waits at the head once that is adopted`() throws {
        let (a, thief) = (try ward.join("a"), try ward.join("thief"))
        try plan(at: ward.centre, capacity: 6)
        try rounds(a, thief)
        let lost = try book(thief, ["後"])
        #expect(lost.count == 1)
        _ = try ward.centre.revoke("thief", mode: .lost, reason: "盗難")
        try rounds(a)
        _ = try book(a, (0..<9).map { "客\($0)" })
        // It hands in, and is no more.
        try rounds(thief, count: 1)
        try rounds(a)
        #expect(try ward.centre.lesson("K1").confirmed == 6)
        #expect(try ward.centre.adopt(site: "thief", reason: "本人に確認") > 0)
        try rounds(a)
        for site in [a, ward.centre] {
            let view = try site.booking(lost["後"]!.description)
            #expect(view.status == "waiting" && view.position == 1)
            #expect(try site.lesson("K1").confirmed == 6)
        }
        let seated = try #require(try a.bookings(lesson: "K1").first { $0.status == "confirmed" }).record.id
        _ = try a.cancelBooking(seated.description, reason: "都合")
        try rounds(a)
        #expect(try a.booking(lost["後"]!.description).status == "confirmed")
    }

    @Test func `Whom a holder confirmed on what a lost owner granted behind its cut keeps the seat`() throws {
        let (owner, holder) = (try ward.join("owner"), try ward.join("holder"))
        try plan(at: ward.centre, code: "K0", capacity: 1)
        try rounds(owner)
        try plan(at: owner, capacity: 8)
        try rounds(owner)
        // They meet each other alone: the office knows of no grant.
        let line = LoopbackTransport(Hub(owner))
        try rounds(holder, count: 1)
        for _ in 0..<3 { _ = try holder.sync(with: line) }
        let promised = try book(holder, ["保"])
        #expect(promised.count == 1)
        let known = try ward.centre.lesson("K1").rights
        #expect(!known.contains { $0.device == holder.keys.device })
        _ = try ward.centre.revoke("owner", mode: .lost, reason: "故障")
        try rounds(holder)
        let more = try book(holder, (0..<8).map { "客\($0)" })
        try rounds(holder)
        try expectKept([promised, more], [holder, ward.centre], capacity: 8)
        #expect(try holder.lesson("K1").confirmed == 8)
    }

    @Test func `A lowered capacity takes no seat that stands on what a lost owner granted behind its cut`() throws {
        let (owner, holder) = (try ward.join("owner"), try ward.join("holder"))
        try plan(at: ward.centre, code: "K0", capacity: 1)
        try rounds(owner)
        try plan(at: owner, capacity: 8)
        try rounds(owner, holder)
        func hasFree() throws -> Bool {
            try holder.lesson("K1").rights.contains { $0.device == holder.keys.device && $0.free > 0 }
        }
        var promised: [RecordID] = []
        while try hasFree() { promised += try book(holder, ["客\(promised.count)"]).values }
        let within = promised.count
        // The office knows it to hold rights, and not of those that it is granted now.
        for _ in 0..<3 { _ = try holder.sync(with: LoopbackTransport(Hub(owner))) }
        while try hasFree() { promised += try book(holder, ["客\(promised.count)"]).values }
        #expect(within > 0 && promised.count > within)
        _ = try ward.centre.revoke("owner", mode: .lost, reason: "故障")
        _ = try ward.centre.setCapacity("K1", "0")
        try rounds(holder)
        for site in [holder, ward.centre] {
            for id in promised { #expect(try site.booking(id.description).status == "confirmed") }
            #expect(try site.lesson("K1").rights.reduce(0) { $0 + $1.held } == promised.count)
        }
    }

    @Test func `A restored holder begins without rights, and what it had is reclaimed`() throws {
        let a = try ward.join("a")
        try plan(at: ward.centre, capacity: 6)
        try rounds(a)
        let file = try backUp(a)
        let kept = try book(a, ["控えのあと"])
        #expect(kept.count == 1)
        try rounds(a)
        let again = try restore(file)
        #expect(try book(again, ["復元の直後"]).isEmpty, "nothing comes back on a backup's word")
        try rounds(again)
        let more = try book(again, (0..<6).map { "客\($0)" })
        try rounds(again)
        try expectKept([kept, more], [again, ward.centre], capacity: 6)
        #expect(try again.lesson("K1").confirmed == 6)
    }

    @Test(arguments: [false, true])
    func `A backup that is restored twice leaves nothing with the machine between`(writesFirst: Bool) throws {
        let holder = try ward.join("a")
        try plan(at: ward.centre, capacity: 6)
        try rounds(holder)
        let file = try backUp(holder)
        let between = try restore(file, as: "between")
        try rounds(between)
        #expect(try held(ward.centre, by: between) > 0)
        let kept = try book(between, ["間"])
        try rounds(between)
        let last = try restore(file, as: "last")
        // It has not heard of the one between then.
        if writesFirst { #expect(try book(last, ["復元の直後"]).isEmpty) }
        try rounds(last)
        let more = try book(last, (0..<6).map { "客\($0)" })
        try rounds(last)
        try expectKept([kept, more], [last, ward.centre], capacity: 6)
        #expect(try last.lesson("K1").confirmed == 6)
    }

    @Test func `A lost owner's lesson is kept by whoever ended its rights, once all holders know of it`() throws {
        let (owner, holder) = (try ward.join("owner"), try ward.join("holder"))
        try plan(at: ward.centre, code: "K0", capacity: 1)
        try rounds(owner)
        try plan(at: owner, capacity: 8)
        try rounds(owner, holder)
        #expect(try held(ward.centre, by: holder) > 0)
        let promised = try [book(owner, ["主"]), book(holder, ["保"])]
        #expect(promised.allSatisfy { $0.count == 1 })
        try rounds(owner)
        _ = try ward.centre.revoke("owner", mode: .lost, reason: "故障")
        let third = try ward.join("third")
        // The office gives away nothing of what the owner may have granted to one that it has not met yet.
        let before = try ward.centre.lesson("K1").rights.reduce(0) { $0 + $1.held }
        #expect(try held(ward.centre, by: third) == 0)
        try rounds(third)
        #expect(try held(ward.centre, by: third) == 0)
        #expect(try ward.centre.lesson("K1").rights.reduce(0) { $0 + $1.held } == before)
        try rounds(holder, third)
        let more = try book(third, (0..<8).map { "客\($0)" })
        try rounds(holder, third)
        try expectKept(promised + [more], [holder, third, ward.centre], capacity: 8)
        #expect(try third.lesson("K1").confirmed == 8)
    }

    @Test func `An owner that was restored goes on with its ledger`() throws {
        let holder = try ward.join("holder")
        try plan(at: ward.centre, capacity: 8)
        try rounds(holder)
        let file = try backUp(ward.centre)
        let promised = try [book(ward.centre, ["庁"]), book(holder, ["保"])]
        try rounds(holder)
        let again = try restore(file)
        let hub = Hub(again)
        for _ in 0..<4 { _ = try holder.sync(with: LoopbackTransport(hub)) }
        let more = try book(holder, (0..<8).map { "客\($0)" })
        for _ in 0..<4 { _ = try holder.sync(with: LoopbackTransport(hub)) }
        try expectKept(promised + [more], [holder, again], capacity: 8)
        #expect(try again.lesson("K1").confirmed == 8)
    }

    @Test func `One person who is confirmed at two sites at once sits once, and the other right is free again`() throws
    {
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        try plan(at: ward.centre, capacity: 9)
        try rounds(a, b)
        let promised = try [book(a, ["田中"]), book(b, ["田中"])]
        #expect(promised.allSatisfy { $0.count == 1 })
        try rounds(a, b)
        try expectKept(promised, [a, b, ward.centre], capacity: 9)
        let lesson = try a.lesson("K1")
        #expect(lesson.confirmed == 1 && lesson.rights.reduce(0) { $0 + $1.free } == 8)
        _ = try b.cancelBooking(promised[0]["田中"]!.description, reason: "都合")
        try rounds(b, a)
        #expect(try a.lesson("K1").rights.reduce(0) { $0 + $1.free } == 9)
    }

    @Test func `A venue that never had a network gets rights and gives its bookings back by bundles alone`() throws {
        let venue = try ward.join("venue", role: .venue, spaces: [space.name])
        try plan(at: ward.centre, capacity: 10)
        func carry(_ from: Site, _ to: Site, _ name: String, _ number: Int) throws {
            let path = ward.root + "/bundle-\(number)"
            _ = try from.exportBundle(to: path, for: name)
            _ = try to.importBundle(path)
        }
        let centreName = "千代田区"
        try carry(ward.centre, venue, "venue", 1)
        try carry(venue, ward.centre, centreName, 2)
        try carry(ward.centre, venue, "venue", 3)
        let promised = try book(venue, (0..<10).map { "来場\($0)" })
        #expect(promised.count > 2)
        try carry(venue, ward.centre, centreName, 4)
        #expect(try ward.centre.lesson("K1").confirmed == 10)
        for id in promised.values { #expect(try ward.centre.booking(id.description).status == "confirmed") }
    }
}
