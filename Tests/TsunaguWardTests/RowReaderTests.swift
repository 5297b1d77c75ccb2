// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore
import TsunaguWard

@Suite struct RowReaderTests {
    private func code(_ body: () throws -> some Any) -> RowProblem.Code? {
        do {
            _ = try body()
            return nil
        } catch let problem as RowProblem {
            return problem.code
        } catch let refusal as HeaderRefusal {
            return refusal.problems[0].code
        } catch {
            return nil
        }
    }

    private func read(_ rule: CellRule, _ cell: [UInt8]) throws -> Value {
        try withCells([cell]) { try rule.read($0[0], column: "x") }
    }

    // MARK: Headers

    @Test("columns are schema names or Japanese labels, in any order")
    func headers() throws {
        let rows = try readRecords(.residents, ["方書", "number", "氏", "電話"], [["メゾン201", "0001", "髙\u{FA11}", ""]])
        #expect(rows[0].key == "0001")
        #expect(rows[0].fields.map(\.number) == [1, 5, 12, 14])
        #expect(rows[0].fields.map(\.value) == [.text("髙\u{FA11}"), .text("0001"), .text("メゾン201"), .null])
    }

    @Test("a header is refused by the column's name")
    func badHeaders() throws {
        for (header, code, column) in [
            (["number", "氏名"], RowProblem.Code.unknownColumn, "氏名"), (["number", "番号"], .unknownColumn, "番号"),
            (["number", ""], .unknownColumn, ""), (["number", "id"], .unknownColumn, "id"),
            (["number", "phone", "電話"], .duplicateColumn, "電話"), (["family_name"], .missingColumn, "number"),
            ([], .missingColumn, "number"),
            (["number", "電\u{1B}話"], .unknownColumn, "電\\u{1B}話"),
            (["\u{FEFF}number"], .unknownColumn, "\\u{FEFF}number"),
        ] {
            let refusal = #expect(throws: HeaderRefusal.self) { try readRecords(.residents, header, []) }
            let problem = refusal?.problems.first
            #expect(problem?.code == code)
            #expect(problem?.column.utf8.elementsEqual(column.utf8) == true)
        }
        #expect(
            code { try readRecords(.lessons, ["code", "title", "date", "time", "capacity"], []) } == .missingColumn
        )
        #expect(code { try withCells(["number", "name"]) { try BookingRowReader(header: $0) } } == .missingColumn)
    }

    @Test("everything that is wrong with a header is told at once")
    func wholeHeader() throws {
        let header = ["番号", "phone", "電話", "氏名"]
        let problems = #expect(throws: HeaderRefusal.self) { try readRecords(.residents, header, []) }?.problems ?? []
        #expect(problems.map(\.code) == [.duplicateColumn, .unknownColumn, .unknownColumn, .missingColumn])
        #expect(problems.map(\.column) == ["電話", "番号", "氏名", "number"])
        // The long list of names stands once.
        #expect(problems.map { $0.remedy.en.contains("family_name") } == [false, true, false, false])
        #expect(problems[1...2].allSatisfy { $0.remedy.ja.contains("--mapping") })
    }

    // MARK: Text

    @Test("text is kept to the byte")
    func exact() throws {
        for text in [
            "\u{FA19}", "\u{795E}", "か\u{3099}", "\u{FF76}\u{FF9E}", "\u{845B}\u{E0100}", "\u{20BB7}", " 空白 ",
            "\u{E000}", "\u{10DE92}",
            "\u{301C}\u{FF5E}\u{2212}\u{FF0D}", "=1+1", "\u{3000}", "O'CONNOR", "<script>",
            "'; DROP TABLE resident; --",
        ] {
            let value = try read(.text, bytes(text))
            #expect(value == .text(text))
            #expect(Array(value.text!.utf8) == bytes(text))
        }
        #expect(try read(.text, []) == .null)
    }

    @Test("what is no text is refused: invalid UTF-8, control characters, length")
    func noText() throws {
        for invalid in [
            [0xFF], [0xE3, 0x81], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x83, 0x5C],
        ] as [[UInt8]] {
            #expect(code { try read(.text, invalid) } == .notUTF8)
            #expect(code { try read(.phone, invalid) } == .notUTF8)
        }
        for control in ["\0", "a\u{1}", "\u{1B}[31m", "\u{7F}", "\u{85}", "\u{9B}", "一\n二", "\t"] {
            #expect(code { try read(.text, bytes(control)) } == .controlCharacter)
        }
        #expect(try read(.longText, bytes("一\r\n二\t三")) == .text("一\r\n二\t三"))
        #expect(code { try read(.longText, bytes("一\0")) } == .controlCharacter)
        #expect(try read(.text, [UInt8](repeating: 0x61, count: 4096)).text?.utf8.count == 4096)
        #expect(code { try read(.text, [UInt8](repeating: 0x61, count: 4097)) } == .tooLong)
        #expect(try read(.longText, [UInt8](repeating: 0x61, count: 100_000)).text != nil)
        #expect(code { try read(.longText, [UInt8](repeating: 0x61, count: 100_001)) } == .tooLong)
        // U+00A0 to U+00FF share their first byte with the C1 controls.
        #expect(try read(.text, bytes("\u{A0}\u{E9}")) == .text("\u{A0}\u{E9}"))
    }

    @Test("a refused value is shown so that it can do nothing")
    func safe() throws {
        let problem = #expect(throws: RowProblem.self) {
            try read(.text, bytes("a\u{1B}[2J\u{202E}") + [0xFF] + bytes("髙"))
        }
        #expect(problem?.shown == "a\\u{1B}[2J\\u{202E}\\xFF髙")
        let long = #expect(throws: RowProblem.self) { try read(.text, bytes(String(repeating: "氏", count: 5000))) }
        #expect(long?.shown == String(repeating: "氏", count: 40) + "…")
        #expect(long?.sentence.en.contains("15000 bytes") == true)
        #expect(long?.sentence.ja.contains("15000バイト") == true)
    }

    // MARK: Identifiers

    @Test("an identifier stays text and keeps its zeros")
    func identifiers() throws {
        #expect(try read(.digits(1...15), bytes("00012")) == .text("00012"))
        #expect(try read(.digits(1...15), bytes("=\"03\"")) == .text("03"))
        for wrong in ["１２３", "12 3", "12-3", "a", "-1", "1234567890123456", " 1"] {
            #expect(code { try read(.digits(1...15), bytes(wrong)) } == .notDigits)
        }
        #expect(try read(.code, bytes("HIBIYA-01")) == .text("HIBIYA-01"))
        for wrong in ["教室1", "a b", "a/b", "a\n", String(repeating: "a", count: 65)] {
            #expect(code { try read(.code, bytes(wrong)) } == .notCode)
        }
    }

    @Test("a spreadsheet's exponent form is refused wherever digits count")
    func exponents() throws {
        for rule in [CellRule.digits(1...15), .code, .phone, .postalCode, .registerDate] {
            for wrong in ["1.00E+12", "1.23457E+11", "1E+10", "9.01235e+09", "1E-3"] {
                #expect(code { try read(rule, bytes(wrong)) } == .exponentForm)
            }
        }
        #expect(try read(.code, bytes("1E10")) == .text("1E10"))
        #expect(try read(.text, bytes("1.00E+12")) == .text("1.00E+12"))
    }

    @Test("a lost zero is refused with a proposal, never guessed")
    func lostZero() throws {
        for (rule, value) in [(CellRule.phone, "312345678"), (.phone, "9012345678"), (.postalCode, "600000")] {
            let problem = #expect(throws: RowProblem.self) { try read(rule, bytes(value)) }
            #expect(problem?.code == .lostZero)
            #expect(problem?.remedy.en.contains("0" + value) == true)
        }
        for phone in [
            "0312345678", "03-1234-5678", "０３（１２３４）５６７８", "+81 3 1234 5678", "0120-000-111", "3-1234-5678", "内線12",
            "110",
        ] {
            #expect(try read(.phone, bytes(phone)) == .text(phone))
        }
    }

    @Test("a postal code is stored as seven digits")
    func postalCodes() throws {
        #expect(try read(.postalCode, bytes("102-0083")) == .text("1020083"))
        #expect(try read(.postalCode, bytes("1000000")) == .text("1000000"))
        #expect(try read(.postalCode, bytes("0600000")) == .text("0600000"))
        for wrong in [
            "10-20083", "102-008", "10200834", "102 0083", "１０２００８３", "〒102-0083", "102--0083", "-1020083", "1020083-",
        ] {
            #expect(code { try read(.postalCode, bytes(wrong)) } == .postalCode)
        }
    }

    @Test("an address that a spreadsheet turned into a date is refused")
    func addresses() throws {
        #expect(code { try read(.address, bytes("2001/2/3")) } == .dateInAddress)
        for address in ["千代田区紀尾井町1-3", "丸の内1-9-1 グラントウキョウノースタワー36階", "一番町3-17", "1/2/3", "2001/2/3号室"] {
            #expect(try read(.address, bytes(address)) == .text(address))
        }
    }

    // MARK: Days, times, numbers

    @Test("register dates are text as written; a plain date must be a day, 29 February of any year included")
    func registerDates() throws {
        for date in [
            "1950-04-01", "1951-02-29", "2000-02-29", "昭和25年4月1日", "明治45年7月30日", "大正15年12月25日", "昭和20年頃", "不詳",
            "1950年春",
            "\u{337C}25.4.1", "S25.4.1", "1950/4/1",
        ] {
            #expect(try read(.registerDate, bytes(date)) == .text(date))
        }
        for wrong in ["1950-02-30", "1950-13-01", "1950-00-10", "1950-04-31", "0000-01-01"] {
            #expect(code { try read(.registerDate, bytes(wrong)) } == .date)
        }
    }

    @Test("a lesson's day and time are strict")
    func lessonTimes() throws {
        #expect(try read(.day, bytes("2026-12-01")) == .text("2026-12-01"))
        for wrong in ["2026-02-29", "2026/12/01", "2026-12-1", "令和8年12月1日", "20261201"] {
            #expect(code { try read(.day, bytes(wrong)) } == .date)
        }
        for (text, minutes) in [
            ("10:00-12:00", 600..<720), ("23:30-00:30", 1410..<1470), ("00:00-12:00", 0..<720),
            ("10:00-10:01", 600..<601),
        ] {
            let time = LessonTime(bytes(text))
            #expect(time?.minutes == minutes)
            #expect(time?.description == text)
        }
        for wrong in [
            "12:00-10:00", "10:00-10:00", "10:00-22:01", "24:00-25:00", "9:00-10:00", "10:00~12:00", "10:60-11:00",
            "10:00-12:00 ", "",
            "１０:00-12:00", "10.00-12.00",
        ] {
            #expect(LessonTime(bytes(wrong)) == nil, "\(wrong)")
        }
    }

    @Test("numbers are whole, within their bounds, and not taken from words")
    func numbers() throws {
        #expect(try read(.integer(0...1000), bytes("0")) == .integer(0))
        #expect(try read(.integer(0...1000), bytes("012")) == .integer(12))
        #expect(try read(.integer(0...1000), bytes("1000")) == .integer(1000))
        #expect(code { try read(.integer(0...1000), bytes("1001")) } == .outOfRange)
        for wrong in ["-1", "1.5", "15組（申込順）", "１０", "1e3", "99999999999999999999", " 1", "300円"] {
            #expect(code { try read(.integer(0...1000), bytes(wrong)) } == .notNumber)
        }
    }

    // MARK: Rows

    @Test("every fault of a row is told, each with its column as the file names it")
    func severalFaults() throws {
        let reader = try withCells(["宛名番号", "郵便番号", "電話"]) { try RecordRowReader(.residents, header: $0) }
        var problems: [RowProblem] = []
        #expect(withCells(["", "12", "9012345678"]) { reader.read($0, problems: &problems) } == nil)
        #expect(problems.map(\.code) == [.empty, .postalCode, .lostZero])
        #expect(problems.map(\.column) == ["宛名番号", "郵便番号", "電話"])
        problems = []
        #expect(withCells(["1", "1020083", ""]) { reader.read($0, problems: &problems) } != nil)
        #expect(problems.isEmpty)
    }

    @Test("a resident's row fills registers, set and log")
    func residentRow() throws {
        let row = try readRecords(
            .residents,
            ["number", "languages", "notes", "postal_code"],
            [["7", "英語; 日本語;英語;", "窓口で\n相談", "102-0083"]]
        )[0]
        #expect(row.fields.map(\.number) == [5, 10])
        #expect(row.sets.map(\.number) == [16])
        #expect(row.sets[0].members == ["英語", "日本語"])
        #expect(row.entries.map(\.number) == [17])
        #expect(row.entries[0].text == "窓口で\n相談")
        #expect(row.space == nil)
    }

    @Test("a set's members are bounded and checked like text")
    func members() throws {
        let many = (0...200).map(String.init).joined(separator: ";")
        #expect(code { try readRecords(.residents, ["number", "languages"], [["1", many]]) } == .tooLong)
        #expect(
            code { try readRecords(.residents, ["number", "languages"], [["1", "英語;\u{1}"]]) } == .controlCharacter
        )
        let exact = try readRecords(.residents, ["number", "languages"], [["1", "\u{FA19};\u{795E}"]])[0]
        #expect(exact.sets[0].members == ["\u{FA19}", "\u{795E}"])
    }

    @Test("a procedure's fee of 0 is free, an empty one unknown")
    func procedureRow() throws {
        let rows = try readRecords(
            .procedures,
            ["code", "name", "fee", "online", "documents"],
            [["P1", "転入届", "0", "yes", "本人確認書類;転出証明書"], ["P2", "転居届", "", "partly", ""]]
        )
        #expect(rows[0].fields.first { $0.number == 9 }?.value == .integer(0))
        #expect(rows[1].fields.first { $0.number == 9 }?.value == .null)
        #expect(rows[0].sets[0].members == ["本人確認書類", "転出証明書"])
        #expect(code { try readRecords(.procedures, ["code", "name", "online"], [["P1", "転入届", "可"]]) } == .notInList)
        #expect(code { try readRecords(.procedures, ["code", "name"], [["P1", ""]]) } == .empty)
    }

    @Test("a lesson's row has its space and its two times")
    func lessonRow() throws {
        let header = ["code", "space", "title", "venue", "date", "time", "capacity", "room", "level", "languages"]
        let good = ["A-1", "lessons/hibiya", "入門", "図書館", "2026-12-01", "23:30-00:30", "10", "", "", "日本語;英語"]
        let row = try readRecords(.lessons, header, [good])[0]
        #expect(row.key == "A-1")
        #expect(row.space?.name == "lessons/hibiya")
        #expect(row.fields.map(\.number) == [1, 2, 3, 4, 5, 6, 7, 8, 9])
        #expect(row.fields[4].value == .text("23:30"))
        #expect(row.fields[5].value == .text("00:30"))
        #expect(row.fields[6].value == .integer(10))
        for (column, value, expected) in [
            (0, "", RowProblem.Code.empty), (1, "", .empty), (1, "residents", .spaceName), (1, "lessons/", .spaceName),
            (1, "lessons/Hibiya", .spaceName), (1, "lessons/日比谷", .spaceName), (1, "lessons/a/b", .spaceName),
            (2, "", .empty),
            (4, "2026-02-29", .date), (4, "", .empty), (5, "12:00-10:00", .time), (5, "", .empty),
            (6, "1001", .outOfRange),
            (6, "20人", .notNumber), (6, "", .empty),
        ] {
            var bad = good
            bad[column] = value
            #expect(code { try readRecords(.lessons, header, [bad]) } == expected, "\(header[column]) = \(value)")
        }
    }

    @Test("a booking is of a resident by number or of somebody typed in, never both")
    func bookingRow() throws {
        let header = ["教室コード", "宛名番号", "氏名", "カナ", "電話", "年齢区分", "配慮"]
        let reader = try withCells(header) { try BookingRowReader(header: $0) }
        func read(_ cells: [String]) throws -> BookingRow {
            var problems: [RowProblem] = []
            let row = withCells(cells) { reader.read($0, problems: &problems) }
            if let problem = problems.first { throw problem }
            return row!
        }
        let resident = try read(["A-1", "00012", "", "", "", "", "手話; 筆談"])
        #expect(resident.lesson == "A-1")
        #expect(resident.person == .resident(number: "00012"))
        #expect(resident.needs == ["手話", "筆談"])
        let guest = try read(["A-1", "", "髙橋 花", "タカハシ ハナ", "080-0111-2222", "70-74", ""])
        #expect(
            guest.person
                == .guest(PersonDetails(name: "髙橋 花", kana: "タカハシ ハナ", phone: "080-0111-2222", ageGroup: .from70))
        )
        #expect(try read(["A-1", "", "花", "", "", "", ""]).person == .guest(PersonDetails(name: "花")))
        #expect(code { try read(["A-1", "12", "花", "", "", "", ""]) } == .personTwice)
        #expect(code { try read(["A-1", "12", "", "", "080-0111-2222", "", ""]) } == .personTwice)
        #expect(code { try read(["A-1", "", "", "ハナ", "080-0111-2222", "", ""]) } == .personMissing)
        #expect(code { try read(["", "12", "", "", "", "", ""]) } == .empty)
        #expect(code { try read(["A-1", "", "花", "", "", "70", ""]) } == .notInList)
        #expect(code { try read(["A-1", "1.00E+12", "", "", "", "", ""]) } == .exponentForm)
    }

    @Test("a typed field is checked by the same rules")
    func typed() throws {
        let resident = WardSchema.resident
        let postal = resident.field(named: "postal_code")!.field
        #expect(try WardSchema.value(of: "102-0083", for: postal, in: resident) == .text("1020083"))
        let problem = #expect(throws: RowProblem.self) { try WardSchema.value(of: "102", for: postal, in: resident) }
        #expect(problem?.column == "postal_code")
        #expect(try WardSchema.value(of: "", for: resident.field(named: "phone")!.field, in: resident) == .null)
        #expect(
            try WardSchema.value(
                of: "10",
                for: WardSchema.lesson.field(named: "capacity")!.field,
                in: WardSchema.lesson
            ) == .integer(10)
        )
    }
}
