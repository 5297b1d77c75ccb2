// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Turns the rows of a foreign file into rows of our own and hands them on.
final class MappedImporter: RowImporter {
    var counts: ImportCounts { base.counts }
    var touchedLessons: Set<SpaceID> { base.touchedLessons }

    private let base: any RowImporter
    private let mapping: ColumnMapping
    /// The mapping's path, for messages.
    private let path: String
    /// For every column of the mapping, where it stands in the file.
    private var places: [Int] = []
    /// What the file calls the source of a field.
    private var foreignNames: [String: String] = [:]
    /// The row that is being put together, one cell behind the other.
    private var row: [UInt8] = []
    /// Where each complete cell ends in `row`.
    private var ends: [Int] = []

    init(_ base: any RowImporter, _ mapping: ColumnMapping, from path: String) {
        self.base = base
        self.mapping = mapping
        self.path = path
    }

    func begin(header: [UnsafeBufferPointer<UInt8>], line: Int) throws -> [ImportProblem] {
        let names = header.map { ExactText(validating: $0) }
        let known = Set(mapping.columns.map(\.from) + mapping.ignored.map(\.name))
        let uncovered = zip(names, header).filter { name, _ in name.map { !known.contains($0) } ?? true }
            .map { RowProblem.safe($0.1) }
        let wanted = mapping.columns.map { ($0.from, $0.place) } + mapping.ignored.map { ($0.name, $0.place) }
        let absent = wanted.filter { !names.contains($0.0) }
        guard absent.isEmpty else {
            throw ImportFailure(
                file: path,
                problems: absent.map { .absentColumn($0.1, $0.0, others: uncovered) }
            )
        }
        var problems = uncovered.map { ImportProblem.uncovered(line: line, $0) }
        for name in Set(mapping.columns.map(\.from)).sorted() where names.filter({ $0 == name }).count > 1 {
            problems.append(.doubledColumn(line: line, RowProblem.safe(name.utf8)))
        }
        guard problems.isEmpty else { return problems }
        places = mapping.columns.map { column in names.firstIndex(of: column.from)! }
        for (column, place) in zip(mapping.columns, places) {
            for target in column.targets { foreignNames[target.name] = RowProblem.safe(header[place]) }
        }
        clear()
        for target in mapping.columns.flatMap(\.targets) + mapping.constants.map(\.target) { end(target.name.utf8) }
        return try withRow { try base.begin(header: $0, line: line) }
    }

    func take(_ cells: [UnsafeBufferPointer<UInt8>], line: Int, applies: Bool) throws -> [ImportProblem] {
        clear()
        var problems: [ImportProblem] = []
        for (column, place) in zip(mapping.columns, places) {
            append(cells[place], column, line, &problems)
        }
        guard problems.isEmpty else { return problems }
        for constant in mapping.constants { end(constant.value.utf8) }
        return try withRow { row in
            try base.take(row, line: line, applies: applies).map { problem in
                problem.column.flatMap { foreignNames[$0] }.map(problem.naming) ?? problem
            }
        }
    }

    // MARK: - One cell

    private func append(
        _ cell: UnsafeBufferPointer<UInt8>,
        _ column: ColumnMapping.Column,
        _ line: Int,
        _ problems: inout [ImportProblem]
    ) {
        guard let split = column.split else {
            append(meaningOf: cell[...], column, line, &problems)
            return ends.append(row.count)
        }
        if column.targets.count == 1 {
            appendMembers(cell.parts(separatedBy: split.separator), column, line, &problems)
        } else {
            appendFields(cell, split, column, line, &problems)
        }
    }

    private func appendMembers(
        _ parts: [Slice<UnsafeBufferPointer<UInt8>>],
        _ column: ColumnMapping.Column,
        _ line: Int,
        _ problems: inout [ImportProblem]
    ) {
        let start = row.count
        for part in parts {
            let before = row.count
            if before > start { row.append(MemberList.separator) }
            let first = row.count
            append(meaningOf: part.trimmed, column, line, &problems)
            let member = row[first...]
            if member.isEmpty {
                row.removeLast(first - before)
            } else if member.contains(MemberList.separator) {
                problems.append(
                    .memberWithSeparator(line: line, RowProblem.safe(column.from.utf8), RowProblem.safe(member))
                )
            }
        }
        ends.append(row.count)
    }

    private func appendFields(
        _ cell: UnsafeBufferPointer<UInt8>,
        _ split: ColumnMapping.Split,
        _ column: ColumnMapping.Column,
        _ line: Int,
        _ problems: inout [ImportProblem]
    ) {
        let count = column.targets.count
        var parts = cell.parts(separatedBy: split.separator)
        if parts.count != count, !cell.isEmpty, !split.fills {
            problems.append(
                .unevenParts(
                    line: line,
                    RowProblem.safe(column.from.utf8),
                    RowProblem.safe(cell),
                    parts.count,
                    count,
                    column.place
                )
            )
        }
        // What is left over stays with the last field, separators and all.
        if parts.count > count { parts[(count - 1)...] = [cell[parts[count - 1].startIndex...]] }
        for place in 0..<count { end(place < parts.count ? parts[place] : cell[..<0]) }
    }

    /// Writes what a value, or a part of one, means; what is no text goes on as it is, to be refused as such.
    private func append(
        meaningOf value: Slice<UnsafeBufferPointer<UInt8>>,
        _ column: ColumnMapping.Column,
        _ line: Int,
        _ problems: inout [ImportProblem]
    ) {
        guard let table = column.values, let text = ExactText(validating: value) else {
            return row.append(contentsOf: value)
        }
        guard let meaning = table.meaning(of: text) else {
            problems.append(
                .unmapped(line: line, RowProblem.safe(column.from.utf8), RowProblem.safe(value), column.place)
            )
            return
        }
        row.append(contentsOf: meaning.utf8)
    }

    // MARK: - The row

    private func clear() {
        row.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }

    private func end(_ cell: some Collection<UInt8>) {
        row.append(contentsOf: cell)
        ends.append(row.count)
    }

    private func withRow<T>(_ body: ([UnsafeBufferPointer<UInt8>]) throws -> T) rethrows -> T {
        try row.withUnsafeBufferPointer { bytes in
            try body(
                zip([0] + ends, ends).map { start, end in UnsafeBufferPointer(rebasing: bytes[start..<end]) }
            )
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// The parts between separators, empty ones included.
    fileprivate func parts(separatedBy separator: [UInt8]) -> [Slice<Self>] {
        var parts: [Slice<Self>] = []
        var start = startIndex
        var index = startIndex
        while index + separator.count <= endIndex {
            if self[index...].starts(with: separator) {
                parts.append(self[start..<index])
                index += separator.count
                start = index
            } else {
                index += 1
            }
        }
        parts.append(self[start...])
        return parts
    }
}

extension Slice<UnsafeBufferPointer<UInt8>> {
    /// Without the spaces around it, as members of sets are read.
    fileprivate var trimmed: Self {
        var part = self
        while part.first == 32 { part.removeFirst() }
        while part.last == 32 { part.removeLast() }
        return part
    }
}
