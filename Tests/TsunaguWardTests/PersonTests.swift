// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore
import TsunaguWard

@Suite struct PersonTests {
    private let resident = RecordID(Bytes16(7))
    private let lesson = RecordID(Bytes16(8))

    private func guest(_ name: String, _ kana: String?, _ phone: String?) -> PersonKey {
        PersonKey(
            guest: PersonDetails(
                name: ExactText(name),
                kana: kana.map { ExactText($0) },
                phone: phone.map { ExactText($0) }
            )
        )
    }

    @Test("a resident's key depends on the id and on the secret")
    func residentKey() {
        let key = PersonKey(resident: resident, secret: [1, 2, 3])
        #expect(key == PersonKey(resident: resident, secret: [1, 2, 3]))
        #expect(key != PersonKey(resident: resident, secret: [1, 2, 4]))
        #expect(key != PersonKey(resident: lesson, secret: [1, 2, 3]))
        #expect(key.description.utf8.count == 32)
        #expect(PersonKey(hex: key.description) == key)
        #expect(PersonKey(hex: "12") == nil)
    }

    @Test("keys and derived records are the same bytes at every site and in every version")
    func pinned() {
        let key = PersonKey(resident: resident, secret: Array(0..<32))
        #expect(key.description == "906c62dc9034f2ab16776cb828565027")
        #expect(guest("花子", "ハナコ", "03-0111-2222").description == "52233ebeb963eb2b198b90d0063f2c6e")
        #expect(key.booking(of: lesson).description == "0239458879b6ba740958cb3db8a445d4")
        #expect(PersonKey.link(of: lesson).description == "ae7bf00265b1647dfc7eb0ab83716021")
    }

    @Test("a typed person is the same with half-width kana and without hyphens")
    func guestSame() {
        let key = guest("髙橋 花", "タカハシ ハナ", "03-0123-4567")
        #expect(key == guest("髙橋 花", "\u{FF80}\u{FF76}\u{FF8A}\u{FF7C} \u{FF8A}\u{FF85}", "0301234567"))
        #expect(key == guest("髙橋 花", "たかはし\u{3000}はな", "\u{FF10}\u{FF13}（\u{FF10}123）4567"))
        #expect(key == guest("髙橋 花", "タカハシ ハナ", "+81 3 0123 4567"))
    }

    @Test("another name, reading or number is another typed person, and parts do not run into each other")
    func guestDifferent() {
        let key = guest("\u{795E}谷", "カミヤ", "03-0123-4567")
        #expect(key != guest("\u{FA19}谷", "カミヤ", "03-0123-4567"))
        #expect(key != guest("\u{795E}谷", "コウヤ", "03-0123-4567"))
        #expect(key != guest("\u{795E}谷", "カミヤ", "03-0123-4568"))
        #expect(key != guest("\u{795E}谷", "カミヤ", nil))
        #expect(guest("アイ", nil, nil) != guest("ア", "イ", nil))
    }

    @Test("one booking for a person and a lesson, whichever site makes it")
    func booking() {
        let key = PersonKey(resident: resident, secret: [1])
        #expect(key.booking(of: lesson) == PersonKey(resident: resident, secret: [1]).booking(of: lesson))
        #expect(key.booking(of: lesson) != key.booking(of: resident))
        #expect(PersonKey.link(of: key.booking(of: lesson)) != key.booking(of: lesson))
    }

    @Test(
        "phone numbers compare by their digits",
        arguments: [
            ("03-1234-5678", "0312345678"), ("０３（１２３４）５６７８", "0312345678"), ("+81 3 1234 5678", "0312345678"),
            ("+81-(0)3-1234-5678", "0312345678"), ("＋81 90 0123 4567", "09001234567"), ("0120-000-111", "0120000111"),
            ("090ー0123ー4567", "09001234567"), ("03-1234-5678 内線12", "0312345678"),
            ("03-1234-5678、090-0123-4567", "0312345678"), ("TEL 03-1234-5678", "0312345678"),
            ("+1 212 555 0100", "12125550100"),
            ("", ""), ("なし", ""),
        ]
    )
    func phones(_ pair: (String, String)) {
        #expect(PhoneDigits.of(pair.0) == bytes(pair.1))
    }

    @Test(
        "an age is reached the day before the birthday",
        arguments: [
            ("1956-12-02", "2026-11-30", 69), ("1956-12-02", "2026-12-01", 70), ("1956-12-02", "2026-12-02", 70),
            ("2000-01-01", "2025-12-31", 26), ("2000-01-01", "2025-12-30", 25), ("2019-04-01", "2026-03-31", 7),
            ("2019-04-02", "2026-03-31", 6), ("2004-02-29", "2026-02-28", 22), ("2004-02-29", "2026-02-27", 21),
            ("2004-02-29", "2028-02-28", 24), ("2004-02-29", "2028-02-27", 23), ("2026-12-01", "2026-12-01", 0),
        ]
    )
    func ages(_ row: (birth: String, on: String, age: Int)) {
        let birth = Day(iso: bytes(row.birth))!
        #expect(AgeGroup.age(birth: birth, on: Day(iso: bytes(row.on))!) == row.age)
    }

    @Test("age groups are those of the report, and an unknown date has none")
    func ageGroups() {
        let day = Day(iso: bytes("2026-12-01"))!
        #expect(AgeGroup(birthDate: bytes("1961-12-03"), on: day) == .under65)
        #expect(AgeGroup(birthDate: bytes("1961-12-02"), on: day) == .from65)
        #expect(AgeGroup(birthDate: bytes("1956-12-02"), on: day) == .from70)
        #expect(AgeGroup(birthDate: bytes("1951-12-02"), on: day) == .from75)
        #expect(AgeGroup(birthDate: bytes("1950-02-29"), on: day) == .from75)
        #expect(AgeGroup(birthDate: bytes("昭和25年頃"), on: day) == nil)
        #expect(AgeGroup(birthDate: bytes(""), on: day) == nil)
        #expect(AgeGroup(birthDate: bytes("2026-12-02"), on: day) == nil)
    }

    @Test("days are those of the calendar")
    func days() {
        for real in ["2024-02-29", "2000-02-29", "2026-12-31", "0001-01-01", "9999-12-31"] {
            #expect(Day(iso: bytes(real))?.description == real)
        }
        for wrong in [
            "2026-02-29", "1900-02-29", "2026-00-01", "2026-13-01", "2026-04-31", "2026-4-1", "2026/04/01",
            "0000-01-01", "２０２６-04-01", "", "2026-04-01 ",
        ] {
            #expect(Day(iso: bytes(wrong)) == nil, "\(wrong)")
        }
        #expect(Day(iso: bytes("2026-02-28"))!.next.description == "2026-03-01")
        #expect(Day(iso: bytes("2028-02-28"))!.next.description == "2028-02-29")
        #expect(Day(iso: bytes("2026-12-31"))!.next.description == "2027-01-01")
    }

    @Test("a check digit catches every wrong digit and most swaps")
    func checkDigit() {
        #expect(CheckDigit.number(serial: 0, digits: 10) == "00000000000")
        #expect(CheckDigit.number(serial: 123_456_789, digits: 10).hasPrefix("0123456789"))
        let digits = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        var caught = 0
        for index in digits.indices {
            for wrong in 0...9 where wrong != digits[index] {
                var other = digits
                other[index] = wrong
                if CheckDigit.of(other) != CheckDigit.of(digits) { caught += 1 }
            }
        }
        // Remainders 0 and 1 share the digit 0, so a few of the 90 escape.
        #expect(caught >= 85)
    }
}

@Suite struct PersonDetailsTests {
    private let resident: [String: ExactText] = [
        "family_name": "髙\u{FA11}", "given_name": "花", "family_kana": "タカサキ", "phone": "03-0111-2222",
        "birth_date": "1956-12-02", "address": "千代田区麹町三丁目1番1号", "number": "0012",
    ]

    @Test("a lesson learns name, reading, phone and age group of a resident, and nothing else")
    func ofResident() {
        let details = PersonDetails(resident: { resident[$0] }, on: Day(iso: bytes("2026-12-01"))!)
        #expect(
            details == PersonDetails(name: "髙\u{FA11} 花", kana: "タカサキ", phone: "03-0111-2222", ageGroup: .from70)
        )
        #expect(details.fields.map(\.number) == [3, 4, 5, 6])
        #expect(
            details.fields.map(\.value) == [
                .text("髙\u{FA11} 花"), .text("タカサキ"), .text("03-0111-2222"), .text("70-74"),
            ]
        )
    }

    @Test("a resident without a name or a plain birth date is nobody's age and no crash")
    func blank() {
        let details = PersonDetails(resident: { $0 == "birth_date" ? "不詳" : nil }, on: Day(iso: bytes("2026-12-01"))!)
        #expect(details == PersonDetails(name: ""))
        #expect(details.fields.map(\.value) == [.text(""), .null, .null, .null])
    }
}
