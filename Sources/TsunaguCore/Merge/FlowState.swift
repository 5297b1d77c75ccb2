// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A step of a flow as the log has it.
package struct FlowStep: Hashable, Sendable {
    /// The change that made it; `nil` while it is still to be written.
    package var dot: Dot?
    /// Its place among the items of that change.
    package var place: Int
    package var depth: UInt64
    package var timestamp: Timestamp
    package var transition: Transition

    package init(dot: Dot?, place: Int, depth: UInt64, timestamp: Timestamp, transition: Transition) {
        self.dot = dot
        self.place = place
        self.depth = depth
        self.timestamp = timestamp
        self.transition = transition
    }
}

/// Where a flow stands: its steps folded through the declared machine, the same whatever order they arrived in.
///
/// A step counts where the machine declares it and its author answered a step that had led to its `from`, or began the
/// flow. It ends what it answers. Steps that nobody ended stand beside each other; where they lead to different states,
/// neither of which gives way, a person decides, and nothing that depends on the outcome is done meanwhile.
package struct FlowState: Sendable {
    /// The steps that nobody ended, in list order: what a further step answers.
    package let open: [FlowStep]
    /// Those of `open` that say where the flow stands, in list order; more than one state among them is a conflict.
    package let standing: [FlowStep]
    private let machine: FlowMachine

    /// - Parameter steps: in list order.
    /// - Complexity: quadratic in the number of steps.
    package init(_ steps: [FlowStep], _ machine: FlowMachine) {
        self.machine = machine
        var valid: [FlowStep] = []
        for step in steps where Self.counts(step.transition, after: valid, machine) { valid.append(step) }
        let open = valid.indices.filter { place in
            !valid[(place + 1)...].contains { Self.ends($0, valid[place]) }
        }
        self.open = open.map { valid[$0] }
        var standing = open
        if machine.twins == .one {
            standing.removeAll { place in
                let past = Self.past(of: place, in: valid)
                return valid.indices.contains { other in
                    !open.contains(other) && !past.contains(other)
                        && valid[other].transition.from == valid[place].transition.from
                        && valid[other].transition.to == valid[place].transition.to
                }
            }
        }
        let ends = standing.map { valid[$0].transition.to }
        standing.removeAll { place in ends.contains { machine.yields(valid[place].transition.to, to: $0) } }
        self.standing = standing.map { valid[$0] }
    }

    /// The state that is shown: where the last of the standing steps led.
    package var state: ExactText { standing.last?.transition.to ?? FlowMachine.initial }

    /// Whether a person has to decide between the standing steps.
    package var isContested: Bool { Set(standing.map(\.transition.to)).count > 1 }

    /// The step to another state, which ends all that stands; where that is contested, only the step that decides for
    /// one of its states.
    ///
    /// - Returns: `nil` where the machine has no such step.
    package func step(to state: ExactText, reason: ExactText = "") -> Transition? {
        let from: ExactText
        if isContested {
            guard standing.contains(where: { $0.transition.to == state }) else { return nil }
            from = state
        } else {
            guard machine.declares(self.state, state) else { return nil }
            from = self.state
        }
        let answers = open.compactMap(\.dot).suffix(Transition.answersMax)
        return Transition(from: from, to: state, reason: reason, answers: Array(answers))
    }

    private static func counts(_ step: Transition, after earlier: [FlowStep], _ machine: FlowMachine) -> Bool {
        guard step.from == step.to || machine.declares(step.from, step.to) else { return false }
        if step.from == FlowMachine.initial { return step.to != FlowMachine.initial }
        return earlier.contains { $0.transition.to == step.from && isAnswered($0, by: step) }
    }

    /// A step that is still to be written is answered by whatever is written behind it.
    private static func isAnswered(_ step: FlowStep, by answer: Transition) -> Bool {
        step.dot.map(answer.answers.contains) ?? true
    }

    /// Whether a step behind another in the list ends it; so does a later one of the same change.
    private static func ends(_ later: FlowStep, _ step: FlowStep) -> Bool {
        later.dot == step.dot || isAnswered(step, by: later.transition)
    }

    /// The places of all that a step answered, and that this answered, and so on.
    private static func past(of place: Int, in steps: [FlowStep]) -> Set<Int> {
        var out: Set<Int> = []
        var rest = [place]
        while let next = rest.popLast() {
            for other in steps.indices[..<next] where !out.contains(other) && ends(steps[next], steps[other]) {
                out.insert(other)
                rest.append(other)
            }
        }
        return out
    }
}
