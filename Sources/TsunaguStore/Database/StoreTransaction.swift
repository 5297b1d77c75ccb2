// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
package import TsunaguCore

/// What took effect in a transaction that was written elsewhere.
package struct Arrivals {
    /// Where.
    package internal(set) var spaces: Set<SpaceID> = []
    /// Those of them in which records changed that are not named here.
    package internal(set) var reworked: Set<SpaceID> = []
    /// By row, the records that something was written on; also what was written here meanwhile.
    package internal(set) var records: Set<Int64> = []
    /// Whose it is.
    package internal(set) var authors: Set<DeviceID> = []

    mutating func rework(_ space: SpaceID) {
        spaces.insert(space)
        reworked.insert(space)
    }
}

/// Everything that one transaction does to the store; not to be used after it.
package final class StoreTransaction {
    let db: Database
    package let schema: Schema
    private var statements: [String: RawStatement] = [:]
    private var spaceRows: [SpaceID: SpaceRow] = [:]
    private var authorNumbers: [ReplicaID: UInt32] = [:]
    private var authorReplicas: [UInt32: ReplicaID] = [:]
    var chains: [ChainKey: ChainRow] = [:]
    var barredChains: [ChainKey: [Role: UInt64]] = [:]
    /// The branches of each space where chains forked; `nil` until they were asked for.
    var branchCache: [Int64: Branches]?
    var exceptionCache: [Int64: [VersionVector.Exception]] = [:]
    var erasedCache: [Int64: Set<ErasedKey>] = [:]
    /// Whether pages of the file that are free now may hold what was erased.
    var isScrubDue = false
    var drafts: [SpaceID: Draft] = [:]
    /// Who the rows of an import come from: every change of this transaction says it.
    package var source: ExactText?
    var decodedRuns: [Int64: RunDecoder.Run] = [:]
    var plans: [ObjectIdentifier: ShapePlan] = [:]
    var access: Access?
    /// Whether `system` moved and what waits was not tried again since.
    var hasNewsOfMembers = false
    /// Whether a part of a transaction was refused and what waits for it was not tried again since.
    var hasRefusedParts = false
    /// The spaces whose logs have grown since what waits was tried again.
    var grown: Set<SpaceID> = []
    /// What devices have in quarantine, as far as it was asked for.
    var quarantineShares: [DeviceID: QuarantineShare] = [:]
    /// Set while a transaction writes; the clock's last stamp.
    var clock: HybridLogicalClock?

    struct ChainKey: Hashable {
        let space: Int64
        let author: UInt32
    }

    /// A space by this store's number, with the digest as it stands in this transaction.
    final class SpaceRow {
        let no: Int64
        let id: SpaceID
        var digest: SpaceDigest
        var isChanged = false

        init(no: Int64, id: SpaceID, digest: SpaceDigest) {
            self.no = no
            self.id = id
            self.digest = digest
        }

        func add(_ delta: SpaceDigest) {
            digest += delta
            isChanged = true
        }
    }

    /// Secrets of spaces that this transaction founds.
    var newSecrets: [SpaceID: [UInt8]] = [:]
    let environment: Store.Environment
    /// The device that brings what is being received.
    var presenter: DeviceID?
    /// Who brought something that this replica has sealed and that was not here: this store is an older copy of itself.
    package internal(set) var returner: DeviceID?
    package internal(set) var arrivals = Arrivals()
    /// What is to be redacted here though the eraser had not seen it, before it is gone: whoever may keep it elsewhere does
    /// so in this transaction.
    package var withdrawn: [WithdrawnEntry] = []
    /// Records that a run under way leaves to be worked out from their history.
    var recordsToRederive: Set<Int64> = []
    /// Groups whose items moved since they were shown.
    var itemsToShow: [ShownGroup: (CollectionSchema, MergeGroup)] = [:]

    init(_ db: Database, schema: Schema, environment: Store.Environment) {
        self.db = db
        self.schema = schema
        self.environment = environment
    }

    /// Writes what was kept in memory for the end: drafts, chains, digests, the clock.
    func finish() throws {
        try settle()
        try saveChains()
        for row in spaceRows.values where row.isChanged {
            let update = try statement("UPDATE space SET digest = ? WHERE no = ?")
            update.bind(1, row.digest.bytes)
            update.bind(2, row.no)
            try update.run()
        }
        if isScrubDue { try setMeta("scrub_is_due", .integer(1)) }
        if let clock, !Mutant.clockIsForgotten.isPlanted {
            try setMeta("clock", .integer(Int64(bitPattern: clock.last.raw)))
        }
    }

    /// Writes the drafts, and takes in what they let in: a grant that was written here does as one that arrives.
    package func settle() throws {
        try flushDrafts()
        if hasNewsOfMembers || hasRefusedParts { try retryWaiting() }
    }

    /// A statement of this transaction, ready to bind.
    func statement(_ sql: String) throws -> RawStatement {
        if let known = statements[sql] { return known }
        let new = try RawStatement(db, sql)
        statements[sql] = new
        return new
    }

    /// The SQL of the statements used so far.
    var usedSQL: [String] { Array(statements.keys) }

    // MARK: - Facts

    /// A fact about this store.
    package func meta(_ key: String) throws -> Value? {
        let select = try statement("SELECT value FROM meta WHERE key = ?")
        select.bind(1, key)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return select.value(0)
    }

    package func setMeta(_ key: String, _ value: Value) throws {
        let insert = try statement("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)")
        insert.bind(1, key)
        insert.bind(2, value)
        try insert.run()
    }

    /// The replica that writes here.
    package func ownReplica() throws -> ReplicaID? {
        guard case .bytes(let bytes)? = try meta("replica") else { return nil }
        return ReplicaID(bytes: bytes)
    }

    /// The ward's root, as this site was told when the ward began or it joined.
    package func root() throws -> DeviceID? {
        guard case .bytes(let bytes)? = try meta("root") else { return nil }
        return DeviceID(bytes: bytes)
    }

    // MARK: - Spaces and authors

    func space(_ id: SpaceID) throws -> SpaceRow? {
        if let row = spaceRows[id] { return row }
        let select = try statement("SELECT no, digest FROM space WHERE name = ?")
        select.bind(1, id.name)
        guard try select.step() else { return nil }
        defer { select.reset() }
        let row = SpaceRow(no: select.int(0), id: id, digest: SpaceDigest(Bytes16(select.bytes(1)) ?? Bytes16(0)))
        spaceRows[id] = row
        return row
    }

    /// The space, which begins to be held where it is not yet.
    @discardableResult
    func openSpace(_ id: SpaceID) throws -> SpaceRow {
        if let row = try space(id) { return row }
        // Under a new number, or that of another space, it would stand beside its own log.
        guard try lostSpaces().isEmpty else { throw StoreError.damaged("a row of the table of spaces is lost") }
        let insert = try statement("INSERT INTO space(name, digest) VALUES (?, ?)")
        insert.bind(1, id.name)
        insert.bind(2, SpaceDigest().bytes)
        try insert.run()
        let row = SpaceRow(no: db.lastInsertedRowID, id: id, digest: SpaceDigest())
        spaceRows[id] = row
        return row
    }

    /// The spaces held, by name.
    package func spaces() throws -> [SpaceID] {
        let select = try statement("SELECT name FROM space ORDER BY name")
        var names: [SpaceID] = []
        while try select.step() {
            if let id = SpaceID(select.text(0)) { names.append(id) }
        }
        return names
    }

    /// What the space's state adds up to, 16 bytes.
    package func digest(of id: SpaceID) throws -> Bytes16? { try space(id)?.digest.bytes }

    func spaceName(_ no: Int64) throws -> SpaceID {
        guard let id = try knownSpaceName(no) else { throw StoreError.damaged("space \(no) has no name") }
        return id
    }

    /// `nil` for a number whose row is lost.
    func knownSpaceName(_ no: Int64) throws -> SpaceID? {
        if let row = spaceRows.values.first(where: { $0.no == no }) { return row.id }
        let select = try statement("SELECT name FROM space WHERE no = ?")
        select.bind(1, no)
        defer { select.reset() }
        return try select.step() ? SpaceID(select.text(0)) : nil
    }

    func author(_ replica: ReplicaID) throws -> UInt32 {
        if let number = authorNumbers[replica] { return number }
        if let known = try knownAuthor(replica) { return known }
        let insert = try statement("INSERT INTO author(replica) VALUES (?)")
        insert.bind(1, replica.bytes)
        try insert.run()
        return remember(replica, UInt32(db.lastInsertedRowID))
    }

    func knownAuthor(_ replica: ReplicaID) throws -> UInt32? {
        if let number = authorNumbers[replica] { return number }
        let select = try statement("SELECT no FROM author WHERE replica = ?")
        select.bind(1, replica.bytes)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return remember(replica, select.number(0))
    }

    func replica(_ author: UInt32) throws -> ReplicaID {
        if let replica = authorReplicas[author] { return replica }
        let select = try statement("SELECT replica FROM author WHERE no = ?")
        select.bind(1, author)
        defer { select.reset() }
        guard try select.step(), let replica = ReplicaID(bytes: select.bytes(0)) else {
            throw StoreError.damaged("author \(author) has no name")
        }
        _ = remember(replica, author)
        return replica
    }

    private func remember(_ replica: ReplicaID, _ number: UInt32) -> UInt32 {
        authorNumbers[replica] = number
        authorReplicas[number] = replica
        return number
    }

    /// A closure that orders heads; the authors of a loaded group are known.
    func replicaOrder(_ state: GroupState) throws -> (UInt32) -> ReplicaID {
        var table: [UInt32: ReplicaID] = [:]
        for head in state.heads {
            table[head.dot.author] = try replica(head.dot.author)
            for member in head.members {
                for source in member.sources { table[source.dot.author] = try replica(source.dot.author) }
            }
        }
        return { table[$0]! }
    }

    // MARK: - Clock

    /// The next stamp of this replica.
    func tick() throws -> Timestamp {
        try loadClock()
        return clock!.tick(milliseconds: environment.now())
    }

    /// Follows a remote stamp within the bound; notes one that is outside.
    func adopt(_ timestamp: Timestamp, from replica: ReplicaID) throws {
        try loadClock()
        guard let ahead = clock!.adopt(timestamp, milliseconds: environment.now()) else { return }
        // One device that is a year ahead is one notice with the greatest amount, not one a change.
        let minutes = ahead / 60_000
        let prefix = "\(replica.device.short): "
        let select = try statement(
            "SELECT no, detail, at FROM notice WHERE code = 'clock_ahead' AND substr(detail, 1, ?) = ?"
        )
        select.bind(1, prefix.utf8.count)
        select.bind(2, prefix)
        if try select.step() {
            let (no, detail, at) = (select.int(0), select.text(1), select.unsigned(2))
            select.reset()
            let known = detail.dropFirst(prefix.count).prefix { $0.isNumber }
            // Said again once a day while it goes on, so that it can be dropped when it does not.
            guard minutes > UInt64(known) ?? 0 || environment.now() / Self.dayMilliseconds > at / Self.dayMilliseconds
            else { return }
            let delete = try statement("DELETE FROM notice WHERE no = ?")
            delete.bind(1, no)
            try delete.run()
        }
        try note("clock_ahead", "\(prefix)\(minutes) min")
    }

    private func loadClock() throws {
        guard clock == nil else { return }
        let last = try meta("clock")?.integer ?? 0
        clock = HybridLogicalClock(last: Timestamp(raw: UInt64(bitPattern: last)))
    }

    /// Bits that nobody can predict.
    package func random() -> UInt64 { environment.random() }

    /// Unix milliseconds by the machine's clock.
    package func now() -> UInt64 { environment.now() }

    /// Records what this machine alone noticed.
    package func note(_ code: String, _ detail: String) throws {
        let insert = try statement("INSERT OR IGNORE INTO notice(at, code, detail) VALUES (?, ?, ?)")
        insert.bind(1, environment.now())
        insert.bind(2, code)
        insert.bind(3, detail)
        try insert.run()
    }

    private static let dayMilliseconds: UInt64 = 86_400_000

    /// What was noticed, oldest first; that a clock is ahead for a week after the last stamp that was.
    package func notices() throws -> [(at: UInt64, code: String, detail: String)] {
        let select = try statement("SELECT at, code, detail FROM notice ORDER BY no")
        var out: [(UInt64, String, String)] = []
        while try select.step() { out.append((select.unsigned(0), select.text(1), select.text(2))) }
        let now = environment.now()
        return out.filter { at, code, _ in code != "clock_ahead" || now <= at + 7 * Self.dayMilliseconds }
    }
}
