// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing
import TsunaguCarriers
import TsunaguCommands
import TsunaguCore

import class TestSupport.Scratch

/// TLS ends at somebody else: a proxy before a hub that speaks plain HTTP, or a man in the middle with a certificate that
/// the machine trusts.
@Suite(.timeLimit(.minutes(5)))
struct ProxyTests {
    private static let clerk = Operator(id: "clerk", label: "窓口")
    private static let name = "佐藤・秘密の氏名"

    /// A ward whose hub speaks plain HTTP, behind a proxy that ends TLS with a key of its own.
    ///
    /// - Parameter alter: what the proxy makes of an answer's bytes.
    private func behindProxy(
        alter: @escaping @Sendable (String, [UInt8]) -> [UInt8] = { $1 },
        _ body: @escaping @Sendable (Site, _ hub: RunningHub, _ proxy: RunningHub, Seen) throws -> Void
    ) async throws {
        let directory = try Scratch()
        let own = try TLSIdentity.forTests()
        var random = SystemRandomNumberGenerator()
        let centre = try Site.initialise(
            DataDirectory(directory.path + "/centre"),
            person: Self.clerk,
            name: "千代田区",
            code: "131016",
            deviceName: "centre",
            recoveryKey: RecoveryKey { random.next() },
            identity: { _ in (own.keyPEM, own.certificatePEM, own.pin.sha256) }
        )
        let service = SiteHub(centre)
        let seen = Seen()
        try await withHub(script: { service.answer(path: $0, body: $1) }) { hub in
            let forward = { @Sendable (path: String, request: [UInt8]) -> HubAnswer in
                seen.bytes.withLock { $0 += request }
                do {
                    let answer = alter(path, try hub.carrier().collect(path, request))
                    seen.bytes.withLock { $0 += answer }
                    return .pieces([answer])
                } catch CarrierError.refused(let status, let reason) {
                    return .pieces([reason], status: status)
                } catch {
                    return .pieces([], status: 502)
                }
            }
            try await withHub(tls: .forTests(), script: forward) { proxy in
                try await onThread { try body(centre, hub, proxy, seen) }
            }
        }
    }

    /// What went through the proxy, in both directions.
    private final class Seen: Sendable {
        let bytes = Mutex<[UInt8]>([])
    }

    private static func join(_ centre: Site, _ url: String, trust: PeerAddress.Trust) throws -> Site {
        let code = try centre.invite(role: .branch, name: "麹町", spaces: [], milliseconds: 60_000, hub: url)
        return try Site.join(
            DataDirectory(centre.directory.path + "-branch"),
            person: clerk,
            code: code.code,
            hub: nil,
            deviceName: "branch",
            connect: { try HTTPTransport(PeerAddress(url: $0.url, trust: trust)) }
        ).site
    }

    @Test func `Devices prove themselves to each other through it, and it reads nothing`() async throws {
        try await behindProxy { centre, _, proxy, seen in
            let url = "https://127.0.0.1:\(proxy.port)"
            let secret = try centre.addResident(["family_name=\(Self.name)"])
            let branch = try Self.join(centre, url, trust: .anyone)
            _ = try branch.setResident(secret.description, ["phone=090-1234-5678"])
            let report = try branch.sync(with: HTTPTransport(PeerAddress(url: url, trust: .anyone)))
            #expect(report.upToDate, "\(report)")
            let held = Set(try branch.digests().map(\.space))
            #expect(held.count == 4 && !held.contains(.protectedResidents))
            #expect(
                try centre.digests().filter { held.contains($0.space) }.map(\.digest) == branch.digests().map(\.digest)
            )
            let bytes = Data(seen.bytes.withLock { $0 })
            for word in [Self.name, "090-1234-5678", "residents", "千代田区"] {
                #expect(bytes.range(of: Data(word.utf8)) == nil, "\(word)")
            }
            #expect(bytes.count > 2000)
        }
    }

    @Test func `The hub's pin refuses it before anything is said`() async throws {
        try await behindProxy { centre, _, proxy, seen in
            let pin = try TLSIdentity(
                certificatePEM: String(contentsOfFile: centre.directory.hubCertificate, encoding: .utf8),
                keyPEM: String(contentsOfFile: centre.directory.hubKey, encoding: .utf8)
            ).pin
            for trust in [PeerAddress.Trust.pin(pin.sha256), .system] {
                let error = #expect(throws: CommandError.self) {
                    try Self.join(centre, "https://127.0.0.1:\(proxy.port)", trust: trust)
                }
                #expect(error?.code == .notPermitted, "\(trust)")
            }
            #expect(seen.bytes.withLock { $0.isEmpty })
        }
    }

    @Test(arguments: ["/v1/enrol", "/v1/hello", "/v1/exchange"])
    func `What it alters is noticed, and nothing of it is kept`(path: String) async throws {
        let isArmed = Flag()
        let alter = { @Sendable (asked: String, bytes: [UInt8]) -> [UInt8] in
            guard isArmed.isSet, asked == path, let last = bytes.indices.last else { return bytes }
            var bytes = bytes
            bytes[last - bytes.count / 3] ^= 1
            return bytes
        }
        try await behindProxy(alter: alter) { centre, _, proxy, _ in
            let url = "https://127.0.0.1:\(proxy.port)"
            if path == "/v1/enrol" {
                isArmed.set(true)
                #expect(throws: CommandError.self) { try Self.join(centre, url, trust: .anyone) }
                return
            }
            let branch = try Self.join(centre, url, trust: .anyone)
            _ = try centre.addResident(["family_name=\(Self.name)"])
            let before = try branch.digests().map(\.digest)
            isArmed.set(true)
            let report = try branch.sync(with: HTTPTransport(PeerAddress(url: url, trust: .anyone)))
            #expect(!report.upToDate && report.failure != nil)
            #expect(try branch.digests().map(\.digest) == before)
            isArmed.set(false)
            #expect(try branch.sync(with: HTTPTransport(PeerAddress(url: url, trust: .anyone))).upToDate)
        }
    }

    private final class Flag: Sendable {
        private let value = Atomic<Bool>(false)
        var isSet: Bool { value.load(ordering: .relaxed) }
        func set(_ new: Bool) { value.store(new, ordering: .relaxed) }
    }
}
