// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
import TsunaguStore
import TsunaguSync

/// The end of a device: its rights are withdrawn, it hands in what it wrote, and erases what it holds.
extension Site {
    /// Ends the rights of all devices of a site, or of one of them.
    ///
    /// - Parameters:
    ///   - device: the one device's name or id, or the beginning of that.
    ///   - mode: `lost` honours what arrived here until now, `retired` what the devices still hand in.
    /// - Returns: the devices.
    package func revoke(
        _ name: String,
        device: String? = nil,
        mode: Revocation.Mode,
        reason: String
    ) throws -> [DeviceID] {
        let reason = try Self.checkedReason(reason)
        let place = try site(name)
        return try write { transaction in
            try transaction.requireAdmin(self)
            guard let access = try transaction.currentAccess() else { return [] }
            let named = try device.map { [try place.device($0)] } ?? place.devices
            let devices = named.map(\.id).filter { !access.isRevoked($0) }
            guard !devices.isEmpty else {
                throw CommandError(
                    .badInput,
                    Localized(
                        ja: "\(place.name) に、権限を終わらせる端末はありません",
                        en: "\(place.name) has no device whose rights could end"
                    ),
                    record: named.first?.id.description ?? place.id.description,
                    hint: Localized(
                        ja: "tsunagu site show \(place.name) で端末を確かめてください",
                        en: "look at its devices with 'tsunagu site show \(place.name)'"
                    )
                )
            }
            guard !devices.contains(keys.device) else {
                throw CommandError(
                    .notPermitted,
                    Localized(ja: "この端末自身は失効させられません", en: "a device does not revoke itself"),
                    hint: Localized(
                        ja: "ほかの管理者の端末で行ってください。なければ先に tsunagu invite --role admin で招いてください。"
                            + "同じ拠点のほかの端末なら --device で指定してください",
                        en:
                            "let another admin do it; where there is none, invite one first with 'tsunagu invite --role admin'; "
                            + "another device of this site is named with --device"
                    )
                )
            }
            let draft = try transaction.draft(.system, by: person)
            for device in devices {
                let cut = mode == .lost ? try transaction.chains(of: [device]) : nil
                try draft.revoke(device, mode: mode, cut: cut, reason: reason)
            }
            try transaction.giveSeatsOfEnded(by: self)
            return devices
        }
    }

    /// Lets all devices of a site read, and write unless told otherwise, a further space.
    ///
    /// - Returns: the devices that may more than before.
    /// - Throws: 65 where it is to narrow what a device may: grants only add.
    package func grant(_ name: String, space: String, writes: Bool) throws -> [DeviceID] {
        let place = try site(name)
        return try write { transaction in
            try transaction.requireAdmin(self)
            guard let access = try transaction.currentAccess() else { return [] }
            let devices = place.devices.filter { !access.isRevoked($0.id) && $0.role != nil }
            guard !devices.isEmpty else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "\(place.name) には有効な端末がありません", en: "\(place.name) has no device to grant it to"),
                    record: place.id.description,
                    hint: Localized(ja: "tsunagu invite で招いてください", en: "invite one with 'tsunagu invite'")
                )
            }
            for device in devices {
                try Self.check(scope: [space], for: device.role!)
                guard !writes || device.role != .auditor else {
                    throw CommandError(
                        .usage,
                        Localized(ja: "監査の端末は読むだけです", en: "an auditor only reads"),
                        hint: Localized(ja: "--read-only を付けてください", en: "add --read-only")
                    )
                }
                guard writes || !device.writes(space) else { throw Self.notNarrowed(place, space) }
            }
            let new = devices.filter { device in
                !device.grants.contains { grant in
                    grant.writes == writes && grant.spaces.count == 1 && grant.spaces[0].utf8.elementsEqual(space.utf8)
                }
            }
            for device in new {
                try transaction.draft(.system, by: person).grant(
                    device.id,
                    role: device.role!,
                    spaces: space,
                    writes: writes
                )
            }
            return new.map(\.id)
        }
    }

    /// What was written under a right stands, so a right ends with its device, by a cut, and not by itself.
    private static func notNarrowed(_ place: SiteView, _ space: String) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "\(place.name) は \(space) にもう書き込めます。与えた権限は狭められません",
                en: "\(place.name) may write \(space) already, and a right that was given is not narrowed"
            ),
            record: place.id.description,
            hint: Localized(
                ja: "狭めるには、tsunagu site revoke \(place.name) --retired で終わらせ、必要な空間だけを --space で挙げて招き直してください",
                en:
                    "end it with 'tsunagu site revoke \(place.name) --retired', and invite it anew with the spaces that it needs"
            )
        )
    }

    /// Ends a retirement where the device has handed in what it had: from now on nothing more of it is honoured.
    func closeRetirement(of device: DeviceID) throws {
        let isOpen = try read { try $0.isRetiring(device, before: self.keys.device) }
        guard isOpen else { return }
        try write { transaction in
            guard try transaction.isRetiring(device, before: keys.device) else { return }
            try transaction.draft(.system, by: .daemon).revoke(
                device,
                mode: .retired,
                cut: try transaction.chains(of: [device]),
                reason: "handed in"
            )
            try transaction.giveSeatsOfEnded(by: self)
        }
    }

    // MARK: - Going

    /// Erases what this device holds, where the ward office said that its rights ended and has all that was written here.
    ///
    /// - Parameter handedIn: how far the peer showed that it has this device's chains.
    /// - Throws: always, with 77: there is nothing left to work on.
    func leave(_ farewell: Farewell, handedIn: Revocation.Cut, of peer: DeviceID, key: [UInt8]) throws {
        let (isOffice, unsent) = try read { transaction in
            let own = try transaction.chains(of: [keys.device])
            let unsent = own.last.reduce(0) { sum, space in
                sum + space.value.reduce(0) { $0 + Int($1.value - min($1.value, handedIn[space.key, $1.key])) }
            }
            return (try transaction.currentAccess()?.wasAdmin(peer) == true, unsent)
        }
        let isSigned = (try? Curve25519.Signing.PublicKey(rawRepresentation: key))
            .map { $0.isValidSignature(farewell.signature, for: farewell.message(to: keys.device)) }
        guard isOffice, isSigned == true, unsent == 0 else {
            throw CommandError(
                .notPermitted,
                Localized(
                    ja: "この端末の権限は終わったと相手（\(peer.short)）が言っています。未送信の変更は \(unsent) 件です",
                    en:
                        "the peer \(peer.short) says that this device's rights have ended; \(unsent) changes are not handed in"
                ),
                hint: Localized(ja: "本庁に連絡してください", en: "ask the ward office")
            )
        }
        let receipt = [
            "tsunagu-farewell-1", "device \(keys.device)", "by \(peer)", "mode \(farewell.mode.rawValue)",
            "holds \(farewell.holds.text)", "signature \(Hex.encode(farewell.signature))", "",
        ]
        try DataDirectory.write(receipt.joined(separator: "\n"), to: directory.farewell)
        try? store.close()
        throw try Self.erased(directory, store.environment.files)
    }

    /// Removes what is left of an erased data directory.
    ///
    /// - Returns: what to tell whoever still wants to work on it.
    static func erased(_ directory: DataDirectory, _ files: any StoreFiles) throws -> CommandError {
        for suffix in ["", "-wal", "-shm"] { files.remove(directory.database + suffix) }
        directory.erase()
        return CommandError(
            .notPermitted,
            Localized(
                ja: "この端末の権限は本庁が終わらせました。入力は本庁に渡し、データは消しました",
                en: "the ward office ended this device's rights; its work was handed in and its data erased"
            ),
            record: directory.farewell,
            hint: Localized(
                ja: "また使うには、新しい招待コードで参加してください",
                en: "to use it again, join with a new invitation code"
            )
        )
    }
}

extension Draft {
    /// Ends a device's rights.
    func revoke(_ device: DeviceID, mode: Revocation.Mode, cut: Revocation.Cut?, reason: ExactText) throws {
        try create(
            SystemSchema.revocation,
            [
                (1, .text(ExactText(device.description))), (2, .text(ExactText(mode.rawValue))),
                (3, cut.map { .text(ExactText($0.text)) } ?? .null), (4, .text(reason)),
            ]
        )
    }

    /// Lets a device hold and write spaces.
    func grant(_ device: DeviceID, role: Role, spaces: String, writes: Bool) throws {
        try create(
            SystemSchema.grant,
            [
                (1, .text(device.description)), (2, .text(role.rawValue)), (3, .text(spaces)),
                (4, .text(writes ? "write" : "read")),
            ]
        )
    }
}

extension StoreTransaction {
    /// How far the chains of a device go here.
    func chains(of devices: Set<DeviceID>) throws -> Revocation.Cut {
        var out = Revocation.Cut()
        for space in try spaces() {
            for entry in try vector(of: space) where devices.contains(entry.replica.device) {
                out.last[space, default: [:]][entry.replica] = entry.seq
                out.hashes[space, default: [:]][entry.replica] = Bytes16(entry.hash.prefix(16))
            }
        }
        return out
    }

    /// Whether a device goes in good order, and what it hands in has no end yet that an admin here could set.
    fileprivate func isRetiring(_ device: DeviceID, before own: DeviceID) throws -> Bool {
        guard let access = try currentAccess(), access.isAdmin(own) else { return false }
        return access.revocations[device]?.allSatisfy { $0.cut == nil } == true
    }
}
