// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Writes CSV that `CSVReader` reads back byte for byte: UTF-8, quotes only where they are needed.
package struct CSVWriter {
    /// What ends a line.
    package enum LineEnd: Sendable {
        /// LF, what programs here expect.
        case lineFeed
        /// CRLF, RFC 4180 and spreadsheets.
        case carriageReturnLineFeed
    }

    /// What is written and not yet taken.
    package private(set) var bytes: [UInt8] = []
    private let lineEnd: LineEnd
    private var cellsInRow = 0
    private var isAtStart = true
    /// Where the row begins in `bytes`.
    private var rowStart = 0

    /// - Parameter byteOrderMark: begins the file with U+FEFF, by which a spreadsheet knows UTF-8.
    package init(lineEnd: LineEnd = .lineFeed, byteOrderMark: Bool = false) {
        self.lineEnd = lineEnd
        if byteOrderMark {
            bytes = [0xEF, 0xBB, 0xBF]
            isAtStart = false
            rowStart = 3
        }
    }

    /// Writes a row of texts.
    package mutating func row(_ cells: [String]) {
        for cell in cells { self.cell(cell) }
        endRow()
    }

    /// Writes a row of stored texts; `nil` is an empty cell.
    package mutating func row(_ cells: [ExactText?]) {
        for cell in cells { self.cell(cell?.string ?? "") }
        endRow()
    }

    /// Writes one cell.
    package mutating func cell(_ text: String) {
        var text = text
        text.withUTF8 { cell($0) }
    }

    /// Writes one cell of bytes.
    package mutating func cell(_ text: UnsafeBufferPointer<UInt8>) {
        if cellsInRow > 0 { bytes.append(UInt8(ascii: ",")) }
        cellsInRow += 1
        // A text that itself begins with a byte order mark would lose it at the start of a file.
        let quoted = text.contains(where: CSVWriter.needsQuotes) || (isAtStart && text.first == 0xEF)
        isAtStart = false
        guard quoted else { return bytes.append(contentsOf: text) }
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            if byte == UInt8(ascii: "\"") { bytes.append(byte) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Ends the row.
    package mutating func endRow() {
        // A row of one empty cell would be an empty line, which readers skip.
        if cellsInRow == 1, bytes.count == rowStart {
            bytes.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: "\"")])
        }
        if lineEnd == .carriageReturnLineFeed { bytes.append(UInt8(ascii: "\r")) }
        bytes.append(UInt8(ascii: "\n"))
        cellsInRow = 0
        rowStart = bytes.count
    }

    /// Hands over what is written, so that a long file need not be held; to be called between rows.
    package mutating func take() -> [UInt8] {
        defer {
            bytes = []
            rowStart = 0
        }
        return bytes
    }

    private static func needsQuotes(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "\""), 0x0A, 0x0D: true
        default: false
        }
    }
}
