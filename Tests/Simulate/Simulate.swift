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
    @Flag(
        help:
            "Let one number be two changes all along, not in the end alone: clones of disks, and writing on an older one."
    )
    var forks = false
    @Flag(
        inversion: .prefixedNo,
        help: "Let lessons be planned, changed, passed on and called off by those who work apart."
    ) var lessons = true
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
        // Seats of copied machines are another question.
        plan.hasLessons = lessons && !forks
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
        .canonicalEquivalenceIsEquality: 14, .causesAreNotAwaited: 15, .partsTakeEffectAlone: 15,
        .leavesWhatWaits: 49, .adoptionGoesOn: 8, .writersAreNotChecked: 5, .releaseWins: 7, .numbersAreGivenAgain: 9,
        .heldRunsAreForgotten: 15, .rightsAreNotCounted: 4, .seatsStayTaken: 7,
    ]

    /// The same of defects that show only where there are lessons; the others are sought without those.
    private static let tellingOfLessons: [Mutant: UInt64] = [
        .everybodyMovesRights: 4, .offeredRightsAreSpent: 6, .loweredCapacityTakesSeats: 4, .releasesAreInferred: 6,
        .everybodyReleases: 9, .oldSeatsServeAgain: 4, .loweredCapacityIsIgnored: 2, .bothSeatsGiveWay: 4,
        .headIsForgotten: 21, .heirsWaitForNobody: 16, .everybodySucceeds: 16, .reclaimingTakesSeats: 19,
        .rightsAreInherited: 18,
    ]

    /// Plants each defect in processes of its own, one on each core at a time: what is planted is all of a process's.
    private func hunt(upTo count: UInt64) throws {
        let left = Mutex(Mutant.allCases[...])
        let outcome = Mutex<(missed: [Mutant], sound: Set<String>, error: (any Error)?)>(([], [], nil))
        DispatchQueue.concurrentPerform(iterations: ProcessInfo.processInfo.activeProcessorCount) { _ in
            while outcome.withLock({ $0.error == nil }), let mutant = left.withLock({ $0.popFirst() }) {
                do {
                    guard let found = try find(mutant, upTo: count) else {
                        outcome.withLock { $0.missed.append(mutant) }
                        Self.say("\(mutant.rawValue): NOT FOUND in \(count) seeds")
                        continue
                    }
                    // What fails without the defect too has not found it.
                    if !outcome.withLock({ $0.sound.contains(found.plan.line) }) {
                        if let other = WardSimulation.failure(of: found.plan) { throw other }
                        outcome.withLock { _ = $0.sound.insert(found.plan.line) }
                    }
                    Self.say("\(mutant.rawValue): \(found.failure)")
                } catch {
                    outcome.withLock { $0.error = error }
                }
            }
        }
        let (missed, error) = outcome.withLock { ($0.missed, $0.error) }
        if let error {
            guard error is WardSimulation.Failure else { throw error }
            Self.say("without a defect: \(error)")
            throw ExitCode(1)
        }
        let all = Mutant.allCases.count
        Self.say("\(all - missed.count) of \(all) defects found")
        guard missed.isEmpty else { throw ExitCode(1) }
    }

    /// The first seed that shows a defect, with what it says up to the rule; `nil` where none of so many does.
    private func find(_ mutant: Mutant, upTo count: UInt64) throws -> (plan: WardSimulation.Plan, failure: String)? {
        let telling = Self.tellingOfLessons[mutant] ?? Self.telling[mutant]
        for seed in (telling.map { [$0] } ?? []) + Array(seed..<seed + count) {
            var plan = plan(seed)
            plan.hasLessons = Self.tellingOfLessons[mutant] != nil
            let process = Process()
            process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
            process.arguments =
                ["--mutant", mutant.rawValue, "--seed", "\(seed)", "--seeds", "1", "--steps", "\(steps)"]
                + (plan.hasLessons ? [] : ["--no-lessons"]) + (plan.hasForks ? ["--forks"] : [])
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let lines = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            if process.terminationReason == .uncaughtSignal { return (plan, "seed \(seed) crashes") }
            guard process.terminationStatus != 0 else { continue }
            guard lines.hasPrefix("seed \(seed), ") else { throw ValidationError("\(mutant.rawValue): \(lines)") }
            return (plan, String(lines.prefix { $0 != ":" }))
        }
        return nil
    }
}
