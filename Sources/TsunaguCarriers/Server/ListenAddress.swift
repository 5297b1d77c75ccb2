// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An address to listen on, `host:port`.
///
/// Port 0 lets the system choose a free one.
package struct ListenAddress: Hashable, Sendable {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Takes `127.0.0.1:8787`, `localhost:0` or `[::1]:8787`; nil when it is none of these.
    package init?(_ text: String) {
        guard let parts = HostAndPort(text), let port = parts.port else { return nil }
        self.init(host: parts.host, port: port)
    }

    /// True when only this machine can reach the address: 127.0.0.0/8, ::1 or `localhost`.
    package var isLoopback: Bool {
        if host == "localhost" { return true }
        var ipv4 = in_addr()
        if inet_pton(AF_INET, host, &ipv4) == 1 { return UInt32(bigEndian: ipv4.s_addr) >> 24 == 127 }
        var ipv6 = in6_addr()
        guard inet_pton(AF_INET6, host, &ipv6) == 1 else { return false }
        return withUnsafeBytes(of: ipv6) { $0.dropLast().allSatisfy { $0 == 0 } && $0.last == 1 }
    }

    /// True when every interface of this machine is meant: 0.0.0.0 or ::.
    var isWildcard: Bool { host == "0.0.0.0" || host == "::" }

    /// The address that a program on this machine reaches it at.
    package func url(scheme: String, port: Int) -> String {
        let reachable = isWildcard ? "127.0.0.1" : host
        return "\(scheme)://\(HostAndPort(host: reachable, port: port))"
    }
}

extension ListenAddress: CustomStringConvertible {
    package var description: String { HostAndPort(host: host, port: port).description }
}

/// Why a server does not listen.
package enum ListenError: Error, Hashable, Sendable {
    /// The local API shows what only this machine's users may see.
    case notLoopback(ListenAddress)
    case cannotBind(ListenAddress, reason: String)
}

extension ListenError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notLoopback(let address):
            "the local API listens on this machine only: \(address) is no loopback address (use 127.0.0.1 or [::1])"
        case .cannotBind(let address, let reason):
            "cannot listen on \(address): \(reason)"
        }
    }
}
