// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCommands

/// A site's hub as the HTTP server asks it.
package struct SiteHub: HubService {
    private let hub: TsunaguCommands.Hub

    package init(_ site: Site) { hub = TsunaguCommands.Hub(site) }

    package func answer(path: String, body: [UInt8]) -> HubAnswer {
        let answer = hub.answer(path: path, body: body)
        return HubAnswer(status: answer.status, next: answer.next)
    }
}

extension Site {
    /// Exchanges with every hub this site knows, or with those named.
    ///
    /// - Parameter urls: addresses that take the place of the known hub's; it is trusted as that one.
    package func syncAll(_ urls: [String] = [], cancellation: CancellationFlag? = nil) throws -> [SyncReport] {
        let known = try peers()
        let addresses = try urls.isEmpty ? known : urls.map { try address($0, known.first) }
        return try addresses.map { address in
            do {
                return try sync(with: HTTPTransport(address, cancellation: cancellation))
            } catch let error as TransportError {
                return SyncReport(url: address.url, failure: CommandError(error, address.url))
            }
        }
    }

    private func address(_ url: String, _ known: HubAddress?) throws -> HubAddress {
        if url.hasPrefix("http://") { return HubAddress(url: url, trust: .plain) }
        if case .pin(let pin)? = known?.trust { return HubAddress(url: url, trust: .pin(pin)) }
        return HubAddress(url: url, trust: .system)
    }
}
