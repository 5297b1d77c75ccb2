// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import CZstd

/// Zstandard with a bound on what comes out, so that a small input cannot fill the memory.
package enum Zstd {
    /// Level 3: 600 MB a CPU second here, where level 19 saves a fifth for three hundred times the time.
    private static let level: Int32 = 3

    package static func compress(_ bytes: [UInt8]) -> [UInt8] {
        let bound = ZSTD_compressBound(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: bound) { out, count in
            count = bytes.withUnsafeBytes {
                ZSTD_compress(out.baseAddress, bound, $0.baseAddress, $0.count, level)
            }
            precondition(ZSTD_isError(count) == 0, "zstd compression into its own bound cannot fail")
        }
    }

    /// Reads one frame that is all of some bytes: a second spelling of the same would be another.
    ///
    /// - Parameter size: what must come out, exactly; the caller has checked it against a bound of its own.
    package static func decompress(_ bytes: UnsafeRawBufferPointer, size: Int) throws(CodecError) -> [UInt8] {
        guard ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count) == bytes.count else {
            throw .invalid("compressed data is damaged")
        }
        var written = 0
        let out = [UInt8](unsafeUninitializedCapacity: size) { out, count in
            written = ZSTD_decompress(out.baseAddress, size, bytes.baseAddress, bytes.count)
            count = ZSTD_isError(written) == 0 ? written : 0
        }
        guard ZSTD_isError(written) == 0, written == size else { throw .invalid("compressed data is damaged") }
        return out
    }
}
