// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

import struct TestSupport.SeededGenerator

/// A TCP proxy between sites and their hub, with the faults of bad lines, drawn from a seed.
///
/// `state` is touched under `condition` only; all sockets belong to the one thread that carries bytes.
final class HostileProxy: @unchecked Sendable {
    enum Direction { case up, down }

    /// What befalls a connection.
    enum Fault {
        case none
        /// It ends after so many bytes towards the hub, or towards the site.
        case cut(Direction, after: Int)
        /// Bytes wait until others have passed, or until nothing else can.
        case hold
        /// What is too large for one packet is lost, and the connection with it.
        case loseLarge
        /// What the site says is said again by another, at the same time or when all is over.
        case repeated(isBeside: Bool)

        var name: String {
            switch self {
            case .none: "none"
            case .cut(.up, _): "cut up"
            case .cut(.down, _): "cut down"
            case .hold: "hold"
            case .loseLarge: "lose large"
            case .repeated(isBeside: true): "repeat beside"
            case .repeated(isBeside: false): "repeat after"
            }
        }
    }

    /// What somebody who says a site's bytes again is told.
    struct Repetition {
        let said: [UInt8]
        let answer: [UInt8]
        /// Said at the same time; either may then be the first.
        let isBeside: Bool
        /// The hub hung up.
        let isEnded: Bool
    }

    struct State {
        var generator: SeededGenerator
        var fault: (inout SeededGenerator) -> Fault = { _ in .none }
        /// Connections by what befell them.
        var connections: [String: Int] = [:]
        /// Taken from the other end, by direction.
        var bytes: [Direction: Int] = [.up: 0, .down: 0]
        var repetitions: [Repetition] = []
        var repetitionsUnderWay = 0
        var isOver = false
    }

    private static let packetBytes = 1400

    /// Where sites find it instead of the hub.
    let url: String
    private let port: Int
    private let target: Int
    private let condition = NSCondition()
    private var state: State

    /// - Parameter hub: a site whose hub runs.
    init(to hub: TestSite, seed: UInt64) throws {
        let address = try #require(hub.hub.flatMap { URL(string: $0) })
        let listener: RawSocket
        (listener, port) = RawSocket.listening()
        target = try #require(address.port)
        url = "\(address.scheme ?? "")://127.0.0.1:\(port)"
        state = State(generator: SeededGenerator(seed: seed))
        let thread = Thread { [self] in carry(listener) }
        thread.start()
    }

    /// Ends all connections, and the thread.
    func end() {
        withState { $0.isOver = true }
        // The thread may wait for a connection.
        _ = RawSocket.tryConnect(port: port)
    }

    /// What befalls connections from now on.
    func befall(_ fault: @escaping (inout SeededGenerator) -> Fault) { withState { $0.fault = fault } }

    func withState<T>(_ body: (inout State) -> T) -> T {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        return body(&state)
    }

    /// - Returns: false where it did not come to be in half a minute.
    func wait(until isReached: (State) -> Bool) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        let limit = Date(timeIntervalSinceNow: 30)
        while !isReached(state) { if !condition.wait(until: limit) { return false } }
        return true
    }

    // MARK: - The thread

    /// One connection, or one that says another's bytes again.
    private final class Line {
        /// Nil in a repetition.
        let site: RawSocket?
        let hub: RawSocket
        var fault: Fault
        /// Not yet taken by the other end.
        var waiting: [Direction: [UInt8]] = [.up: [], .down: []]
        var held: [Direction: [UInt8]] = [.up: [], .down: []]
        var said: [UInt8] = []
        var answer: [UInt8] = []
        var beside: Line?
        var isBeside = false
        var isRepetitionComplete = false
        /// Nothing more is read; what waits still goes.
        var isEnding = false

        init(site: RawSocket?, hub: RawSocket, fault: Fault) { (self.site, self.hub, self.fault) = (site, hub, fault) }

        var isHolding: Bool { !held.values.allSatisfy(\.isEmpty) }

        func release() {
            for (direction, bytes) in held { waiting[direction]! += bytes }
            held = [.up: [], .down: []]
        }

        /// Gives as much as the other end takes.
        func give(_ direction: Direction) {
            guard let socket = direction == .up ? hub : site else { return waiting[direction] = [] }
            while let bytes = waiting[direction], !bytes.isEmpty {
                let count = bytes.withUnsafeBytes {
                    send(socket.descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
                }
                if count < 0, errno == EAGAIN { return }
                if count < 0 {
                    waiting[direction] = []
                    isEnding = true
                } else {
                    waiting[direction]!.removeFirst(count)
                }
            }
        }
    }

    private func carry(_ listener: RawSocket) {
        var lines: [Line] = []
        while !withState(\.isOver) {
            var sockets = [pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)]
            for line in lines {
                sockets.append(Self.interest(line, line.site, line.waiting[.down]!))
                sockets.append(Self.interest(line, line.hub, line.waiting[.up]!))
            }
            guard poll(&sockets, nfds_t(sockets.count), -1) > 0 else { continue }
            for (place, line) in lines.enumerated() {
                for (socket, direction) in [(sockets[1 + 2 * place], Direction.up), (sockets[2 + 2 * place], .down)]
                where socket.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 && !line.isEnding {
                    take(direction, of: line, among: lines)
                }
            }
            // Where nothing else can pass, what is held is next.
            let sites = lines.filter { $0.site != nil && !$0.isEnding }
            if sites.allSatisfy(\.isHolding) { for line in sites { line.release() } }
            for line in lines {
                line.beside?.give(.up)
                line.give(.up)
                line.give(.down)
            }
            lines = lines.flatMap { isOver($0) ? end($0) : [$0] }
            if sockets[0].revents != 0 { lines += accept(listener) }
        }
    }

    private static func interest(_ line: Line, _ socket: RawSocket?, _ waiting: [UInt8]) -> pollfd {
        let events = (line.isEnding ? 0 : Int16(POLLIN)) | (waiting.isEmpty ? 0 : Int16(POLLOUT))
        return pollfd(fd: events == 0 ? -1 : socket?.descriptor ?? -1, events: events, revents: 0)
    }

    private func accept(_ listener: RawSocket) -> [Line] {
        let site = listener.accept()
        guard let hub = RawSocket.tryConnect(port: target) else { return [] }
        let fault = withState { state in
            let fault = state.fault(&state.generator)
            state.connections[fault.name, default: 0] += 1
            return fault
        }
        let line = Line(site: site, hub: hub, fault: fault)
        guard case .repeated(isBeside: true) = fault, let beside = repetition() else { return [line] }
        beside.isBeside = true
        line.beside = beside
        return [line, beside]
    }

    private func repetition() -> Line? {
        guard let hub = RawSocket.tryConnect(port: target) else { return nil }
        withState { $0.repetitionsUnderWay += 1 }
        return Line(site: nil, hub: hub, fault: .none)
    }

    /// Reads once from one end.
    private func take(_ direction: Direction, of line: Line, among lines: [Line]) {
        guard let socket = direction == .up ? line.site : line.hub else { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(socket.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN { return }
        for other in lines { other.release() }
        guard count > 0 else {
            line.isEnding = true
            return
        }
        var bytes = Array(buffer[..<count])
        switch line.fault {
        case .cut(direction, let rest):
            if bytes.count >= rest {
                bytes.removeSubrange(rest...)
                line.isEnding = true
            }
            line.fault = .cut(direction, after: rest - bytes.count)
        case .loseLarge where bytes.count > Self.packetBytes:
            bytes.removeSubrange(Self.packetBytes...)
            line.isEnding = true
        case .hold:
            line.held[direction] = bytes
            return
        default: break
        }
        if line.site == nil {
            line.answer += bytes
        } else {
            withState { $0.bytes[direction]! += bytes.count }
        }
        if direction == .up {
            line.said += bytes
            line.beside?.said += bytes
            line.beside?.waiting[.up]! += bytes
        }
        line.waiting[direction]! += bytes
    }

    private func isOver(_ line: Line) -> Bool {
        if line.isEnding { return line.waiting.values.allSatisfy(\.isEmpty) }
        // A repetition is over when as many answers came as there were requests; over TLS that is never.
        guard line.isRepetitionComplete else { return false }
        let requests = line.said.count(of: "POST /v1/")
        return requests > 0 && line.answer.count(of: "HTTP/1.1 ") >= requests
    }

    /// - Returns: what comes after it.
    private func end(_ line: Line) -> [Line] {
        if line.site == nil {
            withState { state in
                state.repetitions.append(
                    Repetition(
                        said: line.said,
                        answer: line.answer,
                        isBeside: line.isBeside,
                        isEnded: line.isEnding
                    )
                )
                state.repetitionsUnderWay -= 1
            }
            return []
        }
        line.beside?.isRepetitionComplete = true
        guard case .repeated(isBeside: false) = line.fault, let after = repetition() else { return [] }
        after.said = line.said
        after.waiting[.up] = line.said
        after.give(.up)
        after.isRepetitionComplete = true
        return [after]
    }
}

extension [UInt8] {
    /// How often the bytes of a text occur.
    func count(of text: String) -> Int {
        let needle = Array(text.utf8)
        guard count >= needle.count else { return 0 }
        return (0...(count - needle.count)).count { self[$0..<$0 + needle.count].elementsEqual(needle) }
    }
}
