// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Logging
import ServiceLifecycle
import Synchronization
package import UnixSignals

/// The daemon: its services in dependency order under one group, started upward and stopped downward.
package struct Daemon: Service {
    package var listen: ListenAddress
    package var hubListen: ListenAddress
    package var backOff = BackOff()
    package var parts: DaemonParts
    package var notifier: SystemdNotifier?
    /// The signals that stop it gracefully.
    ///
    /// None in tests, which share their process.
    package var stopSignals: [UnixSignal] = [.sigterm, .sigint]
    package var reloadSignals: [UnixSignal] = [.sighup]
    /// How long requests and a sync under way may take to end.
    package var stopPatience: Duration = .seconds(20)
    package var logger: Logger

    package init(listen: ListenAddress, hubListen: ListenAddress, parts: DaemonParts, logger: Logger) {
        self.listen = listen
        self.hubListen = hubListen
        self.parts = parts
        self.logger = logger
    }

    /// Runs until a stop signal, or until graceful shutdown of an outer group.
    ///
    /// - Throws: ``ListenError`` when an address cannot be had, ``RightsEnded`` when nothing is left to serve.
    package func run() async throws {
        let sync = PeriodicSync(backOff: backOff, logger: logger, syncOnce: parts.syncOnce)
        let announcement = Announcement(expected: parts.hub == nil ? ["listening"] : ["listening", "hub"]) { lines in
            for line in lines { printLine(line) }
            // Who listens everywhere does not know under which address others find him.
            parts.onListening(hubListen.isWildcard ? lines.map(DataDirectoryLock.withoutAddressForOthers) : lines)
            notifier?.ready()
        }

        var services: [any Service] = []
        services.append(
            try LocalAPI(
                address: listen,
                token: parts.apiToken,
                ready: parts.ready,
                metrics: parts.metrics,
                logger: logger
            ) { port in
                announcement.add("listening", url: listen.url(scheme: "http", port: port))
            }
        )
        if let hub = parts.hub {
            let scheme = hub.identity == nil ? "http" : "https"
            let configuration = HubServer.Configuration(address: hubListen, identity: hub.identity)
            services.append(
                HubServer(service: hub.service, configuration: configuration, logger: logger) { port in
                    announcement.add("hub", url: hubListen.url(scheme: scheme, port: port))
                }
            )
        }
        services.append(sync)
        services.append(
            ReloadOnSignal(signals: reloadSignals) {
                parts.reload()
                sync.wake()
            }
        )
        // Last, so that it is the first to hear of the end.
        if let notifier { services.append(notifier) }

        var configuration = ServiceGroupConfiguration(
            // A server that cannot listen ends the daemon, and so do rights that ended; what is under way gets its clean
            // stop.
            services: services.map { .init(service: $0, failureTerminationBehavior: .gracefullyShutdownGroup) },
            gracefulShutdownSignals: stopSignals,
            logger: logger
        )
        configuration.maximumGracefulShutdownDuration = stopPatience
        try await ServiceGroup(configuration: configuration).run()
    }

    /// At once and whole: whoever started the daemon waits for the line on a pipe.
    private func printLine(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(STDOUT_FILENO, bytes, bytes.count)
    }
}

/// Collects where the servers listen, and speaks once when all do, in a fixed order.
private final class Announcement: Sendable {
    private let expected: [String]
    private let urls = Mutex<[String: String]>([:])
    private let announce: @Sendable ([String]) -> Void

    init(expected: [String], announce: @escaping @Sendable ([String]) -> Void) {
        self.expected = expected
        self.announce = announce
    }

    func add(_ word: String, url: String) {
        let complete = urls.withLock { urls in
            urls[word] = url
            return urls.count == expected.count ? urls : nil
        }
        if let complete { announce(expected.map { "\($0) \(complete[$0]!)" }) }
    }
}

/// Calls a closure at each of some signals, SIGHUP by custom, instead of ending the process.
private struct ReloadOnSignal: Service {
    let signals: [UnixSignal]
    let reload: @Sendable () -> Void

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: signals).cancelOnGracefulShutdown() { reload() }
        // Nothing to trap, or about to stop: either way the group goes on until the stop.
        try? await gracefulShutdown()
    }
}
