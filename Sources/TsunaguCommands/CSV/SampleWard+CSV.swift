// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguWard

extension SampleWard {
    /// Streams one of the ward's files as UTF-8 CSV into `sink`, in pieces of about 64 KiB.
    package func write(_ file: File, into sink: ([UInt8]) throws -> Void) throws {
        var writer = CSVWriter()
        try rows(of: file) { row in
            writer.row(row)
            if writer.bytes.count >= 64 << 10 { try sink(writer.take()) }
        }
        if !writer.bytes.isEmpty { try sink(writer.take()) }
    }
}
