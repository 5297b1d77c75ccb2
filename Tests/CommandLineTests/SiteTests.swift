// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// Sites that go, and what becomes of their work.
@Suite("Sites on the command line")
struct SiteCommandTests {
    @Test func `What a lost laptop handed in is listed, adopted and marked as its site is`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let hub = try #require(centre.hub)
        let invited = try centre.json("invite", "--role", "branch", "--name", "麹町", "--hub", hub).object
        let branch = try TestSite("branch", beside: centre)
        try branch.json("join", #require(invited["code"] as? String))
        centre.stop()
        let first = try branch.add("family_name=一")
        _ = try branch.add("family_name=二")
        #expect(try centre.run("site", "revoke", "麹町", "--lost", "--reason", "紛失").status == 0)
        try centre.start()
        #expect(try branch.run("sync").status == 77)

        let cases = try centre.json("conflict", "list", "--kind", "quarantine").list
        #expect(cases.map { $0["code"] as? String } == ["revoked"])
        let id = try #require(cases.first?["id"] as? String)
        #expect(try centre.run("resident", "show", first).status == 66)
        let shown = try centre.run("conflict", "show", id)
        #expect(shown.output.contains("conflict resolve \(id) --adopt"))
        #expect(shown.text.contains("family_name=一") && shown.text.contains("family_name=二"), "nobody adopts blindly")
        #expect(try centre.run("conflict", "resolve", id, "--adopt", "--take", "1", "--reason", "x").status == 64)
        #expect(try centre.run("conflict", "resolve", id, "--adopt").status == 64)
        let adopted = try centre.json("conflict", "resolve", id, "--adopt", "--reason", "本人に確認")
        #expect(adopted.object["adopted"] as? Int == 2)
        #expect(try centre.json("resident", "show", first).object["family_name"] as? String == "一")
        #expect(try centre.run("conflict", "resolve", id, "--adopt", "--reason", "また").status == 75)
        #expect(try centre.run("site", "adopt", "麹町", "--reason", "また").status == 65)

        let listed = try centre.json("site", "list").list
        #expect(listed.map { $0["revoked"] as? Bool } == [false, true])
        let table = try centre.run("site", "list").text.components(separatedBy: "\n")
        #expect(table.filter { $0.contains("revoked") }.count == 1)
        #expect(try centre.run("site", "show", "麹町").output.contains("revoked: lost"))
        #expect(try centre.isSound())
    }

    @Test func `A code says how the hub is known`() throws {
        let centre = try TestSite.ward()
        func code(_ more: String...) throws -> TestSite.Result {
            try centre.run(
                ["invite", "--role", "branch", "--name", "麹町", "--hub", "https://hub.example", "--json"] + more
            )
        }
        let pinned = try #require(try code().object["code"] as? String)
        let open = try #require(try code("--tls", "system").object["code"] as? String)
        // The key's 32 bytes are in the one alone.
        #expect(pinned.count > open.count + 40)
        #expect(try code("--tls", "none").status == 64)
        let venue = try centre.run(
            "invite",
            "--role",
            "venue",
            "--name",
            "千代田区",
            "--space",
            "lessons/x",
            "--hub",
            "https://hub.example"
        )
        #expect(venue.status == 65)
    }

    @Test func `One device goes by its name or id, a grant to read is told as one, and slips are`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let first = try centre.invite("麹町", role: "branch")
        let code = try centre.invitation("麹町", role: "branch")
        let second = try TestSite("second", beside: centre)
        try second.json("join", code, "--name", "窓口2")
        centre.stop()
        let devices = try centre.json("site", "show", "麹町").object["devices"] as? [[String: Any]] ?? []
        #expect(devices.count == 2 && devices.allSatisfy { $0["access"] as? String == "write" })
        #expect(try centre.run("site", "revoke", "麹町", "--device", "無い", "--lost", "--reason", "x").status == 66)
        let ended = try centre.json("site", "revoke", "麹町", "--device", "窓口2", "--retired", "--reason", "更新")
        #expect((ended.object["devices"] as? [String])?.count == 1)
        let shown = try centre.json("site", "show", "麹町").object
        let access = (shown["devices"] as? [[String: Any]] ?? []).map { $0["access"] as? String }
        #expect(shown["revoked"] as? Bool == false && Set(access) == ["write", "none"])
        try centre.start()
        #expect(try second.run("sync").status == 77 && first.run("sync").status == 0)

        let typed = try centre.run("site", "grant", "麹町", "--space", "residentz", "--read-only", "--json")
        #expect(typed.status == 0 && typed.errors.contains("residentz") && typed.object["known"] as? Bool == false)
        let text = try centre.run("site", "show", "麹町").text
        #expect(text.contains("reads: residentz") && text.contains("reads and writes: residents"))
        let narrowed = try centre.run("site", "grant", "麹町", "--space", "residents", "--read-only")
        #expect(narrowed.status == 65 && narrowed.errors.contains("invite"))
        let plain = try centre.run("invite", "--role", "branch", "--name", "x", "--hub", "http://h")
        #expect(plain.status == 0 && plain.errors.contains("pin"))
    }

    @Test func `An admin that was invited runs a hub of its own, and sites join there`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let office = try centre.invite("新本庁", role: "admin")
        centre.stop()
        try office.start()
        let branch = try office.invite("神保町", role: "branch")
        #expect(try branch.json("sync").object["up_to_date"] as? Bool == true)
        #expect(try office.isSound() && branch.isSound())
    }
}
