// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ProcessSupport
import Synchronization
import Testing
import TsunaguCarriers

@Suite(.timeLimit(.minutes(1)))
struct LocalAPITests {
    private static let token = "5f3759df"

    private func get(
        _ path: String,
        port: Int,
        host: String = "127.0.0.1",
        method: String = "GET",
        headers: String = "Authorization: Bearer \(token)\n"
    ) async throws -> String {
        let request = "\(method) \(path) HTTP/1.1\nHost: \(host)\nConnection: close\n\(headers)\n"
        return try await onThread { RawSocket.exchange(port: port, request) }
    }

    private func withAPI(
        ready: @escaping LocalAPI.Ready = { .ready },
        _ body: @Sendable (_ port: Int) async throws -> Void
    ) async throws {
        let port = Promise<Int>()
        let api = try LocalAPI(
            address: ListenAddress(host: "localhost", port: 0),
            token: Self.token,
            ready: ready,
            metrics: { "tsunagu_up 1\n" },
            logger: quiet
        ) { port.fulfil($0) }
        try await withServices([api]) { try await body(await port.value) }
    }

    @Test("Health, readiness and metrics are answered")
    func answers() async throws {
        let isReady = CancellationFlag()
        try await withAPI(ready: { isReady.isCancelled ? .ready : .notReady("the database is locked") }) { port in
            #expect(try await get("/healthz", port: port).hasPrefix("HTTP/1.1 200 "))
            let notReady = try await get("/readyz", port: port)
            #expect(notReady.hasPrefix("HTTP/1.1 503 "))
            #expect(notReady.hasSuffix("\r\n\r\nthe database is locked\n"))
            isReady.cancel()
            #expect(try await get("/readyz", port: port).hasPrefix("HTTP/1.1 200 "))
            let metrics = try await get("/metrics", port: port)
            #expect(metrics.hasSuffix("\r\n\r\ntsunagu_up 1\n"))
            #expect(metrics.lowercased().contains("content-type: text/plain; version=0.0.4"))
            #expect(try await get("/", port: port).hasPrefix("HTTP/1.1 404 "))
            #expect(try await get("/metrics", port: port, method: "DELETE").hasPrefix("HTTP/1.1 405 "))
        }
    }

    @Test("Probes are open; metrics want the token, and say nothing without it")
    func token() async throws {
        try await withAPI { port in
            for path in ["/healthz", "/readyz"] {
                #expect(try await get(path, port: port, headers: "").hasPrefix("HTTP/1.1 200 "), "\(path)")
            }
            let others = [
                "", "Authorization: Bearer\n", "Authorization: Bearer 5f3759de\n", "Authorization: Bearer 5f3759df0\n",
                "Authorization: Basic 5f3759df\n", "Authorization: 5f3759df\n",
            ]
            for headers in others {
                let answer = try await get("/metrics", port: port, headers: headers)
                #expect(answer.hasPrefix("HTTP/1.1 401 "), "\(headers)")
                #expect(answer.lowercased().contains("www-authenticate: bearer"))
                #expect(!answer.contains("tsunagu_up"))
            }
            #expect(try await get("/", port: port, headers: "").hasPrefix("HTTP/1.1 404 "))
            let answer = try await get("/metrics", port: port, headers: "authorization: bearer \(Self.token)\n")
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test("A page from elsewhere gets nothing, with or without the token")
    func foreignOrigin() async throws {
        try await withAPI { port in
            let authorization = "Authorization: Bearer \(Self.token)\n"
            for origin in [
                "https://evil.example", "null", "http://127.0.0.1.evil.example", "file://127.0.0.1", "127.0.0.1",
            ] {
                for path in ["/healthz", "/metrics"] {
                    let answer = try await get(path, port: port, headers: "Origin: \(origin)\n" + authorization)
                    #expect(answer.hasPrefix("HTTP/1.1 403 "), "\(path) \(origin)")
                }
            }
            for origin in ["http://127.0.0.1:\(port)", "http://localhost", "https://[::1]:8443"] {
                let answer = try await get("/metrics", port: port, headers: "Origin: \(origin)\n" + authorization)
                #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(origin)")
            }
        }
    }

    @Test("A name that a stranger pointed at this machine gets no answer")
    func rebinding() async throws {
        try await withAPI { port in
            for host in ["127.0.0.1:\(port)", "localhost", "[::1]:1"] {
                let answer = try await get("/healthz", port: port, host: host)
                #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(host)")
            }
            for host in ["evil.example", "127.0.0.1.evil.example", "192.168.0.1:\(port)"] {
                let answer = try await get("/healthz", port: port, host: host)
                #expect(answer.hasPrefix("HTTP/1.1 421 "), "\(host)")
            }
        }
    }

    @Test("An address that others can reach is refused", arguments: ["0.0.0.0", "::", "192.168.0.1", "hub.example.jp"])
    func notLoopback(host: String) {
        let address = ListenAddress(host: host, port: 0)
        #expect(throws: ListenError.notLoopback(address)) {
            try LocalAPI(address: address, token: "", ready: { .ready }, metrics: { "" }, logger: quiet) { _ in }
        }
    }
}
