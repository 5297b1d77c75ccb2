// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// What happens in a ward, and the order in which a reader is given its runs.
struct VectorScenario: Sendable, CustomTestStringConvertible {
    typealias Runs = (founder: TestSite, runs: [RunEnvelope])

    let name: String
    let schema: Schema
    private let about: String
    private let happen: @Sendable (Scratch) throws -> Runs

    var testDescription: String { name }

    func vector() throws -> Vector {
        let scratch = try Scratch()
        let (founder, runs) = try happen(scratch)
        return try Vector(about, rootSigningKey: Hex.encode(founder.publicKey), schema: schema, runs: runs)
    }

    static let all = [
        VectorScenario(
            name: "two-sites",
            schema: TestSchema.v1,
            about: "Two sites, every kind of group, conflicts over U+FA19 and U+795E and of a life, records named in "
                + "all three ways, and a run that comes twice.",
            happen: twoSites
        ),
        VectorScenario(
            name: "flows",
            schema: flowSchema,
            about: "Flows: a conflict and its decision, one act with two signatures, acts that count each, a state "
                + "that gives way, and steps that count for nothing.",
            happen: flows
        ),
        VectorScenario(
            name: "transaction",
            schema: TestSchema.v1,
            about: "Acts over two and three spaces, whose parts wait for each other; and one of an author whom no "
                + "grant lets write in the second space.",
            happen: transaction
        ),
        VectorScenario(
            name: "quarantine",
            schema: TestSchema.v1,
            about: "A member without a grant, edits beside what it wrote, then its grant; and another one that "
                + "never gets any.",
            happen: quarantine
        ),
        VectorScenario(
            name: "two-versions",
            schema: TestSchema.v2,
            about: "A site with the schema's version 1 among those of version 2, read by one that knows version 2.",
            happen: twoVersions
        ),
        VectorScenario(
            name: "two-versions-old-reader",
            schema: TestSchema.v1,
            about: "The runs of two-versions, read by one that knows version 1: vectors and digests are the same.",
            happen: twoVersions
        ),
        VectorScenario(
            name: "authority",
            schema: TestSchema.strict,
            about: "A lost device with a cut and the adoption of what is beyond it, admins that revoke each other, and "
                + "one whose program lets it write what its role may not.",
            happen: authority
        ),
        VectorScenario(
            name: "erased",
            schema: TestSchema.v1,
            about: "Records erased by an admin, before and after others' edits of them arrive: runs in redacted form, "
                + "one of them with two blocks, and a receipt of a member whose word does not erase.",
            happen: erased
        ),
        VectorScenario(
            name: "blocks",
            schema: TestSchema.v1,
            about: "1,030 changes of one author, so that a block of salts begins within a run; a batch, a reason, "
                + "groups and a collection that nobody knows.",
            happen: blocks
        ),
        VectorScenario(
            name: "forks",
            schema: TestSchema.v1,
            about:
                "A machine and its copies, one of them copied again; a clerk who had seen one branch and names records "
                + "by it; and a stolen copy of a lost device, whose cut names the honest branch by its hash.",
            happen: forks
        ),
    ]

    // MARK: - What happens

    private static let note = TestSchema.note

    private static func runs(_ site: TestSite, _ spaces: [SpaceID] = [.system, TestSchema.space]) throws
        -> [RunEnvelope]
    {
        try spaces.flatMap { try site.runs($0) }
    }

    @Sendable private static func erased(_ scratch: Scratch) throws -> Runs {
        let names = ["本庁", "出張所", "会場", "来客"]
        let sites = try makeWard(names, in: scratch, seed: 11, granting: ["出張所", "会場"])
        let (a, b, c, guest) = (sites[0], sites[1], sites[2], sites[3])
        let (gone, kept) = try b.write { draft in
            let gone = try draft.create(note, [(1, .text("消える人")), (3, .integer(7)), (4, .text("03"))])
            try draft.edit(note, gone, group: TestSchema.tags, add: [Array("ja".utf8)])
            return (gone, try draft.create(note, [(1, .text("残る人"))]))
        }
        for site in [a, c, guest] { try site.pull(from: b) }
        try a.write { try $0.set(note, gone, [(2, .text("本庁"))]) }
        try b.pull(from: a)
        // Without knowing, and beside something else.
        try c.write { draft in
            try draft.set(note, gone, [(4, .text("05"))])
            try draft.set(note, kept, [(4, .text("06"))])
        }
        try guest.write { try $0.erase(note, kept) }
        try a.write { try $0.erase(note, gone) }
        try b.pull(from: a)
        // The block's seed is given up: a new one begins, and stands in one run with a change of the old.
        try b.write { try $0.set(note, kept, [(2, .text("出張所"))]) }
        try a.pull(from: b)
        try a.pull(from: guest)
        try a.pull(from: c)
        return (a, try runs(a))
    }

    @Sendable private static func twoSites(_ scratch: Scratch) throws -> Runs {
        let sites = try makeWard(["本庁", "出張所"], in: scratch, seed: 7)
        let (a, b) = (sites[0], sites[1])
        let derived = RecordID(derivedFrom: [Array("derived".utf8)])
        let id = try a.write { draft in
            let id = try draft.create(
                note,
                [(1, .text("\u{FA19}\u{845B}\u{E0100}")), (2, .text("ｶﾞ")), (3, .integer(-7)), (4, .text("03"))]
            )
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("ja".utf8), Array("en".utf8)])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("窓口".utf8)])
            try draft.edit(note, id, group: TestSchema.tally, add: [Tally.encode(3)])
            try draft.edit(note, id, group: TestSchema.seats, add: [[1], [2, 30]])
            return id
        }
        try a.write { try $0.create(note, id: derived, [(1, .text("x")), (2, .null)]) }
        let other = try a.write { try $0.create(note, [(1, .text("other")), (3, .integer(.max))]) }
        try b.pull(from: a)
        try a.write { draft in
            try draft.set(note, id, [(1, .text("\u{795E}")), (4, .text("04"))])
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("en".utf8)])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("本庁".utf8)])
            try draft.edit(note, id, group: TestSchema.tally, add: [Tally.encode(-5), Tally.encode(.max)])
        }
        try b.write { draft in
            try draft.set(note, id, [(1, .text("\u{FA19}")), (4, .text("05"))])
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("zh".utf8)], remove: [Array("en".utf8)])
            try draft.edit(note, id, group: TestSchema.entries, add: [Array("出張所".utf8)])
            try draft.edit(note, id, group: TestSchema.seats, add: [[1]])
            try draft.edit(
                note,
                id,
                group: TestSchema.status,
                add: [Transition(from: "", to: "open", reason: "").encoded]
            )
        }
        try a.write { try $0.set(note, derived, [(3, .integer(.min))]) }
        try b.write { draft in
            try draft.delete(note, derived, reason: "二重")
            try draft.delete(note, other, reason: "")
        }
        try a.exchange(with: b)
        // One more at b, which saw the conflicts and writes another member of the group.
        try b.write { try $0.set(note, id, [(2, .text("か\u{3099}"))]) }
        try a.exchange(with: b)
        let all = try runs(a)
        return (a, all + [all[all.count / 2]])
    }

    private static let application = CollectionSchema(
        30,
        "application",
        "申請",
        spaces: "notes",
        groups: [
            MergeGroup(
                1,
                "status",
                "状態",
                .flow,
                [Field(1, "status", "状態")],
                machine: FlowMachine([
                    FlowMachine.initial: ["filed"], "filed": ["review"],
                    "review": ["approved", "rejected", "correction"], "correction": ["review"], "approved": ["issued"],
                ])
            ),
            MergeGroup(
                2,
                "booking",
                "予約",
                .flow,
                [Field(2, "booking", "予約")],
                machine: FlowMachine(
                    [
                        FlowMachine.initial: ["requested"], "requested": ["confirmed", "cancelled"],
                        "confirmed": ["cancelled"], "cancelled": ["requested"],
                    ],
                    twins: .each,
                    yielding: ["requested": ["cancelled"], "confirmed": ["cancelled", "requested"]]
                )
            ),
        ]
    )

    private static let flowSchema = Schema(version: 1, collections: [application])

    @Sendable private static func flows(_ scratch: Scratch) throws -> Runs {
        let sites = try makeWard(["a", "b", "c"], in: scratch, seed: 8, schema: flowSchema)
        let (status, booking) = (application.groups[0], application.groups[1])
        let ids = (0..<5).map { RecordID(derivedFrom: [[UInt8($0)]]) }
        func step(_ site: Int, _ id: RecordID, _ group: MergeGroup, _ states: ExactText...) throws {
            for state in states {
                try sites[site].write { try $0.step(application, id, group: group, to: state, reason: "理由") }
            }
        }
        func meet() throws {
            for _ in 0..<2 { for site in sites.dropFirst() { try sites[0].exchange(with: site) } }
        }
        for id in ids { try step(0, id, status, "filed", "review") }
        for id in ids { try step(0, id, booking, "requested") }
        try meet()
        // 0: contested. 1: contested, then decided. 2: one act signed twice, of which one was gone on from.
        for id in ids.prefix(2) {
            try step(0, id, status, "approved")
            try step(1, id, status, "rejected")
        }
        for site in 0..<2 { try step(site, ids[2], status, "approved") }
        try step(1, ids[2], status, "issued")
        // 3: a cancellation, a confirmation and again a request. 4: a cancellation and a step that there is not.
        try step(0, ids[3], booking, "cancelled")
        try step(1, ids[3], booking, "confirmed")
        try step(2, ids[3], booking, "cancelled", "requested")
        try step(0, ids[4], booking, "cancelled")
        try step(2, ids[4], status, "correction", "review")
        for from in ["requested", "confirmed", "nowhere"] as [ExactText] {
            let forged = Transition(from: from, to: "confirmed", reason: "", answers: [Dot(sites[1].replica, 1)])
            try sites[1].write { try $0.edit(application, ids[4], group: booking, add: [forged.encoded]) }
        }
        try sites[1].write { try $0.edit(application, ids[4], group: booking, add: [[0xff, 1]]) }
        try meet()
        try step(2, ids[1], status, "rejected")
        try meet()
        return (sites[0], try runs(sites[0]))
    }

    @Sendable private static func transaction(_ scratch: Scratch) throws -> Runs {
        let spaces = ["alpha", "beta", "gamma"].map { SpaceID($0)! }
        let sites = try makeWard(["root", "author", "half"], in: scratch, seed: 9, granting: ["root", "author"])
        let (root, author, half) = (sites[0], sites[1], sites[2])
        try root.grant(half, spaces: "alpha")
        try root.store.write { transaction in
            for space in spaces { try transaction.found(space, by: root.person) }
        }
        for site in [author, half] { try site.pull(from: root, [.system] + spaces) }
        func act(_ title: ExactText, _ spaces: [SpaceID], at site: TestSite) throws {
            try site.store.write { transaction in
                for space in spaces { try transaction.draft(space, by: site.person).create(note, [(1, .text(title))]) }
            }
        }
        func sealed(_ space: SpaceID, behind last: UInt64, at site: TestSite) throws -> [RunEnvelope] {
            try site.runs(space, lacking: [site.replica: last, root.replica: 1000])
        }
        try act("everywhere", spaces, at: author)
        let first = try spaces.map { try sealed($0, behind: 0, at: author) }
        try act("in two", [spaces[2], spaces[0]], at: author)
        try act("alone", [spaces[2]], at: author)
        let second = try [spaces[2], spaces[0]].map { try sealed($0, behind: 1, at: author) }
        try act("half of it", [spaces[0], spaces[1]], at: half)
        let third = try [spaces[0], spaces[1]].map { try sealed($0, behind: 0, at: half) }
        let founding = try runs(root, [.system] + spaces)
        return (root, founding + ([first[2], first[0], first[1]] + second + third).flatMap(\.self))
    }

    @Sendable private static func quarantine(_ scratch: Scratch) throws -> Runs {
        let sites = try makeWard(
            ["root", "clerk", "late", "never"],
            in: scratch,
            seed: 10,
            granting: ["root", "clerk"]
        )
        let (root, clerk, late, never) = (sites[0], sites[1], sites[2], sites[3])
        let id = try root.write { try $0.create(note, [(1, .text("start"))]) }
        for site in sites.dropFirst() { try site.pull(from: root) }
        for (site, title) in [(late, "late"), (never, "never")] as [(TestSite, ExactText)] {
            try site.write { try $0.set(note, id, [(1, .text(title))]) }
            try site.write { try $0.create(note, [(1, .text(title))]) }
            try clerk.pull(from: site)
        }
        try clerk.write { try $0.set(note, id, [(1, .text("clerk")), (2, .text("saw neither"))]) }
        try root.pull(from: clerk)
        // A member whom its own grant does not let write in `system`.
        try clerk.grant(clerk, role: .admin)
        try root.pull(from: clerk)
        let before = try runs(root)
        try root.grant(late)
        try clerk.pull(from: root)
        try clerk.write { try $0.set(note, id, [(3, .integer(2))]) }
        try root.pull(from: clerk)
        let seen = Set(before)
        return (root, before + (try runs(root)).filter { !seen.contains($0) })
    }

    @Sendable private static func twoVersions(_ scratch: Scratch) throws -> Runs {
        let new = try TestSite("new", in: scratch, schema: TestSchema.v2, seed: 11)
        let old = try TestSite("old", in: scratch, root: new, schema: TestSchema.v1, seed: 12)
        let far = try TestSite("far", in: scratch, root: new, schema: TestSchema.v2, seed: 13)
        for site in [old, far] { try new.admit(site) }
        for site in [old, far] { try site.pull(from: new, [.system]) }
        let (wide, place) = (TestSchema.wideNote, TestSchema.place)
        let id = try new.write { draft in
            let id = try draft.create(
                wide,
                [
                    (TestSchema.Number.title, .text("t")), (TestSchema.Number.extra, .text("extra")),
                    (TestSchema.Number.memo, .text("memo")),
                ]
            )
            try draft.edit(wide, id, group: TestSchema.labels, add: [Array("red".utf8)])
            let shop = try draft.create(place, [(1, .text("hall"))])
            try draft.edit(place, shop, group: place.groups[1], add: [Array("lessons".utf8)])
            return id
        }
        for site in [old, far] { try site.pull(from: new) }
        // Old writes beside what it does not know; the two new ones disagree about it.
        try old.write { try $0.set(note, id, [(TestSchema.Number.title, .text("by old"))]) }
        try new.write { try $0.set(wide, id, [(TestSchema.Number.extra, .text("by new"))]) }
        try far.write { draft in
            try draft.set(wide, id, [(TestSchema.Number.extra, .text("by far")), (TestSchema.Number.memo, .null)])
            try draft.edit(wide, id, group: TestSchema.labels, remove: [Array("red".utf8)])
        }
        for site in [old, far] { try new.pull(from: site) }
        return (new, try runs(new))
    }

    @Sendable private static func authority(_ scratch: Scratch) throws -> Runs {
        let sites = try makeWard(
            ["root", "second", "third", "lost", "clerk"],
            in: scratch,
            seed: 15,
            schema: TestSchema.strict
        )
        let (root, second, third, lost, clerk) = (sites[0], sites[1], sites[2], sites[3], sites[4])
        let tampered = try TestSite("tampered", in: scratch, root: root, seed: 16)
        try root.admit(tampered)
        try root.grant(second, role: .admin)
        for site in [second, lost, clerk, tampered] { try site.pull(from: root) }
        try second.grant(third, role: .admin)
        let id = try clerk.write { try $0.create(note, [(1, .text("start"))]) }
        for site in [root, second, third, lost, tampered] { for peer in [second, clerk] { try site.pull(from: peer) } }
        // Honoured, beyond the cut and adopted, and beyond that.
        for title in ["before", "adopted", "beyond"] {
            try lost.write { try $0.set(note, id, [(1, .text(ExactText(title)))]) }
            try lost.seal()
        }
        try root.pull(from: lost)
        try root.revoke(lost, after: [lost.replica: 1])
        try clerk.write { try $0.set(note, id, [(1, .text("clerk"))]) }
        // What its role may, what it may not, and what follows.
        for values: [(field: UInt32, value: Value)] in [
            [(2, .text("may"))], [(4, .text("may not"))], [(2, .text("after"))],
        ] {
            try tampered.write { try $0.set(note, id, values) }
            try tampered.seal()
        }
        // The third is the junior: its word against the second goes.
        let known = try second.vector(.system)[second.replica] ?? 0
        try third.revoke(second, after: [:], system: known)
        try second.adopt([lost.replica: 2])
        try second.revoke(third, after: [:])
        for peer in [second, third, clerk, tampered] { try root.pull(from: peer) }
        return (root, try runs(root))
    }

    @Sendable private static func forks(_ scratch: Scratch) throws -> Runs {
        let sites = try makeWard(["root", "original", "clerk", "lost"], in: scratch, seed: 17)
        let (root, original, clerk, lost) = (sites[0], sites[1], sites[2], sites[3])
        let id = try original.write { try $0.create(note, [(1, .text("before")), (4, .text("0"))]) }
        try original.write { try $0.step(note, id, group: TestSchema.status, to: "open", reason: "") }
        // What both have in common is sealed with what only one of them wrote.
        let copy = try original.copied(as: "copy", in: scratch, seed: 170)
        copy.machine.now += 500
        let made = try original.write { draft in
            try draft.set(note, id, [(1, .text("of the original"))])
            try draft.edit(note, id, group: TestSchema.tags, add: [Array("o".utf8)])
            return try draft.create(note, [(1, .text("made by the original"))])
        }
        try original.write { try $0.step(note, id, group: TestSchema.status, to: "closed", reason: "") }
        try copy.write { draft in
            try draft.set(note, id, [(1, .text("of the copy"))])
            try draft.edit(note, id, group: TestSchema.tally, add: [Tally.encode(2)])
        }
        let again = try copy.copied(as: "again", in: scratch, seed: 171)
        again.machine.now += 700
        try copy.write { _ = try $0.create(note, [(1, .text("made by the copy"))]) }
        try again.write { try $0.set(note, id, [(2, .text("of the second copy"))]) }
        try clerk.pull(from: original)
        try clerk.write { draft in
            try draft.set(note, made, [(4, .text("by its number"))])
            try draft.set(note, id, [(1, .text("corrected"))])
            try draft.edit(note, id, group: TestSchema.tags, remove: [Array("o".utf8)])
        }
        try clerk.write { try $0.step(note, id, group: TestSchema.status, to: "kept", reason: "") }
        try root.pull(from: copy)
        for site in [again, original, clerk] { try root.receive(site.runs(TestSchema.space)) }
        // The root has seen it all.
        try root.write { try $0.set(note, made, [(2, .text("seen"))]) }

        try lost.write { try $0.set(note, id, [(4, .text("honest"))]) }
        let stolen = try lost.copied(as: "stolen", in: scratch, seed: 172)
        try lost.write { try $0.set(note, id, [(4, .text("honest too"))]) }
        try root.pull(from: lost)
        let end = try root.store.read { transaction in
            try transaction.vector(of: TestSchema.space).first { $0.replica == lost.replica }!
        }
        var cut = Revocation.Cut([TestSchema.space: [end.replica: end.seq]])
        cut.hashes = [TestSchema.space: [end.replica: Bytes16(end.hash.prefix(16))!]]
        try root.revoke(lost, with: cut)
        stolen.machine.now += 900
        for text in ["of a thief", "of a thief too"] {
            try stolen.write { try $0.set(note, id, [(4, .text(ExactText(text)))]) }
        }
        try root.receive(stolen.runs(TestSchema.space))
        return (root, try runs(root))
    }

    @Sendable private static func blocks(_ scratch: Scratch) throws -> Runs {
        let root = try makeWard(["root"], in: scratch, seed: 14)[0]
        let ids = (0..<2).map { RecordID(derivedFrom: [[UInt8($0)]]) }
        let phone = Shape(collection: note.number, operations: [Shape.Operation(group: 2, .register, fields: [4])])
        // A record that comes twice in one import makes two changes of it, bound together.
        try root.write { draft in
            for number in 0..<4 {
                try draft.append(phone, id: ids[number % 2]) { $0.appendSlot(.text("\(number)")) }
            }
        }
        try root.write { draft in
            draft.reason = "訂正"
            try draft.set(note, ids[0], [(1, .text("with a reason"))])
        }
        let unknown = [
            Shape(collection: note.number, operations: [Shape.Operation(group: 40, .register, fields: [100, 126])]),
            Shape(
                collection: 99,
                operations: [Shape.Operation(group: 0, .register), Shape.Operation(group: 1, .counter)]
            ),
        ]
        try root.write { draft in
            try draft.append(unknown[0], id: ids[1]) { out in
                out.appendSlot(.bytes([0, 0xff]))
                out.appendSlot(.integer(-1))
            }
        }
        try root.write { draft in
            try draft.append(unknown[1]) { out in
                out.appendSlot(.null)
                out.appendSlot(.bytes(Items(added: [Items.Item(depth: 0, [0x80])]).encoded))
            }
        }
        try root.seal()
        let plain = Shape(collection: 99, operations: [Shape.Operation(group: 2, .register, fields: [1])])
        for number in 0..<1025 {
            root.machine.now += UInt64(number % 3)
            try root.write { draft in try draft.append(plain) { $0.appendSlot(.text("\(number % 5)")) } }
        }
        return (root, try runs(root))
    }
}
