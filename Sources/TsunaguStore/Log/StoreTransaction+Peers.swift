// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What is known of other devices: where they are, when they were met, and what they hold of this log.
extension StoreTransaction {
    /// How far another device holds this store's log of a space, in rows.
    package struct PeerCopy: Hashable, Sendable {
        /// It holds every run up to this row.
        package var held: Int64
        /// It holds every run of this device up to this row.
        package var own: Int64
        /// How far it said that each author's chain goes there, where it said so.
        package var told: [ReplicaID: UInt64]

        package init(held: Int64, own: Int64, told: [ReplicaID: UInt64] = [:]) {
            self.held = held
            self.own = own
            self.told = told
        }
    }

    /// The last row of the log.
    package func lastRow() throws -> Int64 {
        let select = try statement("SELECT coalesce(max(no), 0) FROM run")
        defer { select.reset() }
        return try select.step() ? select.int(0) : 0
    }

    /// How far a device holds a space whose vector it told, looking no farther than a row.
    ///
    /// Where a chain may have forked, what was known before stands until both sides know the branches.
    ///
    /// - Returns: also whether it lacks what it was known to hold, for another reason than a fork: it lost that.
    package func copy(
        of id: SpaceID,
        told vector: [VectorEntry],
        by peer: DeviceID,
        upTo row: Int64
    ) throws -> (copy: PeerCopy, hasLost: Bool) {
        let own = try ownReplica()?.device
        let here = try self.vector(of: id)
        let forks = try devicesInDoubt(vector, here, in: id)
        var known = try heldHere(by: vector, here, in: id)
        // An own chain that goes farther there is perhaps a copy's: how far this one is there, nobody knows yet.
        for entry in here where entry.replica.device == own {
            if forks.contains(entry.replica.device), known[entry.replica] ?? 0 > entry.seq {
                known[entry.replica] = nil
            }
        }
        var others = known
        for entry in here where entry.replica.device != own { others[entry.replica] = entry.seq }
        let lacking = try runs(of: id, lacking: known)
        func end(_ rows: [Int64]) -> Int64 { min(row, rows.first.map { $0 - 1 } ?? row) }
        var copy = PeerCopy(held: end(lacking), own: end(try runs(of: id, lacking: others)), told: known)
        guard let former = try peerCopy(peer, id) else { return (copy, false) }
        let fallen = try copy.held < former.held ? devices(of: lacking.filter { $0 <= former.held }) : []
        if fallen.isSubset(of: forks) {
            copy.held = max(copy.held, former.held)
            copy.own = max(copy.own, former.own)
        }
        return (copy, copy.held < former.held)
    }

    /// Whose chains may be others there than here: there are names of theirs that are not known here, or another change
    /// stands under one number.
    private func devicesInDoubt(
        _ vector: [VectorEntry],
        _ here: [VectorEntry],
        in id: SpaceID
    ) throws -> Set<DeviceID> {
        let names = Set(here.map(\.replica))
        return Set(
            try vector.filter { entry in
                guard names.contains(entry.replica) else { return true }
                return try headerHash(of: entry.replica, at: entry.seq, in: id).map { $0 != entry.hash }
                    ?? (entry.replica.device == ownReplica()?.device)
            }.map(\.replica.device)
        )
    }

    /// How far the chains here are held by whoever told a vector, by the names that they have here: who knows that a chain
    /// forked files apart what is one chain to others.
    private func heldHere(
        by vector: [VectorEntry],
        _ here: [VectorEntry],
        in id: SpaceID
    ) throws -> [ReplicaID: UInt64] {
        let told = Dictionary(uniqueKeysWithValues: vector.map { ($0.replica, $0.seq) })
        var known = told
        for entry in here {
            let start = told[entry.replica] ?? 0
            var reached = start
            while reached < entry.seq, let hash = try headerHash(of: entry.replica, at: reached + 1, in: id),
                let farther = told[entry.replica.branch(at: reached + 1, hash: hash)], farther > reached
            { reached = farther }
            if reached > start { known[entry.replica] = reached }
        }
        guard let space = try space(id), let branches = try branches(in: space.no) else { return known }
        for entry in vector {
            guard let author = try knownAuthor(entry.replica), branches.isForked(author) else { continue }
            for end in branches.tree(of: branches.root(of: author)) {
                guard try headerHash(of: replica(end), at: entry.seq, in: id) == entry.hash else { continue }
                for part in branches.path(to: end) {
                    let name = try replica(part)
                    known[name] = try max(known[name] ?? 0, min(entry.seq, chainRow(space, part).chain.seq))
                }
            }
        }
        return known
    }

    private func devices(of rows: [Int64]) throws -> Set<DeviceID> {
        let select = try statement("SELECT author FROM run WHERE no = ?")
        var authors: Set<UInt32> = []
        for row in rows {
            select.bind(1, row)
            if try select.step() { authors.insert(select.number(0)) }
            select.reset()
        }
        return Set(try authors.map { try replica($0).device })
    }

    /// The rows of the sealed runs of a space that a device is not known to hold; all where nothing is known of it.
    package func runs(of id: SpaceID, lackingAt device: DeviceID) throws -> [Int64] {
        guard let copy = try peerCopy(device, id) else { return try runs(of: id, lacking: [:]) }
        return try runs(of: id, lacking: copy.told).filter { $0 > copy.held }
    }

    /// How large a run of the log is: its changes, and the bytes of its body; `nil` where there is none.
    package func runSize(_ no: Int64) throws -> (space: SpaceID, count: Int, bytes: Int)? {
        let select = try statement("SELECT space, last - first + 1, length(body) FROM run WHERE no = ?")
        select.bind(1, no)
        guard try select.step() else { return nil }
        let (space, count, bytes) = (select.int(0), Int(select.int(1)), Int(select.int(2)))
        select.reset()
        return (try spaceName(space), count, bytes)
    }

    /// What a device was last known to hold of a space.
    package func peerCopy(_ device: DeviceID, _ id: SpaceID) throws -> PeerCopy? {
        guard let space = try space(id) else { return nil }
        let select = try statement("SELECT held, own, told FROM peer_space WHERE device = ? AND space = ?")
        select.bind(1, device.bytes)
        select.bind(2, space.no)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return PeerCopy(
            held: select.int(0),
            own: select.int(1),
            told: select.isNull(2) ? [:] : try Self.decodeTold(select.bytes(2))
        )
    }

    private static func encode(told: [ReplicaID: UInt64]) -> [UInt8] {
        var out: [UInt8] = []
        for (replica, seq) in told.sorted(by: { $0.key < $1.key }) {
            out.append(replica)
            out.appendVarint(seq)
        }
        return out
    }

    private static func decodeTold(_ bytes: [UInt8]) throws -> [ReplicaID: UInt64] {
        try bytes.withMemory { memory throws(CodecError) in
            var reader = ByteReader(memory)
            var out: [ReplicaID: UInt64] = [:]
            while !reader.isAtEnd { out[try reader.replica()] = try reader.varint() }
            return out
        }
    }

    /// Notes what a device holds of a space.
    ///
    /// - Parameter isProved: whether both sides have just been shown to be the same there.
    package func setPeerCopy(_ device: DeviceID, _ id: SpaceID, _ copy: PeerCopy, isProved: Bool) throws {
        guard let space = try space(id) else { return }
        let insert = try statement(
            """
            INSERT INTO peer_space(device, space, held, own, proved_at, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT(device, space) DO UPDATE
            SET held = ?3, own = ?4, proved_at = coalesce(?5, proved_at), told = ?6
            """
        )
        insert.bind(1, device.bytes)
        insert.bind(2, space.no)
        insert.bind(3, copy.held)
        insert.bind(4, copy.own)
        if isProved { insert.bind(5, environment.now()) } else { insert.bindNull(5) }
        if copy.told.isEmpty { insert.bindNull(6) } else { insert.bind(6, Self.encode(told: copy.told)) }
        try insert.run()
    }

    /// Unix milliseconds of the last proof that a space is the same here as at one of the devices that speak for the
    /// ward; at such a device itself, as at any.
    package func provedAt(_ id: SpaceID) throws -> UInt64? {
        guard let space = try space(id), let own = try ownReplica(), let access = try currentAccess() else {
            return nil
        }
        let select = try statement("SELECT device, proved_at FROM peer_space WHERE space = ? AND proved_at IS NOT NULL")
        select.bind(1, space.no)
        var last: UInt64?
        while try select.step() {
            guard let device = DeviceID(bytes: select.bytes(0)), access.isAdmin(own.device) || access.isAdmin(device)
            else { continue }
            last = max(last ?? 0, select.unsigned(1))
        }
        return last
    }

    /// How many changes of this device in a space no other device is known to hold.
    package func unsent(in id: SpaceID) throws -> Int {
        guard let space = try space(id), let own = try ownReplica() else { return 0 }
        let select = try statement("SELECT coalesce(max(own), 0) FROM peer_space WHERE space = ?")
        select.bind(1, space.no)
        let held = try select.step() ? select.int(0) : 0
        select.reset()
        return try changes(in: space, after: held) { $0.device == own.device }
    }

    /// How many changes of a space a device is not known to hold: those beyond what it told, or holds without a gap, and
    /// not its own.
    package func lacking(_ device: DeviceID, in id: SpaceID) throws -> Int {
        guard let space = try space(id) else { return 0 }
        let copy = try peerCopy(device, id)
        let select = try statement("SELECT author, first, last FROM run WHERE space = ? AND no > ?")
        select.bind(1, space.no)
        select.bind(2, copy?.held ?? 0)
        var runs: [(author: UInt32, first: UInt64, last: UInt64)] = []
        while try select.step() { runs.append((select.number(0), select.unsigned(1), select.unsigned(2))) }
        return try runs.reduce(0) { sum, run in
            let replica = try replica(run.author)
            guard replica.device != device else { return sum }
            let known = max(run.first - 1, copy?.told[replica] ?? 0)
            return sum + Int(run.last - min(known, run.last))
        }
    }

    private func changes(
        in space: SpaceRow,
        after row: Int64,
        _ isCounted: (ReplicaID) -> Bool
    ) throws -> Int {
        let select = try statement(
            "SELECT author, sum(last - first + 1) FROM run WHERE space = ? AND no > ? GROUP BY author"
        )
        select.bind(1, space.no)
        select.bind(2, row)
        var counts: [(author: UInt32, count: Int)] = []
        while try select.step() { counts.append((select.number(0), Int(select.int(1)))) }
        return try counts.reduce(0) { $0 + (isCounted(try replica($1.author)) ? $1.count : 0) }
    }

    /// The hash of the header that an author's chain here has at a number; `nil` where it does not go that far.
    package func headerHash(of replica: ReplicaID, at seq: UInt64, in id: SpaceID) throws -> Hash32? {
        guard let space = try space(id), let author = try knownAuthor(replica) else { return nil }
        let chain = try chainRow(space, author).chain
        if chain.seq == seq { return chain.hash }
        return try run(space, author, containing: seq)?.changes.first { $0.header.dot.seq == seq }?.hash
    }

    // MARK: - Devices

    /// Notes that a device was met, and which copy of its store it said that it is.
    package func setMet(_ device: DeviceID, epoch: Bytes16? = nil) throws {
        let insert = try statement(
            """
            INSERT INTO peer(device, met_at, epoch) VALUES (?1, ?2, ?3)
            ON CONFLICT(device) DO UPDATE SET met_at = ?2, epoch = coalesce(?3, epoch)
            """
        )
        insert.bind(1, device.bytes)
        insert.bind(2, environment.now())
        if let epoch { insert.bind(3, epoch) } else { insert.bindNull(3) }
        try insert.run()
    }

    /// When a device was last met, in Unix milliseconds, and which copy of its store it was.
    package func met(_ device: DeviceID) throws -> (at: UInt64, epoch: Bytes16?)? {
        let select = try statement("SELECT met_at, epoch FROM peer WHERE device = ?")
        select.bind(1, device.bytes)
        guard try select.step() else { return nil }
        defer { select.reset() }
        return (select.unsigned(0), select.isNull(1) ? nil : Bytes16(select.bytes(1)))
    }

    // MARK: - Addresses

    /// Remembers where a peer is; `trust` is the caller's.
    package func setAddress(_ url: String, trust: [UInt8]) throws {
        let insert = try statement(
            "INSERT INTO address(url, trust) VALUES (?1, ?2) ON CONFLICT(url) DO UPDATE SET trust = ?2"
        )
        insert.bind(1, url)
        insert.bind(2, trust)
        try insert.run()
    }

    /// Forgets an address.
    ///
    /// - Returns: whether it was known.
    package func removeAddress(_ url: String) throws -> Bool {
        let known = try addresses().contains { $0.url == url }
        let delete = try statement("DELETE FROM address WHERE url = ?")
        delete.bind(1, url)
        try delete.run()
        return known
    }

    /// Where peers are, in the order in which they came to be known.
    package func addresses() throws -> [(url: String, trust: [UInt8])] {
        let select = try statement("SELECT url, trust FROM address ORDER BY no")
        var out: [(url: String, trust: [UInt8])] = []
        while try select.step() { out.append((select.text(0), select.bytes(1))) }
        return out
    }

    // MARK: - Incarnations

    /// Goes on as a new replica of this device: others hold changes under the old one's numbers that are not here, or
    /// were not when the next were numbered.
    package func beginIncarnation(_ sign: ([UInt8]) throws -> [UInt8]) throws {
        guard let own = try ownReplica() else { return }
        try seal(sign)
        let replica = ReplicaID(of: own.device, drawn: random())
        try setMeta("replica", .bytes(replica.bytes))
        returner = nil
    }

    /// Whether something that this replica wrote is out of effect, though its device has rights.
    package func isOwnWorkWithheld() throws -> Bool {
        guard let own = try ownReplica(), let author = try knownAuthor(own) else { return false }
        let select = try statement("SELECT 1 FROM withheld WHERE author = ? LIMIT 1")
        select.bind(1, author)
        defer { select.reset() }
        return try select.step() && currentAccess()?.isRevoked(own.device) == false
    }

    /// Writes as another replica, whose key is at hand for this moment alone, and seals that at once.
    package func write(as replica: ReplicaID, _ sign: ([UInt8]) throws -> [UInt8], _ body: () throws -> Void) throws {
        try flushDrafts()
        guard let own = try meta("replica") else { preconditionFailure("a store without a replica writes") }
        try setMeta("replica", .bytes(replica.bytes))
        try body()
        try flushDrafts()
        try seal(sign)
        try setMeta("replica", own)
    }
}
