// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

extension StoreTransaction {
    /// Runs that one peer may have in the holding area, and their bytes: what it brings cannot be verified yet, so it
    /// must not crowd out what others bring.
    private static let heldRunsMax: Int64 = 64
    private static let heldBytesMax: Int64 = 16 << 20

    /// Takes in a run: checks it whole, appends it to the log, and applies it where it is allowed and its causes are in
    /// effect.
    ///
    /// What waited for it is tried again. A run that is refused leaves nothing behind.
    ///
    /// - Parameter presenter: the device that brings it.
    package func receive(_ run: RunEnvelope, from presenter: DeviceID? = nil) throws -> Receipt {
        self.presenter = presenter
        let receipt = try take(run)
        switch receipt {
        case .applied, .quarantined: try retryWaiting()
        case .duplicate, .held, .partial, .refused: break
        }
        return receipt
    }

    private func take(_ run: RunEnvelope) throws -> Receipt {
        guard (1...Seal.changesMax).contains(run.count), 1...Chain.seqMax ~= run.first else {
            return .refused(.malformed("\(run.count) changes from number \(run.first) on"))
        }
        var base = Chain()
        if let space = try space(run.space), let author = try knownAuthor(run.replica) {
            base = try chainRow(space, author).chain
            if run.first <= base.seq { return try known(run, space, author, base) }
        }
        // Nothing can be known of a run whose author is not: it comes again once `system` has said who that is.
        guard let key = try signingKey(of: run.replica.device) else { return .refused(.unknownDevice) }
        guard run.first == base.seq + 1 else {
            return try hold(run, waitsFor: "\(run.replica.device.short) \(base.seq + 1)")
        }
        let decoded: RunDecoder.Run
        do {
            decoded = try RunDecoder.decode(run.body, count: run.count, in: context(run.space, run.replica, base))
        } catch CodecError.unresolvedReference(let dot) {
            return try hold(run, waitsFor: "\(dot.replica.device.short) \(dot.seq)")
        } catch {
            return .refused(.malformed("\(error)"))
        }
        guard key.isValidSignature(run.signature, for: Self.message(run, decoded)) else { return .refused(.badSeal) }
        if let problem = try contradiction(decoded, in: run) { return .refused(.malformed(problem)) }
        if let missing = try missingCause(of: decoded, from: base, run) {
            return try hold(run, waitsFor: "\(missing.replica.device.short) \(missing.seq)")
        }
        return try append(run, decoded, after: base)
    }

    /// Appends a checked run to the log and applies it where a grant covers it.
    private func append(_ run: RunEnvelope, _ decoded: RunDecoder.Run, after base: Chain) throws -> Receipt {
        let space = try openSpace(run.space)
        let author = try author(run.replica)
        let allowed = try currentAccess()?.mayWrite(run.replica.device, run.space) ?? false
        let ownPast = try base.seq == 0 || isInEffect(Dot(run.replica, base.seq), run.space)
        let state: RunState = allowed && ownPast ? .inEffect : .quarantined
        try insertRun(
            space,
            author,
            first: run.first,
            last: run.last,
            state: state,
            base: try encode(base),
            signature: run.signature,
            body: run.body
        )
        for block in decoded.blocks { try insertSeed(space, author, block) }
        var row = try chainRow(space, author)
        row.chain = decoded.chain
        row.sealed = decoded.chain.seq
        row.block = decoded.blocks.last?.start ?? row.block
        setChainRow(row, space, author)
        guard state == .inEffect else { return .quarantined(run.count) }
        try apply(decoded, from: base, space)
        return .applied(run.count)
    }

    private static func message(_ run: RunEnvelope, _ decoded: RunDecoder.Run) -> [UInt8] {
        Seal.message(space: run.space, replica: run.replica, seq: decoded.chain.seq, hash: decoded.chain.hash)
    }

    /// A run whose first number is in the log already: the same again, or the author's word for something else.
    private func known(_ run: RunEnvelope, _ space: SpaceRow, _ author: UInt32, _ chain: Chain) throws -> Receipt {
        let select = try statement("SELECT base, signature FROM run WHERE space = ? AND author = ? AND first = ?")
        select.bind(1, space.no)
        select.bind(2, author)
        select.bind(3, run.first)
        guard try select.step() else {
            // Runs are cut once, by their author: one that begins inside another was not.
            return run.last <= chain.seq ? .duplicate : .refused(.fork(seq: chain.seq + 1))
        }
        let (base, signature) = (select.bytes(0), select.bytes(1))
        select.reset()
        if signature == run.signature { return .duplicate }
        guard let key = try signingKey(of: run.replica.device) else { return .refused(.unknownDevice) }
        let decoded: RunDecoder.Run
        do {
            decoded = try RunDecoder.decode(
                run.body,
                count: run.count,
                in: context(run.space, run.replica, decodeChain(base))
            )
        } catch CodecError.unresolvedReference(let dot) {
            return try hold(run, waitsFor: "\(dot.replica.device.short) \(dot.seq)")
        } catch {
            return .refused(.malformed("\(error)"))
        }
        guard key.isValidSignature(run.signature, for: Self.message(run, decoded)) else { return .refused(.badSeal) }
        for change in decoded.changes {
            let seq = change.header.dot.seq
            let here = try self.run(space, author, containing: seq)?.changes.first { $0.header.dot.seq == seq }
            guard here?.hash == change.hash else { return .refused(.fork(seq: seq)) }
        }
        return .duplicate
    }

    /// The first change that one of the run's changes had seen and that is not in effect here.
    ///
    /// The last change's deps speak for all, unless exceptions came in between: what was seen before may be excepted
    /// after.
    private func missingCause(of decoded: RunDecoder.Run, from base: Chain, _ run: RunEnvelope) throws -> Dot? {
        var chain = base
        for (place, change) in decoded.changes.enumerated() {
            try chain.advance(by: change.header, hash: change.hash)
            let next = place + 1 < decoded.changes.count ? decoded.changes[place + 1].header : nil
            guard next == nil || next?.deps.exceptions != nil || next?.systemDeps.exceptions != nil else { continue }
            if let missing = try missing(of: chain.deps, in: run.space) ?? missing(of: chain.systemDeps, in: .system) {
                return missing
            }
        }
        return nil
    }

    /// Where the run's operations are not what this schema says of their numbers, which never change their meaning:
    /// applied, they would mean one thing here and another at the next site.
    private func contradiction(_ decoded: RunDecoder.Run, in run: RunEnvelope) throws -> String? {
        let space = try space(run.space)
        for block in decoded.blocks {
            guard let space, let author = try knownAuthor(run.replica),
                let known = try self.block(space, author, block.start), known.start == block.start
            else { continue }
            guard known.seed == block.seed else { return "block \(block.start) has two seeds" }
        }
        for change in decoded.changes {
            let problem = try change.payload.bytes.withUnsafeBytes { memory -> String? in
                for entry in change.payload.entries {
                    let plan = plan(entry.shape)
                    if let contradiction = plan.contradiction { return contradiction }
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

    private func apply(_ run: RunDecoder.Run, from base: Chain, _ space: SpaceRow) throws {
        var chain = base
        appliedSpaces.insert(space.id)
        for change in run.changes {
            try chain.advance(by: change.header, hash: change.hash)
            try adopt(change.header.timestamp, from: change.header.dot.replica)
            try apply(change, at: chain, space)
        }
    }

    /// The key that seals a device's changes: from its record in `system`, or the founder's, as this site was told.
    package func signingKey(of device: DeviceID) throws -> Curve25519.Signing.PublicKey? {
        if try device == root(), case .bytes(let bytes)? = try meta("root_key") {
            return try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
        }
        let select = try statement("SELECT signing_key FROM device WHERE id = ?")
        select.bind(1, device.bytes)
        guard try select.step() else { return nil }
        defer { select.reset() }
        guard let bytes = Hex.decode(select.text(0)), DeviceID(signingKey: bytes) == device else { return nil }
        return try? Curve25519.Signing.PublicKey(rawRepresentation: bytes)
    }

    /// Who may do what, from the grants in effect.
    package func currentAccess() throws -> Access? {
        if let access { return access }
        guard let root = try root() else { return nil }
        var out = Access(root: root)
        let select = try statement("SELECT device, role, spaces, access FROM access_grant WHERE deleted = 0")
        while try select.step() {
            guard let device = DeviceID(hex: select.text(0)), let role = Role(rawValue: select.text(1)) else {
                continue
            }
            out.grants[device, default: []].append(
                Access.Grant(
                    role: role,
                    spaces: select.text(2).split(separator: " ").map(String.init),
                    writes: select.text(3) == "write"
                )
            )
        }
        access = out
        return out
    }

    // MARK: - Waiting

    private func hold(_ run: RunEnvelope, waitsFor: String) throws -> Receipt {
        let presenter = presenter?.bytes ?? []
        // A run that is held already may come again: it takes no further place.
        let count = try statement(
            """
            SELECT count(*), coalesce(sum(length(body)), 0) FROM holding
            WHERE presenter = ? AND NOT (space = ? AND replica = ? AND first = ?)
            """
        )
        count.bind(1, presenter)
        count.bind(2, run.space.name)
        count.bind(3, run.replica.bytes)
        count.bind(4, run.first)
        _ = try count.step()
        let isFull = count.int(0) >= Self.heldRunsMax || count.int(1) + Int64(run.body.count) > Self.heldBytesMax
        count.reset()
        guard !isFull else { return .refused(.holdingFull) }
        let insert = try statement(
            """
            INSERT OR REPLACE INTO holding(space, replica, first, count, signature, body, waits_for, presenter)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """
        )
        insert.bind(1, run.space.name)
        insert.bind(2, run.replica.bytes)
        insert.bind(3, run.first)
        insert.bind(4, run.count)
        insert.bind(5, run.signature)
        insert.bind(6, run.body)
        insert.bind(7, waitsFor)
        insert.bind(8, presenter)
        try insert.run()
        return .held(waitsFor: waitsFor)
    }

    /// Tries what is held and what is quarantined until nothing more moves.
    func retryWaiting() throws {
        hasNewsOfMembers = false
        var moved = true
        while moved {
            moved = try retryQuarantined()
            if try retryHeld() { moved = true }
        }
    }

    /// Takes held runs up again whose turn in their author's chain has come; only these are read whole.
    private func retryHeld() throws -> Bool {
        let select = try statement("SELECT no, space, replica, first, presenter FROM holding ORDER BY first")
        var held: [(no: Int64, space: SpaceID, replica: ReplicaID, first: UInt64, presenter: DeviceID?)] = []
        while try select.step() {
            guard let space = SpaceID(select.text(1)), let replica = ReplicaID(bytes: select.bytes(2)) else { continue }
            held.append((select.int(0), space, replica, select.unsigned(3), DeviceID(bytes: select.bytes(4))))
        }
        var moved = false
        for waiting in held {
            var next: UInt64 = 1
            if let space = try space(waiting.space), let author = try knownAuthor(waiting.replica) {
                next = try chainRow(space, author).chain.seq + 1
            }
            guard waiting.first <= next, let run = try takeOutOfHolding(waiting.no) else { continue }
            presenter = waiting.presenter
            // Where it still waits, `take` puts it back.
            switch try take(run) {
            case .applied, .quarantined: moved = true
            case .held, .duplicate, .partial, .refused: break
            }
        }
        return moved
    }

    private func takeOutOfHolding(_ no: Int64) throws -> RunEnvelope? {
        let select = try statement("SELECT space, replica, first, count, signature, body FROM holding WHERE no = ?")
        select.bind(1, no)
        guard try select.step() else { return nil }
        let run = SpaceID(select.text(0)).flatMap { space in
            ReplicaID(bytes: select.bytes(1)).map { replica in
                RunEnvelope(
                    space: space,
                    replica: replica,
                    first: select.unsigned(2),
                    count: Int(select.int(3)),
                    signature: select.bytes(4),
                    body: select.bytes(5)
                )
            }
        }
        select.reset()
        let delete = try statement("DELETE FROM holding WHERE no = ?")
        delete.bind(1, no)
        try delete.run()
        return run
    }

    /// Lets quarantined runs take effect where a grant has come that covers them; only these are read whole.
    private func retryQuarantined() throws -> Bool {
        let select = try statement(
            "SELECT no, space, author, first, last FROM run INDEXED BY run_waiting WHERE state <> 0 ORDER BY no"
        )
        var rows: [(no: Int64, space: Int64, author: UInt32, first: UInt64, last: UInt64)] = []
        while try select.step() {
            rows.append((select.int(0), select.int(1), select.number(2), select.unsigned(3), select.unsigned(4)))
        }
        var moved = false
        for row in rows {
            guard let space = try space(try spaceName(row.space)) else { continue }
            let replica = try replica(row.author)
            guard try currentAccess()?.mayWrite(replica.device, space.id) == true else { continue }
            guard try row.first == 1 || isInEffect(Dot(replica, row.first - 1), space.id) else { continue }
            let stored = try statement("SELECT base, body FROM run WHERE no = ?")
            stored.bind(1, row.no)
            guard try stored.step() else { continue }
            let (base, body) = (stored.bytes(0), stored.bytes(1))
            stored.reset()
            let decoded = try decode(body, base: base, first: row.first, last: row.last, space, row.author)
            let update = try statement("UPDATE run SET state = 0 WHERE no = ?")
            update.bind(1, row.no)
            try update.run()
            exceptionCache[space.no] = nil
            try apply(decoded, from: decodeChain(base), space)
            moved = true
        }
        return moved
    }
}
