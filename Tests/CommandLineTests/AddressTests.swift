// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// Addresses and roles that a person gets wrong: what they are is said, and no outage is blamed.
@Suite(.timeLimit(.minutes(2))) struct AddressTests {
    /// What the lock file of a running daemon says after a word.
    private func address(_ word: String, of site: TestSite) throws -> String {
        let lines = try String(contentsOf: site.directory.appending(path: "daemon.lock"), encoding: .utf8)
        let line = try #require(lines.split(separator: "\n").first { $0.hasPrefix(word + " ") })
        return String(line.dropFirst(word.count + 1))
    }

    @Test func `an address of the wrong kind is told as such, with the right form`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let other = try TestSite("other", beside: centre)
        _ = try other.json("init", "--name", "港区")
        let hub = try #require(centre.hub)
        let local = try address("listening", of: centre)
        let code = try centre.invitation("麹町出張所", role: "branch")
        let branch = try TestSite("branch", beside: centre)
        for (url, message, hint) in [
            (hub.replacing("https://", with: "http://"), "speaks TLS", "write \(hub)"),
            (local.replacing("http://", with: "https://"), "speaks plain HTTP", "line 'hub'"),
            (local, "neither a hub nor a site", "line 'hub'"),
        ] {
            for result in [
                try other.run("sync", url, "--json"), try branch.run("join", code, "--hub", url, "--json"),
            ] {
                #expect(result.status == 64)
                #expect((result.error["message"] as? String)?.contains(message) == true, "\(result.errors)")
                #expect((result.error["hint"] as? String)?.contains(hint) == true, "\(result.errors)")
            }
        }
        // What is not there at all is an outage as before.
        let nowhere = "https://127.0.0.1:\(RawSocket.closedPort())"
        #expect(try other.run("sync", nowhere).status == 69)
        #expect(try other.run("sync", nowhere.replacing("https://", with: "http://")).status == 69)
        #expect(try branch.run("join", code).status == 0)
    }

    @Test func `a site is no peer of itself`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let hub = try #require(centre.hub)
        let result = try centre.run("sync", hub, "--json")
        #expect(result.status == 64)
        #expect((result.error["message"] as? String)?.contains("this site itself") == true)
        #expect((result.error["hint"] as? String)?.contains("sync --forget") == true)
        // It was not remembered.
        #expect(try centre.run("sync", "--forget", hub).status == 66)
    }

    @Test func `a branch's data takes no central role`() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let branch = try centre.invite("麹町出張所", role: "branch")
        for more in [[], ["--hub-plain"]] {
            let words = ["--data", branch.directory.path, "--role", "central", "--listen", "127.0.0.1:0"]
            let result = try Program.tsunagud.run(words + ["--hub-listen", "127.0.0.1:0"] + more)
            #expect(result.status == 77)
            #expect(result.errors.contains("not an admin's data") && result.errors.contains("--role site"))
        }
        try branch.start(role: "site")
        #expect(branch.daemon?.isRunning == true)
    }

    @Test func `a daemon whose port is taken names the option`() throws {
        let site = try TestSite.ward()
        let (listener, port) = RawSocket.listening()
        let taken = "127.0.0.1:\(port)"
        for (option, other) in [("--listen", "--hub-listen"), ("--hub-listen", "--listen")] {
            let words = ["--data", site.directory.path, option, taken, other, "127.0.0.1:0", "--log-level", "critical"]
            let result = try Program.tsunagud.run(words)
            #expect(result.status == 1)
            #expect(result.errors.contains("cannot listen on \(taken)") && result.errors.contains("with \(option);"))
        }
        withExtendedLifetime(listener) {}
    }

    @Test func `a code for other machines has no address of this one`() throws {
        let centre = try TestSite.ward()
        let words = ["invite", "--role", "branch", "--name", "麹町出張所", "--json"]
        try centre.startDaemon(["--hub-listen", "0.0.0.0:0"])
        // What is printed is for this machine, and stays as it is.
        let hub = try #require(centre.hub)
        #expect(hub.hasPrefix("https://127.0.0.1:"))
        let unknown = try centre.run(words)
        #expect(unknown.status == 0 && unknown.object["hub"] is NSNull)
        #expect(
            unknown.errors.contains("--hub https://") && unknown.errors.contains(String(hub.split(separator: ":")[2]))
        )
        #expect(try centre.run(words + ["--hub", hub]).object["hub"] as? String == hub)
        centre.stop()

        // Who listens at one address is found there, if only from this machine.
        try centre.startDaemon(["--hub-listen", "127.0.0.1:0"])
        let known = try centre.run(words)
        #expect(known.object["hub"] as? String == centre.hub && known.errors.isEmpty)
    }
}
