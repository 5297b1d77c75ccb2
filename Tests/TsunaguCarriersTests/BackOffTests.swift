// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCarriers

struct BackOffTests {
    /// Draws the same number for ever: one near the lower or the upper end of whatever range is asked for.
    private struct Constant: RandomNumberGenerator {
        let bits: UInt64
        func next() -> UInt64 { bits }
    }

    private func delays(_ outcomes: [SyncOutcome], bits: UInt64 = .max) -> [Duration] {
        var backOff = BackOff(interval: .seconds(60), first: .seconds(2), limit: .seconds(300))
        var random = Constant(bits: bits)
        return outcomes.map { backOff.delay(after: $0, using: &random) }
    }

    private func seconds(_ delays: [Duration]) -> [Int] {
        delays.map { Int(($0 / .milliseconds(1) / 1000).rounded()) }
    }

    @Test("Failures come back ever later, up to the limit")
    func unreachable() {
        let delays = delays(Array(repeating: .unreachable, count: 10))
        #expect(seconds(delays) == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    }

    @Test("A peer that is there is not asked less often than when all is well")
    func behind() {
        let delays = delays(Array(repeating: .behind, count: 8))
        #expect(seconds(delays) == [2, 4, 8, 16, 32, 60, 60, 60])
    }

    @Test("One success forgets the failures")
    func success() {
        #expect(seconds(delays([.unreachable, .unreachable, .upToDate, .unreachable])) == [2, 4, 60, 2])
    }

    @Test("A peer that does not want us is asked at the longest interval")
    func refused() {
        #expect(seconds(delays([.refused, .refused])) == [300, 300])
    }

    @Test("Jitter takes at most half away", arguments: SyncOutcome.allCases)
    func jitter(outcome: SyncOutcome) {
        let shortest = delays([outcome], bits: 1 << 10)[0]
        let longest = delays([outcome], bits: .max)[0]
        #expect(abs(longest / shortest - 2) < 0.001)
        var random = SystemRandomNumberGenerator()
        for _ in 1...1000 {
            var backOff = BackOff(interval: .seconds(60), first: .seconds(2), limit: .seconds(300))
            let delay = backOff.delay(after: outcome, using: &random)
            #expect(shortest <= delay && delay <= longest)
        }
    }

    @Test("A year of failures does not overflow")
    func manyFailures() {
        let delays = delays(Array(repeating: .unreachable, count: 200_000))
        #expect(seconds([delays.last!]) == [300])
    }
}
