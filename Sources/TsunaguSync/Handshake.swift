// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
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

    private static func keys(
        _ own: Curve25519.KeyAgreement.PrivateKey,
        _ peer: [UInt8],
        _ transcript: [UInt8]
    ) throws -> SessionKeys {
        let secret = try own.sharedSecretFromKeyAgreement(
            with: Curve25519.KeyAgreement.PublicKey(rawRepresentation: peer)
        )
        func key(_ direction: String) -> SymmetricKey {
            secret.hkdfDerivedSymmetricKey(
                using: SHA256.self,
                salt: Array("tsunagu/session/1/\(direction)".utf8),
                sharedInfo: transcript,
                outputByteCount: 32
            )
        }
        return SessionKeys(requests: key("requests"), replies: key("replies"))
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
        package func finish(_ welcome: Welcome, sign: ([UInt8]) throws -> [UInt8]) throws -> ClientSession {
            let spoken = Handshake.transcript("hub", hello, welcome)
            let hub = try Curve25519.Signing.PublicKey(rawRepresentation: welcome.signingKey)
            guard hub.isValidSignature(welcome.signature, for: spoken) else {
                throw SyncError.notAuthenticated("the hub's signature is wrong")
            }
            return ClientSession(
                id: welcome.session,
                keys: try Handshake.keys(ephemeral, welcome.ephemeral, spoken),
                proof: try sign(Handshake.transcript("client", hello, welcome))
            )
        }
    }

    /// The hub's half: answers a hello; the client's proof comes with its first request.
    package static func welcome(
        _ hello: Hello,
        signingKey: [UInt8],
        epoch: Bytes16,
        session: Bytes16,
        sign: ([UInt8]) throws -> [UInt8]
    ) throws -> (welcome: Welcome, keys: SessionKeys, clientMessage: [UInt8]) {
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
        return (welcome, try keys(ephemeral, hello.ephemeral, spoken), transcript("client", hello, welcome))
    }
}

/// What two devices agreed on: nobody else reads what is sealed under it, or makes it.
package struct SessionKeys: Sendable {
    fileprivate let requests: SymmetricKey
    fileprivate let replies: SymmetricKey
}

/// A client's end of a session.
package struct ClientSession: Sendable {
    package let id: Bytes16
    package let keys: SessionKeys
    /// The client's signature over the transcript; goes with the first request.
    package let proof: [UInt8]
}

/// The sealed form of requests and replies: only the two can read and make it, and only in its place.
///
/// What carries the bytes need not be trusted with them: TLS below, or a proxy that ends it, or a stranger between two
/// sites of one network. A nonce is the request's counter and the place in its answer, so none comes twice under a key.
package enum Envelope {
    private static let tagBytes = 16

    /// A request: session ‖ counter ‖ proof on the first ‖ sealed content.
    package static func request(
        _ content: [UInt8],
        counter: UInt64,
        _ session: ClientSession
    ) throws -> [UInt8] {
        var head: [UInt8] = []
        head.append(session.id)
        head.appendVarint(counter)
        if counter == 1 { head += session.proof }
        return head + (try seal(content, under: session.keys.requests, nonce(counter, 0), head))
    }

    /// A request, read as far as it can be without its session's keys.
    package struct Request: Sendable {
        package let session: Bytes16
        package let counter: UInt64
        package let proof: [UInt8]?
        private let head: [UInt8]
        private let sealed: [UInt8]

        package init(_ bytes: [UInt8]) throws(CodecError) {
            (session, counter, proof, sealed) = try bytes.withMemory { memory throws(CodecError) in
                var reader = ByteReader(memory)
                let session = try reader.bytes16()
                let counter = try reader.varint()
                let proof = counter == 1 ? Array(try reader.bytes(64)) : nil
                return (session, counter, proof, Array(try reader.bytes(reader.count)))
            }
            head = Array(bytes.dropLast(sealed.count))
        }

        /// The content; `nil` where it is not the client's own.
        package func open(_ keys: SessionKeys) -> [UInt8]? {
            try? Envelope.open(sealed, under: keys.requests, Envelope.nonce(counter, 0), head)
        }
    }

    /// A piece of a reply, bound to the request's counter and the piece's place.
    package static func reply(
        _ content: [UInt8],
        counter: UInt64,
        piece: UInt32,
        _ keys: SessionKeys
    ) throws -> [UInt8] {
        try seal(content, under: keys.replies, nonce(counter, piece), [])
    }

    /// - Throws: where the piece is not the one expected here.
    package static func open(
        _ bytes: [UInt8],
        counter: UInt64,
        piece: UInt32,
        _ keys: SessionKeys
    ) throws(SyncError) -> [UInt8] {
        do {
            return try open(bytes, under: keys.replies, nonce(counter, piece), [])
        } catch {
            throw .notAuthenticated("a reply that is not the peer's")
        }
    }

    private static func nonce(_ counter: UInt64, _ piece: UInt32) -> [UInt8] {
        var out: [UInt8] = []
        out.appendUInt64(counter)
        for shift in [24, 16, 8, 0] as [UInt32] { out.append(UInt8(truncatingIfNeeded: piece >> shift)) }
        return out
    }

    private static func seal(
        _ content: [UInt8],
        under key: SymmetricKey,
        _ nonce: [UInt8],
        _ head: [UInt8]
    ) throws -> [UInt8] {
        let nonce = try ChaChaPoly.Nonce(data: nonce)
        let box = try ChaChaPoly.seal(content, using: key, nonce: nonce, authenticating: head)
        return Array(box.ciphertext) + Array(box.tag)
    }

    private static func open(
        _ sealed: [UInt8],
        under key: SymmetricKey,
        _ nonce: [UInt8],
        _ head: [UInt8]
    ) throws -> [UInt8] {
        let box = try ChaChaPoly.SealedBox(
            nonce: ChaChaPoly.Nonce(data: nonce),
            ciphertext: sealed.dropLast(tagBytes),
            tag: sealed.suffix(tagBytes)
        )
        return Array(try ChaChaPoly.open(box, using: key, authenticating: head))
    }
}
