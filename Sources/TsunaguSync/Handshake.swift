// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import TsunaguCore

/// Both ends prove their device keys and agree on a key for one exchange, whatever carries the bytes: signed ephemeral
/// Diffie-Hellman after the SIGMA pattern (Krawczyk, 2003; `Protocol/sync.md`, "Session").
package enum Handshake {
    /// The client's first words.
    package struct Hello: Sendable {
        package var client: DeviceID
        package var ephemeral: [UInt8]

        package var encoded: [UInt8] { Array("TSH1".utf8) + client.bytes + ephemeral }

        package init(decoding bytes: [UInt8]) throws(CodecError) {
            guard bytes.count == 52, bytes.starts(with: Array("TSH1".utf8)) else { throw .invalid("hello") }
            client = DeviceID(bytes: bytes[4..<20])!
            ephemeral = Array(bytes[20...])
        }

        fileprivate init(client: DeviceID, ephemeral: [UInt8]) {
            self.client = client
            self.ephemeral = ephemeral
        }
    }

    /// The hub's answer.
    package struct Welcome: Sendable {
        package var hub: DeviceID
        package var signingKey: [UInt8]
        /// Changes when the hub's store is another or an older one.
        package var epoch: Bytes16
        package var ephemeral: [UInt8]
        package var session: Bytes16
        package var signature: [UInt8]

        package var encoded: [UInt8] {
            var out = Array("TSW1".utf8) + signingKey
            out.append(epoch)
            out += ephemeral
            out.append(session)
            return out + signature
        }

        package init(decoding bytes: [UInt8]) throws(CodecError) {
            guard bytes.count == 4 + 32 + 16 + 32 + 16 + 64, bytes.starts(with: Array("TSW1".utf8)) else {
                throw .invalid("welcome")
            }
            signingKey = Array(bytes[4..<36])
            hub = DeviceID(signingKey: signingKey)
            epoch = Bytes16(bytes[36..<52])!
            ephemeral = Array(bytes[52..<84])
            session = Bytes16(bytes[84..<100])!
            signature = Array(bytes[100...])
        }

        fileprivate init(
            signingKey: [UInt8],
            epoch: Bytes16,
            ephemeral: [UInt8],
            session: Bytes16,
            signature: [UInt8]
        ) {
            hub = DeviceID(signingKey: signingKey)
            self.signingKey = signingKey
            self.epoch = epoch
            self.ephemeral = ephemeral
            self.session = session
            self.signature = signature
        }
    }

    /// What both have said, which both sign.
    private static func transcript(_ role: String, _ hello: Hello, _ welcome: Welcome) -> [UInt8] {
        var out = Array("tsunagu/session/1/\(role)".utf8)
        out += hello.client.bytes + hello.ephemeral + welcome.signingKey
        out.append(welcome.epoch)
        out += welcome.ephemeral
        out.append(welcome.session)
        return out
    }

    private static func key(
        _ own: Curve25519.KeyAgreement.PrivateKey,
        _ peer: [UInt8],
        _ transcript: [UInt8]
    ) throws -> SymmetricKey {
        let secret = try own.sharedSecretFromKeyAgreement(
            with: Curve25519.KeyAgreement.PublicKey(rawRepresentation: peer)
        )
        return secret.hkdfDerivedSymmetricKey(
            using: SHA256.self,
            salt: Array("tsunagu/session/1".utf8),
            sharedInfo: transcript,
            outputByteCount: 32
        )
    }

    /// The client's half.
    package struct Client {
        package let hello: Hello
        private let ephemeral = Curve25519.KeyAgreement.PrivateKey()

        package init(device: DeviceID) {
            hello = Hello(client: device, ephemeral: Array(ephemeral.publicKey.rawRepresentation))
        }

        /// Checks the hub's word and makes the session.
        ///
        /// Whether the hub's *device* is one to talk to is for the caller to decide.
        package func finish(_ welcome: Welcome, sign: ([UInt8]) throws -> [UInt8]) throws -> SessionKeys {
            let spoken = Handshake.transcript("hub", hello, welcome)
            let hub = try Curve25519.Signing.PublicKey(rawRepresentation: welcome.signingKey)
            guard hub.isValidSignature(welcome.signature, for: spoken) else {
                throw SyncError.notAuthenticated("the hub's signature is wrong")
            }
            let key = try Handshake.key(ephemeral, welcome.ephemeral, spoken)
            let proof = try sign(Handshake.transcript("client", hello, welcome))
            return SessionKeys(session: welcome.session, key: key, proof: proof)
        }
    }

    /// The hub's half: answers a hello; the client's proof comes with its first request.
    package static func welcome(
        _ hello: Hello,
        signingKey: [UInt8],
        epoch: Bytes16,
        session: Bytes16,
        sign: ([UInt8]) throws -> [UInt8]
    ) throws -> (welcome: Welcome, key: SymmetricKey, clientMessage: [UInt8]) {
        let ephemeral = Curve25519.KeyAgreement.PrivateKey()
        var welcome = Welcome(
            signingKey: signingKey,
            epoch: epoch,
            ephemeral: Array(ephemeral.publicKey.rawRepresentation),
            session: session,
            signature: []
        )
        let spoken = transcript("hub", hello, welcome)
        welcome.signature = try sign(spoken)
        return (welcome, try key(ephemeral, hello.ephemeral, spoken), transcript("client", hello, welcome))
    }
}

/// What a client seals its requests with.
package struct SessionKeys: Sendable {
    package let session: Bytes16
    package let key: SymmetricKey
    /// The client's signature over the transcript; goes with the first request.
    package let proof: [UInt8]
}

/// The sealed form of requests and replies: what is said, when in the session, and a code that only the two can make.
package enum Envelope {
    /// A request: session ‖ counter ‖ proof on the first ‖ content ‖ code.
    package static func request(_ content: [UInt8], counter: UInt64, _ keys: SessionKeys) -> [UInt8] {
        var out: [UInt8] = []
        out.append(keys.session)
        out.appendVarint(counter)
        if counter == 1 { out += keys.proof }
        out += content
        return out + code("request", counter, 0, content, keys.key)
    }

    /// A request, opened as far as it can be without its session's key.
    package struct Opened: Sendable {
        package let session: Bytes16
        package let counter: UInt64
        package let proof: [UInt8]?
        package let content: [UInt8]
        private let code: [UInt8]

        package init(_ bytes: [UInt8]) throws(CodecError) {
            (session, counter, proof, content, code) = try bytes.withMemory { memory throws(CodecError) in
                var reader = ByteReader(memory)
                let session = try reader.bytes16()
                let counter = try reader.varint()
                let proof = counter == 1 ? Array(try reader.bytes(64)) : nil
                guard reader.count >= 16 else { throw .truncated }
                let content = Array(try reader.bytes(reader.count - 16))
                return (session, counter, proof, content, Array(try reader.bytes(16)))
            }
        }

        package func isAuthentic(_ key: SymmetricKey) -> Bool {
            Envelope.isEqual(Envelope.code("request", counter, 0, content, key), code)
        }
    }

    /// A piece of a reply: content ‖ code, bound to the request's counter and the piece's place.
    package static func reply(_ content: [UInt8], counter: UInt64, piece: UInt64, _ key: SymmetricKey) -> [UInt8] {
        content + code("reply", counter, piece, content, key)
    }

    /// - Throws: where the piece is not the one expected here.
    package static func open(
        _ bytes: [UInt8],
        counter: UInt64,
        piece: UInt64,
        _ key: SymmetricKey
    ) throws(SyncError) -> [UInt8] {
        guard bytes.count >= 16 else { throw .notAuthenticated("a reply without a code") }
        let content = Array(bytes.dropLast(16))
        guard isEqual(code("reply", counter, piece, content, key), Array(bytes.suffix(16))) else {
            throw .notAuthenticated("a reply that is not the hub's")
        }
        return content
    }

    /// Takes as long for equal codes as for others, so that an attacker learns nothing from the time.
    private static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.count == b.count && zip(a, b).reduce(0) { $0 | $1.0 ^ $1.1 } == 0
    }

    private static func code(
        _ direction: String,
        _ counter: UInt64,
        _ piece: UInt64,
        _ content: [UInt8],
        _ key: SymmetricKey
    ) -> [UInt8] {
        var hmac = HMAC<SHA256>(key: key)
        var head = Array("tsunagu/\(direction)/1".utf8)
        head.appendUInt64(counter)
        head.appendUInt64(piece)
        hmac.update(data: head)
        hmac.update(data: content)
        return Array(Array(hmac.finalize()).prefix(16))
    }
}
