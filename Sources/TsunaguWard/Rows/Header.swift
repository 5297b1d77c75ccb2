// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

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
    /// - Throws: the first column that is unknown, stands twice or is missing.
    init(_ cells: [UnsafeBufferPointer<UInt8>], known: [Column]) throws(RowProblem) {
        var places = [Int?](repeating: nil, count: known.count)
        for (place, cell) in cells.enumerated() {
            let match = known.firstIndex { $0.name.utf8.elementsEqual(cell) || $0.label.utf8.elementsEqual(cell) }
            guard let match else { throw Header.unknown(cell, known) }
            guard places[match] == nil else { throw Header.duplicate(cell, known[match]) }
            places[match] = place
        }
        for (column, place) in zip(known, places) where column.isRequired && place == nil {
            throw Header.missing(column)
        }
        self.words = cells.map { RowProblem.safe($0) }
        self.places = places
    }

    private static func unknown(_ cell: UnsafeBufferPointer<UInt8>, _ known: [Column]) -> RowProblem {
        let names = known.map(\.name).joined(separator: ", ")
        let labels = known.map(\.label).joined(separator: "、")
        return RowProblem(
            .unknownColumn,
            column: RowProblem.safe(cell),
            value: cell,
            what: Bilingual(ja: "知らない列です", en: "this column is unknown"),
            remedy: Bilingual(
                ja: "列を消すか、次のどれかに改めてください: \(labels)",
                en: "Remove the column or name it one of: \(names)"
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
