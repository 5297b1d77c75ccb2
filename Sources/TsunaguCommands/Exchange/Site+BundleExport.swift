// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
import TsunaguStore
import TsunaguSync

/// What was written for another site.
package struct BundleExport: Sendable {
    package let id: Bytes16
    /// The parts' files in order.
    package let files: [(path: String, bytes: Int)]
    /// Whom it is sealed for.
    package let devices: [DeviceID]
    /// Changes by space.
    package let spaces: [(id: SpaceID, changes: Int)]
}

extension Site {
    /// The largest file that is written where nobody says otherwise: what a FAT file system takes.
    package static let bundleBytesMax = 4 << 30 - 1
    /// The smallest bound for a file that may be asked for.
    package static let bundleBytesMin = 64 << 10

    /// Writes what another site is not known to hold of the spaces that it may, for its devices alone to read.
    ///
    /// Only what the other side says makes anything known: written twice without an answer, it is the same again.
    ///
    /// - Parameters:
    ///   - path: the first part's file; the others are named after it, with their numbers.
    ///   - recipient: a site by name or id, or one device.
    ///   - bytesMax: how large a file may be.
    /// - Throws: 66 where there is no such site, 77 where it or this device does not belong to the ward.
    package func exportBundle(
        to path: String,
        for recipient: String,
        bytesMax: Int = bundleBytesMax
    ) throws -> BundleExport {
        try exportBundle(to: path, for: recipient, bytesMax: bytesMax, preface: [])
    }

    /// - Parameter preface: what stands before the bundle in the first file.
    func exportBundle(
        to path: String,
        for recipient: String,
        bytesMax: Int = bundleBytesMax,
        preface: [UInt8]
    ) throws -> BundleExport {
        guard bytesMax >= Self.bundleBytesMin else {
            throw CommandError(
                .usage,
                Localized(ja: "ひとつのファイルは 64K 以上にしてください", en: "a file of a bundle has at least 64K"),
                record: String(bytesMax)
            )
        }
        let replica = StoreReplica(self)
        let target = try recipients(recipient)
        let outline = try replica.sealed { try $0.outline(for: target, own: keys.device) }
        let frame = BundleWriter.size(recipients: target.count, vectors: outline.vectors)
        let parts = try BundlePlan(outline.rows, bytesMax: bytesMax - frame - preface.count).parts
        let id = store.random128()
        let writtenAt = store.now()
        var files: [(String, Int)] = []
        for (place, pieces) in parts.enumerated() {
            let file = place == 0 ? path : "\(path).\(place + 1)"
            let head = BundlePiece.Head(
                senderKey: keys.signingPublic,
                bundle: id,
                part: place + 1,
                parts: parts.count,
                writtenAt: writtenAt
            )
            files.append(
                (file, try write(head, outline, pieces, for: target, to: file, preface: place == 0 ? preface : []))
            )
        }
        return BundleExport(
            id: id,
            files: files,
            devices: target.map(\.device),
            spaces: outline.changes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        )
    }

    /// Writes one part.
    ///
    /// - Returns: its bytes.
    private func write(
        _ head: BundlePiece.Head,
        _ outline: BundleOutline,
        _ pieces: [[Int64]],
        for target: [Recipient],
        to path: String,
        preface: [UInt8]
    ) throws -> Int {
        var writer = try BundleWriter(ward: outline.ward, recipients: target.map { ($0.device, $0.receivingKey) })
        let start = (preface + Bundle.magic).prefix(Bundle.magic.count)
        let file = try OutputFile(path, replacing: Array(start))
        var count = 0
        func put(_ bytes: [UInt8]) throws {
            count += bytes.count
            try file.write(bytes)
        }
        try put(preface)
        try put(writer.header)
        try put(writer.append(.head(head)))
        for (space, vector) in outline.vectors { try put(writer.append(.vector(space, vector))) }
        for rows in pieces {
            try put(writer.append(.runs(read { transaction in try rows.compactMap { try transaction.run($0) } })))
        }
        try put(writer.end(sign: keys.sign))
        try file.finish()
        return count
    }

    struct Recipient {
        let device: DeviceID
        let receivingKey: [UInt8]
    }

    /// The devices of a site, or one of them, that belong to the ward and whose receiving keys their signing keys vouch
    /// for.
    private func recipients(_ name: String) throws -> [Recipient] {
        let named = try devices(name)
        return try read { transaction in
            let access = try transaction.currentAccess()
            guard access?.isMember(keys.device) == true else {
                throw CommandError(
                    .notPermitted,
                    Localized(ja: "この端末はもう自治体の端末ではありません", en: "this device does not belong to the ward"),
                    hint: Localized(ja: "本庁に依頼してください", en: "ask the ward office")
                )
            }
            let found = try named.filter { $0 != keys.device && access?.isMember($0) == true }
                .compactMap { try transaction.recipient($0) }
            guard !found.isEmpty else {
                throw CommandError(
                    .notPermitted,
                    Localized(ja: "\(name) には渡せる端末がありません", en: "\(name) has no device that may be given anything"),
                    record: name,
                    hint: Localized(ja: "tsunagu site show で確かめてください", en: "look at 'tsunagu site show'")
                )
            }
            return Array(found.prefix(Bundle.recipientsMax))
        }
    }

    private func devices(_ name: String) throws -> [DeviceID] {
        do {
            return try site(name).devices.map(\.id)
        } catch let error as CommandError where error.code == .notFound {
            let device = try sites().flatMap(\.devices).first { $0.id.description == name || $0.id.short == name }
            guard let device else { throw error }
            return [device.id]
        }
    }
}

/// What a bundle is to hold: how far this side is, and the rows of the log that go.
struct BundleOutline {
    let ward: DeviceID
    let vectors: [(SpaceID, [VectorEntry])]
    let rows: [BundlePlan.Row]
    let changes: [SpaceID: Int]
}

extension StoreTransaction {
    fileprivate func recipient(_ device: DeviceID) throws -> Site.Recipient? {
        guard let row = try record(SystemSchema.device, RecordID(device.raw)),
            let signing = try signingKey(of: device).map({ Array($0.rawRepresentation) }),
            let receiving = row.text("receiving_key").flatMap({ Hex.decode($0) }), receiving.count == 32,
            let proof = row.text("key_proof").flatMap({ Hex.decode($0) }),
            DeviceKeys.isValidProof(proof, signing: signing, receiving: receiving)
        else { return nil }
        return Site.Recipient(device: device, receivingKey: receiving)
    }

    /// What every one of some devices may hold, and any of them is not known to.
    fileprivate func outline(for target: [Site.Recipient], own: DeviceID) throws -> BundleOutline {
        guard let access = try currentAccess() else { preconditionFailure("a member knows the grants") }
        let spaces = try spaces().filter { space in
            access.mayRead(own, space)
                && (Mutant.bundlesAreForAnybody.isPlanted || target.allSatisfy { access.mayRead($0.device, space) })
        }
        var (system, others): (Set<Int64>, Set<Int64>) = ([], [])
        for space in spaces {
            for recipient in target {
                let rows = try runs(of: space, lackingAt: recipient.device)
                if space == .system { system.formUnion(rows) } else { others.formUnion(rows) }
            }
        }
        var changes: [SpaceID: Int] = [:]
        // Grants first: they say what becomes of the rest. The rest over all spaces in the log's order, so that what
        // belongs together arrives together.
        let rows = try [system.sorted(), others.sorted()].enumerated().flatMap { order, numbers in
            try numbers.compactMap { number -> BundlePlan.Row? in
                guard let size = try runSize(number) else { return nil }
                changes[size.space, default: 0] += size.count
                return BundlePlan.Row(number: number, bytes: size.bytes, isSystem: order == 0)
            }
        }
        return BundleOutline(
            ward: access.root,
            vectors: try spaces.map { ($0, try vector(of: $0)) },
            rows: rows,
            changes: changes
        )
    }
}

/// How rows of the log are cut into pieces, and those into files.
struct BundlePlan {
    struct Row {
        let number: Int64
        /// Of the run's body.
        let bytes: Int
        let isSystem: Bool
    }

    /// The rows of each piece of each part.
    private(set) var parts: [[[Int64]]] = [[]]

    /// - Throws: 65 where one run alone is larger than a file may be.
    init(_ rows: [Row], bytesMax: Int) throws {
        var partBytes = 0
        var piece: (rows: [Int64], bytes: Int, isSystem: Bool) = ([], 0, true)
        func isFull(_ row: Row, _ bytes: Int) -> Bool {
            piece.bytes + bytes > SyncFrame.bytesMax || piece.rows.count == SyncFrame.itemsMax
                || piece.isSystem != row.isSystem
        }
        for row in rows {
            let bytes = row.bytes + BundlePiece.runOverheadMax
            guard bytes <= bytesMax else {
                throw CommandError(
                    .badInput,
                    Localized(
                        ja: "ひとまとまりの変更（\(bytes) バイト）が --max-size に収まりません",
                        en: "--max-size has no room for one run of changes of \(bytes) bytes"
                    ),
                    hint: Localized(ja: "--max-size を大きくしてください", en: "make --max-size larger")
                )
            }
            if partBytes + bytes > bytesMax || (!piece.rows.isEmpty && isFull(row, bytes)) {
                parts[parts.count - 1].append(piece.rows)
                piece = ([], 0, row.isSystem)
            }
            if partBytes + bytes > bytesMax {
                parts.append([])
                partBytes = 0
            }
            piece.rows.append(row.number)
            piece.bytes += bytes
            piece.isSystem = row.isSystem
            partBytes += bytes
        }
        if !piece.rows.isEmpty { parts[parts.count - 1].append(piece.rows) }
    }
}
