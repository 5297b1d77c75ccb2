// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension LessonSeats {
    /// What a replica has to write so that no free seat stays while somebody waits, and rights are where people ask.
    struct Settlement {
        /// Entries of the ledger, in order.
        var ledger: [LedgerEntry] = []
        /// Bookings that lose a seat, with the spending to take back and the one that stays.
        var releases: [(booking: RecordID, spend: Dot, survivor: Dot?)] = []
        /// Bookings that get one, in order.
        var spends: [RecordID] = []

        var isEmpty: Bool { ledger.isEmpty && releases.isEmpty && spends.isEmpty }
    }

    /// What a lesson's own entries do not say.
    struct Outlook {
        /// The replica that acts.
        let own: ReplicaID
        /// The capacity; `nil` while sites differ on it.
        var planned: Int?
        /// Whether rights still travel: the lesson is ahead.
        var isAhead = false
        /// Whether the venue's share has to be there.
        var isEve = false
        /// Where chains of this replica's device, other than its own, end here.
        var former: LedgerEntry.ChainEnds = [:]
        /// Holders that are no more, all of whose changes that count are here, with where they end.
        var gone: [ReplicaID: LedgerEntry.ChainEnds] = [:]
        /// Whether this replica follows the owner, once that is gone.
        var isSuccessor = false
        /// Who may be granted rights.
        var takers: [SeatShares.Taker] = []
    }

    /// The same from any number of tries: what is written is seen by the next.
    func settlement(_ outlook: Outlook) -> Settlement {
        var out = Settlement()
        guard let owner = ledger.owner else { return out }
        let own = outlook.own
        takeSeatsBack(outlook, &out)
        var free = ledger.free(own) + out.releases.count { $0.spend.replica == own && isBacked($0) }
        if owner == own {
            free += keepLedger(outlook, &out)
            free -= coverDeficits(free, outlook, &out)
        }
        if Mutant.rightsAreNotCounted.isPlanted, owner == own { free = waiting.count }
        let seated = Set(bookings.filter { $0.spends.contains { $0.replica == own } }.map(\.id))
        out.spends = Array(waiting.filter { !seated.contains($0) }.prefix(max(0, free)))
        free -= out.spends.count
        if owner != own, outlook.isSuccessor, let ends = outlook.gone[owner] {
            out.ledger.append(.succeed(owner, ends: ends))
            return out
        }
        if owner != own { takePart(outlook, &out) }
        if outlook.isAhead { spread(free, outlook, &out) }
        return out
    }

    /// Takes back what serves nobody: seats of bookings that nobody wants any more, and second seats of one booking.
    ///
    /// Each holder takes back its own, and the owner those of holders that are no more; nobody infers that another did.
    private func takeSeatsBack(_ outlook: Outlook, _ out: inout Settlement) {
        for booking in bookings {
            for spend in booking.spends.sorted() {
                let isHeir = ledger.owner == outlook.own && ledger.ended[lineage(spend.replica)[0]] != nil
                guard spend.replica == outlook.own || isHeir else { continue }
                if !booking.isActive, !Mutant.seatsStayTaken.isPlanted {
                    out.releases.append((booking.id, spend, nil))
                } else if booking.isActive, let seat = booking.seat, seat != spend {
                    out.releases.append((booking.id, spend, seat))
                }
            }
        }
    }

    private func isBacked(_ release: (booking: RecordID, spend: Dot, survivor: Dot?)) -> Bool {
        ledger.backed[lineage(release.spend.replica)[0]]?
            .contains { $0.dot == release.spend && $0.booking == release.booking } == true
    }

    // MARK: - The owner

    /// Holders that have not said yet that they know of the succession: what the former owner granted them, and whom
    /// they confirmed on it, may not be known here.
    var awaited: Set<ReplicaID> {
        guard let succeeded = ledger.succeeded else { return [] }
        return Set(
            ledger.held.keys.filter { holder in
                holder != ledger.owner && holder != succeeded.owner && ledger.ended[holder] == nil
                    && (ledger.joined[holder]?.depth ?? 0) < succeeded.depth
            }
        )
    }

    /// Brings the owner's ledger up to date.
    ///
    /// - Returns: by how much that changes what the owner has free.
    private func keepLedger(_ outlook: Outlook, _ out: inout Settlement) -> Int {
        var gain = 0
        for (offer, amount) in ledger.offers.sorted(by: { $0.key < $1.key }) where amount > 0 {
            let holder = lineage(offer.replica)[0]
            guard holder != ledger.owner, outlook.gone[holder] == nil, ledger.ended[holder] == nil else { continue }
            let moved = min(amount, ledger.held[holder] ?? 0)
            guard moved > 0 else { continue }
            out.ledger.append(.takeBack(offer, moved))
            gain += moved
        }
        let awaited = awaited.subtracting(outlook.gone.keys)
        for (holder, ends) in outlook.gone.sorted(by: { $0.key < $1.key }) where holder != ledger.owner {
            guard let held = ledger.held[holder], awaited.isEmpty || holder != ledger.succeeded?.owner else { continue }
            let ends = ledger.ended[holder] ?? ends
            let taken = Set(out.releases.map { Spending($0.spend, $0.booking) })
            let spent = bookings.reduce(0) { sum, booking in
                sum
                    + booking.spends.count {
                        lineage($0.replica)[0] == holder && $0.seq <= ends[$0.replica] ?? 0
                            && !taken.contains(Spending($0, booking.id))
                    }
            }
            let moved = max(0, held - spent)
            guard moved > 0 || ledger.ended[holder] == nil else { continue }
            out.ledger.append(.reclaim(holder, ends: ends, moved))
            gain += moved
        }
        guard awaited.isEmpty, let planned = outlook.planned else { return gain }
        if planned > ledger.minted {
            out.ledger.append(.mint(planned - ledger.minted))
            gain += planned - ledger.minted
        } else if planned < ledger.minted {
            let own = ledger.free(outlook.own) + gain
            let moved = min(ledger.minted - planned, own)
            if moved > 0 {
                out.ledger.append(.retire(moved))
                gain -= moved
            }
        }
        return gain
    }

    /// Gives rights to holders that confirmed people on what a former owner had granted them behind its end.
    ///
    /// - Returns: how many.
    private func coverDeficits(_ free: Int, _ outlook: Outlook, _ out: inout Settlement) -> Int {
        guard ledger.succeeded != nil, awaited.subtracting(outlook.gone.keys).isEmpty else { return 0 }
        let active = Set(bookings.filter { $0.isActive && $0.seat == nil }.map(\.id))
        let lacking = Dictionary(
            grouping: ledger.unbacked.filter { active.contains($0.booking) },
            by: { lineage($0.dot.replica)[0] }
        )
        var given = 0
        for (holder, spends) in lacking.sorted(by: { $0.key < $1.key })
        where holder != outlook.own && ledger.ended[holder] == nil && outlook.gone[holder] == nil {
            let amount = min(spends.count, free - given)
            guard amount > 0 else { continue }
            out.ledger.append(.grant(holder, amount))
            given += amount
        }
        return given
    }

    private struct Spending: Hashable {
        let dot: Dot
        let booking: RecordID

        init(_ dot: Dot, _ booking: RecordID) { (self.dot, self.booking) = (dot, booking) }
    }

    // MARK: - Everybody

    /// Says that this replica takes part, where that is news to the owner.
    private func takePart(_ outlook: Outlook, _ out: inout Settlement) {
        let known = ledger.joined[outlook.own]
        let holds =
            ledger.held[outlook.own] != nil || outlook.former.keys.contains { ledger.held[lineage($0)[0]] != nil }
        guard outlook.isAhead || holds else { return }
        let hasNews = outlook.former.contains { ledger.held[lineage($0.key)[0]] != nil && known?.former[$0.key] == nil }
        let isAwaited = ledger.succeeded.map { (known?.depth ?? 0) < $0.depth } ?? false
        if known == nil || hasNews || isAwaited { out.ledger.append(.join(former: outlook.former)) }
    }

    /// A right more or less is not worth a message.
    private static let slack = 2

    /// Moves free rights to where people ask.
    private func spread(_ free: Int, _ outlook: Outlook, _ out: inout Settlement) {
        guard !outlook.takers.isEmpty, let planned = outlook.planned else { return }
        let seats = ledger.backed.values.reduce(0) { $0 + $1.count }
        let shares = SeatShares.shares(of: planned - seats, among: outlook.takers, isEve: outlook.isEve)
        if ledger.owner == outlook.own {
            guard awaited.subtracting(outlook.gone.keys).isEmpty, waiting.count <= out.spends.count else { return }
            var rest = free - (shares[outlook.own] ?? 0)
            for taker in outlook.takers.sorted(by: { $0.replica < $1.replica }) where taker.replica != outlook.own {
                let has = ledger.free(taker.replica)
                let lack = min((shares[taker.replica] ?? 0) - has, rest)
                guard lack > 0, lack >= Self.slack || has <= 0 else { continue }
                out.ledger.append(.grant(taker.replica, lack))
                rest -= lack
            }
        } else {
            let surplus = free - (shares[outlook.own] ?? 0)
            let isTooMany = ledger.minted > planned || shares[outlook.own] == nil
            if surplus >= Self.slack || surplus > 0 && isTooMany { out.ledger.append(.offer(surplus)) }
        }
    }
}
