// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension LessonSeats {
    /// What a replica has to write so that no free seat stays while somebody waits, and rights are where people ask.
    struct Settlement {
        /// Entries of the ledger, in order.
        var ledger: [LedgerEntry] = []
        /// Bookings that lose a seat, with the spending to take back and the one that stays.
        var releases: [(booking: RecordID, spend: Dot, survivor: Dot?)] = []
        /// Bookings that get one, in order.
        var spends: [RecordID] = []
        /// Bookings that nobody answered for in time: they end.
        var lapsed: [RecordID] = []

        var isEmpty: Bool { ledger.isEmpty && releases.isEmpty && spends.isEmpty && lapsed.isEmpty }
    }

    /// What a lesson's own entries do not say.
    struct Outlook {
        /// The replica that acts.
        let own: ReplicaID
        /// The day; without it no offer lapses.
        var today: Day?
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
        // Whoever holds the seat of an offer ends it: one does, and knows whether the answer came. Nobody can answer while
        // the lesson does not take place.
        let lapsed = bookings.filter { booking in
            guard !isCancelled, let last = booking.answerBy, let today = outlook.today else { return false }
            return today > last && booking.seat?.replica == outlook.own
        }.map(\.id)
        guard !lapsed.isEmpty else { return settlement(behind: outlook) }
        var seats = self
        for id in lapsed { seats.cancel(id) }
        var out = seats.settlement(behind: outlook)
        out.lapsed = lapsed
        return out
    }

    private func settlement(behind outlook: Outlook) -> Settlement {
        var out = Settlement()
        guard let owner = ledger.owner else { return out }
        let own = outlook.own
        takeSeatsBack(outlook, &out)
        var free = ledger.free(own) + out.releases.count { $0.spend.replica == own && isBacked($0) }
        if Mutant.rightsAreInherited.isPlanted { free += outlook.former.keys.reduce(0) { $0 + ledger.free($1) } }
        if owner == own || Mutant.everybodyMovesRights.isPlanted {
            free += keepLedger(free, outlook, &out)
            free -= coverDeficits(free, outlook, &out)
        }
        // Rights that are more than is planned by now serve nobody, and go back.
        var room = outlook.planned.map { max(0, $0 - confirmedCount) } ?? .max
        if Mutant.loweredCapacityIsIgnored.isPlanted { room = .max }
        if Mutant.rightsAreNotCounted.isPlanted, owner == own { (free, room) = (waiting.count, .max) }
        let seated = Set(bookings.filter { $0.serving.contains { $0.replica == own } }.map(\.id))
        out.spends = next(max(0, min(free, room)), besides: seated, on: outlook.today)
        free -= out.spends.count
        if owner != own, outlook.isSuccessor, let ends = outlook.gone[owner] {
            out.ledger.append(.succeed(owner, ends: ends))
            return out
        }
        takePart(outlook, &out)
        if owner != own {
            if free > 0, waiting.count(where: { !seated.contains($0) }) > out.spends.count {
                // A group waits in spite of a free right, and the owner brings together what it needs; or fewer seats are
                // planned by now, and it unmakes what is over.
                out.ledger.append(.offer(free))
                free = 0
            }
        }
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
                guard spend.replica == outlook.own || isHeir || Mutant.everybodyReleases.isPlanted else { continue }
                if !booking.wantsSeat, !Mutant.seatsStayTaken.isPlanted {
                    out.releases.append((booking.id, spend, nil))
                } else if booking.wantsSeat, !booking.serving.contains(spend) {
                    out.releases.append((booking.id, spend, nil))
                } else if booking.wantsSeat, let seat = booking.seat,
                    seat != spend || Mutant.bothSeatsGiveWay.isPlanted && booking.spends.count > 1
                {
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
        guard let succeeded = ledger.succeeded, !Mutant.heirsWaitForNobody.isPlanted else { return [] }
        return Set(
            ledger.held.keys.filter { holder in
                holder != ledger.owner && holder != succeeded.owner && ledger.ended[holder] == nil
                    && !acknowledged.contains(holder)
            }
        )
    }

    /// Brings the owner's ledger up to date.
    ///
    /// - Parameter free: rights that the owner has free, with those that it takes back from its own bookings.
    /// - Returns: by how much that changes what the owner has free.
    private func keepLedger(_ free: Int, _ outlook: Outlook, _ out: inout Settlement) -> Int {
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
                        lineage($0.replica)[0] == holder && SeatLedger.isWithin(ends, $0, lineage)
                            && !taken.contains(Spending($0, booking.id))
                    }
            }
            let moved = Mutant.reclaimingTakesSeats.isPlanted ? held : max(0, held - spent)
            guard moved > 0 || ledger.ended[holder] == nil else { continue }
            out.ledger.append(.reclaim(holder, ends: ends, moved))
            gain += moved
        }
        guard awaited.isEmpty, let planned = outlook.planned else { return gain }
        if planned > ledger.minted {
            out.ledger.append(.mint(planned - ledger.minted))
            gain += planned - ledger.minted
        } else if planned < ledger.minted {
            // A seat that is given up in a lesson with too many goes before anybody moves up; somebody sits on what a
            // former owner granted, whether that counts yet or not.
            let own = free + gain - deficits(outlook).values.reduce(0, +)
            let moved = min(
                ledger.minted - planned,
                Mutant.loweredCapacityTakesSeats.isPlanted ? ledger.held[outlook.own] ?? 0 : own
            )
            if moved > 0 {
                out.ledger.append(.retire(moved))
                gain -= moved
            }
        }
        return gain
    }

    /// How many people holders confirmed on what a former owner had granted them behind its end.
    private func deficits(_ outlook: Outlook) -> [ReplicaID: Int] {
        guard ledger.succeeded != nil, awaited.subtracting(outlook.gone.keys).isEmpty else { return [:] }
        let active = Set(bookings.filter { $0.isActive && $0.seat == nil }.map(\.id))
        let lacking = ledger.unbacked.filter { active.contains($0.booking) }.map { lineage($0.dot.replica)[0] }
        return Dictionary(grouping: lacking) { $0 }.mapValues(\.count).filter { holder, _ in
            holder != outlook.own && ledger.ended[holder] == nil && outlook.gone[holder] == nil
        }
    }

    /// Gives rights to those holders.
    ///
    /// - Returns: how many.
    private func coverDeficits(_ free: Int, _ outlook: Outlook, _ out: inout Settlement) -> Int {
        var given = 0
        for (holder, lacking) in deficits(outlook).sorted(by: { $0.key < $1.key }) {
            let amount = min(lacking, free - given)
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

    /// Says that this replica takes part, where that is news, and which of its device do so no more.
    ///
    /// All have to work out the same takers: where the owner alone knew that a copy of its machine takes no part, it would
    /// grant for ever what others give back.
    private func takePart(_ outlook: Outlook, _ out: inout Settlement) {
        let known = ledger.joined[outlook.own]?.former
        func isHolder(_ replica: ReplicaID) -> Bool { ledger.held[lineage(replica)[0]] != nil }
        // The others have nothing here. Whoever holds rights comes first: more do not fit in an entry.
        let here = outlook.former.filter { isHolder($0.key) || ledger.joined[$0.key] != nil || $0.key == ledger.owner }
        let sorted = here.sorted { (isHolder($0.key) ? 0 : 1, $0.key) < (isHolder($1.key) ? 0 : 1, $1.key) }
        let former = LedgerEntry.ChainEnds(
            uniqueKeysWithValues: sorted.prefix(Int(LedgerEntry.endsMax)).map { ($0.key, $0.value) }
        )
        let news = former.keys.filter { known?[$0] == nil }
        let isTaker = news.contains { ledger.joined[$0] != nil }
        if ledger.owner == outlook.own {
            if outlook.isAhead, isTaker { out.ledger.append(.join(former: former)) }
            return
        }
        guard outlook.isAhead || isHolder(outlook.own) || former.keys.contains(where: isHolder) else { return }
        let isAwaited = ledger.succeeded != nil && !acknowledged.contains(outlook.own)
        if known == nil || isTaker || news.contains(where: isHolder) || isAwaited {
            out.ledger.append(.join(former: former))
        }
    }

    /// A right more or less is not worth a message.
    private static let slack = 2

    /// Moves free rights to where people ask.
    private func spread(_ free: Int, _ outlook: Outlook, _ out: inout Settlement) {
        guard !outlook.takers.isEmpty, let planned = outlook.planned else { return }
        let seats = ledger.backed.values.reduce(0) { $0 + $1.count }
        let takers = outlook.takers.map { taker in
            var taker = taker
            taker.free = max(0, taker.replica == outlook.own ? free : ledger.free(taker.replica))
            return taker
        }
        let shares = SeatShares.shares(
            of: planned - seats,
            among: takers,
            isEve: outlook.isEve,
            turn: Int(lesson.bytes.last ?? 0)
        )
        if ledger.owner == outlook.own {
            guard awaited.subtracting(outlook.gone.keys).isEmpty, waiting.count <= out.spends.count else { return }
            var rest = free - (shares[outlook.own] ?? 0)
            for taker in takers.sorted(by: { $0.replica < $1.replica }) where taker.replica != outlook.own {
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
