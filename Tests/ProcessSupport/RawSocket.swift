// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A TCP socket on 127.0.0.1, for what a well-behaved client or server would never send.
///
/// Blocking.
package final class RawSocket: Sendable {
    package let descriptor: CInt

    private init(descriptor: CInt) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    package static func connect(port: Int) -> RawSocket {
        guard let new = tryConnect(port: port) else { preconditionFailure("cannot connect to port \(port)") }
        return new
    }

    /// Nil where nobody listens.
    package static func tryConnect(port: Int) -> RawSocket? {
        let new = RawSocket(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        return withAddress(port: port) { Glibc.connect(new.descriptor, $0, $1) } == 0 ? new : nil
    }

    /// A socket that listens on a port of the system's choice.
    package static func listening() -> (socket: RawSocket, port: Int) {
        let new = RawSocket(descriptor: socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        let bound = withAddress(port: 0) { bind(new.descriptor, $0, $1) }
        precondition(bound == 0 && listen(new.descriptor, 8) == 0, "cannot listen")

        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(new.descriptor, $0, &length) }
        }
        return (new, Int(UInt16(bigEndian: address.sin_port)))
    }

    /// A port that nobody listens on.
    package static func closedPort() -> Int { listening().port }

    package func accept() -> RawSocket { RawSocket(descriptor: Glibc.accept(descriptor, nil, nil)) }

    /// Sends all of it, or what the other end takes.
    package func send(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends a text over and over, a thousand times a second at most, until the other end says something or hangs up.
    package func drip(_ text: String) {
        var answer = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&answer, 1, 1) == 0 { send(text) }
    }

    /// What the other end sends until a text, or its end.
    package func receive(until mark: String? = nil) -> String {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            text += buffer[..<count]
            if let mark, String(decoding: text, as: UTF8.self).contains(mark) { break }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func withAddress(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

extension RawSocket {
    /// The whole answer to one request, as text.
    ///
    /// The request's lines end in plain newlines here.
    package static func exchange(port: Int, _ request: String) -> String {
        let socket = connect(port: port)
        socket.send(request.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n"))
        return socket.receive()
    }
}
