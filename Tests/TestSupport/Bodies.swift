// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Bodies of runs, taken apart and spoilt.
package enum Bodies {
    /// The same run without compression.
    package static func stored(_ body: [UInt8]) throws(CodecError) -> [UInt8] {
        if body.first == 3 { return try [3] + stored(Array(body.dropFirst())) }
        guard body.first == 2 else { return body }
        return try [1]
            + body.withMemory { memory throws(CodecError) -> [UInt8] in
                var reader = ByteReader(memory)
                _ = try reader.byte()
                let size = Int(try reader.varint())
                return try Zstd.decompress(try reader.bytes(reader.count), size: size)
            }
    }

    /// One random fault: a bit, a byte, a piece cut out, doubled or inserted.
    package static func mutated(_ body: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var out = body
        let place = generator.below(out.count)
        switch generator.below(6) {
        case 0: out[place] ^= 1 << UInt8(generator.below(8))
        case 1: out[place] = UInt8(truncatingIfNeeded: generator.next())
        case 2: out.removeSubrange(place..<min(out.count, place + 1 + generator.below(4)))
        case 3: out.insert(contentsOf: generator.bytes(1 + generator.below(3)), at: place)
        case 4: out.insert(contentsOf: out[place..<min(out.count, place + 4)], at: place)
        default: out.swapAt(place, generator.below(out.count))
        }
        return out
    }

    /// The same at another length: a bit, a byte, an end of the scale, or the bytes of another place.
    ///
    /// - Parameter bytes: any number, none included.
    package static func spoilt(_ bytes: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        guard !bytes.isEmpty else { return generator.bytes(1 + generator.below(3)) }
        var out = bytes
        for _ in 0...generator.pick([0, 0, 0, 1, 3]) where !out.isEmpty {
            guard generator.chance(30) else {
                out = mutated(out, &generator)
                continue
            }
            let place = generator.below(out.count)
            let end = min(out.count, place + generator.pick([1, 1, 4, 16]))
            out.replaceSubrange(place..<end, with: generator.pick(extremes))
        }
        return out
    }

    /// Numbers at the ends of the scale, as varints and as bytes.
    private static let extremes: [[UInt8]] = [
        [0], [1], [0x7f], [0x80, 1], [0xff, 0xff, 3], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x10],
        Array(repeating: 0xff, count: 9) + [1], Array(repeating: 0x80, count: 9) + [1],
        Array(repeating: 0xff, count: 8),
        Array(repeating: 0xff, count: 10), [0x80, 0], [],
    ]

    // MARK: - Streams

    /// The streams of an uncompressed run.
    package static func streams(_ stored: [UInt8]) throws(CodecError) -> [[UInt8]] {
        try Array(stored.dropFirst()).withMemory { memory throws(CodecError) in
            var reader = ByteReader(memory)
            let count = try reader.varint("streams", atMost: 4096)
            var lengths: [Int] = []
            for _ in 0..<count { lengths.append(try reader.varint("stream", atMost: 1 << 20)) }
            var out: [[UInt8]] = []
            for length in lengths { out.append(Array(try reader.bytes(length))) }
            return out
        }
    }

    /// An uncompressed run of streams whose lengths are right.
    package static func stored(streams: [[UInt8]]) -> [UInt8] {
        var out: [UInt8] = [1]
        out.appendVarint(UInt64(streams.count))
        for stream in streams { out.appendVarint(UInt64(stream.count)) }
        return out + streams.joined()
    }

    /// A run of which one stream is spoilt, so that the fault is met where the stream is read.
    package static func spoiltInside(_ stored: [UInt8], _ generator: inout SeededGenerator) throws(CodecError)
        -> [UInt8]
    {
        var streams = try streams(stored)
        // What says most stands in the first four.
        let place = generator.chance(60) ? generator.below(4) : generator.below(streams.count)
        streams[place] = spoilt(streams[place], &generator)
        return self.stored(streams: streams)
    }
}
