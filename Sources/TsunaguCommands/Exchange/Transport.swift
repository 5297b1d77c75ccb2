// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// How an exchange's bytes get to a peer and back; HTTPS, or whatever a test hands in.
package protocol Transport {
    /// The peer's address, for messages.
    var address: String { get }
    /// Bytes of bodies so far.
    var traffic: (sent: Int, received: Int) { get }
    /// What the peer's clock showed at its last answer, Unix milliseconds; `nil` where the carrier does not tell.
    var peerTime: UInt64? { get }

    /// Posts a body and hands over the answer as it arrives.
    ///
    /// - Throws: `TransportError`, or what `onChunk` threw.
    func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws
}

/// Why a peer could not be talked to.
package enum TransportError: Error, Hashable, Sendable {
    /// No connection, or it broke; trying later may help.
    case unreachable(String)
    /// Somebody answers who is not the one to trust.
    case untrusted(String)
    /// The peer refused the request as a whole.
    case refused(status: Int, String)
    /// Stopped by the caller.
    case cancelled
    /// The peer answers under this address, which has the other scheme.
    case otherScheme(String)
    /// The address or the machine's set-up is wrong.
    case unusable(String)
}

extension Transport {
    package var peerTime: UInt64? { nil }

    /// Posts and collects an answer of bounded size.
    ///
    /// - Parameter onChunk: called for each piece; may throw to end it.
    func collect(
        _ path: String,
        _ body: [UInt8],
        atMost bound: Int,
        onChunk: () throws -> Void = {}
    ) throws -> [UInt8] {
        var answer: [UInt8] = []
        try post(path, body) { chunk in
            try onChunk()
            guard answer.count + chunk.count <= bound else {
                throw TransportError.refused(status: 0, "the answer is too large")
            }
            answer.append(contentsOf: chunk)
        }
        return answer
    }
}

/// How a peer is reached and trusted, as an invitation or a person says it.
package struct PeerAddress: Hashable, Sendable {
    /// How the peer proves who it is below our own authentication, which does not need it.
    package enum Trust: Hashable, Sendable {
        /// SHA-256 of its public key.
        case pin([UInt8])
        /// By the machine's certificate authorities.
        case system
        /// Plain HTTP, on this machine or behind a proxy.
        case plain
        /// TLS with anybody: a site of the ward in the same network proves itself by its device key.
        case anyone
    }

    package var url: String
    package var trust: Trust

    package init(url: String, trust: Trust) {
        self.url = url
        self.trust = trust
    }

    init?(url: String, trust bytes: [UInt8]) {
        self.url = url
        switch bytes.first {
        case 1: trust = .pin(Array(bytes.dropFirst()))
        case 2: trust = .system
        case 3: trust = .plain
        case 4: trust = .anyone
        default: return nil
        }
    }

    var trustBytes: [UInt8] {
        switch trust {
        case .pin(let pin): [1] + pin
        case .system: [2]
        case .plain: [3]
        case .anyone: [4]
        }
    }
}
