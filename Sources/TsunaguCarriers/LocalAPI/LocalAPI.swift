// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

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

    /// - Throws: ``ListenError/notLoopback(_:)`` for an address that others can reach.
    package init(
        address: ListenAddress,
        ready: @escaping Ready,
        metrics: @escaping Metrics,
        logger: Logger,
        onBound: @escaping @Sendable (_ port: Int) -> Void
    ) throws(ListenError) {
        guard address.isLoopback else { throw .notLoopback(address) }
        self.address = address
        self.responder = LocalResponder(ready: ready, metrics: metrics)
        self.logger = logger
        self.onBound = onBound
    }

    /// - Throws: ``ListenError`` when the address is taken.
    package func run() async throws {
        var bound = address
        // Whatever the resolver makes of the name, it must not lead outside.
        if bound.host == "localhost" { bound.host = "127.0.0.1" }
        try await HTTPListener(
            address: bound,
            identity: nil,
            idleTimeout: .seconds(60),
            connectionsMax: 64,
            responder: responder,
            logger: logger,
            onBound: onBound
        ).run()
    }
}

private struct LocalResponder: HTTPResponder {
    typealias Context = ConnectionContext

    let ready: LocalAPI.Ready
    let metrics: LocalAPI.Metrics

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        // A web page whose own name was pointed at 127.0.0.1 could read us from the user's browser (DNS rebinding).
        guard let authority = request.head.authority, let host = HostAndPort(authority)?.host,
            ListenAddress(host: host, port: 0).isLoopback
        else {
            return .text(.misdirectedRequest, "this server answers to loopback addresses only\n")
        }
        switch request.uri.path {
        case "/healthz", "/readyz", "/metrics":
            guard request.method == .get else { return .methodNotAllowed(allow: "GET") }
        default:
            return .notFound
        }
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
}
