// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// An entry of a session's ledger of rights.
package enum LedgerEntry: Hashable, Sendable {
    /// The first entry: its author owns the ledger.
    case open
    /// The owner makes so many rights, which it holds itself.
    case mint(Int)

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .open: out.append(1)
        case .mint(let amount):
            out.append(2)
            out.appendVarint(UInt64(amount))
        }
        return out
    }

    /// `nil` for an entry of a newer version: it is kept, and counts for nothing here.
    package init?(_ bytes: [UInt8]) {
        guard
            let entry = try? bytes.withMemory({ memory throws(CodecError) -> LedgerEntry? in
                var reader = ByteReader(memory)
                switch try reader.byte() {
                case 1: return .open
                case 2: return .mint(try reader.varint("rights", atMost: 100_000))
                default: return nil
                }
            })
        else { return nil }
        self = entry
    }
}

/// What a holder did with a right for one booking.
package enum SeatUse: Hashable, Sendable {
    /// The author spends one of its rights: the booking is confirmed, without asking anybody.
    case spend
    /// The author takes its own spending back: the right is free again.
    case release(Dot)

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .spend: out.append(1)
        case .release(let dot):
            out.append(2)
            out.append(dot.replica)
            out.appendVarint(dot.seq)
        }
        return out
    }

    package init?(_ bytes: [UInt8]) {
        guard
            let use = try? bytes.withMemory({ memory throws(CodecError) -> SeatUse? in
                var reader = ByteReader(memory)
                switch try reader.byte() {
                case 1: return .spend
                case 2: return .release(Dot(try reader.replica(), try reader.varint()))
                default: return nil
                }
            })
        else { return nil }
        self = use
    }
}

/// A session's rights and who was confirmed on them: a pure function of the entries in effect.
///
/// Invariant: backed spendings never exceed minted rights. Each holder's spendings count in order of their numbers up to
/// its own balance, balances are disjoint parts of what was minted, and only the owner mints; so whatever a holder
/// writes, the sum over holders stays at or below the sum minted.
package struct SeatLedger: Sendable {
    /// A ledger entry with its place in the list.
    package struct Posted: Sendable {
        package var dot: Dot
        package var timestamp: Timestamp
        package var depth: UInt64
        package var entry: LedgerEntry

        package init(dot: Dot, timestamp: Timestamp, depth: UInt64, entry: LedgerEntry) {
            self.dot = dot
            self.timestamp = timestamp
            self.depth = depth
            self.entry = entry
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

    /// Whose entries count.
    package private(set) var owner: ReplicaID?
    /// Rights that exist.
    package private(set) var minted = 0
    /// Rights of each holder, spent ones included.
    package private(set) var held: [ReplicaID: Int] = [:]
    /// Spendings that count, by holder in the order they count.
    package private(set) var backed: [ReplicaID: [Used]] = [:]
    /// Spendings beyond their holder's balance: findings.
    package private(set) var unbacked: [Used] = []

    /// - Parameter lineage: of an author the names that lead from the chain that forked to its branch, the chain's first.
    ///   The branches of a holder share what it holds; of an owner's the one counts that made the most.
    package init(ledger: [Posted], uses: [Used], lineage: (ReplicaID) -> [ReplicaID] = { [$0] }) {
        let ordered = ledger.sorted { ($0.depth, $0.timestamp, $0.dot) < ($1.depth, $1.timestamp, $1.dot) }
        owner = ordered.first { $0.entry == .open }.map { lineage($0.dot.replica)[0] }
        if let owner {
            var made: [ReplicaID: Int] = [:]
            for posted in ordered where lineage(posted.dot.replica)[0] == owner {
                if case .mint(let amount) = posted.entry { made[posted.dot.replica, default: 0] += amount }
            }
            minted = made.keys.map { lineage($0).reduce(0) { $0 + (made[$1] ?? 0) } }.max() ?? 0
            if minted > 0 { held[owner] = minted }
        }
        let released = Set(
            uses.compactMap { used -> ReleasedUse? in
                guard case .release(let dot) = used.use, lineage(used.dot.replica).contains(dot.replica) else {
                    return nil
                }
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
            if backed[holder, default: []].count < held[holder] ?? 0 || Mutant.rightsAreNotCounted.isPlanted {
                backed[holder, default: []].append(used)
            } else {
                unbacked.append(used)
            }
        }
    }

    private struct ReleasedUse: Hashable {
        let dot: Dot
        let booking: RecordID
    }

    /// Rights of a holder that nobody sits on.
    package func free(_ holder: ReplicaID) -> Int { (held[holder] ?? 0) - (backed[holder]?.count ?? 0) }

    /// Bookings that have a seat.
    package var confirmed: Set<RecordID> { Set(backed.values.joined().map(\.booking)) }
}
