// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What is known of forked chains: two changes under one (replica, number) with the same past.
///
/// A chain keeps its name up to its first fork. Behind it each branch is filed under a name that follows from the number
/// and the hash there (`ReplicaID.branch`), so that every site gives it the same; where a branch forks again its own
/// branches are filed likewise. What is hashed and sealed stays under the author's name.
struct Branch {
    let author: UInt32
    /// The author under whose name it is sealed.
    let root: UInt32
    /// Whose end it goes on from.
    let parent: UInt32
    let first: UInt64
    /// Whether it is what stood under its parent's name here before the fork was known: what was taken in then names
    /// records by it.
    let isMain: Bool
}

/// The branches of a space; most spaces have none.
struct Branches {
    private(set) var byAuthor: [UInt32: Branch] = [:]
    private var children: [UInt32: [Branch]] = [:]

    fileprivate mutating func insert(_ branch: Branch) {
        byAuthor[branch.author] = branch
        let place = branch.isMain ? 0 : children[branch.parent]?.count ?? 0
        children[branch.parent, default: []].insert(branch, at: place)
    }

    /// The author under whose name an author's changes are sealed.
    func root(of author: UInt32) -> UInt32 { byAuthor[author]?.root ?? author }

    /// Whether a chain ends in branches.
    func isForked(_ author: UInt32) -> Bool { children[author] != nil }

    /// The branches at a chain's end, the main one first.
    func ends(of author: UInt32) -> [Branch] { children[author] ?? [] }

    /// A chain with all its branches.
    func tree(of root: UInt32) -> [UInt32] {
        [root] + byAuthor.values.filter { $0.root == root }.map(\.author).sorted()
    }

    /// From the author's own chain to a branch, each going on where the one before ends.
    func path(to author: UInt32) -> [UInt32] {
        var out = [author]
        while let branch = byAuthor[out[0]] { out.insert(branch.parent, at: 0) }
        return out
    }

    /// The branches that nothing forks from, of those that a chain leads to; the main way comes first.
    func leaves(of author: UInt32) -> [UInt32] {
        let ends = ends(of: author)
        return ends.isEmpty ? [author] : ends.flatMap { leaves(of: $0.author) }
    }

    /// All branches that a chain leads to.
    func descendants(of author: UInt32) -> [UInt32] {
        ends(of: author).flatMap { [$0.author] + descendants(of: $0.author) }
    }

    /// The part of a path that a number belongs to.
    func part(of path: [UInt32], at seq: UInt64) -> UInt32 {
        path.last { byAuthor[$0]?.first ?? 1 <= seq } ?? path[0]
    }
}

/// Which way leads to the changes that a run names by a forked chain's own name: its author had seen one of them.
final class Readings {
    private var picks: [UInt32: Int] = [:]
    private var counts: [UInt32: Int] = [:]
    private var tries: Int
    /// For one run, wherever it may go on: each costs as much as to decode it.
    static let triesMax = 64

    /// - Parameter tries: how many readings there may be at most, at least one.
    init(tries: Int = triesMax) { self.tries = tries }

    /// Whether records are named as they are in what is stored here.
    var isMain: Bool { picks.values.allSatisfy { $0 == 0 } }

    fileprivate func pick(_ author: UInt32, among count: Int) -> Int {
        counts[author] = count
        return picks[author] ?? 0
    }

    /// Goes on to the next reading.
    ///
    /// - Returns: whether there is one.
    func advance() -> Bool {
        tries -= 1
        guard tries > 0 else { return false }
        for author in counts.keys.sorted() {
            let next = (picks[author] ?? 0) + 1
            picks[author] = next < counts[author]! ? next : 0
            if next < counts[author]! { return true }
        }
        return false
    }
}

extension StoreTransaction {
    /// Branches that one chain may have in a space; whoever copies himself without end has the rest refused.
    static let branchesMax = 16

    /// The branches of a space; `nil` where no chain of it forked.
    func branches(in space: Int64) throws -> Branches? {
        if let known = branchCache { return known[space] }
        let select = try statement("SELECT space, author, root, parent, first, main FROM branch ORDER BY author")
        var out: [Int64: Branches] = [:]
        while try select.step() {
            out[select.int(0), default: Branches()].insert(
                Branch(
                    author: select.number(1),
                    root: select.number(2),
                    parent: select.number(3),
                    first: select.unsigned(4),
                    isMain: select.int(5) != 0
                )
            )
        }
        branchCache = out
        return out[space]
    }

    /// The name under which an author's changes are sealed: its own, or for a branch that of the chain which forked.
    func sealingName(of author: UInt32, in space: Int64) throws -> ReplicaID {
        try replica(branches(in: space)?.root(of: author) ?? author)
    }

    /// The first number of an author's chain: 1, or where its branch begins.
    func firstSeq(_ author: UInt32, in space: Int64) throws -> UInt64 {
        try branches(in: space)?.byAuthor[author]?.first ?? 1
    }

    /// Where an author's chain stands before its first number; what a branch goes on from is in its deps.
    func origin(of author: UInt32, _ space: SpaceRow) throws -> Chain {
        guard let branch = try branches(in: space.no)?.byAuthor[author] else { return Chain() }
        return try chainRow(space, branch.parent).chain.branching(from: replica(branch.parent))
    }

    /// The chains that hold changes named by a dot: one, or where the dot's chain forked before it those of its branches.
    func authors(of dot: Dot, in space: SpaceRow) throws -> [UInt32] {
        guard let author = try knownAuthor(dot.replica) else { return [] }
        guard let branches = try branches(in: space.no), branches.isForked(author),
            try dot.seq > chainRow(space, author).chain.seq
        else { return [author] }
        let parts = branches.leaves(of: author).map { branches.part(of: branches.path(to: $0), at: dot.seq) }
        return try Set(parts).sorted().filter { try dot.seq <= chainRow(space, $0).chain.seq }
    }

    /// The changes that somebody's word on a change is about, by the names they go by now.
    ///
    /// - Parameter speaker: whose word it is: of his own chain he means what led to him.
    package func changes(named dot: Dot, by speaker: ReplicaID, in id: SpaceID) throws -> [Dot] {
        guard let space = try space(id), let branches = try branches(in: space.no),
            let author = try knownAuthor(dot.replica), let own = try knownAuthor(speaker)
        else { return [dot] }
        let path = branches.path(to: own)
        if path[0] == branches.root(of: author), path.contains(author) {
            return [Dot(try replica(branches.part(of: path, at: dot.seq)), dot.seq)]
        }
        return try authors(of: dot, in: space).map { Dot(try replica($0), dot.seq) }
    }

    /// A step that answers changes by the names they go by now.
    func named(_ transition: Transition, by speaker: ReplicaID, in id: SpaceID?) throws -> Transition {
        guard let id else { return transition }
        var out = transition
        out.answers = try transition.answers.flatMap { try changes(named: $0, by: speaker, in: id) }
        return out
    }

    /// The space of a record, where chains forked there.
    func forkedSpace(of rid: Int64) throws -> SpaceID? {
        _ = try branches(in: 0)
        guard branchCache?.isEmpty == false, let space = try recordName(rid)?.space else { return nil }
        return try self.space(space).flatMap { try branches(in: $0.no) } == nil ? nil : space
    }

    /// From the chain that forked to a branch, the names of what led there; a chain that did not fork alone.
    package func lineage(of replica: ReplicaID, in id: SpaceID) throws -> [ReplicaID] {
        guard let space = try space(id), let branches = try branches(in: space.no),
            let author = try knownAuthor(replica)
        else { return [replica] }
        return try branches.path(to: author).map { try self.replica($0) }
    }

    /// A change in the log, where it is named by an author who read one way.
    func change(_ space: SpaceRow, _ dot: Dot, for own: UInt32?, _ readings: Readings?) throws -> Change? {
        guard var author = try knownAuthor(dot.replica) else { return nil }
        if let branches = try branches(in: space.no) {
            if let own, branches.root(of: own) == author {
                author = branches.part(of: branches.path(to: own), at: dot.seq)
            } else if branches.isForked(author), try dot.seq > chainRow(space, author).chain.seq {
                let leaves = branches.leaves(of: author)
                let leaf = leaves[readings?.pick(author, among: leaves.count) ?? 0]
                author = branches.part(of: branches.path(to: leaf), at: dot.seq)
            }
        }
        return try run(space, author, containing: dot.seq)?.changes.first { $0.header.dot.seq == dot.seq }
    }

    /// A chain that forked: a machine goes on beside its copy, or beside what it was before it got an older disk back.
    package struct Fork: Sendable {
        package let space: SpaceID
        package let replica: ReplicaID
        /// The first number that is more than one change.
        package let first: UInt64
        /// How many ways lead on from there.
        package let branches: Int
        /// What the first changes of the branches wrote on.
        package let records: [RecordID]
    }

    /// The chains of a space that forked.
    package func forks(in id: SpaceID) throws -> [Fork] {
        guard let space = try space(id), let branches = try branches(in: space.no) else { return [] }
        return try Dictionary(grouping: branches.byAuthor.values, by: \.root).map { root, all in
            let records = try all.flatMap { branch in
                try run(space, branch.author, containing: branch.first)?.changes
                    .first { $0.header.dot.seq == branch.first }?.payload.entries.map(\.id) ?? []
            }
            return Fork(
                space: id,
                replica: try replica(root),
                first: all.map(\.first).min()!,
                branches: branches.leaves(of: root).count,
                records: Set(records).sorted()
            )
        }.sorted { $0.replica < $1.replica }
    }

    // MARK: - Forking

    /// Files a branch that goes on from a change of a chain beside what is known to follow there.
    ///
    /// - Returns: the branch's number; nothing of it is in the log yet.
    func openBranch(_ name: ReplicaID, of parent: UInt32, at first: UInt64, _ space: SpaceRow) throws -> UInt32 {
        let root = try branches(in: space.no)?.root(of: parent) ?? parent
        let isOwn = try ownReplica() == replica(root)
        // What is being written stands in the chain as it is now.
        if isOwn { try flushDrafts() }
        if try chainRow(space, parent).chain.seq >= first { try cut(parent, root, at: first, space) }
        let author = try author(name)
        try insertBranch(Branch(author: author, root: root, parent: parent, first: first, isMain: false), space)
        try note("equivocation", "\(name.device.short) \(space.id) \(first)")
        // Whoever else goes on under the own name, no number is given by it any more.
        if isOwn {
            try setMeta("replica", .bytes(ReplicaID(of: name.device, drawn: random()).bytes))
            returner = nil
        }
        return author
    }

    private func insertBranch(_ branch: Branch, _ space: SpaceRow) throws {
        let insert = try statement(
            "INSERT INTO branch(author, space, root, parent, first, main) VALUES (?, ?, ?, ?, ?, ?)"
        )
        insert.bind(1, branch.author)
        insert.bind(2, space.no)
        insert.bind(3, branch.root)
        insert.bind(4, branch.parent)
        insert.bind(5, branch.first)
        insert.bind(6, branch.isMain ? 1 : 0)
        try insert.run()
        forgetChains(of: space)
    }

    /// Files what a chain has from a number on as a branch; what it wrote is worked out anew under that name.
    private func cut(_ author: UInt32, _ root: UInt32, at first: UInt64, _ space: SpaceRow) throws {
        let old = try chainRow(space, author)
        let withheld = try withheld(space.no, author)
        guard let run = try run(space, author, containing: first),
            let place = run.changes.firstIndex(where: { $0.header.dot.seq == first })
        else { throw try missingChange(space, LocalDot(author: author, seq: first)) }
        let branch = try self.author(try replica(root).branch(at: first, hash: run.changes[place].hash))
        let end = try chain(in: run, space, author, before: place)
        let parent = try replica(author)
        let descendants = try branches(in: space.no)?.descendants(of: author) ?? []

        for (table, key) in [("part", "seq"), ("barred", "first"), ("withheld", "first"), ("erased", "seq")] {
            try move(table, key, from: first, of: author, to: branch, space)
        }
        let reparent = try statement("UPDATE branch SET parent = ?3 WHERE space = ?1 AND parent = ?2")
        reparent.bind(1, space.no)
        reparent.bind(2, author)
        reparent.bind(3, branch)
        try reparent.run()
        try insertBranch(Branch(author: branch, root: root, parent: author, first: first, isMain: true), space)
        if let withheld, withheld < first { try setWithheld(space, branch, from: first) }

        setChainRow(ChainRow(chain: end, sealed: 0, block: 1), space, author)
        var chain = end.branching(from: parent)
        let records = try moveRows(of: author, from: first, to: branch, &chain, space)
        setChainRow(
            ChainRow(chain: chain, sealed: try lastSealed(space, branch), block: old.block),
            space,
            branch
        )
        let block = end.seq == 0 ? nil : try self.run(space, author, containing: end.seq)?.blocks.last
        setChainRow(
            ChainRow(chain: end, sealed: try lastSealed(space, author), block: block?.start ?? 1),
            space,
            author
        )
        for descendant in descendants {
            try rebase(descendant, space) { chain in
                chain.deps[parent] = end.seq
                chain.deps[try replica(branch)] = old.chain.seq
            }
        }
        for record in records.sorted() { try rename(record, from: first, of: author, to: branch, space) }
        arrivals.rework(space.id)
        forgetChains(of: space)
    }

    /// Works records of an id out anew that a chain wrote on from a number on, under the name of its branch.
    private func rename(
        _ id: RecordID,
        from first: UInt64,
        of author: UInt32,
        to branch: UInt32,
        _ space: SpaceRow
    ) throws {
        let select = try statement("SELECT rid FROM record WHERE id = ? AND space = ?")
        select.bind(1, id.bytes)
        select.bind(2, space.no)
        var rids: [Int64] = []
        while try select.step() { rids.append(select.int(0)) }
        for rid in rids {
            for table in ["record", "history"] {
                let update = try statement("UPDATE \(table) SET author = ? WHERE rid = ? AND author = ? AND seq >= ?")
                update.bind(1, branch)
                update.bind(2, rid)
                update.bind(3, author)
                update.bind(4, first)
                try update.run()
            }
            try rederive(rid)
        }
    }

    private func move(
        _ table: String,
        _ key: String,
        from first: UInt64,
        of author: UInt32,
        to branch: UInt32,
        _ space: SpaceRow
    ) throws {
        let move = try statement("UPDATE \(table) SET author = ?4 WHERE space = ?1 AND author = ?2 AND \(key) >= ?3")
        move.bind(1, space.no)
        move.bind(2, author)
        move.bind(3, first)
        move.bind(4, branch)
        try move.run()
    }

    /// Notes otherwise what stands before the runs of a chain, and behind the last.
    private func rebase(_ author: UInt32, _ space: SpaceRow, _ change: (inout Chain) throws -> Void) throws {
        var rows: [(no: Int64, base: [UInt8])] = []
        try forEachRun(space, author) { rows.append(($0.no, $0.base)) }
        let update = try statement("UPDATE run SET base = ? WHERE no = ?")
        for row in rows {
            var base = try decodeChain(row.base)
            try change(&base)
            update.bind(1, try encode(base))
            update.bind(2, row.no)
            try update.run()
        }
        var row = try chainRow(space, author)
        try change(&row.chain)
        setChainRow(row, space, author)
    }

    /// What was kept in memory of a space's chains is otherwise now.
    private func forgetChains(of space: SpaceRow) {
        branchCache = nil
        exceptionCache[space.no] = nil
        decodedRuns.removeAll()
        barredChains = [:]
        quarantineShares = [:]
        // A cut names a chain by its change, which may stand in a branch now.
        access = nil
        hasNewsOfMembers = true
    }

    private func lastSealed(_ space: SpaceRow, _ author: UInt32) throws -> UInt64 {
        let select = try statement(
            "SELECT coalesce(max(last), 0) FROM run WHERE space = ? AND author = ? AND signature IS NOT NULL"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        defer { select.reset() }
        return try select.step() ? select.unsigned(0) : 0
    }

    /// Gives the rows behind a change to a branch.
    ///
    /// A row that holds changes before it too is parted: its seal, which is
    /// over the last of them, goes with the rest.
    ///
    /// - Parameter chain: where the branch begins; moves to where it ends.
    /// - Returns: the records that they touched.
    private func moveRows(
        of author: UInt32,
        from first: UInt64,
        to branch: UInt32,
        _ chain: inout Chain,
        _ space: SpaceRow
    ) throws -> Set<RecordID> {
        let forget = try statement("DELETE FROM seed WHERE space = ? AND author = ? AND start >= ?")
        forget.bind(1, space.no)
        forget.bind(2, author)
        forget.bind(3, first)
        try forget.run()
        var records: Set<RecordID> = []
        let parent = try replica(author)
        let name = try replica(branch)
        var next: UInt64 = 0
        while let stored = try storedRun(space.no, author, from: next) {
            next = stored.last + 1
            guard stored.last >= first else { continue }
            let base = try decodeChain(stored.base)
            let run = try RunDecoder.decode(
                stored.body,
                count: Int(stored.last - stored.first + 1),
                in: context(space.id, name, base)
            )
            let (before, rest) = run.parted(at: first)
            var restBase = base
            for change in before.changes { try restBase.advance(by: change.header, hash: change.hash) }
            let update = try statement("UPDATE run SET author = ?, first = ?, base = ?, body = ? WHERE no = ?")
            update.bind(1, branch)
            update.bind(2, max(first, stored.first))
            update.bind(3, try encode(restBase.branching(from: parent, at: first)))
            update.bind(4, before.changes.isEmpty ? stored.body : try rest.encoded())
            update.bind(5, stored.no)
            try update.run()
            decodedRuns[stored.no] = nil
            if let last = before.changes.last?.header.dot.seq {
                try insertRun(
                    space,
                    author,
                    first: stored.first,
                    last: last,
                    base: stored.base,
                    signature: nil,
                    body: before.encoded()
                )
            }
            for block in rest.blocks { try insertSeed(space, branch, block) }
            for change in rest.changes {
                try chain.advance(by: change.header, hash: change.hash)
                records.formUnion(change.payload.entries.map(\.id))
            }
        }
        return records
    }

    // MARK: - Sending

    /// A sealed row with what stood before it in the same run: the chain forked inside that, and its seal speaks for the
    /// whole of it.
    ///
    /// - Parameter no: its place in the log; what was parted from it stands farther behind.
    func sealedWhole(_ run: RunEnvelope, _ author: UInt32, _ no: Int64) throws -> RunEnvelope {
        guard let space = try space(run.space), let branches = try branches(in: space.no) else { return run }
        guard let branch = branches.byAuthor[author] else { return run }
        var out = try decodedRow(space, author, at: run.first)
        var (part, first) = (branch, run.first)
        var isWhole = false
        while first == part.first, first > 1,
            let before = try partedRow(space, part.parent, endingAt: first - 1, from: no)
        {
            out.changes = before.run.changes + out.changes
            out.blocks = before.run.blocks + out.blocks.filter { $0.start >= first }
            first = before.first
            isWhole = true
            guard let next = branches.byAuthor[part.parent] else { break }
            part = next
        }
        guard isWhole, out.changes.count <= Seal.changesMax,
            out.changes.reduce(0, { $0 + $1.payload.bytes.count }) <= RunDecoder.runBytesMax
        else { return run }
        return RunEnvelope(
            space: run.space,
            replica: run.replica,
            first: first,
            count: out.changes.count,
            signature: run.signature,
            body: try out.encoded()
        )
    }

    private func decodedRow(_ space: SpaceRow, _ author: UInt32, at first: UInt64) throws -> RunDecoder.Run {
        try run(space, author, containing: first) ?? RunDecoder.Run()
    }

    private func partedRow(
        _ space: SpaceRow,
        _ author: UInt32,
        endingAt last: UInt64,
        from no: Int64
    ) throws -> (first: UInt64, run: RunDecoder.Run)? {
        let select = try statement(
            "SELECT first FROM run WHERE space = ? AND author = ? AND last = ? AND (signature IS NULL OR no > ?)"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, last)
        select.bind(4, no)
        guard try select.step() else { return nil }
        let first = select.unsigned(0)
        select.reset()
        return (first, try decodedRow(space, author, at: first))
    }
}

extension Chain {
    /// The same place in the chain as what a branch of another name goes on from.
    ///
    /// - Parameter first: the branch's first number; where it is left out the branch begins here.
    func branching(from parent: ReplicaID, at first: UInt64? = nil) -> Chain {
        var out = self
        out.deps[parent] = (first ?? seq + 1) - 1
        return out
    }
}

extension RunDecoder.Run {
    /// What of a run stands before a number, and the rest.
    func parted(at first: UInt64) -> (before: RunDecoder.Run, rest: RunDecoder.Run) {
        var (before, rest) = (RunDecoder.Run(), RunDecoder.Run())
        before.changes = changes.filter { $0.header.dot.seq < first }
        rest.changes = changes.filter { $0.header.dot.seq >= first }
        before.blocks = blocks.filter { $0.start < first }
        if before.changes.isEmpty { before.blocks = [] }
        let start = max(first, rest.changes.first?.header.dot.seq ?? first)
        rest.blocks = (blocks.last { $0.start <= start }.map { [$0] } ?? []) + blocks.filter { $0.start > start }
        rest.chain = chain
        return (before, rest)
    }
}
