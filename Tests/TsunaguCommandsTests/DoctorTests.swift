// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore

import class TestSupport.Scratch

@Suite("What doctor sees and sets right")
struct DoctorTests {
    private func names(_ checks: [HealthCheck], where isWanted: (HealthCheck) -> Bool) -> [String] {
        checks.filter(isWanted).map(\.name)
    }

    private func filled() throws -> (ward: WardFixture, branch: Site) {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        for site in [ward.centre, branch] {
            for index in 0..<20 {
                _ = try site.addResident(["family_name=家\(index)", "phone=03-0000-\(1000 + index)"])
            }
        }
        for site in [branch, branch] { #expect(try ward.sync(site).upToDate) }
        return (ward, branch)
    }

    @Test func `Damaged runs are taken again from the hub, each checked against chain and seal`() throws {
        let (ward, branch) = try filled()
        let digests = try ward.digests(branch)
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write { db in
            for row in try Row.fetchAll(db, sql: "SELECT no, body FROM run WHERE signature IS NOT NULL") {
                var body: Data = row["body"]
                body[body.count / 2] ^= 16
                try db.execute(sql: "UPDATE run SET body = ? WHERE no = ?", arguments: [body, row["no"] as Int64])
            }
        }
        let faulty = try names(branch.doctor()) { !$0.ok }
        #expect(faulty.contains("log"))
        // A hub that cannot be reached leaves all as it is.
        let alone = try branch.repair { _ in throw TransportError.unreachable("nobody") }
        #expect(alone.contains { !$0.done })
        #expect(try !branch.doctor().allSatisfy(\.ok))
        // One that breaks off after a few leaves what came; the next call goes on.
        var left = 3
        _ = try branch.repair { _ in
            let transport = ward.transport()
            transport.onPost = { path, _ in
                guard path == "/v1/exchange" else { return }
                left -= 1
                if left < 0 { throw TransportError.unreachable("cut") }
            }
            return transport
        }
        let steps = try branch.repair { _ in ward.transport() }
        #expect(steps.filter { !$0.done }.isEmpty, "\(steps)")
        #expect(try branch.doctor().allSatisfy(\.ok))
        #expect(try ward.digests(branch) == digests)
        #expect(try ward.sync(branch).upToDate)
    }

    @Test func `A hub that answers with another run is not believed`() throws {
        let (ward, branch) = try filled()
        let other = try filled()
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write { try $0.execute(sql: "UPDATE run SET body = x'0100' WHERE no = 2") }
        let place = try #require(try branch.read { try $0.verify().damagedRuns }.first)
        let foreign = try other.ward.centre.read { transaction in
            try transaction.runs(of: place.space, lacking: [:]).compactMap { try transaction.run($0) }
        }
        for run in foreign {
            var run = run
            (run.replica, run.first) = (place.replica, place.first)
            #expect(try !branch.write { try $0.replaceRun(place, with: [run]) })
        }
        var cut = try #require(try ward.centre.read { try $0.sealedRun(place) })
        cut.count += 1
        #expect(try !branch.write { try $0.replaceRun(place, with: [cut]) })
    }

    // MARK: - What is lost

    @Test(arguments: ["system", "residents", "procedures", "cases"])
    func `A space that lost its row is named by the seals in its log`(_ space: String) throws {
        let (ward, branch) = try filled()
        let digests = try ward.digests(branch)
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write { try $0.execute(sql: "DELETE FROM space WHERE name = ?", arguments: [space]) }
        let failure = try #require(try ward.sync(branch).failure)
        #expect(failure.hint?.en.contains("doctor --repair") == true, "\(failure)")
        let log = try #require(try branch.doctor().first { $0.name == "log" })
        #expect(!log.ok && log.repair?.en.contains("doctor --repair") == true, "\(log)")
        let steps = try branch.repair { _ in ward.transport() }
        #expect(!steps.isEmpty && steps.allSatisfy(\.done), "\(steps)")
        #expect(try branch.doctor().allSatisfy(\.ok))
        #expect(try ward.digests(branch) == digests)
        #expect(try ward.sync(branch).upToDate)
    }

    @Test func `A space whose log is not sealed yet is named by its hashes, and by nothing less`() throws {
        let ward = try WardFixture()
        for index in 0..<5 { _ = try ward.centre.addResident(["family_name=家\(index)"]) }
        let digests = try ward.digests(ward.centre)
        let queue = try DatabaseQueue(path: ward.centre.directory.database)
        try queue.write { try $0.execute(sql: "DELETE FROM space WHERE name = 'residents'") }
        _ = try ward.centre.repair { _ in ward.transport() }
        #expect(try ward.digests(ward.centre) == digests)
        #expect(try ward.centre.doctor().allSatisfy(\.ok))

        try queue.write { db in
            let log = "(SELECT no FROM space WHERE name = 'residents')"
            try db.execute(sql: "UPDATE run SET body = x'00' WHERE space = \(log)")
            try db.execute(sql: "DELETE FROM space WHERE name = 'residents'")
        }
        func rows() throws -> [[DatabaseValue]] {
            try queue.read { db in
                try ["space", "record", "resident", "item", "run", "chain"].map { table in
                    try Row.fetchAll(db, sql: "SELECT * FROM \(table)").flatMap { Array($0.databaseValues) }
                }
            }
        }
        let before = try rows()
        _ = try ward.centre.repair { _ in ward.transport() }
        #expect(try rows() == before)
        let log = try #require(try ward.centre.doctor().first { $0.name == "log" })
        #expect(log.repair?.en.contains("backup") == true, "\(log)")
    }

    /// A branch that took the centre's residents in several runs.
    private func inRuns() throws -> (ward: WardFixture, branch: Site) {
        let (ward, branch) = try filled()
        for index in 0..<4 {
            _ = try ward.centre.addResident(["family_name=人\(index)"])
            #expect(try ward.sync(branch).upToDate)
        }
        return (ward, branch)
    }

    /// The log by chains; each chain's rows stand in its order.
    private func log(_ site: Site) throws -> [[DatabaseValue]] {
        let rows = try DatabaseQueue(path: site.directory.database).read {
            try Row.fetchAll($0, sql: "SELECT * FROM run ORDER BY space, author, first")
        }
        for (row, next) in zip(rows, rows.dropFirst())
        where row["space"] == next["space"] as Int && row["author"] == next["author"] as Int {
            #expect(row["no"] < next["no"] as Int)
        }
        return rows.map { Array($0.databaseValues.dropFirst()) }
    }

    /// The centre's runs of residents at the branch, by their place.
    private static let chain = """
        SELECT no FROM run WHERE space = (SELECT no FROM space WHERE name = 'residents')
        AND author = (SELECT author FROM run ORDER BY last DESC LIMIT 1)
        """

    @Test(arguments: [[1], [2, 3], [4], [0, 2, 4]], [true, false])
    func `Lost runs are named, asked for at every sync, and come back to their places`(
        _ places: [Int],
        _ isRepaired: Bool
    ) throws {
        let (ward, branch) = try inRuns()
        let before = try log(branch)
        let queue = try DatabaseQueue(path: branch.directory.database)
        let lost = try queue.write { db in
            let rows = try Int64.fetchAll(db, sql: Self.chain + " ORDER BY first")
            try #require(rows.count >= 5)
            for place in places {
                try db.execute(sql: "DELETE FROM run WHERE no = ?", arguments: [rows[place]])
            }
            return places.count
        }
        let check = try #require(try branch.doctor().first { $0.name == "log" })
        #expect(!check.ok && check.detail.en.contains("lost"), "\(check)")
        #expect(try !branch.status().lost.isEmpty && branch.status().lost.count <= lost)
        if isRepaired {
            let steps = try branch.repair { _ in ward.transport() }
            #expect(!steps.isEmpty && steps.allSatisfy(\.done), "\(steps)")
        } else {
            let report = try ward.sync(branch)
            #expect(report.upToDate, "\(report)")
        }
        #expect(try log(branch) == before)
        #expect(try branch.doctor().allSatisfy(\.ok))
        #expect(try branch.status().lost.isEmpty)
    }

    @Test func `Nobody is up to date who lost a run that the peer lost too`() throws {
        let (ward, branch) = try inRuns()
        for site in [ward.centre, branch] {
            try DatabaseQueue(path: site.directory.database).write { db in
                let rows = try Int64.fetchAll(db, sql: Self.chain + " ORDER BY first")
                try db.execute(sql: "DELETE FROM run WHERE no = ?", arguments: [rows[2]])
            }
        }
        #expect(try branch.repair { _ in ward.transport() }.contains { !$0.done } == true)
        for _ in 0..<2 {
            let report = try ward.sync(branch)
            #expect(!report.upToDate)
            #expect(report.failure?.message.en.contains("lost") == true, "\(report)")
        }
    }

    @Test func `What was written here and lost before it was sent is told with its records`() throws {
        let (ward, branch) = try filled()
        let id = try branch.addResident(["family_name=佐藤"])
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write { try $0.execute(sql: "DELETE FROM run WHERE no = (SELECT max(no) FROM run)") }
        #expect(try branch.status().lost.map(\.space.name) == ["residents"])
        let report = try ward.sync(branch)
        #expect(!report.upToDate)
        let failure = try #require(report.failure)
        #expect(failure.message.en.contains("nobody has them") && failure.message.en.contains(id.description))
        #expect(failure.hint?.en.contains("backup") == true)
    }

    @Test func `A repair that is repeated, or has nothing to do, changes nothing`() throws {
        let (ward, branch) = try filled()
        #expect(try branch.repair { _ in ward.transport() }.isEmpty)
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write {
            try $0.execute(sql: "UPDATE resident SET phone = 'x'; DELETE FROM seed; UPDATE run SET base = x'00'")
        }
        let steps = try branch.repair { _ in ward.transport() }
        #expect(Set(steps.map(\.name)) == ["log", "tables"])
        #expect(try branch.repair { _ in ward.transport() }.isEmpty)
        #expect(try branch.doctor().allSatisfy(\.ok))
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
    }

    @Test func `An index that lost its way is made anew`() throws {
        let (ward, branch) = try filled()
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA writable_schema = 1")
            try db.execute(
                sql:
                    "UPDATE sqlite_schema SET sql = 'CREATE INDEX conflict_by_id ON conflict(grp)' WHERE name = 'conflict_by_id'"
            )
            try db.execute(sql: "PRAGMA writable_schema = RESET")
            try db.execute(sql: "INSERT INTO conflict SELECT rid, 9, 'abcdefghijkl' FROM record LIMIT 1")
            try db.execute(sql: "PRAGMA writable_schema = 1")
            try db.execute(
                sql:
                    "UPDATE sqlite_schema SET sql = 'CREATE INDEX conflict_by_id ON conflict(id)' WHERE name = 'conflict_by_id'"
            )
            try db.execute(sql: "PRAGMA writable_schema = RESET")
        }
        try queue.close()
        let opened = try Site.open(branch.directory, person: WardFixture.clerk)
        let faulty = try names(opened.doctor()) { !$0.ok }
        #expect(faulty == ["database", "tables"])
        let steps = try opened.repair { _ in ward.transport() }
        #expect(steps.map(\.name) == ["database"] && steps.allSatisfy(\.done))
        #expect(try opened.doctor().allSatisfy(\.ok))
    }

    /// Overwrites the first page of a table or an index.
    private func strike(_ name: String, at site: Site, with byte: UInt8?) throws -> Site {
        let file = site.directory.database
        let page = try DatabaseQueue(path: file).read {
            try Int.fetchOne($0, sql: "SELECT rootpage FROM sqlite_schema WHERE name = ?", arguments: [name])
        }
        try site.store.checkpoint()
        try site.store.close()
        let handle = try #require(FileHandle(forUpdatingAtPath: file))
        try handle.seek(toOffset: UInt64(try #require(page) - 1) * 4096)
        try handle.write(contentsOf: (0..<4096).map { byte ?? UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 5) })
        try handle.close()
        return try Site.open(site.directory, person: WardFixture.clerk)
    }

    @Test(
        arguments: [
            "resident", "device", "record", "record_by_id", "item", "history", "part", "conflict_by_id",
            "run_by_author", "run_unsealed",
        ],
        [0, nil] as [UInt8?]
    )
    func `Damaged pages of indexes and of what the log tells are made anew`(_ name: String, _ byte: UInt8?) throws {
        let (ward, branch) = try filled()
        let digests = try ward.digests(branch)
        let struck = try strike(name, at: branch, with: byte)
        let database = try #require(try struck.doctor().first { $0.name == "database" })
        #expect(!database.ok && database.repair?.en.contains("doctor --repair") == true, "\(database)")
        let steps = try struck.repair { _ in ward.transport() }
        #expect(steps.map(\.name) == ["database"] && steps.allSatisfy(\.done), "\(steps)")
        #expect(try struck.doctor().allSatisfy(\.ok))
        #expect(try ward.digests(struck) == digests)
        #expect(try ward.sync(struck).upToDate)
    }

    @Test(arguments: ["run", "chain", "author", "space"])
    func `A file whose log is damaged is left as it is`(_ name: String) throws {
        let (ward, branch) = try filled()
        let struck = try strike(name, at: branch, with: 0)
        let database = try #require(try struck.doctor().first { $0.name == "database" })
        #expect(!database.ok && database.repair?.en.contains("backup") == true, "\(database)")
        let before = try Data(contentsOf: URL(fileURLWithPath: branch.directory.database))
        let steps = try struck.repair { _ in ward.transport() }
        #expect(steps.contains { $0.name == "database" && !$0.done && $0.detail.en.contains("backup") }, "\(steps)")
        try struck.store.checkpoint()
        #expect(try Data(contentsOf: URL(fileURLWithPath: branch.directory.database)) == before)
    }

    @Test func `What others could read is closed, and what waits unreadably is dropped and comes again`() throws {
        let (ward, branch) = try filled()
        for name in [branch.directory.path, branch.directory.deviceKey] { #expect(chmod(name, 0o755) == 0) }
        let queue = try DatabaseQueue(path: branch.directory.database)
        try queue.write { db in
            try db.execute(
                sql: """
                    INSERT INTO holding(space, replica, first, count, signature, body, presenter, cause, cause_space,
                    cause_replica, cause_seq) SELECT 'residents', zeroblob(24), 2, 1, zeroblob(64), x'00', zeroblob(16),
                    0, 'residents', zeroblob(24), 1;
                    INSERT INTO staged VALUES
                    (zeroblob(16), 'residents', zeroblob(3), 0, 1, 10, zeroblob(16), zeroblob(4))
                    """
            )
        }
        #expect(try names(branch.doctor()) { !$0.ok } == ["waiting", "permissions"])
        let steps = try branch.repair { _ in ward.transport() }
        #expect(steps.map(\.name) == ["permissions", "permissions", "waiting"])
        #expect(steps.filter { !$0.done }.isEmpty)
        #expect(try branch.doctor().allSatisfy(\.ok))
    }

    // MARK: - The clock

    @Test(arguments: [(0, false), (59, false), (-59, false), (61, true), (-7200, true)] as [(Int64, Bool)])
    func `A clock that is a minute off the hub's is a warning and no fault`(_ seconds: Int64, _ warns: Bool) throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let transport = ward.transport()
        transport.peerTime = UInt64(Int64(branch.store.now()) + seconds * 1000)
        #expect(try branch.sync(with: transport).upToDate)
        let clock = try #require(try branch.doctor().first { $0.name == "clock" })
        #expect(clock.ok && clock.isWarning == warns, "\(clock)")
        #expect((clock.repair != nil) == warns)
        // The next exchange tells again.
        transport.peerTime = branch.store.now()
        _ = try branch.sync(with: transport)
        #expect(try branch.doctor().first { $0.name == "clock" }?.isWarning == false)
    }

    // MARK: - The disk

    /// A machine's devices as `/sys` shows them.
    private final class Devices {
        let root: Scratch

        init() throws { root = try Scratch() }

        func add(_ number: String, name: String, uuid: String? = nil, on slaves: [String] = []) throws {
            let device = "\(root.path)/devices/\(name)"
            for folder in [device + "/slaves", root.path + "/dev/block", root.path + "/class/block"] {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            if let uuid {
                try FileManager.default.createDirectory(atPath: device + "/dm", withIntermediateDirectories: true)
                try (uuid + "\n").write(toFile: device + "/dm/uuid", atomically: true, encoding: .utf8)
            }
            for slave in slaves {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(device)/slaves/\(slave)",
                    withDestinationPath: "\(root.path)/devices/\(slave)"
                )
            }
            for link in ["dev/block/\(number)", "class/block/\(name)"] {
                try FileManager.default.createSymbolicLink(
                    atPath: "\(root.path)/\(link)",
                    withDestinationPath: device
                )
            }
        }

        func look(at path: String, _ mounts: String, isEncrypted: Bool? = nil) -> DiskEncryption {
            let sources = DiskEncryption.Sources(mounts: mounts, system: root.path) { _ in isEncrypted }
            return DiskEncryption(under: path, sources)
        }
    }

    @Test func `Encryption is found below the file system, however many layers down`() throws {
        let devices = try Devices()
        try devices.add("8:1", name: "sda1")
        try devices.add("8:2", name: "sda2")
        try devices.add("253:0", name: "dm-0", uuid: "CRYPT-LUKS2-abc-root", on: ["sda2"])
        try devices.add("253:1", name: "dm-1", uuid: "LVM-xyz", on: ["dm-0"])
        try devices.add("253:2", name: "dm-2", uuid: "LVM-mixed", on: ["dm-0", "sda1"])
        let mounts = """
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
            23 22 253:1 / /home rw - ext4 /dev/mapper/home rw
            24 22 253:2 / /mixed rw - xfs /dev/mapper/mixed rw
            25 22 253:0 / /my\\040data rw - ext4 /dev/mapper/data rw
            26 22 0:30 /sub /butter rw master:2 - btrfs /dev/dm-0 rw
            27 22 0:31 / /net rw - nfs4 server:/export rw
            28 22 0:32 / /private rw - ecryptfs /home/.private rw
            29 22 0:33 / /memory rw - tmpfs tmpfs rw
            30 22 8:1 / /twice rw - ext4 /dev/sda1 rw
            31 30 253:0 / /twice rw - ext4 /dev/mapper/data rw
            """
        let expected: [(String, DiskEncryption)] = [
            ("/var/lib", .none), ("/home/ward", .encrypted), ("/homework", .none), ("/mixed/a", .none),
            ("/my data/a", .encrypted), ("/butter/a", .encrypted), ("/net/a", .unknown), ("/private", .encrypted),
            ("/memory/a", .unknown), ("/twice/a", .encrypted),
        ]
        for (path, encryption) in expected { #expect(devices.look(at: path, mounts) == encryption, "\(path)") }
        #expect(devices.look(at: "/var/lib", mounts, isEncrypted: true) == .encrypted)
        #expect(devices.look(at: "/var/lib", mounts, isEncrypted: false) == .none)
        #expect(devices.look(at: "/var/lib", "") == .unknown)
        #expect(devices.look(at: "/var/lib", "rubbish - \n1 2 3 4 5 - x") == .unknown)
    }

    @Test func `A disk without encryption, or one that does not tell, is a warning and no fault`() throws {
        let ward = try WardFixture()
        let devices = try Devices()
        try devices.add("8:1", name: "sda1")
        try devices.add("253:0", name: "dm-0", uuid: "CRYPT-LUKS2-abc-root", on: ["sda1"])
        for (number, warns) in [("8:1", true), ("253:0", false), ("0:99", true)] {
            let sources = DiskEncryption.Sources(
                mounts: "22 1 \(number) / / rw - ext4 none rw",
                system: devices.root.path
            ) { _ in nil }
            let check = try #require(try ward.centre.doctor(sources).first { $0.name == "disk_encryption" })
            #expect(check.ok && check.isWarning == warns)
            #expect((check.repair != nil) == warns)
        }
    }
}
