// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// What chance brings together too seldom: when a ward has come to rest, one scene that a rule of seats is for.
extension WardSimulation {
    private enum Scene: String, CaseIterable {
        case headOfTheQueue, askingAgain, loweredCapacity, lostHolder, lostCanceller, olderDisk, twoHeirs
    }

    func playScene(_ generator: inout SeededGenerator) throws {
        armed = nil
        // Whoever the key on paper made an admin stands by.
        let all = branches().shuffled(using: &generator)
        let some = all.filter { !isAdmin($0) } + all.filter(isAdmin)
        guard some.count >= 3, !isAdmin(some[1]), centre.site != nil, mayWrite(centre) else { return }
        let scene = generator.pick(Scene.allCases)
        let (first, second, third) = (some[0], some[1], some[2])
        // An owner that gets lost is none of the office's.
        let owner = scene == .twoHeirs ? first : centre
        guard let lesson = try openLesson(owner, 6, &generator) else { return }
        // Whoever takes part is known after one exchange, and has its share after the next.
        for place in [first, first] { try meet(place, centre, &generator) }
        let isPlayed =
            switch scene {
            case .headOfTheQueue: try loseBothSeats(lesson, first, third, &generator)
            case .askingAgain: try askBeforeItIsKnown(lesson, first, second, &generator)
            case .loweredCapacity: try askBelowCapacity(lesson, first, second, &generator)
            case .lostHolder: try loseHolder(lesson, first, &generator)
            case .lostCanceller: try loseCanceller(lesson, first, second, third, &generator)
            case .olderDisk: try askOnOlderDisk(lesson, first, second, &generator)
            case .twoHeirs: try hearOfLossFirst(lesson, first, second, &generator)
            }
        if isPlayed { summary.scenes += 1 }
        trace("scene \(scene): \(isPlayed)")
        for place in places where place.isJoined { try checkSeats(place) }
    }

    /// Somebody was told twice that there is a seat, lost one for the other, and that one because somebody who knew of it
    /// alone gave it up: he waits before those who asked earlier.
    private func loseBothSeats(
        _ lesson: LessonView,
        _ branch: Place,
        _ clerk: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        try meet(clerk, centre, &generator)
        try fill(clerk, lesson, with: 0..<6)
        for number in 20..<24 { try ask(clerk, lesson, number) }
        for (place, people) in [(centre, 30..<36), (branch, 40..<46)] {
            for number in people.prefix(5) {
                try ask(place, lesson, number)
                try cancel(number, of: lesson, at: place)
            }
            try fill(place, lesson, with: people.lowerBound + 10..<people.upperBound + 10, leaving: 1)
        }
        guard try free(branch, lesson) == 1, try free(centre, lesson) == 1 else { return false }
        for place in [centre, branch] { try ask(place, lesson, 10) }
        let booking = try bookings(of: lesson, at: centre).first { number(of: $0) == 10 }
        guard let booking, let words = seats.promises[booking.record.id], words.count == 2 else { return false }
        // The lower one stays.
        let stays = words.map(\.dot).min()!.replica == branch.replica ? branch : centre
        try meet(clerk, stays, &generator)
        try cancel(10, of: lesson, at: clerk)
        try meet(branch, centre, &generator)
        for place in [clerk, branch, clerk] { try meet(place, centre, &generator) }
        return true
    }

    /// Somebody gives his seat up and asks again while its holder has heard of the first alone, and gave it away.
    private func askBeforeItIsKnown(
        _ lesson: LessonView,
        _ holder: Place,
        _ clerk: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        guard try free(holder, lesson) > 0 else { return false }
        try ask(holder, lesson, 10)
        try fill(holder, lesson, with: 0..<6)
        for place in [holder, clerk, clerk] { try meet(place, centre, &generator) }
        try fill(clerk, lesson, with: 20..<26)
        try fill(centre, lesson, with: 30..<36)
        for number in 40..<42 { try ask(centre, lesson, number) }
        try meet(clerk, centre, &generator)
        try cancel(10, of: lesson, at: clerk)
        try meet(clerk, centre, &generator)
        try ask(clerk, lesson, 10)
        for place in [holder, clerk, holder] { try meet(place, centre, &generator) }
        return true
    }

    /// A seat that is given up of a lesson for which fewer are planned by now is nobody's.
    private func askBelowCapacity(
        _ lesson: LessonView,
        _ holder: Place,
        _ clerk: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        try ask(holder, lesson, 10)
        try fill(holder, lesson, with: 0..<6)
        try fill(centre, lesson, with: 20..<26)
        try ask(holder, lesson, 30)
        for place in [holder, clerk, holder] { try meet(place, centre, &generator) }
        guard let before = try view(lesson, at: clerk), before.waiting > 0 else { return false }
        try cancel(10, of: lesson, at: clerk)
        try plan(clerk, lesson, before.confirmed - 1)
        try meet(clerk, holder, &generator)
        guard let now = try view(lesson, at: holder), now.confirmed <= now.capacity else {
            throw failure("overbooked", "\(holder.name) seated somebody beyond what it knows to be planned")
        }
        return true
    }

    /// A holder is lost, and those to whom it gave seats that the office knows of have them still.
    private func loseHolder(_ lesson: LessonView, _ holder: Place, _ generator: inout SeededGenerator) throws -> Bool {
        try fill(holder, lesson, with: 0..<6)
        try meet(holder, centre, &generator)
        // What is reclaimed is not even planned any more.
        try plan(centre, lesson, 1)
        try revoke(holder, as: .lost, &generator)
        for number in 20..<26 where centre.site != nil { try ask(centre, lesson, number) }
        try checkSeats(centre)
        return isEnding(holder)
    }

    /// Who gave a seat up is lost before its holder has heard of that, and somebody else had.
    private func loseCanceller(
        _ lesson: LessonView,
        _ holder: Place,
        _ canceller: Place,
        _ other: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        try ask(holder, lesson, 10)
        try fill(holder, lesson, with: 0..<6)
        for place in [holder, canceller, other] { try meet(place, centre, &generator) }
        try cancel(10, of: lesson, at: canceller)
        try meet(other, canceller, &generator)
        try checkSeats(other)
        try revoke(canceller, as: .lost, &generator)
        for place in [other, holder, other] {
            try meet(place, centre, &generator)
            try checkSeats(place)
        }
        return isEnding(canceller)
    }

    /// A holder's older disk comes back, and what it has free is reclaimed while it goes on under another name.
    private func askOnOlderDisk(
        _ lesson: LessonView,
        _ holder: Place,
        _ peer: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        for place in [peer, holder] { try meet(place, centre, &generator) }
        guard let site = holder.site, try free(holder, lesson) > 0 else { return false }
        let image = try image(of: holder, site)
        try writeNotes(holder, &generator)
        try meet(holder, peer, &generator)
        try putBack(image, at: holder)
        guard holder.putBack != nil else { return false }
        try meet(holder, peer, &generator)
        try check(holder)
        guard holder.replica != image.replica else { return false }
        for other in [holder, centre] { try meet(peer, other, &generator) }
        try fill(centre, lesson, with: 0..<6)
        for number in 20..<22 { try ask(holder, lesson, number) }
        try meet(holder, centre, &generator)
        return true
    }

    /// Of a lost owner a branch hears at times before it hears who follows it.
    private func hearOfLossFirst(
        _ lesson: LessonView,
        _ owner: Place,
        _ branch: Place,
        _ generator: inout SeededGenerator
    ) throws -> Bool {
        for place in [branch, owner, branch] { try meet(place, centre, &generator) }
        try revoke(owner, as: .lost, &generator)
        var weather = Weather.fair
        weather.cut = 70
        for _ in 0..<6 where branch.site != nil && centre.site != nil {
            try exchange(branch, centre, weather, &generator)
            try checkSeats(branch)
        }
        return isEnding(owner)
    }

    // MARK: - What they do

    private func view(_ lesson: LessonView, at place: Place) throws -> LessonView? {
        try place.site?.lessons().first { $0.record.id == lesson.record.id }
    }

    /// The rights of a place that nobody sits on, as it knows them.
    func free(_ place: Place, _ lesson: LessonView) throws -> Int {
        try view(lesson, at: place)?.rights.filter { $0.device == place.device }.reduce(0) { $0 + $1.free } ?? 0
    }

    /// People ask at a place while it has rights that nobody sits on.
    private func fill(_ place: Place, _ lesson: LessonView, with people: Range<Int>, leaving rest: Int = 0) throws {
        for number in people where try free(place, lesson) > rest { try ask(place, lesson, number) }
    }

    private func cancel(_ number: Int, of lesson: LessonView, at place: Place) throws {
        let booking = try bookings(of: lesson, at: place).first { self.number(of: $0) == number }
        if let booking { try cancel(place, booking) }
    }

    private func bookings(of lesson: LessonView, at place: Place) throws -> [BookingView] {
        try place.site?.bookings(lesson: lesson.record.id.description, cancelled: false) ?? []
    }
}
