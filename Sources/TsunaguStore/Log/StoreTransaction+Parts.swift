// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// Transactions over several spaces: their parts become visible together at every site that holds the spaces.
extension StoreTransaction {
    /// A part of a transaction that belongs to a space held here and is not in the log.
    struct MissingPart {
        let transaction: Bytes16
        let space: SpaceID
        /// The stamp of the part that names it.
        let timestamp: Timestamp
    }

    /// What a transaction's other parts carry of the part in a space: only who knows the space's secret recognises it.
    static func partCode(_ transaction: Bytes16, secret: [UInt8]) -> Hash32 {
        Array(
            HMAC<SHA256>.authenticationCode(
                for: Array("tsunagu/part/1".utf8) + transaction.bytes,
                using: SymmetricKey(data: secret)
            )
        )
    }

    /// Notes which transactions some changes of the log are parts of.
    func insertParts(of changes: [Change], _ space: SpaceRow, _ author: UInt32) throws {
        for change in changes {
            guard let transaction = change.header.transaction else { continue }
            let insert = try statement("INSERT OR IGNORE INTO part(txn, space, author, seq) VALUES (?, ?, ?, ?)")
            insert.bind(1, transaction.id)
            insert.bind(2, space.no)
            insert.bind(3, author)
            insert.bind(4, change.header.dot.seq)
            try insert.run()
            let forget = try statement("DELETE FROM refused_part WHERE replica = ? AND txn = ? AND space = ?")
            forget.bind(1, change.header.dot.replica.bytes)
            forget.bind(2, transaction.id)
            forget.bind(3, space.no)
            try forget.run()
        }
    }

    /// Parts that are noted as refused for one device: whose word is never taken does not fill the disk.
    private static let refusedPartsMax = 4096

    /// Notes which parts of transactions were refused although they bear their author's seal.
    ///
    /// - Returns: whether there are new ones among them.
    func insertRefusedParts(of changes: some Collection<Change>, in run: RunEnvelope) throws -> Bool {
        let transactions = changes.compactMap { $0.header.transaction?.id }
        // Of a space that is not held here no part is waited for.
        guard !transactions.isEmpty, let space = try space(run.space) else { return false }
        return try insertRefusedParts(transactions, space, run.replica)
    }

    private func insertRefusedParts(
        _ transactions: [Bytes16],
        _ space: SpaceRow,
        _ replica: ReplicaID
    ) throws -> Bool {
        let count = try statement("SELECT count(*) FROM refused_part WHERE replica BETWEEN ? AND ?")
        let (first, last) = replica.device.replicaBounds
        count.bind(1, first)
        count.bind(2, last)
        _ = try count.step()
        var known = Int(count.int(0))
        count.reset()
        var areNew = false
        for transaction in transactions where known < Self.refusedPartsMax {
            guard try !isRefused(transaction, space, replica), try loggedPart(transaction, space, replica) == nil
            else { continue }
            let insert = try statement("INSERT INTO refused_part(replica, txn, space) VALUES (?, ?, ?)")
            insert.bind(1, replica.bytes)
            insert.bind(2, transaction)
            insert.bind(3, space.no)
            try insert.run()
            known += 1
            areNew = true
        }
        return areNew
    }

    private func isRefused(_ transaction: Bytes16, _ space: SpaceRow, _ replica: ReplicaID) throws -> Bool {
        let select = try statement("SELECT 1 FROM refused_part WHERE replica = ? AND txn = ? AND space = ?")
        select.bind(1, replica.bytes)
        select.bind(2, transaction)
        select.bind(3, space.no)
        defer { select.reset() }
        return try select.step()
    }

    /// The parts that a run's transactions have in other spaces which this site holds, and that are not in the log.
    ///
    /// `system` waits for nobody: it says who may do what, and comes first.
    ///
    /// - Parameter author: under whose name they are sealed.
    func missingParts(of run: RunDecoder.Run, by author: ReplicaID, in id: SpaceID) throws -> [MissingPart] {
        guard !Mutant.partsTakeEffectAlone.isPlanted, id != .system,
            run.changes.contains(where: { $0.header.transaction != nil })
        else { return [] }
        return try parts(named: run.changes.map(\.header), in: id)
            .filter { try !isSettled($0.part, $0.space, author) }.map(\.part)
    }

    /// The parts in other spaces held here of the transactions that some changes are of.
    private func parts(
        named headers: [ChangeHeader],
        in id: SpaceID
    ) throws -> [(part: MissingPart, space: SpaceRow)] {
        let secrets = try heldSecrets().filter { $0.space.id != id }
        return headers.flatMap { header in
            guard let transaction = header.transaction else { return [(part: MissingPart, space: SpaceRow)]() }
            return secrets.filter { transaction.parts.contains(Self.partCode(transaction.id, secret: $0.secret)) }.map {
                (MissingPart(transaction: transaction.id, space: $0.space.id, timestamp: header.timestamp), $0.space)
            }
        }
    }

    /// Whether what else was done where a record was erased is still to take effect in a space held here: the space may
    /// be newer here than the erasure, and what was quarantined may be adopted.
    package func isErasurePartial(_ collection: CollectionSchema, _ id: RecordID, in space: SpaceID) throws -> Bool {
        guard let row = try self.space(space) else { return false }
        return try receipts(of: ErasedKey(collection: collection.number, id: id), row).contains { receipt in
            guard let header = try header(of: receipt, in: space), let author = try knownAuthor(receipt.replica) else {
                return false
            }
            let name = try sealingName(of: author, in: row.no)
            return try parts(named: [header], in: space).contains { part, other in
                guard let logged = try loggedPart(part.transaction, other, name) else {
                    return try !isSettled(part, other, name)
                }
                return try !isInEffect(logged, other.id)
            }
        }
    }

    /// Whether a part is in the log, or does not come any more: it was refused, or its author wrote later things in its
    /// space.
    private func isSettled(_ part: MissingPart, _ space: SpaceRow, _ replica: ReplicaID) throws -> Bool {
        if try loggedPart(part.transaction, space, replica) != nil { return true }
        if try isRefused(part.transaction, space, replica) { return true }
        guard let author = try knownAuthor(replica) else { return false }
        // Of a chain that forked it may come in any branch.
        let ends = try branches(in: space.no)?.leaves(of: author) ?? [author]
        return try ends.allSatisfy { try chainRow(space, $0).chain.timestamp > part.timestamp }
    }

    /// Gives a part up where its author's rights ended and all that counts of his chain in its space is here without it:
    /// it was lost with his machine, or is beyond the cut.
    ///
    /// It is noted as one that was refused is, so that a person is told. Should it come after all it is quarantined.
    ///
    /// - Returns: whether it is given up.
    func giveUp(_ part: MissingPart, of replica: ReplicaID) throws -> Bool {
        guard let access = try currentAccess(), access.isRevoked(replica.device), let space = try space(part.space)
        else { return false }
        if let author = try knownAuthor(replica) {
            let ends = try branches(in: space.no)?.tree(of: author) ?? [author]
            let isWhole = try ends.allSatisfy { end in
                try access.honours(self.replica(end), in: space.id, barred: barred(space, end))
                    <= chainRow(space, end).chain.seq
            }
            guard isWhole else { return false }
        } else {
            guard access.honours(replica, in: space.id) == 0 else { return false }
        }
        _ = try insertRefusedParts([part.transaction], space, replica)
        return true
    }

    /// The change of a space that is a transaction's part there, by an author or a branch of his chain.
    private func loggedPart(_ transaction: Bytes16, _ space: SpaceRow, _ replica: ReplicaID) throws -> Dot? {
        guard let author = try knownAuthor(replica) else { return nil }
        let select = try statement("SELECT author, seq FROM part WHERE txn = ? AND space = ?")
        select.bind(1, transaction)
        select.bind(2, space.no)
        var rows: [(author: UInt32, seq: UInt64)] = []
        while try select.step() { rows.append((select.number(0), select.unsigned(1))) }
        let row = try rows.first { try $0.author == author || branches(in: space.no)?.root(of: $0.author) == author }
        return try row.map { Dot(try self.replica($0.author), $0.seq) }
    }

    /// The secrets of the spaces that this site may hold by its grants.
    private func heldSecrets() throws -> [(space: SpaceRow, secret: [UInt8])] {
        guard let own = try ownReplica(), let access = try currentAccess() else { return [] }
        return try spaces().compactMap { id in
            guard id != .system, access.mayRead(own.device, id), let space = try space(id),
                let secret = try secret(of: id)
            else { return nil }
            return (space, secret)
        }
    }

    /// A transaction of which some parts are in effect and others are not.
    package struct SplitTransaction: Sendable {
        package let id: Bytes16
        /// The space and the records of a part that is in effect.
        package let space: SpaceID
        package let records: [RecordID]
    }

    /// The transactions that a quarantine or a refusal has split; their parts in effect are shown, and a person is told.
    package func splitTransactions() throws -> [SplitTransaction] {
        let select = try statement(
            """
            SELECT other.txn, other.space, other.author, other.seq
            FROM withheld
            JOIN part ON part.space = withheld.space AND part.author = withheld.author AND part.seq >= withheld.first
            JOIN part AS other ON other.txn = part.txn AND other.space <> part.space
            JOIN author AS one ON one.no = part.author
            JOIN author AS two ON two.no = other.author AND substr(two.replica, 1, 16) = substr(one.replica, 1, 16)
            UNION
            SELECT other.txn, other.space, other.author, other.seq
            FROM refused_part AS refused JOIN author ON author.replica = refused.replica
            JOIN part AS other ON other.txn = refused.txn AND other.space <> refused.space AND other.author = author.no
            ORDER BY 1, 2
            """
        )
        var rows: [(txn: Bytes16, space: Int64, author: UInt32, seq: UInt64)] = []
        while try select.step() {
            guard let txn = Bytes16(select.bytes(0)) else { continue }
            rows.append((txn, select.int(1), select.number(2), select.unsigned(3)))
        }
        return try rows.compactMap { row in
            let name = try spaceName(row.space)
            guard try isInEffect(Dot(replica(row.author), row.seq), name), let space = try space(name),
                let change = try run(space, row.author, containing: row.seq)?.changes.first(where: {
                    $0.header.dot.seq == row.seq
                })
            else { return nil }
            return SplitTransaction(id: row.txn, space: name, records: change.payload.entries.map(\.id).sorted())
        }
    }
}

extension RunDecoder.Run {
    /// Whether a run of the part's space holds it, or shows that it never comes.
    func settles(_ part: StoreTransaction.MissingPart) -> Bool {
        changes.contains { $0.header.transaction?.id == part.transaction } || chain.timestamp > part.timestamp
    }
}
