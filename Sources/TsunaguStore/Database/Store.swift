// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import GRDBSQLite
import Synchronization
package import TsunaguCore

#if canImport(Glibc)
    import Glibc
#endif

/// One SQLite file: the log, the state that it means, and the typed tables, moved together by every transaction.
///
/// A store is one connection, for one thread at a time; processes and threads that work at once open one each.
package final class Store: Sendable {
    package let path: String
    package let schema: Schema
    let queue: DatabaseQueue
    package let environment: Environment
    /// SQLite's memory is gone then, which GRDB does not look at.
    private let isClosed = Mutex(false)

    /// What a store takes from the machine, so that a test or a simulation can hand in its own.
    package struct Environment: Sendable {
        /// Unix milliseconds.
        package var now: @Sendable () -> UInt64
        /// Milliseconds that never go back nor jump: for how long something takes, whatever the clock is set to.
        package var uptime: @Sendable () -> UInt64
        /// Sixty-four random bits, unpredictable in production.
        package var random: @Sendable () -> UInt64
        package var files: any StoreFiles = MachineFiles()
        /// Told the SQL of each transaction's statements when it ends; for tests of what is read.
        package var observe: (@Sendable ([String]) -> Void)?

        /// - Parameter uptime: the same as `now` where nobody sets the clock.
        package init(
            now: @escaping @Sendable () -> UInt64,
            random: @escaping @Sendable () -> UInt64,
            uptime: (@Sendable () -> UInt64)? = nil
        ) {
            self.now = now
            self.random = random
            self.uptime = uptime ?? now
        }

        /// The machine's clocks and generator.
        package static let system = Environment(
            now: { milliseconds(CLOCK_REALTIME) },
            random: {
                var generator = SystemRandomNumberGenerator()
                return generator.next()
            },
            // It goes on while the machine sleeps.
            uptime: { milliseconds(CLOCK_BOOTTIME) }
        )

        private static func milliseconds(_ clock: clockid_t) -> UInt64 {
            var time = timespec()
            clock_gettime(clock, &time)
            return UInt64(max(0, time.tv_sec)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
        }
    }

    /// Makes a new, empty database.
    ///
    /// - Throws: `StoreError.exists` where there is a file already, whatever it holds.
    package static func create(
        at path: String,
        schema: Schema,
        environment: Environment = .system
    ) throws -> Store {
        try environment.files.create(path)
        do {
            let store = try Store(path: path, schema: schema, environment: environment)
            try store.translating {
                try store.queue.writeWithoutTransaction { db in
                    try db.execute(sql: "PRAGMA journal_mode = WAL")
                    try db.inTransaction(.immediate) {
                        try db.execute(sql: "PRAGMA application_id = \(StoreLayout.applicationID)")
                        try store.migrate(db, from: 0)
                        return .commit
                    }
                }
            }
            return store
        } catch {
            // A database that was never whole must not be found by the next start.
            for suffix in ["", "-wal", "-shm"] { environment.files.remove(path + suffix) }
            throw error
        }
    }

    /// Opens a database that `create` made.
    ///
    /// A missing, empty, foreign, cut or damaged file is refused: a store that cannot be read is never taken for one
    /// with nothing in it.
    package static func open(
        at path: String,
        schema: Schema,
        environment: Environment = .system
    ) throws -> Store {
        let lags = try checkFile(at: path, environment.files)
        let store = try Store(path: path, schema: schema, environment: environment)
        try store.translating {
            let (application, version) = try store.queue.read { db in
                (
                    try Int32.fetchOne(db, sql: "PRAGMA application_id") ?? 0,
                    try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
                )
            }
            guard application == StoreLayout.applicationID else {
                throw StoreError.unusable(path: path, reason: "it belongs to another program")
            }
            guard version >= 1 else { throw StoreError.unusable(path: path, reason: "it holds no store") }
            guard version <= StoreLayout.version else { throw StoreError.tooNew(path: path, version: version) }
            if lags {
                let found = try store.queue.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
                guard found == "ok" else { throw StoreError.unusable(path: path, reason: "it is damaged") }
            }
            let written = try store.queue.read { try store.schemaVersion($0) }
            guard written <= Int(schema.version) else { throw StoreError.tooNew(path: path, version: written) }
            if version < StoreLayout.version || written < Int(schema.version) { try store.upgrade() }
            let isScrubDue = try store.queue.read {
                try Bool.fetchOne($0, sql: "SELECT EXISTS(SELECT 1 FROM meta WHERE key = 'scrub_is_due')") ?? false
            }
            if isScrubDue { try? store.scrub() }
        }
        return store
    }

    private init(path: String, schema: Schema, environment: Environment) throws {
        self.environment = environment
        self.path = path
        self.schema = schema
        var configuration = Configuration()
        configuration.busyMode = .timeout(30)
        configuration.prepareDatabase { db in
            // An acknowledged write survives power loss.
            let level = Mutant.commitsDoNotSync.isPlanted ? "NORMAL" : "FULL"
            try db.execute(sql: "PRAGMA synchronous = \(level); PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY")
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as DatabaseError {
            throw StoreError(error, path: path)
        }
    }

    private func schemaVersion(_ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'schema_version'") ?? 0
    }

    /// Brings the file up to this program; of several processes that start at once, one does it.
    private func upgrade() throws {
        try queue.write { db in
            let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
            if try version < StoreLayout.version || schemaVersion(db) < Int(schema.version) {
                try migrate(db, from: version)
            }
        }
    }

    private func migrate(_ db: Database, from version: Int) throws {
        for migration in StoreLayout.migrations[version...] { try db.execute(sql: migration) }
        try db.execute(sql: "PRAGMA user_version = \(StoreLayout.version)")
        let news = try SchemaTables.update(db, to: schema)
        if version > 0 {
            let transaction = StoreTransaction(db, schema: schema, environment: environment)
            try transaction.showNews(news)
            if !news.isEmpty { try transaction.noteBarredAnew() }
            try transaction.finish()
        }
        try db.execute(
            sql: "INSERT OR REPLACE INTO meta(key, value) VALUES ('schema_version', ?)",
            arguments: [schema.version]
        )
    }

    /// Sixty-four random bits of this store's environment.
    package func random() -> UInt64 { environment.random() }

    /// Sixteen random bytes of this store's environment.
    package func random128() -> Bytes16 { Bytes16(UInt128(random()) << 64 | UInt128(random())) }

    /// Unix milliseconds of this store's environment.
    package func now() -> UInt64 { environment.now() }

    /// Milliseconds of this store's environment that never go back nor jump.
    package func uptime() -> UInt64 { environment.uptime() }

    /// Moves all that the write-ahead log holds into the file, which then is whole by itself.
    ///
    /// Closing tries the same and does not tell where it could not.
    package func checkpoint() throws {
        try translating { try queue.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) } }
    }

    /// Writes the file anew from what its tables hold.
    func vacuum() throws {
        try translating { try queue.writeWithoutTransaction { try $0.execute(sql: "VACUUM") } }
    }

    /// Runs `body` without a transaction: SQLite ends none well that met damaged pages.
    func look<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        try translating {
            try queue.unsafeRead { try body(StoreTransaction($0, schema: schema, environment: environment)) }
        }
    }

    /// SQLite's own check of the file.
    package func checkFile() throws -> StoreCheck { try look { try $0.checkFile() } }

    /// Writes what the store holds now into an empty file, without what was removed from it.
    package func copy(to path: String) throws {
        try translating {
            try queue.writeWithoutTransaction { try $0.execute(sql: "VACUUM INTO ?", arguments: [path]) }
        }
    }

    /// Ends the connection; what the write-ahead log holds goes into the file.
    ///
    /// Whoever asks afterwards is told that there is no database.
    package func close() throws {
        try isClosed.withLock { isClosed in
            guard !isClosed else { return }
            do { try queue.close() } catch let error as DatabaseError { throw StoreError(error, path: path) }
            isClosed = true
        }
    }

    // MARK: - Transactions

    /// Runs `body` on one consistent state.
    ///
    /// - Throws: where `body` writes; nothing of that stays.
    package func read<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        try translating {
            // Not the library's reading: it sets "query_only", and after a pragma of that sort SQLite compiles every
            // statement that it had kept anew.
            try queue.unsafeRead { db in
                var result: R?
                let changes = db.totalChangesCount
                try db.inTransaction(.deferred) {
                    let transaction = StoreTransaction(db, schema: schema, environment: environment)
                    defer { environment.observe?(transaction.usedSQL) }
                    result = try body(transaction)
                    guard db.totalChangesCount == changes else {
                        throw DatabaseError(resultCode: .SQLITE_READONLY, message: "written while reading")
                    }
                    return .rollback
                }
                return result!
            }
        }
    }

    /// Runs `body` in one transaction: log, state, digest, cursors and metadata move together or not at all.
    package func write<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        try translating {
            let (result, isScrubDue) = try queue.write { db in
                let transaction = StoreTransaction(db, schema: schema, environment: environment)
                defer { environment.observe?(transaction.usedSQL) }
                let result = try body(transaction)
                try transaction.finish()
                return (result, transaction.isScrubDue)
            }
            // What was written is written; where this fails, the next opening tries again.
            if isScrubDue { try? scrub() }
            return result
        }
    }

    /// Writes the file anew where its free pages, or the write-ahead log, may hold what was erased.
    private func scrub() throws {
        try vacuum()
        try checkpoint()
        try queue.write { try $0.execute(sql: "DELETE FROM meta WHERE key = 'scrub_is_due'") }
    }

    func translating<R>(_ body: () throws -> R) throws -> R {
        guard !isClosed.withLock({ $0 }) else { throw StoreError.missing(path: path) }
        do {
            return try body()
        } catch let error as DatabaseError {
            throw StoreError(error, path: path)
        }
    }

    /// What the file's first hundred bytes tell before SQLite opens it: SQLite takes an empty file for a new database.
    ///
    /// - Returns: whether the file is shorter than its header says and a write-ahead log may hold the rest: only a look
    ///   at every page tells whether it does.
    private static func checkFile(at path: String, _ files: any StoreFiles) throws(StoreError) -> Bool {
        let (header, size) = try files.head(of: path, 100)
        guard header.count == 100 else {
            throw .unusable(path: path, reason: "it is cut off after \(header.count) bytes")
        }
        guard header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw .unusable(path: path, reason: "it is no SQLite database")
        }
        let pageSize = Int(header[16]) << 8 | Int(header[17])
        let pages = header[28..<32].reduce(0) { $0 << 8 | Int($1) }
        let expected = pages * (pageSize == 1 ? 65_536 : pageSize)
        let hasLog = (try? files.head(of: path + "-wal", 1))?.bytes.isEmpty == false
        guard hasLog || size >= expected else {
            throw .unusable(path: path, reason: "it is cut off: \(size) of \(expected) bytes are there")
        }
        return size < expected
    }
}
