// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Takes the rows of one file into the store, or says what is wrong with them.
protocol RowImporter: AnyObject {
    var counts: ImportCounts { get }
    /// The spaces in which bookings may have moved seats.
    var touchedLessons: Set<SpaceID> { get }

    /// Plans the reading of the rows.
    ///
    /// - Returns: what is wrong with the header.
    func begin(header: [UnsafeBufferPointer<UInt8>], line: Int) throws -> [ImportProblem]

    /// Checks one row and, where `applies`, writes it.
    ///
    /// - Returns: what is wrong with the row.
    func take(_ cells: [UnsafeBufferPointer<UInt8>], line: Int, applies: Bool) throws -> [ImportProblem]
}

/// How an import is done.
package struct ImportOptions: Sendable {
    /// A key that exists is no error: what differs is written.
    package var updates: Bool
    /// Everything is checked and nothing is written.
    package var isDry: Bool
    /// Who the rows come from; kept with the changes.
    package var source: String?
    /// The file that says what a foreign file's columns and values mean here.
    package var mapping: String?

    package init(updates: Bool = false, isDry: Bool = false, source: String? = nil, mapping: String? = nil) {
        self.updates = updates
        self.isDry = isDry
        self.source = source
        self.mapping = mapping
    }
}

/// The kinds of files that can be taken in and given out.
package enum TransferFile: String, Sendable, CaseIterable {
    case residents, procedures, lessons, bookings

    /// The rows that are records.
    var records: RecordRowReader.File? { RecordRowReader.File(rawValue: rawValue) }
}

extension Site {
    /// Takes a CSV file in: all of it or nothing, in one transaction, whatever its size.
    ///
    /// - Parameter progress: told the bytes read so far and the file's size, where that is known.
    /// - Throws: `ImportFailure` with the faults of the file.
    package func importFile(
        _ kind: TransferFile,
        at path: String,
        _ options: ImportOptions = ImportOptions(),
        progress: ((Int, Int?) -> Void)? = nil
    ) throws -> ImportCounts {
        let source = try options.source.map(Self.checkedSource)
        let mapping = try options.mapping.map { try Self.mapping(at: $0, for: kind) }
        let file = try InputFile(path)
        let size = file.size
        func run(_ transaction: StoreTransaction) throws -> ImportCounts {
            transaction.source = source
            var importer: any RowImporter =
                if let records = kind.records {
                    try RecordImporter(records, self, transaction, options)
                } else {
                    try BookingImporter(self, transaction, options)
                }
            if let mapping, let path = options.mapping { importer = MappedImporter(importer, mapping, from: path) }
            try Self.read(file, path, into: importer, options, progress: progress.map { tell in { tell($0, size) } })
            if !options.isDry { try transaction.settleSeats(in: importer.touchedLessons, by: self) }
            return importer.counts
        }
        return try options.isDry ? read(run) : write(run)
    }

    /// A name that says something, on one line.
    private static func checkedSource(_ name: String) throws -> ExactText {
        let isBlank = name.unicodeScalars.allSatisfy { $0.properties.isWhitespace }
        let hasControls = name.unicodeScalars.contains { $0.properties.generalCategory == .control }
        guard !isBlank, !hasControls, name.utf8.count <= sourceBytesMax else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "提供元の名前が空か、長すぎるか、制御文字を含みます",
                    en: "the source's name is empty, too long or holds control characters"
                ),
                record: "--source",
                hint: Localized(
                    ja: "\(sourceBytesMax)バイトまでの一行で書いてください",
                    en: "write one line of up to \(sourceBytesMax) bytes"
                )
            )
        }
        return ExactText(name)
    }

    private static let sourceBytesMax = 256

    private static func mapping(at path: String, for kind: TransferFile) throws -> ColumnMapping {
        var bytes: [UInt8] = []
        try InputFile(path).forEachChunk { chunk, total in
            bytes += chunk
            return total <= ColumnMapping.bytesMax
        }
        guard bytes.count <= ColumnMapping.bytesMax else {
            throw CommandError(
                .badInput,
                Localized(ja: "読み替えのファイルが大きすぎます: \(path)", en: "the mapping file is too large: \(path)"),
                record: path,
                hint: Localized(
                    ja: "上限は\(ColumnMapping.bytesMax)バイトです。CSV と取り違えていないか確かめてください",
                    en: "the limit is \(ColumnMapping.bytesMax) bytes; is it the CSV file?"
                )
            )
        }
        do throws(MappingReader.Faults) {
            return try MappingReader.read(bytes, for: kind)
        } catch {
            throw ImportFailure(file: path, problems: error.problems)
        }
    }

    private static func read(
        _ file: borrowing InputFile,
        _ path: String,
        into importer: any RowImporter,
        _ options: ImportOptions,
        progress: ((Int) -> Void)?
    ) throws {
        var reader = CSVReader()
        var problems: [ImportProblem] = []
        var hasHeader = false
        func take(_ cells: [UnsafeBufferPointer<UInt8>], _ line: Int) throws {
            guard hasHeader else {
                hasHeader = true
                if let fault = RowProblem.notUTF8(in: cells) {
                    throw ImportFailure(file: path, problems: [ImportProblem(line: line, fault)])
                }
                let faults = try importer.begin(header: cells, line: line)
                if !faults.isEmpty { throw ImportFailure(file: path, problems: faults) }
                return
            }
            // Once something is wrong nothing will be kept: the rest is read for its faults alone.
            problems += try importer.take(cells, line: line, applies: problems.isEmpty && !options.isDry)
            if problems.count >= ImportFailure.problemsMax {
                let first = Array(problems.prefix(ImportFailure.problemsMax))
                throw ImportFailure(file: path, problems: first, isCut: true)
            }
        }
        do {
            try file.forEachChunk { chunk, total in
                try reader.feed(chunk, take)
                progress?(total)
                return true
            }
            try reader.finish(take)
        } catch let error as CSVError {
            problems.append(ImportProblem(error))
        }
        if !hasHeader, problems.isEmpty {
            problems.append(
                ImportProblem(
                    line: 1,
                    code: "empty_file",
                    Localized(ja: "ファイルが空です", en: "the file is empty"),
                    hint: Localized(ja: "見出しの行から始まるファイルを指定してください", en: "give a file that begins with a header")
                )
            )
        }
        if !problems.isEmpty { throw ImportFailure(file: path, problems: problems) }
    }
}

extension ImportProblem {
    /// A key that this file had before.
    static func doubled(line: Int, column: String, value: String, first: Int) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "duplicate_key",
            column: column,
            value: value,
            Localized(ja: "\(first)行目にもあります", en: "line \(first) has it too"),
            hint: Localized(ja: "一行だけ残してください", en: "keep one of the rows")
        )
    }

    /// A key that the ward has already.
    static func exists(line: Int, column: String, value: String, _ id: RecordID) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "key_exists",
            column: column,
            value: value,
            Localized(ja: "すでに登録されています（\(id)）", en: "it is there already (\(id))"),
            hint: Localized(ja: "更新するには --update を付けてください", en: "give --update to update it")
        )
    }

    /// A row of exactly a person who is kept at the ward office.
    static func askWardOffice(line: Int) -> ImportProblem {
        ImportProblem(
            line: line,
            code: CommandError.Code.askWardOffice.rawValue,
            CommandError.askWardOffice.message,
            hint: Localized(ja: "この行を除いて、本庁に渡してください", en: "leave the row out, and hand it to the ward office")
        )
    }

    /// A key of a record that was deleted: a file does not bring anybody back by itself.
    static func deleted(line: Int, column: String, value: String, _ id: RecordID) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "deleted",
            column: column,
            value: value,
            Localized(ja: "削除されたものです（\(id)）", en: "it is deleted (\(id))"),
            hint: Localized(ja: "先に戻すか、行を除いてください", en: "bring it back first, or leave the row out")
        )
    }

    /// A key that several records have.
    static func ambiguous(line: Int, column: String, value: String) -> ImportProblem {
        ImportProblem(
            line: line,
            code: "ambiguous_key",
            column: column,
            value: value,
            Localized(ja: "複数に登録されています", en: "several records have it"),
            hint: Localized(
                ja: "tsunagu conflict list --kind finding で重なりを解いてください",
                en: "settle the double first: 'tsunagu conflict list --kind finding'"
            )
        )
    }
}
