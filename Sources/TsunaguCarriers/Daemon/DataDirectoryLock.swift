// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The right to be the one daemon of a data directory, held by the process for as long as this object lives.
///
/// A lock on an open file, which the system lifts however the process ends; the file itself stays and means nothing. It
/// names the holder's process and where it listens, for people and for the command line. Commands work beside a daemon
/// and do not take the lock. They do ask who holds it, which is why it is no `flock`: that can be asked about only by
/// taking it, and a daemon that starts at that moment would find itself locked out by a command.
package final class DataDirectoryLock: Sendable {
    package static let fileName = "daemon.lock"

    private let file: CInt

    /// - Throws: ``DataDirectoryLockError``
    package init(directory: String) throws(DataDirectoryLockError) {
        let path = directory + "/" + Self.fileName
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw errno == ENOENT ? .noDirectory(path: directory) : .unusable(path: path, reason: reason(errno))
        }

        var lock = wholeFile
        guard fcntl(file, setLock, &lock) == 0 else {
            let error = errno
            let holder = Holder(file: file)
            close(file)
            throw error == EAGAIN || error == EACCES
                ? .held(by: holder?.process, path: path)
                : .unusable(path: path, reason: reason(error))
        }
        // Not before it is ours: from here on `deinit` empties the file.
        self.file = file
        write(addresses: [])
    }

    deinit {
        // Emptied first, so that nobody reads of a process that is gone.
        ftruncate(file, 0)
        close(file)
    }

    /// Notes where the daemon listens: lines such as `hub https://127.0.0.1:8788`.
    package func write(addresses: [String]) {
        let text = (["pid \(getpid())"] + addresses).map { $0 + "\n" }.joined()
        // In this order a reader never finds the file empty.
        _ = Array(text.utf8).withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
        ftruncate(file, off_t(text.utf8.count))
    }

    /// The line of a hub that listens at every address of its machine: others do not reach it at the one that it names.
    static func withoutAddressForOthers(_ line: String) -> String {
        line.hasPrefix("hub ") ? "hub-everywhere" + line.dropFirst(3) : line
    }

    /// The daemon that holds a data directory just now; nil when none does.
    package static func holder(of directory: String) -> Holder? {
        let file = open(directory + "/" + fileName, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var lock = wholeFile
        guard fcntl(file, getLock, &lock) == 0, lock.l_type != Int16(F_UNLCK) else { return nil }
        return Holder(file: file)
    }

    /// What a lock file says of its holder.
    package struct Holder: Hashable, Sendable {
        package let process: Int32
        /// Such as `listening http://127.0.0.1:8787` and `hub https://127.0.0.1:8788`, or `hub-everywhere` with what reaches
        /// it from this machine.
        package let addresses: [String]

        /// The URL that stands after `word`: `listening`, `hub` or `hub-everywhere`.
        package func url(of word: String) -> String? {
            addresses.first { $0.hasPrefix(word + " ") }.map { String($0.dropFirst(word.utf8.count + 1)) }
        }

        fileprivate init?(file: CInt) {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
            guard count > 0 else { return nil }
            let lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init)
            guard let first = lines.first, first.hasPrefix("pid "), let process = Int32(first.dropFirst(4)) else {
                return nil
            }
            self.process = process
            self.addresses = Array(lines.dropFirst())
        }
    }
}

/// Why a daemon does not get its data directory.
package enum DataDirectoryLockError: Error, Hashable, Sendable {
    case noDirectory(path: String)
    case held(by: Int32?, path: String)
    case unusable(path: String, reason: String)
}

extension DataDirectoryLockError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noDirectory(let path):
            "there is no data directory \(path): make one with `tsunagu init` or `tsunagu join`"
        case .held(let process, let path):
            "another daemon\(process.map { " (process \($0))" } ?? "") holds this data directory: \(path); stop it first"
        case .unusable(let path, let reason):
            "cannot lock the data directory: \(path): \(reason)"
        }
    }
}

/// `F_OFD_GETLK` and `F_OFD_SETLK`, which Glibc declares for `_GNU_SOURCE` only; the numbers are Linux's for ever.
private let getLock: CInt = 36
private let setLock: CInt = 37

/// An exclusive lock on all of a file, however long it gets.
private var wholeFile: flock {
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    return lock
}

private func reason(_ error: CInt) -> String { String(cString: strerror(error)) }
