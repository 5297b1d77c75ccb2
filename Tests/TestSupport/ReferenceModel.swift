// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a set of changes means, written down as slowly and obviously as possible: every change knows by name all the
/// changes that its author had seen.
///
/// Nothing here is shared with the engine.
package struct ReferenceModel {
    /// A value as bytes, so that no library decides what is equal.
    package enum Content: Hashable {
        case empty
        case text([UInt8])
        case number(Int64)

        /// All bytes at once: some texts are long.
        package func hash(into hasher: inout Hasher) {
            switch self {
            case .empty: hasher.combine(0)
            case .text(let bytes): bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
            case .number(let number): hasher.combine(number)
            }
        }
    }

    package enum Kind { case register(review: Bool), items }

    /// What one change does to one record.
    package struct Entry {
        package var record: Int
        package var registers: [UInt32: [UInt32: Content]] = [:]
        package var added: [UInt32: [(depth: UInt64, content: [UInt8])]] = [:]
        package var removed: [UInt32: [[UInt8]]] = [:]
        /// The step of a flow that the one item added to its group makes.
        package var steps: [UInt32: Step] = [:]
        /// Whether it says outright that the record is deleted, or lives.
        package var life: Bool?
        /// Groups that take part as sets: adding to one, or taking out of it, says that the record lives.
        package var setGroups: Set<UInt32> = []

        package init(record: Int) { self.record = record }

        package var saysOfLife: Bool? {
            life ?? (registers.isEmpty && setGroups.isEmpty ? nil : false)
        }
    }

    /// A step of a flow: from a state to another, ending the steps of some changes.
    package struct Step: Hashable {
        package var from: String
        package var to: String
        package var answers: Set<Int>

        package init(from: String, to: String, answers: Set<Int>) {
            self.from = from
            self.to = to
            self.answers = answers
        }
    }

    package struct Change {
        package var site: Int
        /// The site's number for it, from 1.
        package var number: UInt64
        package var stamp: UInt64
        /// What the site is called in bytes, which breaks ties.
        package var replica: [UInt8]
        /// All changes that were in effect at its author, named one by one.
        package var past: Set<Int>
        package var entries: [Entry]

        package init(
            site: Int,
            number: UInt64,
            stamp: UInt64,
            replica: [UInt8],
            past: Set<Int>,
            entries: [Entry]
        ) {
            self.site = site
            self.number = number
            self.stamp = stamp
            self.replica = replica
            self.past = past
            self.entries = entries
        }
    }

    /// Something of a record that lives: the field that a change serves, or an item of it.
    package enum Live: Hashable {
        case field(record: Int, field: UInt32, change: Int)
        case item(record: Int, group: UInt32, change: Int, place: Int)
    }

    package struct Item: Hashable {
        package var change: Int
        package var place: Int
        package var depth: UInt64
        package var content: [UInt8]
    }

    package struct Conflict: Hashable {
        /// The values to choose from, the shown one last; for life whether each deletes.
        package var values: [[UInt32: Content]]
        package var deletes: [Bool]
        package var changes: Set<Int>
    }

    /// Where a flow stands: the changes whose steps nobody ended, and those of them that count.
    package struct Flow {
        package var open: [Int] = []
        package var standing: [Int] = []
        package var state = ""
        package var isContested = false

        package init() {}
    }

    package struct Record {
        package var flows: [UInt32: Flow] = [:]
        package var shown: [UInt32: Content] = [:]
        package var conflicts: [UInt32: Conflict] = [:]
        package var items: [UInt32: [Item]] = [:]
        package var isDeleted = false
        package var live: Set<Live> = []
    }

    package var changes: [Change] = []
    /// The register groups with their members, and whether a person decides between differing values.
    private let registers: [UInt32: (review: Bool, members: [UInt32])]

    /// The flows with the member that shows them and the steps that there are.
    private let flows: [UInt32: (member: UInt32, steps: [String: [String]])]

    package init(
        registers: [UInt32: (review: Bool, members: [UInt32])],
        flows: [UInt32: (member: UInt32, steps: [String: [String]])]
    ) {
        self.registers = registers
        self.flows = flows
    }

    private func entry(_ change: Int, _ record: Int) -> Entry? {
        changes[change].entries.first { $0.record == record }
    }

    private func before(_ a: Int, _ b: Int) -> Bool {
        let (x, y) = (changes[a], changes[b])
        if x.stamp != y.stamp { return x.stamp < y.stamp }
        if x.replica != y.replica { return x.replica.lexicographicallyPrecedes(y.replica) }
        return x.number < y.number
    }

    /// Those of some changes that none of the others had seen.
    private func maximal(_ some: Set<Int>) -> [Int] {
        some.filter { one in !some.contains { changes[$0].past.contains(one) } }.sorted(by: before)
    }

    /// What lies behind one of some writes: what it had seen of them, and what lies behind that.
    private func behind(_ one: Int, among writes: Set<Int>) -> Set<Int> {
        var found = changes[one].past.intersection(writes)
        while true {
            let more = found.reduce(found) { $0.union(changes[$1].past.intersection(writes)) }
            if more == found { return found }
            found = more
        }
    }

    package func records(in visible: Set<Int>) -> Set<Int> {
        Set(visible.flatMap { changes[$0].entries.map(\.record) })
    }

    /// The record as it stands where `visible` is in effect; `nil` where none of it touches the record.
    package func record(_ number: Int, in visible: Set<Int>) -> Record? {
        let touching = visible.filter { entry($0, number) != nil }
        guard !touching.isEmpty else { return nil }
        var out = Record()
        for (group, declaration) in registers { addRegister(group, declaration, number, touching, to: &out) }
        addItems(number, touching, to: &out)
        for (group, declaration) in flows { addFlow(group, declaration, number, to: &out) }
        addLife(number, touching, to: &out)
        return out
    }

    private func addRegister(
        _ group: UInt32,
        _ declaration: (review: Bool, members: [UInt32]),
        _ number: Int,
        _ touching: Set<Int>,
        to out: inout Record
    ) {
        let writes = touching.filter { entry($0, number)!.registers[group] != nil }
        guard !writes.isEmpty else { return }
        var changesAlive: Set<Int> = []
        var choices: [[UInt32: Content]] = []
        for head in maximal(writes) {
            changesAlive.insert(head)
            var sources: [UInt32: [Int]] = [:]
            for member in declaration.members {
                func sets(_ change: Int) -> Bool { entry(change, number)!.registers[group]![member] != nil }
                let past = behind(head, among: writes).filter(sets)
                if sets(head) {
                    // Beside it stands what it had not seen, and nobody else replaced.
                    let unseen = past.filter { one in !writes.contains { sets($0) && changes[$0].past.contains(one) } }
                    sources[member] = unseen.union([head]).sorted(by: before)
                } else {
                    sources[member] = maximal(past)
                }
                for source in sources[member]! {
                    changesAlive.insert(source)
                    out.live.insert(.field(record: number, field: member, change: source))
                }
            }
            for choice in 0..<max(1, sources.values.map(\.count).max() ?? 1) {
                var values: [UInt32: Content] = [:]
                for (member, list) in sources where !list.isEmpty {
                    let source = list[min(choice, list.count - 1)]
                    values[member] = entry(source, number)!.registers[group]![member]!
                }
                choices.append(values)
            }
        }
        for member in declaration.members { out.shown[member] = choices.last![member] ?? .empty }
        if declaration.review, Set(choices).count > 1 {
            out.conflicts[group] = Conflict(
                values: choices,
                deletes: choices.map { _ in false },
                changes: changesAlive
            )
        }
    }

    private func addItems(_ number: Int, _ touching: Set<Int>, to out: inout Record) {
        for change in touching {
            for (group, added) in entry(change, number)!.added {
                for (place, item) in added.enumerated() {
                    let isRemoved = touching.contains { remover in
                        changes[remover].past.contains(change)
                            && entry(remover, number)!.removed[group]?.contains(item.content) == true
                    }
                    if isRemoved { continue }
                    out.items[group, default: []].append(
                        Item(change: change, place: place, depth: item.depth, content: item.content)
                    )
                    out.live.insert(.item(record: number, group: group, change: change, place: place))
                }
            }
        }
        for group in out.items.keys {
            out.items[group]!.sort { a, b in
                if a.depth != b.depth { return a.depth < b.depth }
                if a.change != b.change { return before(a.change, b.change) }
                return a.place < b.place
            }
        }
    }

    private func addFlow(
        _ group: UInt32,
        _ declaration: (member: UInt32, steps: [String: [String]]),
        _ number: Int,
        to out: inout Record
    ) {
        guard let items = out.items[group] else { return }
        var steps: [(change: Int, step: Step)] = []
        for item in items {
            let step = entry(item.change, number)!.steps[group]!
            let isDeclared = step.from == step.to || declaration.steps[step.from]?.contains(step.to) == true
            let follows =
                step.from.isEmpty
                ? !step.to.isEmpty : steps.contains { $0.step.to == step.from && step.answers.contains($0.change) }
            if isDeclared, follows { steps.append((item.change, step)) }
        }
        func enders(of place: Int) -> [Int] {
            steps.indices.filter { $0 > place && steps[$0].step.answers.contains(steps[place].change) }
        }
        /// Whether some chain of answers leads from one step back to another.
        func reaches(_ later: Int, _ earlier: Int) -> Bool {
            enders(of: earlier).contains { $0 == later || reaches(later, $0) }
        }
        var flow = Flow()
        for place in steps.indices where enders(of: place).isEmpty {
            flow.open.append(steps[place].change)
            let isSignedAlready = steps.indices.contains { other in
                !enders(of: other).isEmpty && !reaches(place, other)
                    && steps[other].step.from == steps[place].step.from && steps[other].step.to == steps[place].step.to
            }
            if !isSignedAlready { flow.standing.append(steps[place].change) }
        }
        let ends = flow.standing.map { entry($0, number)!.steps[group]!.to }
        flow.state = ends.last ?? ""
        flow.isContested = Set(ends).count > 1
        out.flows[group] = flow
        guard flow.isContested else { return }
        let choices = flow.standing.sorted(by: before)
        out.conflicts[group] = Conflict(
            values: choices.map { [declaration.member: .text(Array(entry($0, number)!.steps[group]!.to.utf8))] },
            deletes: choices.map { _ in false },
            changes: Set(choices)
        )
    }

    private func addLife(_ number: Int, _ touching: Set<Int>, to out: inout Record) {
        let heads = maximal(touching.filter { entry($0, number)!.saysOfLife != nil })
        for head in heads { out.live.insert(.field(record: number, field: 0, change: head)) }
        let deletes = heads.map { entry($0, number)!.saysOfLife! }
        out.isDeleted = !deletes.isEmpty && !deletes.contains(false)
        if deletes.contains(true), deletes.contains(false) {
            out.conflicts[0] = Conflict(values: deletes.map { _ in [:] }, deletes: deletes, changes: Set(heads))
        }
    }

    /// The depth of what is added next to a list.
    package func nextDepth(_ number: Int, _ group: UInt32, in visible: Set<Int>) -> UInt64 {
        1 + (record(number, in: visible)?.items[group]?.map(\.depth).max() ?? 0)
    }
}
