// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguSync

/// What a bundle says of itself to those it is for.
package struct BundleView: Sendable {
    package struct Space: Sendable {
        package let id: SpaceID
        /// Changes in the file, and how many of them are not here.
        package var changes: Int
        package var new: Int
    }

    package let id: Bytes16
    package let sender: DeviceID
    /// The sender's device and site by name; `nil` where this site does not know it.
    package let place: Places.Place?
    /// Whether it belongs to the ward, as far as this site knows.
    package let isMember: Bool
    package let part: Int
    package let parts: Int
    /// Unix milliseconds, by the sender's clock.
    package let writtenAt: UInt64
    package let spaces: [Space]
}

/// What became of a bundle.
package struct BundleReport: Sendable {
    package let view: BundleView
    package var applied = 0
    package var duplicates = 0
    package var quarantined = 0
    /// Runs of the sender's that wait for changes that are not here.
    package var held = 0
    package var refused: [(space: SpaceID, replica: ReplicaID, first: UInt64, reason: String)] = []
}

extension Site {
    /// What a bundle for this device holds; the whole file is checked.
    package func inspectBundle(_ path: String) throws -> BundleView { try view(BundleFile(path, self)) }

    /// Takes a bundle in.
    ///
    /// Nothing of it is used before the whole was found to be what a device of the ward made for this one. Taken in
    /// twice, it changes nothing the second time.
    ///
    /// - Throws: 65 and 77 with nothing changed; 75 where an earlier part must come first, with what fits taken in.
    package func importBundle(_ path: String) throws -> BundleReport {
        let report = try take(BundleFile(path, self))
        try settleLessonsOfDay()
        return report
    }

    func take(_ file: BundleFile) throws -> BundleReport {
        var report = BundleReport(view: try view(file))
        let sender = report.view.sender
        if !report.view.isMember { try introduce(sender, file, report.view) }
        let replica = StoreReplica(self)
        let server = SyncServer(client: sender)
        // Those of other parts count too: they must not be lost to this one.
        var held = try read { try $0.heldPlaces(from: sender) }
        var isBlocked = false
        try file.forEachPiece { piece in
            guard case .runs(let runs) = piece else { return true }
            let frame = SyncFrame(items: runs.map { .run($0) })
            guard case .receipts(let receipts) = try server.answer(.push(frame), replica) else { return false }
            for (run, receipt) in zip(runs, receipts) {
                let place = RunPlace(space: run.space, replica: run.replica, first: run.first)
                switch receipt {
                case .applied(let count): report.applied += count
                case .duplicate: report.duplicates += run.count
                case .quarantined(let count): report.quarantined += count
                case .held, .partial: held.insert(place)
                case .refused(let refusal):
                    report.refused.append((run.space, run.replica, run.first, refusal.code))
                    isBlocked = isBlocked || refusal.mayWaitForEarlierPart && report.view.part > 1
                    isBlocked = isBlocked || refusal == .holdingFull
                }
            }
            return !isBlocked
        }
        try learn(from: file, report.view)
        // Runs nearer to their turn may have taken the place of others.
        let (waiting, gone, refusals) = try read { transaction in
            let waiting = try transaction.heldPlaces(from: sender)
            let gone = try held.subtracting(waiting).filter { try !transaction.isInLog($0) }
            return (waiting, gone, try transaction.refusals().filter { $0.peer == sender.description })
        }
        report.held = waiting.count
        // Or were refused when their turn came, which no earlier part mends.
        var lost = false
        for place in gone {
            let refusal = refusals.first {
                $0.space == place.space && $0.replica == place.replica && $0.first == place.first
            }
            if let refusal {
                report.refused.append((place.space, place.replica, place.first, refusal.reason))
            } else {
                lost = true
            }
        }
        guard !isBlocked, !lost else { throw report.view.partsMissing(file.path) }
        return report
    }

    /// Reads and checks a file to its end.
    func view(_ file: BundleFile) throws -> BundleView {
        var head: BundlePiece.Head?
        var spaces: [SpaceID: BundleView.Space] = [:]
        var known: [SpaceID: [ReplicaID: UInt64]] = [:]
        try file.forEachPiece { piece in
            switch piece {
            case .head(let found): head = found
            case .vector, .end: return true
            case .runs(let runs):
                for run in runs {
                    if known[run.space] == nil {
                        let vector = try read { try $0.vector(of: run.space) }
                        known[run.space] = Dictionary(uniqueKeysWithValues: vector.map { ($0.replica, $0.seq) })
                    }
                    let here = known[run.space]?[run.replica] ?? 0
                    var space = spaces[run.space] ?? BundleView.Space(id: run.space, changes: 0, new: 0)
                    space.changes += run.count
                    space.new += run.last > here ? Int(min(UInt64(run.count), run.last - here)) : 0
                    spaces[run.space] = space
                }
            }
            return true
        }
        guard let head else { preconditionFailure("a whole bundle has a head") }
        return try read { transaction in
            BundleView(
                id: head.bundle,
                sender: head.sender,
                place: try Places(transaction)[head.sender],
                isMember: try transaction.currentAccess()?.takesPart(head.sender) == true,
                part: head.part,
                parts: head.parts,
                writtenAt: head.writtenAt,
                spaces: spaces.values.sorted { $0.id < $1.id }
            )
        }
    }

    /// Takes `system` from a sender that is nobody here where that makes it a member, and nothing otherwise: it may have
    /// joined since this site last heard of the ward.
    private func introduce(_ sender: DeviceID, _ file: BundleFile, _ view: BundleView) throws {
        let replica = StoreReplica(self)
        try write { transaction in
            try file.forEachPiece { piece in
                guard case .runs(let runs) = piece else { return true }
                let frame = SyncFrame(items: runs.map { .run($0) })
                guard try runs[0].space == .system && !transaction.began(apartFrom: frame) else { return false }
                _ = try replica.receive(frame, from: .stranger, transaction)
                return true
            }
            guard try transaction.currentAccess()?.takesPart(sender) == true else {
                throw CommandError(
                    .notPermitted,
                    Localized(
                        ja: "送り主の端末 \(sender.short) は、この自治体の端末として知られていません（何も取り込んでいません）",
                        en: "the sender, device \(sender.short), is not known as one of this ward; nothing was taken"
                    ),
                    hint: view.part > 1
                        ? Localized(ja: "先に 1 番の部分を取り込んでください", en: "import part 1 first")
                        : Localized(ja: "本庁の管理者に確かめてください", en: "ask an admin of the ward office")
                )
            }
        }
    }

    /// Remembers how far the sender holds the spaces that both may hold.
    private func learn(from file: BundleFile, _ view: BundleView) throws {
        try write { transaction in
            // What is not sealed is not looked at where it is asked what the sender lacks.
            try transaction.seal { try keys.sign($0) }
            // A file may be older than what has been heard since: then it takes nothing back.
            let met = try transaction.met(view.sender)?.at
            let isNews = met.map { view.writtenAt > $0 } ?? true
            var hasLost = false
            try file.forEachPiece { piece in
                switch piece {
                case .head: return true
                case .vector(let space, let vector):
                    hasLost = try transaction.learn(space, told: vector, by: view.sender, addsOnly: !isNews) || hasLost
                    return true
                case .runs, .end: return false
                }
            }
            if hasLost { try transaction.note("peer_lost_changes", view.sender.short) }
            try transaction.setMet(view.sender)
        }
    }
}

extension StoreTransaction {
    /// Notes how far a sender holds a space by its own word, where both may hold it.
    ///
    /// - Parameter addsOnly: whether what was known before stays known.
    /// - Returns: whether it is less than was known before.
    fileprivate func learn(
        _ space: SpaceID,
        told vector: [VectorEntry],
        by sender: DeviceID,
        addsOnly: Bool
    ) throws -> Bool {
        guard let access = try currentAccess(), let own = try ownReplica()?.device,
            access.mayRead(sender, space), access.mayRead(own, space)
        else { return false }
        // Where its chain goes another way than here, it is to see the one here.
        let alike = try vector.filter { entry in
            let here = try headerHash(of: entry.replica, at: entry.seq, in: space)
            return here == nil || here == entry.hash
        }
        var (copy, hasLost) = try copy(of: space, told: alike, by: sender, upTo: lastRow())
        if addsOnly, let former = try peerCopy(sender, space) {
            copy.told.merge(former.told) { max($0, $1) }
            copy.held = max(copy.held, former.held)
            copy.own = max(copy.own, former.own)
            hasLost = false
        }
        try setPeerCopy(sender, space, copy, isProved: false)
        return hasLost
    }
}

extension BundleView {
    fileprivate func partsMissing(_ path: String) -> CommandError {
        let message = Localized(
            ja: "先に来るはずの変更がまだないので、すべては取り込めませんでした: \(path)",
            en: "\(path) was not taken in whole: changes that come before are not here"
        )
        let hint: Localized
        if parts == 1 {
            hint = Localized(
                ja: "こちらのバンドルを送り主に届け、作り直してもらってください",
                en: "take a bundle of this site to the sender, and let it make another"
            )
        } else if part == 1 {
            hint = Localized(ja: "2 番からあとをもう一度取り込んでください", en: "import part 2 and those after it again")
        } else {
            let earlier = part == 2 ? "1" : "1–\(part - 1)"
            hint = Localized(
                ja: "先に \(earlier) 番を取り込み、それから \(part) 番からあとをもう一度取り込んでください（全 \(parts) 個）",
                en: "import part \(earlier) of \(parts) first, then part \(part) and those after it again"
            )
        }
        return CommandError(.tryAgain, message, record: path, hint: hint)
    }
}

extension Refusal {
    /// Whether an earlier part of the same bundle may bring what was lacking.
    fileprivate var mayWaitForEarlierPart: Bool {
        switch self {
        case .holdingFull, .unknownDevice, .notGranted, .gap: true
        case .malformed, .badSeal, .fork, .shareFull: false
        }
    }
}
