// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Random histories of real stores against the reference model, after every step.
@Suite struct StoreHistoryTests {
    static let seeds = Seeds.chosen(0..<24)

    @Test func everyOrderOfFourChangesUnderEveryCausalityEndsInOneState() throws {
        let orders = Permutations.of(4)
        let ward = try SimulatedWard(sites: 4 + orders.count, seed: 1)
        for (index, past) in Causality.all(of: 4).enumerated() {
            try ward.spread(past: past, orders: orders) { $0 % 12 == index % 12 }
        }
    }

    @Test(arguments: seeds)
    func sitesAgreeWithTheModelAfterEveryStep(seed: UInt64) throws {
        let ward = try SimulatedWard(sites: 2 + Int(seed % 3), seed: seed)
        for _ in 0..<60 { try ward.step() }
        try ward.settle()
    }

    @Test(arguments: seeds)
    func aSiteWithoutAGrantHoldsNobodyUpAndTakesEffectWithIt(seed: UInt64) throws {
        let ward = try SimulatedWard(sites: 3 + Int(seed % 2), seed: seed &+ 1_000_000, withOutsider: true)
        for _ in 0..<50 { try ward.step() }
        try ward.settle()
    }
}
