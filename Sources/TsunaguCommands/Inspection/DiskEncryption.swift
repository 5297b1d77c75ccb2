// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#endif

/// Whether what lies under a directory is encrypted, as far as Linux tells.
package enum DiskEncryption: String, Sendable {
    case encrypted
    case none
    /// A network, a container or a file system that does not say.
    case unknown

    /// Where Linux tells; a test has files of its own.
    package struct Sources: Sendable {
        /// The text of `/proc/self/mountinfo`.
        package var mounts: String
        /// `/sys`.
        package var system: String
        /// Whether the file system itself encrypts a directory (fscrypt); `nil` where it does not say.
        package var isEncrypted: @Sendable (String) -> Bool?

        package init(mounts: String, system: String, isEncrypted: @escaping @Sendable (String) -> Bool?) {
            self.mounts = mounts
            self.system = system
            self.isEncrypted = isEncrypted
        }

        package static var machine: Sources {
            Sources(
                mounts: (try? DataDirectory.read("/proc/self/mountinfo") ?? "") ?? "",
                system: "/sys",
                isEncrypted: Self.hasEncryptFlag
            )
        }

        private static let hasEncryptFlag: @Sendable (String) -> Bool? = { path in
            let descriptor = open(path, O_RDONLY | O_DIRECTORY)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            var flags: UInt64 = 0
            // FS_IOC_GETFLAGS and FS_ENCRYPT_FL of linux/fs.h.
            guard ioctl(descriptor, 0x8008_6601, &flags) == 0 else { return nil }
            return flags & 0x800 != 0
        }
    }

    /// Looks under a directory, whose path has no symbolic links.
    package init(under path: String, _ sources: Sources) {
        if sources.isEncrypted(path) == true {
            self = .encrypted
            return
        }
        guard let mount = Mount.holding(path, in: sources.mounts) else {
            self = .unknown
            return
        }
        if ["ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.securefs"].contains(mount.type) {
            self = .encrypted
            return
        }
        guard let device = mount.device(in: sources.system) else {
            self = .unknown
            return
        }
        self = Self.isEncrypted(device, depth: 0) ? .encrypted : .none
    }

    /// A device is encrypted by itself, or where everything that it is made of is.
    private static func isEncrypted(_ device: String, depth: Int) -> Bool {
        let uuid = (try? DataDirectory.read(device + "/dm/uuid")) ?? nil
        if uuid?.utf8.starts(with: "CRYPT-".utf8) == true { return true }
        let parts = DataDirectory.names(in: device + "/slaves")
        return !parts.isEmpty && depth < 8
            && parts.allSatisfy { isEncrypted(device + "/slaves/" + $0, depth: depth + 1) }
    }

    private struct Mount {
        let point: String
        let number: String
        let type: String
        let source: String

        /// The innermost mount that holds a path; of several at one place the last, which hides the others.
        static func holding(_ path: String, in text: String) -> Mount? {
            var found: Mount?
            for line in text.split(separator: "\n") {
                let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
                guard parts.count > 6, let dash = parts.firstIndex(of: "-"), parts.count > dash + 2 else { continue }
                let mount = Mount(
                    point: unescaped(parts[4]),
                    number: parts[2],
                    type: parts[dash + 1],
                    source: unescaped(parts[dash + 2])
                )
                let isInside = mount.point == "/" || path == mount.point || path.hasPrefix(mount.point + "/")
                if isInside, mount.point.utf8.count >= found?.point.utf8.count ?? 0 { found = mount }
            }
            return found
        }

        /// The folder of its block device; file systems over several devices have a number that is none's.
        func device(in system: String) -> String? {
            let byNumber = "\(system)/dev/block/\(number)"
            if DataDirectory.exists(byNumber) { return byNumber }
            guard source.hasPrefix("/dev/") else { return nil }
            let path = DataDirectory.resolved(source) ?? source
            let byName = "\(system)/class/block/" + path.split(separator: "/").last!
            return DataDirectory.exists(byName) ? byName : nil
        }

        /// Blanks stand as `\040` there.
        private static func unescaped(_ text: String) -> String {
            var out: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while let byte = rest.popFirst() {
                guard byte == UInt8(ascii: "\\"),
                    let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
                else {
                    out.append(byte)
                    continue
                }
                out.append(code)
                rest = rest.dropFirst(3)
            }
            return String(decoding: out, as: UTF8.self)
        }
    }
}

extension DataDirectory {
    /// The names in a directory, none where it cannot be read.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var out: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { out.append(name) }
        }
        return out.sorted()
    }

    /// A path without symbolic links; `nil` where there is nothing.
    static func resolved(_ path: String) -> String? {
        guard let name = realpath(path, nil) else { return nil }
        defer { free(name) }
        return String(cString: name)
    }
}
