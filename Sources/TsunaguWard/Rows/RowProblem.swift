// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A sentence in the two languages that people are spoken to in.
package struct Bilingual: Hashable, Sendable {
    /// 日本語.
    package let ja: String
    /// English.
    package let en: String

    /// Joins the two.
    package init(ja: String, en: String) {
        self.ja = ja
        self.en = en
    }
}

/// Why a header or a cell is refused: which column, what stands there, what is wrong with it, what to do about it.
///
/// The file's line belongs to whoever reads the file.
package struct RowProblem: Error, Hashable, Sendable {
    /// The kinds of refusal; programs match these.
    package enum Code: String, Sendable, CaseIterable {
        // The header.
        case unknownColumn = "unknown_column"
        case duplicateColumn = "duplicate_column"
        case missingColumn = "missing_column"
        // Any cell.
        case notUTF8 = "not_utf8"
        case controlCharacter = "control_character"
        case tooLong = "too_long"
        case empty = "empty"
        // Cells of a kind.
        case exponentForm = "exponent_form"
        case notDigits = "not_digits"
        case notCode = "not_code"
        case lostZero = "lost_zero"
        case postalCode = "postal_code"
        case date = "date"
        case dateInAddress = "date_in_address"
        case time = "time"
        case deadline = "deadline"
        case notNumber = "not_number"
        case outOfRange = "out_of_range"
        case notInList = "not_in_list"
        case spaceName = "space_name"
        // A booking's person.
        case personMissing = "person_missing"
        case personTwice = "person_twice"
    }

    /// The column as the file's header has it, or the field's name.
    package let column: String
    /// Which kind of refusal.
    package let code: Code
    /// The value, cut and with invisible bytes spelt out: safe on a terminal.
    package let shown: String
    /// What is wrong.
    package let what: Bilingual
    /// What to do next.
    package let remedy: Bilingual

    /// Joins the parts; `value` is made safe to show.
    package init(
        _ code: Code,
        column: String,
        value: some Sequence<UInt8>,
        what: Bilingual,
        remedy: Bilingual
    ) {
        self.column = column
        self.code = code
        self.shown = RowProblem.safe(value)
        self.what = what
        self.remedy = remedy
    }

    /// The first cell of a header that is no text: then every column would be unknown, for one reason.
    package static func notUTF8(in header: [UnsafeBufferPointer<UInt8>]) -> RowProblem? {
        header.first { String(validating: $0, as: UTF8.self) == nil }.map { cell in
            CellProblems(column: safe(cell), bytes: cell).notUTF8
        }
    }

    /// A last day to book that is after its lesson.
    package static func late(deadline text: String) -> RowProblem {
        var text = text
        return text.withUTF8 { CellProblems(column: "deadline", bytes: $0).deadline }
    }

    /// One line for people: `電話「9012345678」: …`.
    package var sentence: Bilingual {
        Bilingual(
            ja: "\(column)「\(shown)」: \(what.ja)。\(remedy.ja)。",
            en: "\(column) \"\(shown)\": \(what.en). \(remedy.en)."
        )
    }

    /// The first 40 characters of a value with invisible and invalid bytes as `\x..` and `\u{...}`, so that a hostile cell
    /// can neither steer a terminal nor hide what it holds.
    package static func safe(_ bytes: some Sequence<UInt8>) -> String {
        let head = Array(bytes.prefix(200))
        var out = ""
        var shown = 0
        var index = 0
        while index < head.count {
            guard shown < 40 else { return out + "…" }
            shown += 1
            guard let (scalar, length) = scalar(in: head, at: index) else {
                // A sequence that the cut at 200 bytes split is no fault of the value.
                if head.count == 200, index > 196 { return out + "…" }
                out += "\\x" + hexadecimal(UInt32(head[index]))
                index += 1
                continue
            }
            index += length
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned, .surrogate:
                out += "\\u{" + hexadecimal(scalar.value) + "}"
            default:
                out.unicodeScalars.append(scalar)
            }
        }
        return head.count == 200 ? out + "…" : out
    }

    private static func scalar(in bytes: [UInt8], at index: Int) -> (Unicode.Scalar, Int)? {
        var decoder = Unicode.UTF8()
        var iterator = bytes[index...].makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
        return (scalar, String(scalar).utf8.count)
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return digits.utf8.count < 2 ? "0" + digits : digits
    }
}
