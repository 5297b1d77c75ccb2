// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// Why a header is refused: everything that is wrong with it, so that it can be mended at once.
package struct HeaderRefusal: Error {
    /// At least one.
    package let problems: [RowProblem]
}

/// The first row of a file, matched against the columns that its kind of file may have.
struct Header {
    /// A column that a file may have, under either name.
    struct Column {
        let name: String
        let label: String
        let isRequired: Bool
    }

    /// The header's own words, for messages.
    let words: [String]
    /// For every known column, where it stands in the file.
    let places: [Int?]

    /// Finds each known column by its schema name or its Japanese label.
    ///
    /// - Throws: every column that is unknown, stands twice or is missing.
    init(_ cells: [UnsafeBufferPointer<UInt8>], known: [Column]) throws(HeaderRefusal) {
        var places = [Int?](repeating: nil, count: known.count)
        var unknown: [UnsafeBufferPointer<UInt8>] = []
        var problems: [RowProblem] = []
        for (place, cell) in cells.enumerated() {
            let match = known.firstIndex { $0.name.utf8.elementsEqual(cell) || $0.label.utf8.elementsEqual(cell) }
            guard let match else {
                unknown.append(cell)
                continue
            }
            if places[match] == nil {
                places[match] = place
            } else {
                problems.append(Self.duplicate(cell, known[match]))
            }
        }
        let free = zip(known, places).filter { $0.1 == nil }.map(\.0)
        problems += unknown.enumerated().map { Self.unknown($1, $0 == 0 ? free : []) }
        problems += free.filter(\.isRequired).map(Self.missing)
        guard problems.isEmpty else { throw HeaderRefusal(problems: problems) }
        self.words = cells.map { RowProblem.safe($0) }
        self.places = places
    }

    /// - Parameter free: the columns that the file may have besides; said of one unknown column and not of each.
    private static func unknown(_ cell: UnsafeBufferPointer<UInt8>, _ free: [Column]) -> RowProblem {
        let names = free.isEmpty ? "" : ". Columns are: " + free.map(\.name).joined(separator: ", ")
        let labels = free.isEmpty ? "" : "。列の名前: " + free.map(\.label).joined(separator: "、")
        return RowProblem(
            .unknownColumn,
            column: RowProblem.safe(cell),
            value: cell,
            what: Bilingual(ja: "知らない列です", en: "this column is unknown"),
            remedy: Bilingual(
                ja: "消すか、名前を改めるか、--mapping で読み替えてください（例: Examples/mappings）\(labels)",
                en: "Remove it, rename it or map it with --mapping (see Examples/mappings)\(names)"
            )
        )
    }

    private static func duplicate(_ cell: UnsafeBufferPointer<UInt8>, _ column: Column) -> RowProblem {
        RowProblem(
            .duplicateColumn,
            column: RowProblem.safe(cell),
            value: cell,
            what: Bilingual(
                ja: "同じ列（\(column.name)、\(column.label)）が二つあります",
                en: "the column \(column.name) (\(column.label)) stands twice"
            ),
            remedy: Bilingual(ja: "一つだけ残してください", en: "Keep one of them")
        )
    }

    private static func missing(_ column: Column) -> RowProblem {
        RowProblem(
            .missingColumn,
            column: column.name,
            value: [],
            what: Bilingual(
                ja: "必要な列 \(column.name)（\(column.label)）がありません",
                en: "the required column \(column.name) (\(column.label)) is missing"
            ),
            remedy: Bilingual(ja: "この列を加えてください", en: "Add this column")
        )
    }
}
