// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore
import TsunaguWard

@Suite struct KanaOrderTests {
    @Test func `Names stand in the order of the fifty sounds`() {
        let inOrder = [
            "", "Abe", "SATO", "アイダ ユウ", "アベ ジロウ", "アベ タロウ", "アベカワ アキ", "イトウ", "ウエダ", "カトウ", "ガトウ", "キクチ", "サトウ ハナ",
            "サトウ ハナコ", "サトウダ アイ", "ハタ", "バタ", "パタ", "ハタノ", "ヤマダ", "ワタナベ", "ヲ", "ン", "佐藤",
        ]
        for seed in 0..<20 as Range<UInt64> {
            var random = SplitMix(seed)
            let sorted = inOrder.shuffled(using: &random).map { (KanaOrder($0), $0) }.sorted { $0.0 < $1.0 }.map(\.1)
            #expect(sorted == inOrder)
        }
    }

    @Test(arguments: [
        ("サトウ", "さとう"), ("サトウ", "ｻﾄｳ"), ("ガトウ", "ｶﾞﾄｳ"), ("ガトウ", "か\u{3099}とう"), ("パン", "ﾊﾟﾝ"),
        ("サトウ ハナ", " サトウ\u{3000}\u{3000}ハナ "),
        ("ササキ", "サヽキ"), ("ミスズ", "ミスヾ"), ("ＳＡＴＯ", "sato"), ("ヴァレ", "ｳﾞｧﾚ"),
    ])
    func `A name in another form has the same place`(name: String, other: String) {
        #expect(KanaOrder(name) == KanaOrder(other))
        #expect(!(KanaOrder(name) < KanaOrder(other)) && !(KanaOrder(other) < KanaOrder(name)))
    }

    @Test func `Size, voicing and length decide only where all sounds are equal`() {
        func comes(_ a: String, _ b: String) -> Bool { KanaOrder(a) < KanaOrder(b) && !(KanaOrder(b) < KanaOrder(a)) }
        #expect(comes("リョウ", "リヨウ"))
        #expect(comes("ホッタ", "ホツタ"))
        #expect(comes("オーノ", "オオノ"))
        #expect(comes("オオノ", "オーノダ"))
        #expect(comes("カキ", "カギ") && comes("カギ", "ガキ") && comes("ガキ", "カクタ"))
    }

    @Test func `Long, odd and damaged text has a place too`() {
        let long = String(repeating: "ジュゲム", count: 500)
        #expect(KanaOrder(long) < KanaOrder(long + "ア"))
        for text in ["ー", "ーア", "゛", "\u{3099}", "ゝ", "ヾ", "\u{0}", "葛\u{E0100}", "👪"] {
            #expect(!(KanaOrder(text) < KanaOrder(text)))
        }
        #expect(KanaOrder("葛\u{E0100}飾") == KanaOrder("葛飾"))
        // Characters that Swift takes for equal are two.
        #expect(KanaOrder("\u{FA19}") != KanaOrder("\u{795E}"))
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        init(_ seed: UInt64) { state = seed }
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }
}

@Suite struct DayCountingTests {
    @Test func `Every day has a number and a weekday, one after the other`() throws {
        var day = try #require(Day(year: 1899, month: 12, day: 28))
        let first = day.number
        for count in 0..<120_000 {
            #expect(day.number == first + count)
            #expect(day.weekday == (4 + count) % 7)
            let back = Day(number: day.number)
            guard back == day else {
                Issue.record("\(day) came back as \(back.map(\.description) ?? "nothing")")
                return
            }
            day = day.next
        }
        #expect(Day(year: 1970, month: 1, day: 1)?.number == 0)
        #expect(Day(year: 2026, month: 12, day: 1)?.weekday == 2)
        #expect(Day(year: 9999, month: 12, day: 31)?.adding(1) == nil)
        #expect(Day(year: 1, month: 1, day: 1)?.adding(-1) == nil)
    }

    @Test func `A day in Tokyo begins at fifteen o'clock of the world's`() {
        #expect(Day(tokyo: 0).description == "1970-01-01")
        #expect(Day(tokyo: 1_796_137_199_999).description == "2026-12-01")
        #expect(Day(tokyo: 1_796_137_200_000).description == "2026-12-02")
        #expect(Day(tokyo: .max).description == "9999-12-31")
    }

    @Test func `A fiscal year begins in April`() {
        #expect(Day(year: 2027, month: 3, day: 31)?.fiscalYear == 2026)
        #expect(Day(year: 2027, month: 4, day: 1)?.fiscalYear == 2027)
    }
}
