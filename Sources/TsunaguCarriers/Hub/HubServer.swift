// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
package import Logging
import NIOPosix
import ServiceLifecycle

/// The server end of HTTP: hands the body of each `POST /v1/…` to a ``HubService`` and streams its answer back.
///
/// The service blocks on its database, so it runs on threads of its own, and those are few: a database has one writer
/// anyway. A thread is held while a piece is made, not while it travels, so slow clients cost memory for one piece each.
package struct HubServer: Service {
    package struct Configuration: Sendable {
        package var address: ListenAddress
        /// Nil for plain HTTP, behind a proxy that does TLS.
        package var identity: TLSIdentity?
        package var requestBytesMax = 4 << 20
        package var limits = ConnectionLimits()
        package var threads = 8
        /// For a client that takes nothing of its answer.
        package var stallTimeout: Duration = .seconds(60)

        package init(address: ListenAddress, identity: TLSIdentity?) {
            self.address = address
            self.identity = identity
            // Behind a proxy everybody comes from its one address.
            if identity == nil { limits.connectionsOfAddressMax = limits.connectionsMax }
        }
    }

    private let service: any HubService
    private let configuration: Configuration
    private let logger: Logger
    private let onBound: @Sendable (_ port: Int) -> Void

    /// - Parameter onBound: is told the port once the server listens on it.
    package init(
        service: any HubService,
        configuration: Configuration,
        logger: Logger,
        onBound: @escaping @Sendable (_ port: Int) -> Void
    ) {
        self.service = service
        self.configuration = configuration
        self.logger = logger
        self.onBound = onBound
    }

    /// - Throws: ``ListenError`` when the address is taken or not ours.
    package func run() async throws {
        let threads = NIOThreadPool(numberOfThreads: configuration.threads)
        threads.start()
        let listener = HTTPListener(
            address: configuration.address,
            identity: configuration.identity,
            limits: configuration.limits,
            responder: HubResponder(
                service: service,
                threads: threads,
                requestBytesMax: configuration.requestBytesMax,
                stallTimeout: configuration.stallTimeout,
                logger: logger
            ),
            logger: logger,
            onBound: onBound
        )
        do {
            try await listener.run()
        } catch {
            try? await threads.shutdownGracefully()
            throw error
        }
        try await threads.shutdownGracefully()
    }
}
