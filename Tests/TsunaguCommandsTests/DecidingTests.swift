// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
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

    @Test func `What is no conflict has no values to take, and says what helps instead`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        for site in [a, b] { _ = try site.addResident(["number=12345678901", "family_name=佐藤"]) }
        for site in [a, b] { try ward.sync(site) }
        let finding = try #require(try ward.centre.cases(.finding).first)
        for decision in [Decision.take(1), .set(["phone=1"])] {
            let error = #expect(throws: CommandError.self) {
                try ward.centre.resolve(finding.id, decision, reason: "x")
            }
            #expect(error?.code == .usage && error?.hint?.en.contains("conflict show \(finding.id)") == true)
        }
        let adopting = #expect(throws: CommandError.self) { try ward.centre.adopt(case: finding.id, reason: "x") }
        #expect(adopting?.code == .usage && adopting?.hint?.en.contains("conflict show \(finding.id)") == true)
        _ = try a.addResident(["family_name=田中"])
        _ = try ward.centre.revoke("a", mode: .lost, reason: "紛失")
        try ward.sync(a)
        let quarantined = try #require(try ward.centre.cases(.quarantine).first)
        let error = #expect(throws: CommandError.self) {
            try ward.centre.resolve(quarantined.id, .take(1), reason: "x")
        }
        #expect(error?.code == .usage && error?.hint?.en.contains("--adopt") == true)
        let gone = #expect(throws: CommandError.self) { try ward.centre.resolve("aaaaaaaaaaaa", .take(1), reason: "x") }
        #expect(gone?.code == .tryAgain)
    }

    @Test func `Many conflicts with one source are decided at once, where that is wanted`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let numbers = ["12345678901", "12345678902", "12345678903"]
        let ids = try numbers.map { try ward.centre.addResident(["number=\($0)", "family_name=佐藤"]) }
        for site in [a, b] { try ward.sync(site) }
        let path = ward.root + "/rows.csv"
        let rows = numbers.prefix(2).map { "\($0),090-0000-0001" }.joined(separator: "\n")
        try Data("number,phone\n\(rows)\n".utf8).write(to: URL(filePath: path))
        _ = try a.importFile(.residents, at: path, ImportOptions(updates: true, source: "電話会社"))
        for id in ids { _ = try b.setResident(id.description, ["phone=090-0000-0002"]) }
        _ = try a.setResident(ids[2].description, ["phone=090-0000-0003"])
        for site in [a, b, a] { try ward.sync(site) }
        #expect(try ward.centre.cases(.conflict).count == 3)
        func decide(_ filters: [String], isDry: Bool = false) throws -> Int {
            try ward.centre.resolveAll(
                filters.map { try CaseFilter(typed: $0) },
                takingFrom: "電話会社",
                reason: "照合した",
                isDry: isDry
            ).count
        }
        #expect(try decide([], isDry: true) == 2 && ward.centre.cases(.conflict).count == 3)
        for none in ["group=name", "site=centre", "space=cases", "collection=lesson"] {
            #expect(try decide([none]) == 0)
        }
        for wrong in ["phone", "color=red", ""] {
            #expect { try decide([wrong]) } throws: { ($0 as? CommandError)?.code == .usage }
        }
        #expect(try decide(["group=phone", "site=b", "collection=resident"]) == 2)
        #expect(try ward.centre.cases(.conflict).map(\.records) == [[ids[2]]])
        for site in [a, b] { #expect(try ward.sync(site).upToDate) }
        for site in [a, b, ward.centre] {
            let phones = try ids.prefix(2).map { id in
                try site.read { try $0.record(WardSchema.resident, id)?.text("phone") }
            }
            #expect(phones == ["090-0000-0001", "090-0000-0001"])
        }
    }
}
