// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A column that a kind of file may have.
package struct FileColumn: Sendable {
    /// The schema's name, in every language.
    package let name: String
    /// The Japanese name that a header may have instead.
    package let label: String
    /// Whether every file has it.
    package let isRequired: Bool
    /// What a cell, or one member of a set, may hold; `nil` where the cell has a form of its own.
    package let rule: CellRule?
    /// Whether a cell lists members, separated by `MemberList.separator`.
    package let isSet: Bool
}
