// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A session's rights and who was confirmed on them: a pure function of the entries in effect.
///
/// Invariant: backed spendings never exceed minted rights, in any set of entries that holds the causes of each.
/// - Only owners mint. A chain of passes and successions leads from who opened the ledger to its owner, and of each owner
///   the entries between becoming it and ceasing to be count, in their author's order: there is one ledger.
/// - Every entry moves no more than there is to move, so the holders' balances are disjoint parts of what was minted.
/// - A holder's spendings count in order of their numbers up to its balance. Whatever it writes, the rest is unbacked.
///
/// That nobody who was confirmed loses the seat follows where holders keep to the rules: nobody spends what it offered,
/// the owner takes back no more than was offered, nobody but the holder takes a spending back, and a replica that is no
/// more is reclaimed from by an owner that has all of its changes up to the ends it names.
package struct SeatLedger: Sendable {
    /// A ledger entry with its place in the list.
    package struct Posted: Sendable {
        package var dot: Dot
        /// Its place among others of one change.
        package var index: Int
        package var timestamp: Timestamp
        package var depth: UInt64
        package var entry: LedgerEntry

        package init(dot: Dot, index: Int = 0, timestamp: Timestamp, depth: UInt64, entry: LedgerEntry) {
            self.dot = dot
            self.index = index
            self.timestamp = timestamp
            self.depth = depth
            self.entry = entry
        }

        fileprivate func comes(before other: Posted) -> Bool {
            (depth, timestamp, dot, index) < (other.depth, other.timestamp, other.dot, other.index)
        }
    }

    /// A use of a right with the booking that it serves.
    package struct Used: Sendable {
        package var dot: Dot
        package var booking: RecordID
        package var use: SeatUse

        package init(dot: Dot, booking: RecordID, use: SeatUse) {
            self.dot = dot
            self.booking = booking
            self.use = use
        }
    }

    /// What a replica said of itself when it took part last.
    package struct Joined: Sendable {
        package let dot: Dot
        package let depth: UInt64
        /// Where its device's former replicas ended.
        package let former: LedgerEntry.ChainEnds
    }

    /// Whose entries count now.
    package private(set) var owner: ReplicaID?
    /// The former owner, where it was no more, with its ends, and the change by which the owner followed.
    package private(set) var succeeded: (owner: ReplicaID, ends: LedgerEntry.ChainEnds, dot: Dot)?
    /// Rights that exist.
    package private(set) var minted = 0
    /// Rights of each holder, spent ones included.
    package private(set) var held: [ReplicaID: Int] = [:]
    /// What holders offered and nobody took back yet, by the change that says so.
    package private(set) var offers: [Dot: Int] = [:]
    /// Holders that are no more, with the last numbers that count.
    package private(set) var ended: [ReplicaID: LedgerEntry.ChainEnds] = [:]
    /// Who takes part.
    package private(set) var joined: [ReplicaID: Joined] = [:]
    /// Spendings that count, by holder in the order they count.
    package private(set) var backed: [ReplicaID: [Used]] = [:]
    /// Spendings beyond their holder's balance: findings.
    package private(set) var unbacked: [Used] = []

    private var owners: Set<ReplicaID> = []

    /// - Parameters:
    ///   - lineage: of an author the names that lead from the chain that forked to its branch, the chain's first. The
    ///     branches of a holder share what it holds; of an owner's the way counts that made the most.
    ///   - maySucceed: whether a device is the one that follows another whose rights ended.
    package init(
        ledger: [Posted],
        uses: [Used],
        lineage: (ReplicaID) -> [ReplicaID] = { [$0] },
        maySucceed: (DeviceID, DeviceID) -> Bool = { _, _ in false }
    ) {
        let byOwner = Dictionary(grouping: ledger) { lineage($0.dot.replica)[0] }
        for posted in ledger {
            switch posted.entry {
            case .offer(let amount): offers[posted.dot, default: 0] += amount
            case .join(let former):
                let last = joined[posted.dot.replica]
                if last.map({ ($0.depth, $0.dot.seq) < (posted.depth, posted.dot.seq) }) ?? true {
                    joined[posted.dot.replica] = Joined(dot: posted.dot, depth: posted.depth, former: former)
                }
            default: break
            }
        }
        let opening = ledger.filter { $0.entry == .open }.min { $0.comes(before: $1) }
        var next = opening.map { (owner: lineage($0.dot.replica)[0], depth: UInt64?.none) }
        // How far each owner's entries counted already: it may own the ledger again.
        var reached: [ReplicaID: UInt64] = [:]
        while let (now, since) = next.map({ ($0.owner, $0.depth) }) {
            owner = now
            owners.insert(now)
            next = nil
            let succession = ledger.filter { posted in
                guard case .succeed(let old, _) = posted.entry, lineage(old)[0] == now else { return false }
                let device = posted.dot.replica.device
                return since.map { $0 < posted.depth } != false && lineage(posted.dot.replica)[0] != now
                    && (device == now.device || maySucceed(device, now.device))
            }.min { $0.comes(before: $1) }
            var ends: LedgerEntry.ChainEnds?
            if case .succeed(_, let said)? = succession?.entry { ends = said }
            let entries =
                Mutant.everybodyMovesRights.isPlanted
                ? ledger.sorted { $0.comes(before: $1) } : Self.way(of: byOwner[now] ?? [], lineage)
            for posted in entries
            where since.map({ $0 < posted.depth }) != false
                && ends.map({ Self.isWithin($0, posted.dot, lineage) }) != false
                && posted.dot.seq > reached[now] ?? 0
            {
                apply(posted.entry, lineage)
                guard case .pass(let heir) = posted.entry else { continue }
                next = (lineage(heir)[0], posted.depth)
                reached[now] = posted.dot.seq
                break
            }
            // Whoever owns the ledger offers nothing: what it offered before, or while it had not heard of it yet, it keeps
            // and spends again, whoever owns the ledger later.
            let passed: UInt64 = next == nil ? .max : reached[now] ?? .max
            for posted in ledger where lineage(posted.dot.replica)[0] == now && posted.dot.seq < passed {
                offers[posted.dot] = nil
            }
            if next == nil, let succession, let ends {
                next = (lineage(succession.dot.replica)[0], succession.depth)
                reached[now] = .max
                succeeded = (now, ends, succession.dot)
            } else if next != nil {
                succeeded = nil
            }
        }
        count(uses, lineage)
    }

    /// The entries of one owner in their order; where its chain forked those of the branch with which it made the most.
    private static func way(of entries: [Posted], _ lineage: (ReplicaID) -> [ReplicaID]) -> [Posted] {
        let ordered = entries.sorted { ($0.dot.seq, $0.index) < ($1.dot.seq, $1.index) }
        let names = Set(entries.map(\.dot.replica))
        guard names.count > 1 else { return ordered }
        func made(_ name: ReplicaID) -> Int {
            let way = lineage(name)
            return entries.reduce(0) { sum, posted in
                if case .mint(let amount) = posted.entry, way.contains(posted.dot.replica) { sum + amount } else { sum }
            }
        }
        let best = names.max { (made($0), lineage($0).count, $0) < (made($1), lineage($1).count, $1) }!
        let way = lineage(best)
        return ordered.filter { way.contains($0.dot.replica) }
    }

    private mutating func apply(_ entry: LedgerEntry, _ lineage: (ReplicaID) -> [ReplicaID]) {
        guard let owner else { return }
        switch entry {
        case .mint(let amount):
            minted += amount
            held[owner, default: 0] += amount
        case .retire(let amount):
            let moved = min(amount, held[owner] ?? 0)
            minted -= moved
            held[owner, default: 0] -= moved
        case .grant(let replica, let amount):
            let holder = lineage(replica)[0]
            // What is granted to one that is no more stays where it is.
            if ended[holder] == nil { move(amount, from: owner, to: holder) }
        case .takeBack(let offer, let amount):
            let amount = min(amount, offers[offer] ?? 0)
            let moved = move(amount, from: lineage(offer.replica)[0], to: owner)
            offers[offer, default: 0] -= moved
        case .reclaim(let replica, let ends, let amount):
            let holder = lineage(replica)[0]
            guard holder != owner else { return }
            if ended[holder] == nil { ended[holder] = ends }
            move(amount, from: holder, to: owner)
        case .open, .pass, .succeed, .offer, .join: break
        }
        held = held.filter { $0.value > 0 }
    }

    @discardableResult
    private mutating func move(_ amount: Int, from holder: ReplicaID, to other: ReplicaID) -> Int {
        let moved = min(amount, held[holder] ?? 0)
        held[holder, default: 0] -= moved
        held[other, default: 0] += moved
        return moved
    }

    private mutating func count(_ uses: [Used], _ lineage: (ReplicaID) -> [ReplicaID]) {
        /// Whether a change of a holder that is no more came before its end.
        func counts(_ dot: Dot, of holder: ReplicaID) -> Bool {
            ended[holder].map { Self.isWithin($0, dot, lineage) } ?? true
        }
        let released = Set(
            uses.compactMap { used -> ReleasedUse? in
                guard case .release(let dot, _) = used.use else { return nil }
                let (author, holder) = (lineage(used.dot.replica), lineage(dot.replica)[0])
                let isOwn = author.contains(dot.replica) && counts(used.dot, of: holder)
                guard
                    isOwn || ended[holder] != nil && owners.contains(author[0]) || Mutant.everybodyReleases.isPlanted
                else { return nil }
                return ReleasedUse(dot: dot, booking: used.booking)
            }
        )
        let spends = uses.filter {
            $0.use == .spend && !released.contains(ReleasedUse(dot: $0.dot, booking: $0.booking))
        }
        // The branches' spendings count by their numbers too, whichever of them was known first.
        func place(_ used: Used) -> (ReplicaID, UInt64, ReplicaID) {
            (lineage(used.dot.replica)[0], used.dot.seq, used.dot.replica)
        }
        for used in spends.sorted(by: { a, b in place(a) == place(b) ? a.booking < b.booking : place(a) < place(b) }) {
            let holder = lineage(used.dot.replica)[0]
            let hasRight = counts(used.dot, of: holder) && backed[holder, default: []].count < held[holder] ?? 0
            if hasRight || Mutant.rightsAreNotCounted.isPlanted {
                backed[holder, default: []].append(used)
            } else {
                unbacked.append(used)
            }
        }
    }

    /// Whether a change comes before the ends of chains: an end of a chain that forked later is that of each branch.
    package static func isWithin(
        _ ends: LedgerEntry.ChainEnds,
        _ dot: Dot,
        _ lineage: (ReplicaID) -> [ReplicaID]
    ) -> Bool {
        lineage(dot.replica).contains { dot.seq <= ends[$0] ?? 0 }
    }

    private struct ReleasedUse: Hashable {
        let dot: Dot
        let booking: RecordID
    }

    /// What a holder offered and the owner did not take back yet.
    package func offered(_ holder: ReplicaID) -> Int {
        Mutant.offeredRightsAreSpent.isPlanted
            ? 0 : offers.reduce(0) { $1.key.replica == holder ? $0 + $1.value : $0 }
    }

    /// Rights of a holder that nobody sits on and that it did not offer.
    package func free(_ holder: ReplicaID) -> Int {
        (held[holder] ?? 0) - (backed[holder]?.count ?? 0) - offered(holder)
    }

    /// Bookings that have a seat.
    package var confirmed: Set<RecordID> { Set(backed.values.joined().map(\.booking)) }
}
