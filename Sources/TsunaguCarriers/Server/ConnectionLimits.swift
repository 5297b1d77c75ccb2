// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How much of a server its clients may take up.
package struct ConnectionLimits: Hashable, Sendable {
    /// Each may hold one request body: 1 GiB in all at worst, whoever is behind it.
    package var connectionsMax = 256
    /// Of one network address, behind which a whole branch may be.
    package var connectionsOfAddressMax = 64
    /// For the silence of a client that is not waiting for us, and for the whole of a request's head.
    package var idleTimeout: Duration = .seconds(60)
    /// For the whole of a request, however steadily it drips in.
    package var requestTimeout: Duration = .seconds(300)

    package init() {}

    /// Connections beyond the bounds that are told so at once; further ones wait in the system's queue.
    static let refusedConnectionsMax = 64
    /// For a client that is refused to say what it wanted, so that it hears the answer.
    static let refusalTimeout: Duration = .seconds(5)
}

/// The connections that a server has just now.
final class ConnectionCount: Sendable {
    private let limits: ConnectionLimits
    private let open = Mutex<(all: Int, ofAddress: [String: Int])>((0, [:]))

    init(_ limits: ConnectionLimits) { self.limits = limits }

    /// Counts a connection in; false, and nothing is counted, where there are too many in all or of its address.
    func enter(_ address: String) -> Bool {
        open.withLock { open in
            let own = open.ofAddress[address, default: 0]
            guard open.all < limits.connectionsMax, own < limits.connectionsOfAddressMax else { return false }
            open.all += 1
            open.ofAddress[address] = own + 1
            return true
        }
    }

    /// Counts out a connection that was counted in.
    func leave(_ address: String) {
        open.withLock { open in
            open.all -= 1
            open.ofAddress[address] = open.ofAddress[address].flatMap { $0 > 1 ? $0 - 1 : nil }
        }
    }
}
