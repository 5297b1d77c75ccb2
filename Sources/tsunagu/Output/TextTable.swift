// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Columns that stand under each other, with full-width characters counted as two.
struct TextTable {
    private var rows: [[String]]

    init(_ header: [String]) { rows = [header] }

    mutating func row(_ cells: [String]) { rows.append(cells.map(Self.oneLine)) }

    var isEmpty: Bool { rows.count == 1 }

    var text: String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? Self.width($0[column]) : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column + 1 < row.count {
                    line += String(repeating: " ", count: widths[column] - Self.width(cell) + 2)
                }
            }
            while line.utf8.last == 32 { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    private static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 32 }) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 ? " " : $0 }))
    }

    /// Columns of a terminal: two for East Asian wide characters, none for marks that stand on another.
    static func width(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + width($1) }
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x300...0x36F, 0x200B...0x200F, 0x3099...0x309A, 0xFE00...0xFE0F, 0xE0100...0xE01EF: 0
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD, 0x100000...0x10FFFD:
            2
        default: 1
        }
    }
}
