// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCommands

/// An exchange's bytes over HTTP.
package final class HTTPTransport: Transport {
    private let carrier: HTTPCarrier
    private let cancellation: CancellationFlag?

    /// - Throws: `TransportError.unusable` for an address that cannot be one.
    package init(_ address: PeerAddress, cancellation: CancellationFlag? = nil) throws {
        self.cancellation = cancellation
        do {
            let trust: HTTPCarrier.Trust
            switch address.trust {
            case .pin(let bytes):
                guard let pin = PublicKeyPin(sha256: bytes) else {
                    throw TransportError.unusable("a pin of \(bytes.count) bytes")
                }
                trust = .pin(pin)
            case .system: trust = .system
            case .plain: trust = .plain
            case .anyone: trust = .anyone
            }
            carrier = try HTTPCarrier(base: HubURL(address.url), trust: trust)
        } catch let error as CarrierError {
            throw TransportError(error)
        }
    }

    /// Whether an HTTP server is there, only not under the scheme of the address; it is sent nothing.
    private func answersInOtherScheme() -> Bool {
        let other = carrier.base.inOtherScheme
        do {
            let probe = try HTTPCarrier(base: other, trust: other.isSecure ? .anyone : .plain)
            _ = try probe.post("/v1/hello", body: [], cancellation: cancellation) { _ in }
            return true
        } catch CarrierError.refused {
            return true
        } catch {
            return false
        }
    }

    package var address: String { carrier.base.description }

    package var traffic: (sent: Int, received: Int) { (carrier.traffic.bytesSent, carrier.traffic.bytesReceived) }

    package var peerTime: UInt64? { carrier.peerTime.map { UInt64(max(0, $0)) * 1000 } }

    package func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws {
        do {
            _ = try carrier.post(path, body: body, cancellation: cancellation, onChunk: onChunk)
        } catch CarrierError.unanswered where answersInOtherScheme() {
            throw TransportError.otherScheme(carrier.base.inOtherScheme.description)
        } catch let error as CarrierError {
            throw TransportError(error)
        }
    }
}

extension TransportError {
    fileprivate init(_ error: CarrierError) {
        switch error {
        case .unusableAddress(let detail), .unavailable(let detail): self = .unusable(detail)
        case .unreachable(let detail), .unanswered(let detail), .timeout(let detail), .interrupted(let detail):
            self = .unreachable(detail)
        case .untrusted(let detail): self = .untrusted(detail)
        case .cancelled: self = .cancelled
        case .refused(let status, let body):
            self = .refused(status: status, String(decoding: body.prefix(200), as: UTF8.self))
        case .malformed(let detail): self = .refused(status: 0, detail)
        }
    }
}
