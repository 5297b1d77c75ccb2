// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguWard

/// One fault of a file, where an editor's "go to line" finds it.
package struct ImportProblem: Sendable {
    /// The file's line, from 1, on which the row begins.
    package let line: Int
    /// The name that programs match.
    package let code: String
    /// The column as the file's header has it; `nil` where the fault is the row's or the file's.
    package let column: String?
    /// The value, safe on a terminal.
    package let value: String?
    package let message: Localized
    package let hint: Localized

    init(line: Int, code: String, column: String? = nil, value: String? = nil, _ message: Localized, hint: Localized) {
        self.line = line
        self.code = code
        self.column = column
        self.value = value
        self.message = message
        self.hint = hint
    }

    /// The same under the name that a foreign file has for the column.
    func naming(_ column: String) -> ImportProblem {
        ImportProblem(line: line, code: code, column: column, value: value, message, hint: hint)
    }

    init(line: Int, _ problem: RowProblem) {
        self.init(
            line: line,
            code: problem.code.rawValue,
            column: problem.column,
            value: problem.shown,
            Localized(ja: problem.what.ja, en: problem.what.en),
            hint: Localized(ja: problem.remedy.ja, en: problem.remedy.en)
        )
    }

    init(_ error: CSVError) {
        self.init(
            line: error.line,
            code: error.code,
            Localized(ja: error.what.ja, en: error.what.en),
            hint: Localized(ja: error.remedy.ja, en: error.remedy.en)
        )
    }
}

/// A file that was refused: nothing of it was applied.
package struct ImportFailure: Error, Sendable {
    package let file: String
    package let problems: [ImportProblem]
    /// Whether reading ended here because there were so many.
    package let isCut: Bool

    /// Problems listed at most: whoever has a hundred to mend starts there.
    static let problemsMax = 100
}

extension ImportFailure {
    /// The first faults of a file that was read to its end.
    init(file: String, problems: [ImportProblem]) {
        let first = Array(problems.prefix(Self.problemsMax))
        self.init(file: file, problems: first, isCut: first.count < problems.count)
    }
}

/// What an import came to.
package struct ImportCounts: Sendable {
    package var rows = 0
    package var created = 0
    package var updated = 0
    package var unchanged = 0
}
