// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import ProcessSupport
import Testing

/// Two sites in one network while the ward office is out of reach.
@Suite struct PeerTests {
    @Test func sitesOfOneNetworkExchangeWithoutTheHub() throws {
        let centre = try TestSite.ward()
        try centre.start()
        let venue = try centre.invite("九段会館", role: "venue", "lessons/kudan")
        let kojimachi = try centre.invite("麹町出張所", role: "branch")
        let jimbocho = try centre.invite("神保町出張所", role: "branch")
        centre.stop()

        let id = try jimbocho.add("family_name=佐藤", "phone=03-1111-2222")
        try kojimachi.start(role: "site")
        let peer = try #require(kojimachi.hub)
        #expect(peer.hasPrefix("https://"))
        // The key was made for this; nobody pins it.
        #expect(FileManager.default.fileExists(atPath: kojimachi.directory.appending(path: "hub-key.pem").path))

        // The neighbour joined before and never heard of this site, which brings what says who it is.
        let sync = try jimbocho.json("sync", peer).object
        #expect(sync["up_to_date"] as? Bool == true && (sync["sent"] as? Int ?? 0) > 0)
        #expect(try kojimachi.json("resident", "show", id).object["phone"] as? String == "03-1111-2222")
        #expect(try jimbocho.digests() == kojimachi.digests())
        #expect(try jimbocho.json("sync", peer, "--lang", "en").object["received"] as? Int == 0)

        let told = try venue.json("sync", peer).object
        let proved = (told["peers"] as? [[String: Any]])?.first?["proved"] as? [String] ?? []
        #expect(Set(proved).isSubset(of: ["lessons/kudan", "system"]) && proved.contains("system"))
        #expect(try Set(venue.digests().keys).isSubset(of: ["lessons/kudan", "system"]))
        #expect(try venue.run("resident", "show", id).status == 66)

        // A branch admits nobody to the ward.
        let code =
            try centre.json("invite", "--role", "branch", "--name", "富士見", "--hub", peer).object["code"] as? String
        let fujimi = try TestSite("fujimi", beside: centre)
        #expect(try fujimi.run("join", try #require(code)).status == 77)

        // The office comes back: the neighbour brings what both have, and who wrote it has nothing left to say.
        kojimachi.stop()
        try centre.start()
        try kojimachi.sync()
        #expect(try centre.json("resident", "show", id).object["phone"] as? String == "03-1111-2222")
        let late = try jimbocho.run("sync", "--json")
        // The peer is remembered and down; the hub has everything all the same.
        #expect(late.status == 69)
        let peers = late.object["peers"] as? [[String: Any]] ?? []
        #expect(peers.map { $0["up_to_date"] as? Bool } == [true, false])
        #expect(peers.allSatisfy { $0["sent"] as? Int == 0 })
        #expect(try jimbocho.digests() == centre.digests())
        let devices = try centre.json("site", "list").list.flatMap { $0["devices"] as? [[String: Any]] ?? [] }
        func device(_ site: TestSite) throws -> [String: Any] {
            let id = try site.json("status").object["device"] as? String
            return try #require(devices.first { $0["id"] as? String == id })
        }
        #expect(
            try device(jimbocho)["last_contact"] is String
                && (device(jimbocho)["lacks"] as? [String: Int])?.isEmpty == true
        )
        #expect(try device(centre)["last_contact"] is NSNull)
        #expect(try jimbocho.run("sync", "--forget", peer).status == 0)
        #expect(try jimbocho.run("sync").status == 0)
    }

    @Test func anotherWardIsRefusedThoughAnyCertificateIsTaken() throws {
        let (ours, theirs) = (try TestSite.ward(), try TestSite.ward())
        try theirs.start()
        _ = try theirs.add("family_name=他")
        _ = try ours.add("family_name=佐藤")
        let result = try ours.run("sync", try #require(theirs.hub), "--json")
        #expect(result.status == 77)
        #expect(result.object["received"] as? Int == 0)
        #expect(result.error["hint"] is String)
        #expect(try ours.json("resident", "find", "佐藤").list.count == 1)
        #expect(try theirs.json("resident", "find", "佐藤").list.isEmpty)
    }
}
