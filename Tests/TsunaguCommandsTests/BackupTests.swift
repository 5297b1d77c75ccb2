// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// Backups, and sites that come out of them.
@Suite("Backups")
struct BackupTests {
    private static let passphrase = Array("合言葉は長く".utf8)

    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(
                try transaction.records(site.store.schema.collection(named: "resident")!, where: "deleted = 0")
                    .compactMap { $0.text("family_name") }
            )
        }
    }

    private func restore(_ directory: DataDirectory, _ file: String, force: Bool = false) throws -> Site {
        try Site.restore(
            directory,
            from: file,
            passphrase: Self.passphrase,
            person: WardFixture.clerk,
            force: force
        )
    }

    @Test func `A restored site is another replica, keeps what was unsent, and gets what came since`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        _ = try branch.addResident(["family_name=送信済み"])
        try ward.sync(branch)
        _ = try branch.addResident(["family_name=控えのとき未送信"])
        let file = ward.root + "/backup"
        try branch.backUp(to: file, passphrase: Self.passphrase)
        _ = try branch.addResident(["family_name=控えのあと"])
        try ward.sync(branch)
        let former = try branch.read { try $0.ownReplica() }

        let place = DataDirectory(ward.root + "/elsewhere")
        let restored = try restore(place, file)
        let replica = try restored.read { try $0.ownReplica() }
        #expect(replica != former && replica?.device == former?.device)
        _ = try restored.addResident(["family_name=復元のあと"])
        try ward.sync(restored)
        let all: Set<String> = ["送信済み", "控えのとき未送信", "控えのあと", "復元のあと"]
        #expect(try names(restored) == all)
        #expect(try names(ward.centre) == all)
        #expect(try restored.doctor().allSatisfy { $0.ok || $0.isWarning })
        #expect(try ward.centre.doctor().allSatisfy { $0.ok || $0.isWarning })
    }

    @Test func `Backups and bundles take the place of their kind and of no other file`() throws {
        let ward = try WardFixture()
        _ = try ward.join("branch")
        let file = ward.root + "/somebody's"
        let write: [(String) throws -> Void] = [
            { try ward.centre.backUp(to: $0, passphrase: Self.passphrase) },
            { _ = try ward.centre.exportBundle(to: $0, for: "branch") },
        ]
        for write in write {
            try Data("年度の実績".utf8).write(to: URL(filePath: file))
            let error = #expect(throws: CommandError.self) { try write(file) }
            #expect(error?.code == .usage)
            #expect(try Data(contentsOf: URL(filePath: file)) == Data("年度の実績".utf8))
            try Data().write(to: URL(filePath: file))
            for _ in 0..<2 { try write(file) }
        }
    }

    @Test func `A restored centre is told by its clients what it lost`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let file = ward.root + "/backup"
        try ward.centre.backUp(to: file, passphrase: Self.passphrase)
        _ = try branch.addResident(["family_name=支所"])
        try ward.sync(branch)
        _ = try ward.centre.addResident(["family_name=本庁"])
        try ward.sync(branch)
        let centre = try restore(DataDirectory(ward.root + "/centre2"), file)
        let report = try branch.sync(with: LoopbackTransport(Hub(centre)))
        #expect(report.upToDate && report.outcome.isNewEpoch)
        #expect(try names(centre) == ["支所", "本庁"])
        #expect(try ward.digests(centre) == ward.digests(branch))
    }

    @Test func `What is there is replaced only when told so, and kept beside`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let file = ward.root + "/backup"
        try branch.backUp(to: file, passphrase: Self.passphrase)
        try branch.store.close()
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: branch.directory.database))
        #expect(throws: CommandError.self) { try restore(branch.directory, file) }
        let restored = try restore(branch.directory, file, force: true)
        #expect(try restored.status().site == "branch")
        let kept = try FileManager.default.contentsOfDirectory(atPath: branch.directory.path)
            .filter { $0.hasPrefix("ward.sqlite.") && $0.hasSuffix(".replaced") }
        #expect(kept.count == 1)
        let mode =
            try FileManager.default.attributesOfItem(atPath: branch.directory.database)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func `A file that was cut, altered or meant for another passphrase restores nothing`() throws {
        let ward = try WardFixture()
        let file = ward.root + "/backup"
        try ward.centre.backUp(to: file, passphrase: Self.passphrase)
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        // Nothing of the data or the keys can be read in it.
        #expect(whole.range(of: Data("SQLite format".utf8)) == nil)
        #expect(whole.range(of: Data("tsunagu-device-key".utf8)) == nil)
        let place = DataDirectory(ward.root + "/elsewhere")
        let other = ward.root + "/other"
        func expectNothing(_ bytes: Data, _ what: String) throws {
            try bytes.write(to: URL(fileURLWithPath: other))
            #expect(throws: CommandError.self, "\(what)") { try restore(place, other) }
            let left = (try? FileManager.default.contentsOfDirectory(atPath: place.path)) ?? []
            #expect(left.isEmpty, "\(what): \(left)")
        }
        var generator = SeededGenerator(seed: 1)
        for cut in [0, 3, 23, 24, 27, 100, whole.count / 2, whole.count - 21, whole.count - 1] {
            try expectNothing(whole.prefix(cut), "cut after \(cut)")
        }
        for _ in 0..<6 {
            var bytes = whole
            let place = 24 + generator.below(whole.count - 24)
            bytes[bytes.startIndex + place] ^= UInt8(1 + generator.below(255))
            try expectNothing(bytes, "byte \(place)")
        }
        try expectNothing(whole + [0], "something after the end")
        #expect(throws: CommandError.self) {
            try Site.restore(
                place,
                from: file,
                passphrase: Array("another one".utf8),
                person: WardFixture.clerk,
                force: false
            )
        }
        #expect(try restore(place, file).status().site == "千代田区")
        #expect(throws: CommandError.self) { try ward.centre.backUp(to: other, passphrase: Array("short".utf8)) }
    }

    @Test func `What a restore takes the place of is named, with the work that nobody else has`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let file = ward.root + "/backup"
        try branch.backUp(to: file, passphrase: Self.passphrase)
        try ward.sync(branch)
        for name in ["一", "二"] { _ = try branch.addResident(["family_name=\(name)"]) }
        try branch.store.close()
        var told: Site.Replaced?
        let restored = try Site.restore(
            branch.directory,
            from: file,
            passphrase: Self.passphrase,
            person: WardFixture.clerk,
            force: true
        ) { told = $0 }
        let replaced = try #require(told)
        #expect(replaced.unsent == 2 && DataDirectory.exists(replaced.database))
        let notice = try #require(try restored.status().notices.first { $0.code == "replaced" })
        #expect(notice.detail.contains(replaced.database) && notice.detail.contains("unsent 2"))
        // The way that is told leads there.
        let place = DataDirectory(ward.root + "/kept")
        try place.create()
        let ending = replaced.database.dropFirst(branch.directory.database.count)
        for (from, to) in [(replaced.database, place.database), (branch.directory.deviceKey + ending, place.deviceKey)]
        {
            try FileManager.default.copyItem(atPath: from, toPath: to)
        }
        try ward.sync(Site.open(place, person: WardFixture.clerk))
        for _ in 0..<2 { try ward.sync(restored) }
        for site in [ward.centre, restored] { #expect(try names(site) == ["一", "二"]) }

        // What cannot be read cannot be counted, and is kept and named all the same.
        try restored.store.close()
        try Data("x".utf8).write(to: URL(filePath: branch.directory.database))
        _ = try Site.restore(
            branch.directory,
            from: file,
            passphrase: Self.passphrase,
            person: WardFixture.clerk,
            force: true
        ) { told = $0 }
        #expect(told?.unsent == nil && told.map { DataDirectory.exists($0.database) } == true)
    }
}
