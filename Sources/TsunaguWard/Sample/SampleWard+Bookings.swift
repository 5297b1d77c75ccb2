// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

extension SampleWard {
    static let bookingColumns = ["lesson", "number", "name", "kana", "phone", "age_group", "needs"]

    /// As many people come to the ward's lessons as its strategy counts.
    private static let personCount = 450
    /// Of them, those whom the counter finds in the register.
    private static let residentCount = 270

    /// Who books: the cells of the row that name the person, and the days that are taken.
    private struct Person {
        let cells: [String]
        let needs: String
        var days: Set<Day> = []
    }

    /// The bookings in the order in which they came in.
    ///
    /// Nobody books twice for one day, each lesson has its bookings below its capacity, and one at each venue has more
    /// than its seats.
    func bookingRows() -> [[String]] {
        var random = SplitMix64(seed: seed, stream: 5)
        var people = bookingPeople(&random)
        var newcomer = 0
        var rows: [[String]] = []
        for lesson in SampleLesson.all(seed: seed) {
            let wanted =
                lesson.isPopular
                ? lesson.capacity + random.within(2...6)
                : lesson.capacity * random.within(45...90) / 100
            for _ in 0..<wanted {
                guard let index = attendee(of: lesson, among: people, &newcomer, &random) else { break }
                people[index].days.insert(lesson.date)
                rows.append([lesson.code] + people[index].cells + [people[index].needs])
            }
        }
        for index in rows.indices.reversed() where index > 0 { rows.swapAt(index, random.below(index + 1)) }
        return rows
    }

    /// Three of four seats go to somebody who has not come before, while there is anybody.
    private func attendee(
        of lesson: SampleLesson,
        among people: [Person],
        _ newcomer: inout Int,
        _ random: inout SplitMix64
    ) -> Int? {
        if newcomer < people.count, newcomer == 0 || random.chance(75) {
            newcomer += 1
            return newcomer - 1
        }
        for _ in 0..<200 {
            let index = random.below(newcomer)
            if !people[index].days.contains(lesson.date) { return index }
        }
        return nil
    }

    private func bookingPeople(_ random: inout SplitMix64) -> [Person] {
        let needs = ["筆談", "手話", "車いす", "拡大文字", "介助者", "車いす;介助者"]
        var people: [Person] = []
        for number in elderlyNumbers(&random) {
            let need = random.chance(12) ? random.pick(needs) : ""
            people.append(Person(cells: [number, "", "", "", ""], needs: need))
        }
        for index in people.count..<SampleWard.personCount {
            let need = random.chance(12) ? random.pick(needs) : ""
            people.append(Person(cells: [""] + guest(index, &random), needs: need))
        }
        for index in people.indices.reversed() where index > 0 { people.swapAt(index, random.below(index + 1)) }
        return people
    }

    /// Residents of 60 and more, each as likely as the other: a reservoir over the whole register.
    private func elderlyNumbers(_ random: inout SplitMix64) -> [String] {
        var chosen: [Int] = []
        var seen = 0
        forEachPerson { index, _, person, _ in
            guard person.birth.year <= 1966 else { return }
            seen += 1
            if chosen.count < SampleWard.residentCount {
                chosen.append(index)
            } else {
                let place = random.below(seen)
                if place < chosen.count { chosen[place] = index }
            }
        }
        return chosen.map(number(at:))
    }

    /// Name, kana, phone and age group as a clerk types them.
    private func guest(_ index: Int, _ random: inout SplitMix64) -> [String] {
        let family = SampleName.families.draw(&random)
        let isWoman = random.chance(64)
        let given = random.pick(isWoman ? SampleName.women[random.below(2)] : SampleName.men[random.below(2)])
        let space = random.chance(70) ? " " : "\u{3000}"
        let name = family.form(&random) + space + given.form(&random)
        let kana = family.kana + " " + given.kana
        let phone = "080-0\(SamplePeople.padded(index, 3))-\(SamplePeople.padded(random.below(10000), 4))"
        let age = random.pick([AgeGroup.under65, .from65, .from70, .from70, .from75, .from75, .from75])
        let style = random.below(100)
        let typed = style < 12 ? Kana.halfWidth(of: kana) : style < 20 ? "" : kana
        return [name, typed, phone, random.chance(90) ? age.rawValue : ""]
    }
}
