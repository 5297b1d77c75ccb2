// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

@Suite struct SeatLedgerTests {
    private let owner = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1)
    private let other = ReplicaID(device: DeviceID(signingKey: [2]), incarnation: 1)

    private func posted(_ replica: ReplicaID, _ seq: UInt64, depth: UInt64, _ entry: LedgerEntry) -> SeatLedger.Posted {
        SeatLedger.Posted(dot: Dot(replica, seq), timestamp: Timestamp(raw: seq), depth: depth, entry: entry)
    }

    private func booking(_ number: Int) -> RecordID { RecordID(Bytes16(UInt128(number))) }

    private func used(_ replica: ReplicaID, _ seq: UInt64, _ number: Int, _ use: SeatUse = .spend) -> SeatLedger.Used {
        SeatLedger.Used(dot: Dot(replica, seq), booking: booking(number), use: use)
    }

    private var ledger: [SeatLedger.Posted] {
        [posted(owner, 1, depth: 1, .open), posted(owner, 2, depth: 2, .mint(2))]
    }

    @Test func spendingsCountInTheirOrderUpToTheBalance() {
        let result = SeatLedger(ledger: ledger, uses: [used(owner, 5, 3), used(owner, 3, 1), used(owner, 4, 2)])
        #expect(result.confirmed == [booking(1), booking(2)])
        #expect(result.unbacked.map(\.booking) == [booking(3)])
        #expect(result.free(owner) == 0)
        #expect(result.minted == 2)
    }

    @Test func aHolderWithoutRightsConfirmsNobody() {
        let result = SeatLedger(ledger: ledger, uses: [used(other, 1, 1), used(owner, 3, 2)])
        #expect(result.confirmed == [booking(2)])
        #expect(result.unbacked.map(\.booking) == [booking(1)])
    }

    @Test func onlyTheOwnerMints() {
        let forged = ledger + [posted(other, 1, depth: 3, .mint(50)), posted(other, 2, depth: 9, .open)]
        let result = SeatLedger(ledger: forged, uses: [used(other, 3, 1)])
        #expect(result.minted == 2)
        #expect(result.owner == owner)
        #expect(result.confirmed.isEmpty)
        #expect(SeatLedger(ledger: [posted(other, 1, depth: 1, .mint(5))], uses: [used(other, 2, 1)]).minted == 0)
    }

    @Test func onlyTheHolderItselfReleasesItsSpendingOfThatBooking() {
        let spends = [used(owner, 3, 1), used(owner, 4, 2), used(owner, 5, 3)]
        let dot = Dot(owner, 3)
        let released = SeatLedger(ledger: ledger, uses: spends + [used(owner, 6, 1, .release(dot))])
        #expect(released.confirmed == [booking(2), booking(3)])
        for wrong in [
            used(other, 6, 1, .release(dot)), used(owner, 6, 2, .release(dot)),
            used(owner, 6, 1, .release(Dot(owner, 9))),
        ] {
            #expect(SeatLedger(ledger: ledger, uses: spends + [wrong]).confirmed == [booking(1), booking(2)])
        }
        let twice = SeatLedger(
            ledger: ledger,
            uses: spends + [used(owner, 6, 1, .release(dot)), used(owner, 7, 1, .release(dot))]
        )
        #expect(twice.confirmed.count == 2, "released twice frees one right")
    }

    @Test func `Whoever owns the ledger keeps what he offered before he had heard of that`() {
        let passed =
            ledger + [
                posted(owner, 3, depth: 3, .grant(other, 1)), posted(owner, 4, depth: 4, .pass(other)),
                // Not knowing of it, and behind more entries of the list than that.
                posted(other, 1, depth: 6, .offer(1)),
            ]
        let kept = SeatLedger(ledger: passed, uses: [])
        #expect(kept.owner == other && kept.offered(other) == 0 && kept.free(other) == 1)
        // What he offers once he passed it on is offered.
        let on = passed + [posted(other, 2, depth: 7, .pass(owner)), posted(other, 3, depth: 8, .offer(1))]
        let offered = SeatLedger(ledger: on, uses: [])
        #expect(offered.owner == owner && offered.offered(other) == 1 && offered.free(other) == 0)
    }

    @Test func `An end that was named of a chain is the end of each branch it has`() {
        let branch = ReplicaID(device: other.device, incarnation: 77)
        let lineage = { (replica: ReplicaID) in replica == branch ? [other, branch] : [replica] }
        let granted = ledger + [posted(owner, 3, depth: 3, .grant(other, 2))]
        let spends = [used(branch, 7, 1), used(branch, 12, 2)]
        let reclaimed = granted + [posted(owner, 4, depth: 4, .reclaim(other, ends: [other: 10], 1))]
        let result = SeatLedger(ledger: reclaimed, uses: spends, lineage: lineage)
        #expect(result.confirmed == [booking(1)] && result.unbacked.map(\.booking) == [booking(2)])
        let passed = [
            posted(other, 1, depth: 1, .open), posted(branch, 8, depth: 2, .mint(3)),
            posted(owner, 1, depth: 3, .succeed(other, ends: [other: 8])),
        ]
        let followed = SeatLedger(ledger: passed, uses: [], lineage: lineage) { _, _ in true }
        #expect(followed.owner == owner && followed.minted == 3)
    }

    /// Whatever anybody writes, in any order: never more confirmations than rights, and one result.
    @Test func confirmationsNeverExceedRights() {
        for seed in 0..<2000 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var posts: [SeatLedger.Posted] = []
            var uses: [SeatLedger.Used] = []
            for seq in 1...UInt64(3 + generator.below(25)) {
                let replica = generator.chance(60) ? owner : other
                switch generator.below(5) {
                case 0:
                    posts.append(
                        posted(
                            replica,
                            seq,
                            depth: UInt64(generator.below(5)),
                            generator.chance(40) ? .open : .mint(generator.below(4))
                        )
                    )
                case 1:
                    uses.append(
                        used(
                            replica,
                            seq,
                            generator.below(5),
                            .release(Dot(generator.pick([owner, other]), UInt64(generator.below(20))))
                        )
                    )
                default: uses.append(used(replica, seq, generator.below(5)))
                }
            }
            let result = SeatLedger(ledger: posts, uses: uses)
            let backed = result.backed.values.joined()
            #expect(backed.count <= result.minted, "seed \(seed)")
            #expect(result.held.values.reduce(0, +) == result.minted, "seed \(seed)")
            #expect([owner, other].allSatisfy { result.free($0) >= 0 }, "seed \(seed)")
            #expect(
                Self.fold(posts, uses) == Set(backed.map { Pair(dot: $0.dot, booking: $0.booking) }),
                "seed \(seed)"
            )
            let shuffled = SeatLedger(ledger: posts.shuffled(using: &generator), uses: uses.shuffled(using: &generator))
            #expect(shuffled.confirmed == result.confirmed, "seed \(seed)")
            #expect(Set(shuffled.unbacked.map(\.dot)) == Set(result.unbacked.map(\.dot)), "seed \(seed)")
        }
    }

    /// The same of every kind of entry and use, by holders of whom some are no more and owners that follow each other.
    @Test func `Whatever is written of rights, no more are spent than were minted, in any order of arrival`() {
        let again = ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 2)
        let third = ReplicaID(device: DeviceID(signingKey: [3]), incarnation: 1)
        let all = [owner, other, again, third]
        var seen: Set<ReplicaID> = []
        for seed in 0..<3000 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            var posts = [posted(owner, 1, depth: 1, .open), posted(owner, 2, depth: 2, .mint(6))]
            var uses: [SeatLedger.Used] = []
            for seq in 3...UInt64(6 + generator.below(40)) {
                let replica = generator.pick(all)
                let ends = Dictionary(
                    uniqueKeysWithValues: all.filter { _ in generator.chance(50) }
                        .map { ($0, UInt64(generator.below(40))) }
                )
                let amount = generator.below(4)
                let entry: LedgerEntry? =
                    switch generator.below(14) {
                    case 0: .mint(amount)
                    case 1, 2: .grant(generator.pick(all), amount)
                    case 3: .takeBack(Dot(generator.pick(all), UInt64(generator.below(40))), amount)
                    case 4: .retire(amount)
                    case 5: .reclaim(generator.pick(all), ends: ends, amount)
                    case 6: .pass(generator.pick(all))
                    case 7: .succeed(generator.pick(all), ends: ends)
                    case 8: .offer(amount)
                    case 9: .join(former: ends)
                    default: nil
                    }
                if let entry {
                    posts.append(posted(replica, seq, depth: UInt64(generator.below(Int(seq)) + 1), entry))
                } else {
                    let dot = Dot(generator.pick(all), UInt64(generator.below(40)))
                    let use: SeatUse =
                        generator.chance(70) ? .spend : .release(dot, for: generator.chance(50) ? dot : nil)
                    uses.append(used(replica, seq, generator.below(6), use))
                }
            }
            func evaluate(_ posts: [SeatLedger.Posted], _ uses: [SeatLedger.Used]) -> SeatLedger {
                SeatLedger(ledger: posts, uses: uses, maySucceed: { $0 == third.device && $1 == other.device })
            }
            let result = evaluate(posts, uses)
            seen.formUnion([result.owner].compactMap { $0 })
            let minted = posts.reduce(0) { if case .mint(let amount) = $1.entry { $0 + amount } else { $0 } }
            #expect(result.minted <= minted, "seed \(seed)")
            #expect(result.held.values.allSatisfy { $0 > 0 }, "seed \(seed)")
            #expect(result.held.values.reduce(0, +) == result.minted, "seed \(seed)")
            #expect(result.backed.allSatisfy { $1.count <= result.held[$0] ?? 0 }, "seed \(seed)")
            let shuffled = evaluate(posts.shuffled(using: &generator), uses.shuffled(using: &generator))
            #expect(shuffled.owner == result.owner && shuffled.held == result.held, "seed \(seed)")
            #expect(shuffled.confirmed == result.confirmed, "seed \(seed)")
        }
        #expect(seen == Set(all), "everybody owned the ledger once")
    }

    @Test func `Shares are all of what is free, the same for everybody, and most where most ask`() {
        let takers = (1...5).map { number in
            SeatShares.Taker(
                replica: ReplicaID(device: DeviceID(signingKey: [UInt8(number)]), incarnation: 1),
                requests: number * 3,
                isVenue: number == 2
            )
        }
        for free in 0...60 {
            for isEve in [false, true] {
                let shares = SeatShares.shares(of: free, among: takers, isEve: isEve)
                #expect(shares.values.reduce(0, +) == free)
                #expect(shares == SeatShares.shares(of: free, among: takers.reversed(), isEve: isEve))
                func share(_ number: Int) -> Int { shares[takers[number - 1].replica] ?? 0 }
                #expect(share(5) >= share(3) && share(3) >= share(1))
                if isEve { #expect(share(2) * 2 >= free) }
            }
        }
        #expect(SeatShares.shares(of: 3, among: [], isEve: true).isEmpty)
        #expect(SeatShares.shares(of: -2, among: takers, isEve: true).isEmpty)
    }

    private static func takers(_ requests: [Int]) -> [SeatShares.Taker] {
        requests.enumerated().map { number, requests in
            let device = DeviceID(signingKey: [UInt8(number)])
            return SeatShares.Taker(replica: ReplicaID(device: device, incarnation: 1), requests: requests)
        }
    }

    @Test
    func `A counter where nobody asked yet has its share in time, and one that stays quiet gives most of it back`() {
        for (requests, share) in [(0, 5), (6, 3), (30, 1), (300, 0)] {
            let takers = Self.takers([requests, 0, 0, 0])
            let shares = SeatShares.shares(of: 20, among: takers, isEve: false)
            for quiet in takers.dropFirst() { #expect((shares[quiet.replica] ?? 0) >= share, "\(requests)") }
            #expect(requests < 300 || shares[takers[0].replica]! >= 19)
        }
    }

    @Test func `The last seats fall to others in each session, and stay with who has them`() {
        var takers = Self.takers([0, 0, 0, 0, 0])
        func winner(_ turn: Int) -> ReplicaID? {
            SeatShares.shares(of: 1, among: takers, isEve: false, turn: turn).keys.first
        }
        #expect(Set((0..<5).map(winner)).count == 5)
        takers[3].free = 1
        #expect(Set((0..<5).map(winner)) == [takers[3].replica])
        takers[1].requests = 40
        #expect(winner(0) == takers[1].replica, "until somebody's claim is much better")
    }

    private struct Pair: Hashable {
        let dot: Dot
        let booking: RecordID
    }

    /// The same said slowly: who is owner, how much it made, and which spendings come first.
    private static func fold(_ posts: [SeatLedger.Posted], _ uses: [SeatLedger.Used]) -> Set<Pair> {
        var first: SeatLedger.Posted?
        for post in posts where post.entry == .open {
            guard let known = first else {
                first = post
                continue
            }
            let isEarlier =
                post.depth != known.depth
                ? post.depth < known.depth
                : post.timestamp != known.timestamp ? post.timestamp < known.timestamp : post.dot < known.dot
            if isEarlier { first = post }
        }
        guard let owner = first?.dot.replica else { return [] }
        var rights = 0
        for post in posts where post.dot.replica == owner { if case .mint(let count) = post.entry { rights += count } }
        let standing = uses.filter { spend in
            spend.use == .spend && spend.dot.replica == owner
                && !uses.contains {
                    $0.use == .release(spend.dot) && $0.booking == spend.booking && $0.dot.replica == owner
                }
        }
        let ranked = standing.filter { one in
            standing.count { ($0.dot.seq, $0.booking) < (one.dot.seq, one.booking) } < rights
        }
        return Set(ranked.map { Pair(dot: $0.dot, booking: $0.booking) })
    }

    @Test func entriesComeBackAndNewerOnesCountForNothing() {
        let ends: LedgerEntry.ChainEnds = [owner: 3, other: 0]
        let entries: [LedgerEntry] = [
            .open, .mint(0), .mint(100_000), .grant(other, 2), .takeBack(Dot(other, 9), 1), .retire(4),
            .reclaim(other, ends: ends, 7), .pass(other), .succeed(owner, ends: ends), .offer(3), .join(former: [:]),
            .join(former: ends),
        ]
        for entry in entries { #expect(LedgerEntry(entry.encoded) == entry) }
        for use in [SeatUse.spend, .release(Dot(owner, 7)), .release(Dot(owner, 7), for: Dot(other, 2))] {
            #expect(SeatUse(use.encoded) == use)
        }
        for bytes in [[], [0], [3], [11, 1, 2], [1, 1], [8, 1, 2]] as [[UInt8]] {
            #expect(LedgerEntry(bytes) == nil)
            #expect(SeatUse(bytes) == nil)
        }
        #expect(LedgerEntry([2]) == nil)
        #expect(LedgerEntry([2, 0xa1, 0x8d, 6]) == nil, "100,001 rights")
        #expect(SeatUse(Array(SeatUse.release(Dot(owner, 7)).encoded.dropLast())) == nil)
    }

    @Test func amountsOfACounterAddUpAndWrapRatherThanStop() {
        #expect(Tally.sum([3, -5, 2].map { Tally.encode($0) }) == 0)
        #expect(Tally.sum([Tally.encode(.max), Tally.encode(1)]) == .min)
        #expect(Tally.sum([[], [1, 1], [0x80, 0], Tally.encode(4)]) == 4)
    }
}
