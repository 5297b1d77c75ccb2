// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// Places that meet by bundle: files that arrive late, twice, out of order or never.
extension WardSimulation {
    /// A bundle on its way.
    struct Parcel {
        let sender: DeviceID
        let recipient: Place
        let device: DeviceID
        /// Its parts in order.
        let files: [String]
    }

    /// Writes a bundle for another place.
    func pack(_ place: Place, for peer: Place, _ generator: inout SeededGenerator) throws {
        guard place !== peer, let site = place.site, let device = peer.device else { return }
        let path = "\(place.directory.path).bundle-\(step)"
        let bytesMax = generator.chance(20) ? Site.bundleBytesMin : Site.bundleBytesMax
        let recipient = peer === centre || generator.chance(50) ? device.description : peer.name
        let system = try site.read { try $0.inEffect(.system) }
        let export = try attempt(
            [place],
            // Whoever came, or came anew, since this place last heard of the ward is nobody here; some runs are longer
            // than a small file.
            isExcused: {
                [.notFound, .notPermitted].contains($0) || bytesMax == Site.bundleBytesMin && $0 == .badInput
            }
        ) {
            try site.exportBundle(to: path, for: recipient, bytesMax: bytesMax)
        }
        trace("bundle \(place.name) \(peer.name): \(export?.files.count ?? 0)")
        guard let export else { return }
        for ending in endings where system.covers(ending.saidAt) && export.devices.contains(ending.device) {
            throw failure("unauthorised", "\(place.name) wrote a bundle for \(ending.device), whose rights had ended")
        }
        guard export.devices.contains(device) else { return }
        // Whoever opens it finds what the sender knows him to hold.
        for file in hasForks ? [] : export.files {
            guard let view = try? peer.site?.inspectBundle(file.path) else { continue }
            for space in view.spaces where !mayReceive(device, space.id, knowing: system) {
                throw failure("unauthorised", "a bundle for \(peer.name) holds \(space.changes) of \(space.id)")
            }
        }
        parcels.append(
            Parcel(
                sender: site.keys.device,
                recipient: peer,
                device: device,
                files: export.files.map(\.path)
            )
        )
    }

    /// Brings a file of some bundle to whom it is for.
    func deliver(_ generator: inout SeededGenerator) throws {
        let index = generator.below(parcels.count)
        let parcel = parcels[index]
        let place = parcel.recipient
        if generator.chance(50) { parcels.remove(at: index) }
        guard let site = place.site else { return }
        let isKnown = try site.read { try $0.currentAccess()?.isMember(parcel.sender) == true }
        let isOpenable = place.device == parcel.device && isKnown
        let file = generator.pick(parcel.files)
        let report = try attempt(
            [place],
            isExcused: { !isOpenable && $0 == .notPermitted || parcel.files.count > 1 && $0 == .tryAgain }
        ) {
            try site.importBundle(file)
        }
        trace("import \(place.name): \(report.map { "\($0.applied) \($0.quarantined) \($0.held)" } ?? "-")")
        try check(place)
    }
}
