// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// What a new device and the hub say to each other once.
///
/// The invitation's secret makes a signing key; the ward's data holds only its public half, so neither another member
/// nor whoever stands between device and hub can use an invitation that is not his, or put his own keys in.
package enum Enrolment {
    /// The device's request, signed with its own key, which nobody else can enrol that way, and with the invitation's.
    package struct Request: Sendable {
        package var invitation: RecordID
        package var signingKey: [UInt8]
        package var receivingKey: [UInt8]
        package var proof: [UInt8]
        package var deviceName: ExactText

        package init(
            invitation: RecordID,
            signingKey: [UInt8],
            receivingKey: [UInt8],
            proof: [UInt8],
            deviceName: ExactText
        ) {
            self.invitation = invitation
            self.signingKey = signingKey
            self.receivingKey = receivingKey
            self.proof = proof
            self.deviceName = deviceName
        }

        private var content: [UInt8] {
            var out = Array("TSE1".utf8)
            out.append(invitation.raw)
            out += signingKey + receivingKey + proof
            out.appendPrefixed(Array(deviceName.utf8))
            return out
        }

        package func encoded(
            _ invitation: Curve25519.Signing.PrivateKey,
            device: Curve25519.Signing.PrivateKey
        ) throws -> [UInt8] {
            let message = Enrolment.message("request", content)
            return try content + device.signature(for: message) + invitation.signature(for: message)
        }

        package init(decoding bytes: [UInt8]) throws(CodecError) {
            guard bytes.count >= 128 else { throw .truncated }
            self = try Array(bytes.dropLast(128)).withMemory { memory throws(CodecError) in
                var reader = ByteReader(memory)
                guard Array(try reader.bytes(4)) == Array("TSE1".utf8) else { throw .invalid("enrolment") }
                let request = Request(
                    invitation: RecordID(try reader.bytes16()),
                    signingKey: Array(try reader.bytes(32)),
                    receivingKey: Array(try reader.bytes(32)),
                    proof: Array(try reader.bytes(64)),
                    deviceName: try reader.text("device name", atMost: 256)
                )
                try reader.expectEnd()
                return request
            }
        }

        /// Whether the bytes it was read from bear the signatures of the device and of the invitation's key.
        package func isAuthentic(_ bytes: [UInt8], publicKey: [UInt8]) -> Bool {
            guard let invitation = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey),
                let device = try? Curve25519.Signing.PublicKey(rawRepresentation: signingKey)
            else { return false }
            let message = Enrolment.message("request", content)
            return device.isValidSignature(Array(bytes.suffix(128).prefix(64)), for: message)
                && invitation.isValidSignature(Array(bytes.suffix(64)), for: message)
        }
    }

    /// The hub's answer, signed with its device key: the root's key, whose name the invitation says.
    package struct Answer: Sendable {
        package var rootKey: [UInt8]
        package var hubKey: [UInt8]

        package static let byteCount = 4 + 64 + 64

        package init(rootKey: [UInt8], hubKey: [UInt8]) {
            self.rootKey = rootKey
            self.hubKey = hubKey
        }

        package func encoded(to request: [UInt8], sign: ([UInt8]) throws -> [UInt8]) throws -> [UInt8] {
            let content = Array("TSA1".utf8) + rootKey + hubKey
            return content + (try sign(Enrolment.message("answer", request + content)))
        }

        /// `nil` where it is no answer to this request by the hub that it names.
        package init?(decoding bytes: [UInt8], to request: [UInt8]) {
            guard bytes.count == Self.byteCount, bytes.starts(with: Array("TSA1".utf8)) else { return nil }
            let content = Array(bytes.dropLast(64))
            rootKey = Array(content[4..<36])
            hubKey = Array(content[36..<68])
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: hubKey),
                key.isValidSignature(Array(bytes.suffix(64)), for: Enrolment.message("answer", request + content))
            else { return nil }
        }
    }

    /// Why a device is not let in; the hub says it to whoever has the invitation's key.
    package enum Refusal: String, Error {
        case invalid = "the invitation is not valid"
        case used = "the invitation was used by another device"
        case expired = "the invitation has expired"

        /// The refusal as a person is told it.
        package var error: CommandError {
            let message =
                switch self {
                case .invalid: Localized(ja: "この招待コードは使えません", en: rawValue)
                case .used: Localized(ja: "この招待コードはほかの端末が使いました", en: rawValue)
                case .expired: Localized(ja: "この招待コードは期限が切れています", en: rawValue)
                }
            let hint =
                self == .used
                ? Localized(
                    ja: "心当たりがなければすぐ本庁に連絡し、新しいコードを頼んでください",
                    en: "if you do not know which, tell the ward office at once, and ask for another code"
                ) : Localized(ja: "本庁に新しいコードを頼んでください", en: "ask the ward office for another")
            return CommandError(.notPermitted, message, hint: hint)
        }
    }

    private static func message(_ direction: String, _ content: [UInt8]) -> [UInt8] {
        Array("tsunagu/enrol/1/\(direction)".utf8) + content
    }
}
