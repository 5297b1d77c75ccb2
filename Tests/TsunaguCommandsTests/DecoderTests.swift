// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Everything else that comes from outside, cut off at every byte and spoilt by seed, behind its seals where it has some:
/// each end answers with an error that has a name, keeps what it had, and takes the next good input.
@Suite("Decoders of commands and carriers")
struct DecoderTests {
    private func variants(_ bytes: [UInt8], _ count: Int, _ generator: inout SeededGenerator) -> [[UInt8]] {
        bytes.indices.map { Array(bytes.prefix($0)) } + (0..<count).map { _ in Bodies.spoilt(bytes, &generator) }
    }

    private static let residents = SpaceID("residents")!
    private static let replicas = (0..<3 as Range<UInt64>).map {
        ReplicaID(device: DeviceID(signingKey: [UInt8($0)]), incarnation: $0)
    }.sorted()
    private static let run = RunEnvelope(
        space: residents,
        replica: replicas[0],
        first: 300,
        count: 2,
        signature: [UInt8](repeating: 7, count: 64),
        body: Array(0..<40)
    )
    private static let vector = replicas.map {
        VectorEntry(replica: $0, seq: 200, hash: Hash32(repeating: 9, count: 32))
    }
    private static let part = StagedRun(space: residents, replica: replicas[1], first: 2, hash: Bytes16(3), offset: 500)
    private static let summary = SpaceSummary(
        space: residents,
        vectorHash: Bytes16(1),
        exceptionsHash: Bytes16(2),
        digest: Bytes16(3)
    )

    // MARK: - Messages

    private static let requests: [SyncRequest] = [
        .compare([summary]), .push(SyncFrame(items: [.run(run), .run(run)])),
        .push(SyncFrame(items: [.part(part, total: 900, bytes: [1, 2, 3])])),
        .pull(
            .init(wants: [residents: [replicas[0]: 7, replicas[1]: 1 << 40]], staged: [part], frameBytesMax: 1 << 18)
        ),
        .sums(SumsRequest(summary: summary, ranges: (0..<16).map { RecordPrefix.all.child($0) })),
        .run(residents, replicas[0], first: 9), .leave,
    ]

    private static let replies: [SyncReply] = [
        .compared([(residents, .differs(vector)), (.system, .equal(exceptions: true, digest: true))]),
        .receipts([
            .applied(3), .held(waitsFor: "x 1"), .refused(.gap(expected: 4)), .refused(.malformed("x")), .partial,
        ]),
        .sums([
            .parts((0..<16).map { Bytes16(UInt128($0)) }), .records([.init(id: RecordID(Bytes16(7)), sum: Bytes16(8))]),
        ]),
        .run(run), .failed("x"), .unknownClient, .newBeginning,
        .revoked(
            Farewell(
                mode: .lost,
                holds: Revocation.Cut([residents: [replicas[0]: 3], .system: [replicas[1]: 4]]),
                signature: [UInt8](repeating: 1, count: 64)
            )
        ),
    ]

    @Test func `Messages and frames are refused, or read and said again the same`() throws {
        var generator = SeededGenerator(seed: 1)
        var read = 0
        for request in Self.requests {
            for bytes in variants(request.encoded, 2500, &generator) {
                let found = try? bytes.withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory) }
                guard let found else { continue }
                let again = try found.encoded.withMemory { memory throws(CodecError) in
                    try SyncRequest(decoding: memory)
                }
                #expect(again == found)
                read += 1
            }
        }
        for reply in Self.replies {
            for bytes in variants(reply.encoded, 2500, &generator) {
                let found = try? bytes.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
                guard let found else { continue }
                let again = try found.encoded.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory)
                }
                #expect(again == found)
                read += 1
            }
        }
        for bytes in variants(Self.run.encoded, 3000, &generator) {
            let found = try? bytes.withMemory { memory throws(CodecError) in try RunEnvelope(decoding: memory) }
            guard let found else { continue }
            #expect(found.encoded == bytes)
            read += 1
        }
        #expect(read > 3000, "\(read)")
    }

    @Test func `Whatever a member asks, its hub answers, and is what it was`() throws {
        let ward = try WardFixture()
        let member = try ward.join("member")
        _ = try ward.centre.addResident(["family_name=佐藤"])
        try ward.sync(member)
        let system = try ward.centre.read { transaction in
            try transaction.runs(of: .system, lacking: [:]).compactMap { try transaction.run($0) }
        }
        // What is real gets farther than what is made up.
        let replica = try #require(system.last).replica
        let real: [SyncRequest] = [
            .compare(try StoreReplica(ward.centre).summaries()), .push(SyncFrame(items: system.map { .run($0) })),
            .pull(.init(wants: [Self.residents: [:], .system: [replica: 0]], staged: [], frameBytesMax: 4096)),
            .run(.system, replica, first: 1),
        ]
        var session = try HubSession(member.keys, with: ward.hub)
        var generator = SeededGenerator(seed: 2)
        let before = try ward.digests(ward.centre)
        var counts: [Int: Int] = [:]
        for round in 0..<1600 {
            // A device has so many requests a minute.
            if round % 400 == 0 {
                session = try HubSession(member.keys, with: Hub(ward.centre))
                #expect(try session.status(of: SyncRequest.compare([]).encoded) == 200)
            }
            let content = Bodies.spoilt(generator.pick(Self.requests + real).encoded, &generator)
            counts[try session.status(of: content), default: 0] += 1
        }
        #expect(Set(counts.keys) == [200, 400], "\(counts)")
        #expect(try ward.digests(ward.centre) == before)
        #expect(try ward.centre.doctor().filter { $0.name == "log" || $0.name == "tables" }.allSatisfy(\.ok))
        _ = try member.addResident(["family_name=鈴木"])
        #expect(try ward.sync(member).upToDate)
    }

    @Test func `Whatever a hub answers, its client says what was wrong, and is what it was`() throws {
        let ward = try WardFixture()
        let (site, liar) = (try ward.join("site"), try ward.join("liar"))
        _ = try site.addResident(["family_name=佐藤"])
        try ward.sync(site)
        let before = try ward.digests(site)
        let storage = StoreReplica(ward.centre)
        let runs = try storage.runs(of: .system, lacking: [:]).compactMap { try storage.run($0) }
        var generator = SeededGenerator(seed: 3)
        var (ended, failed) = (0, 0)
        for _ in 0..<400 {
            let peer = LyingPeer(liar) { request in
                let isPull = if case .pull = request { true } else { false }
                let frame = SyncFrame(items: runs.prefix(3).map { .run($0) })
                let content = isPull ? frame.encoded : generator.pick(Self.replies).encoded
                return .content(generator.chance(70) ? Bodies.spoilt(content, &generator) : content)
            }
            let report = try site.sync(with: peer)
            if report.failure == nil { ended += 1 } else { failed += 1 }
            #expect(!report.upToDate || report.failure == nil)
        }
        #expect(failed > 100 && ended > 0, "\(ended) ended, \(failed) failed")
        #expect(try ward.digests(site) == before)
        #expect(try ward.sync(site).upToDate)
    }

    // MARK: - Handshake and enrolment

    @Test func `A hello, a welcome and a request to join are read or refused by name`() throws {
        let ward = try WardFixture()
        let invitation = try ward.centre.invite(role: .branch, name: "x", spaces: [], milliseconds: 60_000, hub: nil)
        let code = try #require(InvitationCode(invitation.code))
        let keys = DeviceKeys { .random(in: .min ... .max) }
        let request = try Enrolment.Request(
            invitation: code.record,
            signingKey: keys.signingPublic,
            receivingKey: keys.receivingPublic,
            proof: keys.proof(),
            deviceName: "端末"
        ).encoded(code.key(), device: keys.signing)
        var generator = SeededGenerator(seed: 4)
        let client = Handshake.Client(device: keys.device)
        let answer = ward.hub.answer(path: "/v1/hello", body: client.hello.encoded)
        let welcome = try #require(try answer.next())
        let system = try ward.centre.read { try $0.vector(of: .system) }
        for bytes in variants(client.hello.encoded, 1500, &generator) {
            #expect([200, 400].contains(ward.hub.answer(path: "/v1/hello", body: bytes).status))
        }
        for bytes in variants(welcome, 1500, &generator) where bytes != welcome {
            #expect(throws: (any Error).self) {
                do {
                    _ = try client.finish(Handshake.Welcome(decoding: bytes), sign: keys.sign)
                } catch let error as CodecError {
                    throw error
                } catch let error as SyncError {
                    throw error
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        for bytes in variants(request, 1500, &generator) where bytes != request {
            #expect([400, 403].contains(ward.hub.answer(path: "/v1/enrol", body: bytes).status))
        }
        #expect(try ward.centre.read { try $0.vector(of: .system) } == system)
        let content = try #require(try ward.hub.answer(path: "/v1/enrol", body: request).next())
        for bytes in variants(content, 1500, &generator) where bytes != content {
            #expect(Enrolment.Answer(decoding: bytes, to: request) == nil)
        }
        #expect(Enrolment.Answer(decoding: content, to: request) != nil)
    }

    @Test func `What people copy by hand is read or refused`() throws {
        var generator = SeededGenerator(seed: 5)
        let code = InvitationCode(
            secret: generator.bytes(16),
            root: DeviceID(signingKey: [1]),
            hub: PeerAddress(url: "https://hub.example:8443", trust: .system),
            pin: nil
        )
        let pin = generator.bytes(32)
        let pinned = InvitationCode(
            secret: code.secret,
            root: code.root,
            hub: PeerAddress(url: "https://hub.example", trust: .pin(pin)),
            pin: pin
        )
        let recovery = RecoveryKey { generator.next() }
        let keys = DeviceKeys { generator.next() }
        for text in [code.text, pinned.text] {
            for bytes in variants(Array(text.utf8), 2500, &generator) {
                let typed = String(decoding: bytes, as: UTF8.self)
                guard let found = InvitationCode(typed) else { continue }
                #expect(found.secret == code.secret && found.root == code.root, "\(typed)")
            }
        }
        // A right check over a wrong content.
        var content = code.secret + code.root.bytes
        content += [1] + generator.bytes(32)
        content.appendPrefixed(Array("https://hub.example".utf8))
        for bytes in variants(content, 3000, &generator) {
            let check = SHA256.hash(data: Array("tsunagu/code/1".utf8) + bytes).prefix(4)
            guard let found = InvitationCode("tsunagu1" + Base32.encode(bytes + check)) else { continue }
            #expect(InvitationCode(found.text)?.hub == found.hub)
        }
        for bytes in variants(Array(recovery.text.utf8), 2500, &generator) {
            let typed = String(decoding: bytes, as: UTF8.self)
            if let found = RecoveryKey(typed) { #expect(found.device == recovery.device, "\(typed)") }
        }
        for bytes in variants(Array(keys.encoded.utf8), 1000, &generator) {
            _ = DeviceKeys(String(decoding: bytes, as: UTF8.self))
        }
        #expect(
            InvitationCode(code.text) != nil && RecoveryKey(recovery.text) != nil && DeviceKeys(keys.encoded) != nil
        )
    }

    // MARK: - Bundles

    /// A file of pieces of any content, sealed and signed as its maker would.
    private func bundle(_ pieces: [[UInt8]], by maker: DeviceKeys, for receiver: DeviceKeys, _ ward: DeviceID) throws
        -> [UInt8]
    {
        let key = SymmetricKey(size: .bits256)
        var sender = try HPKE.Sender(
            recipientKey: receiver.receiving.publicKey,
            ciphersuite: .Curve25519_SHA256_ChachaPoly,
            info: Data(Array("tsunagu/bundle/1/key".utf8) + ward.bytes + receiver.device.bytes)
        )
        let sealed = try key.withUnsafeBytes { try sender.seal(Data($0)) }
        var header = Array("TSBD".utf8) + [1] + ward.bytes
        header += [1] + receiver.device.bytes
        header += sender.encapsulatedKey
        header += sealed
        var bytes = header
        func append(_ content: [UInt8], _ place: Int) throws {
            let box = try Bundle.seal(content, UInt64(place), key, header: header)
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: box.count >> (24 - 8 * $0)) } + box
        }
        for (place, content) in pieces.enumerated() { try append(content, place) }
        let message = Array("tsunagu/bundle/1/signature".utf8) + SHA256.hash(data: bytes)
        try append([4] + maker.sign(message), pieces.count)
        return bytes
    }

    @Test func `A bundle of spoilt pieces under right seals is refused whole, or taken run by run`() throws {
        let ward = try WardFixture()
        let (maker, site) = (try ward.join("maker"), try ward.join("site"))
        try ward.sync(maker)
        _ = try maker.addResident(["family_name=佐藤"])
        try maker.seal()
        func runs(_ space: SpaceID) throws -> [RunEnvelope] {
            try maker.read { transaction in
                try transaction.runs(of: space, lacking: [:]).compactMap { try transaction.run($0) }
            }
        }
        func piece(_ code: UInt8, _ runs: [RunEnvelope]) -> [UInt8] {
            runs.reduce(into: [code]) { $0.appendPrefixed($1.encoded) }
        }
        var head: [UInt8] = [1]
        head += maker.keys.signingPublic
        head.append(Bytes16(1))
        head.appendVarint(1)
        head.appendVarint(1)
        head.appendUInt64(5)
        var vector: [UInt8] = [2]
        vector.appendPrefixed(Array("residents".utf8))
        vector.appendVarint(UInt64(Self.vector.count))
        for entry in Self.vector {
            vector.append(entry.replica)
            vector.appendVarint(entry.seq)
            vector += entry.hash
        }
        let good = [head, vector, piece(3, try runs(.system)), piece(3, try runs(Self.residents))]
        let path = ward.root + "/spoilt"
        var generator = SeededGenerator(seed: 6)
        let before = try ward.digests(site)
        var (refused, taken) = (0, 0)
        for _ in 0..<700 {
            var pieces = good
            // What is not signed by others must not pass for their word: the maker's own run is left out.
            pieces.removeLast()
            let place = generator.below(pieces.count)
            switch generator.below(8) {
            case 0: pieces.swapAt(place, generator.below(pieces.count))
            case 1: pieces.insert(pieces[place], at: place)
            case 2: pieces.remove(at: place)
            default: pieces[place] = Bodies.spoilt(pieces[place], &generator)
            }
            try Data(bundle(pieces, by: maker.keys, for: site.keys, ward.recoveryKey.device)).write(
                to: URL(filePath: path)
            )
            do {
                _ = try site.importBundle(path)
                taken += 1
            } catch let error as CommandError {
                #expect([.badInput, .notPermitted, .tryAgain].contains(error.code), "\(error)")
                refused += 1
            }
            #expect(try ward.digests(site) == before)
        }
        #expect(refused > 100 && taken > 20, "\(refused) refused, \(taken) taken")
        let whole = try bundle(good, by: maker.keys, for: site.keys, ward.recoveryKey.device)
        for bytes in (0..<4000).map({ _ in Bodies.spoilt(whole, &generator) }) where bytes != whole {
            var reader = BundleReader(device: site.keys.device, receivingKey: site.keys.receiving)
            var rest = bytes[...]
            #expect(throws: BundleError.self) {
                while !reader.isComplete {
                    let next = Array(rest.prefix(reader.wanted))
                    rest = rest.dropFirst(next.count)
                    _ = try reader.take(next)
                }
                // Something behind the end is the file's to find.
                if !rest.isEmpty { throw BundleError.damaged("longer") }
            }
        }
        try Data(whole).write(to: URL(filePath: path))
        #expect(try site.importBundle(path).refused.isEmpty)
        #expect(try ward.digests(site) == ward.digests(maker))
    }

    // MARK: - Files of people

    private static let csv = #"""
        \#u{FEFF}number,family_name,given_name,birth_date,languages
        1,佐藤,花,1980-02-03,en
        2,"鈴木 ""一""","次\#r
        郎",1981-01-01,"en zh"
        3,髙橋,葵,,

        """#

    @Test func `A table is read or refused with a line, wherever its chunks end`() throws {
        var generator = SeededGenerator(seed: 7)
        for bytes in variants(Array(Self.csv.utf8), 12_000, &generator) {
            let cut = generator.below(bytes.count + 1)
            var results: [String] = []
            for pieces in [[bytes], [Array(bytes[..<cut]), Array(bytes[cut...])]] {
                var reader = CSVReader(rowBytesMax: 256)
                var rows: [[[UInt8]]] = []
                do {
                    for piece in pieces {
                        try piece.withUnsafeBytes { memory in
                            try reader.feed(memory) { cells, _ in rows.append(cells.map { Array($0) }) }
                        }
                    }
                    try reader.finish { cells, _ in rows.append(cells.map { Array($0) }) }
                    results.append("\(rows)")
                } catch let error as CSVError {
                    #expect((1...40).contains(error.line))
                    results.append("\(error)")
                }
            }
            #expect(results[0] == results[1])
        }
    }

    @Test func `A spoilt table or mapping is refused with its faults, and nothing is imported`() throws {
        let ward = try WardFixture()
        let table = "number,family_name,given_name,birth_date,languages\n1,佐藤 一,花,1980-02-03,en\n2,鈴木 二,葵,,en zh\n"
        let mapping = """
            { "format": "tsunagu-mapping-1", "kind": "residents", "description": "\\u795e",
              "columns": [ { "from": "number", "to": "number" },
                { "from": "family_name", "to": ["氏", "名"], "separator": " ", "uneven": "fill" },
                { "from": "languages", "to": "languages", "values": { "en": "en", "zh": "" }, "keep_others": true } ],
              "constants": { "standing": "日本人" }, "ignore": ["given_name", "birth_date"] }
            """
        let (rows, map) = (ward.root + "/rows.csv", ward.root + "/map.json")
        var generator = SeededGenerator(seed: 8)
        let before = try ward.digests(ward.centre)
        var read = 0
        var last: [String] = []
        func attempt(_ table: [UInt8], _ mapping: [UInt8]?) throws {
            try Data(table).write(to: URL(filePath: rows))
            if let mapping { try Data(mapping).write(to: URL(filePath: map)) }
            do {
                _ = try ward.centre.importFile(
                    .residents,
                    at: rows,
                    ImportOptions(updates: false, isDry: true, mapping: mapping == nil ? nil : map)
                )
                read += 1
            } catch let failure as ImportFailure {
                #expect(!failure.problems.isEmpty)
                last = failure.problems.map(\.code)
            } catch let error as CommandError {
                #expect(error.code == .badInput, "\(error)")
            }
        }
        try attempt(Array(table.utf8), Array(mapping.utf8))
        try attempt(Array(table.utf8), nil)
        #expect(read == 2, "both are right as they are: \(last)")
        for bytes in variants(Array(mapping.utf8), 1500, &generator) { try attempt(Array(table.utf8), bytes) }
        for bytes in variants(Array(table.utf8), 1500, &generator) { try attempt(bytes, nil) }
        // Deeper than any stack.
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = String(repeating: open, count: 100_000) + String(repeating: close, count: 100_000)
            try attempt(Array(table.utf8), Array(deep.utf8))
        }
        #expect(read > 50)
        #expect(try ward.digests(ward.centre) == before)
    }

    // MARK: - Backups

    @Test func `A backup of spoilt pieces under the right passphrase restores nothing or all`() throws {
        let ward = try WardFixture()
        let passphrase = Array("合言葉は長く".utf8)
        let path = ward.root + "/backup"
        try ward.centre.backUp(to: path, passphrase: passphrase)
        let whole = [UInt8](try #require(FileManager.default.contents(atPath: path)))
        let place = DataDirectory(ward.root + "/elsewhere")
        var generator = SeededGenerator(seed: 9)
        // The least cost that is read, so that many can be tried.
        var header = Array(whole[..<24])
        let original = try BackupFile.key(passphrase, header)
        var pieces: [[UInt8]] = []
        var rest = whole[24...]
        while !rest.isEmpty {
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            let sealed = Array(rest.dropFirst(4).prefix(count))
            pieces.append(try Bundle.open(sealed, UInt64(pieces.count), original, header: header))
            rest = rest.dropFirst(4 + count)
        }
        header[5] = 14
        let key = try BackupFile.key(passphrase, header)
        func write(_ contents: [[UInt8]]) throws {
            var bytes = header
            for (place, content) in contents.enumerated() {
                let box = try Bundle.seal(content, UInt64(place), key, header: header)
                bytes += (0..<4).map { UInt8(truncatingIfNeeded: box.count >> (24 - 8 * $0)) } + box
            }
            try Data(bytes).write(to: URL(filePath: path))
        }
        func restore() throws -> Site {
            try Site.restore(place, from: path, passphrase: passphrase, person: WardFixture.clerk, force: false)
        }
        func expectNothing(_ contents: [[UInt8]], _ what: String) throws {
            try write(contents)
            #expect(throws: CommandError.self, "\(what)") { try restore() }
            let left = (try? FileManager.default.contentsOfDirectory(atPath: place.path)) ?? []
            #expect(left.isEmpty, "\(what): \(left)")
        }
        for name in ["../x", "/tmp/x", "ward.sqlite-wal", "ward.sqlite", "", "device.key\0"] {
            try expectNothing([[1] + Array(name.utf8)] + pieces, "the name \(name)")
        }
        // The data, the keys, each behind its name; and the end.
        for drop in [0, 1, 2, 3, pieces.count - 1] {
            try expectNothing(pieces.enumerated().filter { $0.offset != drop }.map(\.element), "without piece \(drop)")
        }
        try expectNothing([[2, 1]] + pieces.dropFirst(), "bytes of no file")
        try expectNothing([[9]] + pieces, "an unknown piece")
        try expectNothing([[]] + pieces, "an empty piece")
        try expectNothing(pieces + [[3]], "two ends")
        for _ in 0..<10 {
            var spoilt = pieces
            spoilt[generator.below(4)] = Bodies.spoilt(generator.bytes(20), &generator)
            try expectNothing(spoilt, "noise")
        }
        try write(pieces)
        #expect(try restore().status().site == "千代田区")
    }
}
