// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguWard

/// Reads CSV from chunks of bytes: RFC 4180 as files really are.
///
/// Lines end in CRLF, LF or CR, the last one with or without; a field in quotes may hold commas, line ends and doubled
/// quotes; one byte order mark at the start is dropped; empty lines are skipped; `="03"`, which programs write so that a
/// spreadsheet keeps a zero, is 03. The first row is the header and every other has as many fields. Bytes are not
/// interpreted any further: whether they are UTF-8 is for the reader of the rows.
///
/// A row is collected in one buffer that all rows share, without its quotes, so a chunk may end anywhere and nothing is
/// scanned twice or kept.
///
/// - Complexity: one pass, no allocation per field; memory is the longest row.
package struct CSVReader: ~Copyable {
    /// What is done with a row: its fields, valid during the call only, and the file's line that it begins on.
    package typealias RowBody = (_ cells: [UnsafeBufferPointer<UInt8>], _ line: Int) throws -> Void

    private enum State {
        case fieldStart, unquoted, quoted, quoteInQuoted
    }

    private let rowBytesMax: Int
    private var state = State.fieldStart
    /// Bytes of a byte order mark seen so far; 3 when it is over, with or without one.
    private var markBytes = 0
    /// Whether the last byte was a CR, whose LF may come with the next chunk.
    private var afterReturn = false
    private var line = 1
    private var rowLine = 1
    private var quoteLine = 1
    /// The fields of the row that is being read, one behind the other.
    private var row: [UInt8] = []
    /// Where each complete field ends in `row`.
    private var ends: [Int] = []
    private var cells: [UnsafeBufferPointer<UInt8>] = []
    private var fieldCount: Int?

    /// - Parameter rowBytesMax: the longest row that is accepted, so that an unclosed quote cannot fill the memory.
    package init(rowBytesMax: Int = 1 << 20) { self.rowBytesMax = rowBytesMax }

    /// Reads the next bytes of the file and hands over the rows that end in them.
    ///
    /// - Throws: `CSVError`, or what `body` throws; the reader is of no use afterwards.
    package mutating func feed(_ chunk: UnsafeRawBufferPointer, _ body: RowBody) throws {
        let bytes = chunk.bindMemory(to: UInt8.self)
        var index = 0
        while markBytes < 3, index < bytes.count { try skipMark(bytes[index], &index) }
        while index < bytes.count {
            if afterReturn {
                afterReturn = false
                if bytes[index] == .lineFeed {
                    if state == .quoted { row.append(.lineFeed) }
                    index += 1
                    continue
                }
            }
            switch state {
            case .fieldStart where bytes[index] == .quote:
                state = .quoted
                quoteLine = line
                index += 1
            case .fieldStart, .unquoted:
                try readUnquoted(bytes, &index, body)
            case .quoted:
                try readQuoted(bytes, &index)
            case .quoteInQuoted:
                try readAfterQuote(bytes[index], &index, body)
            }
        }
    }

    /// Reads the end of the file: hands over a last row that has no line end.
    ///
    /// - Throws: `CSVError`, or what `body` throws.
    package mutating func finish(_ body: RowBody) throws {
        // A file of one or two bytes that look like the start of a mark.
        if (1...2).contains(markBytes) {
            row.append(contentsOf: [0xEF, 0xBB].prefix(markBytes))
            state = .unquoted
        }
        if state == .quoted { throw CSVError.unterminatedQuote(line: quoteLine) }
        if state != .fieldStart || !ends.isEmpty { try endRow(body) }
    }

    private mutating func skipMark(_ byte: UInt8, _ index: inout Int) throws {
        if markBytes == 0, ForeignEncoding.isMarkOfUTF16(byte) { throw CSVError.utf16 }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        if byte == mark[markBytes] {
            markBytes += 1
            index += 1
        } else {
            // No mark after all: what looked like one is text.
            if markBytes > 0 {
                row.append(contentsOf: mark.prefix(markBytes))
                state = .unquoted
            }
            markBytes = 3
        }
    }

    private mutating func readUnquoted(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ index: inout Int,
        _ body: RowBody
    ) throws {
        let start = index
        // Comma, quote and line ends are at most U+002C; letters, digits and everything Japanese are above.
        while index < bytes.count, bytes[index] > .comma || !bytes[index].isSpecial { index += 1 }
        if index > start {
            try append(UnsafeBufferPointer(rebasing: bytes[start..<index]))
            state = .unquoted
        }
        guard index < bytes.count else { return }
        let byte = bytes[index]
        index += 1
        switch byte {
        case .comma:
            try endField()
        case .quote:
            guard row.count == (ends.last ?? 0) + 1, row.last == UInt8(ascii: "=") else {
                throw CSVError.strayQuote(line: line, field: ends.count + 1)
            }
            row.removeLast()
            state = .quoted
            quoteLine = line
        default:
            try endLine(byte, body)
        }
    }

    private mutating func readQuoted(_ bytes: UnsafeBufferPointer<UInt8>, _ index: inout Int) throws {
        let start = index
        while index < bytes.count, bytes[index] > .quote || !bytes[index].isSpecial { index += 1 }
        try append(UnsafeBufferPointer(rebasing: bytes[start..<index]))
        guard index < bytes.count else { return }
        switch bytes[index] {
        case .quote:
            state = .quoteInQuoted
        case .carriageReturn:
            row.append(.carriageReturn)
            line += 1
            afterReturn = true
        default:
            row.append(.lineFeed)
            line += 1
        }
        index += 1
    }

    private mutating func readAfterQuote(_ byte: UInt8, _ index: inout Int, _ body: RowBody) throws {
        index += 1
        switch byte {
        case .quote:
            row.append(.quote)
            state = .quoted
        case .comma: try endField()
        case .lineFeed, .carriageReturn: try endLine(byte, body)
        default: throw CSVError.textAfterQuote(line: line, field: ends.count + 1)
        }
    }

    private mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        try checkLength(adding: bytes.count)
        row.append(contentsOf: bytes)
    }

    /// Fields count too: a row of commas alone would grow as well.
    private func checkLength(adding count: Int) throws {
        guard row.count + ends.count + count <= rowBytesMax else {
            let isOpen = state == .quoted
            throw CSVError.rowTooLong(line: rowLine, bytesMax: rowBytesMax, quoteLine: isOpen ? quoteLine : nil)
        }
    }

    private mutating func endField() throws {
        try checkLength(adding: 1)
        ends.append(row.count)
        state = .fieldStart
    }

    private mutating func endLine(_ byte: UInt8, _ body: RowBody) throws {
        afterReturn = byte == .carriageReturn
        if state != .fieldStart || !ends.isEmpty { try endRow(body) }
        line += 1
        rowLine = line
    }

    private mutating func endRow(_ body: RowBody) throws {
        try endField()
        let expected = fieldCount ?? ends.count
        guard ends.count == expected else {
            throw CSVError.wrongFieldCount(line: rowLine, found: ends.count, expected: expected)
        }
        fieldCount = expected
        try row.withUnsafeBufferPointer { bytes in
            cells.removeAll(keepingCapacity: true)
            var start = 0
            for end in ends {
                cells.append(UnsafeBufferPointer(rebasing: bytes[start..<end]))
                start = end
            }
            try body(cells, rowLine)
        }
        row.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }
}

extension UInt8 {
    fileprivate static let comma = UInt8(ascii: ",")
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static let lineFeed = UInt8(ascii: "\n")
    fileprivate static let carriageReturn = UInt8(ascii: "\r")

    /// Whether the byte means something outside or inside quotes. (In quotes a comma is never asked about.)
    @inline(__always)
    fileprivate var isSpecial: Bool {
        self == .comma || self == .quote || self == .lineFeed || self == .carriageReturn
    }
}
