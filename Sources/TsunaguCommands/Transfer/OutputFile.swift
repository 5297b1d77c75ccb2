// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#endif

/// A file that comes into being whole: written beside its name, then given it.
///
/// Standard output for `nil` and `-`.
///
/// What is exported is personal data, so only the owner may read the file.
final class OutputFile {
    private let descriptor: Int32
    private let path: String?
    private var isFinished = false

    init(_ path: String?) throws {
        guard let path, path != "-" else {
            self.path = nil
            descriptor = dup(STDOUT_FILENO)
            return
        }
        var status = stat()
        guard lstat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError(
                .badInput,
                Localized(ja: "ふつうのファイルではないので置き換えません: \(path)", en: "\(path) is no plain file and stays"),
                record: path,
                hint: Localized(ja: "別の名前を指定してください", en: "name another file")
            )
        }
        self.path = path
        unlink(path + ".new")
        descriptor = open(path + ".new", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        close(descriptor)
        if let path, !isFinished { unlink(path + ".new") }
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Self.failure(path ?? "-") }
            rest = rest.dropFirst(count)
        }
    }

    /// Gives the file its name.
    func finish() throws {
        guard let path else { return }
        guard fsync(descriptor) == 0 else { throw Self.failure(path) }
        try DataDirectory.rename(path + ".new", to: path)
        isFinished = true
    }

    private static func failure(_ path: String) -> CommandError {
        let reason = String(cString: strerror(errno))
        return CommandError(
            .failed,
            Localized(ja: "ファイルに書けません: \(path): \(reason)", en: "cannot write the file \(path): \(reason)"),
            record: path,
            hint: Localized(ja: "場所、権限、空き容量を確かめてください", en: "check place, permissions and free space")
        )
    }
}
