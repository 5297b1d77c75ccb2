// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Makes a failing run short: what is left out of it matters to nobody.
package enum Shrinker {
    /// The fewest steps found with which a plan still breaks the same rule, by removing halves, quarters, … of them
    /// (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
    ///
    /// - Parameter report: told how many steps are left.
    /// - Returns: the shorter plan with its failure; `nil` where the plan does not fail.
    package static func shrink(
        _ plan: WardSimulation.Plan,
        report: (Int) -> Void
    ) -> (plan: WardSimulation.Plan, failure: WardSimulation.Failure)? {
        guard var failure = WardSimulation.failure(of: plan) else { return nil }
        var best = plan
        var kept = Array((0..<plan.steps).filter { !plan.skipped.contains($0) && $0 <= failure.step })
        func attempt(_ steps: [Int]) -> Bool {
            var shorter = plan
            shorter.skipped = Set(0..<plan.steps).subtracting(steps)
            guard let found = WardSimulation.failure(of: shorter), found.rule == failure.rule else { return false }
            (best, failure, kept) = (shorter, found, steps)
            report(steps.count)
            return true
        }
        _ = attempt(kept)
        var size = max(1, kept.count / 2)
        while size >= 1, !kept.isEmpty {
            var start = 0
            var isShorter = false
            while start < kept.count {
                var steps = kept
                steps.removeSubrange(start..<min(kept.count, start + size))
                if attempt(steps) { isShorter = true } else { start += size }
            }
            if size == 1, !isShorter { break }
            size = max(1, isShorter ? min(size, kept.count) : size / 2)
        }
        return (best, failure)
    }
}

extension WardSimulation {
    /// The rule that a plan breaks; an error of the simulation itself is one too.
    package static func failure(of plan: Plan) -> Failure? {
        do {
            _ = try run(plan)
            return nil
        } catch let failure as Failure {
            return failure
        } catch {
            return Failure(seed: plan.seed, step: plan.steps, rule: "error", detail: "\(error)")
        }
    }
}

extension WardSimulation.Plan {
    /// One line that names the run: the seed, how many steps, those that are kept where some are left out, and `forks`
    /// or `lessons`.
    package var line: String {
        let kept = (0..<steps).filter { !skipped.contains($0) }
        let list = kept.isEmpty ? "-" : kept.map(String.init).joined(separator: ",")
        return "\(seed) \(steps)" + (skipped.isEmpty ? "" : " \(list)") + (hasForks ? " forks" : "")
            + (hasLessons ? " lessons" : "")
    }

    /// Reads such a line; `nil` where it is of another form.
    package init?(line: some StringProtocol) {
        var words = line.split(separator: " ")
        let hasLessons = words.last == "lessons"
        if hasLessons { words.removeLast() }
        let hasForks = words.last == "forks"
        if hasForks { words.removeLast() }
        guard (2...3).contains(words.count), let seed = UInt64(words[0]), let steps = Int(words[1]) else { return nil }
        self.init(seed: seed, steps: steps)
        self.hasForks = hasForks
        self.hasLessons = hasLessons
        guard words.count == 3 else { return }
        let kept = Set(words[2].split(separator: ",").compactMap { Int($0) })
        skipped = Set(0..<steps).subtracting(kept)
    }
}
