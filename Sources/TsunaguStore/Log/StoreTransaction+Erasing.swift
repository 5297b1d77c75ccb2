// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Erasing what records hold: their content leaves the tables and the log, whose hashes and seals stay what they were.
///
/// What is erased follows from the receipts in the log and who was ever made an admin, and only ever grows: neither a
/// revocation nor a receipt's being out of effect brings anything back.
extension StoreTransaction {
    /// A record of a space, as a receipt names it.
    struct ErasedKey: Hashable {
        let collection: UInt32
        let id: RecordID
    }

    /// Whether a record's content is erased; nothing that is written on it stays.
    package func isErased(_ collection: CollectionSchema, _ id: RecordID, in space: SpaceID) throws -> Bool {
        guard let space = try self.space(space) else { return false }
        return try erasedKeys(space).contains(ErasedKey(collection: collection.number, id: id))
    }

    /// The changes that count of those which erased a record.
    func receipts(of key: ErasedKey, _ space: SpaceRow) throws -> [Dot] {
        let select = try statement(
            "SELECT author, seq FROM erased WHERE space = ? AND collection = ? AND id = ? AND counts = 1"
        )
        select.bind(1, space.no)
        select.bind(2, key.collection)
        select.bind(3, key.id.bytes)
        var out: [(author: UInt32, seq: UInt64)] = []
        while try select.step() { out.append((select.number(0), select.unsigned(1))) }
        return try out.map { Dot(try replica($0.author), $0.seq) }
    }

    private func erasedKeys(_ space: SpaceRow) throws -> Set<ErasedKey> {
        if let known = erasedCache[space.no] { return known }
        let select = try statement("SELECT collection, id FROM erased WHERE space = ? AND counts = 1")
        select.bind(1, space.no)
        var out: Set<ErasedKey> = []
        while try select.step() {
            if let id = RecordID(bytes: select.bytes(1)) {
                out.insert(ErasedKey(collection: select.number(0), id: id))
            }
        }
        erasedCache[space.no] = out
        return out
    }

    // MARK: - Receipts

    /// The records that receipts in some changes name.
    func receipts(in change: Change, _ space: SpaceRow) throws -> Set<ErasedKey> {
        // Who belongs to the ward, and its secrets, are not a record's content.
        guard space.id != .system else { return [] }
        return Set(
            try values(of: SystemSchema.erasure, in: change).compactMap { _, values in
                guard let number = values[1]?.integer, let collection = UInt32(exactly: number),
                    collection >= SystemSchema.numbersEnd, let text = values[2]?.text,
                    let id = RecordID(hex: text.string), ExactText(id.description) == text
                else { return nil }
                return ErasedKey(collection: collection, id: id)
            }
        )
    }

    /// Notes the receipts in changes of an author.
    ///
    /// - Returns: the records that are erased by them.
    func noteErasures(by changes: some Collection<Change>, _ space: SpaceRow, _ author: UInt32) throws -> Set<ErasedKey>
    {
        var out: Set<ErasedKey> = []
        for change in changes {
            for key in try receipts(in: change, space) {
                let counts = try currentAccess()?.mayErase(replica(author).device) == true
                let insert = try statement(
                    "INSERT OR IGNORE INTO erased(space, collection, id, author, seq, counts) VALUES (?, ?, ?, ?, ?, ?)"
                )
                insert.bind(1, space.no)
                insert.bind(2, key.collection)
                insert.bind(3, key.id.bytes)
                insert.bind(4, author)
                insert.bind(5, change.header.dot.seq)
                insert.bind(6, counts ? 1 : 0)
                try insert.run()
                if counts { out.insert(key) }
            }
        }
        if !out.isEmpty { erasedCache[space.no] = nil }
        return out
    }

    /// Erases by receipts whose authors turned out to be admins.
    func judgeErasuresAnew(_ access: Access) throws {
        let select = try statement("SELECT DISTINCT space, author FROM erased WHERE counts = 0")
        var rows: [(space: Int64, author: UInt32)] = []
        while try select.step() { rows.append((select.int(0), select.number(1))) }
        for row in rows where access.mayErase(try replica(row.author).device) {
            guard let space = try space(spaceName(row.space)) else { continue }
            let named = try statement("SELECT collection, id FROM erased WHERE space = ? AND author = ? AND counts = 0")
            named.bind(1, row.space)
            named.bind(2, row.author)
            var keys: Set<ErasedKey> = []
            while try named.step() {
                keys.insert(ErasedKey(collection: named.number(0), id: RecordID(bytes: named.bytes(1))!))
            }
            let update = try statement("UPDATE erased SET counts = 1 WHERE space = ? AND author = ?")
            update.bind(1, row.space)
            update.bind(2, row.author)
            try update.run()
            erasedCache[space.no] = nil
            try erase(keys, in: space)
        }
    }

    // MARK: - What arrives later

    /// A run as it is kept: without what is erased, and without seeds that were given up.
    struct Kept {
        var run: RunDecoder.Run
        var body: [UInt8]
        /// What gives up its seeds because of it.
        fileprivate var blocks: [BlockPlace]
    }

    /// A run that is to be appended, as it is kept.
    ///
    /// - Returns: `nil` where that is the run as it is. Else `giveUp` has to follow, once what is here of the records that
    ///   the run erases has been read: the rest of its blocks loses that too.
    func kept(
        _ run: RunDecoder.Run,
        _ space: SpaceRow,
        _ author: UInt32
    ) throws -> Kept? {
        if Mutant.erasedComesBack.isPlanted { return nil }
        let keys = try erasedKeys(space)
        var out = run
        var isChanged = false
        var opened: [BlockPlace] = []
        for (place, block) in run.blocks.enumerated() {
            let isGivenUp = try isGivenUp(BlockPlace(author: author, start: block.start), space)
            let holdsErased = run.changes.contains { $0.header.blockStart == block.start && $0.holds(keys) }
            guard holdsErased || isGivenUp && block.seed != nil else { continue }
            isChanged = true
            out.blocks[place].seed = nil
            // What another branch gave up is given up here too.
            let isOpen = try self.block(space, author, block.start)?.seed != nil
            if holdsErased || isOpen { opened.append(BlockPlace(author: author, start: block.start)) }
        }
        guard isChanged else { return nil }
        out.changes = run.changes.map { $0.redacted { $0.isOn(keys) } }
        return Kept(run: out, body: try out.encoded(), blocks: opened)
    }

    /// Gives up the seeds of a run's blocks wherever they go on.
    func giveUp(_ kept: Kept, _ space: SpaceRow) throws { try giveUpSeeds(of: kept.blocks, space) }

    /// Tells of what was written on erased records by authors who had not seen the erasure, in effect or not: it may
    /// take effect one day.
    func withdraw(_ changes: some Collection<Change>, _ space: SpaceRow) throws {
        let keys = try erasedKeys(space)
        for change in changes {
            for entry in change.payload.entries where !entry.isErased && entry.isOn(keys) {
                let key = ErasedKey(collection: entry.shape.collection, id: entry.id)
                guard try !wasSeen(change.header.dot, byErasersOf: key, space) else { continue }
                let values = try change.payload.values(of: entry)
                withdrawn.append(
                    WithdrawnEntry(header: change.header, id: entry.id, shape: entry.shape, values: values)
                )
            }
        }
    }

    /// Whether somebody who erased a record had seen a change.
    private func wasSeen(_ dot: Dot, byErasersOf key: ErasedKey, _ space: SpaceRow) throws -> Bool {
        try receipts(of: key, space).contains { try causes(of: $0, in: space.id)?.covers(dot) == true || $0 == dot }
    }

    // MARK: - What is here

    /// Erases the content of records from tables and log.
    func erase(_ keys: Set<ErasedKey>, in space: SpaceRow) throws {
        guard !keys.isEmpty else { return }
        try unstage(space.id)
        try erase(keys, in: space, and: quarantinedBlocks(holding: keys, space))
    }

    /// - Parameter blocks: those that hold what no table names.
    private func erase(_ keys: Set<ErasedKey>, in space: SpaceRow, and others: Set<BlockPlace>) throws {
        var blocks = others
        for key in keys.sorted(by: { ($0.collection, $0.id) < ($1.collection, $1.id) }) {
            guard let (rid, _) = try findRecord(space, key.collection, key.id) else { continue }
            for past in try past(rid) {
                let header = past.header
                blocks.insert(BlockPlace(author: past.entry.dot.author, start: header.blockStart))
                if try wasSeen(header.dot, byErasersOf: key, space) { continue }
                withdrawn.append(
                    WithdrawnEntry(header: header, id: key.id, shape: past.entry.shape, values: past.entry.values)
                )
            }
            space.add(SpaceDigest() - (try storedSum(rid)))
            try dropRecord(Verification.RecordKey(space: space.no, collection: key.collection, id: key.id))
        }
        try giveUpSeeds(of: blocks.sorted { ($0.author, $0.start) < ($1.author, $1.start) }, space)
        arrivals.rework(space.id)
    }

    /// Notes the receipts that the log has and the table has not, and erases what they name wherever it stands.
    func eraseAnew() throws {
        for id in try spaces() {
            guard let space = try space(id) else { continue }
            try forEachChain(of: space) { author, change in
                _ = try noteErasures(by: [change], space, author)
            }
            let keys = try erasedKeys(space)
            var blocks: Set<BlockPlace> = []
            try forEachChain(of: space) { author, change in
                guard change.holds(keys) else { return }
                blocks.insert(BlockPlace(author: author, start: change.header.blockStart))
            }
            if !keys.isEmpty { try erase(keys, in: space, and: blocks) }
        }
    }

    /// All changes of the log of a space with their authors, chain by chain.
    func forEachChain(of space: SpaceRow, _ body: (UInt32, Change) throws -> Void) throws {
        for entry in try vector(of: space.id) {
            let author = try author(entry.replica)
            try forEachRun(space, author, holding: 1..<entry.seq + 1) { run, _ in
                for change in run.changes { try body(author, change) }
            }
        }
    }

    /// Whether a receipt is noted.
    func isNoted(_ receipt: ErasedKey, _ dot: LocalDot, _ space: SpaceRow) throws -> Bool {
        let select = try statement(
            "SELECT 1 FROM erased WHERE space = ? AND collection = ? AND id = ? AND author = ? AND seq = ?"
        )
        select.bind(1, space.no)
        select.bind(2, receipt.collection)
        select.bind(3, receipt.id.bytes)
        select.bind(4, dot.author)
        select.bind(5, dot.seq)
        defer { select.reset() }
        return try select.step()
    }

    /// Whether a change in the log holds what is erased.
    func holdsErased(_ change: Change, _ space: SpaceRow) throws -> Bool { try change.holds(erasedKeys(space)) }

    fileprivate struct BlockPlace: Hashable {
        let author: UInt32
        let start: UInt64
    }

    /// The blocks of changes that are not in effect, so that no table names them.
    private func quarantinedBlocks(holding keys: Set<ErasedKey>, _ space: SpaceRow) throws -> Set<BlockPlace> {
        var out: Set<BlockPlace> = []
        for exception in try exceptions(space.id) {
            let author = try author(exception.replica)
            try forEachRun(space, author, holding: exception.first..<exception.last + 1) { run, _ in
                let quarantined = run.changes.filter { $0.header.dot.seq >= exception.first }
                try withdraw(quarantined, space)
                for change in quarantined where change.holds(keys) {
                    out.insert(BlockPlace(author: author, start: change.header.blockStart))
                }
            }
        }
        return out
    }

    /// Writes the runs of some blocks anew, without what is erased and without the blocks' seeds: a seed and a commitment
    /// would let a short value be guessed.
    private func giveUpSeeds(of blocks: [BlockPlace], _ space: SpaceRow) throws {
        let blocks = try blocks.flatMap { try inAllBranches($0, space) }
        // All of them first, since a run may hold changes of several.
        for block in blocks {
            let update = try statement("UPDATE seed SET seed = x'' WHERE space = ? AND author = ? AND start = ?")
            update.bind(1, space.no)
            update.bind(2, block.author)
            update.bind(3, block.start)
            try update.run()
        }
        for block in blocks { try writeAnew(block, space) }
        decodedRuns.removeAll()
    }

    /// A block goes on in each branch of a chain that forked within it.
    private func inAllBranches(_ place: BlockPlace, _ space: SpaceRow) throws -> [BlockPlace] {
        guard let branches = try branches(in: space.no) else { return [place] }
        return branches.tree(of: branches.root(of: place.author)).map { BlockPlace(author: $0, start: place.start) }
    }

    private func isGivenUp(_ place: BlockPlace, _ space: SpaceRow) throws -> Bool {
        try inAllBranches(place, space).contains { place in
            guard let known = try block(space, place.author, place.start) else { return false }
            return known.start == place.start && known.seed == nil
        }
    }

    private func writeAnew(_ place: BlockPlace, _ space: SpaceRow) throws {
        let author = place.author
        let keys = try erasedKeys(space)
        var next = try max(place.start, firstSeq(author, in: space.no))
        while let run = try run(space, author, containing: next),
            run.changes.contains(where: { $0.header.blockStart == place.start })
        {
            var kept = run
            // One that came without its seed stays so, whatever other runs of the block have.
            for place in kept.blocks.indices where run.blocks[place].seed != nil {
                kept.blocks[place].seed = try block(space, author, kept.blocks[place].start)?.seed
            }
            // Of a block that is still to be given up nothing goes before its seed.
            let givenUp = Set(kept.blocks.filter { $0.seed == nil }.map(\.start))
            kept.changes = run.changes.map { change in
                givenUp.contains(change.header.blockStart) ? change.redacted { $0.isOn(keys) } : change
            }
            let update = try statement("UPDATE run SET body = ? WHERE space = ? AND author = ? AND first = ?")
            update.bind(1, try kept.encoded())
            update.bind(2, space.no)
            update.bind(3, author)
            update.bind(4, run.changes[0].header.dot.seq)
            try update.run()
            isScrubDue = true
            next = run.chain.seq + 1
        }
    }
}

extension Change {
    /// Whether something stands in it that receipts say is erased.
    fileprivate func holds(_ keys: Set<StoreTransaction.ErasedKey>) -> Bool {
        !keys.isEmpty && payload.entries.contains { !$0.isErased && $0.isOn(keys) }
    }
}

extension Payload.Entry {
    fileprivate func isOn(_ keys: Set<StoreTransaction.ErasedKey>) -> Bool {
        keys.contains(StoreTransaction.ErasedKey(collection: shape.collection, id: id))
    }
}
