// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Encodes a run: consecutive changes of one author in one space, for disk and wire alike.
///
/// Columns, not rows: what repeats stands once in a dictionary, and the values of each field stand together, which a
/// general compressor then makes a quarter smaller than rows (`Protocol/change-format.md`, "Run"). Hashes and salts are
/// not in it; whoever reads computes them.
package struct RunEncoder {
    /// The seed of a block, and the number of its first change.
    package struct Block: Hashable, Sendable {
        package var start: UInt64
        /// `nil` where it was given up, since an entry of the block was erased.
        package var seed: Bytes16?

        package init(start: UInt64, seed: Bytes16?) {
            self.start = start
            self.seed = seed
        }
    }

    static let stored: UInt8 = 1
    static let zstd: UInt8 = 2
    /// In front of one of the others: the redacted form.
    static let redacted: UInt8 = 3
    static let rawBytesMax = 8 << 20

    /// What a column holds: a member of a group in a collection.
    struct ColumnKey: Hashable {
        let collection: UInt32
        let group: UInt32
        let mergeClass: MergeClass
        let field: UInt32
    }

    struct ChangeFlags {
        static let author: UInt8 = 1
        static let deps: UInt8 = 2
        static let exceptions: UInt8 = 4
        static let systemDeps: UInt8 = 8
        static let systemExceptions: UInt8 = 16
        static let block: UInt8 = 32
        static let more: UInt8 = 64
    }

    struct MoreFlags {
        static let schemaVersion: UInt8 = 1
        static let batch: UInt8 = 2
        static let sameBatch: UInt8 = 4
        static let transaction: UInt8 = 8
        static let extensions: UInt8 = 16
    }

    private var replicas = Dictionary<ReplicaID, Int>()
    private var replicaList: [ReplicaID] = []
    private var operators: [Operator: Int] = [:]
    private var operatorList: [Operator] = []
    private var shapes: [Shape: Int] = [:]
    private var shapeList: [Shape] = []
    private var shapeColumns: [[Int]] = []
    private var columns: [ColumnKey: Int] = [:]
    private var lengths: [[UInt8]] = []
    private var contents: [[UInt8]] = []
    private var headers: [UInt8] = []
    private var entries: [UInt8] = []
    private var ids: [UInt8] = []
    /// What stands in the place of seeds; only the redacted form has it.
    private var openings: [UInt8] = []
    private let isRedacted: Bool

    private init(isRedacted: Bool) { self.isRedacted = isRedacted }

    /// - Precondition: the changes follow each other, `block(seq)` knows the block of each, and they are not too large. A
    ///   block that has a seed is one of changes without erased entries.
    package static func encode(_ changes: some Collection<Change>, block: (UInt64) -> Block) -> [UInt8] {
        guard let body = encodeIfItFits(changes, block: block) else { preconditionFailure("a run that is too large") }
        return body
    }

    /// The same of others' changes: cut otherwise they may be longer than they came.
    ///
    /// - Returns: `nil` where they are more than a reader takes.
    package static func encodeIfItFits(
        _ changes: some Collection<Change>,
        block: (UInt64) -> Block
    ) -> [UInt8]? {
        var encoder = RunEncoder(isRedacted: changes.contains { block($0.header.dot.seq).seed == nil })
        let first = changes.first!.header
        let firstBlock = block(first.dot.seq)
        var previous: ChangeHeader?
        var current = firstBlock
        for change in changes {
            let next = block(change.header.dot.seq)
            encoder.append(change, in: next, after: previous, isNew: next != current)
            previous = change.header
            current = next
        }
        return encoder.finish(firstBlock)
    }

    private mutating func append(_ change: Change, in block: Block, after previous: ChangeHeader?, isNew: Bool) {
        let header = change.header
        var flags: UInt8 = 0
        var more: UInt8 = 0
        if header.author != previous?.author { flags |= ChangeFlags.author }
        if !header.deps.entries.isEmpty { flags |= ChangeFlags.deps }
        if header.deps.exceptions != nil { flags |= ChangeFlags.exceptions }
        if !header.systemDeps.entries.isEmpty { flags |= ChangeFlags.systemDeps }
        if header.systemDeps.exceptions != nil { flags |= ChangeFlags.systemExceptions }
        if isNew { flags |= ChangeFlags.block }
        if header.schemaVersion != previous?.schemaVersion { more |= MoreFlags.schemaVersion }
        if let batch = header.batch {
            more |= batch == previous?.batch ? MoreFlags.sameBatch : MoreFlags.batch
        }
        if header.transaction != nil { more |= MoreFlags.transaction }
        if !header.extensions.isEmpty { more |= MoreFlags.extensions }
        if more != 0 { flags |= ChangeFlags.more }

        headers.append(flags)
        appendTimestamp(header.timestamp, after: previous?.timestamp ?? Timestamp(raw: 0))
        headers.appendVarint(UInt64(change.payload.entries.count))
        if flags & ChangeFlags.author != 0 { headers.appendVarint(UInt64(index(of: header.author))) }
        if flags & ChangeFlags.deps != 0 { appendDots(header.deps.entries) }
        if let exceptions = header.deps.exceptions { appendExceptions(exceptions) }
        if flags & ChangeFlags.systemDeps != 0 { appendDots(header.systemDeps.entries) }
        if let exceptions = header.systemDeps.exceptions { appendExceptions(exceptions) }
        if isNew { append(block.seed, to: &headers) }
        if more != 0 { appendMore(more, header) }

        let payload = change.payload
        if block.seed == nil { append(payload.salts) }
        payload.bytes.withUnsafeBytes { memory in
            for (index, entry) in payload.entries.enumerated() {
                append(entry, payload.openings.isEmpty ? nil : payload.openings[index], in: memory)
            }
        }
    }

    private func append(_ seed: Bytes16?, to out: inout [UInt8]) {
        if isRedacted { out.append(seed == nil ? 0 : 1) }
        if let seed { out.append(seed) }
    }

    /// The seed of a change whose block has none.
    private mutating func append(_ salts: Salts?) {
        openings.append(salts == nil ? 0 : 1)
        if let salts { openings += salts.changeSeed }
    }

    private mutating func appendMore(_ more: UInt8, _ header: ChangeHeader) {
        headers.append(more)
        if more & MoreFlags.schemaVersion != 0 { headers.appendVarint(UInt64(header.schemaVersion)) }
        if more & MoreFlags.batch != 0, let batch = header.batch { headers.append(batch) }
        if let transaction = header.transaction {
            headers.append(transaction.id)
            headers.appendVarint(UInt64(transaction.parts.count))
            for part in transaction.parts { headers.append(contentsOf: part) }
        }
        if more & MoreFlags.extensions != 0 { headers.appendPrefixed(header.extensions) }
    }

    /// Milliseconds as a difference, with a bit that says whether a counter follows.
    private mutating func appendTimestamp(_ timestamp: Timestamp, after previous: Timestamp) {
        let counter = timestamp.raw & 0xffff
        let delta = Int64(timestamp.milliseconds) - Int64(previous.milliseconds)
        headers.appendZigzag(delta << 1 | (counter == 0 ? 0 : 1))
        if counter != 0 { headers.appendVarint(counter) }
    }

    private mutating func appendDots(_ dots: [Dot]) {
        headers.appendVarint(UInt64(dots.count))
        for dot in dots {
            headers.appendVarint(UInt64(index(of: dot.replica)))
            headers.appendVarint(dot.seq)
        }
    }

    private mutating func appendExceptions(_ exceptions: [VersionVector.Exception]) {
        headers.appendVarint(UInt64(exceptions.count))
        for exception in exceptions {
            headers.appendVarint(UInt64(index(of: exception.replica)))
            headers.appendVarint(exception.first)
            headers.appendVarint(exception.last)
        }
    }

    private mutating func append(
        _ entry: Payload.Entry,
        _ opening: Payload.Opening?,
        in memory: UnsafeRawBufferPointer
    ) {
        let shape = index(of: entry.shape)
        if entry.isErased { entries.append(0) }
        entries.appendVarint(UInt64(shape) + (isRedacted && !entry.isErased ? 1 : 0))
        switch opening {
        case .leaf(let leaf):
            openings += leaf
            ids.append(entry.reference == .created ? 1 : 0)
            ids.append(entry.id.raw)
            return
        case .salt(let salt): openings.append(salt)
        case nil: break
        }
        switch entry.reference {
        case .explicit:
            ids.append(0)
            ids.append(entry.id.raw)
        case .created:
            ids.append(1)
            // Without the seed nothing gives the id.
            if opening != nil { ids.append(entry.id.raw) }
        case .of(let dot, let index):
            ids.appendVarint(UInt64(2 + self.index(of: dot.replica)))
            ids.appendVarint(dot.seq)
            ids.appendVarint(UInt64(index))
        }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound]))
        for column in shapeColumns[shape] {
            guard let slot = try? reader.slot() else { preconditionFailure("an entry does not fit its shape") }
            lengths[column].appendVarint(UInt64(slot.bytes.count) << 2 | UInt64(slot.tag))
            contents[column].append(contentsOf: slot.bytes)
        }
        precondition(reader.isAtEnd, "an entry has more values than its shape")
    }

    private mutating func index(of replica: ReplicaID) -> Int {
        if let index = replicas[replica] { return index }
        replicas[replica] = replicaList.count
        replicaList.append(replica)
        return replicaList.count - 1
    }

    private mutating func index(of person: Operator) -> Int {
        if let index = operators[person] { return index }
        operators[person] = operatorList.count
        operatorList.append(person)
        return operatorList.count - 1
    }

    private mutating func index(of shape: Shape) -> Int {
        if let last = shapeList.last, last === shape { return shapeList.count - 1 }
        if let index = shapes[shape] { return index }
        shapes[shape] = shapeList.count
        shapeList.append(shape)
        shapeColumns.append(
            RunEncoder.columnKeys(of: shape).map { key in
                if let column = columns[key] { return column }
                columns[key] = lengths.count
                lengths.append([])
                contents.append([])
                return lengths.count - 1
            }
        )
        return shapeList.count - 1
    }

    static func columnKeys(of shape: Shape) -> [ColumnKey] {
        shape.operations.flatMap { operation in
            operation.fields.map {
                ColumnKey(
                    collection: shape.collection,
                    group: operation.group,
                    mergeClass: operation.mergeClass,
                    field: $0
                )
            }
        }
    }

    private func finish(_ firstBlock: Block) -> [UInt8]? {
        var dictionary: [UInt8] = []
        dictionary.appendVarint(firstBlock.start)
        append(firstBlock.seed, to: &dictionary)
        dictionary.appendVarint(UInt64(replicaList.count))
        for replica in replicaList { dictionary.append(replica) }
        dictionary.appendVarint(UInt64(operatorList.count))
        for person in operatorList {
            dictionary.appendPrefixed(person.id.utf8)
            dictionary.appendPrefixed(person.label.utf8)
        }
        dictionary.appendVarint(UInt64(shapeList.count))
        for shape in shapeList { dictionary.append(contentsOf: shape.encoded) }

        var streams = [dictionary, headers, entries, ids] + (isRedacted ? [openings] : [])
        for column in lengths.indices { streams += [lengths[column], contents[column]] }
        var raw: [UInt8] = []
        raw.appendVarint(UInt64(streams.count))
        for stream in streams { raw.appendVarint(UInt64(stream.count)) }
        for stream in streams { raw.append(contentsOf: stream) }
        guard raw.count <= Self.rawBytesMax else { return nil }

        let compressed = Zstd.compress(raw)
        var out: [UInt8] = isRedacted ? [Self.redacted] : []
        if compressed.count < raw.count {
            out.append(Self.zstd)
            out.appendVarint(UInt64(raw.count))
            out.append(contentsOf: compressed)
        } else {
            out.append(Self.stored)
            out.append(contentsOf: raw)
        }
        return out
    }
}
