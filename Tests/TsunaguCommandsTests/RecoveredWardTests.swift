// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// What becomes of those who did not know that the ward has another office: the former one, and whom it let in or ended.
@Suite("A ward after its recovery")
struct RecoveredWardTests {
    private let ward: WardFixture

    init() throws { ward = try WardFixture() }

    private func recover(_ site: Site, as mode: Revocation.Mode) throws -> Hub {
        _ = try site.recover(
            with: ward.recoveryKey,
            revoking: "千代田区",
            as: mode,
            reason: "火災",
            identity: WardFixture.identity
        )
        return Hub(site)
    }

    private func isErased(_ site: Site) -> Bool {
        !DataDirectory.exists(site.directory.database) && !DataDirectory.exists(site.directory.deviceKey)
            && DataDirectory.exists(site.directory.farewell)
    }

    private func names(_ site: Site) throws -> Set<String> {
        try site.read { transaction in
            Set(
                try transaction.records(site.store.schema.collection(named: "resident")!, where: "deleted = 0")
                    .compactMap { $0.text("family_name") }
            )
        }
    }

    private func access(_ site: Site) throws -> Access { try #require(try site.read { try $0.currentAccess() }) }

    @Test(arguments: Revocation.Mode.allCases)
    func `The former centre hands in, is shown who speaks for the ward now, and erases`(mode: Revocation.Mode) throws {
        let (branch, other) = (try ward.join("branch"), try ward.join("other", role: .admin))
        for site in [branch, other] { try ward.sync(site) }
        _ = try other.invite(role: .branch, name: "神保町", spaces: [], milliseconds: 60_000, hub: nil)
        try ward.sync(other)
        try ward.sync(branch)
        let hub = try recover(branch, as: mode)
        _ = try ward.centre.addResident(["family_name=本庁で未送信"])
        let protected = try ward.centre.addResident(["family_name=支援", "birth_date=1980-01-02"])
        _ = try ward.centre.protectResident(protected.description, reason: "申出")
        let secret = try branch.addResident(["family_name=失効のあと"])

        let transport = LoopbackTransport(hub)
        let report = try ward.centre.sync(with: transport)
        #expect(report.failure?.code == .notPermitted)
        #expect(isErased(ward.centre))
        #expect(throws: CommandError.self) { try Site.open(ward.centre.directory, person: WardFixture.clerk) }
        let shown = try names(branch)
        #expect(shown.contains("本庁で未送信") == (mode == .retired))
        #expect(try branch.resident(secret.description).id == secret)
        #expect(try branch.status().quarantined == 0 || mode == .lost)
        #expect(try branch.doctor().allSatisfy { $0.ok || $0.isWarning })
    }

    @Test func `A former centre that ended its successor in return still erases, since the root is senior`() throws {
        let branch = try ward.join("branch")
        try ward.sync(branch)
        let hub = try recover(branch, as: .lost)
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "仕返し")
        #expect(try ward.centre.sync(with: LoopbackTransport(hub)).failure?.code == .notPermitted)
        #expect(isErased(ward.centre))
        #expect(try branch.isAdmin())
    }

    @Test func `An admin whom the new office made sends the former centre away as well`() throws {
        let branch = try ward.join("branch")
        try ward.sync(branch)
        let hub = try recover(branch, as: .lost)
        let code = try branch.invite(role: .admin, name: "新本庁", spaces: [], milliseconds: 60_000, hub: "https://h")
        let office = try Site.join(
            DataDirectory(ward.root + "/office"),
            person: WardFixture.clerk,
            code: code.code,
            hub: nil,
            deviceName: "office",
            connect: { _ in LoopbackTransport(hub) }
        ).site
        #expect(try ward.centre.sync(with: LoopbackTransport(Hub(office))).failure?.code == .notPermitted)
        #expect(isErased(ward.centre))
    }

    @Test func `A neighbour that is no admin's shows a revoked device nothing`() throws {
        let (branch, neighbour) = (try ward.join("branch"), try ward.join("neighbour"))
        try ward.sync(branch)
        let before = try branch.read { try $0.vector(of: .system) }
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        try ward.sync(neighbour)
        #expect(try branch.sync(with: LoopbackTransport(Hub(neighbour))).failure?.code == .notPermitted)
        #expect(!isErased(branch))
        #expect(try branch.read { try $0.vector(of: .system) } == before)
    }

    @Test func `Nothing but the word that ended them and what that rests on is shown to the revoked`() throws {
        let (branch, late) = (try ward.join("branch"), try ward.join("late"))
        for site in [branch, late] { try ward.sync(site) }
        let hub = try recover(branch, as: .lost)
        let said = try #require(try access(branch).endings[ward.centre.keys.device])
        try branch.seal()
        // Said after it: no business of theirs.
        _ = try branch.invite(role: .venue, name: "後", spaces: ["lessons/x"], milliseconds: 60_000, hub: nil)
        try branch.seal()
        let storage = StoreReplica(branch)
        let rows = try storage.runs(ending: ward.centre.keys.device, lacking: [:])
        let runs = try rows.compactMap { try storage.run($0) }
        #expect(runs.allSatisfy { $0.space == .system })
        #expect(runs.contains { $0.replica == said.replica && $0.last >= said.seq })
        #expect(!runs.contains { $0.replica.device == branch.keys.device })
        #expect(try storage.runs(ending: late.keys.device, lacking: [:]).isEmpty)
        withExtendedLifetime(hub) {}
    }

    @Test func `Who finds that a hub's rights have ended tells it, and it tells its people`() throws {
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        for site in [branch, other] { try ward.sync(site) }
        let hub = try recover(branch, as: .lost)
        #expect(try other.sync(with: LoopbackTransport(hub)).upToDate)
        _ = try other.addResident(["family_name=失効のあと"])
        let refused = try other.sync(with: ward.transport()).failure
        #expect(refused?.code == .notPermitted && refused?.message.en.contains("rights") == true)
        #expect(try access(ward.centre).isRevoked(ward.centre.keys.device))
        #expect(try ward.centre.status().notices.contains { $0.code == "rights_ended" })
        #expect(try names(ward.centre).isEmpty)
        let written = #expect(throws: CommandError.self) { try ward.centre.addResident(["family_name=x"]) }
        #expect(written?.code == .notPermitted)
        // And it finds the way out.
        #expect(try ward.centre.sync(with: LoopbackTransport(hub)).failure?.code == .notPermitted)
        #expect(isErased(ward.centre))
    }

    @Test func `Whom a broken centre let in or ended after the last sync counts as soon as anybody brings it`() throws {
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        let stolen = try ward.join("stolen")
        for site in [branch, other, stolen] { try ward.sync(site) }
        _ = try ward.centre.revoke("stolen", mode: .lost, reason: "盗難")
        let late = try ward.join("late")
        _ = try late.addResident(["family_name=遅"])
        let hub = try recover(branch, as: .retired)
        #expect(try late.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(try access(branch).isRevoked(stolen.keys.device) && access(branch).isMember(late.keys.device))
        #expect(try names(branch) == ["遅"] && branch.status().quarantined == 0)
        #expect(try stolen.sync(with: LoopbackTransport(hub)).failure?.code == .notPermitted)
        #expect(isErased(stolen))
    }

    @Test func `Whom a stolen centre let in or ended waits in the inbox, and an admin says it anew case by case`()
        throws
    {
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        let stolen = try ward.join("stolen")
        for site in [branch, other, stolen] { try ward.sync(site) }
        _ = try ward.centre.revoke("stolen", mode: .lost, reason: "盗難")
        let late = try ward.join("late")
        _ = try late.addResident(["family_name=遅"])
        let hub = try recover(branch, as: .lost)
        // Not let in, and not silently: what it brings says who it is.
        let refused = try late.sync(with: LoopbackTransport(hub)).failure
        #expect(refused?.code == .notPermitted && refused?.hint?.en.contains("adopt") == true)
        #expect(try !access(branch).isRevoked(stolen.keys.device))
        let cases = try branch.cases(.quarantine)
        let says = cases.flatMap(\.says)
        #expect(cases.allSatisfy { $0.space == .system })
        #expect(says.contains { $0.hasPrefix("revoke stolen lost") })
        #expect(says.contains { $0.hasPrefix("enrol ") && $0.hasSuffix(" late") })
        // Not in one go: among it may be what a thief said.
        let whole = #expect(throws: CommandError.self) { try branch.adopt(site: "千代田区", reason: "確かめた") }
        #expect(whole?.hint?.en.contains("case by case") == true)
        #expect(throws: CommandError.self) { try other.adopt(case: cases[0].id, reason: "確かめた") }

        let last = try #require(cases.last)
        #expect(try branch.adopt(case: last.id, reason: "台帳で確かめた") > 0)
        #expect(try branch.cases(.quarantine).isEmpty && branch.status().quarantined == 0)
        #expect(try access(branch).isRevoked(stolen.keys.device) && access(branch).isMember(late.keys.device))
        #expect(try late.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(try other.sync(with: LoopbackTransport(hub)).upToDate)
        for site in [branch, other, late] {
            #expect(try names(site) == ["遅"])
            #expect(try site.status().quarantined == 0)
            #expect(try site.sites().contains { $0.name == "late" && !$0.isRevoked })
            #expect(try site.doctor().allSatisfy { $0.ok || $0.isWarning })
        }
        #expect(try ward.digests(branch) == ward.digests(late) && ward.digests(branch) == ward.digests(other))
        #expect(try stolen.sync(with: LoopbackTransport(hub)).failure?.code == .notPermitted)
        #expect(isErased(stolen))
        let acts = try branch.audit().filter { $0.reason == "台帳で確かめた" }
        #expect(acts.contains { $0.act == .revoke } || acts.contains { $0.act == .grant })
    }

    @Test func `A revocation of oneself is not said anew with the rest`() throws {
        let (branch, other) = (try ward.join("branch"), try ward.join("other"))
        for site in [branch, other] { try ward.sync(site) }
        let late = try ward.join("late")
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "仕返し")
        let hub = try recover(branch, as: .lost)
        // Somebody who heard it all from the centre brings it, and hears there that the branch goes on.
        try ward.sync(other)
        #expect(try access(other).isRevoked(branch.keys.device))
        #expect(try other.sync(with: LoopbackTransport(hub)).upToDate)
        #expect(try !access(other).isRevoked(branch.keys.device))
        let last = try #require(try branch.cases(.quarantine).last { $0.space == .system })
        _ = try branch.adopt(case: last.id, reason: "確かめた")
        #expect(try branch.isAdmin() && access(branch).isMember(late.keys.device))
    }
}
