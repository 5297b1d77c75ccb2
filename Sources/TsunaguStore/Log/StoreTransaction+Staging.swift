// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The cursor of an exchange inside a run, and what was refused.
extension StoreTransaction {
    /// A run of which some bytes arrived.
    package struct Staged {
        package var space: SpaceID
        package var replica: ReplicaID
        package var first: UInt64
        package var hash: Bytes16
        /// Bytes of the whole.
        package var total: Int
        /// How many are here, from the first on.
        package var count: Int

        package init(
            space: SpaceID,
            replica: ReplicaID,
            first: UInt64,
            hash: Bytes16,
            total: Int,
            count: Int = 0
        ) {
            self.space = space
            self.replica = replica
            self.first = first
            self.hash = hash
            self.total = total
            self.count = count
        }
    }

    /// Runs that one peer may have staged, and their bytes: a few whole ones, since a run's parts follow each other.
    private static let stagedRunsMax = 64
    private static let stagedBytesMax = 16 << 20
    /// Bytes up to which small parts share a row: what a part writes is bounded by its own size and this.
    private static let stagedRowBytes = 64 << 10

    /// What a peer brought in part.
    package func staged(from presenter: DeviceID) throws -> [Staged] {
        let select = try statement(
            """
            SELECT space, replica, first, hash, total, max(start + length(bytes)) FROM staged
            WHERE presenter = ? GROUP BY space, replica
            """
        )
        select.bind(1, presenter.bytes)
        var out: [Staged] = []
        while try select.step() {
            guard let space = SpaceID(select.text(0)), let replica = ReplicaID(bytes: select.bytes(1)),
                let hash = Bytes16(select.bytes(3))
            else { continue }
            out.append(
                Staged(
                    space: space,
                    replica: replica,
                    first: select.unsigned(2),
                    hash: hash,
                    total: Int(select.int(4)),
                    count: Int(select.int(5))
                )
            )
        }
        return out
    }

    /// The bytes of a run that a peer brought in part, from the first on.
    package func stagedBytes(_ staged: Staged, from presenter: DeviceID) throws -> [UInt8] {
        let select = try statement(
            "SELECT bytes FROM staged WHERE presenter = ? AND space = ? AND replica = ? ORDER BY start"
        )
        select.bind(1, presenter.bytes)
        select.bind(2, staged.space.name)
        select.bind(3, staged.replica.bytes)
        var out: [UInt8] = []
        out.reserveCapacity(staged.count)
        while try select.step() { out += select.blob(0) }
        return out
    }

    /// Keeps what a peer brought of a run behind what is here of it.
    ///
    /// Where the peer's share is full, what it left half brought makes room: it begins anew if it still comes.
    package func stage(_ new: some Collection<UInt8>, of staged: Staged, from presenter: DeviceID) throws {
        var others = try self.staged(from: presenter).filter {
            ($0.space, $0.replica) != (staged.space, staged.replica)
        }
        others.sort { $0.count < $1.count }
        var bytes = others.reduce(staged.count + new.count) { $0 + $1.count }
        while others.count >= Self.stagedRunsMax || bytes > Self.stagedBytesMax, let largest = others.popLast() {
            bytes -= largest.count
            try unstage(largest.space, largest.replica, from: presenter)
        }
        var (start, row) = (staged.count, Array(new))
        if let last = try lastRow(of: staged, from: presenter), last.bytes.count + row.count <= Self.stagedRowBytes {
            (start, row) = (last.start, last.bytes + row)
        }
        let insert = try statement(
            """
            INSERT OR REPLACE INTO staged(presenter, space, replica, start, first, total, hash, bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """
        )
        insert.bind(1, presenter.bytes)
        insert.bind(2, staged.space.name)
        insert.bind(3, staged.replica.bytes)
        insert.bind(4, start)
        insert.bind(5, staged.first)
        insert.bind(6, staged.total)
        insert.bind(7, staged.hash)
        insert.bind(8, row)
        try insert.run()
    }

    private func lastRow(of staged: Staged, from presenter: DeviceID) throws -> (start: Int, bytes: [UInt8])? {
        let select = try statement(
            """
            SELECT start, bytes FROM staged WHERE presenter = ? AND space = ? AND replica = ?
            ORDER BY start DESC LIMIT 1
            """
        )
        select.bind(1, presenter.bytes)
        select.bind(2, staged.space.name)
        select.bind(3, staged.replica.bytes)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return (Int(select.int(0)), select.bytes(1))
    }

    /// Forgets what anybody half brought of a run that is in the log now: it may be erased one day.
    func unstage(_ run: RunEnvelope) throws {
        let delete = try statement("DELETE FROM staged WHERE space = ? AND replica = ? AND first <= ?")
        delete.bind(1, run.space.name)
        delete.bind(2, run.replica.bytes)
        delete.bind(3, run.last)
        try delete.run()
    }

    /// Forgets all that was half brought of a space of which something was erased: it is a cursor, and begins anew.
    func unstage(_ space: SpaceID) throws {
        let delete = try statement("DELETE FROM staged WHERE space = ?")
        delete.bind(1, space.name)
        try delete.run()
    }

    /// Forgets what a peer brought of a chain.
    package func unstage(_ space: SpaceID, _ replica: ReplicaID, from presenter: DeviceID) throws {
        let delete = try statement("DELETE FROM staged WHERE presenter = ? AND space = ? AND replica = ?")
        delete.bind(1, presenter.bytes)
        delete.bind(2, space.name)
        delete.bind(3, replica.bytes)
        try delete.run()
    }

    /// What is received of a space but not in effect.
    package func waiting(in id: SpaceID) throws -> [VersionVector.Exception] { try inEffect(id).exceptions }

    /// How many changes this replica wrote in a space.
    package func ownSeq(in id: SpaceID) throws -> (seq: UInt64, sealed: UInt64) {
        guard let own = try ownReplica(), let author = try knownAuthor(own), let space = try space(id) else {
            return (0, 0)
        }
        let row = try chainRow(space, author)
        return (row.chain.seq, row.sealed)
    }

    // MARK: - Refusals

    /// A run that this site or a peer would not take.
    package struct RefusalRow: Sendable {
        /// Unix milliseconds.
        package let at: UInt64
        package let peer: String
        package let space: SpaceID
        package let replica: ReplicaID
        package let first: UInt64
        /// A fixed word, `Refusal.code`, or what the run waits for.
        package let reason: String
        /// Whether it was this side that would not.
        package let here: Bool
    }

    /// A list for people: a peer that sends rubbish without end does not fill the disk.
    private static let refusalsMax = 1000

    /// Notes that this side would not take a run.
    package func setRefusal(
        peer: String,
        _ space: SpaceID,
        _ replica: ReplicaID,
        _ first: UInt64,
        _ reason: String
    ) throws {
        let count = try statement("SELECT count(*) FROM refusal WHERE peer = ?")
        count.bind(1, peer)
        _ = try count.step()
        let known = count.int(0)
        count.reset()
        guard known < Self.refusalsMax else { return }
        try insertRefusal(peer, space, replica, first, reason, here: true)
    }

    /// Forgets that this side would not take a run, once it has.
    package func clearRefusal(peer: String, _ space: SpaceID, _ replica: ReplicaID, _ first: UInt64) throws {
        let delete = try statement(
            "DELETE FROM refusal WHERE peer = ? AND space = ? AND replica = ? AND first = ? AND here = 1"
        )
        delete.bind(1, peer)
        delete.bind(2, space.name)
        delete.bind(3, replica.bytes)
        delete.bind(4, first)
        try delete.run()
    }

    /// Puts what was refused in a whole exchange with a peer in the place of what was before: the rest is taken since.
    package func replaceRefusals(
        with peer: String,
        _ refusals: [(space: SpaceID, replica: ReplicaID, first: UInt64, reason: String, here: Bool)]
    ) throws {
        let delete = try statement("DELETE FROM refusal WHERE peer = ?")
        delete.bind(1, peer)
        try delete.run()
        for refusal in refusals.prefix(Self.refusalsMax) {
            try insertRefusal(
                peer,
                refusal.space,
                refusal.replica,
                refusal.first,
                refusal.reason,
                here: refusal.here
            )
        }
    }

    private func insertRefusal(
        _ peer: String,
        _ space: SpaceID,
        _ replica: ReplicaID,
        _ first: UInt64,
        _ reason: String,
        here: Bool
    ) throws {
        let insert = try statement(
            "INSERT OR REPLACE INTO refusal(at, peer, space, replica, first, reason, here) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        insert.bind(1, environment.now())
        insert.bind(2, peer)
        insert.bind(3, space.name)
        insert.bind(4, replica.bytes)
        insert.bind(5, first)
        insert.bind(6, reason)
        insert.bind(7, here ? 1 : 0)
        try insert.run()
    }

    /// What was refused, here and by peers, oldest first.
    package func refusals() throws -> [RefusalRow] {
        let select = try statement("SELECT at, peer, space, replica, first, reason, here FROM refusal ORDER BY no")
        var out: [RefusalRow] = []
        while try select.step() {
            guard let space = SpaceID(select.text(2)), let replica = ReplicaID(bytes: select.bytes(3)) else { continue }
            out.append(
                RefusalRow(
                    at: select.unsigned(0),
                    peer: select.text(1),
                    space: space,
                    replica: replica,
                    first: select.unsigned(4),
                    reason: select.text(5),
                    here: select.int(6) != 0
                )
            )
        }
        return out
    }
}
