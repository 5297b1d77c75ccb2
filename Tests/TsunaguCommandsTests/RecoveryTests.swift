// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// The key on paper: the root of every ward.
@Suite("The recovery key")
struct RecoveryTests {
    private func key() -> RecoveryKey {
        var random = SystemRandomNumberGenerator()
        return RecoveryKey { random.next() }
    }

    @Test func `What a person wrote down is read back, however it is spelt, and slips are noticed`() throws {
        let key = key()
        let text = key.text
        #expect(text.split(separator: "-").map(\.count) == [4, 4, 4, 4, 4, 4, 4, 4])
        let spellings = [
            text, text.lowercased(), text.replacingOccurrences(of: "-", with: " "), " \(text)\n",
            text.replacingOccurrences(of: "O", with: "0").replacingOccurrences(of: "I", with: "1")
                .replacingOccurrences(of: "B", with: "8"),
        ]
        for spelling in spellings { #expect(RecoveryKey(spelling)?.device == key.device, "\(spelling)") }
        let letters = Array(text)
        for place in letters.indices where letters[place] != "-" {
            var slip = letters
            slip[place] = slip[place] == "A" ? "C" : "A"
            #expect(RecoveryKey(String(slip)) == nil, "\(place)")
        }
        #expect(RecoveryKey(String(text.dropLast())) == nil)
        #expect(RecoveryKey("") == nil)
    }

    @Test func `It admits the founding device, and nothing of it stays on the machine`() throws {
        let ward = try WardFixture()
        let access = try #require(try ward.centre.read { try $0.currentAccess() })
        #expect(access.root == ward.recoveryKey.device)
        #expect(access.isAdmin(ward.centre.keys.device) && ward.centre.keys.device != access.root)
        #expect(try ward.centre.status().notices.isEmpty)
        try ward.centre.store.close()
        let secrets = [
            Array(ward.recoveryKey.signing.rawRepresentation), Array(ward.recoveryKey.text.utf8),
            Array(ward.recoveryKey.text.lowercased().filter { $0 != "-" }.utf8),
        ]
        let files = try FileManager.default.subpathsOfDirectory(atPath: ward.centre.directory.path)
        #expect(files.contains("ward.sqlite"))
        for file in files {
            let bytes = try Data(contentsOf: URL(filePath: ward.centre.directory.path + "/" + file))
            for secret in secrets { #expect(bytes.range(of: Data(secret)) == nil, "\(file)") }
        }
    }

    @Test func `The last admin is lost: a branch goes on with the ward, and what the lost one says counts no more`()
        throws
    {
        let ward = try WardFixture()
        let (branch, other) = (try ward.join("麹町出張所"), try ward.join("神保町出張所"))
        _ = try ward.centre.addResident(["family_name=届いた"])
        for site in [branch, other] { try ward.sync(site) }

        let (admitted, revoked) = try branch.recover(
            with: ward.recoveryKey,
            revoking: "千代田区",
            reason: "火災",
            identity: WardFixture.identity
        )
        #expect(admitted == [branch.keys.device] && revoked == [ward.centre.keys.device])
        #expect(try branch.isAdmin() && branch.isCentre())
        // The lost machine is in other hands, and works against the ward.
        _ = try ward.centre.revoke("麹町出張所", mode: .lost, reason: "仕返し")
        _ = try ward.centre.addResident(["family_name=失効後"])

        let hub = Hub(branch)
        #expect(try other.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(try ward.centre.sync(with: LoopbackTransport(hub)).failure?.code == .notPermitted)
        #expect(try other.sync(with: LoopbackTransport(hub)).upToDate)
        for site in [branch, other] {
            let access = try #require(try site.read { try $0.currentAccess() })
            #expect(access.isAdmin(branch.keys.device) && access.isRevoked(ward.centre.keys.device))
            let notices = try site.status().notices.filter { $0.code == "recovery_key_used" }
            #expect(notices.count == 1 && notices[0].detail.contains("火災"))
            let devices = try site.sites().flatMap(\.devices)
            #expect(devices.filter { $0.recovered != nil }.map(\.id) == [branch.keys.device])
            let names = try site.read { try $0.records(site.store.schema.collection(named: "resident")!) }
            #expect(names.map { $0.text("family_name") } == ["届いた"])
        }
        // The new admin does what an admin does.
        let code = try branch.invite(role: .admin, name: "新本庁", spaces: [], milliseconds: 60_000, hub: "https://h")
        let office = try Site.join(
            DataDirectory(ward.root + "/office"),
            person: WardFixture.clerk,
            code: code.code,
            hub: nil,
            deviceName: "office",
            connect: { _ in LoopbackTransport(hub) }
        ).site
        #expect(try office.isAdmin())
        _ = try office.revoke("麹町出張所", mode: .retired, reason: "役目を終えた")
    }

    @Test func `Whoever stole it hides no use behind another one, nor as a second beginning`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        let root = ward.recoveryKey.device
        func uses(_ site: Site) throws -> [[DeviceID]] { try site.read { try $0.recoveries() }.map(\.devices) }
        func chain(_ site: Site) throws -> VectorEntry {
            try #require(try site.read { try $0.vector(of: .system) }.first { $0.replica.device == root })
        }
        let beginning = try chain(branch)
        #expect(try uses(branch).isEmpty && beginning.seq == 1)

        // Behind what the ward began with.
        try branch.write { transaction in
            try transaction.write(as: beginning.replica, ward.recoveryKey.sign) {
                let device = Value.text(ExactText(branch.keys.device.description))
                _ = try transaction.draft(.system, by: WardFixture.clerk)
                    .create(
                        SystemSchema.grant,
                        [(1, device), (2, .text("admin")), (3, .text("*")), (4, .text("write"))]
                    )
            }
        }
        try ward.sync(branch)
        for site in [branch, ward.centre] { #expect(try uses(site) == [[branch.keys.device]]) }

        // In another space: what it writes there shows too.
        let residents = try uses(branch).count
        try branch.write { transaction in
            try transaction.write(as: ReplicaID(of: root, drawn: 7), ward.recoveryKey.sign) {
                _ = try transaction.draft(.residents, by: WardFixture.clerk)
                    .create(branch.store.schema.collection(named: "resident")!, [(1, .text("99"))])
            }
        }
        try ward.sync(branch)
        for site in [branch, ward.centre] { #expect(try uses(site).count == residents + 1) }

        // It opens no session.
        let thief = try #require(
            DeviceKeys(
                "tsunagu-device-key-1\n\(Hex.encode(ward.recoveryKey.signing.rawRepresentation))\n"
                    + "\(String(repeating: "07", count: 32))\n"
            )
        )
        #expect(thief.device == root)
        #expect(try HubSession(thief, with: ward.hub).pull([.residents: [:]])?.isEmpty != false)

        // As another beginning: what another machine wrote that began a ward with the same key.
        let other = try Site.initialise(
            DataDirectory(ward.root + "/other"),
            person: WardFixture.clerk,
            name: "千代田区",
            code: "131016",
            deviceName: "other",
            recoveryKey: ward.recoveryKey,
            identity: WardFixture.identity
        )
        let runs = try other.read { transaction in
            try transaction.runs(of: .system, lacking: [:]).compactMap { try transaction.run($0) }
        }
        for run in runs { _ = try branch.store.write { try $0.receive(run, from: branch.keys.device) } }
        #expect(try uses(branch).contains([other.keys.device]))
    }

    @Test func `Each use is a chain of its own, and two uses of one key do not meet`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b] {
            _ = try site.recover(with: ward.recoveryKey, reason: "停電", identity: WardFixture.identity)
        }
        for site in [a, b, a] { #expect(try ward.sync(site).upToDate) }
        for site in [a, b, ward.centre] {
            let access = try #require(try site.read { try $0.currentAccess() })
            #expect(access.isAdmin(a.keys.device) && access.isAdmin(b.keys.device))
            #expect(try site.read { try $0.recoveries() }.map(\.devices.count) == [1, 1])
            let chains = try site.read { try $0.vector(of: .system) }
                .filter { $0.replica.device == ward.recoveryKey.device }
            #expect(chains.map(\.seq) == [1, 1, 1])
        }
    }

    @Test func `Another ward's key, an unfinished site and a revoked one get nothing`() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        _ = try ward.join("other")
        func vector() throws -> [VectorEntry] { try branch.read { try $0.vector(of: .system) } }
        try ward.sync(branch)
        let before = try vector()
        #expect(throws: CommandError.self) {
            try branch.recover(with: key(), reason: "試し", identity: WardFixture.identity)
        }
        _ = try ward.centre.revoke("other", mode: .lost, reason: "盗難")
        try ward.sync(branch)
        let known = try vector()
        let refused = #expect(throws: CommandError.self) {
            try branch.recover(with: ward.recoveryKey, site: "other", reason: "試し", identity: WardFixture.identity)
        }
        #expect(refused?.code == .notPermitted)
        #expect(throws: CommandError.self) {
            try branch.recover(with: ward.recoveryKey, revoking: "branch", reason: "x", identity: WardFixture.identity)
        }
        #expect(try before != known && vector() == known)
    }

    @Test func `A centre that lost its database begins again by its own ward's key alone`() throws {
        let ward = try WardFixture()
        try ward.centre.store.close()
        let directory = ward.centre.directory
        for suffix in ["", "-wal", "-shm"] { DataDirectory.remove(directory.database + suffix) }
        func begin(_ key: RecoveryKey) throws -> Site {
            try Site.initialise(
                directory,
                person: WardFixture.clerk,
                name: "千代田区",
                code: "131016",
                deviceName: "centre",
                recoveryKey: key,
                isAgain: true,
                identity: WardFixture.identity
            )
        }
        let refused = #expect(throws: CommandError.self) { try begin(key()) }
        #expect(refused?.code == .notPermitted && refused?.hint?.en.contains("paper") == true)
        #expect(!DataDirectory.exists(directory.database))
        let again = try begin(ward.recoveryKey)
        #expect(again.keys.device == ward.centre.keys.device)
        // A key file of before, which does not say its ward, says it from the next opening on.
        let text = try #require(try DataDirectory.read(directory.deviceKey))
        let older = text.split(separator: "\n").prefix(3).joined(separator: "\n") + "\n"
        try DataDirectory.write(older, to: directory.deviceKey)
        try again.store.close()
        _ = try Site.open(directory, person: WardFixture.clerk)
        #expect(try DataDirectory.read(directory.deviceKey) == text)
    }

    @Test func `An admin that was invited becomes a centre, whose invitations name its key`() throws {
        let ward = try WardFixture()
        let (office, branch) = (try ward.join("office", role: .admin), try ward.join("branch"))
        func pin(_ site: Site, _ hub: String) throws -> [UInt8]? {
            let code = try site.invite(role: .branch, name: "x", spaces: [], milliseconds: 60_000, hub: hub).code
            return InvitationCode(code)?.pin
        }
        // It knows the first centre's key from its own invitation.
        #expect(try pin(office, "https://hub.example") == [UInt8](repeating: 7, count: 32))
        #expect(try pin(office, "https://other.example") == nil && !office.isCentre())
        let made: (String) throws -> (key: String, certificate: String, pin: [UInt8]) = { name in
            ("key of \(name)", "certificate", [UInt8](repeating: 8, count: 32))
        }
        try office.becomeCentre(identity: made)
        #expect(try office.isCentre() && DataDirectory.read(office.directory.hubKey) == "key of office")
        #expect(try pin(office, "https://office.example") == [UInt8](repeating: 8, count: 32))
        #expect(try pin(office, "https://hub.example") == [UInt8](repeating: 7, count: 32))
        #expect(throws: CommandError.self) { try branch.becomeCentre(identity: made) }
        #expect(!DataDirectory.exists(branch.directory.hubKey))
    }

    @Test func `The only admin does not end its own rights`() throws {
        let ward = try WardFixture()
        _ = try ward.join("branch")
        for mode in Revocation.Mode.allCases {
            let error = #expect(throws: CommandError.self) {
                try ward.centre.revoke("千代田区", mode: mode, reason: "更新")
            }
            #expect(error?.code == .notPermitted && error?.hint?.en.contains("invite") == true)
        }
        #expect(try ward.centre.isAdmin())
    }
}
