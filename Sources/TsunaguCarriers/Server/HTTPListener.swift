// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL

/// What both of our servers have in common: one listening socket, bounded heads, times and numbers of connections, TLS or
/// not.
///
/// What is left open is bounded by its users: the body, and the time to take an answer, by ``HubResponder``.
struct HTTPListener<Responder: HTTPResponder<ConnectionContext>>: Sendable {
    var address: ListenAddress
    var identity: TLSIdentity?
    var limits: ConnectionLimits
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
                availableConnectionsDelegate: MaximumAvailableConnections(
                    limits.connectionsMax + ConnectionLimits.refusedConnectionsMax,
                    logger: logger
                )
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
        let (limits, count) = (limits, ConnectionCount(limits))
        let plain = HTTPServerBuilder.http1(
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [ConnectionGuard(limits, count)],
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
