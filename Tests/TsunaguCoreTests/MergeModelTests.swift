// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// The core's merge against the reference model, without a store: many small histories.
@Suite struct MergeModelTests {
    /// One record's history among a few sites.
    private struct History {
        var model = ReferenceModel(registers: TestSchema.modelRegisters, flows: TestSchema.modelFlows)
        var entries: [RecordHistory.Entry] = []
        let replicas: [ReplicaID]

        init(sites: Int, _ generator: inout SeededGenerator) {
            replicas = (0..<sites).map { _ in
                ReplicaID(of: DeviceID(bytes: generator.bytes(16))!, drawn: generator.next())
            }
        }

        mutating func append(site: Int, past: Set<Int>, _ generator: inout SeededGenerator) {
            let edit = RandomEdit.entry(on: 0, of: model, in: past, &generator) { change in
                Dot(replicas[model.changes[change].site], model.changes[change].number)
            }
            append(site: site, past: past, stamp: UInt64(generator.below(6)) << 16, edit, &generator)
        }

        mutating func append(
            site: Int,
            past: Set<Int>,
            stamp: UInt64,
            _ edit: ReferenceModel.Entry,
            _ generator: inout SeededGenerator
        ) {
            let number = UInt64(model.changes.count { $0.site == site } + 1)
            model.changes.append(
                ReferenceModel.Change(
                    site: site,
                    number: number,
                    stamp: stamp,
                    replica: replicas[site].bytes,
                    past: past,
                    entries: [edit]
                )
            )
            let (shape, values) = edit.shaped
            let seen = Set(past.map { dot($0) })
            entries.append(
                RecordHistory.Entry(
                    dot: LocalDot(author: UInt32(site), seq: number),
                    timestamp: Timestamp(raw: stamp),
                    leaf: Bytes16(generator.bytes(16))!,
                    shape: shape,
                    values: values,
                    covers: { seen.contains($0) }
                )
            )
        }

        func dot(_ change: Int) -> LocalDot {
            LocalDot(author: UInt32(model.changes[change].site), seq: model.changes[change].number)
        }

        /// Compares the evaluation of some changes, in some order, with what the model says of them.
        func check(_ order: [Int], _ comment: Comment) throws {
            let state = try RecordHistory.evaluate(order.map { entries[$0] })
            let expected = try #require(model.record(0, in: Set(order)))
            #expect(state.meta.isDeleted == expected.isDeleted, comment)
            #expect(state.meta.isLifeContested == (expected.conflicts[0] != nil), comment)
            for (number, declaration) in TestSchema.modelRegisters {
                guard let group = state.registers[number] else {
                    #expect(declaration.members.allSatisfy { expected.shown[$0] == nil }, comment)
                    continue
                }
                let choices = group.alternatives { replicas[Int($0)] }.map(\.contents)
                for member in declaration.members {
                    #expect(choices.last?[member] ?? .empty == expected.shown[member], comment)
                }
                if declaration.review {
                    #expect((Set(choices).count > 1) == (expected.conflicts[number] != nil), comment)
                    if let conflict = expected.conflicts[number] { #expect(choices == conflict.values, comment) }
                }
            }
            for (group, items) in state.items {
                let live = Set(items.map { Live(dot: $0.dot, place: $0.index, content: $0.item.content) })
                let model = Set(
                    (expected.items[group] ?? []).map {
                        Live(dot: dot($0.change), place: $0.place, content: $0.content)
                    }
                )
                #expect(live == model, comment)
            }
            #expect(state.digest == digest(of: expected), comment)
            checkFlow(state.items[7] ?? [], expected, comment)
        }

        private func checkFlow(
            _ items: [RecordHistory.LiveItem],
            _ expected: ReferenceModel.Record,
            _ comment: Comment
        ) {
            let steps = items.map { item in
                FlowStep(
                    dot: Dot(replicas[Int(item.dot.author)], item.dot.seq),
                    place: item.index,
                    depth: item.item.depth,
                    timestamp: item.timestamp,
                    transition: Transition(item.item.content)!
                )
            }.sorted { ($0.depth, $0.timestamp, $0.dot!, $0.place) < ($1.depth, $1.timestamp, $1.dot!, $1.place) }
            let flow = FlowState(steps, TestSchema.status.machine!)
            let model = expected.flows[7] ?? ReferenceModel.Flow()
            func changes(_ steps: [FlowStep]) -> [LocalDot] {
                steps.map { LocalDot(author: UInt32(replicas.firstIndex(of: $0.dot!.replica)!), seq: $0.dot!.seq) }
            }
            #expect(changes(flow.open) == model.open.map(dot), comment)
            #expect(changes(flow.standing) == model.standing.map(dot), comment)
            #expect(flow.isContested == model.isContested, comment)
            #expect(flow.state.string == model.state, comment)
        }

        private struct Live: Hashable {
            let dot: LocalDot
            let place: Int
            let content: [UInt8]
        }

        /// The digest's definition, from the model's live set.
        func digest(of record: ReferenceModel.Record) -> SpaceDigest {
            record.live.reduce(into: SpaceDigest()) { sum, live in
                switch live {
                case .field(_, let field, let change):
                    sum += SpaceDigest(leaf: entries[change].leaf, fields: 1 << FieldMask(field))
                case .item(_, let group, let change, let place):
                    sum += SpaceDigest(leaf: entries[change].leaf, group: group, item: place)
                }
            }
        }

        /// The short way: each write onto the state so far, with the definition where it does not suffice.
        ///
        /// - Returns: how often the short way sufficed.
        func checkSteps(_ order: [Int], group: UInt32, _ comment: Comment) -> Int {
            var state = GroupState(heads: [])
            var taken: [GroupState.Write] = []
            var short = 0
            for change in order {
                guard let write = write(change, group) else { continue }
                taken.append(write)
                let whole = GroupState.evaluate(taken)
                let next = state.applying(write)
                if let next {
                    short += 1
                    #expect(next.canonical == whole.canonical, comment)
                }
                state = next ?? whole
            }
            return short
        }

        private func write(_ change: Int, _ group: UInt32) -> GroupState.Write? {
            let entry = entries[change]
            for (operation, values) in entry.operations where operation.group == group {
                return GroupState.Write(
                    dot: entry.dot,
                    timestamp: entry.timestamp,
                    leaf: entry.leaf,
                    members: Array(zip(operation.fields, values)),
                    covers: entry.covers
                )
            }
            return nil
        }
    }

    @Test func everyOrderOfFourChangesUnderEveryCausalityMeansWhatTheModelSays() throws {
        var checked = 0
        for past in Causality.all(of: 4) {
            for seed in 0..<12 as Range<UInt64> {
                var generator = SeededGenerator(seed: seed)
                var history = History(sites: 4, &generator)
                for change in 0..<4 { history.append(site: change, past: past[change], &generator) }
                for order in Permutations.of(4) {
                    try history.check(order, "causality \(past), seed \(seed), order \(order)")
                    checked += 1
                }
                for order in Permutations.of(4) where Causality.respects(past, order) {
                    for group in TestSchema.modelRegisters.keys {
                        _ = history.checkSteps(order, group: group, "causality \(past), seed \(seed), order \(order)")
                    }
                }
            }
        }
        #expect(checked == 64 * 12 * 24)
    }

    @Test func thousandsOfSeededHistoriesMeanWhatTheModelSays() throws {
        var short = 0
        for seed in 0..<3000 as Range<UInt64> {
            var generator = SeededGenerator(seed: seed)
            let sites = 2 + generator.below(3)
            var history = History(sites: sites, &generator)
            var seen = Array(repeating: Set<Int>(), count: sites)
            for _ in 0..<4 + generator.below(10) {
                let site = generator.below(sites)
                if generator.chance(35) {
                    let peer = generator.below(sites)
                    seen[site].formUnion(seen[peer])
                } else {
                    let change = history.model.changes.count
                    var past = seen[site]
                    if generator.chance(20) {
                        // The end of another's chain is out of effect while this one writes.
                        let (other, honoured) = (generator.below(sites), UInt64(generator.below(3)))
                        past = past.filter {
                            let change = history.model.changes[$0]
                            return change.site == site || change.site != other || change.number <= honoured
                        }
                    }
                    history.append(site: site, past: past, &generator)
                    seen[site].insert(change)
                }
                // What each site has is closed under causality, so each is a state that somebody sees.
                if !seen[site].isEmpty { try history.check(seen[site].shuffled(using: &generator), "seed \(seed)") }
            }
            let all = Array(history.model.changes.indices)
            if !all.isEmpty { try history.check(all.shuffled(using: &generator), "seed \(seed), at the end") }
            for group in TestSchema.modelRegisters.keys {
                let order = Causality.shuffled(history.model.changes.map(\.past), &generator)
                short += history.checkSteps(order, group: group, "seed \(seed), step by step in \(order)")
            }
        }
        #expect(short > 5000, "the short way must be what is usually taken")
    }

    @Test func aChainOfEditsAgainstOneEditIsTwoHeads() throws {
        var generator = SeededGenerator(seed: 1)
        var history = History(sites: 2, &generator)
        func edit(_ text: String) -> ReferenceModel.Entry {
            var entry = ReferenceModel.Entry(record: 0)
            entry.registers[1] = [TestSchema.Number.title: .text(Array(text.utf8))]
            return entry
        }
        history.append(site: 0, past: [], stamp: 1, edit("start"), &generator)
        for step in 1...5 as ClosedRange<UInt64> {
            history.append(site: 0, past: Set(0..<Int(step)), stamp: step, edit("a\(step)"), &generator)
        }
        history.append(site: 1, past: [0], stamp: 3, edit("b"), &generator)
        let state = try RecordHistory.evaluate(history.entries)
        let choices = try #require(state.registers[1]).alternatives { history.replicas[Int($0)] }
        #expect(choices.map { $0.values.map(\.value) } == [[.text("b")], [.text("a5")]])
    }
}

extension GroupState {
    /// Heads and sources in an order that does not depend on the way.
    fileprivate var canonical: [Head] {
        heads.map { head in
            var head = head
            for index in head.members.indices { head.members[index].sources.sort { $0.dot < $1.dot } }
            return head
        }.sorted { $0.dot < $1.dot }
    }
}

extension GroupState.Alternative {
    fileprivate var contents: [UInt32: ReferenceModel.Content] {
        Dictionary(uniqueKeysWithValues: values.map { ($0.field, ReferenceModel.Content($0.value)) })
    }
}
