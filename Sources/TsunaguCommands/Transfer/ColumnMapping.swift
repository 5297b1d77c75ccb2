// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguWard

/// What the columns and values of a foreign file mean here (`Examples/mappings/README.md`).
///
/// It is strict: every column of the file is named, in `columns` or in `ignored`, and every field has one source.
struct ColumnMapping: Sendable {
    /// Where something stands in the mapping file.
    struct Place: Sendable {
        /// From 1.
        let line: Int
        /// As programs that query JSON write it: `columns[3].values["1 実施済"]`.
        let path: String
    }

    /// A column of the foreign file and what becomes of its cells.
    struct Column: Sendable {
        let from: ExactText
        let place: Place
        let targets: [FileColumn]
        let split: Split?
        let values: ValueTable?
    }

    /// How a cell is taken apart.
    struct Split: Sendable {
        /// At least one byte.
        let separator: [UInt8]
        /// Whether parts may be fewer or more than the fields: later fields stay empty, the last takes what is left.
        let fills: Bool
    }

    /// What foreign values mean.
    struct ValueTable: Sendable {
        /// What becomes of a value that the table does not have.
        enum Fallback: Sendable {
            case refuse
            case keep
            case write(ExactText)
        }

        let meanings: [ExactText: ExactText]
        let fallback: Fallback

        /// What a value means; `nil` where the table does not say.
        ///
        /// An empty one stays empty unless the table has it.
        func meaning(of value: ExactText) -> ExactText? {
            if let known = meanings[value] { return known }
            if value.utf8.isEmpty { return value }
            switch fallback {
            case .refuse: return nil
            case .keep: return value
            case .write(let text): return text
            }
        }
    }

    let columns: [Column]
    let ignored: [(name: ExactText, place: Place)]
    let constants: [(target: FileColumn, value: ExactText)]

    /// What a mapping file begins with.
    static let format = "tsunagu-mapping-1"
    /// The longest mapping file.
    static let bytesMax = 1 << 20
}

extension TransferFile {
    /// The columns that such a file may have.
    var columns: [FileColumn] {
        if let records { RecordRowReader.columns(of: records) } else { BookingRowReader.columns }
    }
}
