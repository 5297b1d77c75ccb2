// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What one transaction writes in one space, before it is a change.
///
/// Either records are edited one by one, and everything about a record becomes one entry; or, for imports, whole
/// entries are appended in a row, and become changes of bounded size that carry one batch id.
package final class Draft {
    let space: StoreTransaction.SpaceRow
    private unowned let transaction: StoreTransaction
    private let person: Operator
    private var open: Open?
    private var pending: [Pending] = []
    private var places: [Key: Int] = [:]
    /// The records that the open change of an import names.
    private var bulk: Set<Key> = []
    private var batch: Bytes16?
    /// Why the person makes the change, where that is asked for.
    package var reason: ExactText?

    /// Changes of an import are cut here, so that a receiver needs little memory for each.
    private static let bulkBytesMax = 160 << 10
    private static let blockChangesMax: UInt64 = 1024

    private struct Key: Hashable {
        let collection: UInt32
        let id: RecordID
    }

    private struct Pending {
        let key: Key
        let isNew: Bool
        var registers: [UInt32: [UInt32: Value]] = [:]
        var items: [UInt32: (mergeClass: MergeClass, items: Items)] = [:]
        var life: Value?
    }

    /// The change being made: its number, stamp and salts are fixed, since new records take their ids from them.
    private struct Open {
        let seq: UInt64
        let timestamp: Timestamp
        let block: RunEncoder.Block
        let isNewBlock: Bool
        var payload: Payload
    }

    init(_ space: StoreTransaction.SpaceRow, _ transaction: StoreTransaction, _ person: Operator) {
        self.space = space
        self.transaction = transaction
        self.person = Operator(
            id: person.id.prefix(bytes: Operator.bytesMax),
            label: person.label.prefix(bytes: Operator.bytesMax)
        )
    }

    var isEmpty: Bool { pending.isEmpty && (open?.payload.entries.isEmpty ?? true) }

    // MARK: - Editing

    /// Creates a record, under a new id where none is given.
    @discardableResult
    package func create(
        _ collection: CollectionSchema,
        id: RecordID? = nil,
        _ values: [(field: UInt32, value: Value)]
    ) throws -> RecordID {
        let opened = try beginEditing()
        let new = id ?? opened.payload.idOfEntry(pending.count)
        let place = place(Key(collection: collection.number, id: new), isNew: id == nil)
        // A record of which nothing is said yet says at least that it lives: an entry has an operation.
        if values.isEmpty { pending[place].life = .null }
        try set(collection, place, values)
        return new
    }

    /// Writes members of registers.
    package func set(
        _ collection: CollectionSchema,
        _ id: RecordID,
        _ values: [(field: UInt32, value: Value)]
    ) throws {
        guard !values.isEmpty else { return }
        _ = try beginEditing()
        try set(collection, place(Key(collection: collection.number, id: id), isNew: false), values)
    }

    /// Adds to, and for a set removes from, a group that is no register.
    ///
    /// - Parameter known: a depth that the additions stand behind besides those of the list itself: what else their
    ///   author saw that they come after.
    package func edit(
        _ collection: CollectionSchema,
        _ id: RecordID,
        group: MergeGroup,
        add: [[UInt8]] = [],
        remove: [[UInt8]] = [],
        deeperThan known: UInt64 = 0
    ) throws {
        guard !add.isEmpty || !remove.isEmpty else { return }
        _ = try beginEditing()
        let place = place(Key(collection: collection.number, id: id), isNew: false)
        var items = pending[place].items[group.number]?.items ?? Items()
        var depth: UInt64 = 0
        if group.kind != .set && group.kind != .counter {
            let rid = try transaction.findRecord(space, collection.number, id)?.rid
            let stored = try rid.map { try transaction.items($0, group.number).map(\.item.depth).max() ?? 0 } ?? 0
            depth = min(max(known, stored, items.added.map(\.depth).max() ?? 0), Items.depthMax - 1) + 1
        }
        items.added += add.map { Items.Item(depth: depth, $0) }
        items.removed += remove
        pending[place].items[group.number] = (group.kind.mergeClass, items)
    }

    /// Moves a flow to another state, ending what this replica sees standing; where that is contested, it decides.
    ///
    /// - Throws: `StoreError.noSuchStep` where the group's machine has none.
    package func step(
        _ collection: CollectionSchema,
        _ id: RecordID,
        group: MergeGroup,
        to state: ExactText,
        reason: ExactText
    ) throws {
        let rid = try transaction.findRecord(space, collection.number, id)?.rid
        guard
            let flow = try transaction.flow(
                group,
                rid.map { try transaction.items($0, group.number) } ?? [],
                in: space.id
            ),
            let step = flow.step(to: state, reason: reason)
        else { throw StoreError.noSuchStep(group: group.name, to: state) }
        try edit(collection, id, group: group, add: [step.encoded])
    }

    /// Marks a record as deleted; nothing of it is removed.
    package func delete(_ collection: CollectionSchema, _ id: RecordID, reason: ExactText) throws {
        _ = try beginEditing()
        pending[place(Key(collection: collection.number, id: id), isNew: false)].life = .text(reason)
    }

    /// Erases what a record holds, here and wherever the space is held: its content goes, a receipt without values stays.
    ///
    /// It is final: what others write on the record is erased as it arrives. Only an admin's word counts.
    package func erase(_ collection: CollectionSchema, _ id: RecordID) throws {
        let number = Array(String(collection.number).utf8)
        try create(
            SystemSchema.erasure,
            id: RecordID(derivedFrom: [Array("erasure".utf8), number, id.bytes]),
            [(1, .integer(Int64(collection.number))), (2, .text(ExactText(id.description)))]
        )
    }

    /// Says that a record lives, against deletions that this replica has seen.
    package func revive(_ collection: CollectionSchema, _ id: RecordID) throws {
        _ = try beginEditing()
        pending[place(Key(collection: collection.number, id: id), isNew: false)].life = .null
    }

    private func place(_ key: Key, isNew: Bool) -> Int {
        if let place = places[key] { return place }
        places[key] = pending.count
        pending.append(Pending(key: key, isNew: isNew))
        return pending.count - 1
    }

    private func set(
        _ collection: CollectionSchema,
        _ place: Int,
        _ values: [(field: UInt32, value: Value)]
    ) throws {
        for (number, value) in values {
            guard let group = collection.group(ofField: number) else {
                preconditionFailure("\(collection.name) has no field \(number)")
            }
            pending[place].registers[group.number, default: [:]][number] = value
        }
    }

    // MARK: - Bulk

    /// Appends a new record as one entry in canonical form; `writeSlots` appends the slots of the shape.
    @discardableResult
    package func append(
        _ shape: Shape,
        id: RecordID? = nil,
        writeSlots: (inout [UInt8]) throws -> Void
    ) throws -> RecordID {
        precondition(pending.isEmpty, "a draft is edited or filled in bulk, not both")
        let key = id.map { Key(collection: shape.collection, id: $0) }
        let isFull =
            open.map { $0.payload.bytes.count >= Self.bulkBytesMax || $0.payload.entries.count >= 1024 } ?? false
        // A record stands once in a change.
        if isFull || key.map({ bulk.contains($0) }) == true {
            if batch == nil { batch = Bytes16(transaction.random128()) }
            try flush(in: nil)
        }
        let new = try id ?? begin().payload.nextID
        _ = try begin()
        if let key { bulk.insert(key) }
        try open!.payload.append(shape, id: new, reference: id == nil ? .created : .explicit, writeSlots: writeSlots)
        return new
    }

    // MARK: - Becoming a change

    /// The open change, empty where it was an import's.
    private func beginEditing() throws -> Open {
        if open?.payload.entries.isEmpty == false { try flush(in: nil) }
        return try begin()
    }

    private func begin() throws -> Open {
        if let open { return open }
        guard let own = try transaction.ownReplica() else { preconditionFailure("a store without a replica writes") }
        let author = try transaction.author(own)
        let row = try transaction.chainRow(space, author)
        let seq = row.chain.seq + 1
        let isNewBlock = seq == 1 || seq - row.block >= Self.blockChangesMax
        let known = try isNewBlock ? nil : transaction.block(space, author, seq)
        let timestamp = try transaction.tick()
        // What was given up for an erasure does not go on.
        let start = known.flatMap { $0.seed == nil ? nil : $0.start } ?? seq
        let seed = known?.seed ?? Bytes16(transaction.random128())
        let new = Open(
            seq: seq,
            timestamp: timestamp,
            block: RunEncoder.Block(start: start, seed: seed),
            isNewBlock: start == seq,
            payload: Payload(salts: Salts(blockSeed: seed, seq: seq, timestamp: timestamp))
        )
        open = new
        return new
    }

    /// Makes the change: log, state, digest and chain move.
    func flush(in transactionHeader: ChangeHeader.Transaction?) throws {
        guard !isEmpty else { return }
        try assemble()
        guard let open, let own = try transaction.ownReplica() else { return }
        let extensions = ChangeHeader.extensions(reason: reason, source: transaction.source)
        guard open.payload.bytes.count <= Payload.bytesMax, open.payload.entries.count <= Payload.entriesMax,
            extensions.count <= ChangeHeader.extensionsMax
        else {
            throw StoreError.changeTooLarge(bytes: open.payload.bytes.count + extensions.count)
        }
        try transaction.requireWriter(open.payload, in: space.id, own.device)
        let author = try transaction.author(own)
        var row = try transaction.chainRow(space, author)
        // An entry never goes back, also where a chain forked and its name means less than before.
        var deps = try transaction.inEffect(space.id).notBehind(row.chain.deps)
        deps[own] = 0
        if Mutant.depsNameWhatWasReceived.isPlanted { deps.exceptions = [] }
        let systemDeps =
            space.id == .system ? VersionVector() : try transaction.inEffect(.system).notBehind(row.chain.systemDeps)
        let header = ChangeHeader(
            space: space.id,
            dot: Dot(own, open.seq),
            author: person,
            timestamp: open.timestamp,
            deps: DepsDelta(from: row.chain.deps, to: deps),
            systemDeps: DepsDelta(from: row.chain.systemDeps, to: systemDeps),
            previous: row.chain.hash,
            schemaVersion: transaction.schema.version,
            blockStart: open.block.start,
            batch: batch,
            transaction: transactionHeader,
            extensions: extensions,
            payloadHash: ChangeHeader.noHash
        )
        let change = Change(header: header, payload: open.payload)
        let base = try transaction.encode(row.chain)
        try row.chain.advance(by: change.header, hash: change.hash)
        row.block = open.block.start
        if open.isNewBlock { try transaction.insertSeed(space, author, open.block) }
        let erased = try transaction.noteErasures(by: [change], space, author)
        var run = RunDecoder.Run()
        run.changes = [change]
        run.blocks = [open.block]
        run.chain = row.chain
        let kept = try transaction.kept(run, space, author)
        let body = kept?.body ?? RunEncoder.encode([change]) { _ in open.block }
        try transaction.insertRun(
            space,
            author,
            first: open.seq,
            last: open.seq,
            base: base,
            signature: nil,
            body: body
        )
        transaction.setChainRow(row, space, author)
        try transaction.insertParts(of: [change], space, author)
        try transaction.noteBarred(by: [change], space, author)
        if space.id == .system { try transaction.noteKeys(in: [change]) }
        try transaction.apply(kept?.run.changes[0] ?? change, at: row.chain, space)
        try transaction.endApplying()
        try transaction.erase(erased, in: space)
        if let kept { try transaction.giveUp(kept, space) }
        self.open = nil
        bulk = []
        reason = nil
        pending = []
        places = [:]
    }

    /// Turns what was edited into entries, one a record.
    private func assemble() throws {
        for item in pending {
            var operations: [Shape.Operation] = []
            var slots: [Value] = []
            let groups = Set(item.registers.keys).union(item.items.keys).union(item.life == nil ? [] : [0])
            for group in groups.sorted() {
                if group == 0 {
                    operations.append(Shape.Operation(group: 0, .register))
                    slots.append(item.life ?? .null)
                } else if let members = item.registers[group] {
                    operations.append(Shape.Operation(group: group, .register, fields: members.keys.sorted()))
                    slots += members.sorted { $0.key < $1.key }.map(\.value)
                } else if let (mergeClass, items) = item.items[group] {
                    guard max(items.added.count, items.removed.count) <= Items.countMax else {
                        throw StoreError.changeTooLarge(bytes: items.encoded.count)
                    }
                    operations.append(Shape.Operation(group: group, mergeClass))
                    slots.append(.bytes(items.encoded))
                }
            }
            let shape = Shape(collection: item.key.collection, operations: operations)
            let reference = item.isNew ? .created : try transaction.reference(space, item.key.collection, item.key.id)
            open!.payload.append(shape, id: item.key.id, reference: reference) { out in
                for slot in slots { out.appendSlot(slot) }
            }
        }
    }
}

extension StoreTransaction {
    /// What this transaction writes in a space.
    /// - Throws: `StoreError.revoked` where the rights of this device, or of its chain in the space, ended.
    package func draft(_ id: SpaceID, by person: Operator) throws -> Draft {
        if let draft = drafts[id] { return draft }
        if let own = try ownReplica(), try currentAccess()?.isRevoked(own.device) == true { throw StoreError.revoked }
        let space = try openSpace(id)
        // What follows a change that is out of effect is out of effect too.
        if let own = try ownReplica(), try withheld(space.no, author(own)) != nil { throw StoreError.revoked }
        let draft = Draft(space, self, person)
        drafts[id] = draft
        return draft
    }

    /// Makes changes of what was drafted, so that what follows in this transaction reads it.
    ///
    /// What is written in `system` stands alone and first: grants never wait for what they allow.
    package func flushDrafts() throws {
        try drafts[.system]?.flush(in: nil)
        let written = drafts.values.filter { !$0.isEmpty }.sorted { $0.space.id < $1.space.id }
        guard written.count > 1 else { return try written.first?.flush(in: nil) ?? () }
        guard written.count - 1 <= ChangeHeader.Transaction.partsMax else {
            throw StoreError.changeTooLarge(bytes: written.count * 32)
        }
        let id = Bytes16(random128())
        for draft in written {
            let codes = try written.compactMap { other in
                try other === draft ? nil : secret(of: other.space.id).map { Self.partCode(id, secret: $0) }
            }
            let sorted = codes.sorted { $0.lexicographicallyPrecedes($1) }
            try draft.flush(in: ChangeHeader.Transaction(id: id, parts: sorted))
        }
    }

    /// Begins a space: its first record holds the secret that only its holders know.
    package func found(_ id: SpaceID, by person: Operator) throws {
        let secret = (0..<4).flatMap { _ in Bytes16(random128()).bytes.prefix(8) }
        newSecrets[id] = secret
        try draft(id, by: person).create(
            SystemSchema.spaceInfo,
            id: RecordID(derivedFrom: [Array("space".utf8), Array(id.name.utf8)]),
            [(1, .text(id.name)), (2, .text(Hex.encode(secret)))]
        )
    }

    /// The secret of a space held here; of several that were founded at once, the shown one.
    package func secret(of id: SpaceID) throws -> [UInt8]? {
        if let secret = newSecrets[id] { return secret }
        guard let space = try space(id) else { return nil }
        let select = try statement("SELECT secret FROM space_info WHERE space = ? ORDER BY id LIMIT 1")
        select.bind(1, space.no)
        defer { select.reset() }
        return try select.step() ? Hex.decode(select.text(0)) : nil
    }

    /// How an entry of a new change names a record.
    func reference(_ space: SpaceRow, _ collection: UInt32, _ id: RecordID) throws -> RecordReference {
        let select = try statement(
            "SELECT author, seq, entry FROM record WHERE id = ? AND space = ? AND collection = ?"
        )
        select.bind(1, id.bytes)
        select.bind(2, space.no)
        select.bind(3, collection)
        guard try select.step() else { return .explicit }
        let (author, seq, entry) = (select.number(0), select.unsigned(1), Int(select.int(2)))
        select.reset()
        return entry < 0 ? .explicit : .of(Dot(try replica(author), seq), index: entry)
    }

    func random128() -> UInt128 { UInt128(random()) << 64 | UInt128(random()) }
}
