// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// The answering side: a function of the request and what is stored.
package struct SyncServer {
    /// The device that asks; whoever calls has made sure of it.
    let client: DeviceID

    package init(client: DeviceID) { self.client = client }

    /// Answers a comparison or takes a frame in.
    package func answer(_ request: SyncRequest, _ storage: some ReplicaStorage) throws -> SyncReply {
        switch request {
        case .compare(let theirs): .compared(try compare(theirs, storage))
        case .push(let frame): .receipts(try take(frame, storage))
        case .sums(let request): .sums(try sums(request, storage))
        case .run(let space, let replica, let first):
            .run(try storage.scope(with: client).isShared(space) ? try storage.run(space, replica, first: first) : nil)
        case .leave: .failed("the device is a member")
        case .pull: .failed("a pull is answered by frames")
        }
    }

    private func compare(
        _ theirs: [SpaceSummary],
        _ storage: some ReplicaStorage
    ) throws -> [(space: SpaceID, relation: SyncReply.Relation)] {
        let ours = Dictionary(uniqueKeysWithValues: try storage.summaries().map { ($0.space, $0) })
        let scope = try storage.scope(with: client)
        var out: [(SpaceID, SyncReply.Relation)] = []
        var findings: [PeerFinding] = []
        for summary in theirs {
            guard scope.isShared(summary.space) else {
                out.append((summary.space, .notGranted))
                continue
            }
            guard let own = ours[summary.space], own.vectorHash == summary.vectorHash else {
                out.append((summary.space, .differs(try storage.vector(of: summary.space))))
                continue
            }
            let exceptions = own.exceptionsHash == summary.exceptionsHash
            let digest = own.digest == summary.digest
            out.append((summary.space, .equal(exceptions: exceptions, digest: digest)))
            findings.append(.equal(own, isProved: exceptions && digest))
        }
        let named = Set(theirs.map(\.space))
        for space in ours.keys.sorted() where !named.contains(space) && scope.isShared(space) {
            out.append((space, .differs(try storage.vector(of: space))))
        }
        try storage.note(findings, of: client)
        return out
    }

    /// What the client may not hold, it may not bring either, nor what this side may not.
    private func take(_ frame: SyncFrame, _ storage: some ReplicaStorage) throws -> [Receipt] {
        try take(frame, storage, where: storage.scope(with: client).isShared)
    }

    /// What a client hands in that leaves: it may hold nothing any more, and this side no more than before.
    package func takeFromLeaving(_ frame: SyncFrame, _ storage: some ReplicaStorage) throws -> [Receipt] {
        try take(frame, storage, where: storage.scope(with: client).mayTake)
    }

    private func take(
        _ frame: SyncFrame,
        _ storage: some ReplicaStorage,
        where isGranted: (SpaceID) -> Bool
    ) throws -> [Receipt] {
        let isAllowed = frame.items.map { isGranted($0.space) }
        let allowed = SyncFrame(items: zip(frame.items, isAllowed).filter(\.1).map(\.0))
        var receipts = try storage.receive(allowed, from: client)[...]
        return isAllowed.map { $0 ? receipts.removeFirst() : .refused(.notGranted) }
    }

    /// What a client is shown that leaves and does not know who sends it away: the word that ended its rights.
    ///
    /// With it goes what makes this side speak for the ward, and what those rest on. Who does not speak for it shows
    /// nothing.
    package func proof(_ pull: SyncRequest.PullRequest, _ storage: some ReplicaStorage) throws -> FrameWriter {
        let isOffice = try storage.access()?.isAdmin(storage.device) == true
        let rows = try isOffice ? storage.runs(ending: client, lacking: pull.wants[.system] ?? [:]) : []
        return FrameWriter(rows: rows, staged: pull.staged, bytesMax: pull.frameBytesMax)
    }

    /// The frames that answer a pull, made one at a time as they are asked for.
    package func frames(_ pull: SyncRequest.PullRequest, _ storage: some ReplicaStorage) throws -> FrameWriter {
        let scope = try storage.scope(with: client)
        var (grants, rows): ([Int64], [Int64]) = ([], [])
        for space in pull.wants.keys.sorted() {
            let wanted = pull.wants[space] ?? [:]
            guard scope.isShared(space) || Mutant.hubsTellMembersAll.isPlanted else { continue }
            // Authors that were not asked for are known to the client as far as they go here.
            var known = wanted
            for entry in try storage.vector(of: space) where wanted[entry.replica] == nil {
                known[entry.replica] = entry.seq
            }
            let lacking = try storage.runs(of: space, lacking: known)
            if space == .system { grants = lacking } else { rows += lacking }
        }
        // Grants first: they say what becomes of the rest. The rest over all spaces in the log's order, so that what
        // belongs together arrives together.
        return FrameWriter(rows: grants + rows.sorted(), staged: pull.staged, bytesMax: pull.frameBytesMax)
    }
}
