// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A register group in full: its maximal writes, each with the members as its author saw them.
///
/// A write carries the members that its author set. An absent member comes from the maximal writes in the write's causal
/// past that set it; several differing ones stay multi-valued. So does a member that the write set without its author
/// having seen another in that past, which was out of effect then and which nobody has replaced.
package struct GroupState: Hashable, Sendable {
    /// Where a member's value comes from.
    package struct MemberSource: Hashable, Sendable {
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var leaf: Bytes16
        package var value: Value

        package init(dot: LocalDot, timestamp: Timestamp, leaf: Bytes16, value: Value) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
            self.value = value
        }
    }

    /// A member of a write, set by it or inherited.
    package struct Member: Hashable, Sendable {
        package var field: UInt32
        /// At least one, in no order that means anything.
        package var sources: [MemberSource]

        package init(field: UInt32, sources: [MemberSource]) {
            self.field = field
            self.sources = sources
        }
    }

    /// A maximal write.
    package struct Head: Hashable, Sendable {
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var leaf: Bytes16
        /// In the order of fields.
        package var members: [Member]

        package init(dot: LocalDot, timestamp: Timestamp, leaf: Bytes16, members: [Member]) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
            self.members = members
        }

        package func member(_ field: UInt32) -> Member? { members.first { $0.field == field } }
    }

    /// A write as its author made it.
    package struct Write {
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var leaf: Bytes16
        package var members: [(field: UInt32, value: Value)]
        /// Whether its author had seen a change in effect.
        package var covers: (LocalDot) -> Bool

        package init(
            dot: LocalDot,
            timestamp: Timestamp,
            leaf: Bytes16,
            members: [(field: UInt32, value: Value)],
            covers: @escaping (LocalDot) -> Bool
        ) {
            self.dot = dot
            self.timestamp = timestamp
            self.leaf = leaf
            self.members = members
            self.covers = covers
        }

        fileprivate func source(_ field: UInt32) -> MemberSource? {
            members.first { $0.field == field }.map {
                MemberSource(dot: dot, timestamp: timestamp, leaf: leaf, value: $0.value)
            }
        }
    }

    package var heads: [Head]

    package init(heads: [Head]) { self.heads = heads }

    /// More than one maximal write, or a member with several sources: a person may have something to decide.
    package var isContested: Bool {
        heads.count > 1 || heads.contains { $0.members.contains { $0.sources.count > 1 } }
    }

    /// The state that a set of writes means, whatever order they arrived in: the definition that every shorter way to
    /// the same result is tested against.
    ///
    /// - Complexity: quadratic in the number of writes.
    package static func evaluate(_ writes: [Write]) -> GroupState {
        let maximal = writes.filter { write in !writes.contains { $0.covers(write.dot) } }
        let fields = Set(writes.flatMap { $0.members.map(\.field) }).sorted()
        return GroupState(
            heads: maximal.map { head in
                let past = past(of: head, among: writes)
                let members = fields.compactMap { field -> Member? in
                    let own = head.source(field)
                    // What the head wrote stands against all; what it inherits, as far back as it looks.
                    let setters = (own == nil ? past : writes).filter { $0.source(field) != nil }
                    let latest = past.filter { one in
                        one.source(field) != nil && !setters.contains { $0.covers(one.dot) }
                    }
                    let inherited =
                        Mutant.absentMembersAreEmpty.isPlanted ? [] : latest.compactMap { $0.source(field) }
                    let sources = (own.map { [$0] } ?? []) + inherited
                    return sources.isEmpty ? nil : Member(field: field, sources: sources)
                }
                return Head(dot: head.dot, timestamp: head.timestamp, leaf: head.leaf, members: members)
            }
        )
    }

    /// The writes that lie behind one: those that it covers, and those that lie behind one of these.
    ///
    /// As a rule an author who saw a write saw all that lies behind it. Not so where a right was withdrawn in between:
    /// what is out of effect is not covered, while an earlier write that saw it is.
    private static func past(of head: Write, among writes: [Write]) -> [Write] {
        var (past, rest, waiting) = ([Write](), writes, [head])
        while let one = waiting.popLast() {
            let seen = rest.partition { one.covers($0.dot) }
            past += rest[seen...]
            waiting += rest[seen...]
            rest.removeSubrange(seen...)
        }
        return past
    }

    /// The state after a write that no head has seen, where it follows without the writes of the past; `nil` where
    /// the group's history is needed.
    ///
    /// The write's absent members are known when all heads agree on their sources and the write has seen these: any
    /// other write of the member that could lie behind it lies behind a head, and so behind those sources. What it sets
    /// stands alone when it has seen all sources there are but other heads, behind none of which it stands.
    package func applying(_ write: Write) -> GroupState? {
        let remaining = heads.filter { !write.covers($0.dot) }
        let fields = Set(heads.flatMap { $0.members.map(\.field) } + write.members.map(\.field)).sorted()
        var members: [Member] = []
        for field in fields {
            let known = heads.map { $0.member(field)?.sources ?? [] }
            if let own = write.source(field) {
                let isAlone = zip(heads, known).allSatisfy { head, sources in
                    sources.allSatisfy { write.covers($0.dot) } || sources.count == 1 && sources[0].dot == head.dot
                }
                guard isAlone, remaining.allSatisfy({ $0.member(field)?.sources.count ?? 0 < 2 }) else { return nil }
                members.append(Member(field: field, sources: [own]))
                continue
            }
            guard let first = known.first else { continue }
            let dots = Set(first.map(\.dot))
            guard known.allSatisfy({ Set($0.map(\.dot)) == dots }), dots.allSatisfy(write.covers) else { return nil }
            if !first.isEmpty { members.append(Member(field: field, sources: first)) }
        }
        let head = Head(dot: write.dot, timestamp: write.timestamp, leaf: write.leaf, members: members)
        if Mutant.laterArrivalWins.isPlanted { return GroupState(heads: [head]) }
        return GroupState(heads: remaining + [head])
    }

    /// The heads by (timestamp, replica), the shown one last.
    package func ordered(by replica: (UInt32) -> ReplicaID) -> [Head] {
        if Mutant.shownByArrival.isPlanted { return heads.sorted { $0.dot.author < $1.dot.author } }
        return heads.sorted { a, b in
            (a.timestamp, replica(a.dot.author), a.dot.seq) < (b.timestamp, replica(b.dot.author), b.dot.seq)
        }
    }

    /// The values to choose from, by (timestamp, replica), the shown one last.
    ///
    /// A head whose members have several sources stands once for each, as that source's word: the head's own author
    /// decided something else.
    package func alternatives(by replica: (UInt32) -> ReplicaID) -> [Alternative] {
        func isBefore(_ a: (Timestamp, LocalDot), _ b: (Timestamp, LocalDot)) -> Bool {
            (a.0, replica(a.1.author), a.1.seq) < (b.0, replica(b.1.author), b.1.seq)
        }
        return ordered(by: replica).flatMap { head in
            let members = head.members.map { member in
                (
                    field: member.field,
                    sources: member.sources.sorted { isBefore(($0.timestamp, $0.dot), ($1.timestamp, $1.dot)) }
                )
            }
            let count = members.map(\.sources.count).max() ?? 1
            return (0..<count).map { choice in
                let chosen = members.map { ($0.field, $0.sources[min(choice, $0.sources.count - 1)], $0.sources.count) }
                let origin = chosen.filter { $0.2 > 1 }.map { ($0.1.timestamp, $0.1.dot) }.max(by: isBefore)
                return Alternative(
                    dot: origin?.1 ?? head.dot,
                    timestamp: origin?.0 ?? head.timestamp,
                    values: chosen.map { ($0.0, $0.1.value) }
                )
            }
        }
    }

    /// One of the values among which a person chooses.
    package struct Alternative: Sendable {
        /// The change that it comes from.
        package var dot: LocalDot
        package var timestamp: Timestamp
        package var values: [(field: UInt32, value: Value)]
    }
}
