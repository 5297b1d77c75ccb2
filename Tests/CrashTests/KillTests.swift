// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

import struct TestSupport.SeededGenerator

/// Real processes, killed at seeded moments: afterwards everything acknowledged is there, everything else is all or
/// nothing, and the next try ends well.
@Suite("Killed processes", .serialized)
final class KillTests {
    private let centre: TestSite
    /// The names of residents that a site acknowledged.
    private var added: Set<String> = []

    init() throws { centre = try .ward() }

    /// Residents nobody has yet, as a file to import.
    private func residents(_ count: Int, from first: Int) throws -> String {
        let rows = (first..<first + count).map { "\($0),家\($0),花,03-1111-\(1000 + $0 % 9000)\n" }
        return try centre.file("residents-\(first).csv", "number,family_name,given_name,phone\n" + rows.joined())
    }

    /// A branch that has joined.
    private func branch() throws -> TestSite {
        try centre.start()
        return try centre.invite("出張所", role: "branch")
    }

    /// Adds a resident of another name, acknowledged.
    private func add(at site: TestSite) throws {
        let name = "家\(added.count)"
        _ = try site.add("family_name=\(name)")
        added.insert(name)
    }

    private func names(at site: TestSite) throws -> Set<String> {
        Set(try site.json("export", "residents").list.compactMap { $0["family_name"] as? String })
    }

    @Test func `An import that is killed leaves all or nothing`() throws {
        let rows = 400
        var (imported, tally) = (0, [true: 0, false: 0])
        var lives = Lives(seed: 1)
        try lives.kill(70, of: "import", keepingSound: [centre]) { strike in
            let file = try residents(rows, from: imported + 1)
            let ended = try centre.run(["import", "residents", file], strike)
            let after = try centre.records(in: "residents")
            #expect([imported, imported + rows].contains(after), "\(after) records after \(imported)")
            if ended.status == 0 { #expect(after == imported + rows) }
            if ended.isKilled { tally[after > imported, default: 0] += 1 }
            imported = after
            return ended
        }
        print("  of those, \(tally[false]!) left nothing and \(tally[true]!) left all")
        #expect(tally[false]! > 0)
    }

    @Test func `Joins that are killed go on where they were`() throws {
        try centre.json("import", "residents", residents(400, from: 1))
        try centre.start()
        var lives = Lives(seed: 2)
        var (joins, code, branch): (Int, String, TestSite?) = (0, "", nil)
        try lives.kill(10, of: "join", keepingSound: [centre]) { strike in
            if branch == nil {
                joins += 1
                let new = try TestSite("出張所\(joins)", beside: centre)
                code = try centre.invitation(new.name, role: "branch")
                branch = new
            }
            let ended = try branch!.run(["join", code], strike)
            if ended.status == 0 {
                #expect(try branch!.digests() == centre.digests())
                branch = nil
            }
            return ended
        }
        if let branch {
            try branch.json("join", code)
            #expect(try branch.digests() == centre.digests())
        }
    }

    @Test func `Syncs that are killed lose nothing and say nothing false`() throws {
        let branch = try branch()
        var lives = Lives(seed: 3)
        try lives.kill(50, of: "sync", keepingSound: [branch, centre]) { strike in
            for site in [branch, centre] { try add(at: site) }
            let ended = try branch.run(["sync", "--json"], strike)
            if ended.status == 0 { #expect(try branch.digests() == centre.digests()) }
            return ended
        }
        try branch.sync()
        #expect(try branch.digests() == centre.digests())
        #expect(try names(at: centre) == added && names(at: branch) == added)
    }

    @Test func `A hub that is killed while it serves keeps what it acknowledged`() throws {
        let branch = try branch()
        var lives = Lives(seed: 4)
        try lives.kill(40, of: "hub", keepingSound: [branch, centre]) { strike in
            for site in [branch, centre] { try add(at: site) }
            var isHit = false
            let ended = try branch.run(
                ["sync", "--json"],
                strike.map { strike in
                    strike.aimed { [centre] _ in
                        centre.kill()
                        isHit = true
                    }
                }
            )
            if isHit { try centre.start() }
            if ended.status == 0 { #expect(try branch.digests() == centre.digests()) }
            return (ended, isHit)
        }
        try branch.sync()
        #expect(try branch.digests() == centre.digests())
        #expect(try names(at: centre) == added && names(at: branch) == added)
    }

    @Test func `A daemon that is killed while it takes changes in lacks none of them afterwards`() throws {
        try centre.start()
        let proxy = try HostileProxy(to: centre, seed: 5)
        defer { proxy.end() }
        let branch = try TestSite("出張所", beside: centre)
        try branch.json("join", centre.invitation(branch.name, role: "branch", at: proxy.url))
        var generator = SeededGenerator(seed: 5)
        var bytes = 0
        for kill in 0...30 {
            try centre.json("import", "residents", residents(50, from: 1 + 50 * kill))
            let before = proxy.withState { $0.bytes[.down]! }
            if kill == 0 {
                try branch.sync()
                bytes = proxy.withState { $0.bytes[.down]! } - before
                continue
            }
            // A daemon is told a tenth less than a command, which looks once more in the end; what lacks from before
            // comes with it, so it is never less than that.
            let moment = generator.below(bytes * 4 / 5)
            try branch.startDaemon()
            #expect(proxy.wait { $0.bytes[.down]! - before > moment }, "kill \(kill)")
            #expect(branch.daemon?.isRunning == true)
            branch.kill()
            #expect(try branch.records(in: "residents") % 50 == 0, "an import arrives whole")
            if kill % 10 == 0 { #expect(try branch.isSound()) }
        }
        print("daemon: 30 of 30 runs were killed")
        try branch.sync()
        #expect(try branch.digests() == centre.digests())
        #expect(try branch.records(in: "residents") == 50 * 31)
    }
}

/// Kills spread over the whole life of a run, by where in it the last undisturbed one would have been.
struct Lives {
    /// After so many kills a run is left undisturbed: its length is the new measure.
    private static let killsBetweenMeasures = 10

    private var generator: SeededGenerator
    private var runs = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// Runs something again and again until it was killed so many times.
    mutating func kill(
        _ kills: Int,
        of what: String,
        keepingSound sites: [TestSite],
        _ run: (Program.Strike?) throws -> Program.Result
    ) throws {
        try kill(kills, of: what, keepingSound: sites) { strike in
            let ended = try run(strike)
            return (ended, ended.isKilled)
        }
    }

    /// - Parameters:
    ///   - sites: looked through after each undisturbed run.
    ///   - run: says how it ended and whether anything was killed.
    mutating func kill(
        _ kills: Int,
        of what: String,
        keepingSound sites: [TestSite],
        _ run: (Program.Strike?) throws -> (Program.Result, isHit: Bool)
    ) throws {
        var (hits, life) = (0, Duration.zero)
        // At best one in eleven runs is undisturbed; of the others at least half must be hit.
        while hits < kills, runs < 2 * kills + kills / 5 + 1 {
            defer { runs += 1 }
            if runs % (Self.killsBetweenMeasures + 1) == 0 {
                let ended = try run(nil).0
                life = ended.duration
                #expect(ended.status == 0, "\(what): \(ended.errors)")
                for site in sites { #expect(try site.isSound()) }
            } else {
                let fraction = Double(generator.below(1000)) / 1000
                if try run(.kill(after: fraction * (life / .seconds(1)))).isHit { hits += 1 }
            }
        }
        for site in sites { #expect(try site.isSound()) }
        print("\(what): \(hits) of \(runs) runs were killed")
        #expect(hits == kills, "too few runs were slow enough")
    }
}
