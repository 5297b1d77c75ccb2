// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The address of a hub or peer: `https://host[:port][/prefix]`.
///
/// Checked when it is made, so that a mistyped address is a usage error at once and not an unreachable peer later. It
/// has no user, query or fragment, and no slash at its end.
package struct HubURL: Hashable, Sendable {
    package let isSecure: Bool
    package let host: String
    package let port: Int?
    /// Empty, or begins with a slash.
    package let prefix: String

    package init(_ text: String) throws(CarrierError) {
        func unusable(_ why: String) -> CarrierError { .unusableAddress("\"\(text)\": \(why)") }

        var rest: Substring
        if text.hasPrefix("https://") {
            (isSecure, rest) = (true, text.dropFirst("https://".count))
        } else if text.hasPrefix("http://") {
            (isSecure, rest) = (false, text.dropFirst("http://".count))
        } else {
            throw unusable("an address begins with https:// or http://")
        }
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw unusable("a blank inside an address") }
        if let sign = rest.first(where: { "@?#\\".contains($0) }) { throw unusable("\(sign) inside an address") }

        while rest.hasSuffix("/") { rest.removeLast() }
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        prefix = String(rest[slash...])
        guard let hostAndPort = HostAndPort(rest[..<slash]) else {
            throw unusable("expected a host, or host:port, after //")
        }
        (host, port) = (hostAndPort.host, hostAndPort.port)
        guard port != 0 else { throw unusable("port 0 cannot be reached") }
    }

    /// The same place under the other scheme.
    package var inOtherScheme: HubURL {
        HubURL(isSecure: !isSecure, host: host, port: port, prefix: prefix)
    }

    private init(isSecure: Bool, host: String, port: Int?, prefix: String) {
        (self.isSecure, self.host, self.port, self.prefix) = (isSecure, host, port, prefix)
    }

    /// True when the host is this machine, which no proxy can reach for us.
    package var isLoopback: Bool { ListenAddress(host: host, port: 0).isLoopback }
}

extension HubURL: CustomStringConvertible {
    package var description: String {
        (isSecure ? "https://" : "http://") + HostAndPort(host: host, port: port).description + prefix
    }
}
