// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The asking side of an exchange, without I/O: it is told what arrived and says what to send next.
///
/// A round compares, pushes what the peer lacks, and pulls what is lacking here. While `system` differs only `system`
/// is exchanged, since the grants in it say what else may be. "Up to date" is the answer of a last comparison, never an
/// assumption.
///
///     var client = SyncClient(peer: hub)
///     var action = try client.begin(storage)
///     while case .send(let request) = action { action = … what arrives, handed to the client … }
package struct SyncClient {
    /// What the owner of the client does next.
    package enum Action {
        /// Send it, and hand the reply back: `received`, or for a pull `received(frame:)` and `pullEnded`.
        case send(SyncRequest)
        /// It is over.
        case finish(Outcome)
    }

    /// What came of it.
    package struct Outcome: Sendable {
        package var sent = 0
        package var received = 0
        package var upToDate = false
        package var refused: [Refused] = []
        /// Spaces whose state differs although everything in effect is the same: corruption or a defect.
        package var diverged: [SpaceID] = []
        /// The records on which such a space differed.
        package var differences: [Difference] = []

        package init() {}
    }

    /// A record that was not the same on both sides although everything in effect was.
    package struct Difference: Hashable, Sendable {
        /// Whose state was not what the log says, as far as that could be told; it was set right from there.
        package enum Side: String, Sendable {
            case here
            case peer
            case unknown
        }

        package var space: SpaceID
        package var record: RecordID
        package var wrong: Side

        package init(space: SpaceID, record: RecordID, wrong: Side) {
            self.space = space
            self.record = record
            self.wrong = wrong
        }
    }

    /// A run that one side would not take.
    package struct Refused: Hashable, Sendable {
        package var space: SpaceID
        package var replica: ReplicaID
        package var first: UInt64
        package var reason: String
        /// Whether it was this side that would not.
        package var here: Bool
    }

    /// Rounds that move something; a busy hub must not keep a clerk for ever.
    private static let roundsMax = 8

    package private(set) var outcome = Outcome()
    private let peer: DeviceID
    private let frameBytesMax: Int
    private var rounds = 0
    private var pushing: FrameWriter?
    private var pushed = SyncFrame()
    private var wants: [SpaceID: [ReplicaID: UInt64]] = [:]
    private var moved = true
    /// What was said of each space in the comparison under way.
    private var named: [SpaceID: SpaceSummary] = [:]
    /// The search for what differs in a space, and the spaces that were searched.
    private var search: RangeSearch?
    private var searched: Set<SpaceID> = []

    package init(peer: DeviceID, frameBytesMax: Int = SyncFrame.bytesMax) {
        self.peer = peer
        self.frameBytesMax = frameBytesMax
    }

    package mutating func begin(_ storage: some ReplicaStorage) throws -> Action {
        rounds += 1
        named = Dictionary(uniqueKeysWithValues: try storage.summaries().map { ($0.space, $0) })
        return .send(.compare(named.values.sorted { $0.space < $1.space }))
    }

    package mutating func received(_ reply: SyncReply, _ storage: some ReplicaStorage) throws -> Action {
        switch reply {
        case .compared(let spaces): try compared(spaces, storage)
        case .receipts(let receipts): try acknowledged(receipts, storage)
        case .sums(let sums): try summed(sums, storage)
        case .run: throw SyncError.protocolViolation("a run that was not asked for")
        case .failed(let reason): throw SyncError.peerFailed(reason)
        }
    }

    private mutating func compared(
        _ spaces: [(space: SpaceID, relation: SyncReply.Relation)],
        _ storage: some ReplicaStorage
    ) throws -> Action {
        var holds: [SpaceID: UInt64] = [:]
        var proved: [SpaceID] = []
        var rows: [Int64] = []
        // A space that the peer passes over in silence is no proof.
        var isEqual = Set(named.keys).isSubset(of: spaces.map(\.space))
        wants = [:]
        outcome.diverged = []
        let systemDiffers = spaces.contains { space, relation in
            if case .differs = relation { space == .system } else { false }
        }
        for (space, relation) in spaces {
            switch relation {
            case .equal(let exceptions, let digest):
                holds[space] = named[space]?.ownSeq ?? 0
                if exceptions && digest { proved.append(space) } else { isEqual = false }
                if exceptions && !digest { outcome.diverged.append(space) }
            case .notGranted:
                // What was written here for a space that the peer does not give us cannot have arrived.
                if try storage.mayRead(storage.device, space) || (named[space]?.ownSeq ?? 0) > 0 { isEqual = false }
            case .differs(let theirs):
                isEqual = false
                guard !systemDiffers || space == .system else { continue }
                guard try storage.mayRead(storage.device, space) || space == .system else { continue }
                let ours = try storage.vector(of: space)
                let known = Dictionary(uniqueKeysWithValues: theirs.map { ($0.replica, $0.seq) })
                for entry in ours where entry.replica.device == storage.device {
                    holds[space] = max(holds[space] ?? 0, known[entry.replica] ?? 0)
                }
                rows += try storage.runs(of: space, lacking: known)
                let lacking = try lacking(theirs, ours, space)
                if !lacking.isEmpty { wants[space] = lacking }
            }
        }
        try storage.note(peer: peer, holds: holds, proved: proved)
        outcome.upToDate = isEqual
        guard !isEqual, moved, rounds <= Self.roundsMax, !rows.isEmpty || !wants.isEmpty else {
            return try lookIntoDivergence(storage)
        }
        moved = false
        // Over all spaces in the log's order, so that what belongs together arrives together.
        pushing = FrameWriter(rows: rows.sorted(), bytesMax: frameBytesMax)
        return try next(storage)
    }

    /// Where spaces are what they should not be, the records concerned are looked for, once in an exchange.
    private mutating func lookIntoDivergence(_ storage: some ReplicaStorage) throws -> Action {
        guard let summary = outcome.diverged.first(where: { !searched.contains($0) }).flatMap({ named[$0] }) else {
            return .finish(outcome)
        }
        searched.insert(summary.space)
        search = RangeSearch(summary)
        return try goOnSearching(storage)
    }

    private mutating func goOnSearching(_ storage: some ReplicaStorage) throws -> Action {
        if let request = try search?.next(storage) { return .send(.sums(request)) }
        if let search {
            for record in search.differing.sorted() {
                let wrong: Difference.Side =
                    search.wrongHere.contains(record) ? .here : search.wrongThere.contains(record) ? .peer : .unknown
                outcome.differences.append(Difference(space: search.summary.space, record: record, wrong: wrong))
            }
        }
        search = nil
        return try begin(storage)
    }

    private mutating func summed(_ sums: [RangeSum]?, _ storage: some ReplicaStorage) throws -> Action {
        guard search != nil else { throw SyncError.protocolViolation("sums that were not asked for") }
        guard let sums else {
            // The peer moved on meanwhile: the next comparison tells.
            search = nil
            return try begin(storage)
        }
        try search!.received(sums, storage)
        return try goOnSearching(storage)
    }

    private mutating func lacking(
        _ theirs: [VectorEntry],
        _ ours: [VectorEntry],
        _ space: SpaceID
    ) throws -> [ReplicaID: UInt64] {
        let own = Dictionary(uniqueKeysWithValues: ours.map { ($0.replica, $0) })
        var out: [ReplicaID: UInt64] = [:]
        for entry in theirs {
            let known = own[entry.replica]
            if entry.seq > known?.seq ?? 0 { out[entry.replica] = known?.seq ?? 0 }
            if let known, known.seq == entry.seq, known.hash != entry.hash {
                note(
                    Refused(space: space, replica: entry.replica, first: entry.seq, reason: "equivocation", here: true)
                )
            }
        }
        return out
    }

    private mutating func next(_ storage: some ReplicaStorage) throws -> Action {
        if let frame = try pushing?.next(from: storage) {
            pushed = frame
            return .send(.push(frame))
        }
        pushing = nil
        guard !wants.isEmpty else { return try begin(storage) }
        return .send(
            .pull(
                SyncRequest.PullRequest(wants: wants, staged: try storage.staged(), frameBytesMax: frameBytesMax)
            )
        )
    }

    private mutating func acknowledged(_ receipts: [Receipt], _ storage: some ReplicaStorage) throws -> Action {
        guard receipts.count == pushed.items.count else { throw SyncError.protocolViolation("receipts do not fit") }
        for (item, receipt) in zip(pushed.items, receipts) { settle(item, receipt, here: false) }
        return try next(storage)
    }

    private mutating func settle(_ item: SyncFrame.Item, _ receipt: Receipt, here: Bool) {
        let (space, (replica, first)) = (item.space, item.origin)
        switch receipt {
        case .applied(let count), .quarantined(let count):
            moved = true
            if here { outcome.received += count } else { outcome.sent += count }
        case .held(let cause):
            note(Refused(space: space, replica: replica, first: first, reason: "waits for \(cause)", here: here))
        case .refused(let refusal):
            note(Refused(space: space, replica: replica, first: first, reason: refusal.code, here: here))
        case .partial: moved = true
        case .duplicate: break
        }
    }

    private mutating func note(_ refused: Refused) {
        if !outcome.refused.contains(refused) { outcome.refused.append(refused) }
    }

    /// A frame of the answer to a pull; it is applied before the next is read.
    package mutating func received(frame: SyncFrame, _ storage: some ReplicaStorage) throws {
        for space in frame.items.map(\.space) where wants[space] == nil {
            throw SyncError.protocolViolation("\(space) was not asked for")
        }
        for (item, receipt) in zip(frame.items, try storage.receive(frame, from: peer)) {
            settle(item, receipt, here: true)
        }
    }

    /// The answer to a pull is complete.
    package mutating func pullEnded(_ storage: some ReplicaStorage) throws -> Action { try begin(storage) }
}

/// Why an exchange ended early; what was applied stays, and the next exchange goes on from there.
package enum SyncError: Error, Hashable, Sendable {
    /// The peer says that it could not answer.
    case peerFailed(String)
    /// The peer does not speak as it should.
    case protocolViolation(String)
    /// The peer could not prove who it is, or did not believe who we are.
    case notAuthenticated(String)
}
