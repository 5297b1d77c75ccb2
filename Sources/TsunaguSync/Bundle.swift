// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
package import TsunaguCore

/// Changes for a site that no line reaches, as bytes that are carried there (`Protocol/bundle.md`).
///
/// Only the devices it is sealed for can read it or tell who made it; its last piece is the maker's signature over all
/// that stands before.
package enum Bundle {
    /// "TSBD", and the version of the format.
    package static let magic = Array("TSBD".utf8)
    static let version: UInt8 = 1
    /// Devices that one bundle is sealed for.
    package static let recipientsMax = 255
    /// The content of a piece: a run of any size and what stands around it, or the longest vector.
    static let pieceBytesMax = 5 << 20
    static let prefixBytes = 4 + 1 + 16 + 1
    static let slotBytes = 16 + 32 + 48
    private static let tagBytes = 16
    /// What a piece takes beside its content.
    static let pieceOverhead = 4 + tagBytes
    static let ciphersuite = HPKE.Ciphersuite.Curve25519_SHA256_ChachaPoly

    /// What binds the content's key to one device of one ward.
    static func info(_ ward: DeviceID, _ device: DeviceID) -> Data {
        Data(Array("tsunagu/bundle/1/key".utf8) + ward.bytes + device.bytes)
    }

    /// What the maker signs: the hash of everything before the last piece.
    static func message(_ hash: SHA256) -> [UInt8] { Array("tsunagu/bundle/1/signature".utf8) + hash.finalize() }

    package static func seal(_ content: [UInt8], _ counter: UInt64, _ key: SymmetricKey, header: [UInt8]) throws
        -> [UInt8]
    {
        let box = try ChaChaPoly.seal(content, using: key, nonce: nonce(counter), authenticating: header)
        return Array(box.ciphertext) + Array(box.tag)
    }

    package static func open(_ sealed: [UInt8], _ counter: UInt64, _ key: SymmetricKey, header: [UInt8]) throws
        -> [UInt8]
    {
        let box = try ChaChaPoly.SealedBox(
            nonce: nonce(counter),
            ciphertext: sealed.dropLast(tagBytes),
            tag: sealed.suffix(tagBytes)
        )
        return Array(try ChaChaPoly.open(box, using: key, authenticating: header))
    }

    private static func nonce(_ counter: UInt64) throws -> ChaChaPoly.Nonce {
        var bytes: [UInt8] = [0, 0, 0, 0]
        bytes.appendUInt64(counter)
        return try ChaChaPoly.Nonce(data: bytes)
    }
}

/// Why a file is not taken as a bundle; nothing of it has been used then.
package enum BundleError: Error, Hashable, Sendable {
    /// It does not begin as one.
    case noBundle
    /// Another version of the format.
    case unknownVersion(UInt8)
    /// It is sealed for other devices.
    case forOthers
    /// It was cut off or altered.
    case damaged(String)
    /// Its maker sealed something that the format does not allow.
    case malformed(String)
}

/// One sealed piece of a bundle.
package enum BundlePiece: Sendable {
    /// The first piece: who made the bundle, and which part of it this file is.
    package struct Head: Hashable, Sendable {
        /// The maker's Ed25519 key.
        package var senderKey: [UInt8]
        /// The same in all parts of a bundle.
        package var bundle: Bytes16
        /// From 1 to `parts`.
        package var part: Int
        package var parts: Int
        /// Unix milliseconds, by the maker's clock.
        package var writtenAt: UInt64

        package var sender: DeviceID { DeviceID(signingKey: senderKey) }

        package init(senderKey: [UInt8], bundle: Bytes16, part: Int, parts: Int, writtenAt: UInt64) {
            self.senderKey = senderKey
            self.bundle = bundle
            self.part = part
            self.parts = parts
            self.writtenAt = writtenAt
        }

        package static let partsMax = 65_536
    }

    case head(Head)
    /// How far the maker holds a space.
    case vector(SpaceID, [VectorEntry])
    /// Whole runs, those of `system` before all others.
    case runs([RunEnvelope])
    /// The signature; nothing follows.
    case end([UInt8])

    /// The bytes of a piece of runs beside the encoded runs, and of each run beside its body, at most.
    package static let runOverheadMax = 192

    var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .head(let head):
            out.append(1)
            out += head.senderKey
            out.append(head.bundle)
            out.appendVarint(UInt64(head.part))
            out.appendVarint(UInt64(head.parts))
            out.appendUInt64(head.writtenAt)
        case .vector(let space, let vector):
            out.append(2)
            out.appendPrefixed(Array(space.name.utf8))
            out.append(vector)
        case .runs(let runs):
            out.append(3)
            for run in runs { out.appendPrefixed(run.encoded) }
        case .end(let signature):
            out.append(4)
            out += signature
        }
        return out
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 1:
            let (key, bundle) = (Array(try reader.bytes(32)), try reader.bytes16())
            let part = try reader.varint("part", atMost: UInt64(Head.partsMax))
            let parts = try reader.varint("parts", atMost: UInt64(Head.partsMax))
            guard 1...max(1, parts) ~= part else { throw .invalid("part \(part) of \(parts)") }
            let writtenAt = try reader.uint64()
            guard writtenAt < 1 << 48 else { throw .invalid("a time of \(writtenAt)") }
            self = .head(
                Head(senderKey: key, bundle: bundle, part: part, parts: parts, writtenAt: writtenAt)
            )
        case 2: self = .vector(try reader.space(), try reader.vector())
        case 3:
            var runs: [RunEnvelope] = []
            while !reader.isAtEnd {
                guard runs.count < SyncFrame.itemsMax else { throw .invalid("more than \(SyncFrame.itemsMax) runs") }
                runs.append(
                    try RunEnvelope(decoding: try reader.prefixed("run", atMost: SyncFrame.runBytesMax))
                )
            }
            guard let first = runs.first else { throw .invalid("a piece without runs") }
            guard runs.allSatisfy({ ($0.space == .system) == (first.space == .system) }) else {
                throw .invalid("system beside other spaces")
            }
            self = .runs(runs)
        case 4: self = .end(Array(try reader.bytes(64)))
        case let code: throw .invalid("piece \(code)")
        }
        try reader.expectEnd()
    }
}

/// Makes the bytes of a bundle, one piece after the other.
package struct BundleWriter {
    /// What the file begins with.
    package let header: [UInt8]
    private let key = SymmetricKey(size: .bits256)
    private var counter: UInt64 = 0
    private var hash = SHA256()

    /// Draws the content's key and seals it for each device.
    ///
    /// - Parameters:
    ///   - ward: the device that the ward began on.
    ///   - recipients: from 1 to `Bundle.recipientsMax` devices with their X25519 keys.
    package init(ward: DeviceID, recipients: [(device: DeviceID, receivingKey: [UInt8])]) throws {
        precondition(1...Bundle.recipientsMax ~= recipients.count)
        var header = Bundle.magic + [Bundle.version] + ward.bytes + [UInt8(recipients.count)]
        for recipient in recipients {
            var sender = try HPKE.Sender(
                recipientKey: Curve25519.KeyAgreement.PublicKey(rawRepresentation: recipient.receivingKey),
                ciphersuite: Bundle.ciphersuite,
                info: Bundle.info(ward, recipient.device)
            )
            let sealed = try key.withUnsafeBytes { try sender.seal(Data($0)) }
            header += recipient.device.bytes + sender.encapsulatedKey + sealed
        }
        self.header = header
        hash.update(data: header)
    }

    /// The bytes of the next piece.
    package mutating func append(_ piece: BundlePiece) throws -> [UInt8] {
        let sealed = try Bundle.seal(piece.encoded, counter, key, header: header)
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: sealed.count >> (24 - 8 * $0)) } + sealed
        counter += 1
        hash.update(data: bytes)
        return bytes
    }

    /// The bytes of the last piece.
    package mutating func end(sign: ([UInt8]) throws -> [UInt8]) throws -> [UInt8] {
        try append(.end(sign(Bundle.message(hash))))
    }

    /// How many bytes a file has beside its runs.
    package static func size(recipients: Int, vectors: [(SpaceID, [VectorEntry])]) -> Int {
        let head = BundlePiece.Head(
            senderKey: [UInt8](repeating: 0, count: 32),
            bundle: Bytes16(0),
            part: BundlePiece.Head.partsMax,
            parts: BundlePiece.Head.partsMax,
            writtenAt: 0
        )
        let pieces =
            [.head(head), .end([UInt8](repeating: 0, count: 64))] + vectors.map { BundlePiece.vector($0.0, $0.1) }
        return pieces.reduce(Bundle.prefixBytes + recipients * Bundle.slotBytes) {
            $0 + $1.encoded.count + Bundle.pieceOverhead
        }
    }
}

/// Reads a bundle's bytes as they come, and holds no more of them than a piece.
///
/// What it hands out is as its maker wrote it, but that the end may be missing: nothing is to be used before `isComplete`.
package struct BundleReader {
    private enum Stage {
        case prefix, slots(Int), length, piece(Int), end
    }

    private let device: DeviceID
    private let receivingKey: Curve25519.KeyAgreement.PrivateKey
    private var stage = Stage.prefix
    private var header: [UInt8] = []
    private var key: SymmetricKey?
    private var counter: UInt64 = 0
    private var hash = SHA256()
    private var length: [UInt8] = []
    private var head: BundlePiece.Head?
    private var vectors: Set<SpaceID> = []
    /// Whether runs came, and whether those of `system` are over.
    private var sawRuns = false
    private var sawOthers = false

    /// The device on which the ward began that the bundle is of; `nil` before it was read.
    package private(set) var ward: DeviceID?

    package init(device: DeviceID, receivingKey: Curve25519.KeyAgreement.PrivateKey) {
        self.device = device
        self.receivingKey = receivingKey
    }

    /// How many bytes it takes next; 0 at the end.
    package var wanted: Int {
        switch stage {
        case .prefix: Bundle.prefixBytes
        case .slots(let count): count * Bundle.slotBytes
        case .length: 4
        case .piece(let count): count
        case .end: 0
        }
    }

    /// Whether the whole was read, and is what its maker signed.
    package var isComplete: Bool { wanted == 0 }

    /// Takes the bytes that are wanted next, and gives the piece that they complete.
    package mutating func take(_ bytes: [UInt8]) throws(BundleError) -> BundlePiece? {
        guard bytes.count == wanted, !isComplete else { throw .damaged("cut off or too long") }
        switch stage {
        case .prefix:
            guard bytes.starts(with: Bundle.magic) else { throw .noBundle }
            guard bytes[4] == Bundle.version else { throw .unknownVersion(bytes[4]) }
            guard bytes[21] > 0 else { throw .damaged("it is for nobody") }
            ward = DeviceID(bytes: bytes[5..<21])
            header = bytes
            stage = .slots(Int(bytes[21]))
        case .slots:
            header += bytes
            hash.update(data: header)
            key = try contentKey(bytes)
            stage = .length
        case .length:
            let count = bytes.reduce(0) { $0 << 8 | Int($1) }
            guard Bundle.pieceOverhead - 4...Bundle.pieceBytesMax ~= count else { throw .damaged("a piece's length") }
            length = bytes
            stage = .piece(count)
        case .piece: return try piece(bytes)
        case .end: break
        }
        return nil
    }

    private func contentKey(_ slots: [UInt8]) throws(BundleError) -> SymmetricKey {
        let starts = stride(from: 0, to: slots.count, by: Bundle.slotBytes)
        guard let start = starts.first(where: { slots[$0..<$0 + 16].elementsEqual(device.bytes) }), let ward else {
            throw .forOthers
        }
        do {
            var recipient = try HPKE.Recipient(
                privateKey: receivingKey,
                ciphersuite: Bundle.ciphersuite,
                info: Bundle.info(ward, device),
                encapsulatedKey: Data(slots[start + 16..<start + 48])
            )
            return SymmetricKey(data: try recipient.open(slots[start + 48..<start + 96]))
        } catch {
            throw .damaged("the key does not open")
        }
    }

    private mutating func piece(_ sealed: [UInt8]) throws(BundleError) -> BundlePiece {
        guard let key, let content = try? Bundle.open(sealed, counter, key, header: header) else {
            throw .damaged("piece \(counter) does not open")
        }
        let piece: BundlePiece
        do {
            piece = try content.withMemory { memory throws(CodecError) in try BundlePiece(decoding: memory) }
        } catch {
            throw .malformed("\(error)")
        }
        try checkPlace(of: piece)
        counter += 1
        stage = .length
        if case .end(let signature) = piece {
            guard let head, let key = try? Curve25519.Signing.PublicKey(rawRepresentation: head.senderKey),
                key.isValidSignature(signature, for: Bundle.message(hash))
            else { throw .damaged("the signature is wrong") }
            stage = .end
        }
        hash.update(data: length)
        hash.update(data: sealed)
        return piece
    }

    /// Head, vectors, runs of `system`, other runs, end.
    private mutating func checkPlace(of piece: BundlePiece) throws(BundleError) {
        switch piece {
        case .head(let head):
            guard counter == 0 else { throw .malformed("a second head") }
            self.head = head
        case .vector(let space, _):
            guard head != nil, !sawRuns, vectors.count < SyncReply.spacesMax, vectors.insert(space).inserted else {
                throw .malformed("a vector out of place")
            }
        case .runs(let runs):
            let isSystem = runs[0].space == .system
            guard head != nil, !(isSystem && sawOthers) else { throw .malformed("runs out of place") }
            sawRuns = true
            sawOthers = !isSystem
        case .end:
            guard head != nil else { throw .malformed("no head") }
        }
    }
}
