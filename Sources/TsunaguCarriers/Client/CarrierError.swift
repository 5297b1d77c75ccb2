// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Why an exchange over HTTP did not come to its end.
///
/// Whatever the case, nothing that a site has written is lost: the exchange is repeated later.
package enum CarrierError: Error, Hashable, Sendable {
    /// The address itself cannot be used: a mistake of the person or the configuration.
    case unusableAddress(String)
    /// libcurl is missing or too old for what we ask of it.
    case unavailable(String)
    /// No connection came about: no network, no such host, nothing that listens there.
    case unreachable(String)
    /// Somebody listens there who did not answer in the address's scheme: another kind of server, or a line that broke.
    case unanswered(String)
    /// Somebody answered who is not the one we were told to trust. Nothing was sent.
    case untrusted(String)
    /// The connection did not come about, or went silent, for longer than the time-outs allow.
    case timeout(String)
    /// The connection ended in the middle.
    case interrupted(String)
    /// The caller's ``CancellationFlag`` was set.
    case cancelled
    /// The other end answered with a status outside 200…299; `body` is the beginning of what it said.
    case refused(status: Int, body: [UInt8])
    /// The other end does not speak HTTP as we do.
    case malformed(String)
}

extension CarrierError {
    /// True when the same exchange may succeed later without anybody doing anything here.
    package var isTransient: Bool {
        switch self {
        case .unreachable, .unanswered, .timeout, .interrupted: true
        case .refused(let status, _): status >= 500 || status == 429
        case .unusableAddress, .unavailable, .untrusted, .cancelled, .malformed: false
        }
    }
}

extension CarrierError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unusableAddress(let detail): "unusable address \(detail)"
        case .unavailable(let detail): "cannot talk over HTTP: \(detail)"
        case .unreachable(let detail): "unreachable: \(detail)"
        case .unanswered(let detail): "no answer: \(detail)"
        case .untrusted(let detail): "not the hub we trust: \(detail)"
        case .timeout(let detail): "timed out: \(detail)"
        case .interrupted(let detail): "connection lost: \(detail)"
        case .cancelled: "cancelled"
        case .refused(let status, _): "refused with HTTP status \(status)"
        case .malformed(let detail): "unexpected answer: \(detail)"
        }
    }
}
