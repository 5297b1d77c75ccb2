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
    /// - Complexity: proportional to the steps and their answers; where steps were made twice, the answers times a
    ///   64th of the steps.
    package init(_ steps: [FlowStep], _ machine: FlowMachine) {
        self.machine = machine
        let graph = StepGraph(steps, machine)
        let open = graph.steps.indices.filter { !graph.isEnded[$0] }
        self.open = open.map { graph.steps[$0] }
        var standing = open
        if machine.twins == .one {
            let settled = graph.endedPlaces
            // Nobody looks into the past of a step that no ended one is like.
            if open.contains(where: { settled[graph.ends(of: $0)] != nil }) {
                let past = graph.past()
                standing.removeAll { place in
                    settled[graph.ends(of: place)]?.contains { !past[place].contains($0) } == true
                }
            }
        }
        let ends = standing.map { graph.steps[$0].transition.to }
        if Mutant.lastStepStands.isPlanted { standing = standing.suffix(1) }
        standing.removeAll { place in ends.contains { machine.yields(graph.steps[place].transition.to, to: $0) } }
        self.standing = standing.map { graph.steps[$0] }
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
        // Where there are more than one step can answer, those that stand come first.
        let others = open.filter { step in !standing.contains { $0.dot == step.dot && $0.place == step.place } }
        let answers = (others + standing).compactMap(\.dot).suffix(Transition.answersMax)
        return Transition(from: from, to: state, reason: reason, answers: Array(answers))
    }
}

/// The steps of a flow that count, with those that each of them ends.
private struct StepGraph {
    /// In list order.
    private(set) var steps: [FlowStep] = []
    private(set) var isEnded: [Bool] = []
    /// By step the places of those that it ends, all before it: what it answers, and earlier ones of its own change.
    private var ended: [[Int]] = []

    init(_ all: [FlowStep], _ machine: FlowMachine) {
        var places: [Dot: [Int]] = [:]
        // A step that is still to be written is answered by whatever is written behind it.
        var unwritten: [Int] = []
        for step in all {
            let transition = step.transition
            guard transition.from == transition.to || machine.declares(transition.from, transition.to) else { continue }
            let answered = Set(transition.answers.flatMap { places[$0] ?? [] } + unwritten)
            let isNext =
                transition.from == FlowMachine.initial
                ? transition.to != FlowMachine.initial
                : answered.contains { steps[$0].transition.to == transition.from }
            guard isNext else { continue }
            let own = step.dot.map { places[$0] ?? [] } ?? unwritten
            let ended = answered.union(own).sorted()
            for place in ended { isEnded[place] = true }
            if let dot = step.dot {
                places[dot, default: []].append(steps.count)
            } else {
                unwritten.append(steps.count)
            }
            steps.append(step)
            isEnded.append(false)
            self.ended.append(ended)
        }
    }

    struct Ends: Hashable {
        let from: ExactText
        let to: ExactText
    }

    func ends(of place: Int) -> Ends { Ends(from: steps[place].transition.from, to: steps[place].transition.to) }

    /// The steps that somebody ended, by where they led from and to.
    var endedPlaces: [Ends: [Int]] { Dictionary(grouping: steps.indices.filter { isEnded[$0] }, by: ends) }

    /// By step the places of all that it ended, that these ended, and so on.
    func past() -> [PlaceSet] {
        var out: [PlaceSet] = []
        for places in ended {
            var past = PlaceSet(steps.count)
            for place in places {
                past.insert(place)
                past.formUnion(out[place])
            }
            out.append(past)
        }
        return out
    }
}

/// Places in a list, a bit each.
private struct PlaceSet {
    private var words: [UInt64]

    init(_ count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

    func contains(_ place: Int) -> Bool { words[place / 64] >> UInt64(place % 64) & 1 == 1 }

    mutating func insert(_ place: Int) { words[place / 64] |= 1 << UInt64(place % 64) }

    mutating func formUnion(_ other: PlaceSet) {
        for index in words.indices { words[index] |= other.words[index] }
    }
}
