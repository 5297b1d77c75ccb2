// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL

/// What both of our servers have in common: one listening socket, bounded heads and idle times, TLS or not.
///
/// What Hummingbird leaves open is bounded by its users: the time to take an answer, by ``HubResponder``.
struct HTTPListener<Responder: HTTPResponder<ConnectionContext>>: Sendable {
    var address: ListenAddress
    var identity: TLSIdentity?
    var idleTimeout: Duration
    var connectionsMax: Int
    var responder: Responder
    var logger: Logger
    var onBound: @Sendable (_ port: Int) -> Void

    /// Listens until graceful shutdown, then lets requests under way come to their end.
    func run() async throws {
        let application = Application(
            responder: responder,
            server: try server(),
            configuration: ApplicationConfiguration(
                address: .hostname(address.host, port: address.port),
                availableConnectionsDelegate: MaximumAvailableConnections(connectionsMax, logger: logger)
            ),
            onServerRunning: { channel in
                if let port = channel.localAddress?.port { onBound(port) }
            },
            logger: logger
        )
        do {
            try await application.run()
        } catch let error as IOError {
            throw ListenError.cannotBind(address, reason: String(cString: strerror(error.errnoCode)))
        }
    }

    private func server() throws -> HTTPServerBuilder {
        let plain = HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                idleTimeout: TimeAmount(idleTimeout),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: 8 << 10,
                    maxHeaderListSize: 16 << 10,
                    maxHeaderFieldCount: 100
                )
            )
        )
        guard let identity else { return plain }

        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(identity.certificatePEM.utf8)).map {
                .certificate($0)
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.keyPEM.utf8), format: .pem))
        )
        tls.minimumTLSVersion = .tlsv12
        return try .tls(plain, tlsConfiguration: tls)
    }
}

/// What a responder knows of the connection that a request came over.
struct ConnectionContext: InitializableFromSource, Sendable {
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
    }
}
