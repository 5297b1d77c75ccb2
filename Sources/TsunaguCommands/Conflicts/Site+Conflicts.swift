// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore

/// How a conflict is decided.
package enum Decision: Sendable {
    /// The value of this number.
    case take(Int)
    /// Other values, `field=value`; members that are not named keep what is shown.
    case set([String])
}

extension Site {
    /// The inbox: conflicts, then findings, then what is quarantined.
    ///
    /// - Parameters:
    ///   - kind: one kind alone.
    ///   - site: only what this site had a part in, by its name.
    ///   - source: only what an import from this source had a part in.
    package func cases(_ kind: Case.Kind? = nil, site: String? = nil, source: String? = nil) throws -> [Case] {
        try reading(.conflict) { transaction in
            let places = try Places(transaction)
            var out: [Case] = []
            if kind == nil || kind == .conflict {
                out += try transaction.conflicts().compactMap { try transaction.openCase($0, places) }
            }
            if kind == nil || kind == .finding {
                out += try transaction.findings() + transaction.pendingCases(places, self)
            }
            if kind == nil || kind == .quarantine { out += try transaction.quarantineCases(places) }
            if let site = site.map({ ExactText($0) }) {
                out.removeAll { !$0.values.contains { $0.author.site == site } }
            }
            if let source = source.map({ ExactText($0) }) {
                out.removeAll { !$0.values.contains { $0.source == source } }
            }
            return try transaction.shownCases(out, self)
        }
    }

    /// One case by its id.
    package func openCase(_ id: String) throws -> Case {
        try reading(.conflict) { transaction in
            let places = try Places(transaction)
            let found = try transaction.conflicts(id: id).first.flatMap { try transaction.openCase($0, places) }
            let others =
                try found.map { [$0] }
                ?? transaction.findings() + transaction.pendingCases(places, self)
                + transaction.quarantineCases(places, telling: id)
            let named = others.filter { $0.id.utf8.elementsEqual(id.utf8) }
            let (shown, seen) = try transaction.shownCases(named, self)
            guard var open = shown.first else { throw Self.notOpen(id) }
            open.names = try transaction.names(of: open.records)
            return (open, seen)
        }
    }

    /// Decides a conflict for everybody: all members of the group are written, with the reason.
    ///
    /// - Throws: 75 where the conflict is not open any more as it was seen.
    package func resolve(_ id: String, _ decision: Decision, reason: String) throws -> RecordID {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            if let record = try transaction.decidePending(id, decision, reason: reason, by: self) { return record }
            guard let conflict = try transaction.conflicts(id: id).first,
                let name = try transaction.recordName(conflict.rid),
                let collection = transaction.schema.collection(name.collection)
            else { throw try transaction.undecidable(id) ?? Self.notOpen(id) }
            try decide(conflict, name.space, collection, name.id, decision, reason: reason, transaction)
            // Seats follow the capacity that was decided, and who books what.
            try transaction.settleSeats(in: [name.space], by: self)
            return name.id
        }
    }

    /// Decides for everybody all open conflicts of some kind in which an import from a source has a value: that is taken, of
    /// several the latest.
    ///
    /// - Parameter isDry: whether to tell only what would be decided.
    /// - Returns: the conflicts, each with the number of the value taken.
    package func resolveAll(
        _ filters: [CaseFilter],
        takingFrom source: String,
        reason: String,
        isDry: Bool = false
    ) throws -> [(open: Case, n: Int)] {
        let reason = try Self.checkedReason(reason)
        let source = ExactText(source)
        let shown = Set(try cases(.conflict).map(\.id))
        func decideAll(_ transaction: StoreTransaction) throws -> [(open: Case, n: Int)] {
            let places = try Places(transaction)
            var out: [(open: Case, n: Int)] = []
            for conflict in try transaction.conflicts() where shown.contains(conflict.id) {
                guard let open = try transaction.openCase(conflict, places), filters.allSatisfy({ $0.matches(open) }),
                    let value = open.values.last(where: { $0.source == source }), let collection = open.collection
                else { continue }
                out.append((open, value.n))
                if isDry { continue }
                try decide(
                    conflict,
                    open.space,
                    collection,
                    open.records[0],
                    .take(value.n),
                    reason: reason,
                    transaction
                )
                // A change holds so many records and no more.
                if out.count.isMultiple(of: Self.decisionsOfChange) { try transaction.flushDrafts() }
            }
            if !isDry { try transaction.settleSeats(in: Set(out.map(\.open.space)), by: self) }
            return out
        }
        return try isDry ? read(decideAll) : write(decideAll)
    }

    private static let decisionsOfChange = 256

    private func decide(
        _ conflict: StoreTransaction.ConflictRow,
        _ space: SpaceID,
        _ collection: CollectionSchema,
        _ record: RecordID,
        _ decision: Decision,
        reason: ExactText,
        _ transaction: StoreTransaction
    ) throws {
        try transaction.requireWrite(self, space)
        let draft = try transaction.draft(space, by: person)
        draft.reason = reason
        if let group = conflict.group, group.kind == .flow {
            let state = try Self.alternative(decision, conflict).values[0].value.text ?? FlowMachine.initial
            try draft.step(collection, record, group: group, to: state, reason: reason)
        } else if let group = conflict.group {
            try draft.set(collection, record, try Self.values(decision, conflict, group, collection))
        } else if try Self.alternative(decision, conflict).deleted {
            try draft.delete(collection, record, reason: reason)
        } else {
            try draft.revive(collection, record)
        }
    }

    private static func values(
        _ decision: Decision,
        _ conflict: StoreTransaction.ConflictRow,
        _ group: MergeGroup,
        _ collection: CollectionSchema
    ) throws -> [(field: UInt32, value: Value)] {
        guard case .set(let words) = decision else {
            return try alternative(decision, conflict).values.map { ($0.field.number, $0.value) }
        }
        let assignments = try FieldAssignment.parse(words, collection)
        var values = conflict.alternatives[conflict.shown].values
        for assignment in assignments {
            guard let place = values.firstIndex(where: { $0.field.number == assignment.field.number }),
                case .value(let value) = assignment.content
            else {
                throw CommandError(
                    .badInput,
                    Localized(
                        ja: "項目 \(assignment.field.name) はこの競合に含まれません",
                        en: "the field \(assignment.field.name) is not part of this conflict"
                    ),
                    record: assignment.field.name,
                    hint: Localized(
                        ja: "使える項目: " + group.fields.map(\.name).joined(separator: "、"),
                        en: "one of: " + group.fields.map(\.name).joined(separator: ", ")
                    )
                )
            }
            values[place].value = value
        }
        return values.map { ($0.field.number, $0.value) }
    }

    private static func alternative(
        _ decision: Decision,
        _ conflict: StoreTransaction.ConflictRow
    ) throws -> StoreTransaction.Alternative {
        guard case .take(let n) = decision else {
            throw CommandError(
                .usage,
                Localized(
                    ja: "削除と編集、状態の競合には --take を使います",
                    en: "an edit against a deletion, and a status, are decided with --take"
                )
            )
        }
        guard conflict.alternatives.indices.contains(n - 1) else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "値 \(n) はありません（1〜\(conflict.alternatives.count)）",
                    en: "there is no value \(n) (1 to \(conflict.alternatives.count))"
                ),
                record: conflict.id,
                hint: Localized(ja: "tsunagu conflict show で確かめてください", en: "look at 'tsunagu conflict show'")
            )
        }
        return conflict.alternatives[n - 1]
    }

    /// What looks like a conflict's id was one, here or elsewhere, before somebody decided or wrote again.
    static func notOpen(_ id: String) -> CommandError {
        let isID = id.utf8.count == 12 && id.utf8.allSatisfy { 97...122 ~= $0 || 50...55 ~= $0 }
        return CommandError(
            isID ? .tryAgain : .notFound,
            Localized(
                ja: isID ? "競合 \(id) はもう開いていません" : "競合の id ではありません: \(id)",
                en: isID ? "the conflict \(id) is not open any more" : "'\(id)' is no conflict's id"
            ),
            record: id,
            hint: Localized(
                ja: "tsunagu conflict list で今の競合を確かめてください",
                en: "look at 'tsunagu conflict list' and decide again"
            )
        )
    }
}
