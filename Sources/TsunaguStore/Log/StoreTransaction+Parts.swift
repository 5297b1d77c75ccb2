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
        }
    }

    /// The parts that a run's transactions have in other spaces which this site holds, and that are not in the log.
    ///
    /// `system` waits for nobody: it says who may do what, and comes first.
    func missingParts(of run: RunDecoder.Run, in id: SpaceID) throws -> [MissingPart] {
        guard !Mutant.partsTakeEffectAlone.isPlanted, id != .system,
            run.changes.contains(where: { $0.header.transaction != nil })
        else { return [] }
        let secrets = try heldSecrets().filter { $0.space.id != id }
        var out: [MissingPart] = []
        for change in run.changes {
            guard let transaction = change.header.transaction else { continue }
            for (space, secret) in secrets
            where transaction.parts.contains(Self.partCode(transaction.id, secret: secret)) {
                let missing = MissingPart(
                    transaction: transaction.id,
                    space: space.id,
                    timestamp: change.header.timestamp
                )
                if try !isSettled(missing, space, change.header.dot.replica) { out.append(missing) }
            }
        }
        return out
    }

    /// Whether a part is in the log, or cannot come any more: its author wrote later things in its space.
    private func isSettled(_ part: MissingPart, _ space: SpaceRow, _ replica: ReplicaID) throws -> Bool {
        guard let author = try knownAuthor(replica) else { return false }
        let select = try statement("SELECT 1 FROM part WHERE txn = ? AND space = ? AND author = ?")
        select.bind(1, part.transaction)
        select.bind(2, space.no)
        select.bind(3, author)
        defer { select.reset() }
        return try select.step() || chainRow(space, author).chain.timestamp > part.timestamp
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

    /// The transactions that a quarantine has split; their parts in effect are shown, and a person is told.
    package func splitTransactions() throws -> [SplitTransaction] {
        let select = try statement(
            """
            SELECT DISTINCT other.txn, other.space, other.author, other.seq
            FROM withheld
            JOIN part ON part.space = withheld.space AND part.author = withheld.author AND part.seq >= withheld.first
            JOIN part AS other ON other.txn = part.txn AND other.space <> part.space AND other.author = part.author
            ORDER BY other.txn, other.space
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
