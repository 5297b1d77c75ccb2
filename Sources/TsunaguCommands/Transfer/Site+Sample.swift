// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguWard

#if canImport(Glibc)
    import Glibc
#endif

extension Site {
    /// A file of a sample ward.
    package struct SampleFile: Sendable {
        package let path: String
        package let bytes: Int
    }

    /// Writes the files of a fictitious ward, the same for the same number and seed.
    package static func writeSample(residents: Int, seed: UInt64, to directory: String) throws -> [SampleFile] {
        guard (0...10_000_000).contains(residents) else {
            throw CommandError(
                .usage,
                Localized(ja: "住民は0から10,000,000人です", en: "a sample has 0 to 10,000,000 residents")
            )
        }
        try DataDirectory.makeDirectories(directory)
        let ward = SampleWard(residents: residents, seed: seed)
        return try SampleWard.File.allCases.map { file in
            let path = directory + "/" + file.fileName
            let output = try OutputFile(path)
            var bytes = 0
            try ward.write(file) { piece in
                bytes += piece.count
                try output.write(piece)
            }
            try output.finish()
            return SampleFile(path: path, bytes: bytes)
        }
    }
}

extension DataDirectory {
    /// Makes a directory with its parents where it is not there.
    fileprivate static func makeDirectories(_ path: String) throws {
        var prefix = path.utf8.first == UInt8(ascii: "/") ? "/" : ""
        for part in path.split(separator: "/") {
            prefix += (prefix.isEmpty || prefix.utf8.last == UInt8(ascii: "/") ? "" : "/") + part
            guard mkdir(prefix, 0o755) == 0 || errno == EEXIST else {
                let reason = String(cString: strerror(errno))
                throw CommandError(
                    .failed,
                    Localized(
                        ja: "フォルダーを作れません: \(prefix): \(reason)",
                        en: "cannot make the directory \(prefix): \(reason)"
                    ),
                    record: prefix,
                    hint: Localized(ja: "場所と権限を確かめてください", en: "check place and permissions")
                )
            }
        }
    }
}
