// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Simulation
import Testing

@Suite("A whole ward")
struct WardTests {
    /// Runs that once failed, each a line as `simulate` prints it; behind `#` stands what they found.
    static let kept: [WardSimulation.Plan] = {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("kept-seeds.txt")
        let text = (try? String(contentsOf: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            let run = line.prefix { $0 != "#" }
            return WardSimulation.Plan(line: run)
        }
    }()

    @Test func `Every line of the kept seeds is a run`() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("kept-seeds.txt")
        let lines = try String(contentsOf: path, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.count == Self.kept.count && !lines.isEmpty)
    }

    @Test(arguments: kept)
    func `What once failed holds`(plan: WardSimulation.Plan) throws { _ = try WardSimulation.run(plan) }

    @Test func `One seed is one run`() throws {
        let plan = WardSimulation.Plan(seed: 11, steps: 60)
        let (first, second) = (try WardSimulation.run(plan), try WardSimulation.run(plan))
        #expect(first.traceHash == second.traceHash)
        #expect(first.traceHash != (try WardSimulation.run(WardSimulation.Plan(seed: 12, steps: 60)).traceHash))
    }

    @Test func `One seed is one run in another process too`() throws {
        let plan = WardSimulation.Plan(seed: 13, steps: 40)
        let here = try WardSimulation.run(plan)
        let there = try Program.simulate.run(["--replay", plan.line])
        #expect(there.status == 0)
        #expect(there.text == "\(plan.line): \(here.line)\n")
    }

    #if TSUNAGU_MUTANTS
        @Test func `A failing run is made short, and its line fails again until the defect is gone`() throws {
            let defect = ["--mutant", "everybodyMayRead"]
            let found = try Program.simulate.run(defect + ["--seed", "1", "--seeds", "1", "--shrink"])
            #expect(found.status == 1)
            let lines = found.text.split(separator: "\n")
            let shorter = try #require(lines.dropLast().last.flatMap { WardSimulation.Plan(line: $0) })
            #expect(shorter.steps - shorter.skipped.count <= 2 && lines.last?.contains("unauthorised") == true)
            #expect(try Program.simulate.run(defect + ["--replay", shorter.line]).status == 1)
            #expect(try Program.simulate.run(["--replay", shorter.line]).status == 0)
        }

        @Test func `A defect that nobody knows is refused`() throws {
            #expect(try Program.simulate.run(["--mutant", "none"]).status == 64)
        }
    #endif

    @Test func `A run's line names it`() throws {
        var plan = WardSimulation.Plan(seed: 11, steps: 6)
        #expect(plan.line == "11 6")
        plan.skipped = [1, 2, 4]
        #expect(plan.line == "11 6 0,3,5")
        #expect(WardSimulation.Plan(line: plan.line)?.line == plan.line)
        #expect(WardSimulation.Plan(line: "11") == nil && WardSimulation.Plan(line: "a 6") == nil)
    }
}
