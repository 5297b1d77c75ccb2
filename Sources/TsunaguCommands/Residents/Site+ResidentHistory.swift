// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// One value that a field ever had.
package struct HistoryEntry: Sendable {
    /// What happened to the value.
    package enum State: String, Sendable {
        /// It is shown.
        case current
        /// Somebody who had seen it replaced it.
        case past
        /// It stood beside another at the same time, and was not shown or not taken.
        case lost
    }

    /// What was written.
    package enum Content: Sendable {
        case value(Value)
        /// Deleted, or brought back.
        case life(deleted: Bool)
    }

    /// The field's name; `deleted` for the record's life.
    package let field: String
    package let label: String
    package let content: Content
    package let author: Authorship
    package let state: State
    /// Why, where the person was asked.
    package let reason: ExactText?
}

extension Site {
    /// Every value that a resident's fields ever had, in causal order.
    package func residentHistory(_ name: String) throws -> [HistoryEntry] {
        try reading(.history) { transaction in
            let places = try Places(transaction)
            let resident = try transaction.resident(name, self)
            let rid = resident.rid
            let live = try Self.members(of: rid, transaction)
            let carried = try transaction.notesBrought(to: resident).map { note in
                HistoryEntry(
                    field: ProtectionGroups.notes.name,
                    label: ProtectionGroups.notes.label,
                    content: .value(.text(note.text)),
                    author: places.authorship(note.person, note.device, note.timestamp),
                    state: .current,
                    reason: nil
                )
            }
            let own = try transaction.history(of: rid).map { row in
                let author = places.authorship(row.header)
                var state = HistoryEntry.State(rawValue: row.state.rawValue)!
                if let field = row.field, let members = live[field.number], case .bytes(let content) = row.value {
                    state = members.contains(Member(dot: row.header.dot, content: content)) ? .current : .past
                }
                guard let field = row.field else {
                    return HistoryEntry(
                        field: "deleted",
                        label: "除票",
                        content: .life(deleted: row.value != .null),
                        author: author,
                        state: state,
                        reason: row.value.text ?? row.header.reason
                    )
                }
                return HistoryEntry(
                    field: field.name,
                    label: field.label,
                    content: .value(Self.readable(row.value)),
                    author: author,
                    state: state,
                    reason: row.header.reason
                )
            }
            return (carried + own, transaction.seen([resident]))
        }
    }

    /// An addition to a set that still stands.
    private struct Member: Hashable {
        let dot: Dot
        let content: [UInt8]
    }

    private static func members(of rid: Int64, _ transaction: StoreTransaction) throws -> [UInt32: Set<Member>] {
        var out: [UInt32: Set<Member>] = [:]
        for group in WardSchema.resident.groups where group.kind == .set {
            let items = try transaction.items(of: rid, group: group)
            out[group.fields[0].number] = Set(items.map { Member(dot: $0.dot, content: $0.content) })
        }
        return out
    }

    /// Members of sets and entries of lists are texts, kept as bytes.
    private static func readable(_ value: Value) -> Value {
        guard case .bytes(let bytes) = value, let text = ExactText(validating: bytes) else { return value }
        return .text(text)
    }
}
