// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
import ServiceLifecycle

/// Tells systemd how the daemon is: the protocol of `sd_notify(3)`, one datagram per message.
///
/// As a service it sends the watchdog's sign of life, and says so when the daemon begins to stop.
package struct SystemdNotifier: Service {
    private let address: sockaddr_un
    private let addressLength: socklen_t
    /// How often a sign of life is due: half of what systemd allows.
    ///
    /// Nil without a watchdog.
    package let watchdogInterval: Duration?

    /// Nil when the daemon does not run under systemd, or the socket's name is none.
    package init?(environment: [String: String]) {
        guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        // An abstract socket's name begins with a zero byte, written as @.
        if name[0] == UInt8(ascii: "@") { name[0] = 0 }
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        self.address = address
        addressLength = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + name.count)

        let isForUs = environment["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
        watchdogInterval = environment["WATCHDOG_USEC"].flatMap { Int64($0) }.flatMap { microseconds in
            isForUs && microseconds > 0 ? .microseconds(microseconds) / 2 : nil
        }
    }

    /// The daemon listens: units that wait for it may start.
    package func ready() { send("READY=1") }

    /// Signs of life until graceful shutdown.
    ///
    /// They come from the tasks' own threads, so a daemon that is stuck is silent.
    package func run() async throws {
        defer { send("STOPPING=1") }
        guard let watchdogInterval else { return try await gracefulShutdown() }
        try? await cancelWhenGracefulShutdown {
            while true {
                send("WATCHDOG=1")
                try await Task.sleep(for: watchdogInterval)
            }
        }
    }

    /// Best effort: a daemon does not fail because nobody listens to how it is.
    private func send(_ message: String) {
        let sender = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard sender >= 0 else { return }
        defer { close(sender) }
        let bytes = Array(message.utf8)
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(sender, bytes, bytes.count, Int32(MSG_NOSIGNAL), address, addressLength)
            }
        }
    }
}
