// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore
import TsunaguWard

/// The bytes of a text: what tests compare, since `String ==` calls U+FA19 and U+795E the same.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Calls `body` with cells in memory, as a CSV reader hands them over.
func withCells<R>(_ cells: [[UInt8]], _ body: ([UnsafeBufferPointer<UInt8>]) throws -> R) rethrows -> R {
    let joined = cells.flatMap { $0 }
    return try joined.withUnsafeBufferPointer { all in
        var start = 0
        let pointers = cells.map { cell in
            defer { start += cell.count }
            return UnsafeBufferPointer(rebasing: all[start..<start + cell.count])
        }
        return try body(pointers)
    }
}

func withCells<R>(_ cells: [String], _ body: ([UnsafeBufferPointer<UInt8>]) throws -> R) rethrows -> R {
    try withCells(cells.map(bytes), body)
}

/// A row of a CSV file as tests look at it.
struct ReadRow: Equatable {
    var line: Int
    var cells: [[UInt8]]

    init(_ line: Int, _ cells: [[UInt8]]) {
        self.line = line
        self.cells = cells
    }

    init(_ line: Int, _ cells: [String]) { self.init(line, cells.map(bytes)) }
}

/// Reads a whole file that comes in pieces of the given lengths, the last length again and again.
func readCSV(_ file: [UInt8], pieces: [Int] = [Int.max], rowBytesMax: Int = 1 << 20) throws -> [ReadRow] {
    var reader = CSVReader(rowBytesMax: rowBytesMax)
    var rows: [ReadRow] = []
    func keep(_ cells: [UnsafeBufferPointer<UInt8>], _ line: Int) {
        rows.append(ReadRow(line, cells.map { Array($0) }))
    }
    var start = 0
    var piece = 0
    while start < file.count {
        let length = min(pieces[min(piece, pieces.count - 1)], file.count - start)
        try file[start..<start + length].withUnsafeBytes { try reader.feed($0, keep) }
        start += length
        piece += 1
    }
    try reader.finish(keep)
    return rows
}

/// Reads the rows of a file of one kind and throws the first problem.
func readRecords(_ file: RecordRowReader.File, _ header: [String], _ rows: [[String]]) throws -> [RecordRow] {
    let reader = try withCells(header) { cells throws(HeaderRefusal) in try RecordRowReader(file, header: cells) }
    return try rows.map { row in
        var problems: [RowProblem] = []
        let record = withCells(row) { reader.read($0, problems: &problems) }
        if let problem = problems.first { throw problem }
        return record!
    }
}
