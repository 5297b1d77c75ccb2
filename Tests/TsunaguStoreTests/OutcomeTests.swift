// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// The tables of `Protocol/outcomes.md`, carried out.
@Suite struct OutcomeTests {
    // MARK: - Nine pairs

    enum Act: String, CaseIterable { case create, update, delete }

    private static let pairs = OutcomeTables.pairs

    @Test func `The table has all nine pairs and every kind, each once`() {
        let names = Act.allCases.flatMap { one in Act.allCases.map { "\(one), \($0)" } }
        #expect(Self.pairs.map(\.name).sorted() == names.sorted())
        for pair in Self.pairs {
            #expect(pair.cells.map(\.kind).sorted() == MergeKind.allCases.map(\.rawValue).sorted(), "\(pair.name)")
        }
    }

    @Test(arguments: pairs)
    func `Each pair ends as the table says, whatever arrives first`(pair: OutcomeTables.Pair) throws {
        let acts = pair.name.components(separatedBy: ", ").compactMap { Act(rawValue: $0) }
        let meeting = try Meeting()
        for cell in pair.cells {
            let stage = try #require(Stage.all.first { $0.group.kind.rawValue == cell.kind })
            // Whoever creates the record has not seen it; the others have.
            let id = meeting.record("\(pair.name) \(cell.kind)")
            for (place, act) in acts.enumerated() where act != .create {
                let site = meeting.actors[place]
                if try site.record(id, Stage.paper) == nil { try site.write { try $0.create(Stage.paper, id: id, []) } }
                if acts[1 - place] != .create { try meeting.actors[1 - place].pull(from: site) }
            }
            meeting.setApart()
            for (place, act) in acts.enumerated() {
                let site = meeting.actors[place]
                switch act {
                case .create:
                    try site.write { try $0.create(Stage.paper, id: id, []) }
                    try stage.perform(stage.differing[place], id, at: site)
                case .update: try stage.perform(stage.differing[place], id, at: site)
                case .delete: try site.write { try $0.delete(Stage.paper, id, reason: "reason") }
                }
            }
        }
        try meeting.meet()
        for cell in pair.cells {
            let stage = Stage.all.first { $0.group.kind.rawValue == cell.kind }!
            let id = meeting.record("\(pair.name) \(cell.kind)")
            for site in meeting.all {
                let found = try stage.outcome(id, acts, at: site)
                #expect(found == cell.outcome, "\(pair.name), \(cell.kind), \(site.name)")
            }
            guard cell.outcome == "kept" else { continue }
            try meeting.actors[0].write { try $0.revive(Stage.paper, id) }
            #expect(try stage.outcome(id, acts, at: meeting.actors[0]) == "both", "\(pair.name), \(cell.kind)")
        }
    }

    // MARK: - Within a kind

    private static let rows = OutcomeTables.rows

    @Test func `The rows have every kind, and every act that there is`() {
        let kinds = Self.rows.map { String($0.kind.prefix { $0 != " " }) }
        #expect(Set(kinds) == Set(MergeKind.allCases.map(\.rawValue)))
        let acts = Self.rows.flatMap { [$0.one, $0.other] + $0.before }.flatMap(\.self)
        #expect(Set(acts.map { String($0.prefix { $0 != " " }) }) == Set(Stage.verbs))
    }

    @Test(arguments: rows)
    func `Each row ends as the table says, whatever arrives first`(row: OutcomeTables.Row) throws {
        let stage = try #require(Stage.all.first { $0.name == row.kind })
        let meeting = try Meeting()
        let id = meeting.record("one")
        try meeting.actors[0].write { try $0.create(Stage.paper, id: id, []) }
        try meeting.exchange()
        for acts in row.before {
            meeting.setApart()
            for (act, site) in zip(acts, meeting.actors) { try stage.perform(act, id, at: site) }
            try meeting.exchange()
        }
        meeting.setApart()
        for (acts, site) in zip([row.one, row.other], meeting.actors) {
            for act in acts { try stage.perform(act, id, at: site) }
        }
        try meeting.meet()
        for site in meeting.all {
            #expect(try stage.shown(id, at: site) == row.shown, "\(site.name)")
            #expect(try !site.conflicts().isEmpty == row.isConflict, "\(site.name)")
        }
    }
}

// MARK: - The sites

/// Two sites that act, and two that receive the acts in either order.
private struct Meeting {
    let actors: [TestSite]
    private let receivers: [TestSite]
    private let scratch: Scratch

    var all: [TestSite] { actors + receivers }

    init() throws {
        scratch = try Scratch()
        let sites = try makeWard(
            ["one", "other", "one first", "other first"],
            in: scratch,
            schema: Schema(version: 1, collections: [Stage.paper])
        )
        (actors, receivers) = (Array(sites.prefix(2)), Array(sites.suffix(2)))
    }

    func record(_ name: String) -> RecordID { RecordID(derivedFrom: [Array(name.utf8)]) }

    /// Lets what the second site does next be later by the clocks than what the first one does.
    func setApart() { actors[1].machine.now += 60_000 }

    func exchange() throws { try actors[0].exchange(with: actors[1]) }

    /// Brings everything to everybody.
    func meet() throws {
        for (receiver, order) in zip(receivers, [actors, actors.reversed()]) {
            // What waits for the other's changes is taken with them.
            for site in order { try receiver.pull(from: site) }
        }
        try exchange()
        #expect(try Set(all.map { try $0.digest() }).count == 1)
        #expect(try Set(all.map { try $0.conflicts().map(\.id) }).count == 1)
    }
}

// MARK: - What is done and seen

/// A group of each kind, what is done to it in the tables' words, and what it shows.
private struct Stage {
    /// As the tables name it.
    let name: String
    let group: MergeGroup
    /// An act of each of two sites, which are not the same.
    let differing: [String]

    static let verbs = ["title", "body", "phone", "add", "remove", "enter", "count", "spend", "→", "claims"]

    static let all = [
        Stage(
            name: "review",
            group: MergeGroup(1, "text", "文", .review, [Field(1, "title", "題"), Field(2, "body", "本文")]),
            differing: ["title A", "title B"]
        ),
        Stage(
            name: "latest",
            group: MergeGroup(2, "contact", "連絡先", .latest, [Field(3, "phone", "電話")]),
            differing: ["phone 1", "phone 2"]
        ),
        Stage(
            name: "set",
            group: MergeGroup(3, "tags", "札", .set, [Field(4, "tags", "札")]),
            differing: ["add ja", "add en"]
        ),
        Stage(
            name: "log",
            group: MergeGroup(4, "entries", "記録", .log, [Field(5, "entries", "記録")]),
            differing: ["enter x", "enter y"]
        ),
        Stage(
            name: "counter",
            group: MergeGroup(5, "tally", "数", .counter, [Field(6, "tally", "数", .integer)]),
            differing: ["count 3", "count -5"]
        ),
        Stage(
            name: "seats",
            group: MergeGroup(6, "seats", "席", .seats, [Field(7, "seats", "席")]),
            differing: ["spend", "spend"]
        ),
        Stage(
            name: "flow status",
            group: MergeGroup(
                7,
                "status",
                "状態",
                .flow,
                [Field(8, "status", "状態")],
                machine: FlowMachine([
                    FlowMachine.initial: ["filed", "withdrawn"], "filed": ["review"],
                    "review": ["approved", "rejected", "correction"], "correction": ["review", "rejected"],
                ])
            ),
            differing: ["→ filed", "→ withdrawn"]
        ),
        Stage(
            name: "flow booking",
            group: MergeGroup(
                8,
                "booking",
                "予約",
                .flow,
                [Field(9, "booking", "予約")],
                machine: FlowMachine(
                    [
                        FlowMachine.initial: ["requested"], "requested": ["requested", "cancelled"],
                        "cancelled": ["requested"],
                    ],
                    twins: .each,
                    yielding: ["requested": ["cancelled"]]
                )
            ),
            differing: []
        ),
    ]

    static let paper = CollectionSchema(20, "paper", "書類", spaces: "notes", groups: all.map(\.group))

    func perform(_ act: String, _ id: RecordID, at site: TestSite) throws {
        let words = act.components(separatedBy: " ")
        let what = words.dropFirst().joined(separator: " ")
        try site.write { draft in
            func edit(add: [[UInt8]] = [], remove: [[UInt8]] = []) throws {
                try draft.edit(Self.paper, id, group: group, add: add, remove: remove)
            }
            switch words[0] {
            case "title", "body", "phone":
                let field = try #require(group.fields.first { $0.name == words[0] })
                try draft.set(Self.paper, id, [(field.number, .text(ExactText(what)))])
            case "add", "enter": try edit(add: [Array(what.utf8)])
            case "remove": try edit(remove: [Array(what.utf8)])
            case "count": try edit(add: [Tally.encode(try #require(Int64(what)))])
            case "spend": try edit(add: [[1]])
            case "→": try draft.step(Self.paper, id, group: group, to: ExactText(what), reason: "")
            case "claims":
                let (from, to) = (ExactText(words[1]), ExactText(words[3]))
                try edit(add: [Transition(from: from, to: to, reason: "").encoded])
            default: Issue.record("an act without a check: \(act)")
            }
        }
    }

    /// What the group shows, as the tables put it.
    func shown(_ id: RecordID, at site: TestSite) throws -> String {
        let record = try #require(try site.record(id, Self.paper))
        let contents = try site.store.read { try $0.items(of: record.rid, group: group) }.map(\.content)
        let texts = contents.map { String(decoding: $0, as: UTF8.self) }
        switch group.kind {
        case .review, .latest:
            return group.fields.compactMap { field in record.text(field.name).map { "\(field.name) \($0)" } }
                .joined(separator: ", ")
        case .set: return Set(texts).sorted().joined(separator: ", ")
        case .log: return texts.joined(separator: ", ")
        case .counter: return "\(record.integer(group.fields[0].name) ?? 0)"
        case .seats: return "\(contents.count)"
        case .flow: return record.text(group.fields[0].name) ?? ""
        }
    }

    /// The word of the first table for what became of two acts.
    func outcome(_ id: RecordID, _ acts: [OutcomeTests.Act], at site: TestSite) throws -> String {
        let record = try #require(try site.record(id, Self.paper))
        let conflicts = try site.store.read { try $0.conflicts(rid: record.rid) }
        let shown = try shown(id, at: site)
        let written = zip(acts, differing).filter { $0.0 != .delete }.map(\.1)
        func shows(_ act: String) -> Bool {
            let what = act.components(separatedBy: " ").last!
            return group.kind.mergeClass == .register
                ? shown == act : shown.components(separatedBy: ", ").contains(what)
        }
        // What counts is their sum, or how many there are.
        var holdsAll: Bool {
            switch group.kind {
            case .counter: shown == "\(written.map { $0 == differing[0] ? 3 : -5 }.reduce(0, +))"
            case .seats: shown == "\(written.count)"
            default: written.allSatisfy(shows)
            }
        }
        if record.deleted {
            #expect(conflicts.isEmpty)
            return written.isEmpty ? "deleted" : holdsAll ? "kept" : "lost"
        }
        if let life = conflicts.first(where: { $0.group == nil }) {
            #expect(life.alternatives.map(\.deleted).sorted { !$0 && $1 } == [false, true])
            return conflicts.count == 1 && holdsAll ? "contested" : "lost"
        }
        if let conflict = conflicts.first {
            return conflict.alternatives.count == 2 && shows(written[1]) ? "conflict" : "lost"
        }
        return holdsAll ? "both" : shows(written[1]) ? "greatest" : "lost"
    }
}

// MARK: - Reading the tables

enum OutcomeTables {
    struct Pair: Sendable, CustomTestStringConvertible {
        let name: String
        let cells: [(kind: String, outcome: String)]

        var testDescription: String { name }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        /// The kind, and of flows the name.
        let kind: String
        /// One after the other, the acts that had not seen each other.
        let before: [[String]]
        let one: [String]
        let other: [String]
        let shown: String
        let isConflict: Bool

        var testDescription: String { "\(kind): \(before), \(one), \(other)" }
    }

    static let pairs: [Pair] = table("one, the other").map { cells in
        Pair(name: cells[0].text, cells: cells.dropFirst().map { ($0.column, $0.text) })
    }

    static let rows: [Row] = table("kind").map { cells in
        func acts(_ place: Int) -> [String] {
            cells[place].text.components(separatedBy: ", ").filter { !$0.isEmpty }
        }
        precondition(["yes", "no"].contains(cells[5].text), "a conflict is there or not: \(cells)")
        return Row(
            kind: cells[0].text,
            before: acts(1).map { $0.components(separatedBy: " ∥ ") },
            one: acts(2),
            other: acts(3),
            shown: cells[4].text,
            isConflict: cells[5].text == "yes"
        )
    }

    /// The rows of the one table whose first column has a name; none where the file or the table is not there.
    private static func table(_ name: String) -> [[(column: String, text: String)]] {
        let url = VectorTests.folder.deletingLastPathComponent().appending(path: "outcomes.md")
        let lines = ((try? String(contentsOf: url, encoding: .utf8)) ?? "").components(separatedBy: "\n")
        func cells(_ line: String) -> [String] {
            line.replacing("`", with: "").components(separatedBy: "|").dropFirst().dropLast()
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }
        guard let start = lines.firstIndex(where: { $0.hasPrefix("| \(name) |") }) else { return [] }
        let columns = cells(lines[start])
        return lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map { line in
            let found = cells(line)
            precondition(found.count == columns.count, "a row with other columns than its table: \(line)")
            return Array(zip(columns, found))
        }
    }
}
