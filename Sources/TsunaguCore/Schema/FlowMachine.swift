// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The declared state machine of a `flow`: which steps there are, and which concurrent ones go together.
public struct FlowMachine: Sendable {
    /// What two concurrent steps between the same states are.
    public enum Twins: Sendable {
        /// One act that two people signed: a rejection decided twice.
        case one
        /// Two acts that each have to be ended: two requests for a seat.
        case each
    }

    /// Where every flow begins; no step leads there.
    public static let initial: ExactText = ""

    private let next: [ExactText: Set<ExactText>]
    private let yielding: [ExactText: Set<ExactText>]
    /// What concurrent steps between the same states are.
    package let twins: Twins

    /// Declares a machine.
    ///
    /// - Parameters:
    ///   - steps: the states that may follow each.
    ///   - yielding: for a state those that give way to it, where concurrent steps ended in both; any other two are a
    ///     conflict that a person decides.
    public init(
        _ steps: [ExactText: [ExactText]],
        twins: Twins = .one,
        yielding: [ExactText: [ExactText]] = [:]
    ) {
        precondition(!steps.values.joined().contains(Self.initial), "a step leads to where every flow begins")
        next = steps.mapValues(Set.init)
        self.yielding = yielding.mapValues(Set.init)
        self.twins = twins
    }

    /// The states that may follow one, in order of their bytes.
    public func states(after state: ExactText) -> [ExactText] { (next[state] ?? []).sorted() }

    /// All declared steps, in order.
    public var steps: [(from: ExactText, to: ExactText)] {
        next.keys.sorted().flatMap { from in states(after: from).map { (from, $0) } }
    }

    func declares(_ from: ExactText, _ to: ExactText) -> Bool { next[from]?.contains(to) == true }

    /// Whether a state gives way to another, where concurrent steps ended in both.
    package func yields(_ state: ExactText, to other: ExactText) -> Bool { yielding[other]?.contains(state) == true }
}
