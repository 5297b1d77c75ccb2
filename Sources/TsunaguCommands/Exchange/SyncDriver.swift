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

    /// What to tell a person whose peer is not what it was; `nil` where it is.
    package var lossMessage: Localized? {
        guard outcome.isNewEpoch || !outcome.lost.isEmpty else { return nil }
        let spaces = outcome.lost.map(\.name).sorted().joined(separator: ", ")
        return Localized(
            ja: "相手のデータが置き換わったか、古い状態に戻っていました。足りない分を送り直しました"
                + (spaces.isEmpty ? "" : "（\(spaces)）"),
            en: "the peer's store was replaced or put back to an older state; what it lacked was sent again"
                + (spaces.isEmpty ? "" : " (\(spaces))")
        )
    }

    /// Puts what came of another exchange with the same peer to what came before.
    mutating func add(_ later: SyncReport) {
        let (former, url) = (self, url)
        self = later
        self.url = url
        outcome.sent += former.outcome.sent
        outcome.received += former.outcome.received
        outcome.lost += former.outcome.lost.filter { !outcome.lost.contains($0) }
        outcome.isNewEpoch = outcome.isNewEpoch || former.outcome.isNewEpoch
        bytesSent += former.bytesSent
        bytesReceived += former.bytesReceived
    }

    /// Whether all that the two may share was the same at the end; of other spaces it says nothing.
    package var upToDate: Bool { failure == nil && outcome.upToDate }
}

/// Runs an exchange over a transport: handshake, then what `SyncClient` says.
struct SyncDriver {
    /// How long an answer may take, and so many bytes a second of news more: a slow drip must not keep us for ever.
    private static let answerMilliseconds: UInt64 = 5 * 60 * 1000
    private static let newsBytesPerSecond: UInt64 = 8 << 10
    private static let answerBytesMax = 4 << 20

    let site: Site
    let transport: any Transport
    let peer: DeviceID
    private var counter: UInt64 = 0
    private let session: ClientSession
    private let epoch: Bytes16
    private let peerKey: [UInt8]

    /// What a peer that was nobody here brought to show who it is.
    private var introduced = 0

    /// Shakes hands; both ends have proved their device keys after the first answer.
    init(_ site: Site, _ transport: any Transport) throws {
        self.site = site
        self.transport = transport
        let handshake = Handshake.Client(device: site.keys.device)
        let bytes = try transport.collect("/v1/hello", handshake.hello.encoded, atMost: 4096)
        let welcome = try Handshake.Welcome(decoding: bytes)
        peer = welcome.hub
        epoch = welcome.epoch
        peerKey = welcome.signingKey
        session = try handshake.finish(welcome, sign: site.keys.sign)
        guard peer != site.keys.device else {
            throw CommandError(
                .usage,
                Localized(
                    ja: "\(transport.address) はこの拠点自身か、そのデータの写しです",
                    en: "\(transport.address) is this site itself, or a copy of its data"
                ),
                hint: Localized(
                    ja: "ほかの拠点のアドレスを指定してください。覚えているものは tsunagu sync --forget で消せます",
                    en: "name another site's address; 'tsunagu sync --forget' removes one that is remembered"
                )
            )
        }
        if try !site.read({ try $0.isTrusted(welcome) }) {
            // It may have joined since this site last heard of the ward, and hold the ward's word for it.
            var client = SyncClient(stranger: peer, as: .stranger)
            try exchange(&client)
            introduced = client.outcome.received
            guard try site.read({ try $0.isTrusted(welcome) }) else {
                let isEnded = try site.read { try $0.currentAccess()?.isRevoked(peer) == true }
                throw isEnded ? SyncError.endedPeer(peer) : SyncError.unknownPeer(peer)
            }
        }
        try noteClock()
    }

    /// By how much the peer's clock is ahead of this machine's, milliseconds.
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

    /// Exchanges until both are equal or nothing moves.
    ///
    /// `outcome` is right at every throw.
    mutating func run(_ outcome: inout SyncClient.Outcome) throws {
        let known = try site.read { try $0.met(peer)?.epoch }
        var client = SyncClient(peer: peer, isNewEpoch: known != nil && known != epoch)
        defer {
            outcome = client.outcome
            outcome.received += introduced
        }
        try exchange(&client)
        // Not before: an older copy of this store may have taken part already, under numbers that others know.
        if client.outcome.upToDate, try site.settleLessonsOfDay() {
            client.wroteMeanwhile()
            try exchange(&client)
        }
        if let farewell = client.outcome.farewell {
            try site.leave(farewell, handedIn: client.outcome.handedIn, of: peer, key: peerKey)
        }
        try noteDifferences(client.outcome.differences)
        try note(client.outcome)
    }

    private mutating func exchange(_ client: inout SyncClient) throws {
        let storage = StoreReplica(site)
        var action = try client.begin(storage)
        while case .send(let request) = action {
            if case .pull = request {
                try pull(request, &client, storage)
                action = try client.pullEnded(storage)
            } else {
                action = try client.received(ask(request), storage)
            }
        }
    }

    /// Notes what a whole exchange came to; a person is told where the peer is not what it was.
    private func note(_ outcome: SyncClient.Outcome) throws {
        let refused = outcome.refused
        let (hadRefused, known) = try site.read { transaction in
            (try transaction.refusals().contains { $0.peer == peer.description }, try transaction.met(peer)?.epoch)
        }
        guard hadRefused || !refused.isEmpty || known != epoch else { return }
        try site.write { transaction in
            if outcome.isNewEpoch { try transaction.note("hub_epoch_changed", peer.short) }
            try transaction.setMet(peer, epoch: epoch)
            try transaction.replaceRefusals(
                with: peer.description,
                refused.map { ($0.space, $0.replica, $0.first, $0.reason, $0.here) }
            )
        }
    }

    private mutating func ask(_ request: SyncRequest) throws -> SyncReply {
        let start = site.store.uptime()
        let answer = try transport.collect("/v1/exchange", seal(request), atMost: Self.answerBytesMax) {
            try refuseDrip(since: start)
        }
        let content = try Envelope.open(answer, counter: counter, piece: 0, session.keys)
        return try content.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
    }

    private mutating func seal(_ request: SyncRequest) throws -> [UInt8] {
        counter += 1
        return try Envelope.request(request.encoded, counter: counter, session)
    }

    private func refuseDrip(since start: UInt64, news: Int = 0) throws {
        let allowed = Self.answerMilliseconds + UInt64(news) * 1000 / Self.newsBytesPerSecond
        guard site.store.uptime() < start + allowed else {
            throw TransportError.unreachable("the answer comes too slowly")
        }
    }

    /// A sealed run of the peer's log.
    private mutating func run(_ place: RunPlace) throws -> RunEnvelope? {
        switch try ask(.run(place.space, place.replica, first: place.first)) {
        case .run(let run): return run
        case .failed(let reason): throw SyncError.peerFailed(reason)
        case .newBeginning: throw SyncError.newBeginning
        case .compared, .receipts, .sums, .unknownClient, .revoked: throw SyncError.protocolViolation("no run")
        }
    }

    /// Asks the hub for a part of a chain, which it may have cut into other runs than are here: those that hold it, as far
    /// as it has them.
    mutating func runs(from place: RunPlace, through last: UInt64) throws -> [RunEnvelope] {
        var out: [RunEnvelope] = []
        var next = place
        while next.first <= last, let run = try run(next), run.count > 0, run.last >= next.first {
            out.append(run)
            next = RunPlace(space: place.space, replica: place.replica, first: run.last + 1)
        }
        return out
    }

    /// Takes a run of this site's log that is lost or damaged from the peer, and what is lost behind it.
    ///
    /// - Returns: whether all of it came; what came stays.
    mutating func takeAgain(_ place: RunPlace) throws -> Bool {
        var place = place
        repeat {
            if let last = try site.read({ try $0.lastNumber(of: place) }) {
                let pieces = try runs(from: place, through: last)
                guard try site.write({ try $0.replaceRun(place, with: pieces) }) else { return false }
                place.first = last + 1
            } else {
                guard let run = try run(place) else { return false }
                guard run.space == place.space, run.replica == place.replica, run.first == place.first,
                    try site.write({ try $0.putBack(run) })
                else { return false }
                place.first = run.last + 1
            }
        } while try site.read({ try $0.lostChanges().contains { $0.place == place } })
        return true
    }

    /// Takes again what is lost here.
    ///
    /// - Returns: what the peer did not have.
    mutating func takeLostAgain() throws -> [LostChanges] {
        let lost = try site.read { try $0.lostChanges() }
        guard !lost.isEmpty else { return [] }
        for place in lost.map(\.place) {
            do {
                _ = try takeAgain(place)
            } catch SyncError.peerFailed {
                continue
            }
        }
        return try site.write { try $0.noteLostChanges() }
    }

    /// What was wrong here is noted where it was set right; this is about the other side.
    private func noteDifferences(_ differences: [SyncClient.Difference]) throws {
        let others = differences.filter { $0.wrong != .here }
        guard !others.isEmpty else { return }
        try site.write { transaction in
            for difference in others {
                let detail = "\(difference.space) \(difference.record) \(peer.short) \(difference.wrong.rawValue)"
                try transaction.note("record_differed", detail)
            }
        }
    }

    private struct Enough: Error {}

    private mutating func pull(_ request: SyncRequest, _ client: inout SyncClient, _ storage: StoreReplica) throws {
        let body = try seal(request)
        var stream = PieceStream()
        var piece: UInt32 = 0
        var isComplete = false
        let start = site.store.uptime()
        let before = client.newBytes
        do {
            try transport.post("/v1/exchange", body) { chunk in
                try refuseDrip(since: start, news: client.newBytes - before)
                stream.append(chunk)
                while let bytes = try stream.next() {
                    guard !isComplete else { throw SyncError.protocolViolation("something after the end") }
                    let content = try Envelope.open(bytes, counter: counter, piece: piece, session.keys)
                    guard piece < .max else { throw Enough() }
                    piece += 1
                    isComplete = content.isEmpty
                    guard !isComplete else { continue }
                    let frame = try content.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) }
                    guard try client.received(frame: frame, storage) else { throw Enough() }
                }
            }
        } catch is Enough {
            return
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
                let lost = try driver.takeLostAgain()
                if !lost.isEmpty { throw try lossOfChanges(lost) }
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

    /// Exchanges with several peers, and again with those that were before somebody who brought news: what "up to date"
    /// is said of must hold for all of them at the end.
    ///
    /// Whoever answered is remembered. A peer that is down leaves its error in its report, and the others their turn.
    package func sync(
        with addresses: [PeerAddress],
        connect: (PeerAddress) throws -> any Transport
    ) throws -> [SyncReport] {
        var reports = addresses.map { SyncReport(url: $0.url) }
        var pending = Array(addresses.indices)
        for round in 1...Self.roundsMax where !pending.isEmpty {
            var behind: [Int] = []
            for (place, index) in pending.enumerated() {
                let report = try sync(with: addresses[index], connect)
                reports[index].add(report)
                if report.outcome.received > 0 {
                    let others = round == 1 ? pending.prefix(place) : addresses.indices.filter { $0 != index }[...]
                    behind += others.filter { !behind.contains($0) && reports[$0].failure == nil }
                }
                behind.removeAll { $0 == index }
            }
            pending = behind
        }
        // A busy ward: who has not heard the last news is not up to date.
        for index in pending { reports[index].outcome.upToDate = false }
        return reports
    }

    private static let roundsMax = 3

    private func sync(
        with address: PeerAddress,
        _ connect: (PeerAddress) throws -> any Transport
    ) throws -> SyncReport {
        let report: SyncReport
        do {
            report = try sync(with: connect(address))
        } catch let error as TransportError {
            return SyncReport(url: address.url, failure: CommandError(error, address.url))
        }
        if report.failure == nil { try remember(address) }
        return report
    }

    /// The peers this site knows, in the order in which they came to be known.
    package func peers() throws -> [PeerAddress] {
        try read { try $0.addresses().compactMap { PeerAddress(url: $0.url, trust: $0.trust) } }
    }

    /// Remembers a peer's address for syncs that name none.
    package func remember(_ address: PeerAddress) throws {
        guard try !peers().contains(address) else { return }
        try write { try $0.setAddress(address) }
    }

    /// Forgets a peer's address.
    package func forget(_ url: String) throws {
        guard try write({ try $0.removeAddress(url) }) else {
            throw CommandError(
                .notFound,
                Localized(ja: "知らないアドレスです: \(url)", en: "this address is not known: \(url)")
            )
        }
    }
}

extension StoreTransaction {
    /// Whether who answered is one to exchange with: a device of the ward, or while joining the one that let us in.
    fileprivate func isTrusted(_ welcome: Handshake.Welcome) throws -> Bool {
        if case .bytes(welcome.signingKey)? = try meta("introducer_key"), try meta("joined") == nil { return true }
        return try currentAccess()?.takesPart(welcome.hub) == true
            && signingKey(of: welcome.hub).map { Array($0.rawRepresentation) } == welcome.signingKey
    }

    func setAddress(_ address: PeerAddress) throws { try setAddress(address.url, trust: address.trustBytes) }
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
        case .refused(401, let reason):
            // The peer was started anew, or its answer was lost and the request came to it twice: the next session mends
            // it. Who may not sync is told so in a session, or with 403.
            self.init(
                .unreachable,
                Localized(ja: "\(address) との通信が途切れました: \(reason)", en: "\(address): the session broke off: \(reason)"),
                hint: later
            )
        case .refused(404, _), .refused(405, _):
            self.init(
                .usage,
                Localized(
                    ja: "\(address) は HTTP のサーバーですが、本庁でも拠点でもありません",
                    en: "\(address) is an HTTP server, but neither a hub nor a site"
                ),
                hint: Self.hubAddress
            )
        case .otherScheme(let other):
            let isSecure = other.hasPrefix("https://")
            self.init(
                .usage,
                Localized(
                    ja: "\(address) の相手は\(isSecure ? " TLS で" : "暗号化しない HTTP で")話します",
                    en: "the server at \(address) speaks \(isSecure ? "TLS" : "plain HTTP")"
                ),
                hint: Localized(
                    ja: "本庁か拠点なら \(other) と書いてください。\(Self.hubAddress.ja)",
                    en: "if it is a hub or a site, write \(other); \(Self.hubAddress.en)"
                )
            )
        case .refused(let status, let reason):
            self.init(
                status == 403 ? .notPermitted : .unreachable,
                Localized(
                    ja: "\(address) が断りました（\(status)）: \(reason)",
                    en: "\(address) refused (\(status)): \(reason)"
                ),
                hint: later
            )
        case .unusable(let detail):
            self.init(
                .usage,
                Localized(ja: "アドレスが使えません: \(detail)", en: "the address cannot be used: \(detail)"),
                hint: Localized(
                    ja: "https://hub.example.jp:8788 の形で書いてください",
                    en: "write it like https://hub.example.jp:8788"
                )
            )
        }
    }

    private static let hubAddress = Localized(
        ja: "同期の相手は、tsunagud が hub の行に示すアドレスです（listening の行は、その端末の中だけのもの）",
        en: "what is synced with is the address in tsunagud's line 'hub'; its line 'listening' is for its own machine"
    )

    init(_ error: SyncError, _ address: String) {
        switch error {
        case .notAuthenticated(let why):
            self.init(
                .notPermitted,
                Localized(ja: "\(address): 認証できません: \(why)", en: "\(address): not authenticated: \(why)"),
                hint: Localized(
                    ja: "本庁に連絡してください。復旧キーで本庁が替わったあとなら、隔離された登録を本庁が引き取ると同期できます",
                    en:
                        "ask the ward office; where it was recovered by its key, it lets this device in by adopting what is "
                        + "quarantined there"
                )
            )
        case .unknownPeer(let device):
            self.init(
                .notPermitted,
                Localized(
                    ja: "\(address) の端末 \(device.short) は、この自治体の端末として知られていません",
                    en: "\(address): not authenticated: device \(device.short) is not known as one of this ward"
                ),
                hint: Localized(
                    ja: "最近参加した拠点なら、先に本庁と同期するか、相手からこちらへ同期してもらってください",
                    en: "if it joined lately, sync with the ward office first, or let it sync with this site"
                )
            )
        case .endedPeer(let device):
            self.init(
                .notPermitted,
                Localized(
                    ja: "\(address) の端末 \(device.short) は失効しています。そのことを伝え、ほかには何も渡していません",
                    en:
                        "\(address): the rights of device \(device.short) have ended; it was told so and given nothing else"
                ),
                hint: Localized(
                    ja: "今の本庁と同期してください。この相手を忘れるには tsunagu sync --forget",
                    en: "sync with whoever is the ward office now; 'tsunagu sync --forget' removes this address"
                )
            )
        case .newBeginning:
            self.init(
                .failed,
                Localized(
                    ja: "\(address) は作り直され、別のデータが入っています（エポックが変わりました）",
                    en: "\(address) began anew and holds other data: the hub epoch changed"
                ),
                hint: Localized(
                    ja: "この端末のデータは残っています。本庁を空のデータから始め直すと、ここから送り直せます",
                    en: "your work is kept; let the hub begin anew without data, and it is sent again from here"
                )
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
