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
        /// Whether all that the two may share was the same at the end.
        package var upToDate = false
        /// What one side would not take, or what waits, at the end.
        package var refused: [Refused] = []
        /// Spaces that the last comparison proved to be the same: what `upToDate` is said of.
        package var proved: [SpaceID] = []
        /// Whether the peer's store is another than the one that was met before.
        package var isNewEpoch = false
        /// Spaces of which the peer no longer had what it was known to hold; it was sent again.
        package var lost: [SpaceID] = []
        /// Spaces whose state differs although everything in effect is the same: corruption or a defect.
        package var diverged: [SpaceID] = []
        /// The records on which such a space differed.
        package var differences: [Difference] = []
        /// What the peer said to a device whose rights ended, once that had handed in what it could.
        package var farewell: Farewell?
        /// How far the peer was shown to hold this device's chains as they are here.
        package var handedIn = Revocation.Cut()

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

    /// Rounds that move something; a busy peer must not keep a clerk for ever.
    private static let roundsMax = 8
    /// What a peer may send in a pull that brings nothing, before the pull is ended and its chains left for another time.
    private static let idleFramesMax = 256
    private static let idleBytesMax = 32 << 20
    /// Changes beyond those that its vectors told of, which it may have got meanwhile.
    private static let unexpectedMax: UInt64 = 65_536
    /// Refusals that are listed.
    private static let refusedMax = 1000
    /// A device that the peer does not know has nothing to stage parts of runs with.
    private static let introductionBytesMax = 2 << 20

    package private(set) var outcome = Outcome()
    /// Bytes that pulls brought and that were new here.
    package private(set) var newBytes = 0
    private let peer: DeviceID
    /// The peer where it is no member by what is known here: it may show who it is, and is told and given nothing but that
    /// its own rights have ended, where they have.
    private let stranger: DeviceID?
    private var isStranger: Bool { stranger != nil }
    private let frameBytesMax: Int
    private var rounds = 0
    private var pushing: FrameWriter?
    private var pushed = SyncFrame()
    private var wants: [SpaceID: [ReplicaID: UInt64]] = [:]
    /// What the last round was to move: the same again is no progress, whatever receipts say.
    private var former: (rows: [Int64], wants: [SpaceID: [ReplicaID: UInt64]]) = ([], [:])
    private var moved = true
    /// Whether nothing more comes of `system`, though it differs: a peer may keep what another refuses.
    private var isSystemStuck = false
    /// What a pull may still bring.
    private var allowance = Allowance()
    /// Chains of which a pull brought nothing but what is not taken.
    private var leftOut: Set<ChainPlace> = []
    /// How far behind the place where it does not fit a chain is asked for: the two copies part somewhere before.
    private var reaches: [ChainPlace: UInt64] = [:]
    /// Devices whose runs did not go on from what is here, by space.
    private var misfits: [SpaceID: Set<DeviceID>] = [:]
    private var isIntroduced = false
    /// What was handed in after the peer said that this device's rights ended, and whether it took its leave.
    private var handedIn: [Int64]?
    /// Chains of this device of which the peer was shown the end.
    private var shownEnds: Set<ChainPlace> = []
    private var isLeaving = false
    /// Whether the peer was asked for the word that ended this device's rights.
    private var askedForProof = false
    /// What was said of each space in the comparison under way.
    private var named: [SpaceID: SpaceSummary] = [:]
    /// The search for what differs in a space, and the spaces that were searched.
    private var search: RangeSearch?
    private var searched: Set<SpaceID> = []

    private struct ChainPlace: Hashable {
        let space: SpaceID
        let replica: ReplicaID
    }

    private static let reachFirst: UInt64 = 64

    private struct Allowance {
        var idleFrames = 0
        var idleBytes = 0
        var idle: Set<ChainPlace> = []
        var changes = SyncClient.unexpectedMax
    }

    /// - Parameter isNewEpoch: whether the peer's store is another than the one met before.
    package init(peer: DeviceID, isNewEpoch: Bool = false, frameBytesMax: Int = SyncFrame.bytesMax) {
        self.peer = peer
        stranger = nil
        self.frameBytesMax = frameBytesMax
        outcome.isNewEpoch = isNewEpoch
    }

    /// Takes `system` from a peer that may have joined the ward since it was last heard of; its seals say whose word it
    /// is.
    ///
    /// - Parameter name: in whose name the storage keeps what strangers bring.
    package init(stranger: DeviceID, as name: DeviceID) {
        peer = name
        self.stranger = stranger
        frameBytesMax = SyncFrame.bytesMax
    }

    /// Makes an exchange that came to its end ready to begin again, since something was written here because of it.
    package mutating func wroteMeanwhile() {
        (rounds, moved, former) = (0, true, ([], [:]))
    }

    package mutating func begin(_ storage: some ReplicaStorage) throws -> Action {
        rounds += 1
        guard !isStranger else { return .send(.compare([])) }
        let scope = try storage.scope(with: peer)
        let summaries = try storage.summaries().filter { scope.mayName($0.space) }
        named = Dictionary(uniqueKeysWithValues: summaries.map { ($0.space, $0) })
        return .send(.compare(named.values.sorted { $0.space < $1.space }))
    }

    package mutating func received(_ reply: SyncReply, _ storage: some ReplicaStorage) throws -> Action {
        switch reply {
        case .compared(let spaces): try compared(spaces, storage)
        case .receipts(let receipts): try acknowledged(receipts, storage)
        case .sums(let sums): try summed(sums, storage)
        case .run: throw SyncError.protocolViolation("a run that was not asked for")
        case .failed(let reason): throw SyncError.peerFailed(reason)
        case .unknownClient where isStranger: .finish(outcome)
        case .unknownClient: try introduce(storage)
        case .newBeginning: throw SyncError.newBeginning
        case .revoked(let farewell): try leave(farewell, storage)
        }
    }

    /// Hands in what the peer lacks: of what was written here by its own word, of the rest by what it is known to hold.
    ///
    /// Others' changes that nobody else has would go with this device's data.
    private mutating func leave(_ farewell: Farewell, _ storage: some ReplicaStorage) throws -> Action {
        // Who speaks for the ward since this device last heard of it has to be known before anything is handed to it.
        if !askedForProof, try storage.access()?.isAdmin(stranger ?? peer) != true {
            askedForProof = true
            let known = try storage.vector(of: .system).map { ($0.replica, $0.seq) }
            wants = [.system: Dictionary(uniqueKeysWithValues: known)]
            allowance = Allowance()
            return try pull(storage)
        }
        guard !isStranger else { return .finish(outcome) }
        if isLeaving {
            outcome.farewell = farewell
            return .finish(outcome)
        }
        var rows: [Int64] = []
        var others: Set<Int64> = []
        let scope = try storage.scope(with: peer)
        for space in try storage.summaries().map(\.space) where scope.mayName(space) {
            let vector = try storage.vector(of: space)
            let known = try vector.map { entry in
                if entry.replica.device == storage.device {
                    return (entry.replica, try held(entry, in: space, farewell, storage))
                }
                return (entry.replica, entry.replica.device == peer ? farewell.holds[space, entry.replica] : entry.seq)
            }
            // A peer that lacks what it wrote itself is an older copy, and lacks what else came since.
            let isOlder = vector.contains {
                $0.replica.device == peer && $0.seq > farewell.holds[space, $0.replica]
            }
            rows += try storage.runs(of: space, lacking: Dictionary(uniqueKeysWithValues: known))
            if Mutant.leavesWhatWaits.isPlanted { continue }
            others.formUnion(
                isOlder ? try storage.runs(of: space, lacking: [:]) : try storage.runs(of: space, lackingAt: peer)
            )
        }
        rows.sort()
        let isFirst = handedIn == nil
        guard !rows.isEmpty || (isFirst && !others.isEmpty), !Mutant.leavesWhatWaits.isPlanted || rows != handedIn
        else {
            isLeaving = true
            return .send(.leave)
        }
        // What did not move waits there for others' changes: whoever says that he leaves gives it up.
        guard rows != handedIn else {
            outcome.farewell = farewell
            return .finish(outcome)
        }
        handedIn = rows
        if isFirst { rows = others.union(rows).sorted() }
        wants = [:]
        pushing = FrameWriter(rows: rows, bytesMax: frameBytesMax)
        return try next(storage)
    }

    /// How far a peer holds a chain of this device as it is here.
    ///
    /// A copy of this device may have handed in something else under the same numbers: a number proves nothing without
    /// the hash. Where the peer has gone farther than is known here, it is shown the end of the chain, then all of it;
    /// what it has already it says so.
    private mutating func held(
        _ entry: VectorEntry,
        in space: SpaceID,
        _ farewell: Farewell,
        _ storage: some ReplicaStorage
    ) throws -> UInt64 {
        let place = ChainPlace(space: space, replica: entry.replica)
        var (name, told, held) = (entry.replica, farewell.holds[space, entry.replica], UInt64(0))
        while told > held, told <= entry.seq,
            try storage.headerHash(of: entry.replica, at: told, in: space)?.prefix(16)
                .elementsEqual((farewell.holds.hashes[space]?[name] ?? Bytes16(0)).bytes) == true
        {
            held = told
            // The peer may know of a fork, and file what follows under the name of its branch.
            guard let hash = try storage.headerHash(of: entry.replica, at: held + 1, in: space) else { break }
            name = entry.replica.branch(at: held + 1, hash: hash)
            told = farewell.holds[space, name]
        }
        if outcome.handedIn[space, entry.replica] >= entry.seq { held = entry.seq }
        outcome.handedIn.last[space, default: [:]][entry.replica] = max(held, outcome.handedIn[space, entry.replica])
        guard held < entry.seq, told > held else { return held }
        return shownEnds.insert(place).inserted ? max(held, entry.seq - 1) : 0
    }

    /// Brings `system` to a peer that lost it, or never had what says who we are.
    private mutating func introduce(_ storage: some ReplicaStorage) throws -> Action {
        let rows = try storage.runs(of: .system, lacking: [:])
        guard !isIntroduced, !rows.isEmpty else {
            throw SyncError.notAuthenticated("this device does not belong to the peer's ward")
        }
        isIntroduced = true
        wants = [:]
        pushing = FrameWriter(rows: rows, bytesMax: Self.introductionBytesMax)
        return try next(storage)
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
        allowance = Allowance()
        outcome.diverged = []
        outcome.proved = []
        let systemDiffers = spaces.contains { space, relation in
            if case .differs = relation { space == .system } else { false }
        }
        // First who may have what; then the rest, also where that does not come to an end.
        let waitsForSystem = systemDiffers && !isSystemStuck
        for (space, relation) in spaces {
            switch relation {
            case .equal(var exceptions, var digest):
                if Mutant.vectorsAreProof.isPlanted { (exceptions, digest) = (true, true) }
                guard let summary = named[space] else { throw SyncError.protocolViolation("\(space) was not named") }
                findings.append(.equal(summary, isProved: exceptions && digest))
                outcome.refused.removeAll { $0.space == space }
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
                try differ(space, theirs, isMoving: !waitsForSystem || space == .system, &rows, storage)
            }
        }
        if let stranger {
            // One whose rights have ended and who does not know it is told so, and nothing else.
            rows = try spaces.flatMap { space, relation -> [Int64] in
                guard space == .system, case .differs(let theirs) = relation else { return [] }
                return try storage.runs(
                    ending: stranger,
                    lacking: Dictionary(uniqueKeysWithValues: theirs.map { ($0.replica, $0.seq) })
                )
            }
        } else {
            for space in try storage.note(findings, of: peer) where !outcome.lost.contains(space) {
                outcome.lost.append(space)
            }
        }
        outcome.upToDate = isEqual
        rows.sort()
        guard !isEqual, moved, rounds <= Self.roundsMax, (rows, wants) != former, !rows.isEmpty || !wants.isEmpty else {
            guard waitsForSystem, !isStranger else { return try lookIntoDivergence(storage) }
            isSystemStuck = true
            wroteMeanwhile()
            return try begin(storage)
        }
        moved = false
        former = (rows, wants)
        // Over all spaces in the log's order, so that what belongs together arrives together.
        pushing = FrameWriter(rows: rows, bytesMax: frameBytesMax)
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

    /// What is to be pushed and pulled of a space, without the chains that are not the same at both ends.
    private mutating func differ(
        _ space: SpaceID,
        _ theirs: [VectorEntry],
        isMoving: Bool,
        _ rows: inout [Int64],
        _ storage: some ReplicaStorage
    ) throws {
        let ours = try storage.vector(of: space)
        let own = Dictionary(uniqueKeysWithValues: ours.map { ($0.replica, $0.seq) })
        var known = Dictionary(uniqueKeysWithValues: theirs.map { ($0.replica, $0.seq) })
        forgetRefused(in: space, here: true, upTo: own)
        forgetRefused(in: space, here: false, upTo: known)
        guard isMoving else { return }
        var lacking: [ReplicaID: UInt64] = [:]
        for entry in theirs {
            let here = own[entry.replica] ?? 0
            let place = ChainPlace(space: space, replica: entry.replica)
            var from = min(here, entry.seq)
            if entry.seq > here {
                guard !leftOut.contains(place) else { continue }
                if misfits[space]?.contains(entry.replica.device) == true { goBack(place, from: from) }
            } else if try storage.headerHash(of: entry.replica, at: entry.seq, in: space) != entry.hash {
                // The chain forked: what is here would not fit there until both branches are known on one side.
                known[entry.replica] = here
                guard goBack(place, from: from) else {
                    let fork = Refusal.fork(seq: entry.seq)
                    note(Refused(space: space, replica: entry.replica, first: entry.seq, reason: fork.code, here: true))
                    continue
                }
            } else {
                continue
            }
            from -= min(from, reaches[place] ?? 0)
            lacking[entry.replica] = from
            let (told, isBeyond) = allowance.changes.addingReportingOverflow(entry.seq - from)
            allowance.changes = isBeyond ? .max : told
        }
        misfits[space] = nil
        rows += try storage.runs(of: space, lacking: known)
        if !lacking.isEmpty { wants[space] = lacking }
    }

    /// Asks for a chain from farther back than before, until that is its beginning.
    ///
    /// - Returns: whether there is farther to go.
    @discardableResult
    private mutating func goBack(_ place: ChainPlace, from end: UInt64) -> Bool {
        let former = reaches[place] ?? 0
        guard former < end else { return false }
        reaches[place] = former == 0 ? Self.reachFirst : former > UInt64.max >> 6 ? .max : former << 6
        moved = true
        return true
    }

    private mutating func next(_ storage: some ReplicaStorage) throws -> Action {
        if let frame = try pushing?.next(from: storage) {
            pushed = frame
            return .send(.push(frame))
        }
        pushing = nil
        if Mutant.pushingIsProof.isPlanted, wants.isEmpty {
            outcome.upToDate = true
            return .finish(outcome)
        }
        guard !wants.isEmpty else { return try begin(storage) }
        return try pull(storage)
    }

    private func pull(_ storage: some ReplicaStorage) throws -> Action {
        .send(
            .pull(
                SyncRequest.PullRequest(
                    wants: wants,
                    staged: try storage.staged(from: peer),
                    frameBytesMax: frameBytesMax
                )
            )
        )
    }

    private mutating func acknowledged(_ receipts: [Receipt], _ storage: some ReplicaStorage) throws -> Action {
        guard receipts.count == pushed.items.count else { throw SyncError.protocolViolation("receipts do not fit") }
        for (item, receipt) in zip(pushed.items, receipts) {
            settle(item, receipt, here: false)
            if handedIn != nil { noteHandedIn(item, receipt, by: storage.device) }
        }
        return try next(storage)
    }

    /// What a peer took, or had, of a run proves that it has all of the chain before.
    private mutating func noteHandedIn(_ item: SyncFrame.Item, _ receipt: Receipt, by device: DeviceID) {
        guard case .run(let run) = item, run.replica.device == device else { return }
        switch receipt {
        case .applied, .quarantined, .duplicate:
            let known = outcome.handedIn[run.space, run.replica]
            outcome.handedIn.last[run.space, default: [:]][run.replica] = max(known, run.last)
        case .held, .partial, .refused: break
        }
    }

    /// - Returns: whether something came of the item.
    @discardableResult
    private mutating func settle(_ item: SyncFrame.Item, _ receipt: Receipt, here: Bool) -> Bool {
        let (space, (replica, first)) = (item.space, item.origin)
        switch receipt {
        case .applied(let count), .quarantined(let count):
            moved = true
            // What waited for it at the peer was not sent now, and the peer may say anything.
            if here { outcome.received += count } else { outcome.sent += min(count, item.changesMax) }
            if here { newBytes += item.bytes }
            return true
        case .held(let cause):
            note(Refused(space: space, replica: replica, first: first, reason: "waits for \(cause)", here: here))
        case .refused(let refusal):
            if here, refusal.isMisfit { misfits[space, default: []].insert(replica.device) }
            note(Refused(space: space, replica: replica, first: first, reason: refusal.code, here: here))
        case .partial:
            moved = true
            if here { newBytes += item.bytes }
        case .duplicate: break
        }
        return false
    }

    /// What a side has got past since it was refused, or waited, was taken after all.
    private mutating func forgetRefused(in space: SpaceID, here: Bool, upTo reached: [ReplicaID: UInt64]) {
        outcome.refused.removeAll {
            $0.space == space && $0.here == here && $0.first <= reached[$0.replica] ?? 0
        }
    }

    /// One line for each run: the last word on it.
    private mutating func note(_ refused: Refused) {
        outcome.refused.removeAll {
            $0.space == refused.space && $0.replica == refused.replica && $0.first == refused.first
                && $0.here == refused.here
        }
        if outcome.refused.count < Self.refusedMax { outcome.refused.append(refused) }
    }

    /// A frame of the answer to a pull; it is applied before the next is read.
    ///
    /// - Returns: whether to read on; otherwise the answer is given up, and `pullEnded` goes on without its chains.
    @discardableResult
    package mutating func received(frame: SyncFrame, _ storage: some ReplicaStorage) throws -> Bool {
        for space in frame.items.map(\.space) where wants[space] == nil {
            throw SyncError.protocolViolation("\(space) was not asked for")
        }
        let before = outcome.received
        for (item, receipt) in zip(frame.items, try storage.receive(frame, from: peer)) {
            guard !settle(item, receipt, here: true) else { continue }
            allowance.idleBytes += item.bytes
            allowance.idle.insert(ChainPlace(space: item.space, replica: item.origin.replica))
        }
        let count = UInt64(outcome.received - before)
        if count > 0 {
            (allowance.idleFrames, allowance.idleBytes, allowance.idle) = (0, 0, [])
            // What was applied takes along what waited for it.
            for space in Set(outcome.refused.filter(\.here).map(\.space)) {
                let own = Dictionary(uniqueKeysWithValues: try storage.vector(of: space).map { ($0.replica, $0.seq) })
                forgetRefused(in: space, here: true, upTo: own)
            }
        } else {
            allowance.idleFrames += 1
        }
        let isExpected = count <= allowance.changes
        allowance.changes -= min(count, allowance.changes)
        guard isExpected, allowance.idleFrames <= Self.idleFramesMax, allowance.idleBytes <= Self.idleBytesMax else {
            leftOut.formUnion(allowance.idle)
            return false
        }
        return true
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
    /// The peer's device is nobody by what is known here.
    case unknownPeer(DeviceID)
    /// The peer's rights have ended by what is known here.
    case endedPeer(DeviceID)
    /// The hub's store began anew and was filled again by others than those known here.
    case newBeginning
}

extension Refusal {
    /// Whether it may be because the run goes on from another branch of its chain than is known here.
    fileprivate var isMisfit: Bool {
        switch self {
        case .malformed, .badSeal: true
        default: false
        }
    }
}
