// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguWard

@Suite struct LessonFiguresTests {
    private func part(
        _ day: String,
        _ venue: String,
        _ person: String,
        _ outcome: Participation.Outcome,
        _ age: AgeGroup? = .from75,
        resident: Bool? = true
    ) -> Participation {
        Participation(
            day: Day(iso: day.utf8)!,
            venue: venue,
            person: person,
            isResident: resident,
            ageGroup: age,
            outcome: outcome
        )
    }

    private func lesson(_ day: String, _ venue: String, _ scores: [Int] = []) -> LessonFigures.Lesson {
        LessonFigures.Lesson(day: Day(iso: day.utf8)!, venue: venue, scores: scores)
    }

    private let today = Day(iso: "2027-05-01".utf8)!

    private func table(_ figures: LessonFigures) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: figures.figures.map { figure in
                let key = "\(figure.period.text) \(figure.venue ?? "all") \(figure.name.rawValue) \(figure.ages.text)"
                return (key, "\(figure.value)" + (figure.of.map { "/\($0)" } ?? ""))
            }
        )
    }

    @Test func `Persons are counted once in a period, attendances each time`() {
        let figures = LessonFigures(
            lessons: [
                lesson("2027-03-31", "a", [0, 0, 1, 2, 7]), lesson("2027-04-01", "a"), lesson("2027-03-01", "b"),
            ],
            participations: [
                part("2027-03-31", "a", "花", .attended, .from70), part("2027-04-01", "a", "花", .attended),
                part("2027-03-01", "b", "花", .attended, .from70),
                part("2027-03-01", "b", "客", .walkIn, nil, resident: false),
                part("2027-03-31", "a", "休", .noShow), part("2027-03-31", "a", "待", .waiting),
                part("2027-03-31", "a", "止", .cancelled), part("2027-03-31", "a", "未", .confirmed),
            ],
            today: today,
            totals: true
        )
        let table = table(figures)
        #expect(table["2026 all participants_persons all"] == "2")
        #expect(table["2026 all participants_occurrences all"] == "3")
        #expect(table["2026 all participants_persons 70-74"] == "1")
        #expect(table["2026 all participants_occurrences 70-74"] == "2")
        #expect(table["2026 all participants_occurrences unknown"] == "1")
        #expect(table["2026 all participants_occurrences under-65"] == "0")
        #expect(table["2026 all participants_guests all"] == "1")
        #expect(table["2026 all walk_ins all"] == "1")
        #expect(table["2027 all participants_persons 75+"] == "1")
        #expect(
            table["2027-03 all participants_persons all"] == "2" && table["2027-04 all participants_persons all"] == "1"
        )
        #expect(table["2027-03 a bookings all"] == "4" && table["2027-03 a cancelled all"] == "1")
        #expect(table["2027-03 a waiting_rate all"] == "1/4")
        #expect(table["2027-03 a no_show_rate all"] == "1/2")
        #expect(table["2027-03 a unrecorded all"] == "1")
        #expect(table["2026 a satisfaction_5 all"] == "7/10" && table["2026 b satisfaction_5 all"] == "0/0")
        #expect(table["2026 all lessons all"] == "2" && table["2026-03 all lessons all"] == nil)
    }

    @Test func `A site that holds a part gives no totals, and says nothing of guests without the register`() {
        let parts = [part("2027-03-01", "b", "花", .attended, resident: nil)]
        let figures = LessonFigures(lessons: [], participations: parts, today: today, totals: false)
        #expect(figures.figures.allSatisfy { $0.venue == "b" && $0.name != .guests })
        #expect(table(figures)["2026 b participants_persons all"] == "1")
    }

    @Test func `What is still to come is not counted`() {
        let parts = [part("2027-05-02", "b", "花", .confirmed)]
        let lessons = [lesson("2027-05-02", "b")]
        #expect(LessonFigures(lessons: lessons, participations: parts, today: today, totals: true).figures.isEmpty)
    }

    @Test func `The order in which things are held changes nothing`() {
        let venues = ["a", "b", "c"]
        let parts = (0..<60).map { number in
            part(
                "2026-\(number % 2 == 0 ? "07" : "11")-1\(number % 9)",
                venues[number % 3],
                "p\(number % 17)",
                Participation.Outcome.allCases[number % 7],
                number % 5 == 0 ? nil : AgeGroup.allCases[number % 4]
            )
        }
        let lessons = parts.map { LessonFigures.Lesson(day: $0.day, venue: $0.venue) }
        let figures = LessonFigures(lessons: lessons, participations: parts, today: today, totals: true).figures
        let other = LessonFigures(
            lessons: lessons.reversed(),
            participations: parts.reversed(),
            today: today,
            totals: true
        )
        #expect(figures == other.figures)
        // Parts add up to the whole where people are counted each time.
        for whole in figures where whole.name == .attendances && whole.ages == .all {
            let parts = figures.filter {
                $0.name == .attendances && $0.ages != .all && $0.period == whole.period && $0.venue == whole.venue
            }
            #expect(parts.reduce(0) { $0 + $1.value } == whole.value && parts.count == 5)
        }
    }

    @Test func `Of several reports of one person the strongest counts`() {
        typealias Outcome = Participation.Outcome
        #expect(Outcome.strongest(of: [.cancelled, .confirmed]) == .cancelled)
        #expect(Outcome.strongest(of: [.noShow, .attended, .cancelled]) == .attended)
        #expect(Outcome.strongest(of: [.waiting, .walkIn]) == .walkIn)
        #expect(Outcome.strongest(of: []) == nil)
    }
}
