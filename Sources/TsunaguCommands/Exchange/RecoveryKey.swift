// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// The ward's root key as people keep it: on paper, sixteen random bytes from which the key is made when it is needed.
///
/// Every grant traces back to it. No machine keeps it: whoever has it is the most senior admin.
package struct RecoveryKey: Sendable {
    private let secret: [UInt8]

    /// A new key from a generator that nobody can predict.
    package init(random: () -> UInt64) {
        secret = (0..<2).flatMap { _ in withUnsafeBytes(of: random().bigEndian) { Array($0) } }
    }

    /// Eight groups of four capitals and digits; the last four bytes check the others.
    package var text: String {
        let letters = Array(Base32.encode(secret + Self.check(secret)).uppercased())
        return stride(from: 0, to: letters.count, by: 4).map { String(letters[$0..<$0 + 4]) }.joined(separator: "-")
    }

    /// Reads what a person wrote down; blanks, dashes and case do not matter, and 0, 1 and 8 are O, I and B.
    package init?(_ text: String) {
        let alike: [Character: Character] = ["0": "o", "1": "i", "8": "b"]
        let letters = text.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
        guard let bytes = Base32.decode(String(letters.map { alike[$0] ?? $0 })), bytes.count == 20,
            Self.check(Array(bytes[..<16])) == Array(bytes[16...])
        else { return nil }
        secret = Array(bytes[..<16])
    }

    private static func check(_ secret: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: Array("tsunagu/recovery-check/1".utf8) + secret).prefix(4))
    }

    /// The key that signs what is said in the ward's name.
    package var signing: Curve25519.Signing.PrivateKey {
        let seed = SHA256.hash(data: Array("tsunagu/recovery-key/1".utf8) + secret)
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: Array(seed)) else {
            preconditionFailure("any 32 bytes are a signing key")
        }
        return key
    }

    package func sign(_ message: [UInt8]) throws -> [UInt8] { Array(try signing.signature(for: message)) }

    package var signingPublic: [UInt8] { Array(signing.publicKey.rawRepresentation) }

    /// The device that every member of the ward was told of when it joined, though it is none.
    package var device: DeviceID { DeviceID(signingKey: signingPublic) }
}

extension RecoveryKey {
    /// Reads what a person typed.
    package init(typed text: String) throws {
        guard let key = RecoveryKey(text) else {
            throw CommandError(
                .usage,
                Localized(ja: "復旧キーが正しくありません", en: "this is no recovery key"),
                hint: Localized(
                    ja: "4文字ずつ8組です。写し間違いがないか確かめてください",
                    en: "it has eight groups of four; check it for slips of copying"
                )
            )
        }
        self = key
    }

    /// Keeps the key in a private file, which must not be there yet.
    package func write(to path: String) throws {
        guard !DataDirectory.exists(path) else {
            throw CommandError(
                .failed,
                Localized(ja: "ファイルがすでにあります: \(path)", en: "the file is there already: \(path)"),
                record: path,
                hint: Localized(ja: "別の名前を指定してください", en: "name another")
            )
        }
        try DataDirectory.write(text + "\n", to: path)
    }
}
