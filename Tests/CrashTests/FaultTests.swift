// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

import struct TestSupport.SeededGenerator

/// What the two programs do where the disk or the line gives them only a part.
@Suite("Parts of files and of transfers", .serialized)
final class FaultTests {
    /// What is asked for at once, and so at most twice.
    private static let frameBytesMax = 256 << 10

    private let centre: TestSite

    init() throws { centre = try .ward() }

    private func residents(_ count: Int) throws -> String {
        try centre.json("sample", "--residents", "\(count)", "--seed", "3", centre.file("sample"))
        return try centre.file("sample/residents.csv")
    }

    @Test func `A disk that takes no more is told as such, and what was there stays`() throws {
        let file = try residents(500)
        try centre.start()
        let branch = try centre.invite("出張所", role: "branch")
        let limits = Array(stride(from: 0, to: 64, by: 8)) + Array(stride(from: 64, to: 1024, by: 96))
        var refused = 0
        for (site, words) in [(centre, ["import", "residents", file]), (branch, ["sync"])] {
            var isDone = false
            for limit in limits where !isDone {
                let ended = try site.run(words + ["--json"], fileKilobytesMax: limit)
                isDone = ended.status == 0
                if !isDone {
                    refused += 1
                    #expect(ended.status == 1 && ended.error["code"] as? String == "failed", "\(limit): \(ended)")
                }
                #expect(try site.records(in: "residents") == (isDone ? 500 : 0), "\(words) \(limit)")
            }
            if !isDone { #expect(try site.run(words).status == 0) }
            #expect(try site.isSound())
        }
        #expect(refused > 4)
        #expect(try branch.digests() == centre.digests())
    }

    @Test func `A hub whose disk takes no more acknowledges nothing that it does not hold`() throws {
        try centre.start()
        let branch = try centre.invite("出張所", role: "branch")
        try branch.json("import", "residents", residents(500))
        var (served, isDone) = (0, false)
        for limit in stride(from: 32, to: 1024, by: 64) where !isDone {
            centre.stop()
            // With too little it does not even begin.
            guard (try? centre.start(fileKilobytesMax: limit)) != nil else { continue }
            served += 1
            let ended = try branch.run("sync", "--json")
            isDone = ended.status == 0
            #expect(ended.object["up_to_date"] as? Bool == isDone)
            #expect(try centre.records(in: "residents") == (isDone ? 500 : 0), "\(limit)")
        }
        #expect(served > 1 && isDone)
        #expect(try branch.digests() == centre.digests())
        #expect(try centre.isSound())
    }

    @Test func `A first sync that is cut says so and goes on where it was`() throws {
        try centre.json("import", "residents", residents(13_000))
        try centre.start()
        let proxy = try HostileProxy(to: centre, seed: 6)
        defer { proxy.end() }
        func join(_ site: TestSite, _ code: String, cutAfter bytes: Int?) throws -> (Program.Result, bytes: Int) {
            proxy.befall { _ in bytes.map { .cut(.down, after: $0) } ?? .none }
            let before = proxy.withState { $0.bytes[.down]! }
            let result = try site.run("join", code, "--json")
            return (result, proxy.withState { $0.bytes[.down]! } - before)
        }
        func code(_ name: String) throws -> String { try centre.invitation(name, role: "branch", at: proxy.url) }
        let whole = try join(TestSite("全部", beside: centre), code("全部"), cutAfter: nil)
        #expect(whole.0.status == 0)
        #expect(whole.bytes > 2 * Self.frameBytesMax)
        for part in 1..<6 {
            let name = "出張所\(part)"
            let (site, code) = (try TestSite(name, beside: centre), try code(name))
            let first = try join(site, code, cutAfter: whole.bytes * part / 6)
            #expect(first.0.status != 0 && first.0.object["up_to_date"] as? Bool != true)
            let spaces = try site.run("status", "--json").object["spaces"] as? [[String: Any]] ?? []
            #expect(spaces.allSatisfy { $0["name"] as? String != "residents" || $0["proved_at"] is NSNull })
            let second = try join(site, code, cutAfter: nil)
            #expect(second.0.status == 0, "\(second.0.errors)")
            #expect(try site.digests() == centre.digests())
            #expect(second.bytes < whole.bytes - first.bytes + Self.frameBytesMax + 16_384, "cut after \(first.bytes)")
        }
    }

    @Test(arguments: ["ward.sqlite", "device.key"])
    func `A file that cannot be read is never taken for an empty one`(file: String) throws {
        try centre.json("import", "residents", residents(50))
        let url = centre.directory.appending(path: file)
        let sound = [UInt8](try Data(contentsOf: url))
        var generator = SeededGenerator(seed: 7)
        let cut = (0..<4).map { _ in Array(sound.prefix(generator.below(sound.count))) }
        for bytes in [[], [UInt8](repeating: 0, count: sound.count)] + cut {
            try Data(bytes).write(to: url)
            try refusesToWork(over: "\(file) of \(bytes.count) bytes")
            #expect(try [UInt8](Data(contentsOf: url)) == bytes, "left as it was")
        }
        try FileManager.default.removeItem(at: url)
        try refusesToWork(over: "\(file) missing")
        #expect(!FileManager.default.fileExists(atPath: url.path))
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        try refusesToWork(over: "\(file) a directory")
        try FileManager.default.removeItem(at: url)
        try Data(sound).write(to: url)
        #expect(try centre.records(in: "residents") == 50)
        #expect(try centre.run("doctor", "--repair").status == 0)
    }

    private func refusesToWork(over what: String) throws {
        for words in [["status"], ["resident", "add", "family_name=佐藤"], ["sync"], ["digest"]] {
            let ended = try centre.run(words + ["--json"])
            #expect([1, 66].contains(ended.status) && ended.output.isEmpty, "\(what): \(words) \(ended)")
            #expect(ended.error["message"] is String, "\(what): \(words) \(ended)")
        }
        #expect(throws: Program.Failure.self, "\(what)") { try centre.start() }
    }
}
