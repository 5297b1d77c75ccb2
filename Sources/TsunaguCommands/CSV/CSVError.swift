// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguWard

/// Why a file cannot be read as CSV.
///
/// Lines are the file's own, from 1, so that an editor's "go to line" finds them.
package enum CSVError: Error, Hashable, Sendable {
    /// The file begins with the byte order mark of UTF-16.
    case utf16
    /// The file ends inside a quoted field that began on `line`.
    case unterminatedQuote(line: Int)
    /// A quote stands inside a field that does not begin with one.
    case strayQuote(line: Int, field: Int)
    /// Something other than a comma or a line end follows a closing quote.
    case textAfterQuote(line: Int, field: Int)
    /// The row that begins on `line` has another number of fields than the header.
    case wrongFieldCount(line: Int, found: Int, expected: Int)
    /// The row that begins on `line` is longer than a row may be; `quoteLine` is where a field's quote is still open.
    case rowTooLong(line: Int, bytesMax: Int, quoteLine: Int?)

    /// The line that a person should look at.
    package var line: Int {
        switch self {
        case .utf16: 1
        case .unterminatedQuote(let line), .strayQuote(let line, _), .textAfterQuote(let line, _),
            .wrongFieldCount(let line, _, _):
            line
        case .rowTooLong(let line, _, let quoteLine): quoteLine ?? line
        }
    }

    /// The name that programs match.
    package var code: String {
        switch self {
        case .utf16: RowProblem.Code.notUTF8.rawValue
        case .unterminatedQuote: "unterminated_quote"
        case .strayQuote: "stray_quote"
        case .textAfterQuote: "text_after_quote"
        case .wrongFieldCount: "wrong_field_count"
        case .rowTooLong: "row_too_long"
        }
    }

    /// What is wrong.
    package var what: Bilingual {
        switch self {
        case .utf16: ForeignEncoding.utf16.what
        case .unterminatedQuote(let line):
            Bilingual(
                ja: "\(line)行目で始まる引用符が閉じられないままファイルが終わっています",
                en: "the file ends inside the quoted field that begins on line \(line)"
            )
        case .strayQuote(let line, let field):
            Bilingual(
                ja: "\(line)行目の\(field)番目の項目の途中に引用符があります",
                en: "line \(line), field \(field): a quote stands inside an unquoted field"
            )
        case .textAfterQuote(let line, let field):
            Bilingual(
                ja: "\(line)行目の\(field)番目の項目で、閉じた引用符の後に文字があります",
                en: "line \(line), field \(field): text follows the closing quote"
            )
        case .wrongFieldCount(let line, let found, let expected):
            Bilingual(
                ja: "\(line)行目の項目は\(found)個で、見出しの\(expected)個と合いません",
                en: "line \(line) has \(found) fields, the header \(expected)"
            )
        case .rowTooLong(let line, let bytesMax, _):
            Bilingual(
                ja: "\(line)行目で始まる行が上限の\(bytesMax)バイトを超えています",
                en: "the row that begins on line \(line) is longer than \(bytesMax) bytes"
            )
        }
    }

    /// What to do next.
    package var remedy: Bilingual {
        switch self {
        case .utf16: ForeignEncoding.utf16.remedy
        case .unterminatedQuote, .rowTooLong(_, _, .some):
            Bilingual(ja: "\(line)行目の引用符を閉じてください", en: "Close the quote on line \(line)")
        case .strayQuote, .textAfterQuote:
            Bilingual(
                ja: "項目全体を引用符で囲み、中の引用符は二つ重ねてください",
                en: "Quote the whole field and double the quotes in it"
            )
        case .wrongFieldCount:
            Bilingual(
                ja: "コンマを含む項目は引用符で囲み、項目の数をそろえてください",
                en: "Quote fields that hold a comma, and give every row the same number of fields"
            )
        case .rowTooLong(let line, _, nil):
            Bilingual(ja: "\(line)行目を確かめてください", en: "Look at line \(line)")
        }
    }
}
