// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

#if canImport(Glibc)
    import Glibc
#endif

/// The files of one site: private from the moment they exist.
package struct DataDirectory: Sendable {
    package let path: String

    package init(_ path: String) { self.path = path }

    package var database: String { path + "/ward.sqlite" }
    package var deviceKey: String { path + "/device.key" }
    /// What the ward office said when this device's rights ended; where it stands, everything else is erased.
    package var farewell: String { path + "/farewell.txt" }
    /// What programs of the owner show to the daemon's local API.
    package var apiToken: String { path + "/api-token" }
    package var hubKey: String { path + "/hub-key.pem" }
    package var hubCertificate: String { path + "/hub-certificate.pem" }

    /// What only the owner may read, beside the database.
    var secrets: [String] { [deviceKey, hubKey, hubCertificate, apiToken] }

    /// A copy of the database while a backup is made.
    var backupCopy: String { path + "/backup.new" }
    /// Where a backup is unpacked before it takes its place.
    var unpacked: DataDirectory { DataDirectory(path + "/restore.new") }

    /// Removes all that a device that leaves must not keep: also what a restore kept beside, and what a power cut left half
    /// made.
    func erase() {
        let own = [database, backupCopy] + secrets
        let files = names().map { path + "/" + $0 }.filter { file in own.contains { file.hasPrefix($0) } }
        for file in files + unpacked.names().map({ unpacked.path + "/" + $0 }) { Self.remove(file) }
        rmdir(unpacked.path)
    }

    /// The ending of what is set aside: nobody is to lose what he may need after all.
    static func aside(_ environment: Store.Environment) -> String { "." + String(environment.now()) + ".replaced" }

    /// Which ward the keys here are of; `nil` where there are none, or they were in no ward.
    var ward: DeviceID? { (try? Self.read(deviceKey)).flatMap { DeviceKeys($0) }?.root }

    private func names() -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes the directory and its parents; only the owner may enter.
    package func create() throws {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            prefix += prefix.isEmpty && part.isEmpty ? "/" : (prefix.isEmpty || prefix == "/" ? "" : "/") + part
            guard !prefix.isEmpty, prefix != "/" else { continue }
            guard mkdir(prefix, 0o700) == 0 || errno == EEXIST else { throw Self.failure(prefix) }
        }
        guard chmod(path, 0o700) == 0 else { throw Self.failure(path) }
    }

    /// Writes a private file whole or not at all: beside it first, then renamed over it.
    package static func write(_ text: String, to path: String) throws {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_CREAT | O_EXCL | O_WRONLY, 0o600)
        guard descriptor >= 0 else { throw failure(temporary) }
        var text = text
        let written = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        let isSafe = written == text.utf8.count && fsync(descriptor) == 0
        close(descriptor)
        guard isSafe else {
            let failure = failure(path)
            unlink(temporary)
            throw failure
        }
        try rename(temporary, to: path)
    }

    /// Gives a file its name for good.
    package static func rename(_ old: String, to new: String) throws {
        try Site.translating { try MachineFiles().rename(old, to: new) }
    }

    /// Removes a file that may not be there.
    package static func remove(_ path: String) { MachineFiles().remove(path) }

    /// Whether there is a file.
    package static func exists(_ path: String) -> Bool { MachineFiles().exists(path) }

    /// The text of a file; `nil` where there is none.
    package static func read(_ path: String) throws -> String? {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    private static func failure(_ path: String) -> CommandError {
        let reason = String(cString: strerror(errno))
        return CommandError(
            .failed,
            Localized(ja: "ファイルを扱えません: \(path): \(reason)", en: "cannot use the file \(path): \(reason)"),
            hint: Localized(ja: "権限と空き容量を確かめてください", en: "check permissions and free space")
        )
    }
}
