// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguWard

/// Reads a mapping file and collects what is wrong with it.
struct MappingReader {
    private typealias Place = ColumnMapping.Place

    private let kind: TransferFile
    private var problems: [ImportProblem] = []
    /// Where each field's source stands.
    private var sources: [String: Place] = [:]

    /// Reads a mapping for one kind of file.
    ///
    /// - Throws: everything that is wrong with it.
    static func read(_ bytes: [UInt8], for kind: TransferFile) throws(Faults) -> ColumnMapping {
        if let encoding = ForeignEncoding(of: bytes) { throw Faults(problems: [.foreign(encoding, bytes)]) }
        let root: JSONNode
        do throws(JSONNode.SyntaxError) {
            root = try JSONNode(parsing: bytes)
        } catch {
            throw Faults(problems: [.noJSON(error)])
        }
        var reader = MappingReader(kind: kind)
        let mapping = reader.mapping(root)
        guard reader.problems.isEmpty else { throw Faults(problems: reader.problems) }
        return mapping
    }

    /// What is wrong with a mapping.
    struct Faults: Error {
        let problems: [ImportProblem]
    }

    private init(kind: TransferFile) { self.kind = kind }

    // MARK: - The parts of a mapping

    private mutating func mapping(_ root: JSONNode) -> ColumnMapping {
        let top = Place(line: root.line, path: ".")
        let keys = ["format", "kind", "description", "columns", "constants", "ignore"]
        guard case .object = root.content else {
            report(.noMapping(top, kind))
            return ColumnMapping(columns: [], ignored: [], constants: [])
        }
        let members = object(root, top, keys: keys, required: ["format", "kind", "columns"])
        for (key, expected) in [("format", ColumnMapping.format), ("kind", kind.rawValue)] {
            guard let member = members[key], let text = text(member), text != ExactText(expected) else { continue }
            report(.other(key, member.place, text, expected: expected))
            // Nothing in it can be judged by the rules of another kind or format.
            return ColumnMapping(columns: [], ignored: [], constants: [])
        }
        if let description = members["description"] { _ = text(description) }
        let columns = members["columns"].map { list($0).map { readColumn($0) } } ?? []
        let constants = members["constants"].map { readConstants($0) } ?? []
        var ignored: [(name: ExactText, place: Place)] = []
        for name in members["ignore"].map({ list($0) }) ?? [] {
            guard let text = text(name) else { continue }
            if ignored.contains(where: { $0.name == text }) || columns.contains(where: { $0?.from == text }) {
                report(.namedTwice(name.place, text))
            }
            ignored.append((text, name.place))
        }
        // What is missing is worth saying only where the rest could be read.
        if problems.isEmpty, let place = members["columns"]?.place {
            for column in kind.columns where column.isRequired && sources[column.name] == nil {
                report(.withoutSource(place, column))
            }
        }
        return ColumnMapping(columns: columns.compactMap(\.self), ignored: ignored, constants: constants)
    }

    private mutating func readColumn(_ node: Located) -> ColumnMapping.Column? {
        let keys = ["from", "to", "separator", "uneven", "values", "default", "keep_others", "description"]
        let members = object(node.value, node.place, keys: keys, required: ["from", "to"])
        if let description = members["description"] { _ = text(description) }
        guard let from = members["from"].flatMap({ text($0) }), let to = members["to"] else { return nil }
        let targets = readTargets(to)
        let split = readSplit(members, targets)
        let values = readValues(members, targets)
        return ColumnMapping.Column(from: from, place: node.place, targets: targets, split: split, values: values)
    }

    private mutating func readTargets(_ node: Located) -> [FileColumn] {
        if case .array = node.value.content {
            let names = list(node)
            if names.isEmpty { report(.wrongType(node.place, expected: Self.fieldNames)) }
            return names.compactMap { target($0) }
        }
        return target(node).map { [$0] } ?? []
    }

    private mutating func target(_ node: Located) -> FileColumn? {
        text(node).flatMap { field($0, node.place) }
    }

    /// The field of a name or label, which this is the only source of.
    private mutating func field(_ name: ExactText, _ place: Place) -> FileColumn? {
        let found = kind.columns.first { ExactText($0.name) == name || ExactText($0.label) == name }
        guard let found else {
            report(.unknownField(place, name, kind.columns))
            return nil
        }
        if let first = sources.updateValue(place, forKey: found.name) {
            report(.twoSources(place, found, first: first))
        }
        return found
    }

    private mutating func readSplit(_ members: [String: Located], _ targets: [FileColumn]) -> ColumnMapping.Split? {
        let several = targets.count > 1
        var fills = false
        if let uneven = members["uneven"], let text = text(uneven) {
            fills = text == "fill"
            if !fills { report(.other("uneven", uneven.place, text, expected: "fill")) }
            if !several { report(.useless(uneven.place, needs: Self.severalFields)) }
        }
        guard let separator = members["separator"] else {
            if several, let to = members["to"] { report(.missingKey(to.place, "separator")) }
            return nil
        }
        guard let text = text(separator) else { return nil }
        if text.utf8.isEmpty { report(.emptySeparator(separator.place)) }
        if !several, targets.first?.isSet == false {
            report(.useless(separator.place, needs: Self.severalFieldsOrSet))
        }
        return ColumnMapping.Split(separator: Array(text.utf8), fills: fills)
    }

    private mutating func readValues(
        _ members: [String: Located],
        _ targets: [FileColumn]
    ) -> ColumnMapping.ValueTable? {
        var fallback = ColumnMapping.ValueTable.Fallback.refuse
        if let node = members["default"], let text = text(node) {
            check(text, targets, node.place)
            fallback = .write(text)
        }
        if let node = members["keep_others"] {
            if case .bool(true) = node.value.content {
                if members["default"] != nil { report(.useless(node.place, needs: Self.noDefault)) }
                fallback = .keep
            } else {
                report(.wrongType(node.place, expected: Localized(ja: "true", en: "true")))
            }
        }
        guard let node = members["values"] else {
            for key in ["default", "keep_others"] {
                if let member = members[key] { report(.useless(member.place, needs: Self.aTable)) }
            }
            return nil
        }
        if targets.count > 1 { report(.useless(node.place, needs: Self.oneField)) }
        guard case .object(let entries) = node.value.content else {
            report(.wrongType(node.place, expected: Self.anObject))
            return nil
        }
        var meanings: [ExactText: ExactText] = [:]
        for entry in entries {
            let place = Place(line: entry.line, path: node.place.path + "[\"\(RowProblem.safe(entry.name.utf8))\"]")
            guard let meaning = text(Located(value: entry.value, place: place)) else { continue }
            check(meaning, targets, place)
            if meanings.updateValue(meaning, forKey: ExactText(entry.name)) != nil {
                report(.namedTwice(place, ExactText(entry.name)))
            }
        }
        return ColumnMapping.ValueTable(meanings: meanings, fallback: fallback)
    }

    private mutating func readConstants(_ node: Located) -> [(target: FileColumn, value: ExactText)] {
        guard case .object(let entries) = node.value.content else {
            report(.wrongType(node.place, expected: Self.anObject))
            return []
        }
        var constants: [(target: FileColumn, value: ExactText)] = []
        for entry in entries {
            let place = Place(line: entry.line, path: node.place.path + "[\"\(RowProblem.safe(entry.name.utf8))\"]")
            guard let value = text(Located(value: entry.value, place: place)),
                let target = field(ExactText(entry.name), place)
            else { continue }
            check(value, [target], place)
            constants.append((target, value))
        }
        return constants
    }

    /// Whether a field may hold what the mapping itself would write: better said here than once for every row.
    private mutating func check(_ text: ExactText, _ targets: [FileColumn], _ place: Place) {
        guard targets.count == 1, let rule = targets[0].rule else { return }
        do throws(RowProblem) {
            let value = try rule.read(text.string, column: place.path)
            if value == .null, targets[0].isRequired { report(.empty(place, targets[0])) }
        } catch {
            report(ImportProblem(line: place.line, error))
        }
    }

    // MARK: - The forms of JSON

    private struct Located {
        let value: JSONNode
        let place: Place
    }

    private mutating func report(_ problem: ImportProblem) { problems.append(problem) }

    /// The members of an object, each known and once.
    private mutating func object(
        _ node: JSONNode,
        _ place: Place,
        keys: [String],
        required: [String]
    ) -> [String: Located] {
        guard case .object(let members) = node.content else {
            report(.wrongType(place, expected: Self.anObject))
            return [:]
        }
        var out: [String: Located] = [:]
        for member in members {
            let name = RowProblem.safe(member.name.utf8)
            let path = place.path == "." ? name : "\(place.path).\(name)"
            let here = Place(line: member.line, path: path)
            guard let key = keys.first(where: { $0.utf8.elementsEqual(member.name.utf8) }) else {
                report(.unknownKey(here, known: keys))
                continue
            }
            if out.updateValue(Located(value: member.value, place: here), forKey: key) != nil {
                report(.namedTwice(here, ExactText(key)))
            }
        }
        for key in required where out[key] == nil { report(.missingKey(place, key)) }
        return out
    }

    private mutating func list(_ node: Located) -> [Located] {
        guard case .array(let elements) = node.value.content else {
            report(.wrongType(node.place, expected: Localized(ja: "配列", en: "an array")))
            return []
        }
        return elements.enumerated().map { index, element in
            Located(value: element, place: Place(line: element.line, path: "\(node.place.path)[\(index)]"))
        }
    }

    private mutating func text(_ node: Located) -> ExactText? {
        guard case .text(let text) = node.value.content else {
            report(.wrongType(node.place, expected: Self.aText))
            return nil
        }
        return ExactText(text)
    }

    private static let aText = Localized(ja: "引用符で囲んだ文字列", en: "text in quotes")
    private static let anObject = Localized(ja: "{ } で囲んだ組", en: "an object in { }")
    private static let fieldNames = Localized(ja: "項目名か、項目名の配列", en: "a field's name, or an array of them")
    private static let severalFields = Localized(ja: "to に二つ以上の項目", en: "several fields in 'to'")
    private static let severalFieldsOrSet = Localized(
        ja: "to に二つ以上の項目か、複数の値を持てる項目",
        en: "several fields in 'to', or a field that holds a set"
    )
    private static let oneField = Localized(ja: "to に一つの項目", en: "one field in 'to'")
    private static let noDefault = Localized(ja: "default のないこと", en: "no 'default' beside it")
    private static let aTable = Localized(ja: "values", en: "'values'")
}
