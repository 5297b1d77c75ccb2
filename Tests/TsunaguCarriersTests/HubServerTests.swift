// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ProcessSupport
import Testing
import TsunaguCarriers

@Suite(.timeLimit(.minutes(1)))
struct HubServerTests {
    @Test("A body at the bound is taken, one byte more is 413, and the connection lives on")
    func bodyBound() async throws {
        try await withHub(requestBytesMax: 1 << 16, script: { _, body in .pieces([[UInt8(body.count >> 16)]]) }) {
            hub in
            try await onThread {
                let carrier = try hub.carrier()
                #expect(try carrier.collect("/v1/x", [UInt8](repeating: 0, count: 1 << 16)) == [1])
                let error = #expect(throws: CarrierError.self) {
                    try carrier.collect("/v1/x", [UInt8](repeating: 0, count: 1 << 16 + 1))
                }
                #expect(error?.name == "refused 413")
                #expect(try carrier.collect("/v1/x", []) == [0])
            }
        }
    }

    @Test("A body without a length is bounded as it arrives")
    func chunkedBodyBound() async throws {
        let requests = Counter()
        let script = { @Sendable (_: String, _: [UInt8]) in
            requests.increment()
            return HubAnswer.pieces([])
        }
        try await withHub(requestBytesMax: 8, script: script) { hub in
            let answer = try await onThread {
                RawSocket.exchange(
                    port: hub.port,
                    """
                    POST /v1/x HTTP/1.1
                    Host: h
                    Connection: close
                    Content-Type: application/octet-stream
                    Transfer-Encoding: chunked

                    8
                    12345678
                    1
                    9
                    0


                    """
                )
            }
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(requests.value == 0)
        }
    }

    @Test(
        "Only octets posted below /v1/ reach the service",
        arguments: [
            ("GET /healthz", "", 200), ("POST /healthz", "", 405), ("GET /v1/x", "", 405),
            ("POST /v2/x", "Content-Type: application/octet-stream\n", 404), ("GET /", "", 404),
            ("POST /v1/x", "Content-Type: application/json\n", 415), ("POST /v1/x", "", 415),
            ("POST /v1/x?y=1", "Content-Type: application/octet-stream\n", 200),
        ]
    )
    func routes(line: String, header: String, status: Int) async throws {
        let paths = Promise<String>()
        let script = { @Sendable (path: String, _: [UInt8]) in
            paths.fulfil(path)
            return HubAnswer.pieces([])
        }
        try await withHub(script: script) { hub in
            let request = "\(line) HTTP/1.1\nHost: h\nConnection: close\n\(header)Content-Length: 0\n\n"
            let answer = try await onThread { RawSocket.exchange(port: hub.port, request) }
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            if line.hasPrefix("POST"), status == 200 { #expect(await paths.value == "/v1/x") }
        }
    }

    @Test("Oversized headers are refused")
    func headerBound() async throws {
        try await withHub(script: { _, _ in .pieces([]) }) { hub in
            let header = "X: " + String(repeating: "x", count: 64 << 10)
            let answer = try await onThread {
                RawSocket.exchange(port: hub.port, "GET /healthz HTTP/1.1\nHost: h\n\(header)\n\n")
            }
            #expect(answer.hasPrefix("HTTP/1.1 431 "), "\(answer)")
        }
    }

    @Test("An answer that fails at once is a refusal, one that fails later is cut off")
    func failingAnswers() async throws {
        struct Broken: Error {}
        let script = { @Sendable (path: String, _: [UInt8]) in
            let pulls = Counter()
            return HubAnswer(status: 200) {
                if path == "/v1/at-once" || pulls.increment() > 3 { throw Broken() }
                return [1]
            }
        }
        try await withHub(tls: .forTests(), script: script) { hub in
            let early = await #expect(throws: CarrierError.self) { try await hub.post("/v1/at-once") }
            #expect(early?.name == "refused 500")
            let late = await #expect(throws: CarrierError.self) { try await hub.post("/v1/later") }
            #expect(late?.name == "interrupted")
        }
    }

    @Test("A client that takes nothing is cut off, and what its answer held is let go")
    func stalledClient() async throws {
        let released = Promise<Void>()
        let script = { @Sendable (_: String, _: [UInt8]) in
            let token = Token { released.fulfil(()) }
            return HubAnswer(status: 200) { withExtendedLifetime(token) { [UInt8](repeating: 0, count: 1 << 20) } }
        }
        try await withHub(stallTimeout: .milliseconds(20), script: script) { hub in
            let client = RawSocket.connect(port: hub.port)
            client.send(
                "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\nContent-Length: 0\r\n\r\n"
            )
            await released.value
            withExtendedLifetime(client) {}
        }
    }

    private static let post = "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Type: application/octet-stream\r\n"

    @Test("A request that drips in for ever is told so, and its connection ends")
    func drippingBody() async throws {
        var limits = ConnectionLimits()
        limits.requestTimeout = .milliseconds(50)
        let requests = Counter()
        let script = { @Sendable (_: String, _: [UInt8]) in
            requests.increment()
            return HubAnswer.pieces([])
        }
        try await withHub(limits: limits, script: script) { hub in
            let answer = try await onThread {
                let client = RawSocket.connect(port: hub.port)
                client.send(Self.post + "Transfer-Encoding: chunked\r\n\r\n")
                client.drip("1\r\nx\r\n")
                return client.receive()
            }
            #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
            #expect(answer.lowercased().contains("connection: close"))
            #expect(requests.value == 0)
        }
    }

    @Test("Silence and a head that drips in are told so once, and not to who was answered before")
    func drippingHead() async throws {
        var limits = ConnectionLimits()
        limits.idleTimeout = .milliseconds(50)
        try await withHub(limits: limits, script: { _, _ in .pieces([]) }) { hub in
            let answers = try await onThread {
                let head = RawSocket.connect(port: hub.port)
                head.send("GET /healthz HTTP/1.1\r\n")
                head.drip("X: y\r\n")
                let body = RawSocket.connect(port: hub.port)
                body.send(Self.post + "Content-Length: 10\r\n\r\nx")
                let answered = RawSocket.connect(port: hub.port)
                answered.send("GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
                return [head, body, answered].map { $0.receive() }
            }
            #expect(answers[0].hasPrefix("HTTP/1.1 408 "), "\(answers[0])")
            #expect(answers[1].hasPrefix("HTTP/1.1 408 "), "\(answers[1])")
            #expect(answers[2].hasPrefix("HTTP/1.1 200 ") && answers[2].hasSuffix("ok\n"), "\(answers[2])")
        }
        // A handshake that does not come to its end is time that passes, too.
        try await withHub(tls: .forTests(), limits: limits, script: { _, _ in .pieces([]) }) { hub in
            let answer = try await onThread { RawSocket.connect(port: hub.port).receive() }
            #expect(answer.isEmpty)
        }
    }

    @Test("Connections beyond the bound of one address, or of all, are told to come again")
    func tooManyConnections() async throws {
        var (ofAddress, ofAll) = (ConnectionLimits(), ConnectionLimits())
        ofAddress.connectionsOfAddressMax = 2
        ofAll.connectionsMax = 2
        for limits in [ofAddress, ofAll] {
            try await withHub(limits: limits, script: { _, body in .pieces([body]) }) { hub in
                try await onThread {
                    let probe = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
                    func served() -> RawSocket {
                        while true {
                            let client = RawSocket.connect(port: hub.port)
                            client.send(probe)
                            if client.receive(until: "ok\n").hasPrefix("HTTP/1.1 200 ") { return client }
                        }
                    }
                    var first: RawSocket? = served()
                    let second = served()
                    for request in [probe, Self.post + "Content-Length: 3\r\n\r\nabc"] {
                        let third = RawSocket.connect(port: hub.port)
                        third.send(request)
                        let answer = third.receive()
                        #expect(answer.hasPrefix("HTTP/1.1 503 "), "\(answer)")
                    }
                    // Those that were there go on, and a place that is left is another's.
                    first?.send(Self.post + "Content-Length: 3\r\n\r\nabc")
                    #expect(first?.receive(until: "abc").contains("HTTP/1.1 200 ") == true)
                    first = nil
                    withExtendedLifetime(served()) {}
                    withExtendedLifetime(second) {}
                }
            }
        }
    }

    @Test("A port that is taken is told as such")
    func takenPort() async throws {
        let (listener, port) = RawSocket.listening()
        let address = ListenAddress(host: "127.0.0.1", port: port)
        let server = HubServer(
            service: ScriptedHub { _, _ in .pieces([]) },
            configuration: HubServer.Configuration(address: address, identity: nil),
            logger: quiet
        ) { _ in }
        let error = await #expect(throws: ListenError.self) { try await server.run() }
        #expect(error?.description.hasPrefix("cannot listen on \(address): ") == true)
        withExtendedLifetime(listener) {}
    }
}
