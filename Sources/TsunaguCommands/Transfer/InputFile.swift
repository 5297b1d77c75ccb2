// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#endif

/// A file that is read once from its start, in pieces.
struct InputFile: ~Copyable {
    private let descriptor: Int32
    private let path: String
    /// The length; `nil` for what is no plain file.
    let size: Int?

    private static let chunkBytes = 256 << 10

    /// Opens a file; `-` is standard input.
    init(_ path: String) throws {
        self.path = path
        descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw CommandError(
                errno == ENOENT ? .notFound : .failed,
                Localized(ja: "ファイルを読めません: \(path): \(reason)", en: "cannot read the file \(path): \(reason)"),
                record: path,
                hint: Localized(ja: "名前と権限を確かめてください", en: "check name and permissions")
            )
        }
        var status = stat()
        let type = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
        guard type != S_IFDIR else {
            close(descriptor)
            throw CommandError(
                .usage,
                Localized(ja: "ファイルではなくフォルダーです: \(path)", en: "this is a directory and no file: \(path)"),
                record: path,
                hint: Localized(ja: "その中のファイルを指定してください", en: "name a file in it")
            )
        }
        size = type == S_IFREG ? Int(status.st_size) : nil
    }

    deinit { close(descriptor) }

    /// Hands over the whole file, piece by piece, with the number of bytes read so far.
    func forEachChunk(_ body: (UnsafeRawBufferPointer, Int) throws -> Bool) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.chunkBytes, alignment: 16)
        defer { buffer.deallocate() }
        var total = 0
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure }
            if count == 0 { return }
            total += count
            guard try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]), total) else { return }
        }
    }

    /// The next bytes; fewer than asked for only at the file's end.
    func read(_ count: Int) throws -> [UInt8] {
        var filled = 0
        var isOver = false
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while filled < count, !isOver {
                let found = Glibc.read(descriptor, buffer.baseAddress! + filled, count - filled)
                if found < 0, errno == EINTR { continue }
                guard found >= 0 else { throw failure }
                isOver = found == 0
                filled += found
            }
            initialized = filled
        }
        return bytes
    }

    /// Goes to a place of a plain file.
    func seek(to offset: Int) throws {
        guard lseek(descriptor, off_t(offset), SEEK_SET) == offset else { throw failure }
    }

    private var failure: CommandError {
        let reason = String(cString: strerror(errno))
        return CommandError(
            .failed,
            Localized(ja: "ファイルを読めません: \(path): \(reason)", en: "cannot read the file \(path): \(reason)"),
            record: path
        )
    }
}
