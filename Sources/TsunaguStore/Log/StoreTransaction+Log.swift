// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
package import TsunaguCore

extension StoreTransaction {
    // MARK: - Vectors

    /// What was received of a space, by author.
    package func vector(of id: SpaceID) throws -> [VectorEntry] {
        guard let space = try space(id) else { return [] }
        let select = try statement("SELECT author, state FROM chain WHERE space = ?")
        select.bind(1, space.no)
        var states: [UInt32: [UInt8]] = [:]
        while try select.step() { states[select.number(0)] = select.bytes(1) }
        var ends = try states.mapValues { try decodeEnd($0) }
        for (key, row) in chains where key.space == space.no {
            ends[key.author] = ChainEnd(seq: row.chain.seq, hash: row.chain.hash)
        }
        return try ends.filter { $0.value.seq > 0 }
            .map { VectorEntry(replica: try replica($0.key), seq: $0.value.seq, hash: $0.value.hash) }
            .sorted { $0.replica < $1.replica }
    }

    /// What is in effect: what was received, less what is quarantined.
    package func inEffect(_ id: SpaceID) throws -> VersionVector {
        let received = try vector(of: id)
        return VersionVector(
            Dictionary(uniqueKeysWithValues: received.map { ($0.replica, $0.seq) }),
            exceptions: try exceptions(id)
        )
    }

    func exceptions(_ id: SpaceID) throws -> [VersionVector.Exception] {
        guard let space = try space(id) else { return [] }
        if let known = exceptionCache[space.no] { return known }
        let select = try statement("SELECT author, first FROM withheld WHERE space = ?")
        select.bind(1, space.no)
        var rows: [(author: UInt32, first: UInt64)] = []
        while try select.step() { rows.append((select.number(0), select.unsigned(1))) }
        let out = try rows.map { row in
            let last = try chainRow(space, row.author).chain.seq
            return VersionVector.Exception(replica: try replica(row.author), first: row.first, last: last)
        }.sorted()
        exceptionCache[space.no] = out
        return out
    }

    /// The number from which on an author's chain is not in effect; `nil` where all of it is.
    func withheld(_ space: Int64, _ author: UInt32) throws -> UInt64? {
        let select = try statement("SELECT first FROM withheld WHERE space = ? AND author = ?")
        select.bind(1, space)
        select.bind(2, author)
        defer { select.reset() }
        return try select.step() ? select.unsigned(0) : nil
    }

    /// Notes from which number on an author's chain is not in effect.
    func setWithheld(_ space: SpaceRow, _ author: UInt32, from first: UInt64?) throws {
        exceptionCache[space.no] = nil
        if let first {
            let insert = try statement("INSERT OR REPLACE INTO withheld(space, author, first) VALUES (?, ?, ?)")
            insert.bind(1, space.no)
            insert.bind(2, author)
            insert.bind(3, first)
            try insert.run()
        } else {
            let delete = try statement("DELETE FROM withheld WHERE space = ? AND author = ?")
            delete.bind(1, space.no)
            delete.bind(2, author)
            try delete.run()
        }
    }

    /// Whether a change is in effect here.
    func isInEffect(_ dot: Dot, _ id: SpaceID) throws -> Bool {
        guard let space = try space(id), let author = try knownAuthor(dot.replica) else { return false }
        guard dot.seq <= (try chainRow(space, author).chain.seq) else { return false }
        return !(try exceptions(id)).contains {
            $0.replica == dot.replica && $0.first <= dot.seq && dot.seq <= $0.last
        }
    }

    /// The first of a vector's changes that is not in the log.
    ///
    /// Whether a cause takes effect is for the grants to say, and its author's word on those is waited for too: what is
    /// in the log and still not in effect was voided, for good or until the grants say otherwise, and holds nobody up.
    ///
    /// - Parameter replicas: whose changes are looked for; everybody's where that is not said.
    func missing(of vector: VersionVector, in id: SpaceID, among replicas: Set<ReplicaID>? = nil) throws -> Dot? {
        for replica in (replicas ?? Set(vector.entries.keys)).sorted() {
            let seq = vector[replica]
            var known: UInt64 = 0
            if let space = try space(id), let author = try knownAuthor(replica) {
                // Behind a fork the name means no change: whoever saw one there had seen one branch or the other.
                if try branches(in: space.no)?.isForked(author) == true { continue }
                known = try chainRow(space, author).chain.seq
            }
            guard known < seq, let first = vector.firstCovered(of: replica, in: known + 1...seq) else { continue }
            return Dot(replica, first)
        }
        return nil
    }

    // MARK: - Appending and reading

    /// - Parameter no: its place in the log; behind everything else where that is not known.
    @discardableResult
    func insertRun(
        _ space: SpaceRow,
        _ author: UInt32,
        no: Int64? = nil,
        first: UInt64,
        last: UInt64,
        base: [UInt8],
        signature: [UInt8]?,
        body: [UInt8]
    ) throws -> Int64 {
        let insert = try statement(
            """
            INSERT INTO run(space, author, first, last, base, signature, body, no) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """
        )
        insert.bind(1, space.no)
        insert.bind(2, author)
        insert.bind(3, first)
        insert.bind(4, last)
        insert.bind(5, base)
        if let signature { insert.bind(6, signature) } else { insert.bindNull(6) }
        insert.bind(7, body)
        if let no { insert.bind(8, no) } else { insert.bindNull(8) }
        try insert.run()
        // An exception ends where its chain does.
        exceptionCache[space.no] = nil
        return db.lastInsertedRowID
    }

    func insertSeed(_ space: SpaceRow, _ author: UInt32, _ block: RunEncoder.Block) throws {
        let insert = try statement("INSERT OR IGNORE INTO seed(space, author, start, seed) VALUES (?, ?, ?, ?)")
        insert.bind(1, space.no)
        insert.bind(2, author)
        insert.bind(3, block.start)
        insert.bind(4, block.seed?.bytes ?? [])
        try insert.run()
    }

    /// The block that a change belongs to.
    func block(_ space: SpaceRow, _ author: UInt32, _ seq: UInt64) throws -> RunEncoder.Block? {
        let select = try statement(
            "SELECT start, seed FROM seed WHERE space = ? AND author = ? AND start <= ? ORDER BY start DESC LIMIT 1"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, seq)
        defer { select.reset() }
        guard try select.step() else { return nil }
        return RunEncoder.Block(start: select.unsigned(0), seed: Bytes16(select.bytes(1)))
    }

    /// What a decoder has to know of a chain, or of a branch of one.
    ///
    /// - Parameter readings: the ways in which names behind a fork are tried; the one that is stored where it is `nil`.
    func context(
        _ id: SpaceID,
        _ replica: ReplicaID,
        _ chain: Chain,
        _ readings: Readings? = nil
    ) -> RunDecoder.Context {
        let own = try? knownAuthor(replica)
        let author = own.flatMap { own in (try? space(id)).flatMap { try? sealingName(of: own, in: $0.no) } } ?? replica
        return RunDecoder.Context(space: id, author: author, name: replica, chain: chain) {
            dot,
            entry throws(CodecError) in
            // A failure to read the log shows as a reference that leads nowhere.
            guard let space = try? self.space(id), let change = try? self.change(space, dot, for: own, readings)
            else { return nil }
            return try change.payload.createdID(entry)
        }
    }

    /// The decoded run that holds a change; few are kept, since neighbours are asked for together.
    func run(_ space: SpaceRow, _ author: UInt32, containing seq: UInt64) throws -> RunDecoder.Run? {
        let select = try statement(
            """
            SELECT no, first, last, base, body FROM run
            WHERE space = ? AND author = ? AND first <= ? ORDER BY first DESC LIMIT 1
            """
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, seq)
        guard try select.step() else { return nil }
        let (no, first, last) = (select.int(0), select.unsigned(1), select.unsigned(2))
        if seq > last || decodedRuns[no] != nil {
            select.reset()
            return seq > last ? nil : decodedRuns[no]
        }
        let (base, body) = (select.bytes(3), select.bytes(4))
        select.reset()
        let run = try decode(body, base: base, first: first, last: last, space, author)
        if decodedRuns.count >= 16 { decodedRuns.removeAll(keepingCapacity: true) }
        decodedRuns[no] = run
        return run
    }

    func decode(
        _ body: [UInt8],
        base: [UInt8],
        first: UInt64,
        last: UInt64,
        _ space: SpaceRow,
        _ author: UInt32
    ) throws -> RunDecoder.Run {
        do {
            return try RunDecoder.decode(
                body,
                count: Int(last - first + 1),
                in: context(space.id, replica(author), decodeChain(base))
            )
        } catch let error as CodecError {
            throw StoreError.damagedLog(space: space.id, replica: try replica(author), seq: first, error)
        }
    }

    // MARK: - Sealing

    /// Puts a seal on everything that this replica wrote, cutting it into runs within the bounds of `Seal`.
    ///
    /// All spaces are cut at the same transactions: whoever holds several of them takes the parts of one together, and
    /// needs no more than one run of each for that.
    ///
    /// - Parameter sign: signs a message with the device's key.
    package func seal(_ sign: ([UInt8]) throws -> [UInt8]) throws {
        for author in try ownUnsealed() { try seal(author, sign) }
    }

    /// Whether everything that this device wrote is sealed.
    package func isSealed() throws -> Bool { try ownUnsealed().isEmpty }

    /// The chains of this device, of former incarnations and branches too, that have rows without a seal.
    private func ownUnsealed() throws -> [UInt32] {
        guard let own = try ownReplica() else { return [] }
        let select = try statement(
            "SELECT DISTINCT author FROM run INDEXED BY run_unsealed WHERE signature IS NULL AND author > 0"
        )
        var authors: [UInt32] = []
        while try select.step() { authors.append(select.number(0)) }
        return try authors.filter { try replica($0).device == own.device }
    }

    private func seal(_ author: UInt32, _ sign: ([UInt8]) throws -> [UInt8]) throws {
        let select = try statement(
            "SELECT no, space FROM run INDEXED BY run_unsealed WHERE signature IS NULL AND author = ? ORDER BY no"
        )
        select.bind(1, author)
        var numbers: [(no: Int64, space: Int64)] = []
        while try select.step() { numbers.append((select.int(0), select.int(1))) }
        var cut = Cut()
        var transaction: [Cut.Row] = []
        for (no, number) in numbers {
            guard let space = try space(try spaceName(number)) else { continue }
            let (base, run) = try unsealed(no, space, author)
            let row = Cut.Row(no: no, space: space.id, base: base, run: run)
            if let id = row.transaction, id == transaction.last?.transaction {
                transaction.append(row)
                continue
            }
            try add(transaction, to: &cut, author, sign)
            transaction = [row]
        }
        try add(transaction, to: &cut, author, sign)
        try seal(cut, author, sign)
    }

    /// Adds the rows of a transaction to what is sealed at once, which is sealed before where they do not fit.
    private func add(
        _ transaction: [Cut.Row],
        to cut: inout Cut,
        _ author: UInt32,
        _ sign: ([UInt8]) throws -> [UInt8]
    ) throws {
        if !cut.takes(transaction) {
            try seal(cut, author, sign)
            cut = Cut()
        }
        cut.append(transaction)
    }

    /// What is sealed at once: a run of each space.
    private struct Cut {
        struct Row {
            let no: Int64
            let space: SpaceID
            let base: [UInt8]
            let run: RunDecoder.Run

            var transaction: Bytes16? { run.changes.last?.header.transaction?.id }
            var bytes: Int { run.changes.reduce(0) { $0 + $1.sealedBytes } }
        }

        private(set) var spaces: [SpaceID: Unsealed] = [:]
        private var changes = 0
        private var bytes = 0

        /// Whether further rows stay within the bounds of `Seal` and within what a decoder takes.
        func takes(_ rows: [Row]) -> Bool {
            changes == 0
                || changes + rows.reduce(0) { $0 + $1.run.changes.count } <= Seal.changesMax
                    && bytes + rows.reduce(0) { $0 + $1.bytes } <= Seal.bytesMax
                    && rows.allSatisfy { spaces[$0.space]?.takes($0.run) != false }
        }

        mutating func append(_ rows: [Row]) {
            for row in rows {
                spaces[row.space, default: Unsealed()].append(row.no, row.base, row.run)
                changes += row.run.changes.count
                bytes += row.bytes
            }
        }
    }

    /// Rows of the log that become one run.
    private struct Unsealed {
        var rows: [Int64] = []
        var base: [UInt8] = []
        var run = RunDecoder.Run()
        private var shapes: Set<Shape> = []

        /// Whether a decoder takes a further row's shapes.
        func takes(_ next: RunDecoder.Run) -> Bool {
            shapes.union(next.changes.flatMap { $0.payload.entries.map(\.shape) }).count <= RunDecoder.shapesMax
        }

        mutating func append(_ no: Int64, _ base: [UInt8], _ next: RunDecoder.Run) {
            if rows.isEmpty { self.base = base }
            rows.append(no)
            for change in next.changes { shapes.formUnion(change.payload.entries.map(\.shape)) }
            run.changes += next.changes
            run.chain = next.chain
            for block in next.blocks where run.blocks.last != block { run.blocks.append(block) }
        }
    }

    private func unsealed(
        _ no: Int64,
        _ space: SpaceRow,
        _ author: UInt32
    ) throws -> (base: [UInt8], run: RunDecoder.Run) {
        let select = try statement("SELECT first, last, base, body FROM run WHERE no = ?")
        select.bind(1, no)
        guard try select.step() else { preconditionFailure("row \(no) of the log was listed a moment ago") }
        let (first, last) = (select.unsigned(0), select.unsigned(1))
        let (base, body) = (select.bytes(2), select.bytes(3))
        select.reset()
        return (base, try decode(body, base: base, first: first, last: last, space, author))
    }

    private func seal(_ cut: Cut, _ author: UInt32, _ sign: ([UInt8]) throws -> [UInt8]) throws {
        for (id, group) in cut.spaces.sorted(by: { $0.key < $1.key }) {
            guard let space = try space(id) else { continue }
            try seal(group, space, try sealingName(of: author, in: space.no), sign)
            var row = try chainRow(space, author)
            // What came back from others under a later seal may stand behind these rows already.
            row.sealed = max(row.sealed, group.run.chain.seq)
            setChainRow(row, space, author)
        }
    }

    /// Makes one sealed run of some unsealed rows.
    private func seal(
        _ group: Unsealed,
        _ space: SpaceRow,
        _ own: ReplicaID,
        _ sign: ([UInt8]) throws -> [UInt8]
    ) throws {
        guard let kept = group.rows.last else { return }
        let signature = try sign(
            Seal.message(space: space.id, replica: own, seq: group.run.chain.seq, hash: group.run.chain.hash)
        )
        if group.rows.count == 1 {
            let update = try statement("UPDATE run SET signature = ? WHERE no = ?")
            update.bind(1, signature)
            update.bind(2, kept)
            return try update.run()
        }
        let body = try group.run.encoded()
        let delete = try statement("DELETE FROM run WHERE no = ?")
        for no in group.rows.dropLast() {
            delete.bind(1, no)
            try delete.run()
        }
        // The last row's place in the log: whatever one of the changes depends on stands before it.
        let update = try statement("UPDATE run SET first = ?, base = ?, signature = ?, body = ? WHERE no = ?")
        update.bind(1, group.run.changes[0].header.dot.seq)
        update.bind(2, group.base)
        update.bind(3, signature)
        update.bind(4, body)
        update.bind(5, kept)
        try update.run()
        decodedRuns.removeAll()
    }

    // MARK: - Sending

    /// The rows of the sealed runs that a peer lacks, in an order that respects causality: that of their arrival here.
    ///
    /// - Parameter known: how far the peer's copy of each author's chain goes.
    /// - Complexity: proportional to what is lacking, by the index on (space, author, first).
    package func runs(of id: SpaceID, lacking known: [ReplicaID: UInt64]) throws -> [Int64] {
        guard let space = try space(id) else { return [] }
        let select = try statement(
            """
            SELECT no FROM run WHERE space = ?1 AND author = ?2 AND last > ?3 AND signature IS NOT NULL AND first >=
            coalesce((SELECT max(first) FROM run WHERE space = ?1 AND author = ?2 AND first <= ?3 + 1), 0)
            """
        )
        var rows: [Int64] = []
        for entry in try vector(of: id) where entry.seq > known[entry.replica] ?? 0 {
            select.bind(1, space.no)
            select.bind(2, try author(entry.replica))
            select.bind(3, known[entry.replica] ?? 0)
            while try select.step() { rows.append(select.int(0)) }
        }
        if Mutant.lastRunStaysBehind.isPlanted { return Array(rows.sorted().dropLast()) }
        return rows.sorted()
    }

    /// The sealed runs of `system` that hold some changes, with all that these rest on, as far as somebody lacks them;
    /// causes first.
    ///
    /// A run is taken in whole or not at all, so what the rest of such a run rests on is among them.
    package func runs(holding dots: [Dot], lacking known: [ReplicaID: UInt64]) throws -> [Int64] {
        guard let space = try space(.system) else { return [] }
        var ends: [ReplicaID: UInt64] = [:]
        var open = dots
        while let dot = open.popLast() {
            guard dot.seq > ends[dot.replica] ?? 0,
                let run = try run(space, author(dot.replica), containing: dot.seq),
                let last = run.changes.last?.header.dot.seq,
                let causes = try causes(of: Dot(dot.replica, last), in: .system)
            else { continue }
            ends[dot.replica] = last
            open += causes.entries.map { Dot($0.key, $0.value) }
        }
        let needed = try Dictionary(uniqueKeysWithValues: ends.map { (try author($0.key), $0.value) })
        let select = try statement("SELECT author, first FROM run WHERE no = ?")
        return try runs(of: .system, lacking: known).filter { row in
            select.bind(1, row)
            defer { select.reset() }
            return try select.step() && select.unsigned(1) <= needed[select.number(0)] ?? 0
        }
    }

    /// A sealed run of the log.
    package func run(_ no: Int64) throws -> RunEnvelope? {
        let select = try statement("SELECT space, author, first, last, signature, body FROM run WHERE no = ?")
        select.bind(1, no)
        guard try select.step(), !select.isNull(4) else { return nil }
        let (space, author) = (select.int(0), select.number(1))
        let (first, last) = (select.unsigned(2), select.unsigned(3))
        let (signature, body) = (select.bytes(4), select.bytes(5))
        select.reset()
        let run = RunEnvelope(
            space: try spaceName(space),
            replica: try sealingName(of: author, in: space),
            first: first,
            count: Int(last - first + 1),
            signature: signature,
            body: body
        )
        return try sealedWhole(run, author, no)
    }
}

extension RunDecoder.Run {
    /// The run's body.
    ///
    /// - Throws: where a reader would not take it: cut or spelled otherwise than it came, a run may be longer.
    func encoded() throws(CodecError) -> [UInt8] {
        let body = RunEncoder.encodeIfItFits(changes) { seq in blocks.last { $0.start <= seq } ?? blocks[0] }
        guard let body else { throw .invalid("too large to be cut anew") }
        return body
    }
}
