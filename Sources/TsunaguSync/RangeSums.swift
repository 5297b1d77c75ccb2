// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What some records of a space add up to, so that two sites with one vector and two digests find where they differ.
package struct SumsRequest: Hashable, Sendable {
    /// How the space stands here: an answer is of use only between equal vectors.
    package var summary: SpaceSummary
    /// Disjoint ranges in order; of one that is a single id the hub works the record out anew first.
    package var ranges: [RecordPrefix]

    /// Ranges in one request.
    package static let rangesMax = 64

    package init(summary: SpaceSummary, ranges: [RecordPrefix]) {
        self.summary = summary
        self.ranges = ranges
    }
}

/// What a range adds up to: by parts, or by records where it holds few.
package enum RangeSum: Hashable, Sendable {
    /// One sum for each next digit.
    case parts([Bytes16])
    /// Each record that is there, by id.
    case records([Record])

    package struct Record: Hashable, Sendable {
        package var id: RecordID
        package var sum: Bytes16
        /// Whether it was another until the hub worked it out anew for this answer.
        package var wasWrong: Bool

        package init(id: RecordID, sum: Bytes16, wasWrong: Bool = false) {
            self.id = id
            self.sum = sum
            self.wasWrong = wasWrong
        }
    }

    /// Records that are told one by one.
    package static let recordsMax = 32
}

extension ReplicaStorage {
    /// What a range adds up to here.
    ///
    /// - Parameter asParts: whether to sum by parts even where few records are there.
    func sum(of space: SpaceID, _ range: RecordPrefix, asParts: Bool = false) throws -> RangeSum {
        var parts = [SpaceDigest](repeating: SpaceDigest(), count: 16)
        var records: [RangeSum.Record] = []
        try forEachSum(in: space, range) { id, sum in
            if !range.isRecord { parts[range.digit(of: id)] += sum }
            guard !asParts, records.count <= RangeSum.recordsMax else { return }
            records.append(RangeSum.Record(id: id, sum: sum.bytes))
        }
        return asParts || records.count > RangeSum.recordsMax ? .parts(parts.map(\.bytes)) : .records(records)
    }
}

extension SyncServer {
    /// Answers with the sums of ranges; `nil` where the two sites do not hold the same changes.
    func sums(_ request: SumsRequest, _ storage: some ReplicaStorage) throws -> [RangeSum]? {
        let space = request.summary.space
        guard try storage.scope(with: client).isShared(space),
            let own = try storage.summaries().first(where: { $0.space == space }),
            own.vectorHash == request.summary.vectorHash, own.exceptionsHash == request.summary.exceptionsHash
        else { return nil }
        let records = Set(request.ranges.filter(\.isRecord).map(\.first))
        // A sum that is kept wrongly is found by whoever adds up everything.
        let wrong =
            records.isEmpty && request.ranges != [.all] ? [] : try storage.restate(records, in: space)
        return try request.ranges.map { range in
            let sum = try storage.sum(of: space, range)
            guard case .records(let records) = sum else { return sum }
            return .records(
                records.map { RangeSum.Record(id: $0.id, sum: $0.sum, wasWrong: wrong.contains($0.id)) }
            )
        }
    }
}

/// The asking side: down from all records to those that differ, each level one request.
///
/// Both sides read each range once a level, and only those that differ below the first.
struct RangeSearch {
    let summary: SpaceSummary
    /// Ranges to be asked about; what does not fit a request waits for the next.
    private var pending: [RecordPrefix] = [.all]
    private var asked: [RecordPrefix] = []
    /// Records whose sums differ.
    private(set) var differing: Set<RecordID> = []
    /// Records that were wrong here.
    private(set) var wrongHere: Set<RecordID> = []
    /// Records that were wrong at the peer.
    private(set) var wrongThere: Set<RecordID> = []
    /// Whether what differs was looked at here, and the peer is asked to do so.
    private var isChecking = false
    private var requests = 0

    /// A peer that never comes to an end is left.
    private static let requestsMax = 64
    /// Records found in one exchange; the next one goes on with others.
    private static let recordsMax = 256

    init(_ summary: SpaceSummary) { self.summary = summary }

    /// What to ask next; `nil` at the end.
    mutating func next(_ storage: some ReplicaStorage) throws -> SumsRequest? {
        if pending.isEmpty, !isChecking {
            isChecking = true
            wrongHere = try storage.restate(differing, in: summary.space)
            pending = differing.subtracting(wrongHere).sorted().map { RecordPrefix($0) }
        }
        guard !pending.isEmpty, requests < Self.requestsMax else { return nil }
        requests += 1
        asked = Array(pending.prefix(SumsRequest.rangesMax))
        pending.removeFirst(asked.count)
        return SumsRequest(summary: summary, ranges: asked)
    }

    mutating func received(_ sums: [RangeSum], _ storage: some ReplicaStorage) throws {
        guard sums.count == asked.count else { throw SyncError.protocolViolation("sums do not fit") }
        for (range, theirs) in zip(asked, sums) {
            switch theirs {
            case .parts(let theirs):
                guard !range.isRecord else { throw SyncError.protocolViolation("a record has no parts") }
                guard case .parts(let ours) = try storage.sum(of: summary.space, range, asParts: true) else { continue }
                compare(ours, theirs, in: range)
            case .records(let theirs):
                guard theirs.allSatisfy({ range.first <= $0.id && $0.id <= range.last }) else {
                    throw SyncError.protocolViolation("a record of another range")
                }
                if range.isRecord {
                    wrongThere.formUnion(theirs.filter(\.wasWrong).map(\.id))
                    continue
                }
                switch try storage.sum(of: summary.space, range) {
                case .records(let ours): compare(ours, theirs)
                case .parts(let ours):
                    // Few there, many here: which of them differ is looked for part by part all the same.
                    var parts = [SpaceDigest](repeating: SpaceDigest(), count: 16)
                    for record in theirs { parts[range.digit(of: record.id)] += SpaceDigest(record.sum) }
                    compare(ours, parts.map(\.bytes), in: range)
                }
            }
        }
        // In order, whatever the level: ranges of one request are disjoint.
        pending.sort()
    }

    private mutating func compare(_ ours: [Bytes16], _ theirs: [Bytes16], in range: RecordPrefix) {
        for digit in 0..<16 where ours[digit] != theirs[digit] {
            guard differing.count + pending.count < Self.recordsMax else { break }
            pending.append(range.child(digit))
        }
    }

    private mutating func compare(_ ours: [RangeSum.Record], _ theirs: [RangeSum.Record]) {
        let known = Dictionary(ours.map { ($0.id, $0.sum) }) { first, _ in first }
        let told = Dictionary(theirs.map { ($0.id, $0.sum) }) { first, _ in first }
        for id in Set(known.keys).union(told.keys).sorted() where known[id] != told[id] {
            guard differing.count < Self.recordsMax else { break }
            differing.insert(id)
        }
    }
}
