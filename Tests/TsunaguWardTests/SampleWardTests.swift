// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguWard

@Suite struct SampleWardTests {
    private func file(_ file: SampleWard.File, residents: Int = 2000, seed: UInt64 = 7) throws -> [UInt8] {
        var out: [UInt8] = []
        try SampleWard(residents: residents, seed: seed).write(file) { out += $0 }
        return out
    }

    /// The rows below the header, by column.
    private func rows(_ file: SampleWard.File, residents: Int = 2000, seed: UInt64 = 7) -> [[String: String]] {
        var header: [String] = []
        var rows: [[String: String]] = []
        SampleWard(residents: residents, seed: seed).rows(of: file) { row in
            if header.isEmpty {
                header = row
            } else {
                rows.append(Dictionary(uniqueKeysWithValues: zip(header, row)))
            }
        }
        return rows
    }

    @Test(
        "the same seed gives the same bytes, on every machine and in every version",
        arguments: [
            (SampleWard.File.residents, "7287f61d26ccf560821ac1cabc1d608ff5b0d22fed8893152049b3c736a33cfd"),
            (.procedures, "7f31a2a20329856607859803a089ffb7c12c1e9614ef8e9475d0124cd35220d4"),
            (.lessons, "bb3bb605389d15e06cbcab807842144e884423da9aaa5395b389306e26f82d75"),
            (.bookings, "a83dc1445b7d21c5b96c5efc29dc121117e542aa1b6aa9ecbffe298e8d28a22e"),
        ]
    )
    func pinned(_ row: (file: SampleWard.File, hash: String)) throws {
        let hash = Hex.encode(SHA256.hash(data: try file(row.file, residents: 500, seed: 42)))
        #expect(hash == row.hash)
    }

    @Test("another seed gives another ward, and a longer one begins like a shorter one")
    func seeds() throws {
        for kind in SampleWard.File.allCases {
            #expect(try file(kind, seed: 1) != file(kind, seed: 2), "\(kind)")
        }
        let short = try file(.residents, residents: 100)
        #expect(try file(.residents, residents: 200).starts(with: short))
    }

    @Test("every row passes the reader of its file", arguments: [0, 1, 10, 3000])
    func readable(_ residents: Int) throws {
        for kind in RecordRowReader.File.allCases {
            let table = try readCSV(file(SampleWard.File(rawValue: kind.rawValue)!, residents: residents))
            let reader = try withCells(table[0].cells) { try RecordRowReader(kind, header: $0) }
            var problems: [RowProblem] = []
            var keys: Set<ExactText> = []
            for row in table.dropFirst() {
                let record = withCells(row.cells) { reader.read($0, problems: &problems) }
                if let record { keys.insert(record.key) }
            }
            #expect(problems.isEmpty, "\(kind): \(problems.first?.sentence.en ?? "")")
            #expect(keys.count == table.count - 1, "keys are unique")
        }
        let table = try readCSV(file(.bookings, residents: residents))
        let reader = try withCells(table[0].cells) { try BookingRowReader(header: $0) }
        var problems: [RowProblem] = []
        for row in table.dropFirst() { _ = withCells(row.cells) { reader.read($0, problems: &problems) } }
        #expect(problems.isEmpty, "bookings: \(problems.first?.sentence.en ?? "")")
        #expect(table.count > 400)
    }

    @Test("residents are as many as asked for, with unique numbers that carry a check digit")
    func residents() {
        let people = rows(.residents, residents: 5000)
        #expect(people.count == 5000)
        #expect(Set(people.map { $0["number"]! }).count == 5000)
        for person in people {
            let digits = person["number"]!.utf8.map { Int($0) - 48 }
            #expect(digits.count == 11 && CheckDigit.of(Array(digits.dropLast())) == digits.last)
        }
        #expect(people.contains { $0["family_name"] == "佐藤" })
        let born = people.map { Int($0["birth_date"]!.prefix(4))! }
        #expect(born.min()! < 1935 && born.max()! >= 2024 && born.allSatisfy { (1925...2026).contains($0) })
        for person in people {
            #expect(person["moved_in"]! >= person["birth_date"]! && person["moved_in"]! < "2026-11-01")
        }
    }

    @Test("a household has one head, one address and one number")
    func households() {
        let households = Dictionary(grouping: rows(.residents)) { $0["household"]! }
        // The last household may be cut off.
        for members in households.values {
            #expect(members.filter { $0["relationship"] == "世帯主" }.count == 1)
            #expect(Set(members.map { $0["address"]! }).count == 1)
            #expect(Set(members.map { $0["postal_code"]! }).count == 1)
        }
        let single = households.values.filter { $0.count == 1 }.count
        #expect((40...60).contains(single * 100 / households.count))
    }

    @Test(
        "characters occur as registers have them",
        arguments: [
            "\u{9AD9}", "\u{FA11}", "\u{FA19}", "\u{9089}", "\u{908A}", "\u{E0100}", "\u{20BB7}", "\u{FF7B}",
            "\u{FF9E}", "・", "NGUYEN",
        ]
    )
    func characters(_ needle: String) throws {
        let text = try file(.residents, residents: 8000)
        #expect(text.contains(bytes(needle)))
    }

    @Test("no phone number can be anybody's")
    func phones() {
        let typed = rows(.residents).map { $0["phone"]! } + rows(.bookings).map { $0["phone"]! }
        let phones = typed.map { PhoneDigits.of($0) }.filter { !$0.isEmpty }
        #expect(phones.count > 1000)
        for digits in phones {
            let prefix = digits.count == 11 ? 3 : 2
            #expect(digits.count == 11 || digits.starts(with: bytes("03")))
            #expect(digits[prefix] == UInt8(ascii: "0"))
        }
    }

    @Test("297 procedures: 58 cashless, about 100 online, each with a name of its own")
    func procedures() {
        let procedures = rows(.procedures)
        #expect(procedures.count == 297)
        #expect(Set(procedures.map { $0["name"]! }).count == 297)
        #expect(procedures.filter { $0["cashless"] == "yes" }.count == 58)
        #expect((95...105).contains(procedures.filter { $0["online"] == "yes" }.count))
        #expect(procedures.allSatisfy { ($0["online"] == "no") == $0["online_from"]!.isEmpty })
        #expect(procedures.allSatisfy { ($0["cashless"] == "no") == $0["cashless_from"]!.isEmpty })
        #expect(procedures.filter { $0["fee"] == "" }.count >= 3)
        #expect(procedures.filter { $0["name"] == "住民票の写し（世帯全員）" }.first?["fee"] == "300")
        let events = Set(procedures.flatMap { $0["life_events"]!.split(separator: ";") })
        #expect(events.count == 11)
    }

    @Test("lessons are at six venues, in winter, on days and times that exist")
    func lessons() {
        let lessons = rows(.lessons)
        #expect(Set(lessons.map { $0["space"]! }).count == 6)
        for venue in Dictionary(grouping: lessons, by: { $0["space"]! }).values {
            #expect((8...12).contains(venue.count))
            #expect(Set(venue.map { $0["date"]! }).count == venue.count)
        }
        #expect(lessons.allSatisfy { (8...20).contains(Int($0["capacity"]!)!) })
        #expect(lessons.allSatisfy { $0["date"]! >= "2026-12-01" && $0["date"]! <= "2027-03-31" })
    }

    @Test("450 persons book; somebody waits at every venue; nobody is in two lessons on one day")
    func bookings() {
        let lessons = Dictionary(uniqueKeysWithValues: rows(.lessons).map { ($0["code"]!, $0) })
        let numbers = Set(rows(.residents).map { $0["number"]! })
        let bookings = rows(.bookings)
        let persons = Dictionary(grouping: bookings) { $0["number"]! + "|" + $0["name"]! + "|" + $0["phone"]! }
        #expect((420...450).contains(persons.count))
        #expect(bookings.contains { !$0["number"]!.isEmpty } && bookings.contains { $0["number"]!.isEmpty })
        #expect(bookings.allSatisfy { $0["number"]!.isEmpty || numbers.contains($0["number"]!) })
        for bookings in persons.values {
            #expect(Set(bookings.map { lessons[$0["lesson"]!]!["date"]! }).count == bookings.count)
        }
        let full = Dictionary(grouping: bookings, by: { $0["lesson"]! }).filter {
            $0.value.count > Int(lessons[$0.key]!["capacity"]!)!
        }
        #expect(full.count == 6)
        #expect(Set(full.keys.map { lessons[$0]!["space"]! }).count == 6)
    }
}
