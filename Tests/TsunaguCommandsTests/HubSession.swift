// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// A device's session with a hub, in which a test says whatever it wants.
final class HubSession {
    private let hub: Hub
    private let session: ClientSession
    private var counter: UInt64 = 0

    init(_ device: DeviceKeys, with hub: Hub) throws {
        self.hub = hub
        let client = Handshake.Client(device: device.device)
        let answer = hub.answer(path: "/v1/hello", body: client.hello.encoded)
        session = try client.finish(Handshake.Welcome(decoding: try answer.next() ?? []), sign: device.sign)
    }

    private func post(_ content: [UInt8]) throws -> Hub.Answer {
        counter += 1
        return hub.answer(path: "/v1/exchange", body: try Envelope.request(content, counter: counter, session))
    }

    /// The status for a content of any bytes.
    func status(of content: [UInt8]) throws -> Int {
        let answer = try post(content)
        while try answer.next() != nil {}
        return answer.status
    }

    /// Asks anything but a pull.
    func ask(_ request: SyncRequest) throws -> SyncReply {
        let content = try Envelope.open(
            try post(request.encoded).next() ?? [],
            counter: counter,
            piece: 0,
            session.keys
        )
        return try content.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
    }

    /// What a pull brings; `nil` where it is answered by no frames.
    ///
    /// - Parameter wants: the authors of each space with the last number known.
    func pull(_ wants: [SpaceID: [ReplicaID: UInt64]]) throws -> [RunEnvelope]? {
        try frames(.init(wants: wants, staged: [], frameBytesMax: SyncFrame.bytesMax))?
            .flatMap(\.items).compactMap { if case .run(let run) = $0 { run } else { nil } }
    }

    /// The frames that answer a pull; `nil` where it is answered by none.
    func frames(_ pull: SyncRequest.PullRequest) throws -> [SyncFrame]? {
        let answer = try post(SyncRequest.pull(pull).encoded)
        var frames: [SyncFrame] = []
        var piece: UInt32 = 0
        while let bytes = try answer.next() {
            guard
                let content = try? Envelope.open(
                    Array(bytes.dropFirst(4)),
                    counter: counter,
                    piece: piece,
                    session.keys
                )
            else { return nil }
            piece += 1
            // The last says that there are no more.
            guard !content.isEmpty else { break }
            frames.append(try content.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) })
        }
        return frames
    }
}
