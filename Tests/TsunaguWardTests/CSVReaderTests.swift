// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguWard

@Suite struct CSVReaderTests {
    @Test(
        "line ends of every kind, with and without the last one",
        arguments: [
            "a,b\r\n1,2\r\n", "a,b\n1,2\n", "a,b\r1,2\r", "a,b\r\n1,2", "a,b\n1,2", "a,b\r1,2",
            "a,\"b\"\r\n1,\"2\"\r\n",
        ]
    )
    func lineEnds(_ text: String) throws {
        #expect(try readCSV(bytes(text)) == [ReadRow(1, ["a", "b"]), ReadRow(2, ["1", "2"])])
    }

    /// A file with everything in it, and its rows.
    private static let everything = "\u{FEFF}氏名,\"住所\"\r\n\"髙\u{FA11} \"\"花\"\"\",\"一\r\n二\n三\r四\"\r\n,\n\"\",x,\n"
    private static let rows = [
        ReadRow(1, ["氏名", "住所"]),
        ReadRow(2, ["髙\u{FA11} \"花\"", "一\r\n二\n三\r四"]),
        ReadRow(6, ["", ""]),
    ]

    @Test("a chunk may end anywhere")
    func everyBoundary() throws {
        let file =
            bytes(CSVReaderTests.everything).dropLast(bytes("\"\",x,\n").count) + bytes("\u{845B}\u{E0100},\"=\"\n")
        let rows = CSVReaderTests.rows + [ReadRow(7, ["\u{845B}\u{E0100}", "="])]
        #expect(try readCSV(Array(file)) == rows)
        for first in 1..<file.count {
            #expect(try readCSV(Array(file), pieces: [first, Int.max]) == rows, "cut at \(first)")
        }
        for length in 1...7 { #expect(try readCSV(Array(file), pieces: [length]) == rows) }
    }

    @Test("an error is the same wherever a chunk ends")
    func everyBoundaryOfError() {
        let file = bytes(CSVReaderTests.everything)
        let error = CSVError.wrongFieldCount(line: 7, found: 3, expected: 2)
        for first in 1...file.count {
            #expect(throws: error) { try readCSV(file, pieces: [first, Int.max]) }
        }
    }

    @Test("one byte order mark at the start is dropped, and only that one")
    func byteOrderMark() throws {
        #expect(try readCSV(bytes("\u{FEFF}氏名\n")) == [ReadRow(1, ["氏名"])])
        #expect(try readCSV(bytes("\u{FEFF}\u{FEFF}氏名\n")) == [ReadRow(1, ["\u{FEFF}氏名"])])
        #expect(try readCSV(bytes("a\n\u{FEFF}b\n")) == [ReadRow(1, ["a"]), ReadRow(2, ["\u{FEFF}b"])])
        #expect(try readCSV(bytes("\u{FEFF}\"a,b\"\n")) == [ReadRow(1, ["a,b"])])
        // The first bytes of a mark that is none are kept, for the reader of the rows to judge.
        for beginning in [[0xEF], [0xEF, 0xBB], [0xEF, 0xBB, 0x41], [0xEF, 0x41]] as [[UInt8]] {
            for pieces in [[1], [Int.max]] {
                #expect(try readCSV(beginning, pieces: pieces) == [ReadRow(1, [beginning])])
            }
        }
    }

    @Test("what a field holds is kept to the byte")
    func exactBytes() throws {
        let cells: [[UInt8]] = [
            [0], [0xFF, 0xFE], [0x80], bytes(" a "), bytes("\u{FA19}"), bytes("か\u{3099}"), bytes("\t"),
        ]
        #expect(try readCSV(Array(cells.joined(separator: [44]))) == [ReadRow(1, cells)])
    }

    @Test("empty fields, empty lines and empty files")
    func empty() throws {
        #expect(try readCSV([]).isEmpty)
        #expect(try readCSV(bytes("\u{FEFF}")).isEmpty)
        #expect(try readCSV(bytes("\r\n\n\r")).isEmpty)
        #expect(
            try readCSV(bytes("a,b\n\n,\n\r\n1,2")) == [
                ReadRow(1, ["a", "b"]), ReadRow(3, ["", ""]), ReadRow(5, ["1", "2"]),
            ]
        )
        #expect(try readCSV(bytes("a\n\"\"\n")) == [ReadRow(1, ["a"]), ReadRow(2, [""])])
        #expect(try readCSV(bytes("a,b,")) == [ReadRow(1, ["a", "b", ""])])
    }

    @Test("=\"03\" is 03, quoted or not")
    func spreadsheetQuotes() throws {
        #expect(try readCSV(bytes("=\"03\",=\"\",=1\n")) == [ReadRow(1, ["03", "", "=1"])])
    }

    @Test(
        "errors name the file's line",
        arguments: [
            ("a,b\n1,\"2\n3\n", CSVError.unterminatedQuote(line: 2)), ("\"", .unterminatedQuote(line: 1)),
            ("a,b\n\"x\ny\",\"z", .unterminatedQuote(line: 3)), ("a,b\r\n1,2\"\r\n", .strayQuote(line: 2, field: 2)),
            ("a\n \"x\"\n", .strayQuote(line: 2, field: 1)), ("a,b\n\"1\"x,2\n", .textAfterQuote(line: 2, field: 1)),
            ("a,b\n\"1\" ,2\n", .textAfterQuote(line: 2, field: 1)), ("a\nx==\"1\"\n", .strayQuote(line: 2, field: 1)),
            ("a,b\n1\n", .wrongFieldCount(line: 2, found: 1, expected: 2)),
            ("a,b\n1,2\n\"x\r\ny\",2,3", .wrongFieldCount(line: 3, found: 3, expected: 2)),
            ("a,b\n\"\"\n", .wrongFieldCount(line: 2, found: 1, expected: 2)),
        ] as [(String, CSVError)]
    )
    func errors(_ row: (text: String, error: CSVError)) {
        for pieces in [[Int.max], [1], [2]] {
            #expect(throws: row.error) { try readCSV(bytes(row.text), pieces: pieces) }
        }
        #expect(!row.error.what.ja.isEmpty && !row.error.remedy.en.isEmpty)
    }

    @Test("a row has a bound: an unclosed quote or a line of commas cannot fill the memory")
    func bounds() throws {
        let header = bytes("a\n")
        let long = [UInt8](repeating: 0x78, count: 99)
        #expect(try readCSV(header + long, rowBytesMax: 100).count == 2)
        #expect(throws: CSVError.rowTooLong(line: 2, bytesMax: 100, quoteLine: nil)) {
            try readCSV(header + long + long, rowBytesMax: 100)
        }
        #expect(throws: CSVError.rowTooLong(line: 2, bytesMax: 100, quoteLine: 2)) {
            try readCSV(header + [34] + [UInt8](repeating: 10, count: 200), rowBytesMax: 100)
        }
        #expect(throws: CSVError.rowTooLong(line: 2, bytesMax: 100, quoteLine: 2)) {
            try readCSV(header + [34] + [UInt8](repeating: 34, count: 400), rowBytesMax: 100)
        }
        #expect(throws: CSVError.rowTooLong(line: 1, bytesMax: 100, quoteLine: nil)) {
            try readCSV([UInt8](repeating: 44, count: 400), rowBytesMax: 100)
        }
    }

    @Test("what the writer writes, the reader reads", arguments: [CSVWriter.LineEnd.lineFeed, .carriageReturnLineFeed])
    func roundTrip(_ lineEnd: CSVWriter.LineEnd) throws {
        let table = [
            ["\u{FEFF}a", "b"], ["", ""], ["x,y", "\"q\""], ["1\r\n2", "\n"], [" ", "=\"03\""],
            ["\u{FA19}", "\u{845B}\u{E0101}"],
        ]
        for mark in [false, true] {
            var writer = CSVWriter(lineEnd: lineEnd, byteOrderMark: mark)
            for row in table { writer.row(row) }
            let rows = try readCSV(writer.take())
            #expect(rows.map(\.cells) == table.map { $0.map(bytes) })
        }
        var writer = CSVWriter(lineEnd: lineEnd)
        for row in [[""], ["a"], [""]] { writer.row(row) }
        #expect(try readCSV(writer.take()).map(\.cells) == [[[]], [bytes("a")], [[]]])
    }

    @Test("quotes stand only where they are needed")
    func quotes() {
        var writer = CSVWriter(lineEnd: .carriageReturnLineFeed)
        writer.row(["a b", "1,2", "\"", "", "髙"])
        #expect(writer.take() == bytes("a b,\"1,2\",\"\"\"\",,髙\r\n"))
    }
}
