// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The holding area: runs whose turn has not come, kept beside the log until it has.
extension DeviceID {
    /// In whose name those bring something who are nobody here: together they are one.
    package static let stranger = DeviceID(bytes: [UInt8](repeating: 0, count: 16))!

    /// The first and the last name of a replica that a device may have.
    var replicaBounds: (first: [UInt8], last: [UInt8]) {
        (bytes + [UInt8](repeating: 0, count: 8), bytes + [UInt8](repeating: .max, count: 8))
    }
}

extension StoreTransaction {
    /// Runs that one peer may have in the holding area, and their bytes: what it brings cannot be verified yet, so it
    /// must not crowd out what others bring.
    private static let heldRunsMax = 64
    private static let heldBytesMax = 16 << 20

    /// What a run waits for.
    struct Cause: Hashable, CustomStringConvertible {
        enum Kind: Int64 {
            /// A change that is not in the log.
            case arrival = 0
            /// The part of a transaction with which a chain goes on.
            case part = 1
        }

        let kind: Kind
        let space: SpaceID
        /// The change, or the first that may be the part.
        let dot: Dot

        init(_ kind: Kind, _ space: SpaceID, _ dot: Dot) {
            self.kind = kind
            self.space = space
            self.dot = dot
        }

        var description: String { "\(dot.replica.device.short) \(kind == .part ? space.name : String(dot.seq))" }
    }

    /// Whether a cause is here now; for a part that a chain has gone on, which may have brought it.
    func hasCome(_ cause: Cause) throws -> Bool {
        // Behind a fork nothing comes under the name any more; whoever waits for it is looked at again.
        try isBehindFork(cause) || nextSeq(in: cause.space, of: cause.dot.replica) > cause.dot.seq
    }

    /// Whether the chain that a cause is of has forked here.
    func isBehindFork(_ cause: Cause) throws -> Bool {
        guard let space = try space(cause.space), let author = try knownAuthor(cause.dot.replica) else { return false }
        return try branches(in: space.no)?.isForked(author) == true
    }

    /// What is known of a held run without its body.
    struct HeldRun {
        let no: Int64
        let presenter: DeviceID?
        let space: SpaceID
        let replica: ReplicaID
        let first: UInt64
        let bytes: Int
        let signature: [UInt8]
        let cause: Cause
    }

    func heldRuns() throws -> [HeldRun] {
        let select = try statement(
            """
            SELECT no, presenter, space, replica, first, length(body), signature,
            cause, cause_space, cause_replica, cause_seq FROM holding
            """
        )
        var out: [HeldRun] = []
        while try select.step() {
            guard let space = SpaceID(select.text(2)), let replica = ReplicaID(bytes: select.bytes(3)),
                let cause = cause(select, from: 7)
            else { continue }
            out.append(
                HeldRun(
                    no: select.int(0),
                    presenter: DeviceID(bytes: select.bytes(1)),
                    space: space,
                    replica: replica,
                    first: select.unsigned(4),
                    bytes: Int(select.int(5)),
                    signature: select.bytes(6),
                    cause: cause
                )
            )
        }
        return out
    }

    /// The cause in four columns of a row; `nil` where they are none.
    func cause(_ row: RawStatement, from column: Int32) -> Cause? {
        guard let kind = Cause.Kind(rawValue: row.int(column)), let space = SpaceID(row.text(column + 1)),
            let replica = ReplicaID(bytes: row.bytes(column + 2))
        else { return nil }
        return Cause(kind, space, Dot(replica, row.unsigned(column + 3)))
    }

    /// What the holding area waits for in a space.
    package func heldCauses(in id: SpaceID) throws -> [String] {
        Set(try heldRuns().filter { $0.space == id }.map(\.cause.description)).sorted()
    }

    /// Keeps a run within its presenter's share of the area.
    ///
    /// Where the share is full, runs that are farther from their turn make room: they come again with the next exchange,
    /// and a run that is next must not wait outside for its partner in another space. Strangers have no share.
    func hold(_ run: RunEnvelope, waitsFor cause: Cause) throws -> Receipt {
        guard presenter != .stranger else { return .refused(.holdingFull) }
        let shared = try heldRuns().filter { $0.presenter == presenter }
        let same = shared.first { $0.space == run.space && $0.replica == run.replica && $0.first == run.first }
        if let same, same.signature == run.signature {
            if same.cause != cause { try setCause(cause, ofHeld: same.no) }
            return .held(waitsFor: cause.description)
        }
        var others = try shared.filter { $0.no != same?.no }.map { ($0, try distance($0.space, $0.replica, $0.first)) }
        let own = try distance(run.space, run.replica, run.first)
        others.sort { $0.1 < $1.1 }
        while others.count >= Self.heldRunsMax
            || others.reduce(run.body.count, { $0 + $1.0.bytes }) > Self.heldBytesMax
        {
            guard let last = others.popLast(), last.1 > own else { return .refused(.holdingFull) }
            try removeFromHolding(last.0.no)
        }
        let insert = try statement(
            """
            INSERT OR REPLACE INTO holding(space, replica, first, count, signature, body, presenter,
            cause, cause_space, cause_replica, cause_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        )
        insert.bind(1, run.space.name)
        insert.bind(2, run.replica.bytes)
        insert.bind(3, run.first)
        insert.bind(4, run.count)
        insert.bind(5, run.signature)
        insert.bind(6, run.body)
        insert.bind(7, presenter?.bytes ?? [])
        bind(cause, to: insert, from: 8)
        try insert.run()
        return .held(waitsFor: cause.description)
    }

    private func setCause(_ cause: Cause, ofHeld no: Int64) throws {
        let update = try statement(
            "UPDATE holding SET cause = ?, cause_space = ?, cause_replica = ?, cause_seq = ? WHERE no = ?"
        )
        bind(cause, to: update, from: 1)
        update.bind(5, no)
        try update.run()
    }

    private func bind(_ cause: Cause, to statement: RawStatement, from index: Int32) {
        statement.bind(index, cause.kind.rawValue)
        statement.bind(index + 1, cause.space.name)
        statement.bind(index + 2, cause.dot.replica.bytes)
        statement.bind(index + 3, cause.dot.seq)
    }

    /// How many numbers of its author's chain come before a run.
    private func distance(_ space: SpaceID, _ replica: ReplicaID, _ first: UInt64) throws -> UInt64 {
        let next = try nextSeq(in: space, of: replica)
        return first > next ? first - next : 0
    }

    /// The number behind the last of an author's chain; where that forked, behind the last of its longest branch.
    func nextSeq(in id: SpaceID, of replica: ReplicaID) throws -> UInt64 {
        guard let space = try space(id), let author = try knownAuthor(replica) else { return 1 }
        let parts = try branches(in: space.no)?.tree(of: author) ?? [author]
        return try parts.map { try chainRow(space, $0).chain.seq }.max()! + 1
    }

    /// Where the runs begin that wait here of those that a device brought.
    package func heldPlaces(from presenter: DeviceID) throws -> Set<RunPlace> {
        let held = try heldRuns().filter { $0.presenter == presenter }
        return Set(held.map { RunPlace(space: $0.space, replica: $0.replica, first: $0.first) })
    }

    /// Whether its author's chain here goes as far as a place.
    package func isInLog(_ place: RunPlace) throws -> Bool {
        try nextSeq(in: place.space, of: place.replica) > place.first
    }

    func heldRun(_ no: Int64) throws -> RunEnvelope? {
        let select = try statement("SELECT space, replica, first, count, signature, body FROM holding WHERE no = ?")
        select.bind(1, no)
        guard try select.step() else { return nil }
        defer { select.reset() }
        guard let space = SpaceID(select.text(0)), let replica = ReplicaID(bytes: select.bytes(1)) else { return nil }
        return RunEnvelope(
            space: space,
            replica: replica,
            first: select.unsigned(2),
            count: Int(select.int(3)),
            signature: select.bytes(4),
            body: select.bytes(5)
        )
    }

    /// Forgets what waited under the name of a run that is in the log now, whoever brought it.
    func removeFromHolding(_ run: RunEnvelope) throws {
        let delete = try statement("DELETE FROM holding WHERE space = ? AND replica = ? AND first = ?")
        delete.bind(1, run.space.name)
        delete.bind(2, run.replica.bytes)
        delete.bind(3, run.first)
        try delete.run()
    }

    func removeFromHolding(_ no: Int64) throws {
        let delete = try statement("DELETE FROM holding WHERE no = ?")
        delete.bind(1, no)
        try delete.run()
    }
}
