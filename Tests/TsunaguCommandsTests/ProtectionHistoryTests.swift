// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What should come of acts on one person, worked out from nothing but who knew of which.
private struct PersonModel {
    enum Kind: Equatable {
        case protect, unprotect
        case edit(String)
    }

    struct Act {
        let kind: Kind
        /// The acts that its site knew of.
        let seen: Set<Int>
    }

    private(set) var acts: [Act] = []
    private var known: [String: Set<Int>] = [:]

    mutating func act(_ kind: Kind, at site: String) {
        acts.append(Act(kind: kind, seen: known[site] ?? []))
        known[site, default: []].insert(acts.count - 1)
    }

    mutating func exchange(_ one: String, _ other: String) {
        let both = (known[one] ?? []).union(known[other] ?? [])
        known[one] = both
        known[other] = both
    }

    /// Protected while a protection stands that no release had seen.
    var isProtected: Bool {
        acts.indices.contains { index in
            acts[index].kind == .protect && !acts.contains { $0.kind == .unprotect && $0.seen.contains(index) }
        }
    }

    /// The values that nobody wrote over who had seen them.
    var standing: Set<String> {
        Set(
            acts.indices.compactMap { index in
                guard case .edit(let value) = acts[index].kind else { return nil }
                let isReplaced = acts.contains { other in
                    if case .edit = other.kind { other.seen.contains(index) } else { false }
                }
                return isReplaced ? nil : value
            }
        )
    }
}

/// Random orders of protecting, releasing, editing and exchanging at two offices and two branches.
@Suite(.serialized) struct ProtectionHistoryTests {
    @Test(arguments: Seeds.chosen(1..<13))
    func `Every order ends as the model says, and nothing of a protected person is left at a branch`(
        _ seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        let ward = try WardFixture()
        var sites = ["centre": ward.centre]
        sites["second"] = try ward.join("second", role: .admin)
        for name in ["north", "south"] { sites[name] = try ward.join(name) }
        let number = "00012345678"
        _ = try ward.centre.addResident([
            "family_name=隠岐", "given_name=秘子", "birth_date=1980-02-03", "number=\(number)",
        ])
        let names = ["centre", "second", "north", "south"]
        var model = PersonModel()
        func exchange(_ name: String) throws {
            guard name != "centre" else { return }
            try ward.sync(sites[name]!)
            model.exchange(name, "centre")
        }
        for name in names { try exchange(name) }

        var trace: [String] = []
        var notes: [ExactText] = []
        for step in 0..<Int.random(in: 10...30, using: &random) {
            let name = names.randomElement(using: &random)!
            let site = sites[name]!
            do {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<4:
                    let value = "03-9999-\(String(10_000 + step).dropFirst())"
                    _ = try site.setResident(number, ["phone=\(value)"])
                    model.act(.edit(value), at: name)
                    trace.append("\(name) \(value)")
                case 9:
                    let text = ExactText("記事 \(step)")
                    _ = try site.noteResident(number, text.string)
                    notes.append(text)
                    trace.append("\(name) notes \(step)")
                case 4:
                    _ = try site.protectResident(number, reason: "申出")
                    model.act(.protect, at: name)
                    trace.append("\(name) protects")
                case 5:
                    _ = try site.unprotectResident(number, reason: "終了")
                    model.act(.unprotect, at: name)
                    trace.append("\(name) releases")
                default:
                    try exchange(name)
                    trace.append("\(name) exchanges")
                }
            } catch let error as CommandError
                where [.notPermitted, .askWardOffice, .tryAgain, .badInput].contains(error.code)
            {
                continue
            }
        }
        let story = Comment(rawValue: "seed \(seed): " + trace.joined(separator: ", "))
        for _ in 0..<3 { for name in names { try exchange(name) } }

        // Whoever takes in what others did is done with it.
        let changes = try ward.centre.status().spaces.map(\.changes)
        for name in names { try exchange(name) }
        #expect(try ward.centre.status().spaces.map(\.changes) == changes, story)

        // One state.
        for name in ["second", "north", "south"] {
            let (own, centre) = (try ward.digests(sites[name]!), try ward.digests(ward.centre))
            for (space, digest) in own { #expect(digest == centre[space], "\(name) \(space), \(story)") }
        }
        // Protection wins.
        for name in ["centre", "second"] {
            let shown = try sites[name]!.resident(number)
            #expect(shown.space == (model.isProtected ? .protectedResidents : .residents), story)
            #expect(try sites[name]!.findResidents("隠岐").map(\.id) == [shown.id], story)
        }
        for name in ["north", "south"] {
            if model.isProtected {
                let error = #expect(throws: CommandError.self, story) { try sites[name]!.resident(number) }
                #expect(error?.code == .askWardOffice, story)
            } else {
                #expect(try sites[name]!.resident(number).space == .residents, story)
            }
        }
        // Every note is there, once.
        let view = try ward.centre.resident(number)
        guard case .entries(let entries)? = view.fields.first(where: { $0.field.name == "notes" })?.shown else {
            Issue.record("no list of notes")
            return
        }
        #expect(entries.map(\.text).sorted() == notes.sorted(), story)
        // No value that nobody wrote over is lost: it is shown, or waits for a decision.
        let shown = try ward.centre.resident(number).text("phone")?.string
        let waiting = try ward.centre.cases().flatMap(\.values).flatMap(\.fields).compactMap { $0.value.text?.string }
        #expect(model.standing.isSubset(of: Set(waiting + [shown].compactMap(\.self))), story)
        // Nothing is left where nothing belongs.
        guard model.isProtected else { return }
        for name in ["north", "south"] {
            let secrets = ["隠岐", "秘子", "1980-02-03", number, "03-9999-", "申出"]
            for secret in try secrets.filter({ try sites[name]!.holds($0) }) {
                Issue.record("\(name) holds \(secret), \(story)")
            }
        }
    }
}

extension Site {
    /// Whether any file of the data directory, or the log, which is compressed there, holds a text.
    func holds(_ text: String) throws -> Bool {
        var isInLog = false
        try store.read { transaction in
            for space in try transaction.spaces() {
                try transaction.forEachChange(in: space) { change in
                    if Data(change.payload.bytes).range(of: Data(text.utf8)) != nil { isInLog = true }
                }
            }
        }
        if isInLog { return true }
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        return try files.contains { name in
            try Data(contentsOf: URL(filePath: directory.path + "/" + name)).range(of: Data(text.utf8)) != nil
        }
    }
}
