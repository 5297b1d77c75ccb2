// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// The audit log: what admins did and who saw protected residents, read off the signed logs.
@Suite struct AuditTests {
    let ward: WardFixture
    let id: String

    init() throws {
        ward = try WardFixture()
        id = try ward.centre.addResident(ProtectionTests.person).description
    }

    private func acts(_ site: Site) throws -> [AuditEntry.Act] { try site.audit().map(\.act) }

    @Test func `Every look at a protected resident is recorded with who, where, when and whom`() throws {
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        let before = try ward.centre.audit().count
        _ = try ward.centre.resident(hidden.description)
        _ = try ward.centre.findResidents("隠岐")
        _ = try ward.centre.residentHistory("00012345678")
        _ = try ward.centre.exportFile(.residents, to: ward.root + "/residents.csv")
        _ = try ward.centre.findResidents("佐藤")
        let reads = try ward.centre.audit().dropFirst(before)
        #expect(reads.map(\.detail) == ["show", "find", "history", "export"])
        #expect(reads.allSatisfy { $0.act == .read && $0.records == [hidden.description] })
        #expect(reads.allSatisfy { $0.author.person.id == "admin" && $0.author.device == ward.centre.keys.device })
        #expect(reads.allSatisfy { $0.space == .protectedResidents && $0.isInEffect })
        let file = try String(contentsOfFile: ward.root + "/residents.csv", encoding: .utf8)
        #expect(file.contains("隠岐") && file.contains("protected"))
    }

    @Test func `A look at a conflict of a protected resident is recorded`() throws {
        let other = try ward.join("second", role: .admin)
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        try ward.sync(other)
        _ = try ward.centre.setResident(hidden.description, ["phone=03-9999-0002"])
        _ = try other.setResident(hidden.description, ["phone=03-9999-0003"])
        try ward.sync(other)
        let open = try ward.centre.cases()
        #expect(open.map(\.code) == ["concurrent_values"])
        _ = try ward.centre.openCase(open[0].id)
        _ = try ward.centre.resolve(open[0].id, .take(1), reason: "asked")
        let last = try ward.centre.audit().suffix(3)
        #expect(last.map(\.act) == [.read, .read, .resolve])
        #expect(last.map(\.records) == Array(repeating: [hidden.description], count: 3))
    }

    @Test func `What is read far from the office comes with the next exchange`() throws {
        let holder = try ward.join("holder", spaces: ["residents", "residents/protected"])
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        try ward.sync(holder)
        _ = try holder.resident(hidden.description)
        #expect(try !acts(ward.centre).contains(.read))
        try ward.sync(holder)
        let read = try #require(try ward.centre.audit().last)
        #expect(read.act == .read && read.author.person.id == "holder")
        #expect(read.author.device == holder.keys.device)
    }

    @Test func `An answer that cannot be recorded is not given`() throws {
        let reader = try ward.join("reader", spaces: ["residents"])
        _ = try ward.centre.grant("reader", space: "residents/protected", writes: false)
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        try ward.sync(reader)
        try ward.sync(reader)
        #expect(try reader.read { try $0.spaces() }.contains(.protectedResidents))
        for name in [id, hidden.description, "00012345678"] {
            let error = #expect(throws: CommandError.self) { try reader.resident(name) }
            #expect(error?.code.exitStatus != 0)
        }
        #expect(try reader.findResidents("隠岐").isEmpty)
    }

    @Test func `Acts of administration are told with their reasons, and with no value of a resident`() throws {
        let branch = try ward.join("branch")
        _ = try ward.centre.grant("branch", space: "cases", writes: true)
        _ = try ward.centre.protectResident(id, reason: "申出")
        _ = try ward.centre.unprotectResident(id, reason: "終了")
        let gone = try ward.centre.addResident(["family_name=佐藤"])
        _ = try ward.centre.deleteResident(gone.description, reason: "転出")
        _ = try ward.centre.reviveResident(gone.description, reason: "誤り")
        try ward.sync(branch)
        _ = try ward.centre.revoke("branch", mode: .retired, reason: "廃止")
        let entries = try ward.centre.audit()
        let told = entries.map(\.act)
        for act in [AuditEntry.Act.invite, .enrol, .grant, .protect, .unprotect, .delete, .revive, .revoke] {
            #expect(told.contains(act), "\(act)")
        }
        #expect(entries.filter { $0.act == .protect }.map(\.reason) == ["申出"])
        #expect(entries.filter { $0.act == .revoke }.map(\.reason) == ["廃止"])
        #expect(entries.map(\.author.timestamp) == entries.map(\.author.timestamp).sorted())

        let path = ward.root + "/audit.csv"
        #expect(try ward.centre.exportAudit(to: path) { "\($0.milliseconds)" } == entries.count)
        let file = try String(contentsOfFile: path, encoding: .utf8)
        for secret in ProtectionTests.secrets { #expect(!file.contains(secret), "\(secret)") }
        #expect(file.contains("申出"))
    }

    @Test func `Only admins and auditors see the audit log, and auditors what they hold`() throws {
        let branch = try ward.join("branch")
        let auditor = try ward.join("auditor", role: .auditor, spaces: ["residents"])
        _ = try ward.centre.protectResident(id, reason: "加害者が探している")
        _ = try ward.centre.resident(id)
        for site in [branch, auditor] { try ward.sync(site) }
        #expect(throws: CommandError.self) { try branch.audit() }
        let told = try auditor.audit()
        #expect(told.contains { $0.act == .invite })
        #expect(!told.contains { $0.space == .protectedResidents || $0.reason == "加害者が探している" })
        // That it is not all is said.
        let gap = try #require(try auditor.auditGap())
        #expect(gap.en.contains("partial") && gap.en.contains("residents/protected") && gap.en.contains("site grant"))
        #expect(try ward.centre.auditGap() == nil)
        _ = try ward.centre.grant("auditor", space: "*", writes: false)
        for _ in 0..<2 { try ward.sync(auditor) }
        #expect(try auditor.auditGap() == nil)
        #expect(try auditor.audit().contains { $0.reason == "加害者が探している" })
    }

    @Test func `Entries name links of the authors' chains`() throws {
        _ = try ward.centre.protectResident(id, reason: "x")
        for entry in try ward.centre.audit() {
            let hash = try ward.centre.read {
                try $0.headerHash(of: entry.change.replica, at: entry.change.seq, in: entry.space)
            }
            #expect(hash == entry.hash)
        }
    }
}
