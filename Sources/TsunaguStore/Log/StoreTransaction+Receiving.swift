// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

extension StoreTransaction {
    /// Takes in a run: checks it whole, appends it to the log, and applies it where it is allowed and its causes are in
    /// effect.
    ///
    /// What waited for it is tried again. A run that is refused leaves nothing behind.
    ///
    /// - Parameter presenter: the device that brings it.
    /// - Returns: what became of it; the count of what was applied includes what waited for it.
    package func receive(_ run: RunEnvelope, from presenter: DeviceID? = nil) throws -> Receipt {
        self.presenter = presenter
        let receipt = try take(run)
        switch receipt {
        case .applied(let count): return .applied(count + (try retryWaiting()))
        case .quarantined: try retryWaiting()
        case .duplicate, .held, .partial, .refused: if hasRefusedParts { try retryWaiting() }
        }
        return receipt
    }

    /// A run that is sound in itself, with where it goes on from.
    struct SoundRun {
        let envelope: RunEnvelope
        let decoded: RunDecoder.Run
        let base: Chain
        let end: LogEnd
    }

    private enum Examination {
        /// It needs no further look.
        case settled(Receipt)
        case waits(for: Cause)
        case sound(SoundRun)
    }

    private func take(_ run: RunEnvelope) throws -> Receipt {
        switch try examine(run) {
        case .settled(let receipt): return receipt
        case .waits(let cause): return try hold(run, waitsFor: cause)
        case .sound(let sound):
            switch try together(with: sound) {
            case .waits(let cause): return try hold(run, waitsFor: cause)
            case .complete(let group):
                var receipt = Receipt.duplicate
                var applied = 0
                for (place, member) in group.enumerated() {
                    let outcome = try append(member)
                    if place == 0 { receipt = outcome }
                    if case .applied(let count) = outcome { applied += count }
                    try removeFromHolding(member.envelope)
                }
                return applied > 0 ? .applied(applied) : receipt
            }
        }
    }

    private func examine(_ run: RunEnvelope) throws -> Examination {
        guard (1...Seal.changesMax).contains(run.count), 1...Chain.seqMax ~= run.first else {
            return .settled(.refused(.malformed("\(run.count) changes from number \(run.first) on")))
        }
        // Whoever took a branch's name beforehand would keep the branch out.
        guard !run.replica.isBranch else { return .settled(.refused(.malformed("sealed under a branch's name"))) }
        if try isInLog(run) { return .settled(.duplicate) }
        // Nothing can be known of a run whose author is not: it comes again once `system` has said who that is.
        guard let key = try signingKey(of: run.replica.device) else { return .settled(.refused(.unknownDevice)) }
        let starts = try starts(of: run)
        guard !starts.isEmpty else {
            let next = try nextSeq(in: run.space, of: run.replica)
            return .waits(for: Cause(.arrival, run.space, Dot(run.replica, next)))
        }
        var failure: Examination?
        for start in starts {
            switch try read(run, from: start, key, tries: max(1, Readings.triesMax / starts.count)) {
            case .sealed(let decoded, let body):
                do {
                    guard let placed = try place(decoded, of: run, body, from: start) else {
                        return .settled(.duplicate)
                    }
                    return try examine(placed)
                } catch let error as CodecError {
                    return .settled(.refused(.malformed("\(error)")))
                }
            case .waits(let dot):
                if failure == nil { failure = .waits(for: Cause(.arrival, run.space, dot)) }
            case .refused(let refusal):
                if failure == nil || refusal == .badSeal { failure = .settled(.refused(refusal)) }
            }
        }
        return failure!
    }

    /// What is left to be asked of a run that bears its author's seal.
    private func examine(_ run: SoundRun) throws -> Examination {
        let (envelope, decoded) = (run.envelope, run.decoded)
        if case .branch = run.end, try envelope.replica == ownReplica() {
            returner = presenter ?? envelope.replica.device
        }
        if let problem = try contradiction(run) {
            return .settled(try refuse(decoded.changes, in: envelope, .malformed(problem)))
        }
        if let missing = try missingCause(of: decoded, from: run.base, envelope) { return .waits(for: missing) }
        if case .branch(let parent, let first, let name) = run.end, try !mayBranch(parent, at: first, name, envelope) {
            return .settled(try refuse(decoded.changes, in: envelope, .fork(seq: first)))
        }
        if try !mayTakeEffect(run), try !hasRoom(for: envelope) {
            return .settled(try refuse(decoded.changes, in: envelope, .shareFull))
        }
        if case .chain(let replica) = run.end, try hasTooManyReplicas(replica, in: envelope.space) {
            return .settled(try refuse(decoded.changes, in: envelope, .shareFull))
        }
        return .sound(run)
    }

    /// Whether a run is its author's to write, or as much of his chain counts although his rights ended: then it has no
    /// part in his share of the quarantine.
    private func mayTakeEffect(_ run: SoundRun) throws -> Bool {
        let (device, id) = (run.envelope.replica.device, run.envelope.space)
        guard let access = try currentAccess() else { return false }
        if access.mayWrite(device, id) { return true }
        let name =
            switch run.end {
            case .chain(let replica): replica
            case .branch(_, _, let name): name
            }
        guard let space = try space(id), let author = try knownAuthor(name) else {
            return access.honours(name, in: id) >= run.envelope.last
        }
        guard try withheld(space.no, author) == nil else { return false }
        return try access.honours(name, in: id, barred: barred(space, author)) >= run.envelope.last
    }

    /// Replicas of one device in a space, each begun by a restore or a copy: everybody keeps and exchanges a number for
    /// each, for good.
    private static let replicasMax = 1024

    private func hasTooManyReplicas(_ replica: ReplicaID, in id: SpaceID) throws -> Bool {
        guard let space = try space(id) else { return false }
        if let author = try knownAuthor(replica), try chainRow(space, author).chain.seq > 0 { return false }
        let select = try statement(
            """
            SELECT count(*) FROM author JOIN chain ON chain.author = author.no AND chain.space = ?
            WHERE replica BETWEEN ? AND ?
            """
        )
        let (first, last) = replica.device.replicaBounds
        select.bind(1, space.no)
        select.bind(2, first)
        select.bind(3, last)
        defer { select.reset() }
        return try select.step() && select.int(0) >= Self.replicasMax
    }

    /// Refuses a run that bears its author's seal.
    ///
    /// Its word is out, and not taken here: no other part of its transactions waits for it any more. A refusal before
    /// the seal is checked says nothing of the author, since anybody could have sent the run.
    private func refuse(_ changes: some Collection<Change>, in run: RunEnvelope, _ refusal: Refusal) throws -> Receipt {
        if try insertRefusedParts(of: changes, in: run) { hasRefusedParts = true }
        return .refused(refusal)
    }

    private enum Togetherness {
        /// The runs that become visible in one step, the one asked about first.
        case complete([SoundRun])
        case waits(for: Cause)
    }

    /// Gathers the runs that hold the other parts of a run's transactions, from the holding area.
    ///
    /// An author seals all spaces at once, and cuts them at the same transactions, so at most one run of each space
    /// belongs together.
    private func together(with run: SoundRun) throws -> Togetherness {
        var group = [run]
        var place = 0
        while place < group.count {
            for missing in try missingParts(
                of: group[place].decoded,
                by: run.envelope.replica,
                in: group[place].envelope.space
            ) {
                if let known = group.first(where: { $0.envelope.space == missing.space }) {
                    if known.decoded.settles(missing) { continue }
                } else if let partner = try heldRun(settling: missing, of: run.envelope.replica) {
                    group.append(partner)
                    continue
                } else if try giveUp(missing, of: run.envelope.replica) {
                    continue
                }
                let replica = run.envelope.replica
                return .waits(
                    for: Cause(.part, missing.space, Dot(replica, try nextSeq(in: missing.space, of: replica)))
                )
            }
            place += 1
        }
        return .complete(group)
    }

    /// The held run with which an author's chain in a part's space goes on, where that settles the part.
    private func heldRun(settling part: MissingPart, of replica: ReplicaID) throws -> SoundRun? {
        let next = try nextSeq(in: part.space, of: replica)
        // Each presenter may have brought something else under this name.
        for held in try heldRuns() where held.space == part.space && held.replica == replica && held.first <= next {
            // One that waits for a part as well may have found it now.
            guard try held.cause.kind == .part || hasCome(held.cause) else { continue }
            if let run = try heldRun(held.no), case .sound(let sound) = try examine(run), sound.decoded.settles(part) {
                return sound
            }
        }
        return nil
    }

    /// Appends a checked run to the log and applies it where a grant covers it.
    private func append(_ sound: SoundRun) throws -> Receipt {
        let (run, decoded, base) = (sound.envelope, sound.decoded, sound.base)
        let space = try openSpace(run.space)
        let author: UInt32
        switch sound.end {
        case .chain(let replica):
            author = try self.author(replica)
            if try replica == ownReplica() || knowsUnsealed(decoded.chain, in: space) {
                returner = presenter ?? replica.device
            }
        case .branch(let parent, let first, let name): author = try openBranch(name, of: parent, at: first, space)
        }
        let name = try replica(author)
        // What follows a change that is not in effect waits with it for the grants to be looked at.
        let isWithheld = try withheld(space.no, author) != nil
        try noteBarred(by: decoded.changes, space, author)
        let barred = try barred(space, author)
        let honoured = isWithheld ? 0 : try currentAccess()?.honours(name, in: run.space, barred: barred) ?? 0
        // Blocks first, and what is erased: nothing of that is ever written.
        for block in decoded.blocks { try insertSeed(space, author, block) }
        let erased = try noteErasures(by: decoded.changes, space, author)
        let kept = try kept(decoded, space, author)
        let encodedBase = try encode(base)
        try insertRun(
            space,
            author,
            first: run.first,
            last: run.last,
            base: encodedBase,
            signature: run.signature,
            body: kept.map(\.body) ?? run.body
        )
        try insertParts(of: decoded.changes, space, author)
        if space.id == .system {
            try noteKeys(in: decoded.changes)
            // What is said there counts or not by all that was said, this included.
            access = nil
            hasNewsOfMembers = true
        }
        try unstage(run)
        grown.insert(run.space)
        var row = try chainRow(space, author)
        row.chain = decoded.chain
        row.sealed = decoded.chain.seq
        row.block = decoded.blocks.last?.start ?? row.block
        setChainRow(row, space, author)
        if honoured < run.last, !isWithheld {
            try setWithheld(space, author, from: max(honoured, base.seq) + 1)
        }
        let applied = try apply(kept?.run ?? decoded, from: base, space) { $0 <= honoured }
        if kept != nil { try withdraw(decoded.changes, space) }
        try erase(erased, in: space)
        if let kept { try giveUp(kept, space) }
        if name != run.replica {
            // What a cut means of a branch may show only now.
            access = nil
            hasNewsOfMembers = true
        }
        if applied > 0 { return .applied(applied) }
        try quarantineShares[sharer(of: run.replica.device)]?.add(run, with: encodedBase.count)
        return .quarantined(run.count)
    }

    /// Whether an author had seen something of this replica that is not sealed here: a copy of this store was.
    ///
    /// What is written from here on could not be sealed with that in one run, which would come before and behind the
    /// author's.
    private func knowsUnsealed(_ chain: Chain, in space: SpaceRow) throws -> Bool {
        guard let own = try ownReplica(), let author = try knownAuthor(own) else { return false }
        if try chain.deps[own] > chainRow(space, author).sealed { return true }
        guard chain.systemDeps[own] > 0, let system = try self.space(.system) else { return false }
        return try chain.systemDeps[own] > chainRow(system, author).sealed
    }

    /// The first change that one of the run's changes had seen and that is not in the log here.
    ///
    /// The last change's deps speak for all, but for what exceptions in between say: what was seen before may be excepted
    /// after.
    private func missingCause(of decoded: RunDecoder.Run, from base: Chain, _ run: RunEnvelope) throws -> Cause? {
        if Mutant.causesAreNotAwaited.isPlanted { return nil }
        var chain = base
        for (place, change) in decoded.changes.enumerated() {
            try chain.advance(by: change.header, hash: change.hash)
            let next = place + 1 < decoded.changes.count ? decoded.changes[place + 1].header : nil
            // Of all in the last one; before that only of what the next one excepts, so that a run costs what it is long.
            func among(_ deps: DepsDelta?) -> Set<ReplicaID>? {
                next == nil ? nil : Set(deps?.exceptions?.map(\.replica) ?? [])
            }
            if let dot = try missing(of: chain.deps, in: run.space, among: among(next?.deps)) {
                return Cause(.arrival, run.space, dot)
            }
            if let dot = try missing(of: chain.systemDeps, in: .system, among: among(next?.systemDeps)) {
                return Cause(.arrival, .system, dot)
            }
        }
        return nil
    }

    /// Where the run's operations are not what this schema says of their numbers, which never change their meaning:
    /// applied, they would mean one thing here and another at the next site.
    private func contradiction(_ run: SoundRun) throws -> String? {
        let (decoded, space) = (run.decoded, try space(run.envelope.space))
        let (author, end) =
            switch run.end {
            case .chain(let replica): (try knownAuthor(replica), UInt64.max)
            // What another branch says of later blocks is another matter.
            case .branch(let parent, let first, _): (parent, first)
            }
        for block in decoded.blocks where block.start < end {
            guard let space, let author, let known = try self.block(space, author, block.start),
                known.start == block.start
            else { continue }
            guard let seed = known.seed, let said = block.seed
            else { continue }
            guard seed == said else { return "block \(block.start) has two seeds" }
        }
        for change in decoded.changes {
            let problem = try change.payload.bytes.withUnsafeBytes { memory -> String? in
                for entry in change.payload.entries {
                    let plan = plan(entry.shape)
                    if let contradiction = plan.contradiction { return contradiction }
                    if entry.isErased { continue }
                    let content = UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound])
                    if let field = try plan.mismatch(in: content) {
                        return "\(plan.collection?.name ?? ""): a value of \(field.name) is no \(field.kind.rawValue)"
                    }
                }
                return nil
            }
            if let problem { return problem }
        }
        return nil
    }

    /// Applies the changes of a run that a condition on their numbers lets through.
    ///
    /// - Returns: how many these were.
    func apply(
        _ run: RunDecoder.Run,
        from base: Chain,
        _ space: SpaceRow,
        where isDue: (UInt64) -> Bool
    ) throws -> Int {
        var chain = base
        var applied = 0
        for change in run.changes {
            try chain.advance(by: change.header, hash: change.hash)
            guard isDue(change.header.dot.seq) else { continue }
            applied += 1
            try adopt(change.header.timestamp, from: change.header.dot.replica)
            try apply(change, at: chain, space)
        }
        if applied > 0 {
            arrivals.spaces.insert(space.id)
            arrivals.authors.formUnion(run.changes.prefix(1).map(\.header.dot.replica.device))
        }
        try endApplying()
        return applied
    }

    /// The key that seals a device's changes: from what `system` ever said of it, or the root's, as this site was told.
    package func signingKey(of device: DeviceID) throws -> Curve25519.Signing.PublicKey? {
        if try device == root(), case .bytes(let bytes)? = try meta("root_key") {
            return try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
        }
        let select = try statement("SELECT key FROM device_key WHERE device = ?")
        select.bind(1, device.bytes)
        guard try select.step() else { return nil }
        defer { select.reset() }
        let bytes = select.bytes(0)
        guard DeviceID(signingKey: bytes) == device else { return nil }
        return try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    }

    // MARK: - Waiting

    /// Tries what is held and what is quarantined until nothing more moves.
    ///
    /// - Returns: how many changes took effect.
    @discardableResult
    func retryWaiting() throws -> Int {
        var applied = 0
        var moved = true
        while moved || hasNewsOfMembers || hasRefusedParts {
            let areGrantsNews = hasNewsOfMembers
            // Members' news tell as well which spaces are held here, whose parts are waited for.
            let arePartsNews = hasNewsOfMembers || hasRefusedParts
            let grownSpaces = grown
            (hasNewsOfMembers, hasRefusedParts, grown) = (false, false, [])
            // What is quarantined waits for a grant, or for what stands before it, which waits likewise.
            if areGrantsNews { applied += try judgeAnew() }
            let count: Int
            (count, moved) = try retryHeld(arePartsNews: arePartsNews, grown: grownSpaces)
            applied += count
        }
        return applied
    }

    /// Takes held runs up again that have got what they waited for; only these are read whole.
    private func retryHeld(arePartsNews: Bool, grown: Set<SpaceID>) throws -> (applied: Int, moved: Bool) {
        var (applied, moved) = (0, false)
        if Mutant.heldRunsAreForgotten.isPlanted { return (applied, moved) }
        for waiting in try heldRuns().sorted(by: { $0.first < $1.first }) {
            let cause = waiting.cause
            // What stands on a fork is read in many ways, which only news of what it stands on can end otherwise.
            let isNews =
                try isBehindFork(cause)
                ? arePartsNews || !grown.isDisjoint(with: [.system, waiting.space, cause.space])
                : cause.kind == .part && arePartsNews || hasCome(cause)
            guard isNews, try waiting.first <= nextSeq(in: waiting.space, of: waiting.replica),
                let run = try heldRun(waiting.no)
            else { continue }
            presenter = waiting.presenter
            switch try take(run) {
            case .applied(let count): (applied, moved) = (applied + count, true)
            case .quarantined: moved = true
            case .held: break
            case .duplicate, .partial: try removeFromHolding(waiting.no)
            case .refused(let refusal):
                try removeFromHolding(waiting.no)
                // Who brought it was told that it waits: what became of it is kept, with the reason.
                guard let presenter = waiting.presenter, presenter != .stranger else { continue }
                try setRefusal(
                    peer: presenter.description,
                    waiting.space,
                    waiting.replica,
                    waiting.first,
                    refusal.code
                )
            }
        }
        return (applied, moved)
    }
}

extension StoreTransaction {
    /// What one device has in quarantine here: whoever writes without a grant does not fill the disk.
    struct QuarantineShare {
        private static let runsMax = 1024
        private static let changesMax = 1 << 16
        private static let bytesMax = 16 << 20

        private(set) var runs = 0
        private(set) var changes = 0
        private(set) var bytes = 0

        /// Whether a further run stays within the share.
        ///
        /// - Parameter shares: how many of them are one.
        func takes(_ run: RunEnvelope, shares: Int) -> Bool {
            runs < Self.runsMax * shares && changes + run.count <= Self.changesMax * shares
                && bytes + run.body.count <= Self.bytesMax * shares
        }

        /// - Parameter others: the bytes that are kept beside its body: of the chain before it, with all that it had seen.
        mutating func add(_ run: RunEnvelope, with others: Int) {
            add(runs: 1, changes: run.count, bytes: run.body.count + others)
        }

        mutating func add(runs: Int, changes: Int, bytes: Int) {
            self.runs += runs
            self.changes += changes
            self.bytes += bytes
        }
    }

    /// Shares that all those devices have together which no grant that counts ever named: anybody can make up any number
    /// of them, and some may be of honest people whom an admin let in beyond his cut.
    private static let strangersShares = 8

    private func hasRoom(for run: RunEnvelope) throws -> Bool {
        let sharer = try sharer(of: run.replica.device)
        return try quarantineShare(of: sharer).takes(run, shares: sharer == .stranger ? Self.strangersShares : 1)
    }

    /// In whose name a device's share is kept.
    private func sharer(of device: DeviceID) throws -> DeviceID {
        guard let access = try currentAccess() else { return device }
        return device == access.root || access.grants[device] != nil ? device : .stranger
    }

    /// What is in quarantine in one name; its rows are looked at once in a transaction.
    private func quarantineShare(of sharer: DeviceID) throws -> QuarantineShare {
        if let known = quarantineShares[sharer] { return known }
        let select = try statement(
            """
            SELECT substr(replica, 1, 16), count(*), sum(run.last - run.first + 1), sum(length(body) + length(base))
            FROM author JOIN withheld ON withheld.author = author.no
            JOIN run ON run.space = withheld.space AND run.author = withheld.author AND run.last >= withheld.first
            WHERE replica BETWEEN ? AND ? GROUP BY 1
            """
        )
        let last = sharer == .stranger ? [UInt8](repeating: .max, count: 24) : sharer.replicaBounds.last
        select.bind(1, sharer.replicaBounds.first)
        select.bind(2, last)
        var share = QuarantineShare()
        while try select.step() {
            guard let device = DeviceID(bytes: select.bytes(0)), try self.sharer(of: device) == sharer else { continue }
            share.add(runs: Int(select.int(1)), changes: Int(select.int(2)), bytes: Int(select.int(3)))
        }
        quarantineShares[sharer] = share
        return share
    }
}
