// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Protected residents (支援措置): who is shown them, what others are told, and what comes of those who did not know.
@Suite struct ProtectionTests {
    static let person = [
        "family_name=隠岐", "given_name=秘子", "family_kana=オキ", "given_kana=ヒメコ", "birth_date=1980-02-03",
        "number=00012345678", "address=東京都千代田区秘密町7-7", "phone=03-9999-0001", "languages=qq",
    ]
    /// What nobody without the grant may find anywhere.
    static let secrets = ["隠岐", "秘子", "オキ", "ヒメコ", "1980-02-03", "00012345678", "秘密町", "03-9999-0001", "加害者"]
    static let reason = "加害者が探している"

    let ward: WardFixture
    let branch: Site
    let id: String

    init() throws {
        ward = try WardFixture()
        branch = try ward.join("branch")
        id = try ward.centre.addResident(Self.person).description
        _ = try ward.centre.noteResident(id, "秘密町の記事")
        try ward.sync(branch)
    }

    private func code(_ body: () throws -> Void) -> CommandError.Code? {
        do {
            try body()
            return nil
        } catch {
            return (error as? CommandError)?.code
        }
    }

    // MARK: - Who sees what

    @Test func `The office shows the person, marked; a branch is told to ask the office`() throws {
        let done = try ward.centre.protectResident(id, reason: Self.reason)
        try ward.sync(branch)

        let shown = try ward.centre.resident("00012345678")
        #expect(shown.id == done.id && shown.space == .protectedResidents)
        #expect(shown.text("address") == "東京都千代田区秘密町7-7")
        #expect(try ward.centre.resident(id).id == done.id)
        #expect(try ward.centre.findResidents("隠岐").map(\.id) == [done.id])
        guard case .entries(let notes)? = shown.fields.first(where: { $0.field.name == "notes" })?.shown else {
            Issue.record("no notes")
            return
        }
        #expect(notes.map(\.text) == ["秘密町の記事"])
        #expect(notes.first?.author.person.id == "admin")

        #expect(code { _ = try branch.resident("00012345678") } == .askWardOffice)
        #expect(code { _ = try branch.resident(id) } == .askWardOffice)
        #expect(code { _ = try branch.residentHistory(id) } == .askWardOffice)
        for words in ["00012345678", "隠岐秘子 1980-02-03", "ｵｷ ﾋﾒｺ 1980-02-03"] {
            #expect(code { _ = try branch.findResidents(words) } == .askWardOffice, "\(words)")
        }
        #expect(try branch.findResidents("隠岐").isEmpty)
        #expect(code { _ = try branch.findResidents("00012345679") } == nil)
        #expect(code { _ = try branch.addResident(Self.person) } == .askWardOffice)
        #expect(
            code {
                _ = try branch.addResident([
                    "family_name=別", "family_kana=ｵｷ", "given_kana=ヒメコ", "birth_date=1980-02-03",
                ])
            } == .askWardOffice
        )
        #expect(
            code { _ = try branch.addResident(["family_name=隠岐", "given_name=秘子", "birth_date=1981-02-03"]) } == nil
        )
    }

    @Test func `A file with exactly the person is refused by its row`() throws {
        _ = try ward.centre.protectResident(id, reason: Self.reason)
        try ward.sync(branch)
        let path = ward.root + "/rows.csv"
        try "number,family_name,given_name,birth_date\n555,隠岐,秘子,1980-02-03\n556,佐藤,花,1980-02-03\n".write(
            toFile: path,
            atomically: true,
            encoding: .utf8
        )
        let failure = #expect(throws: ImportFailure.self) { try branch.importFile(.residents, at: path) }
        #expect(failure?.problems.map(\.code) == ["ask_ward_office"])
        #expect(failure?.problems.map(\.line) == [2])
    }

    @Test func `Only an admin who may write both spaces protects`() throws {
        #expect(code { _ = try branch.protectResident(id, reason: "x") } == .notPermitted)
        let holder = try ward.join("holder", spaces: ["residents", "residents/protected"])
        #expect(code { _ = try holder.protectResident(id, reason: "x") } == .notPermitted)
        _ = try ward.centre.protectResident(id, reason: "x")
        try ward.sync(holder)
        #expect(try holder.resident("00012345678").space == .protectedResidents)
        #expect(code { _ = try ward.centre.unprotectResident("none", reason: "x") } == .notFound)
    }

    @Test func `A booking tells a lesson's space nothing of a protected resident`() throws {
        let lesson = try ward.centre.addLesson(.kudan(capacity: 3))
        _ = try ward.centre.protectResident(id, reason: "x")
        #expect(code { _ = try ward.centre.addBooking(lesson: lesson.description, .resident(id)) } == .notPermitted)
    }

    @Test func `Whose a booking is, only the office knows, also where a branch noted it too late`() throws {
        let lesson = try ward.centre.addLesson(.kudan(capacity: 3))
        try ward.sync(branch)
        try ward.sync(branch)
        let other = try ward.centre.addLesson(.kudan("K2", capacity: 3, date: "2090-12-02"))
        let early = try ward.centre.addBooking(lesson: other.description, .resident(id)).record.id
        let late = try branch.addBooking(lesson: lesson.description, .resident(id)).record.id
        let done = try ward.centre.protectResident(id, reason: "x")
        #expect(done.bookings == [early])
        for _ in 0..<2 { try ward.sync(branch) }
        for booking in [early, late] {
            #expect(try ward.centre.booking(booking.description).resident == done.id)
            #expect(try branch.booking(booking.description).resident == nil)
        }
        #expect(try Set(ward.centre.protectResident(id, reason: "x").bookings) == [early, late])
    }

    @Test func `A resident who was deleted, with whatever reason, is still found as deleted`() throws {
        _ = try ward.centre.deleteResident(id, reason: "erased")
        #expect(try ward.centre.resident(id).deleted)
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        #expect(try ward.centre.resident(hidden.description).deleted)
        let released = try ward.centre.unprotectResident(id, reason: "over").id
        #expect(try ward.centre.resident(released.description).deleted)
    }

    // MARK: - Twice, and back

    @Test func `Protecting twice, also at two offices at once, is one record without a conflict`() throws {
        let other = try ward.join("second", role: .admin)
        try ward.sync(other)
        let first = try ward.centre.protectResident(id, reason: "one")
        let second = try other.protectResident(id, reason: "two")
        #expect(first.id == second.id)
        try ward.sync(other)
        try ward.sync(other)
        #expect(try ward.digests(other) == ward.digests(ward.centre))
        #expect(try ward.centre.cases().isEmpty)
        #expect(try ward.centre.findResidents("隠岐").map(\.id) == [first.id])
        #expect(try ward.centre.protectResident(id, reason: "again").id == first.id)
        #expect(try ward.centre.resident(id).conflicts.isEmpty)
    }

    @Test func `What sites differed on is kept: one value goes on, the other waits beside it`() throws {
        _ = try ward.centre.setResident(id, ["phone=03-9999-0002"])
        _ = try branch.setResident(id, ["phone=03-9999-0003"])
        try ward.sync(branch)
        #expect(try ward.centre.cases(.conflict).count == 1)
        let done = try ward.centre.protectResident(id, reason: "x")
        let cases = try ward.centre.cases()
        #expect(cases.map(\.code) == ["pending_edit"])
        let values = Set(cases[0].values.flatMap { $0.fields.map(\.value) })
        #expect(values == [.text("03-9999-0002"), .text("03-9999-0003")])
        #expect(code { _ = try ward.centre.unprotectResident(id, reason: "x") } == .tryAgain)
        #expect(try ward.centre.resolve(cases[0].id, .take(2), reason: "asked") == done.id)
        #expect(try ward.centre.cases().isEmpty)
        #expect(try ward.centre.resident(id).text("phone") == cases[0].values[1].fields[0].value.text)
    }

    @Test func `A release gives a new record with the old number, and old references still lead to it`() throws {
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        let released = try ward.centre.unprotectResident(id, reason: "over").id
        try ward.sync(branch)
        #expect(released != hidden && released.description != id)
        let shown = try branch.resident("00012345678")
        #expect(shown.id == released && shown.space == .residents)
        guard case .entries(let notes)? = shown.fields.first(where: { $0.field.name == "notes" })?.shown else {
            Issue.record("no notes")
            return
        }
        #expect(notes.map(\.text) == ["秘密町の記事"])
        #expect(try branch.findResidents("隠岐秘子").map(\.id) == [released])
        for name in [id, hidden.description, "00012345678"] { #expect(try ward.centre.resident(name).id == released) }
        #expect(try ward.centre.findResidents("隠岐", all: true).map(\.id) == [released])
        #expect(try ward.centre.cases().isEmpty)

        #expect(try ward.centre.protectResident(released.description, reason: "again").id == hidden)
        try ward.sync(branch)
        #expect(code { _ = try branch.resident("00012345678") } == .askWardOffice)
        #expect(try ward.centre.unprotectResident(id, reason: "over").id != released)
    }

    @Test func `Protection wins over a release at the same time`() throws {
        let other = try ward.join("second", role: .admin)
        let hidden = try ward.centre.protectResident(id, reason: "x").id
        try ward.sync(other)
        try ward.sync(branch)
        let released = try ward.centre.unprotectResident(id, reason: "over").id
        try ward.sync(branch)
        #expect(try branch.resident("00012345678").id == released)
        _ = try other.setResident(id, ["phone=03-9999-0009"])
        #expect(try other.protectResident(id, reason: "longer").id == hidden)
        for _ in 0..<2 { for site in [other, branch] { try ward.sync(site) } }
        #expect(try ward.digests(other) == ward.digests(ward.centre))
        for site in [ward.centre, other] {
            let shown = try site.resident("00012345678")
            #expect(shown.id == hidden && shown.text("phone") == "03-9999-0009")
            #expect(try site.findResidents("隠岐").map(\.id) == [hidden])
        }
        #expect(code { _ = try branch.resident("00012345678") } == .askWardOffice)
        #expect(try branch.cases().isEmpty)
    }
}
