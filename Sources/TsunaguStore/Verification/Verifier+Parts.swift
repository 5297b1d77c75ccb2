// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// The table of parts against the headers of the log, in effect or not: it holds exactly the transactions that they
/// carry.
extension Verifier {
    /// A change that is a part is noted as one; of several of an author's under one id, the first.
    func checkPart(_ header: ChangeHeader, _ space: StoreTransaction.SpaceRow, _ author: UInt32) throws {
        guard let id = header.transaction?.id else { return }
        let part = Verification.Part(
            transaction: id.bytes,
            space: space.no,
            dot: LocalDot(author: author, seq: header.dot.seq)
        )
        let noted = try notedPart(part)
        if noted == part.dot {
            soundParts += 1
        } else if noted.map({ $0.seq > part.dot.seq || !isCarried(id.bytes, space.no, $0) }) ?? true {
            out.tables.fault("part: \(space.id) \(author) \(part.dot.seq) is not noted as a part")
            out.missingParts.append(part)
        }
    }

    /// Rows that no header backs.
    func checkParts() throws {
        let count = try transaction.statement("SELECT count(*) FROM part")
        _ = try count.step()
        let rows = Int(count.int(0))
        count.reset()
        guard rows != soundParts else { return }
        let select = try transaction.statement("SELECT txn, space, author, seq FROM part ORDER BY space, author, seq")
        var parts: [Verification.Part] = []
        while try select.step() {
            parts.append(
                Verification.Part(
                    transaction: select.bytes(0),
                    space: select.int(1),
                    dot: LocalDot(author: select.number(2), seq: select.unsigned(3))
                )
            )
        }
        for part in parts where !isCarried(part.transaction, part.space, part.dot) {
            out.tables.fault("part: no header of the log says so of \(part.dot.author) \(part.dot.seq)")
            out.needlessParts.append(part)
        }
    }

    private func notedPart(_ part: Verification.Part) throws -> LocalDot? {
        let select = try transaction.statement("SELECT seq FROM part WHERE txn = ? AND space = ? AND author = ?")
        select.bind(1, part.transaction)
        select.bind(2, part.space)
        select.bind(3, part.dot.author)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return LocalDot(author: part.dot.author, seq: select.unsigned(0))
    }

    /// Whether a change carries a transaction, as far as it can be read.
    private func isCarried(_ id: [UInt8], _ space: Int64, _ dot: LocalDot) -> Bool {
        isUnreadable(dot, space) || transaction.loggedChange(dot, space)?.header.transaction?.id.bytes == id
    }
}
