// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

/// People whom the office protects and releases while others write of them, and what must be seen of them.
///
/// Nothing here is shared with the engine: who knows of what is read off the changes that said it.
struct GuardedPeople {
    /// What the office did to a whole person: the one place where such acts are listed.
    struct Act {
        let isProtecting: Bool
        /// Its last change in `residents`, and in `residents/protected`.
        let ordinary: Dot
        let hidden: Dot
        /// The ordinary records that it erased.
        let erased: Set<RecordID>
        /// The acts that whoever did it knew of, by number.
        let seen: Set<Int>
    }

    /// A value that occurs once, with the change that wrote it.
    struct Write {
        let dot: Dot
        let space: SpaceID
        let value: String
    }

    struct Person {
        let name: String
        let number: String
        /// The change that wrote of the person first.
        let began: Dot
        /// Whether that went with the only disk that held it.
        var isGone = false
        /// The ordinary records that the person ever had.
        var records: Set<RecordID> = []
        /// The record in `residents/protected`.
        var hidden: RecordID?
        var acts: [Act] = []
        var writes: [Write] = []
        /// Values that somebody replaced who saw them, or may have.
        var replaced: Set<String> = []

        /// The acts known where so much of `residents` is in effect.
        func acts(in residents: VersionVector) -> Set<Int> {
            Set(acts.indices.filter { residents.covers(acts[$0].ordinary) })
        }

        /// Whether a protection stands by some acts: one that no release had seen.
        func isProtected(by known: Set<Int>) -> Bool {
            known.contains { act in
                acts[act].isProtecting && !known.contains { !acts[$0].isProtecting && acts[$0].seen.contains(act) }
            }
        }

        /// The records that must not be seen any more, whatever came since.
        func erased(by known: Set<Int>) -> Set<RecordID> {
            known.reduce(into: []) { $0.formUnion(acts[$1].erased) }
        }
    }

    static let names = ["隠岐", "壱岐", "讃岐"]

    var people: [Person] = []

    /// All records that the model knows.
    var records: Set<RecordID> {
        people.reduce(into: []) { $0.formUnion($1.records.union($1.hidden.map { [$0] } ?? [])) }
    }

    /// Forgets what went with the only disk that held it.
    mutating func forget(where isGone: (Dot, SpaceID) -> Bool) {
        for index in people.indices {
            people[index].writes.removeAll { isGone($0.dot, $0.space) }
            if isGone(people[index].began, .residents) { people[index].isGone = true }
        }
    }
}
