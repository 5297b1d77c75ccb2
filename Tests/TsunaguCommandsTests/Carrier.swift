// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// The ways by which a device brings runs to a site, in the real bytes of each.
enum Carrier: CaseIterable {
    /// It asks the site's hub.
    case push
    /// The site asks it.
    case pull
    /// A file on a stick.
    case bundle

    /// What became of one run.
    enum Fate: Hashable {
        /// Applied, quarantined, or here before: the store tells which.
        case taken
        case held
        /// A refusal's code.
        case refused(String)
        /// Not looked at: who asks did not ask for the space.
        case unasked
        /// Not looked at: the exchange or the file was turned away, with a command error's code or the kind of reply.
        case turnedAway(String)
    }

    /// Brings runs, whatever they are.
    ///
    /// - Returns: what became of each.
    func bring(_ runs: [RunEnvelope], from device: DeviceKeys, to site: Site, _ ward: WardFixture) throws -> [Fate] {
        switch self {
        case .push: try push(runs, from: device, to: site)
        case .pull: try pull(runs, from: device, to: site)
        case .bundle: try carry(runs, from: device, to: site, ward)
        }
    }

    private func push(_ runs: [RunEnvelope], from device: DeviceKeys, to site: Site) throws -> [Fate] {
        let session = try HubSession(device, with: Hub(site))
        let reply = try session.ask(.push(SyncFrame(items: runs.map { .run($0) })))
        guard case .receipts(let receipts) = reply else { return runs.map { _ in .turnedAway(reply.word) } }
        return receipts.map { receipt in
            switch receipt {
            case .applied, .duplicate, .quarantined, .partial: .taken
            case .held: .held
            case .refused(let refusal): .refused(refusal.code)
            }
        }
    }

    private func pull(_ runs: [RunEnvelope], from device: DeviceKeys, to site: Site) throws -> [Fate] {
        // It says of each chain concerned that it goes far, as the honest holder of more would.
        let claims = Dictionary(grouping: runs, by: \.space).mapValues { runs in
            Set(runs.map(\.replica)).sorted().map {
                VectorEntry(replica: $0, seq: 1 << 40, hash: Hash32(repeating: 1, count: 32))
            }
        }
        var asked: Set<SpaceID> = []
        let peer = LyingPeer(device) { request in
            switch request {
            case .compare:
                return .reply(.compared(claims.sorted { $0.key < $1.key }.map { ($0.key, .differs($0.value)) }))
            case .push(let frame): return .reply(.receipts(frame.items.map { _ in .duplicate }))
            case .pull(let pull):
                asked.formUnion(pull.wants.keys)
                var frames = [SyncFrame(items: runs.map { .run($0) })]
                return .frames { frames.popLast() }
            case .sums, .run, .leave: return .reply(.failed("?"))
            }
        }
        let report = try site.sync(with: peer)
        if let failure = report.failure { return runs.map { _ in .turnedAway(failure.code.rawValue) } }
        return runs.map { run in
            guard asked.contains(run.space) else { return .unasked }
            let refused = report.outcome.refused.last {
                $0.here && $0.space == run.space && $0.replica == run.replica && $0.first == run.first
            }
            guard let refused else { return .taken }
            return refused.reason.hasPrefix("waits") ? .held : .refused(refused.reason)
        }
    }

    private func carry(
        _ runs: [RunEnvelope],
        from device: DeviceKeys,
        to site: Site,
        _ ward: WardFixture
    ) throws -> [Fate] {
        let path = ward.root + "/carried"
        let pieces = [runs.filter { $0.space == .system }, runs.filter { $0.space != .system }]
            .filter { !$0.isEmpty }.map { BundlePiece.runs($0) }
        try ward.writeBundle(pieces, by: device, for: site.keys, to: path)
        do {
            let report = try site.importBundle(path)
            let held = try site.read { try $0.heldPlaces(from: device.device) }
            return runs.map { run in
                let refused = report.refused.last {
                    $0.space == run.space && $0.replica == run.replica && $0.first == run.first
                }
                if let refused { return .refused(refused.reason) }
                let place = RunPlace(space: run.space, replica: run.replica, first: run.first)
                return held.contains(place) ? .held : .taken
            }
        } catch let error as CommandError {
            return runs.map { _ in .turnedAway(error.code.rawValue) }
        }
    }
}

extension WardFixture {
    /// Writes a bundle of pieces that a device puts together as it likes, between a right head and a right end.
    func writeBundle(
        _ pieces: [BundlePiece],
        by device: DeviceKeys,
        for receiver: DeviceKeys,
        to path: String
    ) throws {
        var writer = try BundleWriter(
            ward: recoveryKey.device,
            recipients: [(receiver.device, receiver.receivingPublic)]
        )
        let head = BundlePiece.Head(
            senderKey: device.signingPublic,
            bundle: Bytes16(1),
            part: 1,
            parts: 1,
            writtenAt: 1
        )
        var bytes = writer.header
        for piece in [.head(head)] + pieces { bytes += try writer.append(piece) }
        bytes += try writer.end(sign: device.sign)
        try Data(bytes).write(to: URL(filePath: path))
    }
}

extension SyncReply {
    /// What kind of answer it is.
    var word: String {
        switch self {
        case .compared: "compared"
        case .receipts: "receipts"
        case .sums: "sums"
        case .run: "run"
        case .failed: "failed"
        case .unknownClient: "unknown_client"
        case .newBeginning: "new_beginning"
        case .revoked: "revoked"
        }
    }
}
