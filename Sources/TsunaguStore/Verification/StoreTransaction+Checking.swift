// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import GRDB
package import TsunaguCore

/// Reads the whole store back and compares its parts with each other.
extension StoreTransaction {
    /// SQLite's own check of the file.
    func checkFile() throws -> StoreCheck {
        var out = StoreCheck()
        for fault in try integrityFaults("integrity_check(20)") { out.fault(fault) }
        if out.faultCount > 0 { out.isDerived = try isDerived(damagedTables()) }
        let pages = try statement("PRAGMA page_count")
        if try pages.step() { out.checked = Int(pages.int(0)) }
        pages.reset()
        return out
    }

    /// What one of SQLite's checks finds, which may break off at what it finds.
    func integrityFaults(_ check: String) throws -> [String] {
        let select = try statement("PRAGMA \(check)")
        var out: [String] = []
        do {
            while try select.step() { out.append(select.text(0)) }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
            out.append("pages cannot be read")
        }
        return out.filter { $0 != "ok" }
    }

    /// The log with its chains and seals, the records with the log, the digests with the records.
    ///
    /// A run at a time is in memory, whatever the store holds.
    package func verify() throws -> Verification {
        let verifier = Verifier(self)
        try verifier.verify()
        return verifier.out
    }

    /// Whether records of a collection have no row in its typed table.
    package func lacksRows(_ collection: CollectionSchema) throws -> Bool {
        let select = try statement(
            """
            SELECT (SELECT count(*) FROM record WHERE collection = ?) > (SELECT count(*) FROM \(collection.name))
            """
        )
        select.bind(1, collection.number)
        defer { select.reset() }
        return try select.step() && select.int(0) != 0
    }

    /// Runs that wait for their causes, and parts of runs: whether they can be taken up again.
    ///
    /// The chain before a run that waits for an earlier one is not known here, so of such a run only the form can be
    /// told; its hashes are checked when its turn comes.
    package func checkWaiting() throws -> StoreCheck {
        var out = StoreCheck()
        for problem in try unreadableWaiting(&out.checked) { out.fault("\(problem.place): \(problem.reason)") }
        return out
    }

    /// A row of the holding area or of the staged parts that is of no use.
    struct WaitingFault {
        /// Its key: `no`, or space and replica.
        enum Key {
            case held(Int64)
            case staged(space: [UInt8], replica: [UInt8])
        }

        let key: Key
        let place: String
        let reason: String
    }

    func unreadableWaiting(_ checked: inout Int) throws -> [WaitingFault] {
        var out: [WaitingFault] = []
        let held = try statement("SELECT no FROM holding ORDER BY no")
        var rows: [Int64] = []
        while try held.step() { rows.append(held.int(0)) }
        for no in rows {
            checked += 1
            guard let reason = try problemOfHeld(no) else { continue }
            out.append(WaitingFault(key: .held(no), place: "holding \(no)", reason: reason))
        }
        let staged = try statement(
            """
            SELECT CAST(space AS BLOB), replica, first, total, hash, start + length(bytes) FROM staged
            ORDER BY space, replica, start
            """
        )
        while try staged.step() {
            checked += 1
            let (space, replica) = (staged.bytes(0), staged.bytes(1))
            let (total, count) = (staged.int(3), staged.int(5))
            let reason: String? =
                if SpaceID(String(decoding: space, as: UTF8.self)) == nil {
                    "no space"
                } else if ReplicaID(bytes: replica) == nil {
                    "no replica"
                } else if !(1...Chain.seqMax ~= staged.unsigned(2)) {
                    "number \(staged.int(2))"
                } else if staged.bytes(4).count != 16 {
                    "no hash"
                } else if !(1..<max(total, 2) ~= count) {
                    "\(count) bytes of \(total)"
                } else {
                    nil
                }
            guard let reason else { continue }
            let place = "staged \(String(decoding: space, as: UTF8.self)) \(Hex.encode(replica.prefix(8)))"
            out.append(WaitingFault(key: .staged(space: space, replica: replica), place: place, reason: reason))
        }
        return out
    }

    private func problemOfHeld(_ no: Int64) throws -> String? {
        let select = try statement(
            """
            SELECT space, replica, first, count, signature, body, presenter,
            cause, cause_space, cause_replica, cause_seq FROM holding WHERE no = ?
            """
        )
        select.bind(1, no)
        guard try select.step() else { return nil }
        defer { select.reset() }
        guard let space = SpaceID(select.text(0)) else { return "no space" }
        guard let replica = ReplicaID(bytes: select.bytes(1)) else { return "no replica" }
        let (first, count) = (select.unsigned(2), select.int(3))
        guard 1...Chain.seqMax ~= first, 1...Int64(Seal.changesMax) ~= count else {
            return "\(count) changes from number \(select.int(2)) on"
        }
        let (signature, body) = (select.bytes(4), select.bytes(5))
        guard signature.count == 64 else { return "no seal" }
        guard [0, 16].contains(select.bytes(6).count) else { return "no presenter" }
        guard cause(select, from: 7) != nil else { return "no cause" }
        select.reset()
        do {
            try RunDecoder.checkForm(body)
        } catch {
            return "\(error)"
        }
        // Which branch it goes on from shows when its turn comes.
        if try !forks(in: space).isEmpty { return nil }
        let base = try self.space(space).flatMap { row in
            try knownAuthor(replica).map { try chainRow(row, $0).chain }
        }
        guard (base ?? Chain()).seq + 1 == first, let key = try signingKey(of: replica.device) else { return nil }
        do {
            let run = try RunDecoder.decode(body, count: Int(count), in: context(space, replica, base ?? Chain()))
            return key.hasSealed(run.chain, space, replica, signature) ? nil : "the seal is wrong"
        } catch CodecError.unresolvedReference {
            return nil
        } catch {
            return "\(error)"
        }
    }

    // MARK: - Reading the log

    func authors(of space: Int64) throws -> [UInt32] {
        let select = try statement(
            "SELECT author FROM chain WHERE space = ?1 UNION SELECT author FROM run WHERE space = ?1"
        )
        select.bind(1, space)
        var out: [UInt32] = []
        while try select.step() { out.append(select.number(0)) }
        return out
    }

    struct StoredRun {
        let no: Int64
        let first: UInt64
        let last: UInt64
        let base: [UInt8]
        let signature: [UInt8]?
        let body: [UInt8]
    }

    /// What a chain's own row says of its end; `nil` where it cannot be read.
    func notedChain(_ space: Int64, _ author: UInt32) throws -> Chain? {
        let select = try statement("SELECT state FROM chain WHERE space = ? AND author = ?")
        select.bind(1, space)
        select.bind(2, author)
        guard try select.step() else { return nil }
        let state = select.bytes(0)
        select.reset()
        return try? decodeChain(state)
    }

    /// An author's runs in order; one is in memory at a time.
    func forEachRun(_ space: SpaceRow, _ author: UInt32, _ body: (StoredRun) throws -> Void) throws {
        var next: UInt64 = 0
        while let run = try storedRun(space.no, author, from: next) {
            try body(run)
            next = run.first + 1
        }
    }

    /// An author's first run that begins at a number or later.
    func storedRun(_ space: Int64, _ author: UInt32, from first: UInt64) throws -> StoredRun? {
        let select = try statement(
            """
            SELECT no, first, last, base, signature, body FROM run
            WHERE space = ? AND author = ? AND first >= ? ORDER BY first LIMIT 1
            """
        )
        select.bind(1, space)
        select.bind(2, author)
        select.bind(3, first)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return StoredRun(
            no: select.int(0),
            first: select.unsigned(1),
            last: select.unsigned(2),
            base: select.bytes(3),
            signature: select.isNull(4) ? nil : select.bytes(4),
            body: select.bytes(5)
        )
    }
}

extension Curve25519.Signing.PublicKey {
    /// Whether a signature is this key's seal over the end of a chain.
    func hasSealed(_ end: Chain, _ space: SpaceID, _ replica: ReplicaID, _ signature: [UInt8]) -> Bool {
        isValidSignature(
            signature,
            for: Seal.message(space: space, replica: replica, seq: end.seq, hash: end.hash)
        )
    }
}
