// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDBSQLite
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// SQLite's door to the simulated disks: files below a mounted path live in memory, all others where they always did.
package enum SimulatedVFS {
    private static let disks = Mutex<[String: SimulatedDisk]>([:])

    /// Makes all files whose path begins with `prefix` live on `disk`.
    package static func mount(_ disk: SimulatedDisk, at prefix: String) {
        register
        disks.withLock { $0[prefix] = disk }
    }

    package static func unmount(_ prefix: String) { disks.withLock { $0[prefix] = nil } }

    private static func disk(of name: UnsafePointer<CChar>?) -> (SimulatedDisk, String)? {
        guard let name else { return nil }
        let path = String(cString: name)
        let mounted = disks.withLock { disks in
            // "/a/site1/" and "/a/site11/" differ by their last slash.
            path.lastIndex(of: "/").flatMap { disks[String(path[...$0])] }
        }
        return mounted.map { ($0, path) }
    }

    // MARK: - Registration

    /// The machine's own VFS, which does for all other files what it always did.
    nonisolated(unsafe) private static let base = sqlite3_vfs_find(nil)!

    nonisolated(unsafe) private static let vfs: UnsafeMutablePointer<sqlite3_vfs> = {
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: base.pointee)
        vfs.pointee.zName = UnsafePointer(strdup("tsunagu-simulation"))
        vfs.pointee.szOsFile = max(base.pointee.szOsFile, Int32(MemoryLayout<OpenFile>.size))
        vfs.pointee.xOpen = open
        vfs.pointee.xDelete = delete
        vfs.pointee.xAccess = access
        vfs.pointee.xFullPathname = fullPathname
        return vfs
    }()

    private static let register: Void = { sqlite3_vfs_register(vfs, 1) }()

    // MARK: - Names

    private static let open:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, sqlite3_filename?, UnsafeMutablePointer<sqlite3_file>?, Int32,
            UnsafeMutablePointer<Int32>?
        ) -> Int32 = { _, name, file, flags, outFlags in
            guard let (disk, path) = disk(of: name) else {
                return base.pointee.xOpen(base, name, file, flags, outFlags)
            }
            do {
                let handle = try disk.open(path, creating: flags & SQLITE_OPEN_CREATE != 0)
                OpenFile.initialize(file!, disk, handle)
                outFlags?.pointee = flags
                return SQLITE_OK
            } catch {
                file?.pointee.pMethods = nil
                return SQLITE_CANTOPEN
            }
        }

    private static let delete:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32
        ) -> Int32 = { _, name, sync in
            guard let (disk, path) = disk(of: name) else { return base.pointee.xDelete(base, name, sync) }
            return SimulatedVFS.code { () throws(SimulatedDisk.Failure) in try disk.delete(path) }
        }

    private static let access:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32, UnsafeMutablePointer<Int32>?
        ) -> Int32 = { _, name, flags, result in
            guard let (disk, path) = disk(of: name) else { return base.pointee.xAccess(base, name, flags, result) }
            result?.pointee = disk.exists(path) ? 1 : 0
            return SQLITE_OK
        }

    private static let fullPathname:
        @convention(c) (
            UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32, UnsafeMutablePointer<CChar>?
        ) -> Int32 = { _, name, size, out in
            guard let (_, path) = disk(of: name) else { return base.pointee.xFullPathname(base, name, size, out) }
            guard path.utf8.count < size else { return SQLITE_CANTOPEN }
            strcpy(out!, path)
            return SQLITE_OK
        }

    fileprivate static func code(_ body: () throws(SimulatedDisk.Failure) -> Void) -> Int32 {
        do throws(SimulatedDisk.Failure) {
            try body()
            return SQLITE_OK
        } catch {
            switch error {
            case .off: return SQLITE_IOERR
            case .full: return SQLITE_FULL
            case .readError: return ExtendedCode.read
            case .missing: return ExtendedCode.deleteMissing
            }
        }
    }
}

/// What stands where SQLite keeps an open file.
private struct OpenFile {
    var base: sqlite3_file
    var content: Unmanaged<Content>

    final class Content {
        let disk: SimulatedDisk
        let handle: SimulatedDisk.Handle

        init(_ disk: SimulatedDisk, _ handle: SimulatedDisk.Handle) {
            self.disk = disk
            self.handle = handle
        }
    }

    static func initialize(
        _ file: UnsafeMutablePointer<sqlite3_file>,
        _ disk: SimulatedDisk,
        _ handle: SimulatedDisk.Handle
    ) {
        UnsafeMutableRawPointer(file).initializeMemory(
            as: OpenFile.self,
            to: OpenFile(base: sqlite3_file(pMethods: methods), content: .passRetained(Content(disk, handle)))
        )
    }

    private static func content(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Unmanaged<Content> {
        UnsafeMutableRawPointer(file!).assumingMemoryBound(to: OpenFile.self).pointee.content
    }

    private typealias File = UnsafeMutablePointer<sqlite3_file>?

    private static func with(
        _ file: File,
        _ body: (SimulatedDisk, SimulatedDisk.Handle) throws(SimulatedDisk.Failure) -> Void
    ) -> Int32 {
        let content = content(file).takeUnretainedValue()
        return SimulatedVFS.code { () throws(SimulatedDisk.Failure) in try body(content.disk, content.handle) }
    }

    nonisolated(unsafe) private static let methods: UnsafePointer<sqlite3_io_methods> = {
        var methods = sqlite3_io_methods()
        methods.iVersion = 2
        methods.xClose = { file in
            content(file).release()
            return SQLITE_OK
        }
        methods.xRead = { file, buffer, count, offset in
            let buffer = UnsafeMutableRawBufferPointer(start: buffer, count: Int(count))
            var found = 0
            let code = with(file) { (disk, handle) throws(SimulatedDisk.Failure) in
                found = try disk.read(handle, buffer, at: Int(offset))
            }
            guard code == SQLITE_OK, found < buffer.count else { return code }
            UnsafeMutableRawBufferPointer(rebasing: buffer[found...]).initializeMemory(as: UInt8.self, repeating: 0)
            return ExtendedCode.shortRead
        }
        methods.xWrite = { file, bytes, count, offset in
            with(file) { (disk, handle) throws(SimulatedDisk.Failure) in
                try disk.write(handle, UnsafeRawBufferPointer(start: bytes, count: Int(count)), at: Int(offset))
            }
        }
        methods.xTruncate = { file, size in
            with(file) { (disk, handle) throws(SimulatedDisk.Failure) in try disk.truncate(handle, to: Int(size)) }
        }
        methods.xSync = { file, _ in
            with(file) { (disk, handle) throws(SimulatedDisk.Failure) in try disk.sync(handle) }
        }
        methods.xFileSize = { file, size in
            with(file) { (disk, handle) throws(SimulatedDisk.Failure) in
                size?.pointee = Int64(try disk.size(handle))
            }
        }
        // One process has a file open at a time: there is nobody to lock out.
        methods.xLock = { _, _ in SQLITE_OK }
        methods.xUnlock = { _, _ in SQLITE_OK }
        methods.xCheckReservedLock = { _, result in
            result?.pointee = 0
            return SQLITE_OK
        }
        methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        methods.xSectorSize = { _ in Int32(SimulatedDisk.sectorBytes) }
        // As on Linux: a write harms nothing beside it. Otherwise SQLite fills the sector behind a commit, and a commit that
        // fails there is told as such, but comes back with the power.
        methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
        methods.xShmMap = { file, index, size, making, region in
            with(file) { (disk, handle) throws(SimulatedDisk.Failure) in
                region?.pointee = try disk.region(handle, Int(index), bytes: Int(size), making: making != 0)
            }
        }
        methods.xShmLock = { _, _, _, _ in SQLITE_OK }
        methods.xShmBarrier = { _ in }
        methods.xShmUnmap = { file, isDeleting in
            let content = content(file).takeUnretainedValue()
            if isDeleting != 0 { content.disk.dropRegions(content.handle) }
            return SQLITE_OK
        }
        let pointer = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        pointer.initialize(to: methods)
        return UnsafePointer(pointer)
    }()
}

/// Extended result codes, which C makes by macros that Swift does not see.
private enum ExtendedCode {
    static let read = SQLITE_IOERR | 1 << 8
    static let shortRead = SQLITE_IOERR | 2 << 8
    static let deleteMissing = SQLITE_IOERR | 23 << 8
}
