// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore
import TsunaguSync

/// A member of the ward that speaks the protocol and says in it whatever a test wants.
final class LyingPeer: Transport {
    enum Answer {
        case reply(SyncReply)
        /// The answer to a pull; it ends with `nil`.
        case frames(() -> SyncFrame?)
        /// The bytes of a reply, or of a pull's only frame, whatever they are.
        case content([UInt8])
    }

    let address = "liar"
    private(set) var traffic: (sent: Int, received: Int) = (0, 0)
    private(set) var requests = 0
    /// Where it is set, answers come a byte at a time, and it is called before each.
    var onByte: (() -> Void)?
    private let device: DeviceKeys
    private let answer: (SyncRequest) throws -> Answer
    private var keys: SessionKeys?

    init(_ device: DeviceKeys, _ answer: @escaping (SyncRequest) throws -> Answer) {
        self.device = device
        self.answer = answer
    }

    convenience init(_ site: Site, _ answer: @escaping (SyncRequest) throws -> Answer) { self.init(site.keys, answer) }

    func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard path != "/v1/hello" else {
            let (welcome, keys, _) = try Handshake.welcome(
                Handshake.Hello(decoding: body),
                signingKey: device.signingPublic,
                epoch: Bytes16(1),
                session: Bytes16(2),
                sign: device.sign
            )
            self.keys = keys
            return try welcome.encoded.withUnsafeBytes(onChunk)
        }
        requests += 1
        traffic.sent += body.count
        let request = try Envelope.Request(body)
        guard let keys, let content = request.open(keys) else { throw TransportError.refused(status: 401, "?") }
        let question = try content.withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory) }
        var piece: UInt32 = 0
        func send(_ content: [UInt8], isStream: Bool) throws {
            let bytes = try Envelope.reply(content, counter: request.counter, piece: piece, keys)
            let length = (0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (24 - 8 * $0)) }
            let all = (isStream ? length : []) + bytes
            piece += 1
            traffic.received += all.count
            guard let onByte else { return try all.withUnsafeBytes(onChunk) }
            for byte in all {
                onByte()
                try [byte].withUnsafeBytes(onChunk)
            }
        }
        let isPull = if case .pull = question { true } else { false }
        switch try answer(question) {
        case .reply(let reply): try send(reply.encoded, isStream: false)
        case .content(let bytes):
            try send(bytes, isStream: isPull)
            if isPull { try send([], isStream: true) }
        case .frames(let next):
            while let frame = next() { try send(frame.encoded, isStream: true) }
            try send([], isStream: true)
        }
    }
}

extension SyncFrame {
    /// A run of system that waits for a chain nobody has.
    static func junk(_ number: UInt64, bytes: Int = 1) -> SyncFrame {
        let run = RunEnvelope(
            space: .system,
            replica: ReplicaID(device: DeviceID(signingKey: [9]), incarnation: number),
            first: 5,
            count: 1,
            signature: [UInt8](repeating: 0, count: 64),
            body: [UInt8](repeating: 1, count: bytes)
        )
        return SyncFrame(items: [.run(run)])
    }
}
