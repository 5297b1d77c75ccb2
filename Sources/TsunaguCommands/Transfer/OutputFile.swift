// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#endif

/// A file that comes into being whole: written beside its name, then given it.
///
/// Standard output for `nil` and `-`.
///
/// What is exported is personal data, so only the owner may read the file. A symbolic link stays and its target is
/// written; a device, pipe or directory is refused, since giving the file its name would put it in their place.
final class OutputFile {
    private let descriptor: Int32
    private let path: String?
    private var isFinished = false

    /// - Parameter kind: how a file begins whose place it may take; any file's where it is `nil`.
    init(_ path: String?, replacing kind: [UInt8]? = nil) throws {
        guard let path, path != "-" else {
            self.path = nil
            descriptor = dup(STDOUT_FILENO)
            return
        }
        let target = try Self.target(of: path)
        if let kind { try Self.requireKind(kind, of: target) }
        self.path = target
        unlink(target + ".new")
        descriptor = open(target + ".new", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(target) }
    }

    /// What a path means in the end: symbolic links are followed, even to what is not there yet.
    private static func target(of path: String) throws -> String {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw CommandError(
                    .usage,
                    Localized(ja: "普通のファイルではありません: \(path)", en: "this is no plain file: \(path)"),
                    record: path,
                    hint: Localized(
                        ja: "別のファイル名を指定するか、ファイル名を省いて標準出力に書いてください",
                        en: "name another file, or none to write to standard output"
                    )
                )
            }
        } else if errno != ENOENT {
            throw failure(path)
        }
        var target = path
        while let next = linkTarget(target) {
            let folder = target.lastIndex(of: "/").map { target[...$0] } ?? ""
            target = next.hasPrefix("/") ? next : folder + next
        }
        return target
    }

    /// A name that was typed wrong must not cost somebody another file.
    private static func requireKind(_ kind: [UInt8], of path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure(path)
        }
        defer { close(descriptor) }
        var start = [UInt8](repeating: 0, count: kind.count)
        let count = read(descriptor, &start, start.count)
        guard count >= 0 else { throw failure(path) }
        guard count == 0 || start == kind else {
            throw CommandError(
                .usage,
                Localized(
                    ja: "別の種類のファイルがあります。置き換えません: \(path)",
                    en: "there is a file of another kind, which is not replaced: \(path)"
                ),
                record: path,
                hint: Localized(ja: "別のファイル名を指定してください", en: "name another file")
            )
        }
    }

    /// What a symbolic link says; `nil` for anything else.
    private static func linkTarget(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        guard count >= 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
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
