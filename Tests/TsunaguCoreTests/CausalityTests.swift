// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// Clocks and vectors.
@Suite struct CausalityTests {
    private let replicas = (0..<4).map { ReplicaID(device: DeviceID(signingKey: [UInt8($0)]), incarnation: UInt64($0)) }
        .sorted()

    // MARK: - Clock

    @Test func stampsOnlyGoForwardWhateverTheMachineSays() {
        var clock = HybridLogicalClock()
        var last = Timestamp(raw: 0)
        for now in [1000, 1000, 999, 0, 5000, 4999, 5000] as [UInt64] {
            let stamp = clock.tick(milliseconds: now)
            #expect(stamp > last)
            #expect(stamp.milliseconds >= now)
            last = stamp
        }
        #expect(last.milliseconds == 5000)
    }

    @Test func moreStampsThanTheCounterHoldsInOneMillisecondGoOnInTheNext() {
        var clock = HybridLogicalClock()
        var last = Timestamp(raw: 0)
        for _ in 0...0x1_0000 {
            let stamp = clock.tick(milliseconds: 1000)
            guard stamp > last else {
                Issue.record("\(stamp) after \(last)")
                return
            }
            last = stamp
        }
        #expect(last.milliseconds == 1001)
    }

    @Test func aRemoteStampIsFollowedWithinTheBoundAndReportedBeyondIt() {
        let bound = HybridLogicalClock.adoptionBoundMilliseconds
        let now: UInt64 = 1_000_000_000
        for ahead in [0, 1, bound - 1, bound] as [UInt64] {
            var clock = HybridLogicalClock()
            #expect(clock.adopt(Timestamp(milliseconds: now + ahead), milliseconds: now) == nil)
            #expect(clock.tick(milliseconds: now) > Timestamp(milliseconds: now + ahead))
        }
        for ahead in [bound + 1, 86_400_000, 3_650 * 86_400_000, Timestamp(raw: .max).milliseconds - now] as [UInt64] {
            var clock = HybridLogicalClock()
            #expect(clock.adopt(Timestamp(milliseconds: now + ahead), milliseconds: now) == ahead)
            #expect(clock.tick(milliseconds: now) == Timestamp(milliseconds: now))
        }
        var clock = HybridLogicalClock(last: Timestamp(milliseconds: now))
        #expect(clock.adopt(Timestamp(milliseconds: 0), milliseconds: now) == nil)
        #expect(clock.last == Timestamp(milliseconds: now))
    }

    @Test func aMachineWhoseClockIsAbsurdStillStamps() {
        var clock = HybridLogicalClock(last: Timestamp(raw: .max))
        #expect(clock.tick(milliseconds: .max) == Timestamp(raw: .max))
        var other = HybridLogicalClock()
        #expect(other.tick(milliseconds: .max).milliseconds == Timestamp.millisecondsMax)
        #expect(other.adopt(Timestamp(raw: .max), milliseconds: .max) == nil)
    }

    // MARK: - Vectors

    /// The same as a set of dots, for numbers up to 12.
    private func dots(_ vector: VersionVector) -> Set<Dot> {
        Set(
            replicas.flatMap { replica in (1...12 as ClosedRange<UInt64>).map { Dot(replica, $0) } }.filter(
                vector.covers
            )
        )
    }

    private func random(_ generator: inout SeededGenerator) -> VersionVector {
        var entries: [ReplicaID: UInt64] = [:]
        for replica in replicas where generator.chance(70) { entries[replica] = UInt64(generator.below(13)) }
        var exceptions: [VersionVector.Exception] = []
        for replica in replicas where generator.chance(40) {
            let first = 1 + UInt64(generator.below(6))
            exceptions.append(
                VersionVector.Exception(replica: replica, first: first, last: first + UInt64(generator.below(4)))
            )
            if generator.chance(30) {
                exceptions.append(VersionVector.Exception(replica: replica, first: first + 5, last: first + 6))
            }
        }
        return VersionVector(entries, exceptions: exceptions)
    }

    @Test func coveringIsInclusionOfSets() {
        var generator = SeededGenerator(seed: 1)
        var both = [0, 0]
        for _ in 0..<4000 {
            let a = random(&generator)
            let b = generator.chance(50) ? random(&generator) : subset(of: a, &generator)
            let expected = dots(a).isSuperset(of: dots(b))
            #expect(a.covers(b) == expected, "\(a) \(b)")
            both[expected ? 1 : 0] += 1
            for replica in replicas {
                let range = 1 + UInt64(generator.below(6))...7 + UInt64(generator.below(6))
                #expect(a.firstCovered(of: replica, in: range) == range.first { a.covers(Dot(replica, $0)) })
            }
        }
        #expect(both.allSatisfy { $0 > 300 }, "\(both)")
    }

    private func subset(of vector: VersionVector, _ generator: inout SeededGenerator) -> VersionVector {
        var entries = vector.entries
        for replica in entries.keys.sorted() where generator.chance(40) { entries[replica]! /= 2 }
        return VersionVector(entries, exceptions: vector.exceptions)
    }

    @Test(.timeLimit(.minutes(1))) func astronomicNumbersFromOthersCostNothing() {
        let all = VersionVector(
            [replicas[0]: .max],
            exceptions: [VersionVector.Exception(replica: replicas[0], first: 1, last: .max)]
        )
        #expect(VersionVector().covers(all))
        #expect(VersionVector([replicas[0]: 3]).covers(all))
        #expect(!all.covers(VersionVector([replicas[0]: 3])))
        #expect(all.covers(all))
        #expect(!VersionVector().covers(VersionVector([replicas[0]: .max])))
    }

    @Test func aDeltaLeadsFromOneVectorToTheOther() throws {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<1000 {
            let earlier = random(&generator)
            var later = earlier
            for replica in replicas where generator.chance(50) { later[replica] += UInt64(generator.below(3)) }
            if generator.chance(30) { later.exceptions = random(&generator).exceptions }
            var moved = earlier
            try moved.advance(by: DepsDelta(from: earlier, to: later))
            #expect(moved == later)
            #expect(DepsDelta(from: earlier, to: earlier).isEmpty)
        }
    }

    @Test func depsNeverGoBackOrStandStill() {
        var vector = VersionVector([replicas[0]: 5])
        for seq in [0, 4, 5] as [UInt64] {
            #expect(throws: CodecError.invalid("deps go back")) {
                try vector.advance(by: DepsDelta(entries: [Dot(replicas[0], seq)], exceptions: nil))
            }
        }
        #expect(throws: Never.self) {
            try vector.advance(by: DepsDelta(entries: [Dot(replicas[0], 6)], exceptions: nil))
        }
    }

    @Test func anEntryOfZeroIsNoEntry() {
        var vector = VersionVector([replicas[0]: 0])
        #expect(vector.entries.isEmpty)
        vector[replicas[1]] = 2
        vector[replicas[1]] = 0
        #expect(vector == VersionVector())
        #expect(!vector.covers(Dot(replicas[1], 1)))
    }

    // MARK: - Digest

    @Test func theDigestIsASumThatTellsFieldsGroupsAndPlacesApart() {
        var generator = SeededGenerator(seed: 3)
        let leaf = Bytes16(generator.bytes(16))!
        var seen: Set<SpaceDigest> = []
        for field in 0..<127 { #expect(seen.insert(SpaceDigest(leaf: leaf, fields: 1 << FieldMask(field))).inserted) }
        for group in 1...62 as ClosedRange<UInt32> {
            for place in [0, 1, 2, 4095] {
                #expect(seen.insert(SpaceDigest(leaf: leaf, group: group, item: place)).inserted, "\(group) \(place)")
            }
        }
        let parts = Array(seen)
        let sum = parts.reduce(SpaceDigest(), +)
        #expect(parts.shuffled(using: &generator).reduce(SpaceDigest(), +) == sum)
        #expect(parts.shuffled(using: &generator).reduce(sum, -) == SpaceDigest())
        #expect(SpaceDigest(sum.bytes) == sum)
        let together = SpaceDigest(leaf: leaf, fields: 0b1011)
        #expect(
            together == [0, 1, 3].reduce(SpaceDigest()) { $0 + SpaceDigest(leaf: leaf, fields: 1 << FieldMask($1)) }
        )
    }
}
