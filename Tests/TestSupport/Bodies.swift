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
}
