// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Who may do what, and what of the log is in effect by that.
extension StoreTransaction {
    /// Who may do what, by all that the log of `system` says, whether that is in effect or not.
    package func currentAccess() throws -> Access? {
        if let access { return access }
        guard let root = try root() else { return nil }
        let out = Access(root: root, facts: try authorityFacts().map(named))
        access = out
        return out
    }

    // MARK: - What was said

    /// What was said of who may do what, by whoever is or claims to be an admin.
    package func authorityFacts() throws -> Set<AuthorityFact> {
        guard let space = try space(.system) else { return [] }
        var facts = try factsInEffect(space)
        // Of what is not in effect only the word of those whom somebody made admins could count.
        var read: Set<UInt32> = []
        var isComplete = false
        while !isComplete {
            isComplete = true
            let claimants = Set(
                facts.compactMap { fact -> DeviceID? in
                    guard case .grant(let device, let grant) = fact.content, grant.role == .admin else { return nil }
                    return device
                }
            )
            for exception in try exceptions(.system) {
                let author = try author(exception.replica)
                let isClaimant = try claimants.contains(exception.replica.device) || exception.replica.device == root()
                guard isClaimant, read.insert(author).inserted else { continue }
                isComplete = false
                var next = exception.first
                while next <= exception.last, let run = try run(space, author, containing: next),
                    let last = run.changes.last?.header.dot.seq
                {
                    for change in run.changes where change.header.dot.seq >= exception.first {
                        facts.formUnion(try self.facts(in: change))
                    }
                    next = last + 1
                }
            }
        }
        return facts
    }

    /// A fact with its places by the names that the chains go by now: a place behind a fork is told by its hash.
    private func named(_ fact: AuthorityFact) throws -> AuthorityFact {
        switch fact.content {
        case .grant: return fact
        case .adoption(let chains): return AuthorityFact(fact.dot, .adoption(try named(chains)))
        case .revocation(var revocation):
            revocation.cut = try revocation.cut.map(named)
            return AuthorityFact(fact.dot, .revocation(revocation))
        }
    }

    private func named(_ cut: Revocation.Cut) throws -> Revocation.Cut {
        var out = cut
        for (id, chains) in cut.last {
            guard let space = try space(id), let branches = try branches(in: space.no) else { continue }
            for (replica, seq) in chains {
                guard let hash = cut.hashes[id]?[replica], let author = try knownAuthor(replica),
                    branches.isForked(author) || branches.root(of: author) != author
                else { continue }
                let end = try authors(of: Dot(replica, seq), in: space).first { author in
                    try run(space, author, containing: seq)?.changes.first { $0.header.dot.seq == seq }?.hash.prefix(16)
                        .elementsEqual(hash.bytes) == true
                }
                guard let end else { continue }
                for part in branches.path(to: end) {
                    let name = try self.replica(part)
                    let last = try min(seq, chainRow(space, part).chain.seq)
                    out.last[id]![name] = max(last, out[id, name])
                }
            }
        }
        return out
    }

    private static let authorityCollections = [SystemSchema.grant, SystemSchema.revocation, SystemSchema.adoption]

    /// The facts whose records are in the tables.
    private func factsInEffect(_ space: SpaceRow) throws -> Set<AuthorityFact> {
        var facts: Set<AuthorityFact> = []
        var edited: [Dot] = []
        for collection in Self.authorityCollections {
            let names = collection.groups[0].fields.map { "typed.\($0.name)" }.joined(separator: ", ")
            let select = try statement(
                """
                SELECT record.author, record.seq, EXISTS(SELECT 1 FROM history WHERE history.rid = record.rid), \(names)
                FROM \(collection.name) AS typed CROSS JOIN record ON record.rid = typed.rid
                WHERE record.space = ? AND record.entry >= 0
                """
            )
            select.bind(1, space.no)
            while try select.step() {
                let dot = Dot(try replica(select.number(0)), select.unsigned(1))
                guard select.int(2) == 0 else {
                    edited.append(dot)
                    continue
                }
                let content = AuthorityFact.Content(collection) { index in select.value(Int32(3 + index)) }
                if let content { facts.insert(AuthorityFact(dot, content)) }
            }
        }
        // What a record said at first is in the log.
        for dot in edited {
            guard let run = try run(space, author(dot.replica), containing: dot.seq),
                let change = run.changes.first(where: { $0.header.dot == dot })
            else { continue }
            facts.formUnion(try self.facts(in: change))
        }
        return facts
    }

    private func facts(in change: Change) throws -> [AuthorityFact] {
        try Self.authorityCollections.flatMap { collection in
            try values(of: collection, in: change).compactMap { reference, values in
                guard reference == .created else { return nil }
                return AuthorityFact.Content(collection) { values[collection.groups[0].fields[$0].number] ?? .null }
                    .map { AuthorityFact(change.header.dot, $0) }
            }
        }
    }

    /// Keeps the signing keys that some changes tell of.
    func noteKeys(in changes: [Change]) throws {
        for change in changes {
            let values = try self.values(of: SystemSchema.device, in: change)
            for (_, values) in values {
                guard let key = values[3]?.text.flatMap({ Hex.decode($0.string) }), key.count == 32 else { continue }
                let insert = try statement("INSERT OR IGNORE INTO device_key(device, key) VALUES (?, ?)")
                insert.bind(1, DeviceID(signingKey: key).bytes)
                insert.bind(2, key)
                try insert.run()
            }
        }
    }

    /// What a change writes in the registers of a collection's records, by field.
    func values(
        of collection: CollectionSchema,
        in change: Change
    ) throws -> [(reference: RecordReference, values: [UInt32: Value])] {
        try change.payload.bytes.withUnsafeBytes { memory in
            try change.payload.entries.compactMap { entry in
                guard entry.shape.collection == collection.number, !entry.isErased else { return nil }
                let content = UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound])
                var reader = ByteReader(content)
                var slots: [Slot] = []
                for _ in 0..<entry.shape.slotCount { slots.append(try reader.slot()) }
                var values: [UInt32: Value] = [:]
                for (operation, start) in zip(entry.shape.operations, plan(entry.shape).slotStarts)
                where operation.mergeClass == .register {
                    for (place, field) in operation.fields.enumerated() {
                        values[field] = try slots[start + place].value()
                    }
                }
                return (entry.reference, values)
            }
        }
    }

    // MARK: - What it means for the log

    /// Lets take effect what the grants cover now, and takes out of effect what they do not cover any more.
    ///
    /// - Parameter areWritersNews: whether the schema may say something else of who writes what.
    /// - Returns: how many changes took effect.
    @discardableResult
    func judgeAnew(areWritersNews: Bool = false) throws -> Int {
        if Mutant.quarantineIsForEver.isPlanted { return 0 }
        guard let access = try currentAccess() else { return 0 }
        try judgeErasuresAnew(access)
        var applied = 0
        for (space, author) in try chainsToJudge(access, areWritersNews) {
            let replica = try replica(author)
            let end = try chainRow(space, author).chain.seq
            let honoured = try max(
                access.honours(replica, in: space.id, barred: barred(space, author)),
                firstSeq(author, in: space.no) - 1
            )
            let due = honoured < end ? honoured + 1 : nil
            let withheld = try withheld(space.no, author)
            guard due != withheld else { continue }
            quarantineShares = [:]
            try setWithheld(space, author, from: due)
            let (before, after) = (withheld ?? end + 1, due ?? end + 1)
            if after > before, try !isCovered(before..<after, of: replica, author, space) {
                applied += try takeEffect(before..<after, space, author)
            } else {
                try workOutAnew(min(before, after)..<max(before, after), space, author)
                applied += after > before ? Int(after - before) : 0
            }
        }
        return applied
    }

    /// The chains whose end may be in effect or not by other grants than before.
    private func chainsToJudge(
        _ access: Access,
        _ areWritersNews: Bool
    ) throws -> [(space: SpaceRow, author: UInt32)] {
        let areAllInDoubt = access.revocations.keys.contains(where: access.wasAdmin)
        var out: [(space: SpaceRow, author: UInt32)] = []
        for id in try spaces() {
            guard let space = try space(id) else { continue }
            let withheld = Set(try exceptions(id).map(\.replica))
            // What a revoked admin granted may be void.
            for entry in access.revocations.isEmpty && !areWritersNews ? [] : try vector(of: id)
            where !withheld.contains(entry.replica) {
                let isInDoubt =
                    try areAllInDoubt || access.isRevoked(entry.replica.device)
                    || areWritersNews && isBarred(entry.replica, space, access)
                if isInDoubt { out.append((space, try author(entry.replica))) }
            }
            out += try withheld.sorted().map { (space, try author($0)) }
        }
        return out
    }

    /// Whether somebody else wrote having seen one of these changes: then they come after what they came before.
    private func isCovered(
        _ numbers: Range<UInt64>,
        of replica: ReplicaID,
        _ author: UInt32,
        _ space: SpaceRow
    ) throws -> Bool {
        for other in try authors(of: space.no) where other != author {
            let deps = try chainRow(space, other).chain.deps
            guard deps[replica] >= numbers.lowerBound else { continue }
            if deps.covers(some: numbers, of: replica) { return true }
            // Who excepts it now may have written before, having seen it.
            if try hasCovered(some: numbers, of: replica, other, space) { return true }
        }
        return false
    }

    private func hasCovered(
        some numbers: Range<UInt64>,
        of replica: ReplicaID,
        _ other: UInt32,
        _ space: SpaceRow
    ) throws -> Bool {
        var found = false
        let own = try 1..<chainRow(space, other).chain.seq + 1
        try forEachRun(space, other, holding: own) { run, base in
            var chain = base
            for change in run.changes where !found {
                try chain.advance(by: change.header, hash: change.hash)
                found = chain.deps.covers(some: numbers, of: replica)
            }
        }
        return found
    }

    private func takeEffect(_ numbers: Range<UInt64>, _ space: SpaceRow, _ author: UInt32) throws -> Int {
        var applied = 0
        try forEachRun(space, author, holding: numbers) { run, base in
            applied += try apply(run, from: base, space) { numbers.contains($0) }
        }
        return applied
    }

    private func workOutAnew(_ numbers: Range<UInt64>, _ space: SpaceRow, _ author: UInt32) throws {
        var ids: Set<RecordID> = []
        try forEachRun(space, author, holding: numbers) { run, _ in
            for change in run.changes where numbers.contains(change.header.dot.seq) {
                ids.formUnion(change.payload.entries.filter { !$0.isErased }.map(\.id))
            }
        }
        _ = try restate(ids, in: space.id)
        arrivals.rework(space.id)
    }

    func forEachRun(
        _ space: SpaceRow,
        _ author: UInt32,
        holding numbers: Range<UInt64>,
        _ body: (RunDecoder.Run, Chain) throws -> Void
    ) throws {
        // A branch begins where it parts from its lineage.
        var next = try max(numbers.lowerBound, firstSeq(author, in: space.no))
        while numbers.contains(next), let run = try run(space, author, containing: next), let last = run.changes.last {
            let stored = try storedRun(space.no, author, from: run.changes[0].header.dot.seq)
            guard let stored else { return }
            try body(run, decodeChain(stored.base))
            next = last.header.dot.seq + 1
        }
    }
}

extension AuthorityFact.Content {
    /// What a record of one of the collections said; `nil` where it says nothing that could count.
    ///
    /// - Parameter value: the value of a field by its place in the collection's group.
    fileprivate init?(_ collection: CollectionSchema, value: (Int) throws -> Value) rethrows {
        if collection.number == SystemSchema.adoption.number {
            guard let chains = try value(0).text.flatMap({ Revocation.Cut($0.string) }) else { return nil }
            self = .adoption(chains)
            return
        }
        guard let device = try value(0).text.flatMap({ DeviceID(exactHex: $0.string) }) else { return nil }
        if collection.number == SystemSchema.grant.number {
            guard let role = try value(1).text.flatMap({ Role(rawValue: $0.string) }) else { return nil }
            let spaces = try value(2).text?.utf8.split(separator: UInt8(ascii: " ")).map {
                String(decoding: $0, as: UTF8.self)
            }
            let writes = try value(3).text == "write"
            self = .grant(device, Access.Grant(role: role, spaces: spaces ?? [], writes: writes))
        } else {
            guard let mode = try value(1).text.flatMap({ Revocation.Mode(rawValue: $0.string) }) else { return nil }
            // A cut that cannot be read honours nothing: the revoker meant to exclude.
            let cut = try value(2).text.map { Revocation.Cut($0.string) ?? Revocation.Cut() }
            self = .revocation(Revocation(device: device, mode: mode, cut: cut))
        }
    }
}

extension VersionVector {
    /// Whether one of a replica's changes is in it.
    fileprivate func covers(some numbers: Range<UInt64>, of replica: ReplicaID) -> Bool {
        firstCovered(of: replica, in: numbers.lowerBound...(numbers.upperBound - 1)) != nil
    }
}
