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

    package init(ledger: [Posted], uses: [Used]) {
        let ordered = ledger.sorted { ($0.depth, $0.timestamp, $0.dot) < ($1.depth, $1.timestamp, $1.dot) }
        owner = ordered.first { $0.entry == .open }?.dot.replica
        for posted in ordered where posted.dot.replica == owner {
            if case .mint(let amount) = posted.entry {
                minted += amount
                held[posted.dot.replica, default: 0] += amount
            }
        }
        let released = Set(
            uses.compactMap { used -> ReleasedUse? in
                guard case .release(let dot) = used.use, dot.replica == used.dot.replica else { return nil }
                return ReleasedUse(dot: dot, booking: used.booking)
            }
        )
        let spends = uses.filter {
            $0.use == .spend && !released.contains(ReleasedUse(dot: $0.dot, booking: $0.booking))
        }
        for used in spends.sorted(by: { ($0.dot, $0.booking) < ($1.dot, $1.booking) }) {
            let holder = used.dot.replica
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
