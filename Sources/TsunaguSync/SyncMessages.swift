// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a client asks; each stands for itself, so a hub keeps nothing between two.
package enum SyncRequest: Hashable, Sendable {
    /// How do our spaces relate?
    case compare([SpaceSummary])
    /// Take these.
    case push(SyncFrame)
    /// Give me what I lack of these authors' changes.
    case pull(PullRequest)
    /// What do these ranges of records add up to?
    case sums(SumsRequest)
    /// Give me this sealed run again.
    case run(SpaceID, ReplicaID, first: UInt64)
    /// I was revoked, and handed in what I had.
    case leave

    package struct PullRequest: Hashable, Sendable {
        /// For each space the authors of whom something is lacking, with the last number known.
        package var wants: [SpaceID: [ReplicaID: UInt64]]
        package var staged: [StagedRun]
        /// How large a frame may be.
        package var frameBytesMax: Int

        package init(wants: [SpaceID: [ReplicaID: UInt64]], staged: [StagedRun], frameBytesMax: Int) {
            self.wants = wants
            self.staged = staged
            self.frameBytesMax = frameBytesMax
        }
    }

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .compare(let summaries):
            out.append(1)
            out.appendVarint(UInt64(summaries.count))
            for summary in summaries { out.append(summary) }
        case .push(let frame):
            out.append(2)
            out += frame.encoded
        case .pull(let pull):
            out.append(3)
            out.appendVarint(UInt64(pull.frameBytesMax))
            out.appendVarint(UInt64(pull.wants.count))
            for (space, known) in pull.wants.sorted(by: { $0.key < $1.key }) {
                out.appendPrefixed(Array(space.name.utf8))
                out.appendVarint(UInt64(known.count))
                for (replica, seq) in known.sorted(by: { $0.key < $1.key }) {
                    out.append(replica)
                    out.appendVarint(seq)
                }
            }
            out.appendVarint(UInt64(pull.staged.count))
            for staged in pull.staged { out.append(staged) }
        case .sums(let sums):
            out += [4, 0]
            out.append(sums.summary)
            out.appendVarint(UInt64(sums.ranges.count))
            for range in sums.ranges { out.append(range) }
        case .run(let space, let replica, let first):
            out += [4, 1]
            out.appendPrefixed(Array(space.name.utf8))
            out.append(replica)
            out.appendVarint(first)
        case .leave:
            out.append(5)
        }
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 1:
            var summaries: [SpaceSummary] = []
            for _ in 0..<(try reader.varint("spaces", atMost: SyncReply.spacesMax)) {
                summaries.append(try reader.summary())
            }
            guard Set(summaries.map(\.space)).count == summaries.count else { throw .invalid("a space stands twice") }
            self = .compare(summaries)
        case 2:
            self = .push(try SyncFrame(decoding: try reader.bytes(reader.count)))
        case 3:
            let frameBytesMax = try reader.varint("frame", atMost: UInt64(SyncFrame.runBytesMax))
            var wants: [SpaceID: [ReplicaID: UInt64]] = [:]
            for _ in 0..<(try reader.varint("spaces", atMost: SyncReply.spacesMax)) {
                let space = try reader.space()
                var known: [ReplicaID: UInt64] = [:]
                for _ in 0..<(try reader.varint("authors", atMost: 65_536)) {
                    let replica = try reader.replica()
                    known[replica] = UInt64(try reader.varint("number", atMost: Chain.seqMax))
                }
                wants[space] = known
            }
            var staged: [StagedRun] = []
            for _ in 0..<(try reader.varint("parts", atMost: 65_536)) { staged.append(try reader.stagedRun()) }
            self = .pull(PullRequest(wants: wants, staged: staged, frameBytesMax: frameBytesMax))
        case 4:
            switch try reader.byte() {
            case 0: self = .sums(try reader.sumsRequest())
            case 1:
                self = .run(
                    try reader.space(),
                    try reader.replica(),
                    first: UInt64(try reader.varint("number", atMost: Chain.seqMax))
                )
            case let code: throw .invalid("request 4 \(code)")
            }
        case 5: self = .leave
        case let code:
            throw .invalid("request \(code)")
        }
        try reader.expectEnd()
    }
}

/// What a hub answers.
///
/// A pull is answered by a stream of frames instead.
package enum SyncReply: Hashable, Sendable {
    static let spacesMax: UInt64 = 4096

    /// How a space stands at the hub against what the client said of it.
    package enum Relation: Hashable, Sendable {
        /// Everything received is the same; then what is in effect, and what it adds up to, may be compared.
        case equal(exceptions: Bool, digest: Bool)
        /// The hub's vector.
        case differs([VectorEntry])
        /// The client may not hold it.
        case notGranted
    }

    /// The spaces of the client's list, then others that it may hold.
    case compared([(space: SpaceID, relation: Relation)])
    /// What became of each item of a pushed frame.
    case receipts([Receipt])
    /// What the ranges add up to; `nil` where the two do not hold the same changes, or it was asked too often.
    case sums([RangeSum]?)
    /// The run; `nil` where it is not here.
    case run(RunEnvelope?)
    /// The request was not answered, and why.
    case failed(String)
    /// The client is nobody here: its ward may show itself by bringing `system`.
    case unknownClient
    /// The client's ward and the one here began apart, and both have been worked in.
    case newBeginning
    /// The client's rights ended: it may hand in what it wrote, and gets nothing but this.
    case revoked(Farewell)

    /// Whether all that the two may share was found to be the same.
    package var saysEqual: Bool {
        guard case .compared(let spaces) = self else { return false }
        return spaces.allSatisfy { $0.relation == .equal(exceptions: true, digest: true) || $0.relation == .notGranted }
    }

    package static func == (a: SyncReply, b: SyncReply) -> Bool { a.encoded == b.encoded }
    package func hash(into hasher: inout Hasher) { hasher.combine(encoded) }

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .compared(let spaces):
            out.append(1)
            out.appendVarint(UInt64(spaces.count))
            for (space, relation) in spaces {
                out.appendPrefixed(Array(space.name.utf8))
                switch relation {
                case .equal(let exceptions, let digest):
                    out.append((exceptions ? 1 : 0) | (digest ? 2 : 0))
                case .differs(let vector):
                    out.append(4)
                    out.append(vector)
                case .notGranted:
                    out.append(5)
                }
            }
        case .receipts(let receipts):
            out.append(2)
            out.appendVarint(UInt64(receipts.count))
            for receipt in receipts {
                let (code, text) = receipt.wire
                out.append(code)
                out.appendPrefixed(Array(text.utf8))
            }
        case .sums(let sums):
            out += [4, 0]
            out.append(sums == nil ? 0 : 1)
            if let sums {
                out.appendVarint(UInt64(sums.count))
                for sum in sums { out.append(sum) }
            }
        case .run(let run):
            out += [4, 1]
            out.append(run == nil ? 0 : 1)
            if let run { out += run.encoded }
        case .failed(let reason):
            out.append(3)
            out.appendPrefixed(Array(reason.utf8))
        case .unknownClient:
            out.append(5)
        case .newBeginning:
            out.append(6)
        case .revoked(let farewell):
            out.append(7)
            out += farewell.encoded
        }
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 1:
            var spaces: [(SpaceID, Relation)] = []
            for _ in 0..<(try reader.varint("spaces", atMost: Self.spacesMax)) {
                let space = try reader.space()
                switch try reader.byte() {
                case let code where code < 4:
                    spaces.append((space, .equal(exceptions: code & 1 != 0, digest: code & 2 != 0)))
                case 4: spaces.append((space, .differs(try reader.vector())))
                case 5: spaces.append((space, .notGranted))
                case let code: throw .invalid("relation \(code)")
                }
            }
            guard Set(spaces.map(\.0)).count == spaces.count else { throw .invalid("a space stands twice") }
            self = .compared(spaces)
        case 2:
            var receipts: [Receipt] = []
            for _ in 0..<(try reader.varint("receipts", atMost: 65_536)) {
                let code = try reader.byte()
                let text = try reader.text("receipt", atMost: 1024).string
                guard let receipt = Receipt(wire: code, text) else { throw .invalid("receipt \(code)") }
                receipts.append(receipt)
            }
            self = .receipts(receipts)
        case 3:
            self = .failed(try reader.text("reason", atMost: 1024).string)
        case 4:
            switch (try reader.byte(), try reader.byte()) {
            case (0, 0): self = .sums(nil)
            case (0, 1):
                var sums: [RangeSum] = []
                for _ in 0..<(try reader.varint("sums", atMost: UInt64(SumsRequest.rangesMax))) {
                    sums.append(try reader.rangeSum())
                }
                self = .sums(sums)
            case (1, 0): self = .run(nil)
            case (1, 1): self = .run(try RunEnvelope(decoding: try reader.bytes(reader.count)))
            case let (what, code): throw .invalid("reply 4 \(what) \(code)")
            }
        case 5: self = .unknownClient
        case 6: self = .newBeginning
        case 7: self = .revoked(try Farewell(decoding: &reader))
        case let code:
            throw .invalid("reply \(code)")
        }
        try reader.expectEnd()
    }
}

extension Receipt {
    fileprivate var wire: (UInt8, String) {
        switch self {
        case .applied(let count): (1, "\(count)")
        case .duplicate: (2, "")
        case .held(let cause): (3, String(cause.prefix(200)))
        case .quarantined(let count): (4, "\(count)")
        case .refused(.malformed(let detail)): (16, String(detail.prefix(200)))
        case .refused(.badSeal): (17, "")
        case .refused(.unknownDevice): (18, "")
        case .refused(.gap(let expected)): (19, "\(expected)")
        case .refused(.fork(let seq)): (20, "\(seq)")
        case .refused(.holdingFull): (21, "")
        case .refused(.notGranted): (22, "")
        case .refused(.shareFull): (23, "")
        case .partial: (5, "")
        }
    }

    fileprivate init?(wire code: UInt8, _ text: String) {
        // No count and no number goes beyond the longest chain.
        let number = UInt64(text).flatMap { $0 <= Chain.seqMax ? $0 : nil }
        switch (code, number) {
        case (1, let count?): self = .applied(Int(count))
        case (2, _): self = .duplicate
        case (3, _): self = .held(waitsFor: text)
        case (4, let count?): self = .quarantined(Int(count))
        case (5, _): self = .partial
        case (16, _): self = .refused(.malformed(text))
        case (17, _): self = .refused(.badSeal)
        case (18, _): self = .refused(.unknownDevice)
        case (19, let expected?): self = .refused(.gap(expected: expected))
        case (20, let seq?): self = .refused(.fork(seq: seq))
        case (21, _): self = .refused(.holdingFull)
        case (22, _): self = .refused(.notGranted)
        case (23, _): self = .refused(.shareFull)
        default: return nil
        }
    }
}

extension [UInt8] {
    mutating func append(_ vector: [VectorEntry]) {
        appendVarint(UInt64(vector.count))
        for entry in vector {
            append(entry.replica)
            appendVarint(entry.seq)
            append(contentsOf: entry.hash)
        }
    }

    fileprivate mutating func append(_ summary: SpaceSummary) {
        appendPrefixed(Array(summary.space.name.utf8))
        append(summary.vectorHash)
        append(summary.digest)
        append(summary.exceptionsHash == Bytes16(0) ? 0 : 1)
        if summary.exceptionsHash != Bytes16(0) { append(summary.exceptionsHash) }
    }

    fileprivate mutating func append(_ sum: RangeSum) {
        switch sum {
        case .parts(let parts):
            append(0)
            for part in parts { append(part) }
        case .records(let records):
            append(1)
            appendVarint(UInt64(records.count))
            for record in records {
                append(record.id.raw)
                append(record.sum)
                append(record.wasWrong ? 1 : 0)
            }
        }
    }
}

extension ByteReader {
    mutating func vector() throws(CodecError) -> [VectorEntry] {
        var vector: [VectorEntry] = []
        for _ in 0..<(try varint("authors", atMost: 65_536)) {
            let entry = VectorEntry(
                replica: try replica(),
                seq: UInt64(try varint("number", atMost: Chain.seqMax)),
                hash: Array(try bytes(32))
            )
            guard entry.seq > 0 else { throw .invalid("a vector with an empty chain") }
            guard vector.last.map({ $0.replica < entry.replica }) ?? true else {
                throw .invalid("a vector out of order")
            }
            vector.append(entry)
        }
        return vector
    }

    fileprivate mutating func summary() throws(CodecError) -> SpaceSummary {
        var summary = SpaceSummary(
            space: try space(),
            vectorHash: try bytes16(),
            exceptionsHash: Bytes16(0),
            digest: try bytes16()
        )
        if try byte() != 0 { summary.exceptionsHash = try bytes16() }
        return summary
    }

    fileprivate mutating func sumsRequest() throws(CodecError) -> SumsRequest {
        var request = SumsRequest(summary: try summary(), ranges: [])
        for _ in 0..<(try varint("ranges", atMost: UInt64(SumsRequest.rangesMax))) {
            let range = try recordPrefix()
            guard request.ranges.last.map({ $0.last < range.first }) ?? true else { throw .invalid("ranges order") }
            request.ranges.append(range)
        }
        return request
    }

    fileprivate mutating func rangeSum() throws(CodecError) -> RangeSum {
        switch try byte() {
        case 0:
            var parts: [Bytes16] = []
            for _ in 0..<16 { parts.append(try bytes16()) }
            return .parts(parts)
        case 1:
            var records: [RangeSum.Record] = []
            for _ in 0..<(try varint("records", atMost: UInt64(RangeSum.recordsMax))) {
                let (id, sum) = (RecordID(try bytes16()), try bytes16())
                records.append(RangeSum.Record(id: id, sum: sum, wasWrong: try byte() != 0))
            }
            return .records(records)
        case let code: throw .invalid("sum \(code)")
        }
    }
}
