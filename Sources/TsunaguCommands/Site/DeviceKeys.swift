// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// The two key pairs of a device: one signs, one receives; the first signs the second.
///
/// They never leave the machine.
package struct DeviceKeys: Sendable {
    package let signing: Curve25519.Signing.PrivateKey
    package let receiving: Curve25519.KeyAgreement.PrivateKey
    /// The root of the ward that they were last used in; `nil` where the file does not say.
    package var root: DeviceID?

    /// New keys from a generator that nobody can predict.
    package init(random: () -> UInt64) {
        func secret() -> [UInt8] {
            (0..<4).flatMap { _ in withUnsafeBytes(of: random().bigEndian) { Array($0) } }
        }
        guard let signing = try? Curve25519.Signing.PrivateKey(rawRepresentation: secret()),
            let receiving = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: secret())
        else { preconditionFailure("any 32 bytes are a key of either kind") }
        self.signing = signing
        self.receiving = receiving
    }

    package var device: DeviceID { DeviceID(signingKey: Array(signing.publicKey.rawRepresentation)) }

    package var signingPublic: [UInt8] { Array(signing.publicKey.rawRepresentation) }

    package var receivingPublic: [UInt8] { Array(receiving.publicKey.rawRepresentation) }

    /// The signing key's word for the receiving key.
    package func proof() throws -> [UInt8] { try sign(Self.proofMessage(receivingPublic)) }

    package func sign(_ message: [UInt8]) throws -> [UInt8] { Array(try signing.signature(for: message)) }

    package static func isValidProof(_ proof: [UInt8], signing: [UInt8], receiving: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: signing) else { return false }
        return key.isValidSignature(proof, for: proofMessage(receiving))
    }

    private static func proofMessage(_ receiving: [UInt8]) -> [UInt8] {
        Array("tsunagu/receiving-key/1".utf8) + receiving
    }

    /// The file's text: a version line, the two keys in hexadecimal, then `ward` and its root; further lines are for later.
    package var encoded: String {
        """
        tsunagu-device-key-1
        \(Hex.encode(signing.rawRepresentation))
        \(Hex.encode(receiving.rawRepresentation))
        \(root.map { "ward \($0)\n" } ?? "")
        """
    }

    /// Reads the file's text; `nil` where it is not of the form, or was cut.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n")
        guard text.utf8.last == UInt8(ascii: "\n"), lines.count >= 3, lines[0] == "tsunagu-device-key-1",
            let first = Hex.decode(lines[1]), let second = Hex.decode(lines[2]),
            let signing = try? Curve25519.Signing.PrivateKey(rawRepresentation: first),
            let receiving = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: second)
        else { return nil }
        self.signing = signing
        self.receiving = receiving
        if let line = lines.dropFirst(3).first(where: { $0.hasPrefix("ward ") }) {
            guard let root = DeviceID(exactHex: String(line.dropFirst(5))) else { return nil }
            self.root = root
        }
    }
}
