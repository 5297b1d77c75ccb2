// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TsunaguCommands
import TsunaguCore
import TsunaguStore

import class TestSupport.Scratch

/// A hub in the same process: the same bytes as over HTTPS, and a place to break them.
final class LoopbackTransport: Transport {
    let address = "loopback"
    private(set) var traffic: (sent: Int, received: Int) = (0, 0)
    var peerTime: UInt64?
    private let hub: Hub
    /// Sees each answer's pieces before they are handed over; may throw, or change them.
    var onPiece: ([UInt8]) throws -> [UInt8] = { $0 }
    /// Sees each request.
    var onPost: (String, [UInt8]) throws -> Void = { _, _ in }

    init(_ hub: Hub) { self.hub = hub }

    func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws {
        try onPost(path, body)
        traffic.sent += body.count
        let answer = hub.answer(path: path, body: body)
        guard answer.status == 200 else {
            let reason = try answer.next() ?? []
            throw TransportError.refused(status: answer.status, String(decoding: reason, as: UTF8.self))
        }
        while let piece = try answer.next() {
            let piece = try onPiece(piece)
            traffic.received += piece.count
            try piece.withUnsafeBytes(onChunk)
        }
    }
}

/// A centre with its hub, and sites that joined it, all in one process.
struct WardFixture {
    private let scratch: Scratch
    let centre: Site
    let hub: Hub
    let recoveryKey: RecoveryKey
    static let clerk = Operator(id: "clerk", label: "窓口")

    init() throws {
        scratch = try Scratch()
        var random = SystemRandomNumberGenerator()
        recoveryKey = RecoveryKey { random.next() }
        centre = try Site.initialise(
            DataDirectory(scratch.path + "/centre"),
            person: Operator(id: "admin", label: "本庁"),
            name: "千代田区",
            code: "131016",
            deviceName: "centre",
            recoveryKey: recoveryKey,
            identity: Self.identity
        )
        hub = Hub(centre)
    }

    /// Where the sites' directories are.
    var root: String { scratch.path }

    /// Stands for a hub's TLS identity.
    static func identity(_ name: String) -> (key: String, certificate: String, pin: [UInt8]) {
        ("key", "certificate", [UInt8](repeating: 7, count: 32))
    }

    func transport() -> LoopbackTransport { LoopbackTransport(hub) }

    func join(_ name: String, role: Role = .branch, spaces: [String] = []) throws -> Site {
        let code = try centre.invite(
            role: role,
            name: name,
            spaces: spaces,
            milliseconds: 60_000,
            hub: "https://hub.example"
        )
        return try Site.join(
            DataDirectory(root + "/" + name),
            person: Operator(id: ExactText(name), label: ExactText(name)),
            code: code.code,
            hub: nil,
            deviceName: name,
            connect: { _ in transport() }
        ).site
    }

    @discardableResult
    func sync(_ site: Site) throws -> SyncReport { try site.sync(with: transport()) }

    /// Of the spaces that centre and branches share.
    func digests(_ site: Site) throws -> [SpaceID: Bytes16] {
        try site.read { transaction in
            Dictionary(
                uniqueKeysWithValues: try transaction.spaces().filter { $0 != .protectedResidents }.map {
                    ($0, try transaction.digest(of: $0) ?? Bytes16(0))
                }
            )
        }
    }
}

extension LessonPlan {
    /// A day so far ahead that rights travel for its lessons, and nobody is forgotten, whenever this is run.
    static let distantDay = "2090-12-01"

    /// A lesson in Kudan.
    static func kudan(
        _ code: String = "K1",
        space: String = "lessons/kudan",
        capacity: Int,
        date: String = distantDay
    ) -> LessonPlan {
        LessonPlan(
            space: space,
            code: code,
            title: "教室",
            date: date,
            time: "10:00-12:00",
            capacity: "\(capacity)"
        )
    }
}
