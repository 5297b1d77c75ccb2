// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import GRDB
import ProcessSupport
import Testing

@Suite struct InspectionTests {
    @Test func filesAreTheOwnersAlone() throws {
        let site = try TestSite.ward()
        _ = try site.add("family_name=佐藤")
        func mode(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
        }
        #expect(try mode(site.directory.path) == 0o700)
        for name in try FileManager.default.contentsOfDirectory(atPath: site.directory.path) {
            #expect(try mode(site.directory.appending(path: name).path) & 0o077 == 0, "\(name)")
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: site.directory.path)
        let doctor = try site.run("doctor", "--json")
        #expect(doctor.status == 1)
        #expect(Self.failed(doctor) == ["permissions"])
        #expect(try site.run("doctor", "--repair").status == 0)
        #expect(try mode(site.directory.path) == 0o700)
    }

    @Test func statusTellsWhatStandsWhere() throws {
        let site = try TestSite.ward()
        _ = try site.add("family_name=佐藤")
        let status = try site.json("status").object
        #expect(status["site"] as? String == "千代田区" && status["role"] as? String == "admin")
        #expect((status["device"] as? String)?.count == 32 && (status["replica"] as? String)?.count == 48)
        let spaces = status["spaces"] as? [[String: Any]] ?? []
        #expect(
            spaces.compactMap { $0["name"] as? String } == [
                "cases", "procedures", "residents", "residents/protected", "system",
            ]
        )
        let residents = spaces[2]
        #expect(residents["records"] as? Int == 1 && residents["unsent"] as? Int == 2)
        #expect(residents["proved_at"] is NSNull && (residents["waiting_for"] as? [Any])?.isEmpty == true)
        let digest = try site.json("digest").object
        #expect(Set(digest.keys) == ["cases", "procedures", "residents", "residents/protected", "system"])
    }

    @Test func theLogTellsTheNewestFirst() throws {
        let site = try TestSite.ward()
        let ids = try (0..<5).map { try site.add("family_name=人\($0)") }
        _ = try site.run("resident", "delete", ids[0], "--reason", "転出")
        let log = try site.json("log", "--space", "residents", "--limit", "3").list
        #expect(log.compactMap { $0["seq"] as? Int } == [7, 6, 5])
        #expect(log.allSatisfy { $0["operator"] as? String == "centre" && $0["site"] as? String == "千代田区" })
        #expect(try site.json("log").list.count == 12)
        let stamps = try site.json("log").list.compactMap { $0["at"] as? String }
        #expect(stamps == stamps.sorted(by: >))
    }

    @Test func theSchemaIsTold() throws {
        let site = try TestSite()
        let schema = try site.run(["schema", "--format", "json"], data: false)
        let collections = schema.object["collections"] as? [[String: Any]] ?? []
        let resident = try #require(collections.first { $0["name"] as? String == "resident" })
        let groups = resident["groups"] as? [[String: Any]] ?? []
        #expect(
            groups.allSatisfy {
                $0["kind"] is String && $0["sensitivity"] is String && $0["readers"] is [Any] && $0["writers"] is [Any]
            }
        )
        #expect(try site.run(["schema", "--format", "markdown"], data: false).text.contains("## resident"))
        #expect(try site.run(["schema", "--json"], data: false).output == schema.output)
    }

    private static func failed(_ result: TestSite.Result) -> [String] {
        let checks = result.object["checks"] as? [[String: Any]] ?? []
        return checks.filter { $0["ok"] as? Bool == false }.compactMap { $0["name"] as? String }
    }

    static let damages: [(sql: String, checks: [String])] = [
        ("UPDATE resident SET phone = '03-9999-9999'", ["tables"]), ("UPDATE resident SET deleted = 1", ["tables"]),
        ("UPDATE resident SET search = 'x'", ["tables"]), ("DELETE FROM resident WHERE family_name = '佐藤'", ["tables"]),
        ("UPDATE item SET content = x'6a61' WHERE grp = 9", ["tables"]), ("DELETE FROM item", ["tables"]),
        ("INSERT INTO conflict VALUES (1, 1, 'abcdefghijkl')", ["tables"]),
        ("UPDATE space SET digest = zeroblob(16) WHERE name = 'residents'", ["digests"]),
        ("UPDATE chain SET state = zeroblob(3)", ["log"]),
        ("UPDATE run SET base = zeroblob(3)", ["log"]), ("DELETE FROM seed", ["log"]),
    ]

    @Test(arguments: damages)
    func doctorFindsDamage(_ sql: String, _ checks: [String]) throws {
        let site = try TestSite.ward()
        _ = try site.add("family_name=佐藤", "phone=03-1111-2222", "languages=en")
        _ = try site.run("resident", "note", try site.add("family_name=鈴木"), "記事")
        try site.start()
        _ = try site.invite("麹町出張所", role: "branch")
        site.stop()
        #expect(try site.run("doctor").status == 0)
        try DatabaseQueue(path: site.directory.appending(path: "ward.sqlite").path).write { try $0.execute(sql: sql) }
        let doctor = try site.run("doctor", "--json")
        #expect(doctor.status == 1, "\(doctor.text) \(doctor.errors)")
        if doctor.json != nil {
            let found = Self.failed(doctor)
            #expect(!found.isEmpty && Set(found).isSubset(of: checks), "\(doctor.text)")
            let repairs = (doctor.object["checks"] as? [[String: Any]] ?? []).filter { $0["ok"] as? Bool == false }
            #expect(repairs.allSatisfy { $0["repair"] is String })
        }
        let digest = try site.run("digest").text
        let repaired = try site.json("doctor", "--repair").object
        #expect(repaired["ok"] as? Bool == true)
        let steps = repaired["repairs"] as? [[String: Any]] ?? []
        #expect(!steps.isEmpty && steps.allSatisfy { $0["done"] as? Bool == true && $0["detail"] is String })
        #expect(try site.json("doctor").object["ok"] as? Bool == true)
        #expect(try (site.run("digest").text != digest) == sql.contains("digest"))
    }

    @Test func aRowThatIsLostIsToldAsLost() throws {
        let site = try TestSite.ward()
        let id = try site.add("family_name=佐藤")
        let unknown = try site.run("resident", "show", "ffffffff")
        #expect(unknown.status == 66 && !unknown.errors.contains("doctor"))
        let queue = try DatabaseQueue(path: site.directory.appending(path: "ward.sqlite").path)
        try queue.write { try $0.execute(sql: "DELETE FROM resident") }
        let shown = try site.run("resident", "show", id)
        #expect(shown.status == 66 && shown.errors.contains("tsunagu doctor --repair"), "\(shown.errors)")
        #expect(try site.run("doctor", "--repair").status == 0)
        #expect(try site.run("resident", "show", id).status == 0)
    }

    @Test func damageIsToldInOurOwnWords() throws {
        let site = try TestSite.ward()
        let file = site.directory.appending(path: "ward.sqlite").path
        try DatabaseQueue(path: file).write { try $0.execute(sql: "ALTER TABLE conflict RENAME TO gone") }
        let damaged = try site.run("status")
        #expect(damaged.status == 1 && damaged.errors.contains("tsunagu doctor --repair"), "\(damaged.errors)")
        for words in ["no such table", "free space", "空き容量", "database  "] { #expect(!damaged.errors.contains(words)) }
        let elsewhere = try site.run(["status", "--data", file], data: false)
        #expect(elsewhere.status != 0 && elsewhere.errors.contains(file), "\(elsewhere.errors)")
        for words in ["free space", "空き容量"] { #expect(!elsewhere.errors.contains(words)) }
    }

    @Test func aSealThatNobodyElseHasIsNamedAndNotMadeUp() throws {
        let site = try TestSite.ward()
        try site.start()
        _ = try site.invite("麹町出張所", role: "branch")
        site.stop()
        let file = site.directory.appending(path: "ward.sqlite").path
        try DatabaseQueue(path: file).write {
            try $0.execute(sql: "UPDATE run SET signature = zeroblob(64) WHERE no = (SELECT min(no) FROM run)")
        }
        let repaired = try site.run("doctor", "--repair", "--json")
        #expect(repaired.status == 1 && Self.failed(repaired) == ["log"])
        let steps = repaired.object["repairs"] as? [[String: Any]] ?? []
        #expect(steps.map { $0["done"] as? Bool } == [false])
    }

    @Test func aBranchComparesItsClockAndTakesADamagedRunAgain() throws {
        let centre = try TestSite.ward()
        for name in ["佐藤", "鈴木"] { _ = try centre.add("family_name=\(name)") }
        #expect(try centre.json("doctor").text.contains("not yet compared"))
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        let sound = try branch.json("doctor")
        #expect(sound.text.contains("agrees with the hub"))
        let checks = sound.object["checks"] as? [[String: Any]] ?? []
        let names = ["database", "log", "tables", "digests", "waiting", "permissions", "disk_encryption", "clock"]
        #expect(checks.compactMap { $0["name"] as? String } == names)

        let queue = try DatabaseQueue(path: branch.directory.appending(path: "ward.sqlite").path)
        try queue.write { db in
            var body: Data = try Data.fetchOne(db, sql: "SELECT body FROM run WHERE space = 2 ORDER BY no LIMIT 1")!
            body[body.count / 2] ^= 4
            try db.execute(
                sql: "UPDATE run SET body = ? WHERE no = (SELECT no FROM run WHERE space = 2 ORDER BY no LIMIT 1)",
                arguments: [body]
            )
        }
        let digest = try branch.run("digest").text
        centre.stop()
        let alone = try branch.run("doctor", "--repair", "--json")
        #expect(alone.status == 1)
        #expect(Self.failed(alone) == ["log"])
        let failures = alone.object["repairs"] as? [[String: Any]] ?? []
        #expect(failures.contains { $0["done"] as? Bool == false })
        try centre.start()
        let repaired = try branch.json("doctor", "--repair")
        #expect(repaired.object["ok"] as? Bool == true)
        #expect((repaired.object["repairs"] as? [[String: Any]])?.count == 1, "\(repaired.text)")
        #expect(try branch.run("digest").text == digest)
        #expect(try branch.json("sync").object["up_to_date"] as? Bool == true)
        #expect(try branch.digests() == centre.digests())
    }

    @Test func aRecordThatDiffersIsNamedBySyncAndStatus() throws {
        let centre = try TestSite.ward()
        let ids = try ["佐藤", "鈴木"].map { try centre.add("family_name=\($0)") }
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        try DatabaseQueue(path: branch.directory.appending(path: "ward.sqlite").path).write { db in
            try db.execute(sql: "UPDATE record SET meta = x'00' WHERE lower(hex(id)) = ?", arguments: [ids[1]])
            try db.execute(sql: "UPDATE space SET digest = zeroblob(16) WHERE name = 'residents'")
        }
        let sync = try branch.json("sync").object
        #expect(sync["up_to_date"] as? Bool == true)
        let peers = sync["peers"] as? [[String: Any]] ?? []
        let diverged = peers.flatMap { $0["diverged"] as? [[String: Any]] ?? [] }
        #expect(diverged.compactMap { $0["record"] as? String } == [ids[1]])
        #expect(diverged.compactMap { $0["space"] as? String } == ["residents"])
        #expect(diverged.compactMap { $0["wrong"] as? String } == ["here"])
        let notices = try branch.json("status").object["notices"] as? [[String: Any]] ?? []
        #expect(notices.contains { $0["code"] as? String == "record_restated" })
        #expect(try branch.json("doctor").object["ok"] as? Bool == true)
    }

    @Test func whatADeviceMayNotDoIsRefused() throws {
        let centre = try TestSite.ward()
        let id = try centre.add("family_name=佐藤", "number=1")
        _ = try centre.addLesson(capacity: 1)
        try centre.start()
        let venue = try centre.invite("九段会場", role: "venue", "lessons/kudan")
        let auditor = try centre.invite("監査", role: "auditor")
        let branch = try centre.invite("麹町出張所", role: "branch")
        let refused: [(TestSite, [String])] = [
            (venue, ["resident", "find", "佐藤"]), (venue, ["resident", "add", "family_name=x"]),
            (venue, ["export", "residents"]), (venue, ["procedure", "list"]),
            (auditor, ["resident", "set", "1", "phone=03-1111-2222"]),
            (auditor, ["booking", "add", "L1", "--name", "x"]),
            (auditor, ["resident", "delete", "1", "--reason", "x"]),
            (branch, ["invite", "--role", "branch", "--name", "x"]),
            (branch, ["lesson", "retention", "45"]),
            (
                branch,
                [
                    "lesson", "add", "--space", "lessons/new", "--code", "L2", "--title", "x", "--date", "2090-12-01",
                    "--time", "10:00-12:00", "--capacity", "1",
                ]
            ),
        ]
        for (site, words) in refused {
            let result = try site.run(words + ["--json"])
            #expect(result.status == 77, "\(words): \(result.status) \(result.errors)")
            #expect(result.error["code"] as? String == "not_permitted")
        }
        #expect(try venue.run("resident", "show", id).status == 66)
        #expect(try auditor.json("resident", "show", id).object["family_name"] as? String == "佐藤")
        #expect(try venue.json("status").object["role"] as? String == "venue")
        let sites = try branch.json("site", "list").list
        #expect(Set(sites.compactMap { $0["name"] as? String }) == ["千代田区", "九段会場", "監査", "麹町出張所"])
        let shown = try branch.json("site", "show", "九段会場").object["devices"] as? [[String: Any]] ?? []
        #expect(shown.count == 1 && shown[0]["spaces"] as? [String] == ["lessons/kudan"])
        #expect(try branch.run("site", "show", "どこか").status == 66)
    }
}
