// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Lessons that are planned, changed and called off by those who work apart, and people who book them.
extension WardSimulation {
    private static let lessonsMax = 6

    /// Beside a step something that is about lessons; it has a generator of its own.
    func actOfLessons(_ generator: inout SeededGenerator) throws {
        let place = generator.pick(places)
        let clerk = generator.pick(places.filter { $0.role == .branch } + [centre])
        if generator.chance(8) { armed = (place.machine.disk, .crash(after: generator.below(30))) }
        switch generator.below(100) {
        case 0..<12: try openLesson(clerk, &generator)
        case 12..<24: try planSeats(clerk, &generator)
        case 24..<26: try callOff(clerk, &generator)
        case 26..<56: try bookSome(place, &generator)
        case 56..<64: try bookAgain(place, &generator)
        case 64..<76: try giveUp(place, &generator)
        case 76..<84: try passLedger(place, to: generator.pick(places))
        case 84..<90: try meet(place, clerk, &generator)
        case 90..<95: try seatTwice(&generator)
        default: try loseOwner(clerk, &generator)
        }
        armed = nil
        for one in places where one === place || one === clerk { try checkSeats(one) }
    }

    // MARK: - Who books

    /// Somebody who is known by name alone.
    func guest(_ number: Int) -> BookingPerson {
        .guest(name: "予約 \(number)", kana: nil, phone: "03-1111-00\(10 + number)", ageGroup: nil)
    }

    /// Whether people come to a place, and it may write down that they did.
    func isCounter(_ place: Place) -> Bool {
        place.site != nil && place.role != .auditor && mayWrite(place)
    }

    /// What is written last in a space, and what is in effect there.
    private func look(_ place: Place, _ space: SpaceID) throws -> (dot: Dot, seen: VersionVector)? {
        try place.site?.read { transaction in
            guard let own = try transaction.ownReplica() else { return nil }
            return (Dot(own, try transaction.ownSeq(in: space).seq), try transaction.inEffect(space))
        } ?? nil
    }

    /// Somebody asks for a seat; who is told to have one holds us to it.
    func ask(_ place: Place, _ lesson: LessonView, _ number: Int, isFirm: Bool = false) throws {
        let space = lesson.record.space
        guard let site = place.site, let before = try look(place, space) else { return }
        // The lesson may be cancelled, or made by a device whose word does not count here any more.
        let view = try attempt([place], isExcused: { [.badInput, .notFound, .notPermitted].contains($0) }) {
            try site.addBooking(lesson: lesson.record.id.description, guest(number))
        }
        trace("book \(place.name) \(number): \(view?.status ?? "-")")
        guard let view, view.status == "confirmed", let after = try look(place, space), after.dot != before.dot else {
            return
        }
        let word = SeatModel.Word(space: space, dot: after.dot, seen: before.seen, isFirm: isFirm)
        seats.promise(view.record.id, word)
        try checkRoom(place, lesson)
    }

    /// Nobody is told to have a seat where all that are planned are known to be taken.
    private func checkRoom(_ place: Place, _ lesson: LessonView) throws {
        guard let site = place.site, !hasForks else { return }
        let now = try site.lesson(lesson.record.id.description)
        guard now.confirmed > now.capacity, now.confirmed > lesson.confirmed else { return }
        guard try contested(site).contains(lesson.record.id) else {
            throw failure("overbooked", "\(place.name): \(now.confirmed) told of \(now.capacity) seats")
        }
    }

    /// Somebody gives up what a place knows of him.
    func cancel(_ place: Place, _ booking: BookingView) throws {
        let (id, space) = (booking.record.id, booking.record.space)
        guard let site = place.site, let before = try look(place, space) else { return }
        let view = try attempt([place]) {
            try site.cancelBooking(id.description, reason: "都合")
        }
        trace("cancel \(place.name): \(view?.status ?? "-")")
        // Whose power went may have written all the same.
        guard let after = try look(place, space), after.dot != before.dot else { return }
        seats.cancel(id, SeatModel.Word(space: space, dot: after.dot, seen: before.seen))
    }

    private func bookSome(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard isCounter(place), let lesson = try pickLesson(place, &generator) else { return }
        for _ in 0..<(1 + generator.below(3)) where place.site != nil {
            try ask(place, lesson, generator.below(12))
        }
    }

    private func giveUp(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard isCounter(place), let lesson = try pickLesson(place, &generator) else { return }
        let bookings = try place.site!.bookings(lesson: lesson.record.id.description, cancelled: false)
        if !bookings.isEmpty { try cancel(place, generator.pick(bookings)) }
    }

    /// Somebody gives up and asks again, while others may have heard of the first alone.
    private func bookAgain(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard isCounter(place), let lesson = try pickLesson(place, &generator) else { return }
        let name = lesson.record.id.description
        let known = try place.site!.bookings(lesson: name, cancelled: false).filter { number(of: $0) != nil }
        guard !known.isEmpty else { return }
        let booking = generator.pick(known)
        try cancel(place, booking)
        if generator.chance(50), place.site != nil { try meet(place, centre, &generator) }
        if place.site != nil { try ask(place, lesson, number(of: booking)!) }
    }

    func number(of booking: BookingView) -> Int? {
        booking.record.text("name")?.string.split(separator: " ").last.flatMap { Int($0) }
    }

    private func pickLesson(_ place: Place, _ generator: inout SeededGenerator) throws -> LessonView? {
        let lessons = try place.site?.lessons() ?? []
        return lessons.isEmpty ? nil : generator.pick(lessons)
    }

    // MARK: - What is planned

    /// A place opens a lesson of its own, whose ledger it keeps.
    private func openLesson(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard seats.planned.count < Self.lessonsMax else { return }
        _ = try openLesson(place, generator.pick([1, 2, 3, 5, 8]), &generator)
    }

    func openLesson(_ place: Place, _ capacity: Int, _ generator: inout SeededGenerator) throws -> LessonView? {
        let space = generator.pick(["lessons/hibiya", "lessons/kudan"])
        guard isCounter(place), let site = place.site, try site.read({ try $0.spaces() }).contains(SpaceID(space)!)
        else { return nil }
        let code = "S\(step)"
        let lesson = LessonPlan(
            space: space,
            code: code,
            title: "スマホ教室",
            // Ahead whatever the clocks say: what is long over is forgotten by whoever writes next.
            date: "2099-07-01",
            time: "10:00-12:00",
            capacity: "\(capacity)"
        )
        seats.plan(code, capacity)
        if let device = place.device { seats.keep(code, device) }
        let before = try look(place, SpaceID(space)!)
        let id = try attempt([place]) { try site.addLesson(lesson) }
        try notePlan(code, place, SpaceID(space)!, since: before)
        trace("lesson \(place.name) \(code) \(capacity): \(id != nil)")
        return try id.flatMap { try place.site?.lesson($0.description) }
    }

    private func planSeats(_ place: Place, _ generator: inout SeededGenerator) throws {
        let number = generator.below(7)
        guard isCounter(place), let lesson = try pickLesson(place, &generator) else { return }
        try plan(place, lesson, number)
    }

    func plan(_ place: Place, _ lesson: LessonView, _ number: Int) throws {
        guard let site = place.site else { return }
        let (code, space) = (lesson.code, lesson.record.space)
        seats.plan(code, number)
        let before = try look(place, space)
        // Whoever plans what is being decided is sent to decide it.
        let view = try attempt([place], isExcused: { $0 == .tryAgain }) {
            try site.setCapacity(lesson.record.id.description, "\(number)")
        }
        try notePlan(code, place, space, since: before)
        trace("capacity \(place.name) \(number): \(view != nil)")
    }

    private func notePlan(
        _ code: String,
        _ place: Place,
        _ space: SpaceID,
        since before: (dot: Dot, seen: VersionVector)?
    ) throws {
        guard let before, let after = try look(place, space), after.dot != before.dot else { return }
        seats.plan(code, SeatModel.Word(space: space, dot: after.dot, seen: before.seen))
    }

    private func callOff(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard isCounter(place), let lesson = try pickLesson(place, &generator) else { return }
        let site = place.site!
        let view = try attempt([place]) {
            try site.cancelLesson(lesson.record.id.description, reason: "講師の都合")
        }
        trace("call off \(place.name): \(view != nil)")
    }

    /// Whoever keeps ledgers passes one on: that is his last word in it.
    private func passLedger(_ place: Place, to heir: Place) throws {
        guard isCounter(place), place !== heir, let own = place.replica, let next = heir.replica, heir.role != .auditor,
            place.device != heir.device
        else { return }
        let site = place.site!
        guard let lesson = try site.lessons().first(where: { $0.owner == own && heir.mayHold($0.record.space) }) else {
            return
        }
        if let device = heir.device { seats.keep(lesson.code, device) }
        let group = WardSchema.lesson.field(named: "rights")!.group
        let isDone: Void? = try attempt([place]) {
            try site.write { transaction in
                try transaction.draft(lesson.record.space, by: place.person).edit(
                    WardSchema.lesson,
                    lesson.record.id,
                    group: group,
                    add: [LedgerEntry.pass(next).encoded]
                )
            }
        }
        trace("pass \(place.name) \(heir.name): \(isDone != nil)")
    }

    // MARK: - What comes together seldom

    func meet(_ place: Place, _ peer: Place, _ generator: inout SeededGenerator) throws {
        guard place !== peer, place.site != nil, peer.site != nil, place.device != peer.device, mayWrite(peer),
            peer === centre || !isAdmin(peer) || !isEnding(place)
        else { return }
        try exchange(place, peer, .fair, &generator)
    }

    /// Those who are up, in the ward and honoured, besides the centre.
    func branches() -> [Place] {
        places.filter { $0 !== centre && $0.role == .branch && $0.isJoined && isCounter($0) && !isEnding($0) }
    }

    /// Two places tell one person at once that there is a seat; somebody who knows of one of them cancels, while many
    /// wait.
    private func seatTwice(_ generator: inout SeededGenerator) throws {
        armed = nil
        let some = branches().shuffled(using: &generator)
        guard !hasSeatedTwice, some.count >= 3, centre.site != nil, mayWrite(centre) else { return }
        hasSeatedTwice = true
        let (first, second, other) = (some[0], some[1], some[2])
        for place in [first, second, other, centre] { place.isCutOff = false }
        guard let lesson = try openLesson(centre, 8, &generator) else { return }
        for place in [first, second, first, second] { try meet(place, centre, &generator) }
        for number in [8, 9] { try ask(second, lesson, number) }
        for place in [first, second] where place.site != nil { try ask(place, lesson, 10) }
        try meet(first, centre, &generator)
        try meet(other, centre, &generator)
        if generator.chance(70) {
            let known = try other.site?.bookings(cancelled: false).filter { $0.lesson == lesson.record.id }
            if let booking = known?.first(where: { number(of: $0) == 10 }) { try cancel(other, booking) }
            for number in 0..<8 where other.site != nil { try ask(other, lesson, number) }
        }
        try meet(second, centre, &generator)
        try meet(other, first, &generator)
        for place in [first, second, other] where place.site != nil { try meet(place, centre, &generator) }
        for place in some.prefix(3) + [centre] { try checkSeats(place) }
    }

    /// A place keeps a lesson's rights, grants some that the office does not hear of, and is lost.
    private func loseOwner(_ owner: Place, _ generator: inout SeededGenerator) throws {
        armed = nil
        let holders = branches().filter { $0 !== owner }
        guard !hasLostOwner, owner !== centre, isCounter(owner), !isEnding(owner), !isAdmin(owner), !holders.isEmpty,
            centre.site != nil, mayWrite(centre)
        else { return }
        let holder = generator.pick(holders)
        for place in [owner, holder, centre] { place.isCutOff = false }
        guard let lesson = try openLesson(owner, 8, &generator) else { return }
        hasLostOwner = true
        for (one, other) in [(owner, centre), (holder, centre), (holder, owner), (holder, owner), (holder, centre)] {
            try meet(one, other, &generator)
        }
        func free(_ place: Place, at site: Site?) throws -> Int? {
            let known = try site?.lessons().first { $0.record.id == lesson.record.id }
            return known?.rights.first { $0.device == place.device }?.free
        }
        let isKnown = try free(holder, at: centre.site) ?? 0 > 0
        // All that it has, and then what the owner grants it anew.
        var number = 0
        while number < 8, holder.site != nil, try free(holder, at: holder.site) ?? 0 > 0 {
            try ask(holder, lesson, number, isFirm: isKnown)
            number += 1
        }
        for _ in 0..<2 { try meet(holder, owner, &generator) }
        if holder.site != nil, try free(holder, at: holder.site) ?? 0 > 0 {
            try ask(holder, lesson, number, isFirm: isKnown)
        }
        if owner.site != nil { try ask(owner, lesson, 11) }
        try revoke(owner, as: .lost, &generator)
        for number in 5..<11 where centre.site != nil { try ask(centre, lesson, number) }
        try checkSeats(centre)
    }
}
