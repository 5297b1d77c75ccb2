// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

/// Real stores beside the reference model: random edits and deliveries by seed, compared after every step.
package final class SimulatedWard {
    /// Two sites or a store and the model that do not agree.
    package struct Disagreement: Error, CustomStringConvertible {
        package let description: String

        package init(_ description: String) { self.description = description }
    }

    package let sites: [TestSite]
    private let scratch: Scratch
    private(set) var model = ReferenceModel(registers: TestSchema.modelRegisters, flows: TestSchema.modelFlows)
    private var generator: SeededGenerator
    private let seed: UInt64
    /// What is in effect at each site, by the model's numbers.
    private(set) var inEffect: [Set<Int>]
    /// What reached a site and waits for its causes.
    private var waiting: [[[Int]]]
    private var recordIDs: [RecordID] = []
    private var numberOf: [Dot: Int] = [:]
    /// The facts that must be the same wherever they are seen.
    private var digests: [Set<ReferenceModel.Live>: Bytes16] = [:]
    private var conflictIDs: [ConflictKey: String] = [:]
    package private(set) var steps = 0
    /// The site without a grant, and the founder's number of the change that gives it one.
    private let outsider: Int?
    private var grantedBy: UInt64?
    /// How far each site knows `system`, and how far each change's author did.
    private var systemKnown: [UInt64]
    private var systemPast: [UInt64] = []

    private struct ConflictKey: Hashable {
        let record: Int
        let group: UInt32
        let changes: Set<Int>
    }

    /// - Parameter withOutsider: whether the last site is a member that gets its grant only later.
    package init(sites count: Int, seed: UInt64, withOutsider: Bool = false) throws {
        scratch = try Scratch()
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        let names = (0..<count).map { "site\($0)" }
        sites = try makeWard(
            names,
            in: scratch,
            seed: seed &+ 1,
            granting: withOutsider ? names.dropLast() : names[...]
        )
        outsider = withOutsider ? count - 1 : nil
        systemKnown = Array(repeating: try sites[0].vector(.system)[sites[0].replica] ?? 0, count: count)
        inEffect = Array(repeating: [], count: count)
        waiting = Array(repeating: [], count: count)
        for site in sites {
            // Most clocks are near each other; some are a year off, which must change nothing causal.
            let year: UInt64 = 365 * 86_400_000
            switch generator.below(6) {
            case 0: site.machine.now += year
            case 1: site.machine.now -= year
            default: site.machine.now += UInt64(generator.below(5000))
            }
        }
    }

    // MARK: - Steps

    /// One random step, and the comparison of the site that it concerned.
    package func step() throws {
        steps += 1
        let site = generator.below(sites.count)
        sites[site].machine.now += UInt64(generator.below(3))
        switch generator.below(20) {
        case 0..<9: try edit(at: site)
        case 9 where outsider != nil: try grantOrLearn(at: site)
        case 9..<19: try deliver(to: site, from: (site + 1 + generator.below(sites.count - 1)) % sites.count)
        default: try sites[site].reopen()
        }
        try compare(site)
    }

    /// Lets everybody have everything, then compares all with all.
    package func settle() throws {
        if outsider != nil {
            while grantedBy == nil { try grantOrLearn(at: 0) }
            for site in sites.indices { try grantOrLearn(at: site) }
        }
        for _ in 0..<sites.count {
            for (index, site) in sites.enumerated() {
                for (other, peer) in sites.enumerated() where other != index {
                    let runs = try peer.runs(TestSchema.space, lacking: site.vector(TestSchema.space))
                    try take(runs, at: index)
                }
            }
        }
        for index in sites.indices {
            guard inEffect[index] == Set(model.changes.indices) else { throw failure(index, "not everything arrived") }
            try compare(index)
        }
        let conflicts = try sites.map { site in try site.conflicts().map(\.id).sorted() }
        guard Set(conflicts).count == 1 else { throw failure(0, "conflict lists differ: \(conflicts)") }
        let digests = try sites.map { try $0.digest() }
        guard Set(digests).count == 1 else { throw failure(0, "digests differ: \(digests)") }
    }

    /// Four sites write one change each on two fresh records, under a given causality; every other site gets the four in
    /// an order of its own.
    package func spread(past: [Set<Int>], orders: [[Int]], comparing: (Int) -> Bool) throws {
        steps += 1
        let authors = past.count
        precondition(sites.count == authors + orders.count, "one receiver an order")
        let first = max(recordIDs.count, 3)
        while recordIDs.count < first + 2 {
            recordIDs.append(RecordID(derivedFrom: [Array("record \(recordIDs.count)".utf8)]))
        }
        var runs: [RunEnvelope] = []
        for author in 0..<authors {
            try take(past[author].sorted().map { runs[$0] }, at: author)
            let entries = [first, first + 1].map {
                RandomEdit.entry(on: $0, of: model, in: inEffect[author], &generator, dot: dot)
            }
            try write(entries, at: author, derived: true)
            let own = sites[author].replica
            let sealed = try sites[author].runs(
                TestSchema.space,
                lacking: [own: sites[author].vector(TestSchema.space)[own]! - 1]
            )
            runs.append(sealed.first { $0.replica == own }!)
        }
        for (index, order) in orders.enumerated() {
            try take(order.map { runs[$0] }, at: authors + index)
            if comparing(index) { try compare(authors + index) }
        }
        for author in 0..<authors { try take(runs, at: author) }
        let digests = try sites.map { try $0.digest() }
        guard Set(digests).count == 1 else { throw failure(0, "causality \(past): digests differ") }
    }

    /// The founder gives the outsider its grant; another site hears of what the founder did.
    private func grantOrLearn(at site: Int) throws {
        if site == 0, grantedBy == nil, generator.chance(40) {
            try sites[0].grant(sites[outsider!])
            systemKnown[0] = try sites[0].vector(.system)[sites[0].replica]!
            grantedBy = systemKnown[0]
        } else if site != 0 {
            try sites[site].pull(from: sites[0], [.system])
            systemKnown[site] = try sites[site].vector(.system)[sites[0].replica]!
        }
        try take([], at: site)
    }

    private func failure(_ site: Int, _ text: String) -> Disagreement {
        Disagreement("seed \(seed), step \(steps), site \(site): \(text)")
    }

    private func dot(_ change: Int) -> Dot {
        Dot(sites[model.changes[change].site].replica, model.changes[change].number)
    }

    private func edit(at site: Int) throws {
        let visible = inEffect[site]
        var entries: [ReferenceModel.Entry] = []
        var taken: Set<Int> = []
        for _ in 0...generator.below(2) {
            // A few records, so that edits meet; some come into being at several sites at once under a derived id.
            let known = model.records(in: visible).sorted()
            let record: Int
            if known.isEmpty || generator.chance(25) {
                record = generator.chance(50) ? generator.below(3) : max(recordIDs.count, 3)
            } else {
                record = generator.pick(known)
            }
            while recordIDs.count <= max(record, 2) {
                recordIDs.append(RecordID(derivedFrom: [Array("record \(recordIDs.count)".utf8)]))
            }
            guard taken.insert(record).inserted else { continue }
            entries.append(RandomEdit.entry(on: record, of: model, in: visible, &generator, dot: dot))
        }
        try write(entries, at: site)
    }

    /// Writes at a site, in the engine and in the model.
    ///
    /// - Parameter derived: whether new records keep the ids that all sites derive alike.
    package func write(_ entries: [ReferenceModel.Entry], at site: Int, derived: Bool = false) throws {
        let visible = inEffect[site]
        var entries = entries
        let known = model.records(in: visible)
        let note = TestSchema.note
        try sites[site].write { draft in
            for entry in entries {
                let id = recordIDs[entry.record]
                if !derived, entry.record >= 3, !known.contains(entry.record) {
                    recordIDs[entry.record] = try draft.create(note, values(entry))
                } else {
                    try draft.set(note, id, values(entry))
                }
                let record = recordIDs[entry.record]
                for group in Set(entry.added.keys).union(entry.removed.keys) {
                    try draft.edit(
                        note,
                        record,
                        group: note.group(group)!,
                        add: (entry.added[group] ?? []).map(\.content),
                        remove: entry.removed[group] ?? []
                    )
                }
                if let life = entry.life {
                    if life { try draft.delete(note, record, reason: "gone") } else { try draft.revive(note, record) }
                }
            }
        }
        // A record that begins with an operation that is no write of a register says outright that it lives.
        for index in entries.indices
        where !derived && entries[index].record >= 3 && !known.contains(entries[index].record)
            && values(entries[index]).isEmpty
        {
            entries[index].life = entries[index].life ?? false
        }
        let own = sites[site].replica
        let number = try sites[site].vector(TestSchema.space)[own]!
        let stamp = try sites[site].store.read { try $0.meta("clock")!.integer! }
        let change = model.changes.count
        numberOf[Dot(own, number)] = change
        model.changes.append(
            ReferenceModel.Change(
                site: site,
                number: number,
                stamp: UInt64(bitPattern: stamp),
                replica: own.bytes,
                past: visible,
                entries: entries
            )
        )
        systemPast.append(systemKnown[site])
        inEffect[site].insert(change)
    }

    private func values(_ entry: ReferenceModel.Entry) -> [(field: UInt32, value: Value)] {
        entry.registers.values.flatMap { $0 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value.value) }
    }

    /// Brings some of what a peer has, in any order, some of it twice.
    private func deliver(to site: Int, from peer: Int) throws {
        var runs = try sites[peer].runs(TestSchema.space, lacking: sites[site].vector(TestSchema.space))
        if generator.chance(30) { runs += try sites[peer].runs(TestSchema.space).prefix(3) }
        if generator.chance(50) { runs = runs.filter { _ in generator.chance(60) } }
        if generator.chance(60) { runs.shuffle(using: &generator) }
        if generator.chance(20), let again = runs.first { runs.append(again) }
        try take(runs, at: site)
    }

    private func take(_ runs: [RunEnvelope], at site: Int) throws {
        for run in runs {
            let receipt = try sites[site].receive([run])[0]
            switch receipt {
            case .applied, .held, .duplicate: break
            case .quarantined where outsider != nil: break
            case .quarantined, .partial, .refused: throw failure(site, "\(receipt)")
            }
            waiting[site].append((run.first...run.last).map { numberOf[Dot(run.replica, $0)]! })
        }
        var moved = true
        while moved {
            moved = false
            for run in waiting[site] where isReady(run, at: site) {
                inEffect[site].formUnion(run)
                moved = true
            }
            waiting[site].removeAll { $0.allSatisfy(inEffect[site].contains) }
        }
    }

    private func isReady(_ run: [Int], at site: Int) -> Bool {
        let own = Set(run)
        guard !own.isSubset(of: inEffect[site]), run.allSatisfy({ systemPast[$0] <= systemKnown[site] }) else {
            return false
        }
        let author = model.changes[run[0]].site
        if author == outsider, site != outsider {
            guard let grantedBy, grantedBy <= systemKnown[site] else { return false }
        }
        return run.allSatisfy { model.changes[$0].past.subtracting(own).isSubset(of: inEffect[site]) }
    }

    // MARK: - Comparing

    package func compare(_ site: Int) throws {
        let visible = inEffect[site]
        let found = try sites[site].store.read { try $0.inEffect(TestSchema.space) }
        for change in model.changes.indices {
            let dot = Dot(sites[model.changes[change].site].replica, model.changes[change].number)
            guard found.covers(dot) == visible.contains(change) else { throw failure(site, "in effect: \(change)") }
        }
        var live: Set<ReferenceModel.Live> = []
        var conflicts = 0
        for (number, id) in recordIDs.enumerated() {
            let expected = model.record(number, in: visible)
            try sites[site].store.read { transaction in
                let stored = try transaction.record(TestSchema.note, id)
                guard (stored == nil) == (expected == nil) else {
                    throw failure(site, "record \(number) is there or not")
                }
                guard let stored, let expected else { return }
                try compare(stored, expected, number, site)
                try compareItems(transaction, stored, expected, number, site)
                try compareConflicts(transaction, stored, expected, number, site)
                live.formUnion(expected.live)
                conflicts += expected.conflicts.count
            }
        }
        let listed = try sites[site].conflicts().count
        guard listed == conflicts else { throw failure(site, "\(listed) conflicts are listed, \(conflicts) there") }
        if !visible.isEmpty { try compareDigest(site, live) }
        try sites[site].compareWithDefinition(rederiving: steps % 8 == 0) { self.failure(site, $0) }
    }

    private func compare(
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ number: Int,
        _ site: Int
    ) throws {
        guard stored.deleted == expected.isDeleted else {
            throw failure(site, "record \(number) deleted: \(stored.deleted)")
        }
        for field in TestSchema.content.fields + TestSchema.contact.fields {
            let shown = ReferenceModel.Content(stored.values[field.name] ?? .null)
            guard shown == expected.shown[field.number] ?? .empty else {
                throw failure(
                    site,
                    "record \(number) \(field.name): \(shown), expected \(expected.shown[field.number] ?? .empty)"
                )
            }
        }
        let tags = Set((expected.items[3] ?? []).map(\.content)).sorted { $0.lexicographicallyPrecedes($1) }
        let list = "[" + tags.map { "\"\(String(decoding: $0, as: UTF8.self))\"" }.joined(separator: ",") + "]"
        guard stored.text("tags") ?? "[]" == list else {
            throw failure(site, "record \(number) tags: \(stored.text("tags") ?? "") instead of \(list)")
        }
        let sum = (expected.items[5] ?? []).reduce(Int64(0)) { $0 + Tally.sum([$1.content]) }
        guard stored.integer("tally") ?? 0 == sum else { throw failure(site, "record \(number) tally") }
        guard stored.text("status") ?? "" == expected.flows[7]?.state ?? "" else {
            throw failure(site, "record \(number) status")
        }
    }

    private func compareItems(
        _ transaction: StoreTransaction,
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ number: Int,
        _ site: Int
    ) throws {
        for group in [TestSchema.tags, TestSchema.entries, TestSchema.tally, TestSchema.status] {
            let items = try transaction.items(of: stored.rid, group: group).map { item in
                ReferenceModel.Item(
                    change: numberOf[item.dot]!,
                    place: item.index,
                    depth: item.depth,
                    content: item.content
                )
            }
            let wanted = expected.items[group.number] ?? []
            guard items == wanted else {
                throw failure(site, "record \(number) \(group.name): \(items), expected \(wanted)")
            }
            // A reply stands after what its author had seen.
            guard group.kind == .log || group.kind == .flow else { continue }
            for (place, item) in items.enumerated() {
                let past = model.changes[item.change].past
                guard !items[place...].contains(where: { past.contains($0.change) }) else {
                    throw failure(site, "record \(number) \(group.name): a reply before its cause")
                }
            }
        }
    }

    private func compareConflicts(
        _ transaction: StoreTransaction,
        _ stored: StoredRecord,
        _ expected: ReferenceModel.Record,
        _ number: Int,
        _ site: Int
    ) throws {
        let rows = try transaction.conflicts(rid: stored.rid)
        for row in rows {
            let group = row.group?.number ?? 0
            guard let conflict = expected.conflicts[group] else { throw failure(site, "record \(number): no conflict") }
            let deletes = row.alternatives.map(\.deleted)
            let values = row.alternatives.map { alternative in
                Dictionary(
                    uniqueKeysWithValues: alternative.values.map { ($0.field.number, ReferenceModel.Content($0.value)) }
                )
            }
            let wanted = conflict.values.map { choice in
                row.group.map { group in
                    Dictionary(uniqueKeysWithValues: group.fields.map { ($0.number, choice[$0.number] ?? .empty) })
                } ?? [:]
            }
            guard deletes == conflict.deletes, values == wanted else {
                throw failure(site, "record \(number) conflict: \(values), expected \(wanted)")
            }
            let key = ConflictKey(record: number, group: group, changes: conflict.changes)
            guard conflictIDs[key] ?? row.id == row.id else {
                throw failure(site, "record \(number): another conflict id")
            }
            conflictIDs[key] = row.id
            guard conflictIDs.values.count(where: { $0 == row.id }) == 1 else {
                throw failure(site, "record \(number): one id for two conflicts")
            }
        }
        guard rows.count == expected.conflicts.count else {
            throw failure(site, "record \(number): \(rows.count) conflicts, expected \(expected.conflicts)")
        }
    }

    /// Equal states have equal digests, and different ones have different ones.
    private func compareDigest(_ site: Int, _ live: Set<ReferenceModel.Live>) throws {
        guard let digest = try sites[site].digest() else { throw failure(site, "no digest") }
        guard digests[live] ?? digest == digest else { throw failure(site, "another digest for an equal state") }
        digests[live] = digest
        guard digests.values.count(where: { $0 == digest }) == 1 else {
            throw failure(site, "one digest for two states")
        }
    }
}
