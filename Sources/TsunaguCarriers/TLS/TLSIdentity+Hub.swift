// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
package import TsunaguCommands

extension TLSIdentity {
    /// The TLS identity of a data directory's hub, as the commands ask for it: the one that is there, which others may pin,
    /// or a new one.
    package static func ofHub(
        in directory: DataDirectory
    ) -> (_ name: String) throws -> (key: String, certificate: String, pin: [UInt8]) {
        { name in
            let (key, certificate) = (
                try DataDirectory.read(directory.hubKey), try DataDirectory.read(directory.hubCertificate)
            )
            let known = key.flatMap { key in certificate.flatMap { try? TLSIdentity(certificatePEM: $0, keyPEM: key) } }
            let identity = try known ?? make(commonName: name)
            return (identity.keyPEM, identity.certificatePEM, identity.pin.sha256)
        }
    }

    /// A new identity from today on: clients pin the key and read no dates; twenty years outlive any server.
    package static func make(commonName: String) throws -> TLSIdentity {
        let now = Int64(Date().timeIntervalSince1970)
        return try make(commonName: commonName, validity: now - 86_400...now + 20 * 366 * 86_400)
    }
}
