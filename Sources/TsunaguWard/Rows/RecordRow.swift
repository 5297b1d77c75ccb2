// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What one row of a residents, procedures or lessons file says about its record.
package struct RecordRow: Sendable {
    /// What the file knows the record by: the 宛名番号, the code.
    ///
    /// It stands among `fields` too.
    package var key: ExactText
    /// A lesson's space; `nil` for the files whose collection has one space.
    package var space: SpaceID?
    /// The register fields that the file has columns for, in ascending order.
    ///
    /// An empty cell is `.null`: a new record needs no write for it, an update empties the field.
    package var fields: [(number: UInt32, value: Value)]
    /// The set fields that the file has columns for, ascending, with all members that the set is to have.
    package var sets: [(number: UInt32, members: [ExactText])]
    /// Log fields with an entry to append unless the log holds its bytes already.
    package var entries: [(number: UInt32, text: ExactText)]
    /// Why a lesson does not take place; `nil` for one that does.
    package var cancelled: ExactText?
}
