// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

extension StoreTransaction {
    /// Runs kept in the holding area at most.
    private static let holdingMax = 256

    /// Takes in a run: checks it whole, appends it to the log, and applies it where it is allowed and its causes are in
    /// effect. What waited for it is tried again.
    package func receive(_ run: RunEnvelope) throws -> Receipt {
        let receipt = try take(run)
        if case .applied = receipt { try retryWaiting() }
        return receipt
    }

    private func take(_ run: RunEnvelope) throws -> Receipt {
        let space = try openSpace(run.space)
        let author = try author(run.replica)
        var row = try chainRow(space, author)
        guard run.first > row.chain.seq else {
            return run.last <= row.chain.seq ? .duplicate : .refused(.fork(seq: run.first))
        }
        guard run.first == row.chain.seq + 1 else {
            return try hold(run, waitsFor: "\(run.replica.device.short) \(row.chain.seq + 1)")
        }
        guard let key = try signingKey(of: run.replica.device) else {
            return run.space == .system ? .refused(.unknownDevice) : try hold(run, waitsFor: "\(run.replica.device.short)")
        }
        let decoded: RunDecoder.Run
        do {
            decoded = try RunDecoder.decode(run.body, count: run.count, in: context(space, author, row.chain))
        } catch CodecError.unresolvedReference(let dot) {
            return try hold(run, waitsFor: "\(dot.replica.device.short) \(dot.seq)")
        } catch let error as CodecError {
            return .refused(.malformed("\(error)"))
        }
        let message = Seal.message(
            space: run.space, replica: run.replica, seq: decoded.chain.seq, hash: decoded.chain.hash)
        guard key.isValidSignature(run.signature, for: message) else { return .refused(.badSeal) }
        if let missing = try missing(of: decoded.chain.deps, in: run.space, except: run.replica)
            ?? missing(of: decoded.chain.systemDeps, in: .system, except: nil)
        {
            return try hold(run, waitsFor: "\(missing.replica.device.short) \(missing.seq)")
        }

        let allowed = try currentAccess()?.mayWrite(run.replica.device, run.space) ?? false
        let ownPast = try isInEffect(Dot(run.replica, row.chain.seq), run.space) || row.chain.seq == 0
        let state: RunState = allowed && ownPast ? .inEffect : .quarantined
        let base = row.chain
        try insertRun(
            space, author, first: run.first, last: run.last, state: state, base: try encode(base),
            signature: run.signature, body: run.body)
        for block in decoded.blocks { try insertSeed(space, author, block) }
        row.chain = decoded.chain
        row.sealed = decoded.chain.seq
        row.block = decoded.blocks.last?.start ?? row.block
        setChainRow(row, space, author)
        guard state == .inEffect else { return .quarantined(run.count) }
        try apply(decoded, from: base, space)
        return .applied(run.count)
    }

    private func apply(_ run: RunDecoder.Run, from base: Chain, _ space: SpaceRow) throws {
        var chain = base
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
            guard let device = DeviceID(hex: select.text(0)), let role = Role(rawValue: select.text(1)) else { continue }
            out.grants[device, default: []].append(
                Access.Grant(
                    role: role, spaces: select.text(2).split(separator: " ").map(String.init),
                    writes: select.text(3) == "write"))
        }
        access = out
        return out
    }

    // MARK: - Waiting

    private func hold(_ run: RunEnvelope, waitsFor: String) throws -> Receipt {
        let count = try statement("SELECT count(*) FROM holding")
        _ = try count.step()
        let held = count.int(0)
        count.reset()
        guard held < Self.holdingMax else { return .refused(.holdingFull) }
        let insert = try statement(
            """
            INSERT OR REPLACE INTO holding(space, replica, first, count, signature, body, waits_for)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """)
        insert.bind(1, run.space.name)
        insert.bind(2, run.replica.bytes)
        insert.bind(3, run.first)
        insert.bind(4, run.count)
        insert.bind(5, run.signature)
        insert.bind(6, run.body)
        insert.bind(7, waitsFor)
        try insert.run()
        return .held(waitsFor: waitsFor)
    }

    /// Tries what is held and what is quarantined until nothing more moves.
    private func retryWaiting() throws {
        var moved = true
        while moved {
            moved = try retryQuarantined()
            if try retryHeld() { moved = true }
        }
    }

    private func retryHeld() throws -> Bool {
        let select = try statement(
            "SELECT no, space, replica, first, count, signature, body FROM holding ORDER BY first")
        var held: [(no: Int64, run: RunEnvelope)] = []
        while try select.step() {
            guard let space = SpaceID(select.text(1)), let replica = ReplicaID(bytes: select.bytes(2)) else { continue }
            held.append((
                select.int(0),
                RunEnvelope(
                    space: space, replica: replica, first: UInt64(select.int(3)), count: Int(select.int(4)),
                    signature: select.bytes(5), body: select.bytes(6))
            ))
        }
        var moved = false
        for (no, run) in held {
            let delete = try statement("DELETE FROM holding WHERE no = ?")
            delete.bind(1, no)
            try delete.run()
            // Where it still waits, `take` puts it back.
            switch try take(run) {
            case .applied, .quarantined: moved = true
            case .held, .duplicate, .partial, .refused: break
            }
        }
        return moved
    }

    /// Lets a quarantined run take effect where a grant has come that covers it.
    private func retryQuarantined() throws -> Bool {
        let select = try statement("SELECT no, space, author, first, last, base, body FROM run WHERE state <> 0 ORDER BY no")
        struct Row {
            let no: Int64
            let space: Int64
            let author: UInt32
            let first: UInt64
            let last: UInt64
            let base: [UInt8]
            let body: [UInt8]
        }
        var rows: [Row] = []
        while try select.step() {
            rows.append(
                Row(
                    no: select.int(0), space: select.int(1), author: UInt32(select.int(2)),
                    first: UInt64(select.int(3)), last: UInt64(select.int(4)), base: select.bytes(5),
                    body: select.bytes(6)))
        }
        var moved = false
        for row in rows {
            guard let space = try space(try spaceName(row.space)) else { continue }
            let replica = try replica(row.author)
            guard try currentAccess()?.mayWrite(replica.device, space.id) == true else { continue }
            guard try row.first == 1 || isInEffect(Dot(replica, row.first - 1), space.id) else { continue }
            let decoded = try decode(row.body, base: row.base, first: row.first, last: row.last, space, row.author)
            let update = try statement("UPDATE run SET state = 0 WHERE no = ?")
            update.bind(1, row.no)
            try update.run()
            exceptionCache[space.no] = nil
            try apply(decoded, from: decodeChain(row.base), space)
            moved = true
        }
        return moved
    }

    private func missing(of vector: VersionVector, in id: SpaceID, except own: ReplicaID?) throws -> Dot? {
        var vector = vector
        if let own { vector[own] = 0 }
        return try missing(of: vector, in: id)
    }
}
