// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Real processes, killed at seeded moments: afterwards everything acknowledged is there, everything else is all or
/// nothing, and the next try ends well.
@Suite("Killed processes", .serialized)
final class KillTests {
    private static let residents = 4000
    private let root: URL
    private let centre: Machine

    init() throws {
        root = FileManager.default.temporaryDirectory.appending(path: "tsunagu-kill-\(UUID().uuidString)")
        centre = Machine(root.appending(path: "centre"))
        try centre.must("init", "--name", "千代田区")
        try centre.must(
            "sample",
            "--residents",
            "\(Self.residents)",
            "--seed",
            "3",
            root.appending(path: "sample").path
        )
    }

    deinit {
        centre.killHub()
        try? FileManager.default.removeItem(at: root)
    }

    private func file(_ name: String) -> String { root.appending(path: "sample/\(name).csv").path }

    @Test func `An import that is killed leaves all or nothing`() throws {
        var killed = 0
        for moment in stride(from: 0.005, to: 0.2, by: 0.015) {
            let before = try centre.records(in: "residents")
            let ended = try centre.run(["import", "residents", file("residents"), "--update"], killAfter: moment)
            if ended.status != 0 { killed += 1 }
            let after = try centre.records(in: "residents")
            #expect([before, Self.residents].contains(after), "killed after \(moment) s: \(after) records")
            if ended.status == 0 { #expect(after == Self.residents) }
        }
        #expect(killed > 0, "no import was slow enough to be killed")
        try centre.must("import", "residents", file("residents"), "--update")
        #expect(try centre.records(in: "residents") == Self.residents)
        #expect(try centre.must("doctor").json["ok"] as? Bool == true)
    }

    @Test func `Joins and syncs that are killed go on where they were, with nothing lost`() throws {
        try centre.must("import", "residents", file("residents"))
        try centre.startHub()
        let branch = Machine(root.appending(path: "branch"))
        let code = try #require(
            try centre.must("invite", "--role", "branch", "--name", "出張所", "--hub", centre.hub!).json["code"] as? String
        )
        var joined = false
        for moment in stride(from: 0.01, to: 0.25, by: 0.02) where !joined {
            joined = try branch.run(["join", code], killAfter: moment).status == 0
        }
        if !joined { try branch.must("join", code) }
        #expect(try branch.digests() == centre.digests())

        var added: [String] = []
        for (round, moment) in stride(from: 0.004, to: 0.1, by: 0.008).enumerated() {
            let id = try branch.must("resident", "add", "family_name=家\(round)", "given_name=花").json["id"] as? String
            added.append(try #require(id))
            _ = try branch.run(["sync"], killAfter: moment)
            if round % 4 == 3 {
                centre.killHub()
                try centre.startHub()
            }
        }
        #expect(try branch.must("sync").json["up_to_date"] as? Bool == true)
        #expect(try branch.digests() == centre.digests())
        for id in added { try centre.must("resident", "show", id) }
        for machine in [branch, centre] { #expect(try machine.must("doctor").json["ok"] as? Bool == true) }
    }

    @Test func `A write that was acknowledged survives SIGKILL of every other process`() throws {
        try centre.startHub()
        for round in 0..<5 {
            let id = try #require(
                try centre.must("resident", "add", "family_name=家\(round)", "given_name=花").json["id"] as? String
            )
            centre.killHub()
            try centre.must("resident", "show", id)
            try centre.startHub()
        }
        #expect(try centre.records(in: "residents") >= 5)
    }
}
