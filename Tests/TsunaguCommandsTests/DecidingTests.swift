// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

@Suite("Deciding conflicts")
struct DecidingTests {
    private func contested() throws -> (ward: WardFixture, id: RecordID) {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let id = try ward.centre.addResident(["number=12345678901", "family_name=佐藤", "phone=03-0000-0000"])
        for site in [a, b] { try ward.sync(site) }
        _ = try a.setResident(id.description, ["phone=090-0000-0001"])
        _ = try b.setResident(id.description, ["phone=090-0000-0002"])
        for site in [a, b, a] { try ward.sync(site) }
        return (ward, id)
    }

    @Test func `An ordinary edit does not decide a conflict in passing`() throws {
        let (ward, id) = try contested()
        #expect {
            try ward.centre.setResident(id.description, ["phone=090-0000-0003"])
        } throws: { ($0 as? CommandError)?.code == .tryAgain }
        #expect(try ward.centre.cases(.conflict).count == 1)
        // Other groups of the same person are free.
        #expect(try ward.centre.setResident(id.description, ["family_name=佐東"]).changed == ["family_name"])
        #expect(try ward.centre.cases(.conflict).count == 1)
    }

    @Test func `Reviving decides between a deletion and an edit`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let id = try ward.centre.addResident(["number=12345678901", "family_name=佐藤"])
        for site in [a, b] { try ward.sync(site) }
        _ = try a.deleteResident(id.description, reason: "転出")
        _ = try b.setResident(id.description, ["phone=090-0000-0002"])
        for site in [a, b, a] { try ward.sync(site) }
        #expect(try a.cases(.conflict).count == 1)
        _ = try ward.centre.reviveResident(id.description, reason: "誤り")
        for site in [a, b] { try ward.sync(site) }
        for site in [a, b, ward.centre] {
            #expect(try site.cases(.conflict).isEmpty)
            #expect(try site.read { try $0.record(WardSchema.resident, id)?.deleted } == false)
        }
    }
}
