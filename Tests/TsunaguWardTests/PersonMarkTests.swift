// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore
import TsunaguWard

/// Marks say that exactly a person is meant, and nothing to those without the secret.
@Suite struct PersonMarkTests {
    static let secret = [UInt8](1...32)
    static let person = [
        "family_name": "髙﨑", "given_name": "花子", "family_kana": "タカサキ", "given_kana": "ハナコ",
        "birth_date": "1980-02-29", "number": "00012345678",
    ]

    private func marks(_ changes: [String: String?] = [:], secret: [UInt8] = secret) -> Set<PersonMark> {
        let person = Self.person.merging(changes.compactMapValues(\.self)) { $1 }.filter { field, _ in
            changes[field] != .some(nil)
        }
        return Set(PersonMark.of(resident: { person[$0] }, secret: secret))
    }

    @Test func `A person has a mark by kana, by name and by number, as far as they are known`() {
        #expect(marks().count == 3)
        #expect(marks(["number": nil]).count == 2)
        #expect(marks(["birth_date": nil]).count == 1)
        #expect(marks(["family_kana": nil, "given_kana": nil]).count == 2)
    }

    @Test(arguments: [
        ["高崎", "花子", "1980-02-29"], ["高崎花子", "1980-02-29"], ["1980-02-29", "ﾀｶｻｷ", "はなこ"], ["00012345678"],
    ])
    func `What a clerk types for exactly the person meets a mark`(_ words: [String]) {
        #expect(!marks().isDisjoint(with: PersonMark.of(words: words, secret: Self.secret)))
    }

    @Test(arguments: [
        ["高崎", "花子"], ["高崎", "花子", "1980-03-01"], ["高崎", "1980-02-29"], ["0001234567"], ["花子", "高崎", "1980-02-29"],
    ])
    func `What is not exactly the person meets none`(_ words: [String]) {
        #expect(marks().isDisjoint(with: PersonMark.of(words: words, secret: Self.secret)))
    }

    @Test func `Another secret, another birth date and another number give other marks`() {
        #expect(marks().isDisjoint(with: marks(secret: [UInt8](2...33))))
        #expect(marks().intersection(marks(["birth_date": "1980-02-28"])).count == 1)
        #expect(marks().intersection(marks(["number": "00012345679"])).count == 2)
    }

    @Test func `A record's mark is no number's`() {
        let id = RecordID(derivedFrom: [[1]])
        let mark = PersonMark(record: id, secret: Self.secret)
        #expect(mark != PersonMark(number: id.description, secret: Self.secret))
        #expect(PersonMark.of(words: [id.description], secret: Self.secret).contains(mark))
        #expect(PersonMark(hex: mark.description) == mark)
    }
}
