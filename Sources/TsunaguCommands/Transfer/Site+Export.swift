// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// How an export is written.
package enum ExportFormat: String, Sendable, CaseIterable {
    /// What `import` reads back to the same records.
    case csv
    /// An array of objects.
    case json
}

extension Site {
    /// Writes what this site holds of a kind of record; deleted ones are left out.
    ///
    /// - Parameter path: a file, or standard output for `nil`.
    /// - Returns: how many rows.
    package func exportFile(_ kind: TransferFile, to path: String?, _ format: ExportFormat = .csv) throws -> Int {
        let hidden = kind == .residents ? try recordExport() : []
        return try read { transaction in
            switch kind {
            case .residents: try transaction.requireHeld(.residents)
            case .procedures: try transaction.requireHeld(.procedures)
            case .lessons, .bookings: break
            }
            let output = try OutputFile(path)
            var rows = ExportWriter(format, output)
            if let records = kind.records {
                try transaction.export(records, to: &rows, hidden: hidden)
            } else {
                try transaction.exportBookings(to: &rows)
            }
            try rows.finish()
            return rows.count
        }
    }

    /// Records that the protected residents whom an export will hold were seen.
    ///
    /// - Returns: these; what comes under protection meanwhile stays out of the file.
    private func recordExport() throws -> Set<RecordID> {
        let residents = try reading(.export) { transaction in
            let shown = try transaction.showsProtected(self) ? transaction.protections(where: "deleted = 0") : []
            let ids = try shown.map(\.resident).filter {
                try transaction.record(WardSchema.resident, $0)?.deleted == false
            }
            return (ids, ids)
        }
        return Set(residents)
    }
}

/// Writes rows as CSV or as JSON, a piece at a time.
struct ExportWriter {
    private let format: ExportFormat
    private let output: OutputFile
    private var csv = CSVWriter()
    private var json: [UInt8] = Array("[".utf8)
    private var columns: [String] = []
    private(set) var count = 0

    /// One cell of a row.
    enum Cell {
        case text(String)
        case integer(Int64)
        case members([String])
        case empty
    }

    init(_ format: ExportFormat, _ output: OutputFile) {
        self.format = format
        self.output = output
    }

    mutating func header(_ columns: [String]) {
        self.columns = columns
        if format == .csv { csv.row(columns) }
    }

    mutating func row(_ cells: [Cell]) throws {
        precondition(cells.count == columns.count, "\(cells.count) cells under \(columns.count) columns")
        count += 1
        switch format {
        case .csv:
            for cell in cells { csv.cell(cell.csv) }
            csv.endRow()
            if csv.bytes.count >= 64 << 10 { try output.write(csv.take()) }
        case .json:
            json += count == 1 ? Array("\n".utf8) : Array(",\n".utf8)
            let members = zip(columns, cells).map { JSONText.string($0) + ":" + $1.json }
            json += Array(("{" + members.joined(separator: ",") + "}").utf8)
            if json.count >= 64 << 10 {
                try output.write(json)
                json.removeAll(keepingCapacity: true)
            }
        }
    }

    mutating func finish() throws {
        try output.write(format == .csv ? csv.take() : json + Array(count == 0 ? "]\n".utf8 : "\n]\n".utf8))
        try output.finish()
    }
}

extension ExportWriter.Cell {
    init(_ value: Value?) {
        self =
            switch value {
            case .text(let text): .text(text.string)
            case .integer(let number): .integer(number)
            default: .empty
            }
    }

    fileprivate var csv: String {
        switch self {
        case .text(let text): text
        case .integer(let number): String(number)
        case .members(let members): members.joined(separator: ";")
        case .empty: ""
        }
    }

    fileprivate var json: String {
        switch self {
        case .text(let text): JSONText.string(text)
        case .integer(let number): String(number)
        case .members(let members): "[" + members.map(JSONText.string).joined(separator: ",") + "]"
        case .empty: "null"
        }
    }
}

extension StoreTransaction {
    /// - Parameter hidden: the protected residents that the file may hold.
    fileprivate func export(
        _ file: RecordRowReader.File,
        to rows: inout ExportWriter,
        hidden: Set<RecordID>
    ) throws {
        let collection = file.collection
        // Lists have many entries, a cell has one: they stay out of the file.
        let names = RecordRowReader.columns(of: file).map(\.name).filter { name in
            collection.field(named: name)?.group.kind != .log
        }
        let sets = Set(collection.groups.filter { $0.kind == .set }.map { $0.fields[0].name })
        // Whoever opens the file sees who in it is protected.
        let tells = file == .residents && !hidden.isEmpty
        rows.header(names + (tells ? ["protected"] : []))
        let condition = "deleted = 0 ORDER BY \(file.keyField.name), id"
        // The rows go out while they are read; nothing is kept.
        var writer = rows
        try forEachRecord(collection, where: condition) { row in
            let isProtected = row.space == .protectedResidents
            guard !isProtected || hidden.contains(row.id) else { return }
            let cells = try names.map { name throws -> ExportWriter.Cell in
                if sets.contains(name) { return .members(SetColumn.members(row.values[name])) }
                switch (file, name) {
                case (.lessons, "space"): return .text(row.space.name)
                case (.lessons, "cancelled"):
                    return try ExportWriter.Cell(cancelReason(ofLesson: row).map { .text($0) })
                case (.lessons, "time"):
                    return .text("\(row.text("start_time") ?? "")-\(row.text("end_time") ?? "")")
                default: return ExportWriter.Cell(row.values[name])
                }
            }
            try writer.row(cells + (tells ? [isProtected ? .text("protected") : .empty] : []))
        }
        rows = writer
    }

    /// The bookings that stand, so that taken in again the same people are seated and the rest queue alike.
    ///
    /// First those with a seat, or without need of one, in the order in which they were asked for, then those who wait in
    /// theirs, then who was there beyond the seats. What was noted on the day, and whom a person put first, is in no file.
    fileprivate func exportBookings(to rows: inout ExportWriter) throws {
        rows.header(BookingRowReader.columns.map(\.name))
        let holdsRegister = try spaces().contains(.residents)
        for lesson in try records(WardSchema.lesson, where: "deleted = 0 ORDER BY date, code, id") {
            let seats = try seats(of: lesson)
            let waiting = Dictionary(uniqueKeysWithValues: seats.waiting.enumerated().map { ($1, $0 + 1) })
            func place(_ booking: LessonSeats.Booking) -> Int {
                waiting[booking.id] ?? (booking.seat == nil && booking.terms.usesSeat ? .max : 0)
            }
            let standing = seats.inOrder.filter(\.isActive).enumerated().sorted { a, b in
                (place(a.element), a.offset) < (place(b.element), b.offset)
            }.map(\.element)
            var groups: [RecordID: Int] = [:]
            for booking in standing {
                guard let row = try record(WardSchema.booking, booking.id) else { continue }
                let number = holdsRegister ? try self.number(of: row) : nil
                let needs = ExportWriter.Cell.members(SetColumn.members(row.values["needs"]))
                let person: [ExportWriter.Cell] =
                    if let number {
                        [.text(number), .empty, .empty, .empty, .empty]
                    } else {
                        [.empty] + ["name", "kana", "phone", "age_group"].map { ExportWriter.Cell(row.values[$0]) }
                    }
                let group = booking.terms.party.map { party in
                    let number = groups[party] ?? groups.count + 1
                    groups[party] = number
                    return ExportWriter.Cell.text(String(number))
                }
                let seat = ExportWriter.Cell.text(
                    booking.terms.usesSeat ? BookingRowReader.withSeat : BookingRowReader.withoutSeat
                )
                try rows.row([ExportWriter.Cell(lesson.values["code"])] + person + [needs, seat, group ?? .empty])
            }
        }
    }

    /// The number of the resident whose booking it was from the beginning: one that was typed and linked later is another
    /// record elsewhere too.
    private func number(of booking: StoredRecord) throws -> String? {
        let link = try bookingLink(of: booking.id)
        guard let id = link?.text("resident").flatMap({ RecordID(hex: $0) }),
            let row = try record(WardSchema.resident, id), row.space == .residents,
            let secret = try secret(of: .residents),
            booking.text("person_key") == PersonKey(resident: id, secret: secret).description
        else { return nil }
        return row.text("number")
    }
}

/// The members of a set from the JSON array that its column holds.
enum SetColumn {
    static func members(_ value: Value?) -> [String] {
        guard case .text(let text)? = value else { return [] }
        var members: [String] = []
        var current: [UInt8]?
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            if byte == UInt8(ascii: "\"") {
                if let done = current {
                    members.append(String(decoding: done, as: UTF8.self))
                    current = nil
                } else {
                    current = []
                }
            } else if byte == UInt8(ascii: "\\"), let escaped = bytes.next() {
                current?.append(unescaped(escaped, &bytes))
            } else {
                current?.append(byte)
            }
        }
        return members
    }

    /// The escapes that `JSONText` writes; `\u` stands for control characters only.
    private static func unescaped(_ byte: UInt8, _ rest: inout String.UTF8View.Iterator) -> UInt8 {
        switch byte {
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "u"):
            let digits = (0..<4).compactMap { _ in rest.next() }
            return Hex.decode(String(decoding: digits.suffix(2), as: UTF8.self))?.first ?? 63
        default: return byte
        }
    }
}
