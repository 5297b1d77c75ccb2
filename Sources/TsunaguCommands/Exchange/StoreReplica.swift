// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
import TsunaguStore
package import TsunaguSync

/// A site's store as an exchange sees it.
package struct StoreReplica: ReplicaStorage {
    private let site: Site

    package init(_ site: Site) { self.site = site }

    package var device: DeviceID { site.keys.device }

    /// Reads a state in which everything written here is sealed: what is shown to a peer can be sent to it.
    func sealed<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        // Asked and read in one state: another process may write between two.
        let known: R? = try site.read { transaction in
            try transaction.isSealed() ? body(transaction) : nil
        }
        if let known { return known }
        return try site.write { transaction in
            try transaction.seal { try site.keys.sign($0) }
            return try body(transaction)
        }
    }

    package func summaries() throws -> [SpaceSummary] {
        try sealed { transaction in
            let position = try transaction.lastRow()
            return try transaction.spaces().map { space in
                SpaceSummary(
                    space: space,
                    vectorHash: Self.hash(try transaction.vector(of: space)),
                    exceptionsHash: Self.hash(try transaction.waiting(in: space)),
                    digest: try transaction.digest(of: space) ?? Bytes16(0),
                    ownSeq: try transaction.ownSeq(in: space).sealed,
                    position: position
                )
            }
        }
    }

    package func vector(of space: SpaceID) throws -> [VectorEntry] { try sealed { try $0.vector(of: space) } }

    package func runs(of space: SpaceID, lacking known: [ReplicaID: UInt64]) throws -> [Int64] {
        try site.read { try $0.runs(of: space, lacking: known) }
    }

    package func runs(of space: SpaceID, lackingAt device: DeviceID) throws -> [Int64] {
        try site.read { try $0.runs(of: space, lackingAt: device) }
    }

    package func runs(ending device: DeviceID, lacking known: [ReplicaID: UInt64]) throws -> [Int64] {
        guard try access()?.isRevoked(device) == true else { return [] }
        return try sealed { transaction in
            guard let access = try transaction.currentAccess(), let word = access.endings[device] else { return [] }
            return try transaction.runs(
                holding: [word] + (access.credentials(of: self.device) ?? []),
                lacking: known
            )
        }
    }

    package func run(_ row: Int64) throws -> RunEnvelope? { try site.read { try $0.run(row) } }

    package func headerHash(of replica: ReplicaID, at seq: UInt64, in space: SpaceID) throws -> Hash32? {
        try site.read { try $0.headerHash(of: replica, at: seq, in: space) }
    }

    package func access() throws -> Access? { try site.read { try $0.currentAccess() } }

    package func receive(_ frame: SyncFrame, from peer: DeviceID) throws -> [Receipt] {
        try receive(frame, from: peer) { _ in true } ?? []
    }

    /// Takes in a frame where what is here when it is written allows it.
    ///
    /// - Returns: `nil` where it does not.
    func receive(
        _ frame: SyncFrame,
        from peer: DeviceID,
        where isWelcome: (StoreTransaction) throws -> Bool
    ) throws -> [Receipt]? {
        guard !frame.items.isEmpty else { return [] }
        return try site.write { try isWelcome($0) ? receive(frame, from: peer, $0) : nil }
    }

    /// Takes in a frame in a transaction of the caller's.
    func receive(_ frame: SyncFrame, from peer: DeviceID, _ transaction: StoreTransaction) throws -> [Receipt] {
        let former = try transaction.ownReplica()
        let receipts = try frame.items.map { try receive($0, from: peer, transaction) }
        // Whoever is nobody here has no say in what a person is shown.
        if peer != .stranger { try transaction.noteRefusals(frame.items, receipts, from: peer) }
        // Before anything is written here: its number may be taken.
        try transaction.beginIncarnationWhereDue(site.keys)
        // What the arrival calls for is done by the process that applies it: seats are confirmed in order.
        try transaction.settleArrivedSeats(by: site, isNewReplica: try transaction.ownReplica() != former)
        return receipts
    }

    private func receive(_ item: SyncFrame.Item, from peer: DeviceID, _ transaction: StoreTransaction) throws -> Receipt
    {
        switch item {
        case .run(let run):
            try transaction.unstage(run.space, run.replica, from: peer)
            return try transaction.receive(run, from: peer)
        case .part(let part, let total, let bytes):
            let known = try transaction.staged(from: peer).first {
                $0.space == part.space && $0.replica == part.replica && $0.first == part.first && $0.hash == part.hash
                    && $0.total == total
            }
            let staged =
                known
                ?? StoreTransaction.Staged(
                    space: part.space,
                    replica: part.replica,
                    first: part.first,
                    hash: part.hash,
                    total: total
                )
            // A part that was sent twice is taken once; one that does not follow is asked for again by its cursor.
            guard part.offset <= staged.count else { return .partial }
            guard part.offset + bytes.count > staged.count else { return .duplicate }
            let new = bytes.dropFirst(staged.count - part.offset)
            if known == nil { try transaction.unstage(part.space, part.replica, from: peer) }
            guard staged.count + new.count >= total else {
                // What nobody here vouches for is kept no more than what waits.
                guard peer != .stranger else { return .refused(.holdingFull) }
                try transaction.stage(new, of: staged, from: peer)
                return .partial
            }
            let whole = try transaction.stagedBytes(staged, from: peer) + new
            try transaction.unstage(part.space, part.replica, from: peer)
            guard SyncFrame.hash(whole) == part.hash else { return .refused(.malformed("parts do not fit")) }
            do {
                let run = try whole.withMemory { memory throws(CodecError) in try RunEnvelope(decoding: memory) }
                guard run.space == part.space, run.replica == part.replica else {
                    return .refused(.malformed("parts of another run"))
                }
                return try transaction.receive(run, from: peer)
            } catch let error as CodecError {
                return .refused(.malformed("\(error)"))
            }
        }
    }

    package func staged(from peer: DeviceID) throws -> [StagedRun] {
        try site.read { transaction in
            try transaction.staged(from: peer).map {
                StagedRun(space: $0.space, replica: $0.replica, first: $0.first, hash: $0.hash, offset: $0.count)
            }
        }
    }

    package func forEachSum(
        in space: SpaceID,
        _ range: RecordPrefix,
        _ body: (RecordID, SpaceDigest) throws -> Void
    ) throws {
        try site.read { try $0.forEachSum(in: space, range, body) }
    }

    /// Looks before it writes: whoever asks without reason must not hold up those who work here.
    package func restate(_ records: Set<RecordID>, in space: SpaceID) throws -> Set<RecordID> {
        do {
            let isRight = try site.store.read { transaction in
                try transaction.misstated(records, in: space).isEmpty && transaction.missummed(space) == nil
            }
            if isRight { return [] }
            return try site.store.write { transaction in
                let wrong = try transaction.restate(records, in: space)
                for record in wrong.sorted() { try transaction.note("record_restated", "\(space) \(record)") }
                if wrong.isEmpty { try transaction.note("digest_restated", "\(space)") }
                return wrong
            }
        } catch StoreError.damagedLog(_, let replica, let seq, _) {
            // Nothing can be worked out from a log that cannot be read; `doctor` says what to do.
            try site.write { try $0.note("log_damaged", "\(space) \(replica.device.short) \(seq)") }
            return []
        } catch let error as StoreError {
            throw CommandError(error)
        }
    }

    package func run(_ space: SpaceID, _ replica: ReplicaID, first: UInt64) throws -> RunEnvelope? {
        try site.read { try $0.sealedRun(RunPlace(space: space, replica: replica, first: first)) }
    }

    package func note(_ findings: [PeerFinding], of peer: DeviceID) throws -> [SpaceID] {
        try site.write { transaction in
            try transaction.setMet(peer)
            var lost: [SpaceID] = []
            for finding in findings {
                switch finding {
                case .equal(let summary, let isProved):
                    let copy = StoreTransaction.PeerCopy(held: summary.position, own: summary.position)
                    try transaction.setPeerCopy(peer, summary.space, copy, isProved: isProved)
                case .differs(let summary, let vector):
                    var (copy, hasLost) = try transaction.copy(
                        of: summary.space,
                        told: vector,
                        by: peer,
                        upTo: summary.position
                    )
                    if Mutant.meetingIsSending.isPlanted { copy.own = summary.position }
                    if hasLost { lost.append(summary.space) }
                    try transaction.setPeerCopy(peer, summary.space, copy, isProved: false)
                }
            }
            if !lost.isEmpty { try transaction.note("peer_lost_changes", peer.short) }
            return lost
        }
    }

    private static func hash(_ vector: [VectorEntry]) -> Bytes16 {
        var bytes = Array("tsunagu/vector/1".utf8)
        for entry in vector {
            bytes.append(entry.replica)
            bytes.appendVarint(entry.seq)
            bytes += entry.hash
        }
        return SHA256.hash(data: bytes).withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    private static func hash(_ exceptions: [VersionVector.Exception]) -> Bytes16 {
        if exceptions.isEmpty { return Bytes16(0) }
        var bytes = Array("tsunagu/exceptions/1".utf8)
        for exception in exceptions {
            bytes.append(exception.replica)
            bytes.appendVarint(exception.first)
            bytes.appendVarint(exception.last)
        }
        return SHA256.hash(data: bytes).withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }
}

extension StoreTransaction {
    /// Keeps what this side would not take, until the peer brings it in a form that it takes.
    fileprivate func noteRefusals(_ items: [SyncFrame.Item], _ receipts: [Receipt], from peer: DeviceID) throws {
        let isAnyHeld = receipts.contains { if case .held = $0 { true } else { false } }
        let waiting = isAnyHeld ? try heldPlaces(from: peer) : []
        for (item, receipt) in zip(items, receipts) {
            let (replica, first) = item.origin
            let place = RunPlace(space: item.space, replica: replica, first: first)
            switch receipt {
            case .refused(let refusal):
                try setRefusal(peer: peer.description, item.space, replica, first, refusal.code)
            // It waited, had its turn within this frame, and was refused then.
            case .held where try !waiting.contains(place) && !isInLog(place): break
            case .applied, .quarantined, .duplicate, .held, .partial:
                try clearRefusal(peer: peer.description, item.space, replica, first)
            }
        }
    }
}
