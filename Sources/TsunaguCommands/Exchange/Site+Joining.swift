// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
package import TsunaguStore
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
        schema: Schema = Site.schema,
        environment: Store.Environment = .system,
        connect: (PeerAddress) throws -> any Transport
    ) throws -> (site: Site, report: SyncReport) {
        let code = try InvitationCode(typed: text)
        guard let address = code.address(at: hub) else {
            throw CommandError(
                .usage,
                Localized(ja: "本庁のアドレスがわかりません", en: "the hub's address is not known"),
                hint: Localized(ja: "--hub で指定してください", en: "name it with --hub")
            )
        }
        let transport: any Transport
        // Before anything is made: an address that is none leaves nothing behind.
        do { transport = try connect(address) } catch let error as TransportError {
            throw CommandError(error, address.url)
        }
        let isNew = !environment.files.exists(directory.database)
        let isNowhere = directory.ward == nil
        let site = try begin(directory, person: person, code: code, schema, environment)
        do {
            try site.enrol(code, address, deviceName: deviceName, transport)
        } catch let refusal as Enrolment.Refusal {
            // A former try may have been let in; of this one nothing stays but the key, which another try goes on with.
            if isNew {
                try? site.store.close()
                for suffix in ["", "-wal", "-shm"] { environment.files.remove(directory.database + suffix) }
                var keys = site.keys
                keys.root = nil
                if isNowhere { try DataDirectory.write(keys.encoded, to: directory.deviceKey) }
            }
            throw refusal.error
        }
        let report = try site.sync(with: transport)
        if let failure = report.failure { throw failure }
        try site.finishJoining()
        return (site, report)
    }

    private static func begin(
        _ directory: DataDirectory,
        person: Operator,
        code: InvitationCode,
        _ schema: Schema,
        _ environment: Store.Environment
    ) throws -> Site {
        guard environment.files.exists(directory.database) else {
            return try create(
                directory,
                person: person,
                schema: schema,
                environment: environment,
                root: (code.root, nil)
            ) { _, _ in }
        }
        let site = try open(directory, person: person, schema: schema, environment: environment)
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
        let request = try request(code, deviceName: deviceName)
        let bytes = try SyncDriver.translating(transport) {
            do {
                return try transport.collect("/v1/enrol", request, atMost: 4096)
            } catch TransportError.refused(status: 403, let reason) {
                throw Enrolment.Refusal(rawValue: reason) ?? .invalid
            }
        }
        guard let answer = Enrolment.Answer(decoding: bytes, to: request),
            DeviceID(signingKey: answer.rootKey) == code.root
        else {
            throw CommandError.notTheHub
        }
        try write { transaction in
            try transaction.setIntroducer(answer, code.record)
            try transaction.setAddress(address)
        }
    }

    private func request(_ code: InvitationCode, deviceName: String) throws -> [UInt8] {
        try Enrolment.Request(
            invitation: code.record,
            signingKey: keys.signingPublic,
            receivingKey: keys.receivingPublic,
            proof: keys.proof(),
            deviceName: ExactText(deviceName)
        ).encoded(code.key(), device: keys.signing)
    }

    /// Joined is whoever holds the ward's own word that the hub is an admin's and that this device has a grant.
    private func finishJoining() throws {
        let hub: [UInt8]? = if case .bytes(let key)? = try read({ try $0.meta("introducer_key") }) { key } else { nil }
        let access = try read { try $0.currentAccess() }
        guard let hub, let access, access.isAdmin(DeviceID(signingKey: hub)), access.isMember(keys.device) else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "本庁の権限を確かめられません", en: "the hub could not be shown to speak for the ward")
            )
        }
        try write { try $0.setMeta("joined", .integer(1)) }
    }
}

// MARK: - By file

extension Site {
    /// What was asked for by a file: the answer is to these bytes.
    private static let requestKey = "enrolment_request"

    /// Begins to join without a line to the hub: writes the request that is taken there.
    ///
    /// Asked again with the same code, it is the same request.
    package static func requestToJoin(
        _ directory: DataDirectory,
        person: Operator,
        code text: String,
        deviceName: String,
        to path: String,
        schema: Schema = Site.schema,
        environment: Store.Environment = .system
    ) throws {
        let code = try InvitationCode(typed: text)
        let site = try begin(directory, person: person, code: code, schema, environment)
        let known = try site.enrolmentRequest()
        let isSame = try known.map { try Enrolment.Request(decoding: $0).invitation == code.record } ?? false
        let request = try isSame ? known! : site.request(code, deviceName: deviceName)
        if !isSame { try site.write { try $0.setMeta(requestKey, .bytes(request)) } }
        let file = try OutputFile(path)
        try file.write(request)
        try file.finish()
    }

    private func enrolmentRequest() throws -> [UInt8]? {
        if case .bytes(let bytes)? = try read({ try $0.meta(Self.requestKey) }) { return bytes }
        return nil
    }

    /// Admits the device whose request a file holds, by the rules of a hub, and writes the answer with a first bundle.
    ///
    /// - Throws: 65 for what is no request, 77 where the code was used by another, has expired, or is not of this ward.
    package func accept(_ path: String, answer answerPath: String) throws -> BundleExport {
        let request = try InputFile(path).read(Self.requestBytesMax)
        let device: DeviceID
        do {
            device = DeviceID(signingKey: try Enrolment.Request(decoding: request).signingKey)
        } catch {
            throw CommandError(
                .badInput,
                Localized(ja: "参加の申請ではありません: \(path)", en: "\(path) is no request to join"),
                record: path,
                hint: Localized(
                    ja: "参加する端末で tsunagu join コード --request ファイル が書いたものを指定してください",
                    en: "name what 'tsunagu join CODE --request FILE' wrote at the device that joins"
                )
            )
        }
        let answer = try Hub(self).enrol(request)
        return try exportBundle(to: answerPath, for: device.description, preface: answer)
    }

    private static let requestBytesMax = 4096

    /// Finishes joining with the file that the ward office wrote in answer.
    ///
    /// The whole is checked before anything of it is used; a try that was cut off is made again.
    package static func join(
        _ directory: DataDirectory,
        person: Operator,
        answer path: String,
        schema: Schema = Site.schema,
        environment: Store.Environment = .system
    ) throws -> (site: Site, report: BundleReport) {
        let site = try open(directory, person: person, schema: schema, environment: environment)
        guard let request = try site.enrolmentRequest() else {
            throw CommandError(
                .usage,
                Localized(ja: "この端末はまだ申請していません", en: "this device has not asked to join"),
                hint: Localized(
                    ja: "先に tsunagu join コード --request ファイル",
                    en: "first 'tsunagu join CODE --request FILE'"
                )
            )
        }
        let file = try BundleFile(path, site, prefaceBytes: Enrolment.Answer.byteCount)
        guard file.preface.count == Enrolment.Answer.byteCount else {
            throw CommandError(BundleError.damaged("cut off"), path)
        }
        guard let answer = Enrolment.Answer(decoding: file.preface, to: request),
            try DeviceID(signingKey: answer.rootKey) == site.read({ try $0.root() }),
            try site.view(file).sender == DeviceID(signingKey: answer.hubKey)
        else { throw CommandError.notTheHub }
        let invitation = try Enrolment.Request(decoding: request).invitation
        try site.write { try $0.setIntroducer(answer, invitation) }
        let report = try site.take(file)
        try site.finishJoining()
        return (site, report)
    }
}

extension StoreTransaction {
    fileprivate func setIntroducer(_ answer: Enrolment.Answer, _ invitation: RecordID) throws {
        try setMeta("root_key", .bytes(answer.rootKey))
        try setMeta("introducer_key", .bytes(answer.hubKey))
        try setMeta("invitation", .bytes(invitation.bytes))
    }
}

extension CommandError {
    fileprivate static let notTheHub = CommandError(
        .notPermitted,
        Localized(ja: "招待した自治体の本庁ではありません", en: "this is not the hub of the ward that invited")
    )
}

extension InvitationCode {
    /// Reads what a person typed.
    fileprivate init(typed text: String) throws {
        guard let code = InvitationCode(text) else {
            throw CommandError(
                .usage,
                Localized(ja: "招待コードが正しくありません", en: "this is no invitation code"),
                hint: Localized(ja: "写し間違いがないか確かめてください", en: "check it for slips of copying")
            )
        }
        self = code
    }

    /// Where to go: the address named when joining stands above the code's.
    fileprivate func address(at url: String?) -> PeerAddress? {
        guard let url else { return hub }
        if url.hasPrefix("http://") { return PeerAddress(url: url, trust: .plain) }
        if let pin { return PeerAddress(url: url, trust: .pin(pin)) }
        return PeerAddress(url: url, trust: .system)
    }
}
