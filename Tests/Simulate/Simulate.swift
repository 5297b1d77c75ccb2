// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Simulation

@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs whole wards by seed, with everything breaking that may break, and holds them against the rules."
    )

    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Option(help: "How many seeds.") var seeds: Int = 1
    @Option(help: "Steps of each.") var steps = WardSimulation.stepsUsual
    @Flag(help: "Print what happens, step by step.") var trace = false

    func run() throws {
        for seed in seed..<seed + UInt64(seeds) {
            var plan = WardSimulation.Plan(seed: seed, steps: steps)
            if trace { plan.trace = { print($0) } }
            do {
                let summary = try WardSimulation.run(plan)
                print("seed \(seed): \(summary)")
            } catch let failure as WardSimulation.Failure {
                print("FAILED \(failure)")
            }
        }
    }
}
