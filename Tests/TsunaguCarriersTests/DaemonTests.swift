// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ProcessSupport
import Testing
import TsunaguCarriers

@Suite(.timeLimit(.minutes(1)))
struct DaemonTests {
    private static let anyPort = ListenAddress(host: "127.0.0.1", port: 0)

    private func daemon(_ parts: DaemonParts) -> Daemon {
        var daemon = Daemon(listen: Self.anyPort, hubListen: Self.anyPort, parts: parts, logger: quiet)
        daemon.stopSignals = []
        daemon.reloadSignals = []
        return daemon
    }

    @Test("A central daemon serves, syncs, and stops cleanly in the middle of a sync")
    func central() async throws {
        let identity = try TLSIdentity.forTests()
        let listening = Promise<[String]>()
        let syncing = Promise<Void>()
        let syncsEnded = Counter()
        let parts = DaemonParts(
            hub: .init(service: ScriptedHub { _, body in .pieces([body]) }, identity: identity),
            apiToken: "t",
            syncOnce: { cancellation in
                syncing.fulfil(())
                while !cancellation.isCancelled {}
                syncsEnded.increment()
                return .behind
            },
            ready: { .ready },
            metrics: { "" },
            onListening: { listening.fulfil($0) }
        )
        try await withServices([daemon(parts)]) {
            let lines = await listening.value
            #expect(lines.count == 2)
            let local = try #require(lines.first?.wholeMatch(of: /listening http:\/\/127\.0\.0\.1:(\d+)/)?.output.1)
            let hub = try #require(lines.last?.wholeMatch(of: /hub (https:\/\/127\.0\.0\.1:\d+)/)?.output.1)
            let localPort = try #require(Int(local))
            let hubURL = try HubURL(String(hub))

            let answer = try await onThread {
                try HTTPCarrier(base: hubURL, trust: .pin(identity.pin)).collect("/v1/x", [1, 2])
            }
            #expect(answer == [1, 2])
            let ready = try await onThread {
                RawSocket.exchange(port: localPort, "GET /readyz HTTP/1.1\nHost: localhost\nConnection: close\n\n")
            }
            #expect(ready.hasPrefix("HTTP/1.1 200 "))
            await syncing.value
        }
        #expect(syncsEnded.value == 1)
    }

    @Test("A site's daemon has no hub")
    func site() async throws {
        let listening = Promise<[String]>()
        let parts = DaemonParts(
            hub: nil,
            apiToken: "t",
            syncOnce: { _ in .upToDate },
            ready: { .ready },
            metrics: { "" },
            onListening: { listening.fulfil($0) }
        )
        try await withServices([daemon(parts)]) { #expect(await listening.value.count == 1) }
    }

    @Test("A daemon whose port is taken ends with the reason")
    func takenPort() async throws {
        let (listener, port) = RawSocket.listening()
        let parts = DaemonParts(
            hub: nil,
            apiToken: "t",
            syncOnce: { _ in .upToDate },
            ready: { .ready },
            metrics: { "" }
        )
        var daemon = daemon(parts)
        daemon.listen.port = port
        let error = await #expect(throws: ListenError.self) { try await daemon.run() }
        #expect(error?.description.contains("127.0.0.1:\(port)") == true)
        withExtendedLifetime(listener) {}
    }
}
