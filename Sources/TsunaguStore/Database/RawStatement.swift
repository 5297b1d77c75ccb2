// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import GRDBSQLite
import TsunaguCore

/// A prepared statement bound without a value's detour through GRDB's arguments, which costs four times as much.
///
/// Memory that is bound must stay in place until `step` or `run` returns.
struct RawStatement {
    private let statement: Statement
    private let handle: OpaquePointer
    private let connection: OpaquePointer

    init(_ db: Database, _ sql: String) throws {
        statement = try db.cachedStatement(sql: sql)
        handle = statement.sqliteStatement
        connection = db.sqliteConnection!
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(handle, index, value) }

    func bind(_ index: Int32, _ value: some BinaryInteger) {
        sqlite3_bind_int64(handle, index, Int64(truncatingIfNeeded: value))
    }

    func bindNull(_ index: Int32) { sqlite3_bind_null(handle, index) }

    /// Bytes that stay in place until the step.
    func bindInPlace(_ index: Int32, blob bytes: UnsafeRawBufferPointer) {
        sqlite3_bind_blob64(
            handle,
            index,
            bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1),
            UInt64(bytes.count),
            nil
        )
    }

    /// UTF-8 that stays in place until the step.
    func bindInPlace(_ index: Int32, text bytes: UnsafeRawBufferPointer) {
        let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
        sqlite3_bind_text64(
            handle,
            index,
            start?.assumingMemoryBound(to: CChar.self),
            UInt64(bytes.count),
            nil,
            UInt8(SQLITE_UTF8)
        )
    }

    func bind(_ index: Int32, _ bytes: [UInt8]) {
        // SQLITE_TRANSIENT: SQLite copies at once.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        _ = bytes.withUnsafeBytes { memory in
            sqlite3_bind_blob64(
                handle,
                index,
                memory.baseAddress ?? UnsafeRawPointer(bitPattern: 1),
                UInt64(memory.count),
                transient
            )
        }
    }

    func bind(_ index: Int32, _ bytes: Bytes16) { bind(index, bytes.bytes) }

    func bind(_ index: Int32, _ text: String) {
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        var text = text
        text.withUTF8 { utf8 in
            let raw = UnsafeRawPointer(utf8.baseAddress) ?? UnsafeRawPointer(bitPattern: 1)
            _ = sqlite3_bind_text64(
                handle,
                index,
                raw?.assumingMemoryBound(to: CChar.self),
                UInt64(utf8.count),
                transient,
                UInt8(SQLITE_UTF8)
            )
        }
    }

    /// A slot in the form that its column holds.
    func bindInPlace(_ index: Int32, _ slot: Slot) throws {
        switch slot.tag {
        case 0: bindNull(index)
        case 1: bindInPlace(index, text: slot.bytes)
        case 2:
            var reader = ByteReader(slot.bytes)
            bind(index, try reader.zigzag())
        default: bindInPlace(index, blob: slot.bytes)
        }
    }

    func bind(_ index: Int32, _ value: Value) {
        switch value {
        case .null: bindNull(index)
        case .text(let text): bind(index, text.string)
        case .integer(let number): bind(index, number)
        case .bytes(let bytes): bind(index, bytes)
        }
    }

    /// The next row; `false` after the last, when the statement is ready for other values.
    func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code:
            let message = String(cString: sqlite3_errmsg(connection))
            sqlite3_reset(handle)
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message)
        }
    }

    /// Runs a statement that gives no rows.
    func run() throws { while try step() {} }

    /// Ends reading before the last row.
    func reset() { sqlite3_reset(handle) }

    func int(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    /// A number that was stored as SQLite's signed one; what is in a file is not to be trusted to be positive.
    func unsigned(_ column: Int32) -> UInt64 { UInt64(bitPattern: int(column)) }

    /// One of this store's own small numbers.
    func number(_ column: Int32) -> UInt32 { UInt32(truncatingIfNeeded: int(column)) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }

    /// Bytes in place, until the next step.
    func blob(_ column: Int32) -> UnsafeRawBufferPointer {
        let count = Int(sqlite3_column_bytes(handle, column))
        return UnsafeRawBufferPointer(start: sqlite3_column_blob(handle, column), count: count)
    }

    func bytes(_ column: Int32) -> [UInt8] { Array(blob(column)) }

    func text(_ column: Int32) -> String {
        let count = Int(sqlite3_column_bytes(handle, column))
        guard let start = sqlite3_column_text(handle, column) else { return "" }
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// The value of a typed column.
    func value(_ column: Int32) -> Value {
        switch sqlite3_column_type(handle, column) {
        case SQLITE_NULL: .null
        case SQLITE_INTEGER: .integer(int(column))
        case SQLITE_TEXT: .text(text(column))
        default: .bytes(bytes(column))
        }
    }
}
