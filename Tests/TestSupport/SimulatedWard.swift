// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

/// Real stores beside the reference model: random edits and deliveries by seed, compared after every step.
package final class SimulatedWard {
    package let sites: [TestSite]
    private let scratch: Scratch
    private let book = ModelBook()
    private var generator: SeededGenerator
    private let seed: UInt64
    /// What is in effect at each site, by the model's numbers.
    private(set) var inEffect: [Set<Int>]
    /// What reached a site and waits for its causes.
    private var waiting: [[[Int]]]
    package private(set) var steps = 0
    /// The site without a grant, and the founder's number of the change that gives it one.
    private let outsider: Int?
    private var grantedBy: UInt64?
    /// How far each site knows `system`, and how far each change's author did.
    private var systemKnown: [UInt64]
    private var systemPast: [UInt64] = []

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
            guard inEffect[index] == Set(book.changes) else { throw failure(index, "not everything arrived") }
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
        let first = max(book.recordIDs.count, 3)
        book.nameRecords(upTo: first + 1)
        var runs: [RunEnvelope] = []
        for author in 0..<authors {
            try take(past[author].sorted().map { runs[$0] }, at: author)
            let entries = [first, first + 1].map {
                RandomEdit.entry(on: $0, of: book.model, in: inEffect[author], &generator, dot: book.dot)
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

    private func edit(at site: Int) throws {
        try write(book.randomEntries(seeing: inEffect[site], &generator), at: site)
    }

    /// Writes at a site, in the engine and in the model.
    package func write(_ entries: [ReferenceModel.Entry], at site: Int, derived: Bool = false) throws {
        let visible = inEffect[site]
        let written = try sites[site].write {
            try book.write(entries, $0, TestSchema.note, seeing: visible, derived: derived)
        }
        let own = sites[site].replica
        let stamp = try sites[site].store.read { try $0.meta("clock")!.integer! }
        let change = book.append(
            Dot(own, try sites[site].vector(TestSchema.space)[own]!),
            stamp: UInt64(bitPattern: stamp),
            site: site,
            past: visible,
            written
        )
        systemPast.append(systemKnown[site])
        inEffect[site].insert(change)
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
            waiting[site].append((run.first...run.last).map { book.number(Dot(run.replica, $0))! })
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
        let author = book.model.changes[run[0]].site
        if author == outsider, site != outsider {
            guard let grantedBy, grantedBy <= systemKnown[site] else { return false }
        }
        return run.allSatisfy { book.model.changes[$0].past.subtracting(own).isSubset(of: inEffect[site]) }
    }

    // MARK: - Comparing

    package func compare(_ site: Int) throws {
        let visible = inEffect[site]
        let found = try sites[site].store.read { try $0.inEffect(TestSchema.space) }
        for change in book.changes {
            guard found.covers(book.dot(change)) == visible.contains(change) else {
                throw failure(site, "in effect: \(change)")
            }
        }
        try book.compare(sites[site].store, TestSchema.note, visible) { failure(site, $0) }
        try sites[site].compareWithDefinition(rederiving: steps % 8 == 0) { failure(site, $0) }
    }
}
