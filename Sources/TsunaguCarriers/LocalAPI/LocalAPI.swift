// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Hummingbird
package import Logging
import NIOPosix
import ServiceLifecycle

/// Whether the daemon can do its work.
package enum Readiness: Hashable, Sendable {
    case ready
    /// With a reason for people, free of personal data.
    case notReady(String)
}

/// The daemon's HTTP server for this machine: `GET /healthz`, `/readyz` and `/metrics`.
///
/// Everybody with an account on the machine reaches it, so all but the two probes asks for the data directory's token.
package struct LocalAPI: Service {
    /// Asked on a thread that may block.
    package typealias Ready = @Sendable () -> Readiness
    /// Prometheus text format.
    ///
    /// Asked on a thread that may block.
    package typealias Metrics = @Sendable () -> String

    private let address: ListenAddress
    private let responder: LocalResponder
    private let logger: Logger
    private let onBound: @Sendable (_ port: Int) -> Void

    /// - Parameter token: what `Authorization: Bearer …` has to bring.
    /// - Throws: ``ListenError/notLoopback(_:)`` for an address that others can reach.
    package init(
        address: ListenAddress,
        token: String,
        ready: @escaping Ready,
        metrics: @escaping Metrics,
        logger: Logger,
        onBound: @escaping @Sendable (_ port: Int) -> Void
    ) throws(ListenError) {
        guard address.isLoopback else { throw .notLoopback(address) }
        self.address = address
        self.responder = LocalResponder(token: SHA256.hash(data: Array(token.utf8)), ready: ready, metrics: metrics)
        self.logger = logger
        self.onBound = onBound
    }

    /// - Throws: ``ListenError`` when the address is taken.
    package func run() async throws {
        var bound = address
        // Whatever the resolver makes of the name, it must not lead outside.
        if bound.host == "localhost" { bound.host = "127.0.0.1" }
        var limits = ConnectionLimits()
        limits.connectionsMax = 64
        try await HTTPListener(
            address: bound,
            identity: nil,
            limits: limits,
            responder: responder,
            logger: logger,
            onBound: onBound
        ).run()
    }
}

private struct LocalResponder: HTTPResponder {
    typealias Context = ConnectionContext

    let token: SHA256Digest
    let ready: LocalAPI.Ready
    let metrics: LocalAPI.Metrics

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        // A web page whose own name was pointed at 127.0.0.1 could read us from the user's browser (DNS rebinding).
        guard let authority = request.head.authority, Self.isLoopback(authority) else {
            return .text(.misdirectedRequest, "this server answers to loopback addresses only\n")
        }
        // And any page can make the browser ask, though not read the answer.
        guard request.headers[values: .origin].allSatisfy(Self.isLoopbackOrigin) else {
            return .text(.forbidden, "this server answers no pages from elsewhere\n")
        }
        switch request.uri.path {
        case "/healthz", "/readyz": break
        case "/metrics": guard isAuthorised(request) else { return .unauthorised }
        default: return .notFound
        }
        guard request.method == .get else { return .methodNotAllowed(allow: "GET") }
        switch request.uri.path {
        case "/readyz":
            return switch try await NIOThreadPool.singleton.runIfActive({ ready() }) {
            case .ready: .text(.ok, "ready\n")
            case .notReady(let reason): .text(.serviceUnavailable, reason + "\n")
            }
        case "/metrics":
            let text = try await NIOThreadPool.singleton.runIfActive { metrics() }
            return .text(.ok, text, type: "text/plain; version=0.0.4; charset=utf-8")
        default:
            return .text(.ok, "ok\n")
        }
    }

    private func isAuthorised(_ request: Request) -> Bool {
        guard let words = request.headers[.authorization]?.split(separator: " "), words.count == 2,
            words[0].lowercased() == "bearer"
        else { return false }
        // Digests are compared in constant time.
        return SHA256.hash(data: Array(words[1].utf8)) == token
    }

    private static func isLoopback(_ authority: some StringProtocol) -> Bool {
        HostAndPort(String(authority)).map { ListenAddress(host: $0.host, port: 0).isLoopback } ?? false
    }

    /// Also false for `null`, the origin of pages that hide theirs.
    private static func isLoopbackOrigin(_ origin: String) -> Bool {
        let parts = origin.split(separator: "://", maxSplits: 1)
        return parts.count == 2 && ["http", "https"].contains(parts[0]) && isLoopback(parts[1])
    }
}
