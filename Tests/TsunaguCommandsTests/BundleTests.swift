// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Bundles")
struct BundleTests {
    private let residents = SpaceID("residents")!
    private let resident = WardSchema.resident
    private let ward: WardFixture

    init() throws { ward = try WardFixture() }

    private func path(_ name: String) -> String { ward.root + "/" + name }

    private func add(_ site: Site, _ family: String) throws {
        _ = try site.write { transaction in
            try transaction.draft(residents, by: site.person).create(resident, [(1, .text(family)), (2, .text("花"))])
        }
    }

    /// Two branches that know of each other.
    private func pair() throws -> (Site, Site) {
        let sites = (try ward.join("site-a"), try ward.join("site-b"))
        try ward.sync(sites.0)
        return sites
    }

    private func families(_ site: Site) throws -> Set<String> {
        try site.read { Set(try $0.records(resident).compactMap { $0.values["family_name"]?.text?.string }) }
    }

    private func changes(_ export: BundleExport) -> Int { export.spaces.reduce(0) { $0 + $1.changes } }

    @Test func `Two sites that never meet hold the same after a bundle each way`() throws {
        let (a, b) = try pair()
        try add(a, "佐藤")
        try add(b, "鈴木")
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        let first = try b.importBundle(path("1"))
        #expect(first.applied > 0 && first.refused.isEmpty && first.held == 0)
        #expect(try families(b) == ["佐藤", "鈴木"])
        // B knows now what A holds, and brings what it lacks alone.
        let back = try b.exportBundle(to: path("2"), for: "site-a")
        #expect(back.spaces.map(\.id) == [residents])
        #expect(changes(back) == 1)
        #expect(try a.importBundle(path("2")).applied == 1)
        #expect(try ward.digests(a) == ward.digests(b))
        // Nothing is left to say, but that: then A knows it too.
        let last = try a.exportBundle(to: path("3"), for: "site-b")
        #expect(changes(last) == 0)
        #expect(try b.importBundle(path("3")).applied == 0)
    }

    @Test func `What a site lacks is told by what it said, and never counts its own`() throws {
        let (a, b) = try pair()
        func lacks() throws -> Int? {
            let device = try a.sites().flatMap(\.devices).first { $0.id == b.keys.device }
            return device?.lacking?.first { $0.space == residents }?.changes ?? 0
        }
        try add(a, "一")
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        _ = try b.importBundle(path("1"))
        // Written before and after what B says that it has.
        try add(a, "二")
        for name in ["三", "四"] { try add(b, name) }
        _ = try b.exportBundle(to: path("2"), for: "site-a")
        _ = try a.importBundle(path("2"))
        #expect(try lacks() == 1)
        try add(a, "五")
        #expect(try lacks() == 2)
        _ = try a.exportBundle(to: path("3"), for: "site-b")
        _ = try b.importBundle(path("3"))
        _ = try b.exportBundle(to: path("4"), for: "site-a")
        _ = try a.importBundle(path("4"))
        #expect(try lacks() == 0)
    }

    /// What the database's files hold.
    private func bytes(_ site: Site) throws -> [Data?] {
        ["", "-wal"].map { FileManager.default.contents(atPath: site.directory.database + $0) }
    }

    private func refusal<R>(_ body: () throws -> R) throws -> CommandError.Code? {
        do {
            _ = try body()
            return nil
        } catch let error as CommandError {
            return error.code
        }
    }

    @Test func `A site that never sees the hub joins by file, once`() throws {
        try add(ward.centre, "佐藤")
        let code = try ward.centre.invite(role: .branch, name: "site-a", spaces: [], milliseconds: 60_000, hub: nil)
            .code
        func ask(_ name: String) throws {
            try Site.requestToJoin(
                DataDirectory(path(name)),
                person: WardFixture.clerk,
                code: code,
                deviceName: name,
                to: path(name + ".request")
            )
        }
        func join(_ name: String, _ answer: String) throws -> Site {
            try Site.join(DataDirectory(path(name)), person: WardFixture.clerk, answer: path(answer)).site
        }
        try ask("a")
        try ask("thief")
        #expect(try refusal { try ward.centre.accept(path("nothing"), answer: path("0")) } == .notFound)
        _ = try ward.centre.accept(path("a.request"), answer: path("1"))
        // The code is used; who used it may ask again, with the same request.
        #expect(try refusal { try ward.centre.accept(path("thief.request"), answer: path("2")) } == .notPermitted)
        #expect(!FileManager.default.fileExists(atPath: path("2")))
        let request = FileManager.default.contents(atPath: path("a.request"))
        try ask("a")
        #expect(FileManager.default.contents(atPath: path("a.request")) == request)
        _ = try ward.centre.accept(path("a.request"), answer: path("3"))
        // An answer is for who asked, and whole.
        #expect(try refusal { try join("thief", "1") } == .notPermitted)
        let whole = try #require(FileManager.default.contents(atPath: path("1")))
        for count in [0, 50, 132, 200, whole.count - 1] {
            try whole.prefix(count).write(to: URL(filePath: path("cut")))
            #expect(try refusal { try join("a", "cut") } == .badInput)
        }
        let a = try join("a", "1")
        #expect(try families(a) == ["佐藤"])
        #expect(try ward.digests(a) == ward.digests(ward.centre))
        #expect(try ward.digests(join("a", "3")) == ward.digests(a))
        try add(a, "鈴木")
        _ = try a.exportBundle(to: path("4"), for: "千代田区")
        #expect(try ward.centre.importBundle(path("4")).applied == 1)
    }

    @Test func `A bundle taken in twice changes nothing the second time`() throws {
        let (a, b) = try pair()
        for index in 0..<20 { try add(a, "家\(index)") }
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        let first = try b.importBundle(path("1"))
        let digests = try ward.digests(b)
        let second = try b.importBundle(path("1"))
        #expect(second.applied == 0 && second.refused.isEmpty && second.held == 0)
        #expect(second.duplicates == first.applied + first.duplicates)
        #expect(try ward.digests(b) == digests)
    }

    @Test func `What was written but never answered is written again, and counts as unsent until it is`() throws {
        let (a, b) = try pair()
        try add(a, "佐藤")
        func unsent() throws -> Int? { try a.status().spaces.first { $0.id == residents }?.unsent }
        let first = try a.exportBundle(to: path("1"), for: "site-b")
        let second = try a.exportBundle(to: path("2"), for: "site-b")
        #expect(changes(first) == changes(second))
        #expect(try unsent() == 1)
        _ = try b.importBundle(path("2"))
        #expect(try unsent() == 1)
        _ = try b.exportBundle(to: path("3"), for: "site-a")
        _ = try a.importBundle(path("3"))
        #expect(try unsent() == 0)
        #expect(changes(try a.exportBundle(to: path("4"), for: "site-b")) == 0)
    }

    @Test func `A bundle that is older than the last word takes nothing back`() throws {
        let (a, b) = try pair()
        _ = try b.exportBundle(to: path("old"), for: "site-a")
        try add(a, "佐藤")
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        _ = try b.importBundle(path("1"))
        _ = try b.exportBundle(to: path("2"), for: "site-a")
        _ = try a.importBundle(path("2"))
        _ = try a.importBundle(path("old"))
        #expect(changes(try a.exportBundle(to: path("3"), for: "site-b")) == 0)
        #expect(try !a.status().notices.contains { $0.code == "peer_lost_changes" })
    }

    @Test func `A site that its receiver never heard of shows itself with the ward's own word`() throws {
        let b = try ward.join("site-b")
        let c = try ward.join("site-c")
        try add(c, "高橋")
        _ = try c.exportBundle(to: path("1"), for: "site-b")
        #expect(try !b.inspectBundle(path("1")).isMember)
        #expect(try b.importBundle(path("1")).refused.isEmpty)
        #expect(try families(b) == ["高橋"])
        #expect(try b.inspectBundle(path("1")).isMember)
    }

    @Test func `A sender whose rights ended is refused and leaves nothing`() throws {
        let b = try ward.join("site-b")
        let c = try ward.join("site-c")
        try add(c, "高橋")
        _ = try c.exportBundle(to: path("1"), for: "site-b")
        _ = try ward.centre.revoke("site-c", mode: .lost, reason: "紛失")
        try ward.sync(b)
        let before = try bytes(b)
        #expect(try refusal { try b.importBundle(path("1")) } == .notPermitted)
        #expect(try bytes(b) == before)
        #expect(try refusal { try ward.centre.exportBundle(to: path("2"), for: "site-c") } == .notPermitted)
    }

    @Test func `A bundle for another device, or of another ward, is refused and says nothing`() throws {
        let (a, b) = try pair()
        let c = try ward.join("site-c")
        try add(a, "佐藤")
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        let other = try WardFixture().join("site-b")
        for site in [a, c, ward.centre, other] {
            let before = try bytes(site)
            #expect(try refusal { try site.importBundle(path("1")) } == .notPermitted)
            #expect(try refusal { try site.inspectBundle(path("1")) } == .notPermitted)
            #expect(try bytes(site) == before)
        }
        #expect(try refusal { try a.exportBundle(to: path("2"), for: "nobody") } == .notFound)
        #expect(try refusal { try a.exportBundle(to: path("2"), for: "site-a") } == .notPermitted)
        let sealed = try #require(FileManager.default.contents(atPath: path("1")))
        for clear in ["佐藤", "residents", "system"] { #expect(sealed.range(of: Data(clear.utf8)) == nil) }
        #expect(sealed.range(of: Data(a.keys.signingPublic)) == nil)
        #expect(sealed.range(of: Data(a.keys.device.bytes)) == nil)
        #expect(try b.inspectBundle(path("1")).spaces.contains { $0.id == residents && $0.new == 1 })
    }

    @Test func `A member that lies is refused run by run, and what is true is taken`() throws {
        let a = try ward.join("site-a")
        let kudan = SpaceID("lessons/kudan")!
        try ward.centre.write { try $0.found(kudan, by: ward.centre.person) }
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        try ward.sync(a)
        try add(a, "佐藤")
        try a.seal()
        func runs(_ space: SpaceID) throws -> [RunEnvelope] {
            try a.read { transaction in
                try transaction.runs(of: space, lacking: [:]).compactMap { try transaction.run($0) }
            }
        }
        var forged = try #require(try runs(kudan).last)
        forged.signature[0] ^= 1
        var writer = try BundleWriter(
            ward: ward.recoveryKey.device,
            recipients: [(venue.keys.device, venue.keys.receivingPublic)]
        )
        var bytes = writer.header
        let head = BundlePiece.Head(
            senderKey: a.keys.signingPublic,
            bundle: Bytes16(1),
            part: 1,
            parts: 1,
            writtenAt: 1
        )
        // It claims to hold what nobody wrote, in a space that the venue has, and in one that it may not.
        let invented = VectorEntry(
            replica: ReplicaID(device: venue.keys.device, incarnation: 7),
            seq: 1000,
            hash: [UInt8](repeating: 1, count: 32)
        )
        let pieces: [BundlePiece] = [
            .head(head), .vector(kudan, [invented]), .vector(residents, [invented]), .runs(try runs(.system)),
            .runs([forged] + (try runs(residents)) + (try runs(kudan))),
        ]
        for piece in pieces { bytes += try writer.append(piece) }
        bytes += try writer.end(sign: a.keys.sign)
        try Data(bytes).write(to: URL(filePath: path("1")))
        let report = try venue.importBundle(path("1"))
        let foreign = try runs(residents).count
        #expect(report.refused.count == 1 + foreign)
        #expect(report.refused.allSatisfy { $0.reason == ($0.space == residents ? "not_granted" : "bad_seal") })
        #expect(try Set(venue.read { try $0.spaces() }).isSubset(of: [kudan, .system]))
        #expect(try ward.sync(venue).failure == nil)
        #expect(try ward.digests(venue)[kudan] == ward.digests(ward.centre)[kudan])
    }

    @Test func `A venue is given its own space and nothing of any other`() throws {
        let a = try ward.join("site-a")
        let kudan = SpaceID("lessons/kudan")!
        try ward.centre.write { try $0.found(kudan, by: ward.centre.person) }
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        try ward.sync(a)
        try add(a, "佐藤")
        let written = try a.exportBundle(to: path("1"), for: "venue")
        #expect(Set(written.spaces.map(\.id)).isSubset(of: [kudan, .system]))
        #expect(try venue.importBundle(path("1")).refused.isEmpty)
        #expect(try Set(venue.read { try $0.spaces() }) == [kudan, .system])
        // And back: what the venue says of itself is of those spaces alone.
        _ = try venue.exportBundle(to: path("2"), for: "site-a")
        #expect(try a.importBundle(path("2")).refused.isEmpty)
    }

    /// Sealed runs whose content no compression makes smaller.
    private func fill(_ site: Site, runs: Int, bytes: Int = 4000) throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<runs {
            let noise = (0..<bytes / 8).map { _ in
                String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
            }
            try add(site, noise.joined())
            try site.seal()
        }
    }

    @Test(arguments: [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3]])
    func `Parts are taken in any order`(order: [Int]) throws {
        let (a, b) = try pair()
        try fill(a, runs: 50)
        let written = try a.exportBundle(to: path("1"), for: "site-b", bytesMax: 64 << 10)
        try #require(written.files.count == 4)
        for file in written.files {
            #expect(file.bytes <= 64 << 10)
            #expect(FileManager.default.contents(atPath: file.path)?.count == file.bytes)
        }
        var held = 0
        for part in order {
            let report = try b.importBundle(written.files[part - 1].path)
            #expect(report.view.part == part && report.view.parts == 4 && report.view.id == written.id)
            #expect(report.refused.isEmpty)
            held = report.held
        }
        #expect(held == 0)
        #expect(try ward.digests(a) == ward.digests(b))
    }

    @Test func `A part that does not fit before its turn says which come first, and loses nothing`() throws {
        let (a, b) = try pair()
        try fill(a, runs: 150, bytes: 1500)
        let written = try a.exportBundle(to: path("1"), for: "site-b", bytesMax: 120 << 10)
        try #require(written.files.count == 3)
        // 64 runs are held at most.
        #expect(try b.importBundle(written.files[2].path).held > 0)
        #expect(try refusal { try b.importBundle(written.files[1].path) } == .tryAgain)
        for file in written.files { #expect(try b.importBundle(file.path).refused.isEmpty) }
        #expect(try ward.digests(a) == ward.digests(b))
    }

    @Test func `A run that is larger than a file may be is told before anything is written`() throws {
        let (a, _) = try pair()
        try fill(a, runs: 1, bytes: 70_000)
        #expect(try refusal { try a.exportBundle(to: path("1"), for: "site-b", bytesMax: 64 << 10) } == .badInput)
        #expect(!FileManager.default.fileExists(atPath: path("1")))
    }

    @Test func `What is no plain file is neither read nor replaced`() throws {
        let (a, _) = try pair()
        try FileManager.default.createDirectory(atPath: path("folder"), withIntermediateDirectories: false)
        #expect(try refusal { try a.exportBundle(to: path("folder"), for: "site-b") } == .usage)
        #expect(try refusal { try a.importBundle(path("folder")) } == .usage)
        #expect(try refusal { try a.importBundle(path("nothing")) } == .notFound)
    }

    @Test func `Cut off anywhere or altered, it is refused and leaves nothing`() throws {
        let (a, b) = try pair()
        for family in ["佐藤", "鈴木", "高橋"] {
            try add(a, family)
            try a.seal()
        }
        try ward.sync(b)
        _ = try a.exportBundle(to: path("1"), for: "site-b")
        let whole = try [UInt8](#require(FileManager.default.contents(atPath: path("1"))))
        let before = try bytes(b)
        func expectRefused(_ bytes: [UInt8], _ what: String) throws {
            try Data(bytes).write(to: URL(filePath: path("bad")))
            let code = try refusal { try b.importBundle(path("bad")) }
            #expect(code == .badInput || code == .notPermitted, "\(what): \(String(describing: code))")
        }
        for count in whole.indices { try expectRefused(Array(whole[..<count]), "cut at \(count)") }
        try expectRefused(whole + [0], "a byte more")
        try expectRefused(whole + whole, "twice")
        var generator = SeededGenerator(seed: 20_261_125)
        for round in 0..<2000 {
            var bytes = whole
            let place = Int.random(in: bytes.indices, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes.insert(UInt8.random(in: .min ... .max, using: &generator), at: place)
            case 2: bytes.remove(at: place)
            default:
                let other = Int.random(in: bytes.indices, using: &generator)
                bytes.swapAt(place, other)
            }
            guard bytes != whole else { continue }
            try expectRefused(bytes, "round \(round) at \(place)")
        }
        #expect(try self.bytes(b) == before)
        #expect(try b.importBundle(path("1")).applied == 3)
    }
}
