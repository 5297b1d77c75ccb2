// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TsunaguCarriers

import class TestSupport.Scratch

@Suite(.timeLimit(.minutes(1)))
struct SystemdNotifierTests {
    /// A datagram socket such as systemd listens on.
    private final class Listener: Sendable {
        let descriptor: CInt

        init(path: String) {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let result = withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            precondition(result == 0, "cannot bind \(path)")
        }

        deinit { close(descriptor) }

        func receive() -> String {
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        }
    }

    @Test("systemd hears of readiness, of life and of the end")
    func messages() async throws {
        let directory = try Scratch()
        let path = directory.path + "/notify"
        let listener = Listener(path: path)
        let notifier = try #require(
            SystemdNotifier(environment: [
                "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "\(getpid())",
            ])
        )
        #expect(notifier.watchdogInterval == .milliseconds(1))
        notifier.ready()
        #expect(listener.receive() == "READY=1")
        try await withServices([notifier]) {
            let messages = try await onThread { (1...3).map { _ in listener.receive() } }
            #expect(messages == ["WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"])
        }
        var last = listener.receive()
        while last == "WATCHDOG=1" { last = listener.receive() }
        #expect(last == "STOPPING=1")
    }

    @Test("Without a watchdog only the end is told")
    func noWatchdog() async throws {
        let directory = try Scratch()
        let path = directory.path + "/notify"
        let listener = Listener(path: path)
        let notifier = try #require(
            SystemdNotifier(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"])
        )
        #expect(notifier.watchdogInterval == nil)
        try await withServices([notifier]) {}
        #expect(listener.receive() == "STOPPING=1")
    }

    @Test(
        "Without systemd, or with a name that is none, there is nothing to notify",
        arguments: [[:], ["NOTIFY_SOCKET": ""], ["NOTIFY_SOCKET": "vsock:2:1"]]
    )
    func absent(environment: [String: String]) {
        #expect(SystemdNotifier(environment: environment) == nil)
        let long = "/" + String(repeating: "x", count: 200)
        #expect(SystemdNotifier(environment: ["NOTIFY_SOCKET": long]) == nil)
    }
}
