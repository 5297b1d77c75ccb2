// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// A `field=value` of the command line, checked by the field's rule.
package struct FieldAssignment: Sendable {
    /// What is to stand in the field.
    enum Content: Sendable {
        /// A member of a register.
        case value(Value)
        /// All members that a set is to have.
        case members([ExactText])
        /// One more entry of a list.
        case entry(ExactText)
    }

    let group: MergeGroup
    let field: Field
    let content: Content

    /// Refuses assignments that empty what a record is never without.
    ///
    /// - Parameter names: the fields.
    static func requireFilled(
        _ names: [String],
        _ assignments: [FieldAssignment],
        _ collection: CollectionSchema,
        record: String
    ) throws {
        for case (let field, .value(.null)) in assignments.map({ ($0.field, $0.content) })
        where names.contains(field.name) {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "\(collection.label)の\(field.label)は空にできません",
                    en: "a \(collection.name) is never without its \(field.name)"
                ),
                record: record,
                hint: Localized(ja: "値を書いてください", en: "give a value")
            )
        }
    }

    /// Reads assignments; a field is named as in the schema or by its Japanese label.
    ///
    /// - Parameter record: what is being changed, for messages.
    /// - Throws: 64 where one has no `=`, 65 with the remedy where field or value is refused.
    package static func parse(
        _ words: [String],
        _ collection: CollectionSchema,
        record: String? = nil
    ) throws -> [FieldAssignment] {
        do {
            return try parse(words, in: collection)
        } catch let error as CommandError {
            // The message names the field; the record is what a person looks for.
            throw CommandError(error.code, error.message, record: record ?? error.record, hint: error.hint)
        }
    }

    private static func parse(_ words: [String], in collection: CollectionSchema) throws -> [FieldAssignment] {
        var out: [FieldAssignment] = []
        for word in words {
            guard let equals = word.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                throw CommandError(
                    .usage,
                    Localized(ja: "「\(word)」は 項目=値 の形ではありません", en: "'\(word)' is not field=value"),
                    hint: Localized(ja: "例: phone=03-1234-5678", en: "for example phone=03-1234-5678")
                )
            }
            let name = ExactText(word[..<equals])
            let assignment = try read(name, String(word[word.utf8.index(after: equals)...]), collection)
            guard !out.contains(where: { $0.field.number == assignment.field.number }) else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "項目 \(name) が二度あります", en: "the field \(name) stands twice"),
                    record: name.string,
                    hint: Localized(ja: "一つにしてください", en: "keep one")
                )
            }
            out.append(assignment)
        }
        return out
    }

    private static func read(_ name: ExactText, _ text: String, _ collection: CollectionSchema) throws
        -> FieldAssignment
    {
        for group in collection.groups {
            for field in group.fields where ExactText(field.name) == name || ExactText(field.label) == name {
                return FieldAssignment(group: group, field: field, content: try content(text, group, field, collection))
            }
        }
        let known = collection.groups.filter { $0.kind != .seats && $0.kind != .flow }.flatMap(\.fields)
        throw CommandError(
            .badInput,
            Localized(ja: "知らない項目です: \(name)", en: "the field '\(name)' is unknown"),
            record: name.string,
            hint: Localized(
                ja: "使える項目: " + known.map { "\($0.name)（\($0.label)）" }.joined(separator: "、"),
                en: "one of: " + known.map(\.name).joined(separator: ", ")
            )
        )
    }

    private static func content(
        _ text: String,
        _ group: MergeGroup,
        _ field: Field,
        _ collection: CollectionSchema
    ) throws -> Content {
        switch group.kind {
        case .latest, .review:
            return .value(try checked(text, field, collection))
        case .set:
            // Comma or semicolon, as people type them; spaces around a member are theirs, not the member's.
            let parts = text.utf8.split { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: ";") }
            var members: [ExactText] = []
            for part in parts {
                let trimmed = part.drop { $0 == 32 }
                let end = trimmed.lastIndex { $0 != 32 }.map { trimmed.index(after: $0) } ?? trimmed.startIndex
                let value = try checked(String(Substring(trimmed[..<end])), field, collection)
                if case .text(let member) = value, !members.contains(member) { members.append(member) }
            }
            return .members(members)
        case .log:
            guard case .text(let entry) = try checked(text, field, collection) else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "\(field.label)が空です", en: "the \(field.name) are empty"),
                    record: field.name,
                    hint: Localized(ja: "文を書いてください", en: "write a text")
                )
            }
            return .entry(entry)
        case .flow, .seats, .counter:
            throw CommandError(
                .badInput,
                Localized(ja: "項目 \(field.name) は直接には変えられません", en: "the field \(field.name) cannot be set"),
                record: field.name,
                hint: Localized(ja: "そのための操作を使ってください", en: "use the command that is made for it")
            )
        }
    }

    private static func checked(_ text: String, _ field: Field, _ collection: CollectionSchema) throws -> Value {
        do throws(RowProblem) {
            return try WardSchema.value(of: text, for: field, in: collection)
        } catch {
            throw CommandError(error)
        }
    }
}

extension CommandError {
    /// What a refused value means for a person.
    init(_ problem: RowProblem, record: String? = nil) {
        self.init(
            .badInput,
            Localized(
                ja: "\(problem.column)「\(problem.shown)」: \(problem.what.ja)",
                en: "\(problem.column) \"\(problem.shown)\": \(problem.what.en)"
            ),
            record: record ?? problem.column,
            hint: Localized(ja: problem.remedy.ja, en: problem.remedy.en)
        )
    }
}

extension Draft {
    /// Writes what assignments change in a record, and nothing else.
    ///
    /// - Returns: the names of the fields that changed.
    func write(
        _ assignments: [FieldAssignment],
        to row: StoredRecord,
        _ transaction: StoreTransaction
    ) throws -> [String] {
        var changed: [String] = []
        let contested = try Set(transaction.conflicts(rid: row.rid).compactMap { $0.group?.number })
        for assignment in assignments {
            let field = assignment.field
            switch assignment.content {
            case .value(let value):
                // While sites differ, the shown value is provisional: typing it is a decision, not a repetition.
                guard value != row.values[field.name] ?? .null || contested.contains(assignment.group.number) else {
                    continue
                }
                try set(row.collection, row.id, [(field.number, value)])
            case .members(let members):
                let wanted = Set(members.map { Array($0.utf8) })
                let present = try Set(transaction.items(of: row.rid, group: assignment.group).map(\.content))
                guard wanted != present else { continue }
                try edit(
                    row.collection,
                    row.id,
                    group: assignment.group,
                    add: Self.sorted(wanted.subtracting(present)),
                    remove: Self.sorted(present.subtracting(wanted))
                )
            case .entry(let text):
                try edit(row.collection, row.id, group: assignment.group, add: [Array(text.utf8)])
            }
            changed.append(field.name)
        }
        return changed
    }

    /// Writes assignments into a new record.
    func create(_ collection: CollectionSchema, _ assignments: [FieldAssignment]) throws -> RecordID {
        var values: [(field: UInt32, value: Value)] = []
        for case (let field, .value(let value)) in assignments.map({ ($0.field, $0.content) }) where value != .null {
            values.append((field.number, value))
        }
        let id = try create(collection, values)
        for assignment in assignments {
            switch assignment.content {
            case .value: continue
            case .members(let members):
                guard !members.isEmpty else { continue }
                try edit(collection, id, group: assignment.group, add: members.map { Array($0.utf8) })
            case .entry(let text):
                try edit(collection, id, group: assignment.group, add: [Array(text.utf8)])
            }
        }
        return id
    }

    private static func sorted(_ elements: Set<[UInt8]>) -> [[UInt8]] {
        elements.sorted { $0.lexicographicallyPrecedes($1) }
    }
}
