// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Dispatch
import Foundation
import Simulation
import Synchronization
import TsunaguCore

@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Runs whole wards by seed, with everything breaking that may break, and holds them against the rules.",
        discussion: """
            Without options one ward of each core runs at a time until the time is over. A seed that fails is printed \
            with the line that replays it; --shrink makes it short, and a line added to Tests/SimulationTests/kept-seeds.txt \
            is run by the tests for ever.
            """
    )

    @Option(help: "The first seed.") var seed: UInt64 = 1
    @Option(help: "How many seeds; as many as there is time for where it is left out.") var seeds: Int?
    @Option(help: "Begin no further seed after so many seconds.") var seconds: Double = 240
    @Option(help: "Steps of each seed.") var steps = WardSimulation.stepsUsual
    @Flag(help: "Let one number be two changes: clones of disks, and writing on an older disk.") var forks = false
    @Option(help: "Replay one line that was printed.") var replay: String?
    @Flag(help: "Print what happens, step by step.") var trace = false
    @Flag(help: "Make the first failing run short.") var shrink = false
    @Flag(help: "Plant each defect in turn, and print the seed that finds it.") var mutants = false
    @Option(help: "Plant this defect.") var mutant: String?

    func run() throws {
        if mutants { return try hunt(upTo: UInt64(seeds ?? 100)) }
        if let mutant {
            guard let known = Mutant(rawValue: mutant) else {
                throw ValidationError("there is no '\(mutant)' among \(Mutant.allCases.map(\.rawValue))")
            }
            try Self.plant(known)
        }
        if let replay {
            guard let plan = WardSimulation.Plan(line: replay) else { throw ValidationError("'\(replay)' is no run") }
            return try runOne(plan)
        }
        if seeds == 1 { return try runOne(plan(seed)) }
        try runMany()
    }

    /// A line at once, also where a pipe reads it.
    private static func say(_ line: some CustomStringConvertible) {
        print(line)
        fflush(nil)
    }

    @Sendable private func plan(_ seed: UInt64) -> WardSimulation.Plan {
        var plan = WardSimulation.Plan(seed: seed, steps: steps)
        plan.hasForks = forks
        return plan
    }

    private func runOne(_ plan: WardSimulation.Plan) throws {
        var plan = plan
        if trace { plan.trace = { Self.say($0) } }
        guard let failure = WardSimulation.failure(of: plan) else {
            plan.trace = nil
            return Self.say("\(plan.line): \(try WardSimulation.run(plan).line)")
        }
        Self.say(failure)
        plan.trace = nil
        if shrink, let (shorter, failure) = Shrinker.shrink(plan, report: { Self.say("\($0) steps") }) {
            Self.say("\(shorter.line)\n\(failure)")
        }
        throw ExitCode(1)
    }

    private func runMany() throws {
        let start = Date()
        let found = Self.runAll(
            from: seed,
            count: seeds.map(UInt64.init) ?? .max,
            plan,
            isOver: { seeds == nil && Date().timeIntervalSince(start) > seconds }
        )
        let total = found.total
        Self.say(
            "\(found.count) seeds from \(seed) on, \(total.steps) steps, \(total.changes) changes of notes, "
                + "\(Int(total.simulatedDays)) simulated days, \(total.faults) faults in "
                + "\(Int(Date().timeIntervalSince(start))) s"
        )
        Self.say(total.line)
        guard let failure = found.failures.min(by: { $0.seed < $1.seed }) else { return }
        for failure in found.failures { Self.say("FAILED \(failure)") }
        if shrink {
            if let (shorter, failure) = Shrinker.shrink(plan(failure.seed), report: { Self.say("\($0) steps") }) {
                Self.say("\(shorter.line)\n\(failure)")
            }
        }
        throw ExitCode(1)
    }

    private struct Found {
        var count = 0
        var next: UInt64
        var total = WardSimulation.Summary()
        var failures: [WardSimulation.Failure] = []
    }

    /// Runs seeds, one on each core at a time, until all are done, the time is over, or some have failed.
    private static func runAll(
        from first: UInt64,
        count: UInt64,
        _ plan: @Sendable (UInt64) -> WardSimulation.Plan,
        failuresMax: Int = 3,
        isOver: @Sendable () -> Bool
    ) -> (count: Int, total: WardSimulation.Summary, failures: [WardSimulation.Failure]) {
        let found = Mutex(Found(next: first))
        let end = first.addingReportingOverflow(count)
        DispatchQueue.concurrentPerform(iterations: ProcessInfo.processInfo.activeProcessorCount) { _ in
            while !isOver() {
                let seed = found.withLock { found -> UInt64? in
                    guard end.overflow || found.next < end.partialValue, found.failures.count < failuresMax else {
                        return nil
                    }
                    defer { found.next += 1 }
                    return found.next
                }
                guard let seed else { return }
                do {
                    let summary = try WardSimulation.run(plan(seed))
                    found.withLock {
                        $0.count += 1
                        $0.total.add(summary)
                    }
                } catch {
                    let failure =
                        error as? WardSimulation.Failure
                        ?? WardSimulation.Failure(seed: seed, step: plan(seed).steps, rule: "error", detail: "\(error)")
                    found.withLock {
                        $0.count += 1
                        $0.failures.append(failure)
                    }
                }
            }
        }
        return found.withLock { ($0.count, $0.total, $0.failures) }
    }

    // MARK: - Defects

    private static func plant(_ mutant: Mutant?) throws {
        #if TSUNAGU_MUTANTS
            Mutant.plant(mutant)
        #else
            throw ValidationError("this build knows no defects: build with TSUNAGU_MUTANTS=1")
        #endif
    }

    /// Seeds that showed the defects which few seeds show: they are tried first.
    private static let telling: [Mutant: UInt64] = [
        .causesAreNotAwaited: 23, .partsTakeEffectAlone: 26, .writersAreNotChecked: 5,
        .numbersAreGivenAgain: 7, .heldRunsAreForgotten: 8, .rightsAreNotCounted: 4, .seatsStayTaken: 7,
    ]

    private func hunt(upTo count: UInt64) throws {
        var missed: [Mutant] = []
        var sound: Set<UInt64> = []
        for mutant in Mutant.allCases {
            try Self.plant(mutant)
            var failure = Self.telling[mutant].flatMap { WardSimulation.failure(of: plan($0)) }
            if failure == nil {
                let found = Self.runAll(from: seed, count: count, plan, failuresMax: 1, isOver: { false })
                failure = found.failures.min { $0.seed < $1.seed }
            }
            try Self.plant(nil)
            if let failure {
                // What fails without the defect too has not found it.
                if !sound.contains(failure.seed), let other = WardSimulation.failure(of: plan(failure.seed)) {
                    Self.say("without a defect: \(other)")
                    throw ExitCode(1)
                }
                sound.insert(failure.seed)
                Self.say("\(mutant.rawValue): seed \(failure.seed), step \(failure.step), \(failure.rule)")
            } else {
                missed.append(mutant)
                Self.say("\(mutant.rawValue): NOT FOUND in \(count) seeds")
            }
        }
        Self.say("\(Mutant.allCases.count - missed.count) of \(Mutant.allCases.count) defects found")
        guard missed.isEmpty else { throw ExitCode(1) }
    }
}
