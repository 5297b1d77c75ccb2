// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

extension Site {
    /// The spaces that a ward begins with; a lesson space comes into being with its first lesson.
    private static let firstSpaces = ["system", "residents", "residents/protected", "procedures", "cases"]
        .compactMap { SpaceID($0) }

    /// Begins a ward with this device as its first admin.
    ///
    /// - Parameters:
    ///   - code: the municipality's six digits.
    ///   - identity: makes the hub's TLS key and certificate as PEM, and the SHA-256 of the key.
    package static func initialise(
        _ directory: DataDirectory,
        person: Operator,
        name: String,
        code: String,
        deviceName: String,
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
        guard !environment.files.exists(directory.database) else {
            throw CommandError(StoreError.exists(path: directory.database))
        }
        try directory.create()
        let tls = try identity(name)
        try DataDirectory.write(tls.key, to: directory.hubKey)
        try DataDirectory.write(tls.certificate, to: directory.hubCertificate)
        let root = { (keys: DeviceKeys) in (device: keys.device, key: Optional(keys.signingPublic)) }
        return try create(directory, person: person, schema: schema, environment: environment, root: root) {
            site,
            transaction in
            try transaction.setMeta("hub_pin", .bytes(tls.pin))
            try transaction.setMeta("joined", .integer(1))
            for space in firstSpaces { try transaction.found(space, by: person) }
            let draft = try transaction.draft(.system, by: person)
            try draft.create(
                SystemSchema.municipality,
                id: RecordID(derivedFrom: [Array("municipality".utf8)]),
                [(1, .text(code)), (2, .text(name))]
            )
            let place = try Membership.site(named: name, role: "central", draft, transaction)
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
    }
}
