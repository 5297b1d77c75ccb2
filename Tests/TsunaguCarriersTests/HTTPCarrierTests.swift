// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ProcessSupport
import Synchronization
import Testing
import TsunaguCarriers

@Suite(.timeLimit(.minutes(1)))
struct HTTPCarrierTests {
    @Test("A body arrives and its answer comes back, over TLS with a pin and in the open", arguments: [true, false])
    func roundTrip(secure: Bool) async throws {
        let identity = secure ? try TLSIdentity.forTests() : nil
        try await withHub(tls: identity, script: { path, body in .pieces([Array(path.utf8), body]) }) { hub in
            let answer = try await hub.post("/v1/pull", [1, 2, 3])
            #expect(answer == Array("/v1/pull".utf8) + [1, 2, 3])
            let answerToNothing = try await hub.post("/v1/", [])
            #expect(answerToNothing == Array("/v1/".utf8))
        }
    }

    @Test("The wrong key is refused, and no request reaches its holder")
    func wrongPin() async throws {
        let requests = Counter()
        let script = { @Sendable (_: String, _: [UInt8]) in
            requests.increment()
            return HubAnswer.pieces([])
        }
        let stranger = try TLSIdentity.forTests()
        try await withHub(tls: .forTests(), script: script) { hub in
            let error = await #expect(throws: CarrierError.self) {
                try await hub.post(trust: .pin(stranger.pin))
            }
            #expect(error?.name == "untrusted")
            #expect(requests.value == 0)
        }
    }

    @Test("A self-made certificate is not trusted by the system's authorities")
    func systemTrust() async throws {
        try await withHub(tls: .forTests(), script: { _, _ in .pieces([]) }) { hub in
            let error = await #expect(throws: CarrierError.self) { try await hub.post(trust: .system) }
            #expect(error?.name == "untrusted")
        }
    }

    @Test("A certificate that expired long ago is as good as its key")
    func expiredCertificate() async throws {
        try await withHub(tls: .forTests(validity: 0...86_400), script: { _, _ in .pieces([[7]]) }) { hub in
            let answer = try await hub.post()
            #expect(answer == [7])
        }
    }

    @Test("Posts share one connection")
    func connectionReuse() async throws {
        try await withHub(tls: .forTests(), script: { _, body in .pieces([body, body]) }) { hub in
            let traffic = try await onThread {
                let carrier = try hub.carrier()
                for round in 1...3 { _ = try carrier.collect("/v1/x", [UInt8](repeating: 0, count: round)) }
                return carrier.traffic
            }
            #expect(traffic.posts == 3)
            #expect(traffic.connections == 1)
            #expect(traffic.bytesSent == 6)
            #expect(traffic.bytesReceived == 12)
        }
    }

    @Test("A large body needs no leave to be sent")
    func largeBody() async throws {
        let body = [UInt8](repeating: 0xA5, count: 3 << 20)
        try await withHub(tls: .forTests(), script: { _, body in .pieces([body]) }) { hub in
            let answer = try await hub.post("/v1/x", body)
            #expect(answer == body)
        }
    }

    @Test("While the reader is busy the hub makes no more pieces than the sockets hold")
    func backPressure() async throws {
        let pieces = Counter()
        let pieceBytes = 64 << 10
        let total = 2048
        let script = { @Sendable (path: String, _: [UInt8]) in
            guard path == "/v1/stream" else { return HubAnswer.pieces([]) }
            return HubAnswer(status: 200) {
                pieces.increment() <= total ? [UInt8](repeating: 1, count: pieceBytes) : nil
            }
        }
        try await withHub(script: script) { hub in
            let (ahead, received) = try await onThread {
                var received = 0
                var ahead = 0
                _ = try hub.carrier().post("/v1/stream", body: []) { chunk in
                    if received == 0 {
                        // The reader is busy for as long as the same hub takes to answer others a hundred times.
                        let other = try hub.carrier()
                        for _ in 1...100 { _ = try other.collect("/v1/other", []) }
                        ahead = pieces.value
                    }
                    received += chunk.count
                }
                return (ahead, received)
            }
            #expect(received == total * pieceBytes)
            #expect(ahead * pieceBytes < 32 << 20, "of \(total * pieceBytes) bytes")
        }
    }

    @Test("An error of the reader ends the transfer, and the carrier goes on")
    func readerFails() async throws {
        struct Enough: Error {}
        let released = Promise<Void>()
        let script = { @Sendable (path: String, _: [UInt8]) in
            guard path == "/v1/endless" else { return HubAnswer.pieces([[1]]) }
            let token = Token { released.fulfil(()) }
            return HubAnswer(status: 200) { withExtendedLifetime(token) { [UInt8](repeating: 0, count: 1 << 16) } }
        }
        try await withHub(tls: .forTests(), script: script) { hub in
            let traffic = try await onThread {
                let carrier = try hub.carrier()
                #expect(throws: Enough.self) {
                    try carrier.post("/v1/endless", body: []) { _ in throw Enough() }
                }
                #expect(try carrier.collect("/v1/x", []) == [1])
                return carrier.traffic
            }
            #expect(traffic.connections == 2)
            await released.value
        }
    }

    @Test("A cancelled post ends while the hub is still thinking")
    func cancellation() async throws {
        let arrived = Promise<Void>()
        let cancellation = CancellationFlag()
        let done = CancellationFlag()
        let script = { @Sendable (_: String, _: [UInt8]) in
            arrived.fulfil(())
            while !done.isCancelled {}
            return HubAnswer.pieces([])
        }
        try await withHub(script: script) { hub in
            let answer = Task {
                try await onThread { try hub.carrier().collect("/v1/x", [], cancellation: cancellation) }
            }
            await arrived.value
            cancellation.cancel()
            await #expect(throws: CarrierError.cancelled) { try await answer.value }
            done.cancel()
        }
        await #expect(throws: CarrierError.cancelled) {
            try await onThread {
                let carrier = try HTTPCarrier(base: HubURL("http://127.0.0.1:9"), trust: .plain)
                return try carrier.collect("/v1/x", [], cancellation: cancellation)
            }
        }
    }

    @Test("Where nobody listens is unreachable")
    func closedPort() async throws {
        let error = await #expect(throws: CarrierError.self) {
            try await RunningHub(port: RawSocket.closedPort(), identity: nil).post()
        }
        #expect(error?.name == "unreachable")
    }

    @Test("A port that does not speak TLS, or nothing but TLS, leaves us unanswered")
    func noTLS() async throws {
        let identity = try TLSIdentity.forTests()
        try await withHub(script: { _, _ in .pieces([]) }) { hub in
            let error = await #expect(throws: CarrierError.self) {
                try await RunningHub(port: hub.port, identity: identity).post()
            }
            #expect(error?.name == "unanswered" && error?.isTransient == true)
        }
        try await withHub(tls: identity, script: { _, _ in .pieces([]) }) { hub in
            let error = await #expect(throws: CarrierError.self) {
                try await RunningHub(port: hub.port, identity: nil).post()
            }
            #expect(error?.name == "unanswered" && error?.isTransient == true)
        }
    }

    @Test("A refusal carries its status and reason, and the reader sees none of it", arguments: [403, 409, 503])
    func refusal(status: Int) async throws {
        try await withHub(script: { _, _ in .pieces([[1], [2]], status: status) }) { hub in
            let seen = Counter()
            await #expect(throws: CarrierError.refused(status: status, body: [1, 2])) {
                try await onThread {
                    try hub.carrier().post("/v1/x", body: []) { _ in seen.increment() }
                }
            }
            #expect(seen.value == 0)
        }
    }

    /// Posts to a server that answers with these bytes and closes the connection.
    private func post(answeredBy answer: String) async throws -> [UInt8] {
        let (listener, port) = RawSocket.listening()
        async let posted = RunningHub(port: port, identity: nil).post()
        _ = try await onThread {
            let connection = listener.accept()
            _ = connection.receive(until: "\r\n\r\n")
            connection.send(answer)
        }
        return try await posted
    }

    @Test("Half an answer is never taken for a whole one")
    func truncatedAnswer() async throws {
        let answers = [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
        ]
        for answer in answers {
            let error = await #expect(throws: CarrierError.self) { try await post(answeredBy: answer) }
            #expect(error?.name == "interrupted")
        }
    }

    @Test("Endless headers, other protocols and redirects are not followed")
    func hostileAnswers() async throws {
        let line = "X: " + String(repeating: "x", count: 1000) + "\r\n"
        let headers = "HTTP/1.1 200 OK\r\n" + String(repeating: line, count: 100)
        for answer in [headers, "SSH-2.0-OpenSSH_9.2\r\n"] {
            let error = await #expect(throws: CarrierError.self) { try await post(answeredBy: answer) }
            #expect(error?.name == "malformed")
        }
        await #expect(throws: CarrierError.refused(status: 302, body: [])) {
            try await post(
                answeredBy: "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            )
        }
    }

    @Test("An address and a way to trust it must agree")
    func trustAndScheme() throws {
        let pin = try #require(PublicKeyPin(sha256: [UInt8](repeating: 0, count: 32)))
        for (url, trust) in [("https://h", .plain), ("http://h", .system), ("http://h", .pin(pin))]
            as [(String, HTTPCarrier.Trust)]
        {
            #expect(throws: CarrierError.self) { try HTTPCarrier(base: HubURL(url), trust: trust) }
        }
    }
}
