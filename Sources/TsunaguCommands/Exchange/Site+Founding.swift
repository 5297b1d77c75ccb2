// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

extension Site {
    /// The spaces that a ward begins with; a lesson space comes into being with its first lesson.
    private static let firstSpaces = ["system", "residents", "residents/protected", "procedures", "cases"]
        .compactMap { SpaceID($0) }

    /// Begins a ward with this device as its first admin; or again, by its recovery key, where the centre lost its
    /// database: then what the other sites hold comes back with their next sync.
    ///
    /// - Parameters:
    ///   - code: the municipality's six digits.
    ///   - recoveryKey: the ward's root, which admits this device and is not kept.
    ///   - recoveryFile: a file to write the key to, which must not be there yet.
    ///   - isAgain: whether the ward has begun before; its spaces, with their secrets, are at other sites then.
    ///   - identity: makes the hub's TLS key and certificate as PEM, and the SHA-256 of the key.
    package static func initialise(
        _ directory: DataDirectory,
        person: Operator,
        name: String,
        code: String,
        deviceName: String,
        recoveryKey: RecoveryKey,
        recoveryFile: String? = nil,
        isAgain: Bool = false,
        schema: Schema = Site.schema,
        environment: Store.Environment = .system,
        identity: (String) throws -> (key: String, certificate: String, pin: [UInt8])
    ) throws -> Site {
        guard code.utf8.count == 6, code.utf8.allSatisfy({ 48...57 ~= $0 }) else {
            throw CommandError(
                .usage,
                Localized(ja: "団体コードは数字6桁です: \(code)", en: "a municipality's code has six digits: \(code)")
            )
        }
        guard name.contains(where: { !$0.isWhitespace }) else {
            throw CommandError(
                .usage,
                Localized(ja: "自治体の名称がありません", en: "the ward's name is empty"),
                hint: Localized(ja: "--name で名称を書いてください", en: "give it with --name")
            )
        }
        guard !environment.files.exists(directory.database) else {
            throw CommandError(StoreError.exists(path: directory.database))
        }
        if let known = directory.ward, known != recoveryKey.device {
            guard isAgain else { throw CommandError.databaseLost(directory, .failed) }
            throw CommandError(
                .notPermitted,
                Localized(ja: "この端末の自治体の復旧キーではありません", en: "this is not the recovery key of this device's ward"),
                record: directory.deviceKey,
                hint: .rightKey
            )
        }
        // First of all: a ward whose key is nowhere must not begin.
        if let recoveryFile { try recoveryKey.write(to: recoveryFile) }
        try directory.create()
        let pin = try makeHub(directory, named: name, identity)
        return try create(
            directory,
            person: person,
            schema: schema,
            environment: environment,
            root: (recoveryKey.device, recoveryKey.signingPublic)
        ) { site, transaction in
            try transaction.setMeta(hubPin, .bytes(pin))
            try transaction.setMeta("joined", .integer(1))
            try transaction.speak(with: recoveryKey) {
                let draft = try transaction.draft(.system, by: person)
                try draft.create(
                    SystemSchema.municipality,
                    id: RecordID(derivedFrom: [Array("municipality".utf8)]),
                    [(1, .text(code)), (2, .text(name))]
                )
                // Under a derived id, so that a ward that begins again has one centre.
                let place = RecordID(derivedFrom: [Array("centre".utf8)])
                try draft.create(SystemSchema.site, id: place, [(1, .text(name)), (2, .text("central"))])
                try Membership.admit(
                    site.keys.device,
                    site: place,
                    name: ExactText(deviceName),
                    signing: site.keys.signingPublic,
                    receiving: site.keys.receivingPublic,
                    proof: site.keys.proof(),
                    role: .admin,
                    spaces: "*",
                    writes: true,
                    draft
                )
            }
            for space in isAgain ? [] : firstSpaces { try transaction.found(space, by: person) }
        }
    }

    /// Where the store keeps the SHA-256 of the hub's TLS key: it stands in every invitation.
    static let hubPin = "hub_pin"

    /// Makes the TLS identity of a hub.
    ///
    /// - Returns: the SHA-256 of its key.
    static func makeHub(
        _ directory: DataDirectory,
        named name: String,
        _ identity: (String) throws -> (key: String, certificate: String, pin: [UInt8])
    ) throws -> [UInt8] {
        let tls = try identity(name)
        try DataDirectory.write(tls.key, to: directory.hubKey)
        try DataDirectory.write(tls.certificate, to: directory.hubCertificate)
        return tls.pin
    }

    /// Sets up a hub at an admin's device that has none, since it was invited as one.
    ///
    /// - Throws: 77 unless this device is an admin's.
    package func becomeCentre(
        identity: (String) throws -> (key: String, certificate: String, pin: [UInt8])
    ) throws {
        try read { try $0.requireAdmin(self) }
        guard try !isCentre() else { return }
        let name = try status().site ?? ExactText(keys.device.short)
        let pin = try Self.makeHub(directory, named: name.string, identity)
        try write { try $0.setMeta(Self.hubPin, .bytes(pin)) }
    }

    /// Whether a hub of the ward was set up here: when the ward began or was recovered, or when a daemon took that role.
    package func isCentre() throws -> Bool { try read { try $0.meta(Self.hubPin) != nil } }
}
