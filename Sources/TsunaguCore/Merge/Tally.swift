// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The items of a `counter`: amounts that only add up, each one author's.
package enum Tally {
    /// An item's content.
    package static func encode(_ amount: Int64) -> [UInt8] {
        var out: [UInt8] = []
        out.appendZigzag(amount)
        return out
    }

    /// The sum, which wraps at 64 bits so that no author can stop the others; what a newer version wrote counts nothing.
    package static func sum(_ contents: some Sequence<[UInt8]>) -> Int64 {
        contents.reduce(0) { sum, content in
            let amount = try? content.withMemory { memory throws(CodecError) -> Int64 in
                var reader = ByteReader(memory)
                let amount = try reader.zigzag()
                try reader.expectEnd()
                return amount
            }
            return sum &+ (amount ?? 0)
        }
    }
}
