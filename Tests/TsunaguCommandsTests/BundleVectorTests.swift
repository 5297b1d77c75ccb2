// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// `Protocol/vectors/bundles`: files that any implementation must open as this one does, or refuse as this one does.
///
/// With `TSUNAGU_WRITE_VECTORS=1` they are made anew, with other keys.
@Suite struct BundleVectorTests {
    private struct File: Codable {
        struct Vector: Codable, Equatable {
            var space: String
            var chains: [Chain]
        }

        struct Chain: Codable, Equatable {
            var replica: String
            var seq: UInt64
            var headerHash: String
        }

        struct Content: Codable, Equatable {
            var ward: String
            var senderKey: String
            var bundle: String
            var part: Int
            var parts: Int
            var writtenAt: UInt64
            var vectors: [Vector]
            var runs: [String]
        }

        struct Bundle: Codable {
            var because: String
            var bytes: String
            var content: Content?
            var refused: String?
        }

        var description: String
        var device: String
        var receivingKey: String
        var bundles: [Bundle]
    }

    private static let url = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Protocol/vectors/bundles/one-receiver.json")

    private func hex(_ bytes: some Sequence<UInt8>) -> String { Hex.encode(bytes) }

    /// What a reader makes of a file.
    private func read(
        _ bytes: [UInt8],
        _ device: DeviceID,
        _ key: Curve25519.KeyAgreement.PrivateKey
    ) throws(BundleError) -> File.Content {
        var reader = BundleReader(device: device, receivingKey: key)
        var rest = bytes[...]
        var content = File.Content(
            ward: "",
            senderKey: "",
            bundle: "",
            part: 0,
            parts: 0,
            writtenAt: 0,
            vectors: [],
            runs: []
        )
        while !reader.isComplete {
            let next = Array(rest.prefix(reader.wanted))
            rest = rest.dropFirst(next.count)
            switch try reader.take(next) {
            case .head(let head):
                (content.senderKey, content.bundle) = (hex(head.senderKey), hex(head.bundle.bytes))
                (content.part, content.parts, content.writtenAt) = (head.part, head.parts, head.writtenAt)
            case .vector(let space, let vector):
                let chains = vector.map {
                    File.Chain(replica: $0.replica.description, seq: $0.seq, headerHash: hex($0.hash))
                }
                content.vectors.append(File.Vector(space: space.name, chains: chains))
            case .runs(let runs): content.runs += runs.map { hex($0.encoded) }
            case .end, nil: break
            }
        }
        guard rest.isEmpty else { throw .damaged("something after the end") }
        content.ward = reader.ward?.description ?? ""
        return content
    }

    private func code(_ error: BundleError) -> String {
        switch error {
        case .noBundle: "no_bundle"
        case .unknownVersion: "unknown_version"
        case .forOthers: "for_others"
        case .damaged: "damaged"
        case .malformed: "malformed"
        }
    }

    /// Files that a sender with a right to sign made of some pieces, and what became of others on the way.
    private func make() throws -> File {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("site-a"), try ward.join("site-b"))
        let root = ward.recoveryKey.device
        _ = try a.write { transaction in
            try transaction.draft(SpaceID("residents")!, by: a.person).create(WardSchema.resident, [(1, .text("佐藤"))])
        }
        try ward.sync(a)
        let (vectors, runs) = try a.read { transaction in
            let spaces = try transaction.spaces()
            let runs = try spaces.map { space in
                try transaction.runs(of: space, lacking: [:]).compactMap { try transaction.run($0) }
            }
            return (
                try spaces.map { ($0, try transaction.vector(of: $0)) },
                Dictionary(uniqueKeysWithValues: zip(spaces, runs))
            )
        }
        let head = BundlePiece.Head(
            senderKey: a.keys.signingPublic,
            bundle: Bytes16(0x0102_0304),
            part: 1,
            parts: 2,
            writtenAt: 1_795_000_000_000
        )
        let system = runs[.system] ?? []
        let others = runs.filter { $0.key != .system }.values.flatMap { $0 }.sorted { $0.space < $1.space }
        let whole: [BundlePiece] =
            [.head(head)] + vectors.map { .vector($0.0, $0.1) } + [.runs(system), .runs(others)]
        func file(
            _ pieces: [BundlePiece],
            for devices: [DeviceKeys] = [ward.centre.keys, b.keys],
            sign: (([UInt8]) throws -> [UInt8])? = nil
        ) throws -> [UInt8] {
            var writer = try BundleWriter(ward: root, recipients: devices.map { ($0.device, $0.receivingPublic) })
            var bytes = writer.header
            for piece in pieces { bytes += try writer.append(piece) }
            return try bytes + writer.end(sign: sign ?? a.keys.sign)
        }
        func changed(_ bytes: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
            var bytes = bytes
            change(&bytes)
            return bytes
        }
        let good = try file(whole)
        let header = 22 + 2 * 96
        let end = 4 + 1 + 64 + 16
        var cases = [("everything in its place", good), ("nothing but a head", try file([.head(head)]))]
        cases += [
            ("another first byte", changed(good) { $0[0] ^= 1 }),
            ("a later version", changed(good) { $0[4] = 2 }),
            ("another ward in the header", changed(good) { $0[5] ^= 1 }),
            ("for no device", changed(good) { $0[21] = 0 }),
            ("for other devices", try file(whole, for: [ward.centre.keys, a.keys])),
            ("another name before a key", changed(good) { $0[22 + 96] ^= 1 }),
            ("another encapsulated key", changed(good) { $0[22 + 96 + 16] ^= 1 }),
            ("another sealed key", changed(good) { $0[22 + 96 + 48] ^= 1 }),
            ("another key for somebody else", changed(good) { $0[22 + 48] ^= 1 }),
            ("a longer piece", changed(good) { $0[header + 3] += 1 }),
            ("one bit of a piece", changed(good) { $0[header + 10] ^= 1 }),
            ("cut after the header", Array(good[..<header])),
            ("cut before the end", Array(good.dropLast(end))),
            ("cut in the end", Array(good.dropLast())),
            ("something after the end", good + [0]),
            ("an end of another bundle", Array(good.dropLast(end)) + (try file([.head(head)])).suffix(end)),
            ("signed by another device", try file(whole, sign: b.keys.sign)),
            ("signed over something else", try file(whole) { try a.keys.sign($0 + [0]) }),
            ("no head", try file(Array(whole.dropFirst()))),
            ("two heads", try file([.head(head)] + whole)),
            ("a space twice", try file([.head(head), whole[1], whole[1]])),
            ("a vector behind runs", try file([.head(head), .runs(system), whole[1]])),
            ("runs of system behind others", try file([.head(head), .runs(others), .runs(system)])),
            ("system beside others", try file([.head(head), .runs(system + others)])),
            ("a piece without runs", try file([.head(head), .runs([])])),
            (
                "a vector out of order",
                try file([.head(head), .vector(.system, Array((vectors.first { $0.1.count > 1 }!).1.reversed()))])
            ),
        ]
        for (part, parts) in [(0, 1), (2, 1), (1, 70_000)] {
            var wrong = head
            (wrong.part, wrong.parts) = (part, parts)
            cases.append(("part \(part) of \(parts)", try file([.head(wrong)])))
        }
        return File(
            description: "Bundles as a device of the ward reads them that has the receiving key.",
            device: b.keys.device.description,
            receivingKey: hex(b.keys.receiving.rawRepresentation),
            bundles: cases.map { because, bytes in
                do throws(BundleError) {
                    let content = try read(bytes, b.keys.device, b.keys.receiving)
                    return File.Bundle(because: because, bytes: hex(bytes), content: content)
                } catch {
                    return File.Bundle(because: because, bytes: hex(bytes), refused: code(error))
                }
            }
        )
    }

    @Test func `Files are opened or refused as the vectors say`() throws {
        if ProcessInfo.processInfo.environment["TSUNAGU_WRITE_VECTORS"] != nil {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try (encoder.encode(make()) + Data("\n".utf8)).write(to: Self.url)
        }
        let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: Self.url))
        let device = try #require(DeviceID(hex: file.device))
        let key = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: #require(Hex.decode(file.receivingKey)))
        #expect(file.bundles.count { $0.content != nil } >= 2)
        #expect(
            Set(file.bundles.compactMap(\.refused))
                == ["no_bundle", "unknown_version", "for_others", "damaged", "malformed"]
        )
        for bundle in file.bundles {
            let bytes = try #require(Hex.decode(bundle.bytes))
            do throws(BundleError) {
                let content = try read(bytes, device, key)
                #expect(content == bundle.content, "\(bundle.because)")
            } catch {
                #expect(code(error) == bundle.refused, "\(bundle.because): \(error)")
            }
        }
    }

    @Test func `What is made now is opened and refused alike`() throws {
        let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: Self.url))
        let made = try make()
        #expect(made.bundles.map(\.because) == file.bundles.map(\.because))
        #expect(made.bundles.map(\.refused) == file.bundles.map(\.refused))
    }
}
