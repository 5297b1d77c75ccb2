// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Decodes a run and computes every hash of it.
///
/// Whether the run is its author's word is then a matter of the seal over the last hash.
///
/// Everything is checked: a decoder's input comes from a disk, a peer or a stick.
package struct RunDecoder {
    /// What a run cannot say itself.
    package struct Context {
        package var space: SpaceID
        package var author: ReplicaID
        /// The name that its changes go by: the author's, or that of a branch of its chain.
        package var name: ReplicaID
        /// Where the author's chain stands before the run.
        package var chain: Chain
        /// The id that an entry of an earlier change gave; `nil` where the change is not here.
        package var resolve: (Dot, Int) throws(CodecError) -> RecordID?

        package init(
            space: SpaceID,
            author: ReplicaID,
            name: ReplicaID? = nil,
            chain: Chain,
            resolve: @escaping (Dot, Int) throws(CodecError) -> RecordID?
        ) {
            self.space = space
            self.author = author
            self.name = name ?? author
            self.chain = chain
            self.resolve = resolve
        }
    }

    /// A run, read.
    package struct Run {
        package var changes: [Change] = []
        /// The blocks that the run's changes belong to.
        package var blocks: [RunEncoder.Block] = []
        /// Where the chain stands after it.
        package var chain = Chain()

        package init() {}
    }

    package static let shapesMax = 4096
    /// Canonical operations of a whole run: a seal stands at least every \(Seal.bytesMax) bytes, so beyond that there
    /// is at most the one change that crossed it.
    ///
    /// Without this a few kilobytes could ask for hours of hashing.
    package static let runBytesMax = Payload.bytesMax + Seal.bytesMax

    private var headers: ByteReader
    private var entries: ByteReader
    private var ids: ByteReader
    /// What stands in the place of seeds; there in the redacted form alone.
    private var openings: ByteReader?
    private var columnLengths: [ByteReader] = []
    private var columnContents: [ByteReader] = []
    private var replicas: [ReplicaID] = []
    private var operators: [Operator] = []
    private var shapes: [Shape] = []
    private var shapeColumns: [[Int]] = []
    /// The class of the group of each slot of each shape.
    private var slotClasses: [[MergeClass]] = []
    private let context: Context
    private var run = Run()
    private var runBytes = 0

    /// The deps of the change being read.
    private var deps = DepsDelta.none
    private var author: Operator?
    private var schemaVersion: UInt32?
    private var batch: Bytes16?

    /// Reads `body`.
    ///
    /// - Parameter count: how many changes it must hold.
    package static func decode(_ body: [UInt8], count: Int, in context: Context) throws(CodecError) -> Run {
        guard (1...Seal.changesMax).contains(count) else {
            throw .tooLarge(what: "changes in a run", found: UInt64(max(count, 0)), bound: UInt64(Seal.changesMax))
        }
        let (raw, isRedacted) = try expand(body)
        return try raw.withMemory { memory throws(CodecError) -> Run in
            var decoder = try RunDecoder(memory, isRedacted: isRedacted, context)
            for _ in 0..<count { try decoder.readChange() }
            return try decoder.finish()
        }
    }

    private static func expand(_ body: [UInt8]) throws(CodecError) -> (raw: [UInt8], isRedacted: Bool) {
        try body.withMemory { memory throws(CodecError) in
            var reader = ByteReader(memory)
            var code = try reader.byte()
            let isRedacted = code == RunEncoder.redacted
            if isRedacted { code = try reader.byte() }
            switch code {
            case RunEncoder.stored:
                return (Array(try reader.bytes(reader.count)), isRedacted)
            case RunEncoder.zstd:
                let size = try reader.varint("run", atMost: UInt64(RunEncoder.rawBytesMax))
                return (try Zstd.decompress(try reader.bytes(reader.count), size: size), isRedacted)
            case let version:
                throw .unknownVersion(version)
            }
        }
    }

    /// Whether a body can be taken apart, as far as that can be told without the chain before it.
    package static func checkForm(_ body: [UInt8]) throws(CodecError) {
        let (raw, isRedacted) = try expand(body)
        _ = try raw.withMemory { memory throws(CodecError) in try streams(memory, isRedacted).count }
    }

    private static func streams(
        _ memory: UnsafeRawBufferPointer,
        _ isRedacted: Bool
    ) throws(CodecError) -> [ByteReader] {
        var reader = ByteReader(memory)
        let streamCount = try reader.varint("streams", atMost: 4096)
        let fixed = isRedacted ? 5 : 4
        guard streamCount >= fixed, (streamCount - fixed) % 2 == 0 else { throw .invalid("\(streamCount) streams") }
        var lengths: [Int] = []
        for _ in 0..<streamCount { lengths.append(try reader.varint("stream", atMost: UInt64(memory.count))) }
        var streams: [ByteReader] = []
        for length in lengths { streams.append(ByteReader(try reader.bytes(length))) }
        try reader.expectEnd()
        return streams
    }

    private init(
        _ memory: UnsafeRawBufferPointer,
        isRedacted: Bool,
        _ context: Context
    ) throws(CodecError) {
        self.context = context
        run.chain = context.chain
        let streams = try Self.streams(memory, isRedacted)
        headers = streams[1]
        entries = streams[2]
        ids = streams[3]
        if isRedacted { openings = streams[4] }
        for index in stride(from: isRedacted ? 5 : 4, to: streams.count, by: 2) {
            columnLengths.append(streams[index])
            columnContents.append(streams[index + 1])
        }
        try readDictionary(streams[0])
    }

    private mutating func readDictionary(_ stream: ByteReader) throws(CodecError) {
        var reader = stream
        let start = try reader.varint()
        guard (1...context.chain.seq + 1).contains(start) else { throw .invalid("a block that begins later") }
        run.blocks.append(RunEncoder.Block(start: start, seed: try readSeed(&reader)))
        for _ in 0..<(try reader.varint("replicas", atMost: 65_536)) { replicas.append(try reader.replica()) }
        for _ in 0..<(try reader.varint("operators", atMost: 1024)) {
            let id = try reader.text("operator", atMost: Operator.bytesMax)
            operators.append(Operator(id: id, label: try reader.text("operator", atMost: Operator.bytesMax)))
        }
        var columns: [RunEncoder.ColumnKey: Int] = [:]
        for _ in 0..<(try reader.varint("shapes", atMost: UInt64(Self.shapesMax))) {
            let shape = try Shape(reading: &reader)
            shapes.append(shape)
            slotClasses.append(
                shape.operations.flatMap { operation in operation.fields.map { _ in operation.mergeClass } }
            )
            shapeColumns.append(
                RunEncoder.columnKeys(of: shape).map { key in
                    let column = columns[key] ?? columns.count
                    columns[key] = column
                    return column
                }
            )
        }
        guard columns.count == columnLengths.count else { throw .invalid("columns do not fit the shapes") }
        try reader.expectEnd()
    }

    private func readSeed(_ reader: inout ByteReader) throws(CodecError) -> Bytes16? {
        guard openings != nil else { return try reader.bytes16() }
        switch try reader.byte() {
        case 0: return nil
        case 1: return try reader.bytes16()
        case let code: throw .invalid("a seed's code \(code)")
        }
    }

    /// The salts of a change; `nil` where they stand one by one.
    private mutating func readSalts(
        _ block: RunEncoder.Block,
        _ seq: UInt64,
        _ timestamp: Timestamp
    ) throws(CodecError) -> Salts? {
        if let seed = block.seed { return Salts(blockSeed: seed, seq: seq, timestamp: timestamp) }
        switch try openings!.byte() {
        case 0: return nil
        case 1: return Salts(changeSeed: Array(try openings!.bytes(32)))
        case let code: throw .invalid("the code \(code) of a change's salts")
        }
    }

    private mutating func readChange() throws(CodecError) {
        typealias Flags = RunEncoder.ChangeFlags
        let flags = try headers.byte()
        guard flags < 128 else { throw .invalid("change flags \(flags)") }
        let seq = run.chain.seq + 1
        let timestamp = try readTimestamp()
        let entryCount = try headers.varint("entries", atMost: UInt64(Payload.entriesMax))
        guard entryCount > 0 else { throw .invalid("a change without entries") }
        if flags & Flags.author != 0 { author = try element(of: operators, try headers.varint(), "operator") }
        let deps = try readDeps(flags & Flags.deps != 0, flags & Flags.exceptions != 0)
        // An author's own earlier changes are always included; naming or excepting them would be a second spelling.
        guard !deps.entries.contains(where: { $0.replica == context.author }),
            deps.exceptions?.contains(where: { $0.replica == context.author }) != true
        else { throw .invalid("deps name their own author") }
        self.deps = deps
        let systemDeps = try readDeps(flags & Flags.systemDeps != 0, flags & Flags.systemExceptions != 0)
        if flags & Flags.block != 0 {
            run.blocks.append(RunEncoder.Block(start: seq, seed: try readSeed(&headers)))
        }
        var transaction: ChangeHeader.Transaction?
        var extensions: [UInt8] = []
        var nextBatch: Bytes16?
        if flags & Flags.more != 0 {
            typealias More = RunEncoder.MoreFlags
            let more = try headers.byte()
            guard more < 32, more != 0 else { throw .invalid("change flags \(more)") }
            if more & More.schemaVersion != 0 {
                schemaVersion = UInt32(try headers.varint("schema version", atMost: UInt64(UInt32.max)))
            }
            if more & More.batch != 0 { nextBatch = try headers.bytes16() }
            if more & More.sameBatch != 0 { nextBatch = batch }
            if more & More.transaction != 0 { transaction = try readTransaction() }
            if more & More.extensions != 0 {
                extensions = Array(try headers.prefixed("extensions", atMost: ChangeHeader.extensionsMax))
            }
        }
        batch = nextBatch
        guard let author, let schemaVersion else { throw .invalid("a change without operator or schema version") }
        let block = run.blocks.last!
        let header = ChangeHeader(
            space: context.space,
            dot: Dot(context.author, seq),
            author: author,
            timestamp: timestamp,
            deps: deps,
            systemDeps: systemDeps,
            previous: run.chain.hash,
            schemaVersion: schemaVersion,
            blockStart: block.start,
            batch: batch,
            transaction: transaction,
            extensions: extensions,
            payloadHash: ChangeHeader.noHash
        )
        let salts = try readSalts(block, seq, timestamp)
        var payload = Payload(salts: salts)
        var named = Set<[UInt8]>()
        for _ in 0..<entryCount {
            try readEntry(into: &payload)
            let entry = payload.entries[payload.entries.count - 1]
            guard entry.reference != .created || salts == nil else { continue }
            guard named.insert(Self.name(of: entry)).inserted else { throw Self.twice }
        }
        // Created ids differ from each other; one may still be spelled out beside.
        if !named.isEmpty, salts != nil {
            for entry in payload.entries where entry.reference == .created && named.contains(Self.name(of: entry)) {
                throw Self.twice
            }
        }
        let change = Change(header: header, payload: payload)
        try run.chain.advance(by: change.header, hash: change.hash)
        run.changes.append(context.name == context.author ? change : change.filed(under: context.name))
        runBytes += payload.bytes.count
    }

    /// One commitment serves for (record, change): a second entry would make two of one dot.
    private static let twice = CodecError.invalid("a record stands twice in one change")

    private static func name(of entry: Payload.Entry) -> [UInt8] {
        var name: [UInt8] = []
        name.appendVarint(UInt64(entry.shape.collection))
        name.append(entry.id.raw)
        return name
    }

    private mutating func readTimestamp() throws(CodecError) -> Timestamp {
        let coded = try headers.zigzag()
        let milliseconds = Int64(run.chain.seq == context.chain.seq ? 0 : run.chain.timestamp.milliseconds)
            .addingReportingOverflow(coded >> 1)
        guard !milliseconds.overflow, 0..<(1 << 48) ~= milliseconds.partialValue else { throw .invalid("timestamp") }
        let counter = coded & 1 == 1 ? try headers.varint("counter", atMost: 0xffff) : 0
        guard coded & 1 == 0 || counter > 0 else { throw .invalid("timestamp") }
        return Timestamp(raw: UInt64(milliseconds.partialValue) << 16 | UInt64(counter))
    }

    private mutating func readDeps(_ hasEntries: Bool, _ hasExceptions: Bool) throws(CodecError) -> DepsDelta {
        var dots: [Dot] = []
        if hasEntries {
            for _ in 0..<(try headers.varint("deps", atMost: 65_536)) {
                let replica = try element(of: replicas, try headers.varint(), "replica")
                dots.append(Dot(replica, try headers.varint()))
                guard dots.count < 2 || dots[dots.count - 2].replica < replica else { throw .invalid("deps order") }
            }
            guard !dots.isEmpty else { throw .invalid("empty deps") }
        }
        guard hasExceptions else { return DepsDelta(entries: dots, exceptions: nil) }
        var exceptions: [VersionVector.Exception] = []
        for _ in 0..<(try headers.varint("exceptions", atMost: 65_536)) {
            let replica = try element(of: replicas, try headers.varint(), "replica")
            let exception = VersionVector.Exception(
                replica: replica,
                first: try headers.varint(),
                last: try headers.varint()
            )
            guard exception.first >= 1, exception.first <= exception.last,
                exceptions.last.map({ $0.replica < replica || $0.replica == replica && $0.last < exception.first })
                    ?? true
            else {
                throw .invalid("exceptions order")
            }
            exceptions.append(exception)
        }
        return DepsDelta(entries: dots, exceptions: exceptions)
    }

    private mutating func readTransaction() throws(CodecError) -> ChangeHeader.Transaction {
        let id = try headers.bytes16()
        var parts: [Hash32] = []
        for _ in 0..<(try headers.varint("transaction parts", atMost: UInt64(ChangeHeader.Transaction.partsMax))) {
            parts.append(Array(try headers.bytes(32)))
        }
        return ChangeHeader.Transaction(id: id, parts: parts)
    }

    private mutating func readEntry(into payload: inout Payload) throws(CodecError) {
        var shapeIndex = Int(clamping: try entries.varint())
        if openings != nil {
            if shapeIndex == 0 { return try readErased(into: &payload) }
            shapeIndex -= 1
        }
        let shape = try element(of: shapes, UInt64(shapeIndex), "shape")
        let salt: Bytes16? = payload.salts == nil ? try openings!.bytes16() : nil
        let created = payload.salts?.entry(payload.entries.count).id
        var (id, reference) = try readReference(created)
        // However it is spelled: a created record is one whose id the entry gives.
        if id == created { reference = .created }
        let classes = slotClasses[shapeIndex]
        // A closure with typed throws in the middle of a generic rethrow keeps the error's type only by hand.
        var failure: CodecError?
        payload.append(shape, id: id, reference: reference, salt: salt) { out in
            do throws(CodecError) {
                for (place, column) in shapeColumns[shapeIndex].enumerated() {
                    let head = try columnLengths[column].varint()
                    guard head >> 2 <= UInt64(Slot.bytesMax) else {
                        throw .tooLarge(what: "value", found: head >> 2, bound: UInt64(Slot.bytesMax))
                    }
                    let content = try columnContents[column].bytes(Int(head >> 2))
                    try RunDecoder.check(Slot(tag: UInt8(head & 3), bytes: content), of: classes[place])
                    out.appendVarint(head)
                    out.append(contentsOf: content)
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard payload.bytes.count <= Payload.bytesMax else {
            throw .tooLarge(
                what: "change",
                found: UInt64(payload.bytes.count),
                bound: UInt64(Payload.bytesMax)
            )
        }
        guard runBytes + payload.bytes.count <= Self.runBytesMax else {
            throw .tooLarge(
                what: "run",
                found: UInt64(runBytes + payload.bytes.count),
                bound: UInt64(Self.runBytesMax)
            )
        }
    }

    /// What is left of an erased entry.
    private mutating func readErased(into payload: inout Payload) throws(CodecError) {
        guard payload.salts == nil else { throw .invalid("an erased entry beside its seed") }
        let shape = try element(of: shapes, try entries.varint(), "shape")
        let isCreated: Bool
        switch try ids.varint() {
        case 0: isCreated = false
        case 1: isCreated = true
        case let code: throw .invalid("the code \(code) of an erased entry's id")
        }
        let id = RecordID(try ids.bytes16())
        payload.appendErased(shape, id: id, isCreated: isCreated, leaf: Array(try openings!.bytes(32)))
    }

    /// What is signed must also be well formed: a value that nobody can read would otherwise stop whoever applies it.
    private static func check(_ slot: Slot, of mergeClass: MergeClass) throws(CodecError) {
        guard mergeClass != .register else { return try slot.check() }
        guard slot.tag == 3 else { throw .invalid("the body of an operation") }
        let items = try Items(decoding: slot.bytes)
        // Whatever only grows would lose what others wrote.
        guard mergeClass == .set || items.removed.isEmpty else { throw .invalid("a removal from what is no set") }
    }

    /// - Parameter created: the id that the entry gives; it stands there where the salts are given one by one.
    private mutating func readReference(_ created: RecordID?) throws(CodecError) -> (RecordID, RecordReference) {
        switch try ids.varint() {
        case 0: return (RecordID(try ids.bytes16()), .explicit)
        case 1:
            if let created { return (created, .created) }
            return (RecordID(try ids.bytes16()), .created)
        case let code:
            let dot = Dot(try element(of: replicas, code - 2, "replica"), try ids.varint())
            let index = try ids.varint("entry", atMost: UInt64(Payload.entriesMax))
            let isOwn = dot.replica == context.author
            // A name that its author cannot have known is no cause to wait for.
            guard isOwn ? dot.seq >= 1 && dot.seq <= run.chain.seq : saw(dot) else {
                throw .invalid("a reference to a change that its author had not seen")
            }
            return (try id(of: dot, index, isOwn: isOwn), .of(dot, index: index))
        }
    }

    private func id(of dot: Dot, _ index: Int, isOwn: Bool) throws(CodecError) -> RecordID {
        if isOwn, dot.seq > context.chain.seq {
            return try run.changes[Int(dot.seq - context.chain.seq) - 1].payload.createdID(index)
        }
        guard let id = try context.resolve(dot, index) else {
            throw isOwn ? .invalid("a reference to no change") : .unresolvedReference(dot)
        }
        return id
    }

    /// Whether the change being read had seen another author's change.
    private func saw(_ dot: Dot) -> Bool {
        let place = deps.entries.place { $0.replica >= dot.replica }
        let moved = deps.entries[place...].first.flatMap { $0.replica == dot.replica ? $0.seq : nil }
        let last = moved ?? run.chain.deps[dot.replica]
        let exceptions = deps.exceptions ?? run.chain.deps.exceptions
        return dot.seq >= 1 && dot.seq <= last && !exceptions.contain(dot)
    }

    private func element<T>(of list: [T], _ index: UInt64, _ what: String) throws(CodecError) -> T {
        guard index < UInt64(list.count) else { throw .invalid("\(what) \(index) of \(list.count)") }
        return list[Int(index)]
    }

    private func finish() throws(CodecError) -> Run {
        try headers.expectEnd()
        try entries.expectEnd()
        try ids.expectEnd()
        try openings?.expectEnd()
        for column in columnLengths.indices {
            try columnLengths[column].expectEnd()
            try columnContents[column].expectEnd()
        }
        return run
    }
}
