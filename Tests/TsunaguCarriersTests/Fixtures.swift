// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import TsunaguCarriers

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs blocking work where it blocks neither the tasks' threads nor the servers that answer it.
func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result(catching: work)) }
    }
}

/// Runs services for as long as `body` does, then stops them gracefully and waits for their end.
func withServices<Value: Sendable>(
    _ services: [any Service],
    _ body: @Sendable () async throws -> Value
) async throws -> Value {
    let group = ServiceGroup(services: services, logger: quiet)
    return try await withThrowingTaskGroup { tasks in
        tasks.addTask { try await group.run() }
        let result: Result<Value, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        return try result.get()
    }
}

/// A value that one side sets once and the other waits for.
final class Promise<Value: Sendable>: Sendable {
    private let stream: AsyncStream<Value>
    private let continuation: AsyncStream<Value>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func fulfil(_ value: Value) { continuation.yield(value) }

    /// The next value that was set.
    var value: Value {
        get async {
            var iterator = stream.makeAsyncIterator()
            guard let value = await iterator.next() else { fatalError("cancelled while waiting for a value") }
            return value
        }
    }
}

/// Tells when it is let go.
final class Token: Sendable {
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }

    @discardableResult
    func increment() -> Int { count.add(1, ordering: .relaxed).newValue }
}

/// A hub that does what a closure says.
struct ScriptedHub: HubService {
    let script: @Sendable (_ path: String, _ body: [UInt8]) -> HubAnswer

    func answer(path: String, body: [UInt8]) -> HubAnswer { script(path, body) }
}

extension HubAnswer {
    /// A body of these pieces.
    static func pieces(_ pieces: [[UInt8]], status: Int = 200) -> HubAnswer {
        let rest = Mutex(pieces[...])
        return HubAnswer(status: status) { rest.withLock { $0.popFirst() } }
    }
}

extension TLSIdentity {
    static func forTests(validity: ClosedRange<Int64> = 1_700_000_000...4_000_000_000) throws -> TLSIdentity {
        try make(commonName: "tsunagu hub", validity: validity)
    }
}

/// A hub that runs, and how to reach it.
struct RunningHub: Sendable {
    let port: Int
    let identity: TLSIdentity?

    func carrier(trust: HTTPCarrier.Trust? = nil) throws -> HTTPCarrier {
        let url = try HubURL("\(identity == nil ? "http" : "https")://127.0.0.1:\(port)")
        // A machine that is busy with other tests takes its time to shake hands.
        var timeouts = HTTPCarrier.Timeouts()
        timeouts.connect = .seconds(120)
        return try HTTPCarrier(base: url, trust: trust ?? identity.map { .pin($0.pin) } ?? .plain, timeouts: timeouts)
    }

    /// Posts once, with a carrier of its own, and collects the answer.
    func post(_ path: String = "/v1/x", _ body: [UInt8] = [], trust: HTTPCarrier.Trust? = nil) async throws -> [UInt8] {
        try await onThread { try carrier(trust: trust).collect(path, body) }
    }
}

extension CarrierError {
    /// The case without its detail, which is libcurl's wording: `unreachable`, `refused 413`.
    var name: String {
        if case .refused(let status, _) = self { return "refused \(status)" }
        return Mirror(reflecting: self).children.first?.label ?? "\(self)"
    }
}

extension HTTPCarrier {
    func collect(_ path: String, _ body: [UInt8], cancellation: CancellationFlag? = nil) throws -> [UInt8] {
        var answer: [UInt8] = []
        _ = try post(path, body: body, cancellation: cancellation) { answer += $0 }
        return answer
    }
}

func withHub<Value: Sendable>(
    tls identity: TLSIdentity? = nil,
    requestBytesMax: Int? = nil,
    stallTimeout: Duration? = nil,
    limits: ConnectionLimits? = nil,
    script: @escaping @Sendable (_ path: String, _ body: [UInt8]) -> HubAnswer,
    _ body: @Sendable (RunningHub) async throws -> Value
) async throws -> Value {
    var configuration = HubServer.Configuration(address: ListenAddress(host: "127.0.0.1", port: 0), identity: identity)
    if let requestBytesMax { configuration.requestBytesMax = requestBytesMax }
    if let stallTimeout { configuration.stallTimeout = stallTimeout }
    if let limits { configuration.limits = limits }
    let port = Promise<Int>()
    let server = HubServer(service: ScriptedHub(script: script), configuration: configuration, logger: quiet) {
        port.fulfil($0)
    }
    return try await withServices([server]) {
        try await body(RunningHub(port: await port.value, identity: identity))
    }
}
