// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What acknowledged commands wrote into registers, and what must be seen of it: no value is lost.
///
/// Every write knows by name all that its author had in effect. Nothing here is shared with the engine.
package struct RegisterModel {
    /// A register of a record: a field's name, or `nil` for whether the record lives.
    package struct Place: Hashable {
        package let record: RecordID
        package let field: String?

        package init(_ record: RecordID, _ field: String?) {
            self.record = record
            self.field = field
        }
    }

    private struct Write {
        let dot: Dot
        let value: [UInt8]
        let seen: VersionVector
    }

    private var writes: [Place: [Write]] = [:]

    /// The values by which a record is known to be deleted or to live.
    package static let deleted: [UInt8] = [1]
    package static let alive: [UInt8] = [0]

    package init() {}

    /// The registers that somebody wrote.
    package var places: [Place] { Array(writes.keys) }

    /// Adds what somebody wrote who had `seen` in effect; whoever writes a value says that the record lives.
    package mutating func append(_ dot: Dot, _ record: RecordID, _ values: [String: [UInt8]], seen: VersionVector) {
        for (field, value) in values {
            writes[Place(record, field), default: []].append(Write(dot: dot, value: value, seen: seen))
        }
        appendLife(dot, record, isDeleted: false, seen: seen)
    }

    /// Adds that somebody deleted a record, or brought it back.
    package mutating func appendLife(_ dot: Dot, _ record: RecordID, isDeleted: Bool, seen: VersionVector) {
        let value = isDeleted ? Self.deleted : Self.alive
        writes[Place(record, nil), default: []].append(Write(dot: dot, value: value, seen: seen))
    }

    /// Forgets what went with the only disk that held it.
    package mutating func forget(where isGone: (Dot) -> Bool) {
        writes = writes.mapValues { $0.filter { !isGone($0.dot) } }
    }

    /// All values of a register that stand where `inEffect` is: those that nobody replaced who had seen them.
    package func standing(_ place: Place, in inEffect: VersionVector) -> Set<[UInt8]> {
        let visible = writes[place, default: []].filter { inEffect.covers($0.dot) }
        return Set(visible.filter { write in !visible.contains { $0.seen.covers(write.dot) } }.map(\.value))
    }

    /// All values of a register that were ever written, as far as `inEffect` goes where it is given.
    package func all(_ place: Place, in inEffect: VersionVector?) -> Set<[UInt8]> {
        Set(writes[place, default: []].filter { inEffect?.covers($0.dot) ?? true }.map(\.value))
    }
}
