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
        /// Spaces that the last comparison proved to be equal: what `upToDate` is said of.
        package var proved: [SpaceID] = []
        /// Spaces of which the peer no longer has what it was proved to hold: an older copy of it was put back.
        package var lost: [SpaceID] = []
        /// Spaces whose state differs although everything in effect is the same: corruption or a defect.
        package var diverged: [SpaceID] = []

        package init() {}
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

    package init(peer: DeviceID, frameBytesMax: Int = SyncFrame.bytesMax) {
        self.peer = peer
        self.frameBytesMax = frameBytesMax
    }

    package mutating func begin(_ storage: some ReplicaStorage) throws -> Action {
        rounds += 1
        let scope = try storage.scope(with: peer)
        let summaries = try storage.summaries(for: peer).filter { scope.mayName($0.space) }
        named = Dictionary(uniqueKeysWithValues: summaries.map { ($0.space, $0) })
        return .send(.compare(named.values.sorted { $0.space < $1.space }))
    }

    package mutating func received(_ reply: SyncReply, _ storage: some ReplicaStorage) throws -> Action {
        switch reply {
        case .compared(let spaces): try compared(spaces, storage)
        case .receipts(let receipts): try acknowledged(receipts, storage)
        case .failed(let reason): throw SyncError.peerFailed(reason)
        }
    }

    private mutating func compared(
        _ spaces: [(space: SpaceID, relation: SyncReply.Relation)],
        _ storage: some ReplicaStorage
    ) throws -> Action {
        let scope = try storage.scope(with: peer)
        var findings: [PeerFinding] = []
        var rows: [Int64] = []
        // A space that the peer passes over in silence is no proof.
        var isEqual = Set(named.keys).isSubset(of: spaces.map(\.space))
        wants = [:]
        outcome.diverged = []
        outcome.proved = []
        let systemDiffers = spaces.contains { space, relation in
            if case .differs = relation { space == .system } else { false }
        }
        for (space, relation) in spaces {
            switch relation {
            case .equal(let exceptions, let digest):
                guard let summary = named[space] else { throw SyncError.protocolViolation("\(space) was not named") }
                findings.append(.equal(summary, isProved: exceptions && digest))
                if exceptions && digest { outcome.proved.append(space) } else { isEqual = false }
                if exceptions && !digest { outcome.diverged.append(space) }
            case .notGranted:
                // What was written here for a space that the peer does not give us cannot have arrived.
                if scope.mayTake(space) || (named[space]?.ownSeq ?? 0) > 0 { isEqual = false }
            case .differs(let theirs):
                guard scope.isShared(space) else {
                    if named[space] != nil { isEqual = false }
                    continue
                }
                isEqual = false
                if let summary = named[space] { findings.append(.differs(summary, theirs)) }
                guard !systemDiffers || space == .system else { continue }
                try differ(space, theirs, &rows, storage)
            }
        }
        for space in try storage.note(peer: peer, findings) where !outcome.lost.contains(space) {
            outcome.lost.append(space)
        }
        outcome.upToDate = isEqual
        guard !isEqual, moved, rounds <= Self.roundsMax, !rows.isEmpty || !wants.isEmpty else {
            return .finish(outcome)
        }
        moved = false
        pushing = FrameWriter(rows: rows, bytesMax: frameBytesMax)
        return try next(storage)
    }

    /// What is to be pushed and pulled of a space, without the chains that are not the same at both ends.
    private mutating func differ(
        _ space: SpaceID,
        _ theirs: [VectorEntry],
        _ rows: inout [Int64],
        _ storage: some ReplicaStorage
    ) throws {
        let ours = try storage.vector(of: space)
        let own = Dictionary(uniqueKeysWithValues: ours.map { ($0.replica, $0.seq) })
        var known = Dictionary(uniqueKeysWithValues: theirs.map { ($0.replica, $0.seq) })
        var lacking: [ReplicaID: UInt64] = [:]
        for entry in theirs {
            let here = own[entry.replica] ?? 0
            if entry.seq > here {
                lacking[entry.replica] = here
            } else if try storage.headerHash(of: entry.replica, at: entry.seq, in: space) != entry.hash {
                note(
                    Refused(space: space, replica: entry.replica, first: entry.seq, reason: "equivocation", here: true)
                )
                // Nothing of it would fit there: as if the peer had it all.
                known[entry.replica] = here
            }
        }
        rows += try storage.runs(of: space, lacking: known)
        if !lacking.isEmpty { wants[space] = lacking }
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
                SyncRequest.PullRequest(wants: wants, staged: try storage.staged(from: peer), frameBytesMax: frameBytesMax)
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
