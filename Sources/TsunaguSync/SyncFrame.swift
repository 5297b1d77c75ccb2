// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// A bounded piece of an exchange: whole runs, or one part of one.
package struct SyncFrame: Hashable, Sendable {
    /// What a frame carries.
    package enum Item: Hashable, Sendable {
        /// A run, whole.
        case run(RunEnvelope)
        /// Some bytes of an encoded run that is larger than a frame.
        case part(StagedRun, total: Int, bytes: [UInt8])

        /// Where it belongs.
        package var space: SpaceID {
            switch self {
            case .run(let run): run.space
            case .part(let part, _, _): part.space
            }
        }

        /// About how much it is on the wire.
        package var bytes: Int {
            switch self {
            case .run(let run): run.body.count + 128
            case .part(_, _, let bytes): bytes.count + 128
            }
        }

        /// How many changes it can bring.
        var changesMax: Int {
            switch self {
            case .run(let run): run.count
            case .part: Seal.changesMax
            }
        }

        /// Whose changes it carries, and from which number on.
        package var origin: (replica: ReplicaID, first: UInt64) {
            switch self {
            case .run(let run): (run.replica, run.first)
            case .part(let part, _, _): (part.replica, part.first)
            }
        }
    }

    package var items: [Item]

    package init(items: [Item] = []) { self.items = items }

    /// A frame of the usual size.
    package static let bytesMax = 256 << 10
    /// A run with its envelope is never larger: one change may be a mebibyte, and a seal stands at 256 KiB.
    package static let runBytesMax = 4 << 20
    /// Each item may cost a signature's check.
    package static let itemsMax = 1024

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        for item in items {
            switch item {
            case .run(let run):
                out.append(1)
                out.appendPrefixed(run.encoded)
            case .part(let part, let total, let bytes):
                out.append(2)
                out.append(part)
                out.appendVarint(UInt64(total))
                out.appendPrefixed(bytes)
            }
        }
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        items = []
        while !reader.isAtEnd {
            guard items.count < Self.itemsMax else { throw .invalid("a frame of more than \(Self.itemsMax) runs") }
            switch try reader.byte() {
            case 1:
                items.append(.run(try RunEnvelope(decoding: try reader.prefixed("run", atMost: Self.runBytesMax))))
            case 2:
                let part = try reader.stagedRun()
                let total = try reader.varint("run", atMost: UInt64(Self.runBytesMax))
                items.append(.part(part, total: total, bytes: Array(try reader.prefixed("part", atMost: total))))
                // What is kept of a run is written anew with each part.
                guard items.count == 1, reader.isAtEnd else { throw .invalid("a part is not alone in its frame") }
            case let code:
                throw .invalid("frame item \(code)")
            }
        }
    }

    /// The name of an encoded run.
    package static func hash(_ encoded: [UInt8]) -> Bytes16 {
        SHA256.hash(data: encoded).withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }
}

extension RunEnvelope {
    package var encoded: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(body.count + 128)
        out.appendPrefixed(Array(space.name.utf8))
        out.append(replica)
        out.appendVarint(first)
        out.appendVarint(UInt64(count))
        out.append(contentsOf: signature)
        out.append(contentsOf: body)
        return out
    }

    package init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        var reader = ByteReader(bytes)
        let space = try reader.space()
        let replica = try reader.replica()
        let first = try reader.varint()
        let count = try reader.varint("changes in a run", atMost: UInt64(Seal.changesMax))
        guard first > 0, count > 0, first <= Chain.seqMax else { throw .invalid("an empty run") }
        let signature = Array(try reader.bytes(64))
        self.init(
            space: space,
            replica: replica,
            first: first,
            count: count,
            signature: signature,
            body: Array(try reader.bytes(reader.count))
        )
    }
}

/// Cuts a list of runs into frames.
package struct FrameWriter {
    private var rows: ArraySlice<Int64>
    private let staged: [StagedRun]
    private let bytesMax: Int
    /// A run of which parts are being sent.
    private var current: (run: RunEnvelope, encoded: [UInt8], hash: Bytes16, offset: Int)?

    /// - Parameter staged: what the receiver has of runs that it got in part.
    package init(rows: [Int64], staged: [StagedRun] = [], bytesMax: Int = SyncFrame.bytesMax) {
        self.rows = rows[...]
        self.staged = staged
        self.bytesMax = max(256, bytesMax)
    }

    /// The next frame; `nil` at the end.
    package mutating func next(from storage: some ReplicaStorage) throws -> SyncFrame? {
        if let part = nextPart() { return SyncFrame(items: [part]) }
        var frame = SyncFrame()
        var size = 0
        while let row = rows.first {
            guard let run = try storage.run(row) else {
                rows.removeFirst()
                continue
            }
            let encoded = run.encoded
            if size > 0, size + encoded.count > bytesMax || frame.items.count == SyncFrame.itemsMax { break }
            rows.removeFirst()
            if encoded.count > bytesMax {
                let hash = SyncFrame.hash(encoded)
                let known = staged.first {
                    $0.space == run.space && $0.replica == run.replica && $0.first == run.first && $0.hash == hash
                }
                current = (run, encoded, hash, min(known?.offset ?? 0, encoded.count - 1))
                return nextPart().map { SyncFrame(items: [$0]) }
            }
            frame.items.append(.run(run))
            size += encoded.count
        }
        return frame.items.isEmpty ? nil : frame
    }

    private mutating func nextPart() -> SyncFrame.Item? {
        guard let (run, encoded, hash, offset) = current else { return nil }
        let end = min(encoded.count, offset + bytesMax)
        current = end == encoded.count ? nil : (run, encoded, hash, end)
        let part = StagedRun(space: run.space, replica: run.replica, first: run.first, hash: hash, offset: offset)
        return .part(part, total: encoded.count, bytes: Array(encoded[offset..<end]))
    }
}

extension [UInt8] {
    mutating func append(_ staged: StagedRun) {
        appendPrefixed(Array(staged.space.name.utf8))
        append(staged.replica)
        appendVarint(staged.first)
        append(staged.hash)
        appendVarint(UInt64(staged.offset))
    }
}

extension ByteReader {
    mutating func stagedRun() throws(CodecError) -> StagedRun {
        StagedRun(
            space: try space(),
            replica: try replica(),
            first: UInt64(try varint("number", atMost: Chain.seqMax)),
            hash: try bytes16(),
            offset: try varint("offset", atMost: UInt64(SyncFrame.runBytesMax))
        )
    }
}
