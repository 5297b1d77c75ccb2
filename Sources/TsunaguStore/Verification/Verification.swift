// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What is wrong with a store, as its own check found it.
package struct StoreFault: Sendable {
    /// What does not hold.
    package let detail: String
    /// The record concerned, where it is one.
    package let record: RecordID?
}

/// A check of some part of a store.
package struct StoreCheck: Sendable {
    /// How many things were looked at.
    package var checked = 0
    /// How many faults there are; the first are in `faults`.
    package private(set) var faultCount = 0
    package private(set) var faults: [StoreFault] = []
    /// Whether what is at fault holds nothing but what the log tells too; told of the file.
    package var isDerived = false

    private static let faultsMax = 20

    package init() {}

    package mutating func fault(_ detail: String, record: RecordID? = nil) {
        faultCount += 1
        if faults.count < Self.faultsMax { faults.append(StoreFault(detail: detail, record: record)) }
    }
}

/// A run by its place in its author's chain.
package struct RunPlace: Hashable, Sendable, CustomStringConvertible {
    package var space: SpaceID
    package var replica: ReplicaID
    /// The number of its first change.
    package var first: UInt64

    package init(space: SpaceID, replica: ReplicaID, first: UInt64) {
        self.space = space
        self.replica = replica
        self.first = first
    }

    package var description: String { "\(space) \(replica.device.short) \(first)" }
}

/// Changes that an author's chain counts and of which no run is here.
package struct LostChanges: Hashable, Sendable, CustomStringConvertible {
    package var space: SpaceID
    package var replica: ReplicaID
    package var numbers: ClosedRange<UInt64>

    /// Where the first run of them begins.
    package var place: RunPlace { RunPlace(space: space, replica: replica, first: numbers.lowerBound) }

    package var description: String { "\(place)-\(numbers.upperBound)" }
}

/// What one walk over the whole log found, and what it takes to set it right.
package struct Verification: Sendable {
    /// Chains, seals, seeds: the log with itself.
    package var log = StoreCheck()
    /// Records, items, siblings, conflicts and typed rows against the log.
    package var tables = StoreCheck()
    /// The kept sums against those of what is live.
    package var digests = StoreCheck()
    /// Runs that are lost, and sealed ones whose stored bytes are not what was sealed; a peer may have them whole.
    package var damagedRuns: [RunPlace] = []

    /// How many faults of the log can be mended from the runs themselves.
    package var mendableLogFaults: Int { logRepairs.count + namedSpaces }

    /// Whether ``StoreTransaction/repairTables()`` has something to look at.
    package var areTablesFaulty: Bool { tables.faultCount + digests.faultCount > 0 }

    /// Whether some of the log cannot be read.
    package var isLogUnreadable: Bool { !unreadableSpaces.isEmpty }

    /// A record by this store's numbers; the space may be one that does not exist.
    struct RecordKey: Hashable {
        let space: Int64
        let collection: UInt32
        let id: RecordID
    }

    /// A row of the table of parts.
    struct Part {
        let transaction: [UInt8]
        let space: Int64
        let dot: LocalDot
    }

    /// What can be written anew because the runs themselves say it.
    enum LogRepair {
        case base(run: Int64, [UInt8])
        case chain(StoreTransaction.ChainKey, StoreTransaction.ChainRow)
        case seed(StoreTransaction.ChainKey, RunEncoder.Block)
        case needlessSeed(StoreTransaction.ChainKey, start: UInt64)
        case erasure
    }

    var logRepairs: [LogRepair] = []
    /// How many spaces lost their rows and are named by the seals in their logs.
    var namedSpaces = 0
    /// Records that are not what the log says.
    var faultyRecords: Set<RecordKey> = []
    /// Parts that the log's headers carry and the table does not.
    var missingParts: [Part] = []
    /// Rows of the table of parts that no header backs.
    var needlessParts: [Part] = []
    /// Spaces of which some of the log cannot be read: what it says of their records is not known.
    var unreadableSpaces: Set<Int64> = []
    /// What each space adds up to, where all of it could be worked out.
    var sums: [Int64: SpaceDigest] = [:]
}
