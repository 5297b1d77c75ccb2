// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore

/// Where in its author's log a run belongs: a chain, until it forks.
extension StoreTransaction {
    /// Where a run goes on.
    enum LogEnd {
        /// At the end of a chain, or of a branch.
        case chain(ReplicaID)
        /// Beside what follows a change there, from a number on and under a name.
        case branch(of: UInt32, at: UInt64, ReplicaID)
    }

    /// A place in an author's log, by the chain or branch that leads there.
    struct LogPlace {
        let replica: ReplicaID
        let chain: Chain
    }

    /// An author's chain with its branches; none where nothing of it is here.
    func parts(of replica: ReplicaID, in space: SpaceRow) throws -> [UInt32] {
        guard let author = try knownAuthor(replica) else { return [] }
        return try branches(in: space.no)?.tree(of: author) ?? [author]
    }

    /// Whether a run is here as it is.
    func isInLog(_ run: RunEnvelope) throws -> Bool {
        guard let space = try space(run.space) else { return false }
        for author in try parts(of: run.replica, in: space) where try run.first <= chainRow(space, author).chain.seq {
            let select = try statement(
                "SELECT 1 FROM run WHERE space = ? AND author = ? AND first = ? AND signature = ?"
            )
            select.bind(1, space.no)
            select.bind(2, author)
            select.bind(3, run.first)
            select.bind(4, run.signature)
            defer { select.reset() }
            if try select.step() { return true }
        }
        return false
    }

    /// The places that a run can go on from: one, unless its author's chain forked before it; none where it begins behind
    /// all that is here.
    func starts(of run: RunEnvelope) throws -> [LogPlace] {
        guard let space = try space(run.space), try knownAuthor(run.replica) != nil else {
            return run.first == 1 ? [LogPlace(replica: run.replica, chain: Chain())] : []
        }
        return try parts(of: run.replica, in: space).compactMap { author in
            let end = try chainRow(space, author).chain
            let replica = try replica(author)
            if run.first == end.seq + 1 { return LogPlace(replica: replica, chain: end) }
            let begin = try replica == run.replica ? 0 : firstSeq(author, in: space.no)
            guard begin < run.first, run.first <= end.seq else { return nil }
            guard let stored = try self.run(space, author, containing: run.first),
                let place = stored.changes.firstIndex(where: { $0.header.dot.seq == run.first })
            else { throw try missingChange(space, LocalDot(author: author, seq: run.first)) }
            return LogPlace(replica: replica, chain: try chain(in: stored, space, author, before: place))
        }
    }

    enum Reading {
        /// Its author's word, with its body as it is to be kept.
        case sealed(RunDecoder.Run, body: [UInt8])
        case waits(for: Dot)
        case refused(Refusal)
    }

    /// Decodes a run behind a place and checks its seal.
    ///
    /// Its author may have named records by changes behind a fork that he knew nothing of: which of them he meant shows in
    /// the seal. Where he meant others than are named so here, ids are spelled out.
    func read(
        _ run: RunEnvelope,
        from place: LogPlace,
        _ key: Curve25519.Signing.PublicKey,
        tries: Int = Readings.triesMax
    ) throws -> Reading {
        let readings = Readings(tries: tries)
        var failure: Reading?
        repeat {
            do {
                let decoded = try RunDecoder.decode(
                    run.body,
                    count: run.count,
                    in: context(run.space, place.replica, place.chain, readings)
                )
                guard !key.hasSealed(decoded.chain, run.space, run.replica, run.signature) else {
                    if readings.isMain { return .sealed(decoded, body: run.body) }
                    let spelled = try spellingOut(decoded, in: run.space)
                    return .sealed(spelled, body: try spelled.encoded())
                }
                failure = .refused(.badSeal)
            } catch CodecError.unresolvedReference(let dot) {
                failure = failure ?? .waits(for: dot)
            } catch {
                failure = failure ?? .refused(.malformed("\(error)"))
            }
        } while readings.advance()
        return failure!
    }

    private func spellingOut(_ run: RunDecoder.Run, in id: SpaceID) throws -> RunDecoder.Run {
        guard let space = try space(id), let branches = try branches(in: space.no) else { return run }
        var forked: Set<ReplicaID> = []
        for author in branches.byAuthor.values.map(\.parent) { forked.insert(try replica(author)) }
        var out = run
        out.changes = run.changes.map { $0.spellingOut(forked.contains) }
        return out
    }

    /// What of a run is not in the log, and where it goes on from; `nil` where all of it is here.
    ///
    /// One chain may have been cut into runs in more than one way: an author that was put back to a backup seals what
    /// was unsealed then, and has sealed it with what followed before. A seal speaks for the chain up to its change
    /// wherever the run begins, so what is new is taken as a run of its own under the same seal.
    func place(
        _ decoded: RunDecoder.Run,
        of run: RunEnvelope,
        _ body: [UInt8],
        from start: LogPlace
    ) throws -> SoundRun? {
        guard let space = try space(run.space), var author = try knownAuthor(start.replica) else {
            return try sound(decoded, of: run, body, from: 0, behind: start.chain, at: .chain(run.replica))
        }
        let branches = try branches(in: space.no)
        for (index, change) in decoded.changes.enumerated() {
            let seq = change.header.dot.seq
            let end = try chainRow(space, author).chain
            if seq <= end.seq {
                let here = try self.run(space, author, containing: seq)?.changes.first { $0.header.dot.seq == seq }
                guard let here else { throw try missingChange(space, LocalDot(author: author, seq: seq)) }
                if here.hash == change.hash { continue }
                let behind = try chain(before: seq, space, author)
                return try branch(decoded, of: run, body, from: index, behind: behind, of: author)
            }
            guard let ends = branches?.ends(of: author), !ends.isEmpty else {
                return try sound(decoded, of: run, body, from: index, behind: end, at: .chain(replica(author)))
            }
            let known = try ends.first { branch in
                try self.run(space, branch.author, containing: seq)?.changes
                    .first { $0.header.dot.seq == seq }?.hash == change.hash
            }
            guard let known else { return try branch(decoded, of: run, body, from: index, behind: end, of: author) }
            author = known.author
        }
        return nil
    }

    private func chain(before seq: UInt64, _ space: SpaceRow, _ author: UInt32) throws -> Chain {
        guard let run = try run(space, author, containing: seq),
            let place = run.changes.firstIndex(where: { $0.header.dot.seq == seq })
        else { throw try missingChange(space, LocalDot(author: author, seq: seq)) }
        return try chain(in: run, space, author, before: place)
    }

    private func branch(
        _ decoded: RunDecoder.Run,
        of run: RunEnvelope,
        _ body: [UInt8],
        from index: Int,
        behind chain: Chain,
        of parent: UInt32
    ) throws -> SoundRun {
        let change = decoded.changes[index]
        let seq = change.header.dot.seq
        return try sound(
            decoded,
            of: run,
            body,
            from: index,
            behind: chain.branching(from: try replica(parent), at: seq),
            at: .branch(of: parent, at: seq, run.replica.branch(at: seq, hash: change.hash))
        )
    }

    /// The changes of a run from a place in it on, as a run of their own under the same seal.
    private func sound(
        _ decoded: RunDecoder.Run,
        of run: RunEnvelope,
        _ body: [UInt8],
        from index: Int,
        behind base: Chain,
        at end: LogEnd
    ) throws(CodecError) -> SoundRun {
        let name =
            switch end {
            case .chain(let replica): replica
            case .branch(_, _, let name): name
            }
        let first = decoded.changes[index].header.dot.seq
        var (_, rest) = decoded.parted(at: first)
        if rest.changes[0].header.dot.replica != name { rest.changes = rest.changes.map { $0.filed(under: name) } }
        rest.chain = base
        for change in rest.changes { try rest.chain.advance(by: change.header, hash: change.hash) }
        let envelope = RunEnvelope(
            space: run.space,
            replica: run.replica,
            first: first,
            count: rest.changes.count,
            signature: run.signature,
            body: index == 0 ? body : try rest.encoded()
        )
        return SoundRun(envelope: envelope, decoded: rest, base: base, end: end)
    }

    /// Whether a chain may have one more branch, under a name that nobody has otherwise.
    func mayBranch(_ parent: UInt32, at first: UInt64, _ name: ReplicaID, _ run: RunEnvelope) throws -> Bool {
        guard let space = try space(run.space) else { return false }
        var names = [name]
        if try chainRow(space, parent).chain.seq >= first,
            let hash = try self.run(space, parent, containing: first)?.changes
                .first(where: { $0.header.dot.seq == first })?.hash
        {
            names.append(run.replica.branch(at: first, hash: hash))
        }
        for name in names {
            guard let author = try knownAuthor(name) else { continue }
            if try chainRow(space, author).chain.seq > 0 { return false }
        }
        return try parts(of: run.replica, in: space).count + names.count <= Self.branchesMax + 1
    }
}
