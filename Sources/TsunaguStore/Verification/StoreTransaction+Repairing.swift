// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// Sets right what the log itself tells: no repair writes a change, and what cannot be told is left as it is.
///
/// Each of these is one transaction of its own: killed at any point, the next one goes on from there.
extension StoreTransaction {
    /// Writes anew what follows from the runs: the chains before and behind them, and the seeds in them.
    ///
    /// - Returns: how much of it was wrong.
    package func repairLog() throws -> Int {
        let named = try nameLostSpaces()
        let found = try verify()
        let repairs = found.logRepairs
        var erases = false
        for repair in repairs {
            switch repair {
            case .base(let run, let base):
                let update = try statement("UPDATE run SET base = ? WHERE no = ?")
                update.bind(1, base)
                update.bind(2, run)
                try update.run()
            case .chain(let key, let row):
                chains[key] = row
                chains[key]!.isChanged = true
            case .seed(let key, let block):
                let insert = try statement(
                    "INSERT OR REPLACE INTO seed(space, author, start, seed) VALUES (?, ?, ?, ?)"
                )
                insert.bind(1, key.space)
                insert.bind(2, key.author)
                insert.bind(3, block.start)
                insert.bind(4, block.seed?.bytes ?? [])
                try insert.run()
            case .needlessSeed(let key, let start):
                let delete = try statement("DELETE FROM seed WHERE space = ? AND author = ? AND start = ?")
                delete.bind(1, key.space)
                delete.bind(2, key.author)
                delete.bind(3, start)
                try delete.run()
            case .erasure: erases = true
            }
        }
        decodedRuns.removeAll()
        // Of a log that cannot be read whole something might stay.
        if erases, !found.isLogUnreadable { try eraseAnew() }
        return named + repairs.count
    }

    /// Drops what waits and is of no use: whoever brought it brings it again.
    package func dropUnreadableWaiting() throws -> Int {
        var checked = 0
        let faults = try unreadableWaiting(&checked)
        for fault in faults {
            switch fault.key {
            case .held(let no):
                let delete = try statement("DELETE FROM holding WHERE no = ?")
                delete.bind(1, no)
                try delete.run()
            case .staged(let space, let replica):
                let delete = try statement("DELETE FROM staged WHERE CAST(space AS BLOB) = ? AND replica = ?")
                delete.bind(1, space)
                delete.bind(2, replica)
                try delete.run()
            }
        }
        return faults.count
    }

    /// What was set right beside the log.
    package struct RepairedTables: Sendable {
        /// Records that were worked out anew or dropped.
        package var records: Set<RecordID> = []
        /// Rows that belonged to no record, or told of parts of transactions.
        package var rows = 0
        /// Spaces whose kept digest was another.
        package var spaces: [SpaceID] = []
    }

    /// Works out anew every record that is not what the log says, drops rows that it does not back, and sums up.
    ///
    /// A space of which some of the log cannot be read stays as it is: its rows may be all that is left.
    package func repairTables() throws -> RepairedTables {
        let found = try verify()
        guard found.areTablesFaulty else { return RepairedTables() }
        var rows = try repairParts(found)
        var numbers: [Int64: SpaceRow] = [:]
        for id in try spaces() {
            if let space = try space(id) { numbers[space.no] = space }
        }
        let digests = numbers.mapValues(\.digest)
        let keys = found.faultyRecords.filter { !found.unreadableSpaces.contains($0.space) }
        var backing: [Verification.RecordKey: [LogEntry]] = [:]
        for space in numbers.values where keys.contains(where: { $0.space == space.no }) {
            backing.merge(try logEntries(space) { keys.contains($0) }) { first, _ in first }
        }
        // A row that was left behind keeps its number for its record.
        let rids = try formerNumbers(backing.keys)
        for (key, rid) in rids {
            let other = try self.key(of: rid)
            if other.map({ keys.contains($0) && backing[$0] == nil }) ?? true { try rename(rid, key) }
        }
        for key in keys where backing[key] == nil { try dropRecord(key) }
        if found.unreadableSpaces.isEmpty {
            rows += try delete("record", where: "length(id) <> 16")
            for (table, orphans) in orphanQueries { rows += try delete(table, where: orphans) }
        }
        try rebuild(backing, rids, numbers)
        for space in numbers.values where !found.unreadableSpaces.contains(space.no) { try sumUp(space) }
        // What was dropped as not in effect may have a grant.
        hasNewsOfMembers = !keys.isEmpty
        let moved = numbers.values.filter { $0.digest != digests[$0.no] }.map(\.id).sorted()
        return RepairedTables(records: Set(keys.map(\.id)), rows: rows, spaces: moved)
    }

    private func repairParts(_ found: Verification) throws -> Int {
        for part in found.needlessParts + found.missingParts {
            let delete = try statement("DELETE FROM part WHERE txn = ? AND space = ? AND author = ?")
            delete.bind(1, part.transaction)
            delete.bind(2, part.space)
            delete.bind(3, part.dot.author)
            try delete.run()
        }
        for part in found.missingParts {
            // In the order of the log: the first of several counts.
            let insert = try statement("INSERT OR IGNORE INTO part(txn, space, author, seq) VALUES (?, ?, ?, ?)")
            insert.bind(1, part.transaction)
            insert.bind(2, part.space)
            insert.bind(3, part.dot.author)
            insert.bind(4, part.dot.seq)
            try insert.run()
        }
        return found.needlessParts.count + found.missingParts.count
    }

    /// - Returns: how many rows there were.
    private func delete(_ table: String, where condition: String) throws -> Int {
        try statement("DELETE FROM \(table) WHERE \(condition)").run()
        let changes = try statement("SELECT changes()")
        _ = try changes.step()
        defer { changes.reset() }
        return Int(changes.int(0))
    }

    /// The records of these ids that are not what the log says.
    ///
    /// - Complexity: reads the whole log of the space, once.
    package func misstated(_ ids: Set<RecordID>, in id: SpaceID) throws -> Set<RecordID> {
        guard !ids.isEmpty, let space = try space(id) else { return [] }
        return Set(try misstatedKeys(ids, space).keys.map(\.id))
    }

    /// Works these records out anew from the log where they are not what it says, and sums the space up again.
    ///
    /// - Returns: those that were wrong.
    package func restate(_ ids: Set<RecordID>, in id: SpaceID) throws -> Set<RecordID> {
        guard let space = try space(id) else { return [] }
        let wrong = ids.isEmpty ? [:] : try misstatedKeys(ids, space)
        let rids = try formerNumbers(wrong.keys)
        for key in wrong.keys where wrong[key]!.isEmpty { try dropRecord(key) }
        try rebuild(wrong.filter { !$0.value.isEmpty }, rids, [space.no: space])
        try sumUp(space)
        return Set(wrong.keys.map(\.id))
    }

    /// What the kept digest of a space should be; `nil` where it is that.
    package func missummed(_ id: SpaceID) throws -> Bytes16? {
        guard let space = try space(id) else { return nil }
        let sum = try liveSum(space)
        return sum == space.digest ? nil : sum.bytes
    }

    // MARK: - From the log

    /// What a change in effect wrote on a record.
    private struct LogEntry {
        let dot: LocalDot
        let timestamp: Timestamp
        /// Its place in the change; -1 where the record's id is not made from that.
        let place: Int
    }

    /// The changes in effect that wrote on some records of a space.
    private func logEntries(
        _ space: SpaceRow,
        where isWanted: (Verification.RecordKey) -> Bool
    ) throws -> [Verification.RecordKey: [LogEntry]] {
        var out: [Verification.RecordKey: [LogEntry]] = [:]
        for author in try authors(of: space.no) {
            let withheld = try withheld(space.no, author) ?? .max
            try forEachRun(space, author) { run in
                guard run.first < withheld else { return }
                let decoded = try decode(run.body, base: run.base, first: run.first, last: run.last, space, author)
                for change in decoded.changes where change.header.dot.seq < withheld {
                    for (index, entry) in change.payload.entries.enumerated() where !entry.isErased {
                        let key = Verification.RecordKey(
                            space: space.no,
                            collection: entry.shape.collection,
                            id: entry.id
                        )
                        guard isWanted(key) else { continue }
                        out[key, default: []].append(
                            LogEntry(
                                dot: LocalDot(author: author, seq: change.header.dot.seq),
                                timestamp: change.header.timestamp,
                                place: entry.reference == .created ? index : -1
                            )
                        )
                    }
                }
            }
        }
        return out
    }

    private func misstatedKeys(
        _ ids: Set<RecordID>,
        _ space: SpaceRow
    ) throws -> [Verification.RecordKey: [LogEntry]] {
        var backing = try logEntries(space) { ids.contains($0.id) }
        let select = try statement("SELECT collection FROM record WHERE id = ? AND space = ?")
        for id in ids {
            select.bind(1, id.bytes)
            select.bind(2, space.no)
            while try select.step() {
                let key = Verification.RecordKey(space: space.no, collection: select.number(0), id: id)
                if backing[key] == nil { backing[key] = [] }
            }
        }
        return try backing.filter { try !isStated($0.key, $0.value, space) }
    }

    /// Whether a record's row, its history and what is live of it are what some changes make of it.
    private func isStated(_ key: Verification.RecordKey, _ entries: [LogEntry], _ space: SpaceRow) throws -> Bool {
        guard let row = try recordRow(key) else { return entries.isEmpty }
        let noted = try [row.first] + history(row.rid)
        let dots = Set(entries.map(\.dot))
        guard noted.count == dots.count, Set(noted) == dots else { return false }
        let state = try RecordHistory.evaluate(past(space, key.collection, key.id, dots).map(\.entry))
        return try storedSum(row.rid) == state.digest
    }

    /// The later changes of a record, as they are noted.
    private func history(_ rid: Int64) throws -> [LocalDot] {
        let select = try statement("SELECT author, seq FROM history WHERE rid = ?")
        select.bind(1, rid)
        var out: [LocalDot] = []
        while try select.step() { out.append(LocalDot(author: select.number(0), seq: select.unsigned(1))) }
        return out
    }

    private func recordRow(_ key: Verification.RecordKey) throws -> (rid: Int64, first: LocalDot)? {
        let select = try statement("SELECT rid, author, seq FROM record WHERE id = ? AND space = ? AND collection = ?")
        select.bind(1, key.id.bytes)
        select.bind(2, key.space)
        select.bind(3, key.collection)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return (select.int(0), LocalDot(author: select.number(1), seq: select.unsigned(2)))
    }

    /// The numbers that missing records had, by what is left of their typed rows.
    private func formerNumbers(_ keys: some Collection<Verification.RecordKey>) throws -> [Verification.RecordKey:
        Int64]
    {
        var out: [Verification.RecordKey: Int64] = [:]
        for key in keys where try recordRow(key) == nil {
            guard let collection = schema.collection(key.collection) else { continue }
            let select = try statement("SELECT rid FROM \(collection.name) WHERE id = ? AND space = ?")
            select.bind(1, key.id.bytes)
            select.bind(2, key.space)
            if try select.step() { out[key] = select.int(0) }
            select.reset()
        }
        return out
    }

    /// What a row of the table of records is named; `nil` where there is no such row or no such name.
    private func key(of rid: Int64) throws -> Verification.RecordKey? {
        let select = try statement("SELECT id, space, collection FROM record WHERE rid = ?")
        select.bind(1, rid)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return RecordID(bytes: select.bytes(0)).map {
            Verification.RecordKey(space: select.int(1), collection: select.number(2), id: $0)
        }
    }

    /// Gives a row back its name.
    private func rename(_ rid: Int64, _ key: Verification.RecordKey) throws {
        let update = try statement("UPDATE record SET id = ?, space = ?, collection = ? WHERE rid = ?")
        update.bind(1, key.id.bytes)
        update.bind(2, key.space)
        update.bind(3, key.collection)
        update.bind(4, rid)
        try update.run()
    }

    private func isFree(_ rid: Int64) throws -> Bool {
        let select = try statement("SELECT 1 FROM record WHERE rid = ?")
        select.bind(1, rid)
        defer { select.reset() }
        return try !select.step()
    }

    /// Writes records anew, in the order of the log, so that each run is read once.
    private func rebuild(
        _ backing: [Verification.RecordKey: [LogEntry]],
        _ rids: [Verification.RecordKey: Int64],
        _ spaces: [Int64: SpaceRow]
    ) throws {
        let ordered = backing.sorted { a, b in (a.key.space, a.value[0].dot) < (b.key.space, b.value[0].dot) }
        for (key, entries) in ordered {
            guard let space = spaces[key.space] else { continue }
            try rebuild(key, entries, rids[key], space)
        }
    }

    private func rebuild(
        _ key: Verification.RecordKey,
        _ entries: [LogEntry],
        _ former: Int64?,
        _ space: SpaceRow
    ) throws {
        let row = try recordRow(key)
        let later = try row.map { try history($0.rid) } ?? []
        let unnoted = entries.filter { !later.contains($0.dot) }
        let first =
            (unnoted.count == 1 ? unnoted[0] : nil) ?? entries.first { $0.dot == row?.first }
            ?? entries.first { $0.place >= 0 } ?? entries.min { ($0.timestamp, $0.dot) < ($1.timestamp, $1.dot) }!
        if row == nil {
            let insert = try statement(
                "INSERT INTO record(rid, id, space, collection, author, seq, entry, meta) VALUES (?, ?, ?, ?, 0, 0, 0, x'')"
            )
            if let former, try isFree(former) { insert.bind(1, former) } else { insert.bindNull(1) }
            insert.bind(2, key.id.bytes)
            insert.bind(3, key.space)
            insert.bind(4, key.collection)
            try insert.run()
        }
        guard let rid = try recordRow(key)?.rid else { return }
        let update = try statement("UPDATE record SET author = ?, seq = ?, entry = ? WHERE rid = ?")
        update.bind(1, first.dot.author)
        update.bind(2, first.dot.seq)
        update.bind(3, first.place)
        update.bind(4, rid)
        try update.run()
        try deleteRows(of: rid, in: ["history"])
        for entry in entries where entry.dot != first.dot {
            let insert = try statement("INSERT INTO history(rid, author, seq) VALUES (?, ?, ?)")
            insert.bind(1, rid)
            insert.bind(2, entry.dot.author)
            insert.bind(3, entry.dot.seq)
            try insert.run()
        }
        let collection = schema.collection(key.collection)
        if let collection {
            try deleteRows(of: rid, in: [collection.name])
            let insert = try statement("INSERT INTO \(collection.name)(rid, id, space) VALUES (?, ?, ?)")
            insert.bind(1, rid)
            insert.bind(2, key.id.bytes)
            insert.bind(3, key.space)
            try insert.run()
        }
        try rederive(rid, RecordMeta(), space)
        if let collection, SchemaTables.hasSearch(collection) { try updateSearch(rid, collection) }
    }

    func dropRecord(_ key: Verification.RecordKey) throws {
        guard let rid = try recordRow(key)?.rid else { return }
        let typed = schema.collection(key.collection).map { [$0.name] } ?? []
        try deleteRows(of: rid, in: ["item", "sibling", "conflict", "history", "record"] + typed)
    }

    private func deleteRows(of rid: Int64, in tables: [String]) throws {
        for table in tables {
            let delete = try statement("DELETE FROM \(table) WHERE rid = ?")
            delete.bind(1, rid)
            try delete.run()
        }
    }

    /// Each table that hangs on the records, with the condition on those of its rows that hang on none.
    var orphanQueries: [(table: String, condition: String)] {
        ["item", "sibling", "conflict", "history"].map { ($0, "rid NOT IN (SELECT rid FROM record)") }
            + schema.collections.map {
                ($0.name, "rid NOT IN (SELECT rid FROM record WHERE collection = \($0.number))")
            }
    }

    // MARK: - Sums

    private func liveSum(_ space: SpaceRow) throws -> SpaceDigest {
        var sum = SpaceDigest()
        try forEachSum(in: space.id, .all) { sum += $1 }
        return sum
    }

    private func sumUp(_ space: SpaceRow) throws {
        let sum = try liveSum(space)
        if sum != space.digest { space.add(sum - space.digest) }
    }

    // MARK: - Runs

    /// Whether a change is in the log and takes effect, by the log alone.
    func isLoggedInEffect(_ dot: LocalDot, _ space: Int64) throws -> Bool {
        let select = try statement(
            "SELECT last FROM run WHERE space = ? AND author = ? AND first <= ? ORDER BY first DESC LIMIT 1"
        )
        select.bind(1, space)
        select.bind(2, dot.author)
        select.bind(3, dot.seq)
        guard try select.step() else { return false }
        let last = select.unsigned(0)
        select.reset()
        return try dot.seq <= last && dot.seq < withheld(space, dot.author) ?? .max
    }

    /// Whether a change in effect wrote on a record.
    func isBacked(_ id: RecordID, _ space: Int64, _ collection: UInt32, _ dot: LocalDot) throws -> Bool {
        guard try isLoggedInEffect(dot, space), let change = loggedChange(dot, space) else { return false }
        return change.payload.entries.contains { $0.id == id && $0.shape.collection == collection && !$0.isErased }
    }

    /// A change by this store's numbers; `nil` where there is none, or its run cannot be read.
    func loggedChange(_ dot: LocalDot, _ space: Int64) -> Change? {
        guard let name = try? spaceName(space), let row = try? self.space(name),
            let run = try? run(row, dot.author, containing: dot.seq)
        else { return nil }
        return run.changes.first { $0.header.dot.seq == dot.seq }
    }

    /// Puts a peer's copy in the place of a run that is lost: between what was before it and what follows.
    package func putBack(_ envelope: RunEnvelope) throws -> Bool {
        guard let space = try space(envelope.space), 1...Seal.changesMax ~= envelope.count,
            1...Chain.seqMax ~= envelope.first
        else { return false }
        // What it ends with tells the branch that it belongs to.
        return try parts(of: envelope.replica, in: space).contains { try fillGap(envelope, space, $0) }
    }

    /// Puts a peer's copy in the place of a run whose stored bytes or seal are damaged.
    ///
    /// It is taken only where its seals are its author's, it follows the chain before it, and it ends with the hash that
    /// the next run, or the chain, names: then it is the run that was here. The peer's log may be cut into other runs, so
    /// that several hold what one does here, or one holds more.
    ///
    /// - Parameter pieces: runs that follow each other and hold all of the damaged one.
    package func replaceRun(_ place: RunPlace, with pieces: [RunEnvelope]) throws -> Bool {
        guard let space = try space(place.space), let author = try knownAuthor(place.replica),
            let stored = try storedRun(space.no, author, from: place.first), stored.first == place.first,
            let key = try signingKey(of: place.replica.device), let begin = pieces.first?.first,
            var chain = try chain(before: begin, of: stored, space, author)
        else { return false }
        let sealing = try sealingName(of: author, in: space.no)
        var run = RunDecoder.Run()
        var seals: [UInt64: [UInt8]] = [:]
        for piece in pieces {
            guard piece.space == place.space, piece.replica == sealing, piece.first == chain.seq + 1,
                let decoded = try? RunDecoder.decode(
                    piece.body,
                    count: piece.count,
                    in: context(piece.space, place.replica, chain)
                ),
                key.hasSealed(decoded.chain, piece.space, piece.replica, piece.signature)
            else { return false }
            for change in decoded.changes where stored.first...stored.last ~= change.header.dot.seq {
                try chain.advance(by: change.header, hash: change.hash)
                run.changes.append(change)
                run.chain = chain
            }
            run.blocks += decoded.blocks
            seals[decoded.chain.seq] = piece.signature
            chain = decoded.chain
        }
        let next = try storedRun(space.no, author, from: stored.last + 1)
        let end = try next.map { try decodeChain($0.base) } ?? chainRow(space, author).chain
        guard run.chain.seq == stored.last, end.hash == run.chain.hash,
            // Where the peer's runs do not end with this one, the seal that is here has to be right.
            let seal = seals[stored.last] ?? stored.signature,
            key.hasSealed(run.chain, place.space, sealing, seal)
        else { return false }
        let isSame = pieces.count == 1 && pieces[0].first == stored.first && pieces[0].last == stored.last
        guard let body = isSame ? pieces[0].body : try? run.encoded() else { return false }
        func write(_ body: [UInt8]) throws {
            let update = try statement("UPDATE run SET signature = ?, body = ? WHERE no = ?")
            update.bind(1, seal)
            update.bind(2, body)
            update.bind(3, stored.no)
            try update.run()
            decodedRuns.removeAll()
        }
        try write(body)
        // The peer may not have heard yet of what is erased; what stands around the run can be written anew only now.
        if let kept = try kept(run, space, author) {
            try write(kept.body)
            try giveUp(kept, space)
        }
        return true
    }

    /// Where an author's chain stood before a change that stands at the beginning of a stored run or before it; `nil`
    /// where it is behind that, or what holds it cannot be read.
    private func chain(
        before seq: UInt64,
        of stored: StoredRun,
        _ space: SpaceRow,
        _ author: UInt32
    ) throws -> Chain? {
        if seq == stored.first {
            guard let base = try? decodeChain(stored.base), base.seq + 1 == seq else { return nil }
            return base
        }
        if let branch = try branches(in: space.no)?.byAuthor[author], seq < branch.first {
            // A peer's run may begin before the fork.
            return try chain(before: seq, of: stored, space, branch.parent)
        }
        guard seq < stored.first, let run = try? run(space, author, containing: seq),
            let place = run.changes.firstIndex(where: { $0.header.dot.seq == seq })
        else { return nil }
        return try? chain(in: run, space, author, before: place)
    }

    /// The last number of the run that begins at a place.
    package func lastNumber(of place: RunPlace) throws -> UInt64? {
        guard let space = try space(place.space), let author = try knownAuthor(place.replica),
            let stored = try storedRun(space.no, author, from: place.first), stored.first == place.first
        else { return nil }
        return stored.last
    }

    /// The sealed run that holds an author's change of some number.
    package func sealedRun(_ place: RunPlace) throws -> RunEnvelope? {
        guard let space = try space(place.space), let author = try knownAuthor(place.replica) else { return nil }
        let select = try statement(
            "SELECT no, last FROM run WHERE space = ? AND author = ? AND first <= ? ORDER BY first DESC LIMIT 1"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, place.first)
        guard try select.step() else { return nil }
        let (no, last) = (select.int(0), select.unsigned(1))
        select.reset()
        return place.first <= last ? try run(no) : nil
    }
}
