// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore

/// One walk over the log, an author's runs at a time: each run is decoded once, compared with the chain before it and
/// its seal, and every record that it brought is worked out anew and compared with the tables.
///
/// A run whose bytes are damaged is told from one whose surroundings are: what is sealed, or followed by its own hash,
/// is believed.
final class Verifier {
    let transaction: StoreTransaction
    var out = Verification()
    /// Numbers of which the log cannot be read.
    var unreadable: [StoreTransaction.ChainKey: [ClosedRange<UInt64>]] = [:]
    /// Spaces that lost their rows.
    private var nameless: Set<Int64> = []
    /// Records whose past could not be read, for want of a run that may come later in the walk.
    var unread: [(rid: Int64, key: Verification.RecordKey, cause: String)] = []
    /// How many rows of the table of parts are what a header says.
    var soundParts = 0

    init(_ transaction: StoreTransaction) { self.transaction = transaction }

    func verify() throws {
        try checkSpaces()
        for id in try transaction.spaces() {
            guard let space = try transaction.space(id) else { continue }
            out.sums[space.no] = SpaceDigest()
            for author in try transaction.authors(of: space.no) { try check(ChainWalk(self, space, author)) }
        }
        try checkUnread()
        try checkRows()
        try checkParts()
        try checkDigests()
    }

    /// The log of a space that lost its row cannot be followed until it has its name again.
    private func checkSpaces() throws {
        nameless = try transaction.lostSpaces()
        for no in nameless.sorted() {
            out.unreadableSpaces.insert(no)
            let name = try transaction.sealedName(of: no)
            if name != nil { out.namedSpaces += 1 }
            out.log.fault("space \(no): its row is lost" + (name.map { ", it is \($0)" } ?? ""))
        }
    }

    private func check(_ walk: ChainWalk) throws {
        let withheld = try transaction.withheld(walk.space.no, walk.author) ?? .max
        try transaction.forEachRun(walk.space, walk.author) { run in
            guard let decoded = try walk.follow(run) else { return }
            for change in decoded.changes {
                try checkPart(change.header, walk.space, walk.author)
                try checkErasures(change, walk.space, walk.author)
                if change.header.dot.seq < withheld { try check(change, walk.space, walk.author) }
            }
        }
        try walk.finish()
    }

    /// A receipt in the log is noted, and what is erased is not in the log.
    private func checkErasures(_ change: Change, _ space: StoreTransaction.SpaceRow, _ author: UInt32) throws {
        let dot = LocalDot(author: author, seq: change.header.dot.seq)
        let isNoted = try transaction.receipts(in: change, space).allSatisfy {
            try transaction.isNoted($0, dot, space)
        }
        let name = "\(space.id) \(change.header.dot.replica.device.short) \(dot.seq)"
        if !isNoted { out.log.fault("\(name): its erasure is not noted") }
        let holdsErased = try transaction.holdsErased(change, space)
        if holdsErased { out.log.fault("\(name): what is erased is there") }
        if !isNoted || holdsErased { out.logRepairs.append(.erasure) }
    }

    private func checkDigests() throws {
        for id in try transaction.spaces() {
            guard let space = try transaction.space(id), let sum = out.sums[space.no] else { continue }
            out.digests.checked += 1
            guard sum != space.digest else { continue }
            let (noted, found) = (Hex.encode(space.digest.bytes.bytes), Hex.encode(sum.bytes.bytes))
            out.digests.fault("\(id): \(noted) is noted, \(found) is so")
        }
    }

    func isUnreadable(_ dot: LocalDot, _ space: Int64) -> Bool {
        nameless.contains(space)
            || unreadable[StoreTransaction.ChainKey(space: space, author: dot.author)]?.contains {
                $0.contains(dot.seq)
            }
                ?? false
    }
}

/// An author's chain in a space, followed run by run.
final class ChainWalk {
    let space: StoreTransaction.SpaceRow
    let author: UInt32
    private let verifier: Verifier
    private let name: String
    private let replica: ReplicaID
    /// The name under which its changes are sealed.
    private let sealing: ReplicaID
    private let isOwn: Bool
    /// Whether its end may have no seal of its own, since that stands in its branches.
    private let isForked: Bool
    private let key: Curve25519.Signing.PublicKey?
    /// Where the chain stands; `nil` behind a run that cannot be read.
    private var chain: Chain?
    private var next: UInt64
    private var sealed: UInt64 = 0
    private var block: UInt64 = 1
    private var blocks: [UInt64: RunEncoder.Block] = [:]
    private var isWhole = true

    private var transaction: StoreTransaction { verifier.transaction }
    private var place: StoreTransaction.ChainKey { StoreTransaction.ChainKey(space: space.no, author: author) }

    init(_ verifier: Verifier, _ space: StoreTransaction.SpaceRow, _ author: UInt32) throws {
        self.verifier = verifier
        self.space = space
        self.author = author
        replica = try verifier.transaction.replica(author)
        name = "\(space.id) \(replica.device.short)"
        isOwn = try verifier.transaction.ownReplica()?.device == replica.device
        sealing = try verifier.transaction.sealingName(of: author, in: space.no)
        isForked = try verifier.transaction.branches(in: space.no)?.isForked(author) == true
        chain = try verifier.transaction.origin(of: author, space)
        next = try verifier.transaction.firstSeq(author, in: space.no)
        key = try verifier.transaction.signingKey(of: replica.device)
    }

    /// Follows the chain by a run.
    ///
    /// - Returns: the run, where what is stored is what its author wrote.
    func follow(_ run: StoreTransaction.StoredRun) throws -> RunDecoder.Run? {
        defer { next = max(next, run.last &+ 1) }
        guard run.first >= next, run.first <= run.last, run.last <= Chain.seqMax else {
            verifier.out.log.fault("\(name): \(run.first) follows \(next - 1)")
            lose(next...max(next, min(run.last, Chain.seqMax)))
            return nil
        }
        if run.first > next { miss(next...run.first - 1) }
        let stored = try? transaction.decodeChain(run.base)
        // The chain that was followed up to here is believed before what is noted of it.
        guard let base = chain ?? stored, let decoded = try decode(run, after: base) else { return nil }
        if try transaction.encode(base) != run.base {
            verifier.out.log.fault("\(name) \(run.first): the chain before it is another")
            verifier.out.logRepairs.append(.base(run: run.no, try transaction.encode(base)))
            // Whoever reads the past of a record begins at what is noted.
            verifier.unreadable[place, default: []].append(run.first...run.last)
        }
        verifier.out.log.checked += decoded.changes.count
        chain = decoded.chain
        if run.signature != nil { sealed = run.last }
        block = decoded.blocks.last?.start ?? block
        for each in decoded.blocks where each.seed != nil || blocks[each.start] == nil { blocks[each.start] = each }
        return decoded
    }

    /// The run, where its seal or the hash that follows it says that its bytes are right.
    private func decode(_ run: StoreTransaction.StoredRun, after base: Chain) throws -> RunDecoder.Run? {
        let decoded: RunDecoder.Run
        do {
            decoded = try read(run, after: base)
        } catch {
            damage(run, "\(error)")
            return nil
        }
        if isSealed(run.signature, decoded.chain) { return decoded }
        if run.signature == nil, isOwn || isForked {
            if try isFollowed(decoded.chain) { return decoded }
        } else if try isFollowed(decoded.chain) {
            // The bytes are right; their seal is not, and a peer may have that.
            verifier.out.log.fault(
                "\(name) \(decoded.chain.seq): \(run.signature == nil ? "no seal" : "the seal is wrong")"
            )
            verifier.out.damagedRuns.append(RunPlace(space: space.id, replica: replica, first: run.first))
            return decoded
        }
        damage(run, run.signature == nil ? "its hash is not the one that follows" : "the seal is wrong")
        return nil
    }

    private func read(_ run: StoreTransaction.StoredRun, after base: Chain) throws(CodecError) -> RunDecoder.Run {
        guard run.first == base.seq + 1, run.first <= run.last, run.last - run.first < UInt64(Seal.changesMax) else {
            throw .invalid("\(run.first) to \(run.last)")
        }
        return try RunDecoder.decode(
            run.body,
            count: Int(run.last - run.first + 1),
            in: transaction.context(space.id, replica, base)
        )
    }

    private func damage(_ run: StoreTransaction.StoredRun, _ cause: String) {
        verifier.out.log.fault("\(name) \(run.first): \(cause)")
        if run.signature != nil {
            verifier.out.damagedRuns.append(RunPlace(space: space.id, replica: replica, first: run.first))
        }
        lose(run.first...run.last)
    }

    /// What is not here at all; a peer may have it.
    private func miss(_ numbers: ClosedRange<UInt64>) {
        let lost = LostChanges(space: space.id, replica: replica, numbers: numbers)
        verifier.out.log.fault("\(name): \(numbers.lowerBound) to \(numbers.upperBound) are lost")
        verifier.out.damagedRuns.append(lost.place)
        lose(numbers)
    }

    private func lose(_ numbers: ClosedRange<UInt64>) {
        verifier.unreadable[place, default: []].append(numbers)
        verifier.out.unreadableSpaces.insert(space.no)
        chain = nil
        isWhole = false
    }

    private func isSealed(_ signature: [UInt8]?, _ end: Chain) -> Bool {
        guard let signature, let key else { return false }
        return key.hasSealed(end, space.id, sealing, signature)
    }

    /// Whether what follows a place in the chain names its hash.
    ///
    /// What is noted there may be damaged itself: then the run behind it must fit.
    private func isFollowed(_ end: Chain) throws -> Bool {
        guard let successor = try transaction.storedRun(space.no, author, from: end.seq + 1) else {
            // Where nothing can be read there it is that which is damaged; where it goes on, the rest is lost.
            return try transaction.notedChain(space.no, author).map { $0.seq > end.seq || $0.hash == end.hash } ?? true
        }
        // Nothing is known of what follows where that is lost.
        guard successor.first == end.seq + 1 else { return true }
        if (try? transaction.decodeChain(successor.base))?.hash == end.hash { return true }
        guard let decoded = try? read(successor, after: end) else { return false }
        if isSealed(successor.signature, decoded.chain) { return true }
        let third = try transaction.storedRun(space.no, author, from: successor.last + 1)
        guard third.map({ $0.first == successor.last + 1 }) ?? true else { return true }
        let noted =
            if let third { try? transaction.decodeChain(third.base) } else {
                try transaction.notedChain(space.no, author)
            }
        return noted.map { $0.seq > decoded.chain.seq || $0.hash == decoded.chain.hash } ?? true
    }

    // MARK: - The end

    /// Compares where the runs lead with what is noted of the chain, and the seeds with those in the runs.
    func finish() throws {
        let select = try transaction.statement(
            "SELECT seq, state, sealed, block FROM chain WHERE space = ? AND author = ?"
        )
        select.bind(1, space.no)
        select.bind(2, author)
        let isNoted = try select.step()
        let (seq, state) = (select.unsigned(0), isNoted ? select.bytes(1) : [])
        let (notedSealed, notedBlock) = (select.unsigned(2), select.unsigned(3))
        select.reset()
        if let chain {
            let isSo = try transaction.encode(chain) == state && seq == chain.seq
            if !isNoted || !isSo || notedSealed != sealed || notedBlock != block {
                // A chain that was longer is one whose runs are lost: its numbers must not be given again.
                let claims = isNoted ? [seq, (try? transaction.decodeChain(state))?.seq].compactMap(\.self) : []
                let isShort = !claims.isEmpty && claims.allSatisfy { $0 > chain.seq }
                if isShort {
                    miss(chain.seq + 1...claims.max()!)
                } else {
                    verifier.out.log.fault(
                        "\(name): the chain ends at \(chain.seq), noted is \(isNoted ? "\(seq)" : "none")"
                            + (isNoted && seq == chain.seq ? " otherwise" : "")
                    )
                    let row = StoreTransaction.ChainRow(chain: chain, sealed: sealed, block: block)
                    verifier.out.logRepairs.append(.chain(place, row))
                }
            }
        }
        try finishSeeds()
    }

    private func finishSeeds() throws {
        let select = try transaction.statement("SELECT start, seed FROM seed WHERE space = ? AND author = ?")
        select.bind(1, space.no)
        select.bind(2, author)
        var stored: [UInt64: [UInt8]] = [:]
        while try select.step() { stored[select.unsigned(0)] = select.bytes(1) }
        for block in blocks.values.sorted(by: { $0.start < $1.start })
        where stored[block.start] != block.seed?.bytes ?? [] {
            verifier.out.log.fault("\(name): the seed of block \(block.start) is another")
            verifier.out.logRepairs.append(.seed(place, block))
        }
        guard isWhole else { return }
        for start in stored.keys.sorted() where blocks[start] == nil {
            verifier.out.log.fault("\(name): a seed of block \(start), which is not in the log")
            verifier.out.logRepairs.append(.needlessSeed(place, start: start))
        }
    }
}
