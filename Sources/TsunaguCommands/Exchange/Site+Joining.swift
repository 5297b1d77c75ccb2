// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
import TsunaguStore
import TsunaguSync

extension Site {
    /// Enrols this data directory as the site that a code was made for.
    ///
    /// A try that was cut off goes on with the same keys: the hub answers the same device again. One that was cut off
    /// after its end, before anybody was told, ends the same way once more.
    ///
    /// - Parameter connect: makes a transport to an address.
    package static func join(
        _ directory: DataDirectory,
        person: Operator,
        code text: String,
        hub: String?,
        deviceName: String,
        connect: (PeerAddress) throws -> any Transport
    ) throws -> (site: Site, report: SyncReport) {
        guard let code = InvitationCode(text) else {
            throw CommandError(
                .usage,
                Localized(ja: "招待コードが正しくありません", en: "this is no invitation code"),
                hint: Localized(ja: "写し間違いがないか確かめてください", en: "check it for slips of copying")
            )
        }
        guard let address = code.address(at: hub) else {
            throw CommandError(
                .usage,
                Localized(ja: "本庁のアドレスがわかりません", en: "the hub's address is not known"),
                hint: Localized(ja: "--hub で指定してください", en: "name it with --hub")
            )
        }
        let site = try begin(directory, person: person, code: code)
        let transport = try connect(address)
        try site.enrol(code, address, deviceName: deviceName, transport)
        let report = try site.sync(with: transport)
        try site.finishJoining(report)
        return (site, report)
    }

    private static func begin(_ directory: DataDirectory, person: Operator, code: InvitationCode) throws -> Site {
        guard DataDirectory.exists(directory.database) else {
            return try create(directory, person: person, root: { _ in (code.root, nil) }) { _, _ in }
        }
        let site = try open(directory, person: person)
        let (joined, root, invitation) = try site.read { transaction in
            (try transaction.meta("joined"), try transaction.root(), try transaction.meta("invitation"))
        }
        guard joined == nil || invitation == .bytes(code.record.bytes) else {
            throw CommandError(StoreError.exists(path: directory.database))
        }
        guard root == code.root else {
            throw CommandError(
                .failed,
                Localized(ja: "別の自治体に参加しかけたデータです", en: "this directory began to join another ward"),
                hint: Localized(ja: "--data で別の場所を指定してください", en: "name another place with --data")
            )
        }
        return site
    }

    private func enrol(
        _ code: InvitationCode,
        _ address: PeerAddress,
        deviceName: String,
        _ transport: any Transport
    ) throws {
        let request = try Enrolment.Request(
            invitation: code.record,
            signingKey: keys.signingPublic,
            receivingKey: keys.receivingPublic,
            proof: keys.proof(),
            deviceName: ExactText(deviceName)
        ).encoded(code.key(), device: keys.signing)
        let bytes = try SyncDriver.translating(transport) {
            do {
                return try transport.collect("/v1/enrol", request, atMost: 4096)
            } catch TransportError.refused(status: 403, _) {
                throw CommandError(
                    .notPermitted,
                    Localized(
                        ja: "このコードは使えません。使用済みか、期限切れか、別の自治体のものです",
                        en: "this code is not valid: it was used, has expired, or is another ward's"
                    ),
                    hint: Localized(ja: "本庁に新しいコードを頼んでください", en: "ask the ward office for another")
                )
            }
        }
        guard let answer = Enrolment.Answer(decoding: bytes, to: request),
            DeviceID(signingKey: answer.rootKey) == code.root
        else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "招待した自治体の本庁ではありません", en: "this is not the hub of the ward that invited")
            )
        }
        try write { transaction in
            try transaction.setMeta("root_key", .bytes(answer.rootKey))
            try transaction.setMeta("introducer_key", .bytes(answer.hubKey))
            try transaction.setMeta("invitation", .bytes(code.record.bytes))
            try transaction.setAddress(address)
        }
    }

    /// Joined is whoever holds the ward's own word that the hub is an admin's and that this device has a grant.
    private func finishJoining(_ report: SyncReport) throws {
        let hub: [UInt8]? = if case .bytes(let key)? = try read({ try $0.meta("introducer_key") }) { key } else { nil }
        let access = try read { try $0.currentAccess() }
        if let failure = report.failure { throw failure }
        guard let hub, let access, access.isAdmin(DeviceID(signingKey: hub)), access.isMember(keys.device) else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "本庁の権限を確かめられません", en: "the hub could not be shown to speak for the ward")
            )
        }
        try write { try $0.setMeta("joined", .integer(1)) }
    }
}

extension InvitationCode {
    /// Where to go: the address named when joining stands above the code's.
    fileprivate func address(at url: String?) -> PeerAddress? {
        guard let url else { return hub }
        if url.hasPrefix("http://") { return PeerAddress(url: url, trust: .plain) }
        if let pin { return PeerAddress(url: url, trust: .pin(pin)) }
        return PeerAddress(url: url, trust: .system)
    }
}
