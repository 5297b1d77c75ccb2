// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What the log counts and does not hold: rows of spaces, and runs.
extension StoreTransaction {
    // MARK: - Spaces

    /// The numbers of spaces that have a log and no row with a name.
    func lostSpaces() throws -> Set<Int64> {
        let logged = try statement("SELECT DISTINCT space FROM chain UNION SELECT DISTINCT space FROM run")
        var out: Set<Int64> = []
        while try logged.step() { out.insert(logged.int(0)) }
        let named = try statement("SELECT no, name FROM space")
        while try named.step() {
            if SpaceID(named.text(1)) != nil { out.remove(named.int(0)) }
        }
        return out
    }

    /// The name under which the log of a space is sealed, or chained; `nil` where no name that is known here fits.
    func sealedName(of no: Int64) throws -> SpaceID? {
        let names = try knownNames().filter { try space($0) == nil }
        for author in try authors(of: no) {
            guard let replica = try? replica(author), let run = try storedRun(no, author, from: 0),
                let end = try notedEnd(of: run, no, author)
            else { continue }
            let key = try signingKey(of: replica.device)
            let name = names.first { name in
                if let signature = run.signature {
                    return (try? sealingName(of: author, in: no)).map {
                        key?.hasSealed(end, name, $0, signature) == true
                    } ?? false
                }
                guard run.first == 1, run.last <= UInt64(Seal.changesMax) else { return false }
                let decoded = try? RunDecoder.decode(
                    run.body,
                    count: Int(run.last),
                    in: context(name, replica, Chain())
                )
                return decoded?.chain.hash == end.hash
            }
            if let name { return name }
        }
        return nil
    }

    /// The spaces that this site's schema, the grants and the spaces' own foundings name.
    private func knownNames() throws -> [SpaceID] {
        var names: Set<SpaceID> = [.system]
        names.formUnion(schema.collections.compactMap { SpaceID($0.spaces) })
        for grant in try currentAccess()?.grants.values.flatMap(\.self) ?? [] {
            names.formUnion(grant.spaces.compactMap { SpaceID($0) })
        }
        let founded = try statement("SELECT name FROM \(SystemSchema.spaceInfo.name)")
        while try founded.step() {
            if let name = SpaceID(founded.text(0)) { names.insert(name) }
        }
        return names.sorted()
    }

    /// Where the chain stands behind a run, as the next run or the chain's own row has it.
    private func notedEnd(of run: StoredRun, _ space: Int64, _ author: UInt32) throws -> Chain? {
        let next = try storedRun(space, author, from: run.last + 1)
        let end = try next.map { try? decodeChain($0.base) } ?? notedChain(space, author)
        return end?.seq == run.last ? end : nil
    }

    /// Gives spaces that lost their rows their names back; their sums are worked out by ``repairTables()``.
    ///
    /// - Returns: how many there were.
    func nameLostSpaces() throws -> Int {
        var count = 0
        for no in try lostSpaces() {
            guard let name = try sealedName(of: no) else { continue }
            let insert = try statement("INSERT OR REPLACE INTO space(no, name, digest) VALUES (?, ?, ?)")
            insert.bind(1, no)
            insert.bind(2, name.name)
            insert.bind(3, SpaceDigest().bytes)
            try insert.run()
            count += 1
        }
        return count
    }

    // MARK: - Runs

    private static let hasLostChanges = "has_lost_changes"

    /// Changes that chains count and of which no run is here.
    ///
    /// What is lost at a chain's end is seen at once; further up it is looked for once a whole check has met with it.
    package func lostChanges() throws -> [LostChanges] {
        let isThorough = try meta(Self.hasLostChanges) != nil
        return try spaces().flatMap { id in
            guard let space = try space(id) else { return [LostChanges]() }
            return try chainedAuthors(space).flatMap { try lostChanges(space, $0, isThorough: isThorough) }
        }
    }

    /// Remembers whether a whole check met with lost changes, so that every exchange looks for them.
    ///
    /// - Returns: those that are lost.
    @discardableResult
    package func noteLostChanges() throws -> [LostChanges] {
        try setMeta(Self.hasLostChanges, .integer(1))
        let lost = try lostChanges()
        if lost.isEmpty {
            let delete = try statement("DELETE FROM meta WHERE key = ?")
            delete.bind(1, Self.hasLostChanges)
            try delete.run()
        }
        return lost
    }

    private func chainedAuthors(_ space: SpaceRow) throws -> [UInt32] {
        let select = try statement("SELECT author FROM chain WHERE space = ?")
        select.bind(1, space.no)
        var out: [UInt32] = []
        while try select.step() { out.append(select.number(0)) }
        return out
    }

    private func lostChanges(_ space: SpaceRow, _ author: UInt32, isThorough: Bool) throws -> [LostChanges] {
        let replica = try replica(author)
        var out: [LostChanges] = []
        var next = try firstSeq(author, in: space.no)
        let runs = try statement(
            isThorough
                ? "SELECT first, last FROM run WHERE space = ? AND author = ? ORDER BY first"
                : "SELECT first, last FROM run WHERE space = ? AND author = ? ORDER BY first DESC LIMIT 1"
        )
        runs.bind(1, space.no)
        runs.bind(2, author)
        while try runs.step() {
            let (first, last) = (runs.unsigned(0), runs.unsigned(1))
            if isThorough, first > next {
                out.append(LostChanges(space: space.id, replica: replica, numbers: next...first - 1))
            }
            next = max(next, last &+ 1)
        }
        if let end = try notedChain(space.no, author)?.seq, end >= next, end <= Chain.seqMax {
            out.append(LostChanges(space: space.id, replica: replica, numbers: next...end))
        }
        return out
    }

    /// The records that lost changes wrote on.
    package func records(touchedBy lost: LostChanges) throws -> [RecordID] {
        guard let space = try space(lost.space), let author = try knownAuthor(lost.replica) else { return [] }
        let select = try statement(
            """
            SELECT id FROM record WHERE space = ?1 AND author = ?2 AND seq BETWEEN ?3 AND ?4 UNION
            SELECT id FROM history JOIN record USING (rid)
            WHERE space = ?1 AND history.author = ?2 AND history.seq BETWEEN ?3 AND ?4
            """
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, lost.numbers.lowerBound)
        select.bind(4, lost.numbers.upperBound)
        var out: [RecordID] = []
        while try select.step() {
            if let id = RecordID(bytes: select.bytes(0)) { out.append(id) }
        }
        return out
    }

    /// Puts a peer's copy of a run where one is lost, or some of what is lost.
    ///
    /// It is taken only where its seal is its author's, it follows the chain before it, and where it closes the gap it
    /// ends with the hash that the next run, or the chain, names.
    func fillGap(_ envelope: RunEnvelope, _ space: SpaceRow, _ author: UInt32) throws -> Bool {
        guard let key = try signingKey(of: envelope.replica.device),
            let base = try chain(before: envelope.first, space, author)
        else { return false }
        let next = try storedRun(space.no, author, from: envelope.first)
        guard let end = try next.map({ try? decodeChain($0.base) }) ?? notedChain(space.no, author),
            envelope.last <= end.seq,
            let decoded = try? RunDecoder.decode(
                envelope.body,
                count: envelope.count,
                in: context(envelope.space, replica(author), base)
            ),
            key.hasSealed(decoded.chain, envelope.space, envelope.replica, envelope.signature),
            envelope.last < end.seq || decoded.chain.hash == end.hash
        else { return false }
        // The peer may not have heard yet of what is erased.
        for block in decoded.blocks { try insertSeed(space, author, block) }
        let kept = try kept(decoded, space, author)
        try insertRun(
            space,
            author,
            no: try formerRow(decoded.chain, space, author, after: envelope.first),
            first: envelope.first,
            last: envelope.last,
            base: try encode(base),
            signature: envelope.signature,
            body: kept?.body ?? envelope.body
        )
        if let kept { try giveUp(kept, space) }
        try insertParts(of: decoded.changes, space, author)
        return true
    }

    /// Where an author's chain stands before a number, by the run that ends there.
    private func chain(before first: UInt64, _ space: SpaceRow, _ author: UInt32) throws -> Chain? {
        if try first == firstSeq(author, in: space.no) { return try origin(of: author, space) }
        guard let run = try? run(space, author, containing: first - 1), run.chain.seq == first - 1 else { return nil }
        return run.chain
    }

    /// The first free row behind a run's causes: what depends on it stands behind its own former row, which is free.
    private func formerRow(_ end: Chain, _ space: SpaceRow, _ author: UInt32, after first: UInt64) throws -> Int64 {
        var row = first > 1 ? try self.row(space, author, first - 1) : 0
        for (id, deps) in [(space.id, end.deps), (.system, end.systemDeps)] {
            guard let space = try self.space(id) else { continue }
            for (replica, seq) in deps.entries {
                guard let author = try knownAuthor(replica) else { continue }
                row = max(row, try self.row(space, author, seq))
            }
        }
        let isTaken = try statement("SELECT 1 FROM run WHERE no = ?")
        while true {
            row += 1
            isTaken.bind(1, row)
            guard try isTaken.step() else { return row }
            isTaken.reset()
        }
    }

    /// The row of the log that holds a change; 0 where there is none.
    private func row(_ space: SpaceRow, _ author: UInt32, _ seq: UInt64) throws -> Int64 {
        let select = try statement(
            "SELECT no FROM run WHERE space = ? AND author = ? AND first <= ? AND last >= ? ORDER BY first DESC LIMIT 1"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, seq)
        select.bind(4, seq)
        defer { select.reset() }
        return try select.step() ? select.int(0) : 0
    }
}
