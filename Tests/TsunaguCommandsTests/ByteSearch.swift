// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Looks for values of a person in whatever a site keeps, sends or hands on.
struct ByteSearch {
    private let needles: [[UInt8]]

    /// - Parameters:
    ///   - values: looked for as they are, folded, and as UTF-16.
    ///   - parts: what else tells of them, looked for as it is.
    init(_ values: [String], parts: [String] = []) {
        let forms = values + values.map { SearchKey.fold($0) } + parts
        needles =
            Set(forms).map { Array($0.utf8) }
            + values.map { $0.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] } }
    }

    func found(in bytes: some Collection<UInt8>) -> [String] {
        let data = Data(bytes)
        return needles.filter { data.range(of: Data($0)) != nil }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Runs as they are, and unpacked.
    func found(in runs: [RunEnvelope]) throws -> [String] {
        try runs.flatMap { found(in: $0.encoded) + found(in: try Bodies.stored($0.body)) }
    }

    /// All files of a directory as they are, and the bodies of all runs, however far they got.
    func found(on site: Site) throws -> [String] {
        var found: [String] = []
        let files = FileManager.default.enumerator(atPath: site.directory.path)?.compactMap { $0 as? String } ?? []
        #expect(files.contains("ward.sqlite"))
        for name in files {
            let path = site.directory.path + "/" + name
            guard let bytes = FileManager.default.contents(atPath: path) else { continue }
            found += self.found(in: bytes).map { "\(name): \($0)" }
        }
        let bodies = try DatabaseQueue(path: site.directory.database).read { db in
            try Data.fetchAll(db, sql: "SELECT body FROM run UNION ALL SELECT body FROM holding")
        }
        #expect(!bodies.isEmpty)
        for body in bodies { found += self.found(in: try Bodies.stored(Array(body))).map { "a run: \($0)" } }
        return found
    }

    // MARK: - What there is to search

    /// A question for everything that a site holds.
    static func wants(of site: Site) throws -> [SpaceID: [ReplicaID: UInt64]] {
        try site.read { transaction in
            try Dictionary(
                uniqueKeysWithValues: transaction.spaces().map { space in
                    let authors = try transaction.vector(of: space).map { ($0.replica, 0 as UInt64) }
                    return (space, Dictionary(uniqueKeysWithValues: authors))
                }
            )
        }
    }

    /// Lets a site know nothing of what another has, so that a bundle for it holds everything.
    static func forget(_ receiver: Site, at maker: Site) throws {
        try maker.write { transaction in
            for space in try transaction.spaces() {
                let nothing = StoreTransaction.PeerCopy(held: 0, own: 0)
                try transaction.setPeerCopy(receiver.keys.device, space, nothing, isProved: false)
            }
        }
    }

    /// The runs of a bundle, opened by whom it is for.
    static func runs(ofBundle bytes: [UInt8], for receiver: Site) throws -> [RunEnvelope] {
        var reader = BundleReader(device: receiver.keys.device, receivingKey: receiver.keys.receiving)
        var rest = bytes[...]
        var out: [RunEnvelope] = []
        while !reader.isComplete {
            let next = Array(rest.prefix(reader.wanted))
            rest = rest.dropFirst(next.count)
            if case .runs(let runs)? = try reader.take(next) { out += runs }
        }
        return out
    }
}

/// A line between two sites on which everything can be read: it is each site's peer under the other's key.
final class OpenLine {
    /// What the client said, and the hub, opened; runs stand apart.
    private(set) var said: (client: [UInt8], hub: [UInt8]) = ([], [])
    private(set) var runs: (client: [RunEnvelope], hub: [RunEnvelope]) = ([], [])

    /// Lets a site exchange with another.
    func exchange(_ client: Site, with hub: Site) throws -> SyncReport {
        let session = try HubSession(client.keys, with: Hub(hub))
        let line = LyingPeer(hub) { request in
            self.said.client += request.encoded
            if case .push(let frame) = request { self.runs.client += Self.runs(frame) }
            guard case .pull(let pull) = request else {
                let reply = try session.ask(request)
                self.said.hub += reply.encoded
                return .reply(reply)
            }
            var frames = try session.frames(pull) ?? []
            for frame in frames {
                self.said.hub += frame.encoded
                self.runs.hub += Self.runs(frame)
            }
            return .frames { frames.isEmpty ? nil : frames.removeFirst() }
        }
        return try client.sync(with: line)
    }

    private static func runs(_ frame: SyncFrame) -> [RunEnvelope] {
        frame.items.compactMap { if case .run(let run) = $0 { run } else { nil } }
    }
}
