// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// What other users of the machine, and readers of its logs, may see: nothing.
@Suite(.timeLimit(.minutes(2))) struct PrivacyTests {
    private static let passphrase = "合言葉は誰にも言わない"

    /// Files and folders at and below a place that anybody but their owner may do anything with.
    private func open(_ place: URL) throws -> [String] {
        let below = FileManager.default.enumerator(at: place, includingPropertiesForKeys: nil)?.allObjects as? [URL]
        return try ([place] + (below ?? [])).filter { url in
            let mode = try FileManager.default.attributesOfItem(atPath: url.path)[.posixPermissions] as? Int
            return try #require(mode) & 0o077 != 0
        }.map(\.lastPathComponent)
    }

    private func names(_ site: TestSite) throws -> Set<String> {
        Set(try FileManager.default.contentsOfDirectory(atPath: site.directory.path))
    }

    @Test func `What the programs make is their owner's alone, whatever the umask says`() throws {
        let centre = try TestSite()
        centre.umask = "0"
        try centre.json("init", "--name", "千代田区")
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        _ = try branch.add("family_name=佐藤")
        try branch.start(role: "site")
        let secret = try centre.file("secret", Self.passphrase)
        let (code, request, answer) = (
            try centre.invitation("神保町出張所", role: "branch"), try centre.file("request"), try centre.file("answer")
        )
        let byFile = try TestSite("jimbocho", beside: centre)
        try byFile.json("join", code, "--request", request)
        try centre.json("invite", "--accept", request, "--answer", answer)
        try byFile.json("join", "--answer", answer)

        let (backup, stick, list) = (
            try centre.file("backup"), try centre.file("stick"), try centre.file("residents.csv")
        )
        try branch.json("backup", backup, "--passphrase-file", secret)
        try branch.sync()
        try branch.json("bundle", "export", stick, "--for", "神保町出張所")
        #expect(try branch.run("export", "residents", list).status == 0)
        let copy = try TestSite("copy", beside: centre)
        for force in [[], ["--force"]] {
            let restored = try copy.run(["restore", backup, "--passphrase-file", secret] + force)
            #expect(restored.status == 0, "\(restored.errors)")
        }

        let here = try names(branch)
        #expect(here.isSuperset(of: ["ward.sqlite", "ward.sqlite-wal", "device.key", "daemon.lock", "api-token"]))
        #expect(here.contains("hub-key.pem") && here.contains("hub-certificate.pem"))
        #expect(try names(copy).contains { $0.hasSuffix(".replaced") })
        let places =
            [centre, branch, byFile, copy].map(\.directory)
            + [request, answer, backup, stick, list].map { URL(filePath: $0) }
        for place in places { #expect(try open(place).isEmpty, "\(place.lastPathComponent)") }
    }

    @Test func `Neither logs nor errors tell a secret or a name`() throws {
        let centre = try TestSite.ward()
        try centre.start(["--log-level", "trace"])
        let branch = try centre.invite("麹町出張所", role: "branch")
        let code = try centre.invitation("神保町出張所", role: "branch")
        let spent = try centre.invitation("富士見出張所", role: "branch")
        let id = try branch.add("family_name=隠岐", "given_name=秘子", "phone=03-9999-0001")
        try branch.start(role: "site", ["--log-level", "trace", "--sync-interval", "1"])
        try branch.sync()

        let (secret, other, backup, stick, codeFile) = (
            try centre.file("secret", Self.passphrase + "\n"), try centre.file("other", "別の合言葉ではない\n"),
            try centre.file("backup"), try centre.file("stick"), try centre.file("code", spent + "\n")
        )
        try branch.json("backup", backup, "--passphrase-file", secret)
        let (late, copy) = (try TestSite("late", beside: centre), try TestSite("copy", beside: centre))
        try TestSite("early", beside: centre).json("join", "--code-file", codeFile)
        try branch.sync()
        try branch.json("bundle", "export", stick, "--for", "富士見出張所")
        let nowhere = "https://127.0.0.1:\(RawSocket.closedPort())"

        var said = ""
        for (site, words) in [
            (late, ["join", spent]), (late, ["join", "--code-file", codeFile]),
            (late, ["join", String(code.dropLast())]),
            (late, ["join", code, "--hub", nowhere]), (late, ["join", "--code-file", secret]),
            (copy, ["restore", backup, "--passphrase-file", other]),
            (copy, ["restore", stick, "--passphrase-file", secret]),
            (branch, ["backup", backup + "/x", "--passphrase-file", secret]), (branch, ["sync", nowhere]),
            (branch, ["bundle", "import", stick]), (branch, ["bundle", "import", backup]),
            (branch, ["import", secret]), (branch, ["resident", "set", id, "no_such_field=1"]),
            (branch, ["resident", "show", "00"]), (branch, ["site", "revoke", "本庁", "--lost", "--reason", "x"]),
        ] {
            for options in [[], ["--json"]] {
                let result = try site.run(words + options)
                #expect(result.status != 0, "\(words)")
                said += result.errors
            }
        }
        // An answer of a server to a stranger is a log of sorts, too.
        let port = try #require(centre.hub?.split(separator: ":").last.flatMap { Int($0) })
        said += RawSocket.exchange(port: port, "GET / HTTP/1.1\nHost: h\nConnection: close\n\n")
        branch.stop()
        centre.stop()
        let logs = try centre.log() + branch.log()
        #expect(!logs.isEmpty)
        said += logs

        func text(_ site: TestSite, _ file: String) throws -> [String] {
            let text = try String(contentsOf: site.directory.appending(path: file), encoding: .utf8)
            return text.split(whereSeparator: \.isWhitespace).map(String.init).filter { $0.count >= 32 }
        }
        var secrets = [Self.passphrase, "隠岐", "秘子", "03-9999-0001", code, spent, String(spent.dropFirst(8).prefix(20))]
        for site in [centre, branch] {
            for file in ["device.key", "hub-key.pem", "api-token"] { secrets += try text(site, file) }
        }
        #expect(secrets.count >= 7 + 6)
        for secret in secrets { #expect(!said.contains(secret), "\(secret)") }
    }

    @Test(arguments: ["--lost", "--retired"])
    func `A daemon whose device was revoked hands in, erases, says so once and ends`(mode: String) throws {
        let centre = try TestSite.ward()
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        let id = try branch.add("family_name=佐藤")
        try branch.sync()
        _ = try branch.run("resident", "set", id, "phone=03-1111-2222")
        try centre.json("site", "revoke", "麹町出張所", mode, "--reason", "返却")
        let hub = try #require(centre.hub)
        // What a restore kept beside, and what a power cut left half made.
        let unpacked = branch.directory.appending(path: "restore.new")
        try FileManager.default.createDirectory(at: unpacked, withIntermediateDirectories: false)
        for name in ["ward.sqlite.1.replaced", "device.key.1.replaced", "backup.new", "restore.new/ward.sqlite"] {
            try Data("佐藤".utf8).write(to: branch.directory.appending(path: name))
        }
        // Nobody to tell it yet: it waits, as in any outage.
        centre.stop()
        try branch.startDaemon(["--sync-interval", "1", "--hub-listen", "127.0.0.1:0"])
        let daemon = try #require(branch.daemon)
        #expect(daemon.isRunning)
        try centre.start()
        #expect(centre.hub == hub)
        #expect(daemon.end() == 77)

        #expect(
            try Set(FileManager.default.contentsOfDirectory(atPath: branch.directory.path)) == [
                "farewell.txt", "daemon.lock",
            ]
        )
        let log = try branch.log()
        #expect(log.components(separatedBy: "ended this device's rights").count == 2, "\(log)")
        #expect(log.contains("join with a new invitation code"))
        let kept = try centre.json("resident", "show", id).object["phone"] as? String
        #expect(kept == (mode == "--retired" ? "03-1111-2222" : nil))
        // Whatever starts it again learns the same.
        let again = try Program.tsunagud.run(["--data", branch.directory.path, "--listen", "127.0.0.1:0"])
        #expect(again.status == 77 && again.errors.contains("ended this device's rights"))
    }
}
