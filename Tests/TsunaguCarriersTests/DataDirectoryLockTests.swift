// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import TsunaguCarriers

import class TestSupport.Scratch

struct DataDirectoryLockTests {
    @Test("A second daemon is told which process is first, and may start when that one has ended")
    func heldTwice() throws {
        let directory = try Scratch()
        let path = directory.path + "/daemon.lock"
        do {
            let lock = try DataDirectoryLock(directory: directory.path)
            let error = #expect(throws: DataDirectoryLockError.self) {
                try DataDirectoryLock(directory: directory.path)
            }
            #expect(error == .held(by: getpid(), path: path))
            #expect(error?.description.contains("process \(getpid())") == true)
            #expect(DataDirectoryLock.holder(of: directory.path)?.process == getpid(), "the attempt left no trace")
            withExtendedLifetime(lock) {}
        }
        _ = try DataDirectoryLock(directory: directory.path)
    }

    @Test("Commands learn where the running daemon listens, and nothing of one that has ended")
    func holder() throws {
        let directory = try Scratch()
        #expect(DataDirectoryLock.holder(of: directory.path) == nil)
        do {
            let lock = try DataDirectoryLock(directory: directory.path)
            #expect(DataDirectoryLock.holder(of: directory.path)?.process == getpid())
            lock.write(addresses: ["listening http://127.0.0.1:1", "hub https://127.0.0.1:22"])
            let holder = try #require(DataDirectoryLock.holder(of: directory.path))
            #expect(holder.process == getpid())
            #expect(holder.url(of: "listening") == "http://127.0.0.1:1")
            #expect(holder.url(of: "hub") == "https://127.0.0.1:22")
            #expect(holder.url(of: "other") == nil)
            lock.write(addresses: [])
            #expect(DataDirectoryLock.holder(of: directory.path)?.url(of: "hub") == nil)
        }
        #expect(DataDirectoryLock.holder(of: directory.path) == nil)
    }

    @Test("A directory that does not exist is told by its path")
    func noDirectory() {
        #expect(throws: DataDirectoryLockError.noDirectory(path: "/nonexistent")) {
            try DataDirectoryLock(directory: "/nonexistent")
        }
    }
}
