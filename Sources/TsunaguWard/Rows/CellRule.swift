// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What may stand in a field, and how it is stored.
///
/// Text is stored as typed; only where the domain fixes the stored form (postal codes without a hyphen) does a rule
/// change it.
///
/// An empty cell is `.null` under every rule: emptied by a person.
package enum CellRule: Sendable, Hashable {
    /// One line of text.
    case text
    /// Text of several lines.
    case longText
    /// An address: one line that a spreadsheet did not turn into a date.
    case address
    /// A phone number as typed, unless a spreadsheet took its first zero.
    case phone
    /// An identifier of ASCII digits, as long as the range says.
    case digits(ClosedRange<Int>)
    /// An identifier of ASCII letters, digits, hyphens, underscores and full stops.
    case code
    /// Seven digits, a hyphen after the third dropped.
    case postalCode
    /// A register date: text as written. What looks like `1950-04-01` must be a day, 29 February of any year included.
    case registerDate
    /// A real day, `2026-12-01`.
    case day
    /// A time of day, `09:30`.
    case clock
    /// A whole number.
    case integer(ClosedRange<Int64>)
    /// One of a few words.
    case choice([String])

    /// The longest text of one line, in bytes.
    package static let lineBytesMax = 4096
    /// The longest text of several lines, in bytes.
    package static let textBytesMax = 100_000

    /// The stored value of a cell.
    ///
    /// - Throws: what is wrong with it, under the column's name.
    package func read(_ bytes: UnsafeBufferPointer<UInt8>, column: String) throws(RowProblem) -> Value {
        let bytes = CellRule.withoutSpreadsheetQuotes(bytes)
        if bytes.isEmpty { return .null }
        let problem = CellProblems(column: column, bytes: bytes)
        if bytes.count > bytesMax { throw problem.tooLong(max: bytesMax) }
        switch self {
        case .text, .longText:
            break
        case .address:
            if CellRule.looksLikeSpreadsheetDate(bytes) { throw problem.dateInAddress }
        case .phone:
            try CellRule.checkExponent(bytes, problem)
            let digits = bytes.filter { 48...57 ~= $0 }
            // Without its first zero a number has nine digits (fixed line) or ten (mobile), and nothing else.
            if digits.count == bytes.count, (9...10).contains(digits.count), digits[0] != 48 {
                throw problem.lostZero
            }
        case .digits(let length):
            try CellRule.checkExponent(bytes, problem)
            guard bytes.allSatisfy({ 48...57 ~= $0 }), length.contains(bytes.count) else {
                throw problem.notDigits(length)
            }
        case .code:
            try CellRule.checkExponent(bytes, problem)
            guard bytes.count <= 64, bytes.allSatisfy(CellRule.isCodeByte) else { throw problem.notCode }
        case .postalCode:
            return try CellRule.postalCode(bytes, problem)
        case .registerDate:
            try CellRule.checkExponent(bytes, problem)
            if Day.parts(iso: bytes) != nil, Day(register: bytes) == nil { throw problem.date }
        case .day:
            guard Day(iso: bytes) != nil else { throw problem.date }
        case .clock:
            guard LessonTime.minutes(bytes) != nil else { throw problem.time }
        case .integer(let range):
            return .integer(try CellRule.integer(bytes, in: range, problem))
        case .choice(let words):
            guard words.contains(where: { $0.utf8.elementsEqual(bytes) }) else { throw problem.notInList(words) }
        }
        return .text(try exactText(bytes, problem))
    }

    /// The stored value of a text that a person typed; `nil` text is `.null`.
    package func read(_ text: String, column: String) throws(RowProblem) -> Value {
        var text = text
        let result = text.withUTF8 { bytes in
            Result { () throws(RowProblem) in try read(bytes, column: column) }
        }
        return try result.get()
    }

    private var isLong: Bool { if case .longText = self { true } else { false } }

    private var bytesMax: Int { isLong ? CellRule.textBytesMax : CellRule.lineBytesMax }

    private func exactText(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ problem: CellProblems
    ) throws(RowProblem) -> ExactText {
        if let control = CellRule.firstControl(in: bytes, linesAllowed: isLong) {
            throw problem.controlCharacter(control)
        }
        // Decoding repairs what is no UTF-8, so a difference tells. Cheaper than `String(validating:as:)`, whose generic
        // path costs as much as the whole cell.
        let string = String(decoding: bytes, as: UTF8.self)
        guard string.utf8.elementsEqual(bytes) else { throw problem.notUTF8 }
        return ExactText(stringLiteral: string)
    }

    /// The first control character (C0, DEL, C1); a text of several lines may have line ends and tabs.
    private static func firstControl(in bytes: UnsafeBufferPointer<UInt8>, linesAllowed: Bool) -> UInt8? {
        var previous: UInt8 = 0
        for byte in bytes {
            if byte < 32 || byte == 127 {
                guard linesAllowed, byte == 9 || byte == 10 || byte == 13 else { return byte }
            } else if previous == 0xC2, byte < 0xA0 {
                return byte
            }
            previous = byte
        }
        return nil
    }

    private static func isCodeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: false
        }
    }

    /// `="03"`, which programs write so that a spreadsheet keeps the zero, is 03.
    private static func withoutSpreadsheetQuotes(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        guard bytes.count >= 3, bytes[0] == UInt8(ascii: "="), bytes[1] == UInt8(ascii: "\""),
            bytes[bytes.count - 1] == UInt8(ascii: "\"")
        else { return bytes }
        return UnsafeBufferPointer(rebasing: bytes[2..<max(2, bytes.count - 1)])
    }

    /// `1.00E+12`: what a spreadsheet makes of a long identifier; its last digits are lost.
    private static func checkExponent(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ problem: CellProblems
    ) throws(RowProblem) {
        var index = 0
        func digits() -> Int {
            let start = index
            while index < bytes.count, 48...57 ~= bytes[index] { index += 1 }
            return index - start
        }
        guard digits() > 0 else { return }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard digits() > 0 else { return }
        }
        guard index < bytes.count, bytes[index] | 32 == UInt8(ascii: "e") else { return }
        index += 1
        guard index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") else {
            return
        }
        index += 1
        if digits() > 0, index == bytes.count { throw problem.exponentForm }
    }

    /// `2001/2/3`: what a spreadsheet makes of the address 1-2-3.
    private static func looksLikeSpreadsheetDate(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let parts = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        return parts.count == 3 && parts[0].count == 4 && (1...2).contains(parts[1].count)
            && (1...2).contains(parts[2].count) && parts.joined().allSatisfy { 48...57 ~= $0 }
    }

    private static func postalCode(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ problem: CellProblems
    ) throws(RowProblem) -> Value {
        try checkExponent(bytes, problem)
        var digits = Array(bytes)
        if digits.count == 8, digits[3] == UInt8(ascii: "-") { digits.remove(at: 3) }
        guard digits.allSatisfy({ 48...57 ~= $0 }) else { throw problem.postalCode }
        if digits.count == 6, bytes.count == 6 { throw problem.lostZero }
        guard digits.count == 7 else { throw problem.postalCode }
        return .text(String(decoding: digits, as: UTF8.self))
    }

    private static func integer(
        _ bytes: UnsafeBufferPointer<UInt8>,
        in range: ClosedRange<Int64>,
        _ problem: CellProblems
    ) throws(RowProblem) -> Int64 {
        guard bytes.count <= 18, bytes.allSatisfy({ 48...57 ~= $0 }) else { throw problem.notNumber(range) }
        let number = bytes.reduce(Int64(0)) { $0 * 10 + Int64($1 - 48) }
        guard range.contains(number) else { throw problem.outOfRange(range) }
        return number
    }
}
