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
        for entry in [LedgerEntry.open, .mint(0), .mint(100_000)] { #expect(LedgerEntry(entry.encoded) == entry) }
        for use in [SeatUse.spend, .release(Dot(owner, 7))] { #expect(SeatUse(use.encoded) == use) }
        for bytes in [[], [0], [3], [9, 1, 2]] as [[UInt8]] {
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
