// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// People whom the office erases for good while others write of them, and what must not be left of them.
///
/// Nothing here is shared with the engine: who knows of an erasure is read off the changes that said it.
struct ErasablePeople {
    struct Person {
        let record: RecordID
        let name: String
        /// The change that wrote of the person first.
        let began: Dot
        /// All that anybody wrote of the person, or tried to; each occurs nowhere else.
        var values: Set<String>
        /// The changes that erased the person, each at its office.
        var receipts: [Dot] = []
        /// Whether somebody tried to, whatever came of it.
        var isEnding = false
    }

    static let peopleMax = 6

    var people: [Person] = []

    var records: Set<RecordID> { Set(people.map(\.record)) }

    var receipts: [Dot] { people.flatMap(\.receipts) }
}
