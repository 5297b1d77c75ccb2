// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#endif

/// What a store asks of the file system beside what SQLite does by itself.
package protocol StoreFiles: Sendable {
    /// Makes an empty file that only its owner may open.
    ///
    /// - Throws: what `StoreError.init(errno:path:)` says, `StoreError.exists` among it.
    func create(_ path: String) throws(StoreError)

    /// The first bytes of a file, fewer where it is shorter, and the length of the whole.
    ///
    /// - Throws: what `StoreError.init(errno:path:)` says, `StoreError.missing` among it.
    func head(of path: String, _ count: Int) throws(StoreError) -> (bytes: [UInt8], size: Int)

    /// Whether there is a file.
    func exists(_ path: String) -> Bool

    /// Removes a file that may not be there.
    func remove(_ path: String)

    /// Gives a file its name for good.
    ///
    /// - Throws: what `StoreError.init(errno:path:)` says.
    func rename(_ old: String, to new: String) throws(StoreError)
}

/// The machine's own file system.
package struct MachineFiles: StoreFiles {
    package init() {}

    package func create(_ path: String) throws(StoreError) {
        let descriptor = Glibc.open(path, O_CREAT | O_EXCL | O_RDWR, 0o600)
        guard descriptor >= 0 else { throw StoreError(errno: errno, path: path) }
        Glibc.close(descriptor)
    }

    package func head(of path: String, _ count: Int) throws(StoreError) -> (bytes: [UInt8], size: Int) {
        let descriptor = Glibc.open(path, O_RDONLY)
        guard descriptor >= 0 else { throw StoreError(errno: errno, path: path) }
        defer { Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: count)
        let found = Glibc.read(descriptor, &bytes, count)
        var status = stat()
        guard found >= 0, fstat(descriptor, &status) == 0 else {
            throw StoreError(errno: errno, path: path)
        }
        return (Array(bytes[..<found]), Int(status.st_size))
    }

    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package func remove(_ path: String) { unlink(path) }

    package func rename(_ old: String, to new: String) throws(StoreError) {
        guard Glibc.rename(old, new) == 0 else { throw StoreError(errno: errno, path: new) }
        // The name is on disk once the directory is.
        let parent = Glibc.open(String(new[..<(new.lastIndex(of: "/") ?? new.startIndex)]) + "/.", O_RDONLY)
        if parent >= 0 {
            fsync(parent)
            close(parent)
        }
    }
}
