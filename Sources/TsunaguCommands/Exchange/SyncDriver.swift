// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore
import TsunaguStore
package import TsunaguSync

/// What a sync with one peer came to.
package struct SyncReport: Sendable {
    package var url: String
    package var outcome: SyncClient.Outcome
    package var bytesSent: Int
    package var bytesReceived: Int
    /// Why it ended early; what was exchanged before stays.
    package var failure: CommandError?

    package init(
        url: String,
        outcome: SyncClient.Outcome = SyncClient.Outcome(),
        bytesSent: Int = 0,
        bytesReceived: Int = 0,
        failure: CommandError? = nil
    ) {
        self.url = url
        self.outcome = outcome
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
        self.failure = failure
    }

    package var upToDate: Bool { failure == nil && outcome.upToDate }
}

/// Runs an exchange over a transport: handshake, then what `SyncClient` says.
struct SyncDriver {
    let site: Site
    let transport: any Transport
    private var counter: UInt64 = 0
    private var keys: SessionKeys
    private let hub: DeviceID

    /// Shakes hands; both ends have proved their device keys after it.
    init(_ site: Site, _ transport: any Transport) throws {
        self.site = site
        self.transport = transport
        let handshake = Handshake.Client(device: site.keys.device)
        let bytes = try transport.collect("/v1/hello", handshake.hello.encoded, atMost: 4096)
        let welcome = try Handshake.Welcome(decoding: bytes)
        hub = welcome.hub
        let isTrusted = try site.read { transaction in
            if case .bytes(let key)? = try transaction.meta("introducer_key"), key == welcome.signingKey,
                try transaction.meta("joined") == nil
            {
                return true
            }
            return try transaction.currentAccess()?.isAdmin(welcome.hub) == true
                && transaction.signingKey(of: welcome.hub).map { Array($0.rawRepresentation) } == welcome.signingKey
        }
        guard isTrusted else { throw SyncError.notAuthenticated("the hub is no admin's device of this ward") }
        keys = try handshake.finish(welcome, sign: site.keys.sign)
        try noteEpoch(welcome.epoch)
        try noteClock()
    }

    /// By how much the hub's clock is ahead of this machine's, milliseconds.
    static let clockOffset = "clock_offset"

    /// Carriers tell the time by the second, and the line takes some: what is nearer is the same.
    private static let clockMillisecondsMin: Int64 = 5000

    private func noteClock() throws {
        guard let theirs = transport.peerTime else { return }
        let offset = Int64(clamping: theirs) - Int64(clamping: site.store.now())
        let known = try site.read { try $0.meta(Self.clockOffset)?.integer }
        if let known, abs(offset - known) < Self.clockMillisecondsMin { return }
        try site.write { try $0.setMeta(Self.clockOffset, .integer(offset)) }
    }

    /// A hub whose epoch changed was replaced or rolled back; it gets again what it lacks, since what is sent follows
    /// its vectors, and a person is told.
    private func noteEpoch(_ epoch: Bytes16) throws {
        let key = "epoch/\(hub)"
        let known = try site.read { try $0.meta(key) }
        guard known != .bytes(epoch.bytes) else { return }
        try site.write { transaction in
            if known != nil { try transaction.note("hub_epoch_changed", hub.short) }
            try transaction.setMeta(key, .bytes(epoch.bytes))
        }
    }

    /// Exchanges until both are equal or nothing moves.
    ///
    /// `outcome` is right at every throw.
    mutating func run(_ outcome: inout SyncClient.Outcome) throws {
        let storage = StoreReplica(site)
        var client = SyncClient(peer: hub)
        defer { outcome = client.outcome }
        var action = try client.begin(storage)
        while case .send(let request) = action {
            if case .pull = request {
                try pull(request, &client, storage)
                action = try client.pullEnded(storage)
            } else {
                action = try client.received(ask(request), storage)
            }
        }
        try noteDifferences(client.outcome.differences)
        let refused = client.outcome.refused
        let known = try site.read { try $0.refusals() }.contains { $0.peer == hub.description }
        guard known || !refused.isEmpty else { return }
        try site.write { transaction in
            try transaction.replaceRefusals(
                with: hub.description,
                refused.map { ($0.space, $0.replica, $0.first, $0.reason, $0.here) }
            )
        }
    }

    private mutating func ask(_ request: SyncRequest) throws -> SyncReply {
        let answer = try transport.collect("/v1/exchange", seal(request), atMost: 4 << 20)
        let content = try Envelope.open(answer, counter: counter, piece: 0, keys.key)
        return try content.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
    }

    private mutating func seal(_ request: SyncRequest) -> [UInt8] {
        counter += 1
        return Envelope.request(request.encoded, counter: counter, keys)
    }

    /// A sealed run of the hub's log.
    mutating func run(_ place: RunPlace) throws -> RunEnvelope? {
        switch try ask(.run(place.space, place.replica, first: place.first)) {
        case .run(let run): return run
        case .failed(let reason): throw SyncError.peerFailed(reason)
        case .compared, .receipts, .sums: throw SyncError.protocolViolation("no run")
        }
    }

    /// What was wrong here is noted where it was set right; this is about the other side.
    private func noteDifferences(_ differences: [SyncClient.Difference]) throws {
        let others = differences.filter { $0.wrong != .here }
        guard !others.isEmpty else { return }
        try site.write { transaction in
            for difference in others {
                let detail = "\(difference.space) \(difference.record) \(hub.short) \(difference.wrong.rawValue)"
                try transaction.note("record_differed", detail)
            }
        }
    }

    private mutating func pull(_ request: SyncRequest, _ client: inout SyncClient, _ storage: StoreReplica) throws {
        let body = seal(request)
        var stream = PieceStream()
        var piece: UInt64 = 0
        var isComplete = false
        try transport.post("/v1/exchange", body) { chunk in
            stream.append(chunk)
            while let bytes = try stream.next() {
                guard !isComplete else { throw SyncError.protocolViolation("something after the end") }
                let content = try Envelope.open(bytes, counter: counter, piece: piece, keys.key)
                piece += 1
                isComplete = content.isEmpty
                guard !isComplete else { continue }
                let frame = try content.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) }
                try client.received(frame: frame, storage)
            }
        }
        // A stream that just stops is no end: otherwise a cut would pass for "there was no more".
        guard isComplete, stream.isEmpty else { throw TransportError.unreachable("the answer broke off") }
    }

    /// Gives errors of the exchange their place among the commands'.
    static func translating<R>(_ transport: any Transport, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as TransportError {
            throw CommandError(error, transport.address)
        } catch let error as SyncError {
            throw CommandError(error, transport.address)
        } catch let error as CodecError {
            throw CommandError(SyncError.protocolViolation("\(error)"), transport.address)
        }
    }
}

extension Site {
    /// Exchanges with one peer.
    ///
    /// An error is in the report, since what was exchanged before it stays.
    package func sync(with transport: any Transport) throws -> SyncReport {
        var outcome = SyncClient.Outcome()
        var failure: CommandError?
        do {
            try SyncDriver.translating(transport) {
                var driver = try SyncDriver(self, transport)
                try driver.run(&outcome)
            }
        } catch let error as CommandError {
            failure = error
            outcome.upToDate = false
        }
        return SyncReport(
            url: transport.address,
            outcome: outcome,
            bytesSent: transport.traffic.sent,
            bytesReceived: transport.traffic.received,
            failure: failure
        )
    }

    /// The hubs this site knows.
    package func peers() throws -> [HubAddress] { try read { try $0.peer().map { [$0] } ?? [] } }
}

extension StoreTransaction {
    func setPeer(_ address: HubAddress) throws {
        try setMeta("peer_url", .text(address.url))
        switch address.trust {
        case .pin(let pin): try setMeta("peer_trust", .bytes(pin))
        case .system: try setMeta("peer_trust", .text("system"))
        case .plain: try setMeta("peer_trust", .text("plain"))
        }
    }

    func peer() throws -> HubAddress? {
        guard let url = try meta("peer_url")?.text?.string else { return nil }
        switch try meta("peer_trust") {
        case .bytes(let pin)?: return HubAddress(url: url, trust: .pin(pin))
        case .text("plain")?: return HubAddress(url: url, trust: .plain)
        default: return HubAddress(url: url, trust: .system)
        }
    }
}

extension CommandError {
    package init(_ error: TransportError, _ address: String) {
        let later = Localized(
            ja: "入力は保存されています。あとで同期してください",
            en: "your work is kept and will sync later"
        )
        switch error {
        case .unreachable(let detail):
            self.init(
                .unreachable,
                Localized(ja: "\(address) につながりません: \(detail)", en: "\(address) is unreachable: \(detail)"),
                hint: later
            )
        case .cancelled:
            self.init(.unreachable, Localized(ja: "同期を中止しました", en: "the sync was stopped"), hint: later)
        case .untrusted(let detail):
            self.init(
                .notPermitted,
                Localized(
                    ja: "\(address) は信頼した本庁ではありません: \(detail)",
                    en: "\(address) is not the hub that was trusted: \(detail)"
                ),
                hint: Localized(ja: "本庁の管理者に確かめてください", en: "ask an admin of the ward office")
            )
        case .refused(let status, let reason):
            self.init(
                status == 401 || status == 403 ? .notPermitted : .unreachable,
                Localized(
                    ja: "\(address) が断りました（\(status)）: \(reason)",
                    en: "\(address) refused (\(status)): \(reason)"
                ),
                hint: later
            )
        case .unusable(let detail):
            self.init(.usage, Localized(ja: "アドレスが使えません: \(detail)", en: "the address cannot be used: \(detail)"))
        }
    }

    init(_ error: SyncError, _ address: String) {
        switch error {
        case .notAuthenticated(let why):
            self.init(
                .notPermitted,
                Localized(ja: "\(address): 認証できません: \(why)", en: "\(address): not authenticated: \(why)")
            )
        case .peerFailed(let why):
            self.init(
                .unreachable,
                Localized(ja: "\(address): 相手の障害: \(why)", en: "\(address): the peer failed: \(why)")
            )
        case .protocolViolation(let why):
            self.init(
                .failed,
                Localized(ja: "\(address): 手順に合わない応答: \(why)", en: "\(address): unexpected answer: \(why)")
            )
        }
    }
}
