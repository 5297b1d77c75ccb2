// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// The recovery key as people meet it.
@Suite("The recovery key on the command line")
struct RecoveryCommandTests {
    @Test func `init shows the key once, and an admin is made with it`() throws {
        let centre = try TestSite()
        let shown = try centre.json("init", "--name", "千代田区").object["recovery_key"] as? String
        let key = try #require(shown)
        let branch = try TestSite("branch", beside: centre)
        let (request, answer) = (try centre.file("request"), try centre.file("answer"))
        let code = try centre.json("invite", "--role", "branch", "--name", "麹町").object["code"] as? String
        try branch.json("join", #require(code), "--request", request)
        try centre.json("invite", "--accept", request, "--answer", answer)
        try branch.json("join", "--answer", answer)
        #expect(try branch.run("invite", "--role", "branch", "--name", "x").status == 77)

        let file = try centre.file("paper", key.lowercased() + "\n")
        let wrong = try centre.file("wrong", String(key.dropLast()) + "\n")
        let refused = try branch.run("site", "recover", "--reason", "火災", "--recovery-file", wrong)
        #expect(refused.status == 64 && refused.errors.contains("recovery key"))
        let made = try branch.run(
            "site",
            "recover",
            "--revoke",
            "千代田区",
            "--reason",
            "火災",
            "--recovery-file",
            file,
            "--json"
        )
        #expect(made.status == 0 && (made.object["revoked"] as? [String])?.count == 1)
        #expect(!made.output.contains(key) && !made.errors.contains(key))
        #expect(try branch.run("invite", "--role", "branch", "--name", "x", "--hub", "https://h").status == 0)
        #expect(try branch.run("status").output.contains("recovery_key_used"))
        #expect(try branch.isSound())
    }

    @Test func `A script has the key in a private file, and no second ward takes its place`() throws {
        let centre = try TestSite()
        centre.umask = "000"
        let file = try centre.file("key")
        let begun = try centre.json("init", "--name", "千代田区", "--recovery-file", file)
        #expect(begun.object["recovery_key"] is NSNull && begun.object["recovery_file"] as? String == file)
        let key = try String(contentsOfFile: file, encoding: .utf8)
        #expect(key.split(separator: "-").count == 8 && !begun.output.contains(String(key.prefix(9))))
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let other = try TestSite("other", beside: centre)
        #expect(try other.run("init", "--name", "港区", "--recovery-file", file).status == 1)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == key)
        #expect(try other.run("status").status != 0)
        // A ward that is there already leaves no key behind that is not its own.
        let stray = try centre.file("stray")
        #expect(try centre.run("init", "--name", "再", "--recovery-file", stray).status == 1)
        #expect(!FileManager.default.fileExists(atPath: stray))
    }

    @Test func `A centre that lost its database begins again by the key, and gets everything back`() throws {
        let centre = try TestSite()
        let file = try centre.file("key")
        try centre.json("init", "--name", "千代田区", "--recovery-file", file)
        try centre.start()
        let hub = try #require(centre.hub)
        let code = try centre.json("invite", "--role", "branch", "--name", "麹町", "--hub", hub).object["code"] as? String
        let branch = try TestSite("branch", beside: centre)
        try branch.json("join", #require(code))
        let id = try branch.add("family_name=佐藤")
        try branch.json("sync")
        centre.daemon?.kill()

        // What the power cut left beside the database is still there.
        func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: centre.directory.path) }
        try #require(files().contains("ward.sqlite-wal"))
        try FileManager.default.removeItem(atPath: centre.directory.path + "/ward.sqlite")
        let lost = try centre.run("status", "--lang", "en")
        #expect(lost.status == 66 && lost.errors.contains("restore") && lost.errors.contains("init --recover"))
        let second = try centre.run("init", "--name", "千代田区", "--lang", "ja")
        #expect(second.status == 1 && second.errors.contains("init --recover"), "no second ward over the first")
        // Another ward's key would begin another ward.
        let other = try TestSite("elsewhere", beside: centre)
        let foreign = try centre.file("foreign")
        try other.json("init", "--name", "港区", "--recovery-file", foreign)
        let mistaken = try centre.run("init", "--name", "千代田区", "--recover", "--recovery-file", foreign)
        #expect(mistaken.status == 77 && mistaken.errors.contains("paper"))
        try centre.json("init", "--name", "千代田区", "--recover", "--recovery-file", file)
        #expect(try files().contains { $0.hasPrefix("ward.sqlite-wal.") && $0.hasSuffix(".replaced") })
        #expect(try centre.isSound())
        try centre.start()
        try branch.json("sync", hub)
        #expect(try centre.json("resident", "show", id).object["family_name"] as? String == "佐藤")
        #expect(try centre.digests() == branch.digests())
        #expect(try centre.json("site", "list").list.count == 2)
        // Nobody else held the protected residents: they begin anew, and what a branch writes meanwhile gets there.
        let person = try centre.add("family_name=隠岐", "phone=03-0000-0000")
        try branch.json("sync", hub)
        try centre.json("resident", "protect", person, "--reason", "申出")
        try branch.json("resident", "set", person, "phone=03-1111-1111")
        for _ in 0..<2 { try branch.json("sync", hub) }
        #expect(try branch.run("resident", "show", person).status == 77)
        #expect(try centre.json("resident", "show", person).object["phone"] as? String == "03-1111-1111")
        #expect(try centre.isSound())
        let conflicts = try centre.json("conflict", "list").list
        #expect(conflicts.isEmpty, "\(conflicts)")
        #expect(try centre.run("status").output.contains("recovery_key_used"))
        // Nobody would know a machine that never belonged to the ward.
        let stranger = try TestSite("other", beside: centre)
        let refused = try stranger.run("init", "--name", "千代田区", "--recover", "--recovery-file", file)
        #expect(refused.status == 66 && refused.errors.contains("site recover"))
    }
}
