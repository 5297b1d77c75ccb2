// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// Real stores against the reference model, after every step.
@Suite struct SimulationTests {
    @Test(arguments: 0..<24 as Range<UInt64>)
    func sitesAgreeWithTheModelAfterEveryStep(seed: UInt64) throws {
        let ward = try SimulatedWard(sites: 2 + Int(seed % 3), seed: seed)
        for _ in 0..<60 { try ward.step() }
        try ward.settle()
    }
}
