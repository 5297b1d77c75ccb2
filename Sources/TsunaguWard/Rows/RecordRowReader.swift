// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Reads the rows of a residents, procedures or lessons file.
///
/// The header decides once which cell feeds which field; a row is then one pass over its cells in the order of field
/// numbers, with no look-up by name.
package struct RecordRowReader: Sendable {
    /// The kinds of files whose rows are records.
    package enum File: String, Sendable, CaseIterable {
        case residents, procedures, lessons

        /// What the rows are.
        package var collection: CollectionSchema {
            switch self {
            case .residents: WardSchema.resident
            case .procedures: WardSchema.procedure
            case .lessons: WardSchema.lesson
            }
        }

        /// The field that names a record in files.
        package var keyField: Field {
            collection.field(named: self == .residents ? "number" : "code")!.field
        }
    }

    private enum Target {
        case field(UInt32, CellRule, isRequired: Bool)
        case members(UInt32, CellRule)
        case entry(UInt32, CellRule)
        case lessonTime(start: UInt32, end: UInt32)
        case space
        case cancellation
    }

    private struct Step {
        let place: Int
        let column: String
        let target: Target
    }

    /// The most members that a cell of a set may list.
    package static let membersMax = 200

    private let file: File
    private let key: UInt32
    private let steps: [Step]

    /// Plans the reading of a file from its header; columns are schema names or Japanese labels, in any order.
    ///
    /// - Throws: every column that is unknown, stands twice or is missing though it is required.
    package init(_ file: File, header: [UnsafeBufferPointer<UInt8>]) throws(HeaderRefusal) {
        let columns = RecordRowReader.plan(of: file)
        let header = try Header(header, known: columns.map(\.0))
        self.file = file
        self.key = file.keyField.number
        // The columns stand in the order of their field numbers, so a row's fields come out in ascending order.
        self.steps = zip(columns, header.places).compactMap { column, place in
            place.map { Step(place: $0, column: header.words[$0], target: column.1) }
        }
    }

    /// Reads one row; its cells are as many as the header's.
    ///
    /// - Returns: `nil` where something is wrong; every fault of the row is then in `problems`.
    package func read(_ cells: [UnsafeBufferPointer<UInt8>], problems: inout [RowProblem]) -> RecordRow? {
        var row = RecordRow(key: "", space: nil, fields: [], sets: [], entries: [])
        row.fields.reserveCapacity(steps.count + 1)
        let before = problems.count
        for step in steps {
            do throws(RowProblem) {
                try read(cells[step.place], step, into: &row)
            } catch {
                problems.append(error)
            }
        }
        return problems.count == before ? row : nil
    }

    private func read(
        _ cell: UnsafeBufferPointer<UInt8>,
        _ step: Step,
        into row: inout RecordRow
    ) throws(RowProblem) {
        switch step.target {
        case .field(let number, let rule, let isRequired):
            let value = try rule.read(cell, column: step.column)
            if isRequired, value == .null { throw CellProblems(column: step.column, bytes: cell).empty }
            if number == key, case .text(let text) = value { row.key = text }
            row.fields.append((number, value))
        case .members(let number, let rule):
            row.sets.append((number, try MemberList.read(cell, rule, column: step.column)))
        case .entry(let number, let rule):
            if case .text(let text) = try rule.read(cell, column: step.column) { row.entries.append((number, text)) }
        case .lessonTime(let start, let end):
            let problems = CellProblems(column: step.column, bytes: cell)
            if cell.isEmpty { throw problems.empty }
            guard let time = LessonTime(cell) else { throw problems.time }
            row.fields.append((start, .text(time.start)))
            row.fields.append((end, .text(time.end)))
        case .space:
            let problems = CellProblems(column: step.column, bytes: cell)
            if cell.isEmpty { throw problems.empty }
            guard let space = SpaceID(String(decoding: cell, as: UTF8.self)), space.matches(file.collection.spaces)
            else { throw problems.spaceName }
            row.space = space
        case .cancellation:
            row.cancelled = try CellRule.longText.read(cell, column: step.column).text
        }
    }

    /// The columns that a file may have.
    package static func columns(of file: File) -> [FileColumn] {
        plan(of: file).map { column, target in
            let (rule, isSet): (CellRule?, Bool) =
                switch target {
                case .field(_, let rule, _), .entry(_, let rule): (rule, false)
                case .members(_, let rule): (rule, true)
                case .cancellation: (.longText, false)
                case .lessonTime, .space: (nil, false)
                }
            return FileColumn(
                name: column.name,
                label: column.label,
                isRequired: column.isRequired,
                rule: rule,
                isSet: isSet
            )
        }
    }

    private static func plan(of file: File) -> [(Header.Column, Target)] {
        let collection = file.collection
        var columns: [(Header.Column, Target)] = []
        for group in collection.groups {
            for field in group.fields {
                let rule = WardSchema.rule(collection, field)
                let isRequired = requiredFields(of: file).contains(field.name)
                let column = Header.Column(name: field.name, label: field.label, isRequired: isRequired)
                switch group.kind {
                case .latest, .review:
                    // A lesson's two times stand in one column.
                    if file == .lessons, field.name == "end_time" { continue }
                    if file == .lessons, field.name == "start_time" {
                        columns.append(
                            (
                                Header.Column(name: "time", label: "時間", isRequired: true),
                                .lessonTime(start: field.number, end: field.number + 1)
                            )
                        )
                    } else {
                        columns.append((column, .field(field.number, rule, isRequired: isRequired)))
                    }
                case .set:
                    columns.append((column, .members(field.number, rule)))
                case .log:
                    columns.append((column, .entry(field.number, rule)))
                case .counter, .seats, .flow:
                    continue
                }
            }
        }
        if file == .lessons {
            columns.append((Header.Column(name: "space", label: "スペース", isRequired: true), .space))
            columns.append((Header.Column(name: "cancelled", label: "中止の理由", isRequired: false), .cancellation))
        }
        return columns
    }

    private static func requiredFields(of file: File) -> [String] {
        switch file {
        case .residents: ["number"]
        case .procedures: ["code", "name"]
        case .lessons: ["code", "title", "date", "capacity"]
        }
    }
}

/// The members of a set in one cell: separated by semicolons, spaces around a member dropped, each member once.
package enum MemberList {
    /// What stands between two members.
    package static let separator = UInt8(ascii: ";")

    static func read(
        _ cell: UnsafeBufferPointer<UInt8>,
        _ rule: CellRule,
        column: String
    ) throws(RowProblem) -> [ExactText] {
        if cell.count > CellRule.lineBytesMax {
            throw CellProblems(column: column, bytes: cell).tooLong(max: CellRule.lineBytesMax)
        }
        var members: [ExactText] = []
        let parts = cell.split(separator: separator)
        if parts.count > RecordRowReader.membersMax {
            throw CellProblems(column: column, bytes: cell).tooManyMembers(
                parts.count,
                max: RecordRowReader.membersMax
            )
        }
        for part in parts {
            var part = part
            while part.first == 32 { part.removeFirst() }
            while part.last == 32 { part.removeLast() }
            let value = try rule.read(UnsafeBufferPointer(rebasing: part), column: column)
            if case .text(let member) = value, !members.contains(member) { members.append(member) }
        }
        return members
    }
}
