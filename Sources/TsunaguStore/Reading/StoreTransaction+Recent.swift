// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// A change as the log tells it to people.
package struct LoggedChange: Sendable {
    package let header: ChangeHeader
    /// How many records it wrote.
    package let records: Int
    /// Whether it is in effect; else it is quarantined.
    package let isInEffect: Bool
}

/// A run, or the end of one, that is kept and shown, but not in effect.
package struct QuarantinedRun: Sendable {
    package let space: SpaceID
    package let replica: ReplicaID
    package let first: UInt64
    package let last: UInt64
    /// The header of its last change.
    package let header: ChangeHeader
    /// The records it would have written.
    package let records: [RecordID]
    package let reason: Reason

    /// Why it is not in effect.
    package enum Reason: String, Sendable {
        /// No grant lets its author's device write the space.
        case notGranted = "not_granted"
        /// It says, or follows what says, more than its author's role may.
        case notWriter = "not_writer"
        /// It is beyond what a revocation honours.
        case revoked
    }
}

extension StoreTransaction {
    /// The latest changes, newest first by their authors' clocks; of one space, or of all.
    ///
    /// - Complexity: only the runs that hold them are decoded. Along a chain stamps ascend, so the newest of all is the
    ///   newest of the chains' last ones.
    package func recentChanges(in id: SpaceID? = nil, limit: Int) throws -> [LoggedChange] {
        struct Cursor {
            let space: SpaceRow
            let author: UInt32
            var seq: UInt64
            var timestamp: Timestamp
        }
        var cursors: [Cursor] = []
        for name in try id.map({ [$0] }) ?? spaces() {
            guard let space = try space(name) else { continue }
            for entry in try vector(of: name) {
                let author = try author(entry.replica)
                let chain = try chainRow(space, author).chain
                cursors.append(Cursor(space: space, author: author, seq: chain.seq, timestamp: chain.timestamp))
            }
        }
        var out: [LoggedChange] = []
        while out.count < limit, let place = cursors.indices.max(by: { cursors[$0].timestamp < cursors[$1].timestamp })
        {
            let cursor = cursors[place]
            guard let run = try run(cursor.space, cursor.author, containing: cursor.seq),
                let index = run.changes.firstIndex(where: { $0.header.dot.seq == cursor.seq })
            else {
                cursors.remove(at: place)
                continue
            }
            let change = run.changes[index]
            out.append(
                LoggedChange(
                    header: change.header,
                    records: change.payload.entries.count,
                    isInEffect: try isInEffect(change.header.dot, cursor.space.id)
                )
            )
            cursors[place].seq -= 1
            if index > 0 {
                cursors[place].timestamp = run.changes[index - 1].header.timestamp
            } else if let earlier = try self.run(cursor.space, cursor.author, containing: cursor.seq - 1)?.changes.last
            {
                cursors[place].timestamp = earlier.header.timestamp
            } else {
                cursors.remove(at: place)
            }
        }
        return out
    }

    /// The ids of the conflicts that are open on a record.
    package func conflictIDs(of rid: Int64) throws -> [String] {
        let select = try statement("SELECT id FROM conflict WHERE rid = ? ORDER BY grp")
        select.bind(1, rid)
        var out: [String] = []
        while try select.step() { out.append(select.text(0)) }
        return out
    }

    /// What is quarantined, in the order of arrival; of `system` what nobody has said anew.
    package func quarantined() throws -> [QuarantinedRun] {
        let saidAnew = try currentAccess()?.saidAnew ?? [:]
        let select = try statement(
            """
            SELECT run.space, run.author, run.first, withheld.first FROM withheld JOIN run
            ON run.space = withheld.space AND run.author = withheld.author AND run.last >= withheld.first ORDER BY run.no
            """
        )
        var rows: [(space: Int64, author: UInt32, run: UInt64, withheld: UInt64)] = []
        while try select.step() {
            rows.append((select.int(0), select.number(1), select.unsigned(2), select.unsigned(3)))
        }
        return try rows.compactMap { row in
            guard let space = try space(try spaceName(row.space)),
                let run = try run(space, row.author, containing: row.run), let last = run.changes.last
            else { return nil }
            let replica = try replica(row.author)
            let first = max(row.run, row.withheld, space.id == .system ? (saidAnew[replica] ?? 0) + 1 : 0)
            let changes = run.changes.filter { $0.header.dot.seq >= first }
            guard !changes.isEmpty else { return nil }
            let ids = Set(changes.flatMap { $0.payload.entries.map(\.id) })
            return QuarantinedRun(
                space: space.id,
                replica: replica,
                first: first,
                last: last.header.dot.seq,
                header: last.header,
                records: ids.sorted(),
                reason: try reasonOfQuarantine(space, row.author, from: row.withheld)
            )
        }
    }

    private func reasonOfQuarantine(
        _ space: SpaceRow,
        _ author: UInt32,
        from first: UInt64
    ) throws -> QuarantinedRun.Reason {
        let roles = try currentAccess()?.writingRoles(of: replica(author).device, in: space.id) ?? []
        let barred = try barred(space, author)
        if roles.isEmpty { return .notGranted }
        return roles.allSatisfy { barred[$0] ?? .max <= first } ? .notWriter : .revoked
    }
}
