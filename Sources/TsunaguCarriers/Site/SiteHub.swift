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
    /// Exchanges with every peer this site knows, or with those named, which it remembers from then on.
    ///
    /// What one brings goes to those before it too, so that "up to date" is true of all when it is over.
    package func syncAll(_ urls: [String] = [], cancellation: CancellationFlag? = nil) throws -> [SyncReport] {
        let known = try peers()
        return try sync(with: urls.isEmpty ? known : urls.map { Self.address($0, known) }) { address in
            try HTTPTransport(address, cancellation: cancellation)
        }
    }

    /// An address that a person named: a known one is trusted as it is; over TLS anybody may answer, since it is the
    /// device that has to prove itself.
    private static func address(_ url: String, _ known: [PeerAddress]) -> PeerAddress {
        if let same = known.first(where: { $0.url == url }) { return same }
        return PeerAddress(url: url, trust: url.hasPrefix("http://") ? .plain : .anyone)
    }
}

extension SyncOutcome {
    /// What came of a sync with several peers: one that is down for long does not make the others wait.
    package init(_ reports: [SyncReport]) {
        let answered = reports.filter { $0.failure == nil }
        let codes = Set(reports.compactMap(\.failure?.code))
        if !answered.isEmpty || reports.isEmpty {
            self = answered.allSatisfy(\.upToDate) ? .upToDate : .behind
        } else if codes.contains(.unreachable) {
            self = .unreachable
        } else {
            self = codes.isDisjoint(with: [.notPermitted, .usage]) ? .behind : .refused
        }
    }
}
