// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a daemon is made of: everything that knows of a site and its data, handed in as blocking closures.
package struct DaemonParts: Sendable {
    /// The server that other sites sync with.
    package struct Hub: Sendable {
        package var service: any HubService
        /// Nil for plain HTTP, behind a proxy that does TLS.
        package var identity: TLSIdentity?

        package init(service: any HubService, identity: TLSIdentity?) {
            self.service = service
            self.identity = identity
        }
    }

    /// Nil at a site that is not central.
    package var hub: Hub?
    /// What the local API asks for.
    package var apiToken: String
    package var syncOnce: PeriodicSync.SyncOnce
    package var ready: LocalAPI.Ready
    package var metrics: LocalAPI.Metrics
    /// What a SIGHUP reads anew; a sync follows it.
    package var reload: @Sendable () -> Void
    /// Told the lines that standard output gets, once everything listens: the lock file shows them to commands.
    package var onListening: @Sendable (_ lines: [String]) -> Void

    package init(
        hub: Hub?,
        apiToken: String,
        syncOnce: @escaping PeriodicSync.SyncOnce,
        ready: @escaping LocalAPI.Ready,
        metrics: @escaping LocalAPI.Metrics,
        reload: @escaping @Sendable () -> Void = {},
        onListening: @escaping @Sendable (_ lines: [String]) -> Void = { _ in }
    ) {
        self.hub = hub
        self.apiToken = apiToken
        self.syncOnce = syncOnce
        self.ready = ready
        self.metrics = metrics
        self.reload = reload
        self.onListening = onListening
    }
}
