// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// What is handed to a new site, on paper or as a QR code: a secret that works once, whom to trust, and where to go.
package struct InvitationCode: Sendable {
    /// Proves the invitation; sixteen random bytes.
    package var secret: [UInt8]
    /// The ward's root: every grant is traced back to it.
    package var root: DeviceID
    /// Where the hub is; `nil` where it must be named when joining.
    package var hub: PeerAddress?
    /// The SHA-256 of the hub's TLS key, even where no address is known.
    package var pin: [UInt8]?

    private static let prefix = "tsunagu1"

    package init(secret: [UInt8], root: DeviceID, hub: PeerAddress?, pin: [UInt8]?) {
        self.secret = secret
        self.root = root
        self.hub = hub
        self.pin = pin
    }

    /// Letters and digits that survive being read out, with check characters at the end.
    package var text: String {
        var out = secret + root.bytes
        switch hub?.trust {
        case .system: out.append(2)
        case .plain: out.append(3)
        case .pin, .anyone, nil: out.append(pin == nil ? 0 : 1)
        }
        if out[32] == 1 { out += pin ?? [] }
        out.appendPrefixed(Array((hub?.url ?? "").utf8))
        return Self.prefix + Base32.encode(out + Self.check(out))
    }

    /// Reads a code; blanks, dashes and case do not matter.
    package init?(_ text: String) {
        let letters = text.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
        guard letters.hasPrefix(Self.prefix), let bytes = Base32.decode(letters.dropFirst(Self.prefix.count)),
            bytes.count > 4
        else { return nil }
        let content = Array(bytes.dropLast(4))
        guard Self.check(content) == Array(bytes.suffix(4)) else { return nil }
        let parsed = try? content.withMemory { memory throws(CodecError) -> InvitationCode in
            var reader = ByteReader(memory)
            let secret = Array(try reader.bytes(16))
            let root = DeviceID(bytes: try reader.bytes(16))!
            let trust = try reader.byte()
            let pin = trust == 1 ? Array(try reader.bytes(32)) : nil
            let url = try reader.text("address", atMost: 1024).string
            try reader.expectEnd()
            let kinds: [UInt8: PeerAddress.Trust] = [1: .pin(pin ?? []), 2: .system, 3: .plain]
            let hub = url.isEmpty ? nil : kinds[trust].map { PeerAddress(url: url, trust: $0) }
            guard url.isEmpty || hub != nil else { throw .invalid("trust \(trust)") }
            return InvitationCode(secret: secret, root: root, hub: hub, pin: pin)
        }
        guard let parsed else { return nil }
        self = parsed
    }

    private static func check(_ bytes: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: Array("tsunagu/code/1".utf8) + bytes).prefix(4))
    }

    /// The key that signs the enrolment request; the ward's data holds its public half.
    package func key() throws -> Curve25519.Signing.PrivateKey {
        let seed = SHA256.hash(data: Array("tsunagu/invitation-key/1".utf8) + secret)
        return try Curve25519.Signing.PrivateKey(rawRepresentation: Array(seed))
    }

    /// The name under which the hub knows the invitation; it does not give the secret away.
    package var record: RecordID { RecordID(derivedFrom: [Array("invitation".utf8), secret]) }
}
