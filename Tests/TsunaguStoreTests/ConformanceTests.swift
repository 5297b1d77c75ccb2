// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// `Tests/Conformance`, a reader written in another language from the texts of the protocol, says the same as this one.
@Suite(
    .enabled(
        if: Checker.isInstalled,
        "skipped: Debian's python3 with python3-cryptography and python3-zstandard is missing; Tests/run.sh installs it"
    )
)
struct ConformanceTests {
    private static let vectors =
        VectorScenario.all.map { "accepted/\($0.name).json" } + ["refused/two-sites.json", "bundles/one-receiver.json"]

    @Test func `The other reader agrees with every vector`() throws {
        let found = try Checker.run(Self.vectors.map { VectorTests.folder.appending(path: $0) })
        #expect(found.status == 0, "\(found.output)")
        for name in Self.vectors { #expect(found.output.contains(name)) }
    }

    @Test(arguments: 100..<110 as Range<UInt64>)
    func `It agrees with each site of a random ward, on the way and at the end`(seed: UInt64) throws {
        let ward = try SimulatedWard(sites: 3 + Int(seed % 2), seed: seed, withOutsider: seed % 2 == 0)
        let scratch = try Scratch()
        var files: [URL] = []
        func dump(_ moment: String) throws {
            for site in ward.sites {
                let runs = try [.system, TestSchema.space].flatMap { try site.runs($0) }
                let vector = try Vector(
                    "\(site.name) of seed \(seed), \(moment)",
                    rootSigningKey: Hex.encode(ward.sites[0].publicKey),
                    schema: TestSchema.v1,
                    runs: runs
                )
                // The file says what a new reader makes of the site's runs; the site itself says the same, but where
                // only its author takes a change for granted.
                for space in Set(runs.map(\.space)) {
                    let own = site.replica.description
                    if vector.spaces[space.name]!.exceptions.contains(where: { $0.replica == own }) { continue }
                    let stated = try site.store.read { try Vector.Space(of: space, $0) }
                    #expect(try vector.spaces[space.name].vectorJSON == stated.vectorJSON, "\(site.name), \(moment)")
                }
                files.append(scratch.url.appending(path: "\(seed)-\(site.name)-\(moment).json"))
                try vector.vectorJSON.write(to: files.last!)
            }
        }
        for _ in 0..<50 { try ward.step() }
        try dump("on-the-way")
        try ward.settle()
        try dump("settled")
        let found = try Checker.run(files)
        #expect(found.status == 0, "\(found.output)")
    }

    @Test(arguments: Seeds.chosen(0..<6))
    func `It agrees on what copies of a machine wrote`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let scratch = try Scratch()
        var sites = try makeWard(["root", "one", "two"], in: scratch, seed: 700 + seed)
        let note = TestSchema.note
        let id = try sites[1].write { try $0.create(note, [(1, .text("first"))]) }
        var ids = [id]
        for step in 0..<60 {
            let site = generator.pick(sites)
            site.machine.now += UInt64(generator.below(3000))
            let known = try ids.filter { try site.record($0) != nil }
            switch generator.below(8) {
            case 0 where sites.count < 6:
                sites.append(try site.copied(as: "copy\(step)", in: scratch, seed: generator.next()))
            case 0..<4 where !known.isEmpty && generator.chance(80):
                let id = generator.pick(known)
                let status = try site.record(id)?.text("status") ?? ""
                let isOpen = try site.conflicts().isEmpty && ["", "open", "closed"].contains(status)
                try site.write { draft in
                    try draft.set(note, id, [(1, .text("\(step)"))])
                    try draft.edit(note, id, group: TestSchema.tags, add: [[65 + UInt8(step % 8)]])
                    if isOpen {
                        try draft.step(
                            note,
                            id,
                            group: TestSchema.status,
                            to: status == "open" ? "closed" : "open",
                            reason: ""
                        )
                    }
                }
            case 0..<4: ids.append(try site.write { try $0.create(note, [(1, .text("made \(step)"))]) })
            case 4: try site.seal()
            default:
                for run in try generator.pick(sites).runs(TestSchema.space) where generator.chance(80) {
                    try site.take([run])
                }
            }
        }
        for _ in 0..<4 { for site in sites { for peer in sites { try site.take(peer.runs(TestSchema.space)) } } }
        let files = try sites.enumerated().map { place, site in
            let vector = try Vector(
                "\(site.name) of seed \(seed)",
                rootSigningKey: Hex.encode(sites[0].publicKey),
                schema: TestSchema.v1,
                runs: try [.system, TestSchema.space].flatMap { try sites[$0 == .system ? 0 : place].runs($0) }
            )
            let stated = try site.store.read { try Vector.Space(of: TestSchema.space, $0) }
            #expect(
                try vector.spaces[TestSchema.space.name].vectorJSON == stated.vectorJSON,
                "\(site.name): \(vector.runs.filter { $0.receipt != "applied" }.map { "\($0.replica.suffix(6)) \($0.first) \($0.count) \($0.receipt)" })"
            )
            let file = scratch.url.appending(path: "\(seed)-\(site.name).json")
            try vector.vectorJSON.write(to: file)
            return file
        }
        let found = try Checker.run(files)
        #expect(found.status == 0, "\(found.output)")
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `It agrees on what counts where admins revoke, grant and adopt at random`(seed: UInt64) throws {
        let scratch = try Scratch()
        let names = ["root", "one", "two", "three", "clerk"]
        var sites = try makeWard(names, in: scratch, seed: 300 + seed, schema: TestSchema.strict)
        let tampered = try TestSite("tampered", in: scratch, root: sites[0], seed: 900 + seed)
        try sites[0].admit(tampered)
        sites.append(tampered)
        for site in sites.dropFirst() { try site.pull(from: sites[0]) }
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let (site, other) = (generator.pick(sites), generator.pick(sites))
            let (isOver, isAdmin) = try site.store.read { transaction in
                let access = try transaction.currentAccess()
                return (
                    try access?.isRevoked(site.device) == true || transaction.isOwnWorkWithheld(),
                    access?.isAdmin(site.device) == true
                )
            }
            switch generator.below(8) {
            case 0 where !isOver:
                let field =
                    site === tampered && generator.chance(30) ? TestSchema.Number.phone : TestSchema.Number.title
                try site.write { try $0.create(TestSchema.note, [(field, .text("\(generator.below(9))"))]) }
            case 1 where isAdmin && !isOver && generator.chance(60):
                try site.grant(other, role: generator.chance(70) ? .admin : .branch)
            case 2 where isAdmin && !isOver && site !== other && generator.chance(50):
                func upTo(_ space: SpaceID) throws -> UInt64 {
                    UInt64(generator.below(Int(try site.vector(space)[other.replica] ?? 0) + 1))
                }
                try site.revoke(other, after: [other.replica: upTo(TestSchema.space)], system: upTo(.system))
            case 3 where isAdmin && !isOver:
                guard let seq = try site.vector(TestSchema.space)[other.replica] else { continue }
                try site.adopt([other.replica: 1 + UInt64(generator.below(Int(seq)))])
            default: if site !== other { try site.pull(from: other) }
            }
        }
        let files = try sites.map { site in
            let vector = try Vector(
                "\(site.name) of seed \(seed)",
                rootSigningKey: Hex.encode(sites[0].publicKey),
                schema: TestSchema.strict,
                runs: try [.system, TestSchema.space].flatMap { try site.runs($0) }
            )
            let file = scratch.url.appending(path: "\(seed)-\(site.name).json")
            try vector.vectorJSON.write(to: file)
            return file
        }
        let found = try Checker.run(files)
        #expect(found.status == 0, "\(found.output)")
    }

    @Test(arguments: VectorScenario.all.map(\.name))
    func `One bit of a run, one of a digest and a conflict less are noticed, and the file is named`(
        name: String
    ) throws {
        let url = VectorTests.folder.appending(path: "accepted/\(name).json")
        let vector = try JSONDecoder().decode(Vector.self, from: Data(contentsOf: url))
        func flipped(_ hex: String, at place: Int) -> String {
            var bytes = Hex.decode(hex)!
            bytes[place] ^= 1
            return Hex.encode(bytes)
        }
        let space = vector.spaces.keys.min()!
        let errors: [(String, (inout Vector) -> Void)] = [
            ("run", { $0.runs[0].body = flipped($0.runs[0].body, at: Hex.decode($0.runs[0].body)!.count / 2) }),
            ("seal", { $0.runs[0].seal = flipped($0.runs[0].seal, at: 10) }),
            ("hash", { $0.runs[0].headerHash = flipped($0.runs[0].headerHash!, at: 31) }),
            ("digest", { $0.spaces[space]!.digest = flipped($0.spaces[space]!.digest, at: 15) }),
            ("conflict", { $0.spaces[space]!.conflicts.append("aaaaaaaaaaaa") }),
            ("record", { $0.spaces[space]!.records.removeLast() }),
        ]
        let scratch = try Scratch()
        let files = try errors.map { what, plant in
            var spoilt = vector
            plant(&spoilt)
            let file = scratch.url.appending(path: "planted-\(what).json")
            try spoilt.vectorJSON.write(to: file)
            return file
        }
        let found = try Checker.run(files)
        #expect(found.status == 1)
        for file in files {
            // What differs, and how much of all.
            let lines = found.output.split(separator: "\n").filter { $0.contains("\(file.lastPathComponent): ") }
            #expect(lines.count >= 2, "\(file.lastPathComponent) is not named: \(found.output)")
        }
    }

    @Test func `It refuses spoilt runs for the same reason`() throws {
        let url = VectorTests.folder.appending(path: "accepted/two-sites.json")
        let accepted = try JSONDecoder().decode(Vector.self, from: Data(contentsOf: url))
        let system = accepted.runs.prefix { $0.space == "system" }.count
        let good = try accepted.runs[system].envelope
        let stored = try Bodies.stored(good.body)
        var generator = SeededGenerator(seed: 21)
        let reader = try VectorReader(rootSigningKey: accepted.rootSigningKey, schema: TestSchema.v1)
        for run in accepted.runs.prefix(system) { _ = try reader.receive(run.envelope) }
        var cases: [RefusalVector.Case] = []
        for number in 0..<600 {
            var run = good
            run.body = Bodies.mutated(number % 6 == 0 ? good.body : stored, &generator)
            // A mutation that only respells the same changes is the author's word still.
            if run.body == stored || run.body == good.body { continue }
            cases.append(
                RefusalVector.Case(
                    because: "spoilt \(number)",
                    after: system,
                    runs: [Vector.Run(run, receipt: try reader.receive(run))]
                )
            )
        }
        #expect(Set(cases.map(\.runs[0].receipt)) == ["malformed", "bad_seal"])
        let scratch = try Scratch()
        let file = scratch.url.appending(path: "spoilt.json")
        try RefusalVector(description: "spoilt runs", accepted: url.path, cases: cases).vectorJSON.write(to: file)
        let found = try Checker.run([file])
        #expect(found.status == 0, "\(found.output)")
    }

    @Test func `A reason that is not the one of a refusal is noticed, and the file is named`() throws {
        let url = VectorTests.folder.appending(path: "refused/two-sites.json")
        var vector = try JSONDecoder().decode(RefusalVector.self, from: Data(contentsOf: url))
        vector.accepted = VectorTests.folder.appending(path: "accepted/two-sites.json").path
        vector.cases[0].runs[0].receipt = "applied"
        let scratch = try Scratch()
        let file = scratch.url.appending(path: "planted-reason.json")
        try vector.vectorJSON.write(to: file)
        let found = try Checker.run([file])
        #expect(found.status == 1)
        #expect(found.output.contains("planted-reason.json: \(vector.cases[0].because)"))
    }
}

/// The program in `Tests/Conformance`.
private enum Checker {
    private static let python = "/usr/bin/python3"
    private static let program = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Conformance/check.py")

    static let isInstalled = (try? launch(["-c", "import cryptography, zstandard"]))?.status == 0

    static func run(_ files: [URL]) throws -> (status: Int32, output: String) {
        try launch(["-B", program.path] + files.map(\.path))
    }

    private static func launch(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: output, as: UTF8.self))
    }
}
