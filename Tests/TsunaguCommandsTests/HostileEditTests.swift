// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Edits sealed for the ward office that nobody made: whoever may write `residents` can make one up.
@Suite("Made-up edits of protected people")
struct HostileEditTests {
    let ward: WardFixture
    let branch: Site
    let holder: Site
    /// An ordinary record of the protected person, and the key that edits are sealed for.
    let record: RecordID
    let key: [UInt8]

    init() throws {
        let ward = try WardFixture()
        let branch = try ward.join("branch")
        (self.ward, self.branch) = (ward, branch)
        holder = try ward.join("holder", role: .admin)
        record = try ward.centre.addResident(["family_name=隠岐", "given_name=秘子", "birth_date=1980-02-03"])
        try ward.sync(branch)
        _ = try branch.addResident(["family_name=佐藤"])
        try ward.sync(branch)
        _ = try ward.centre.protectResident(record.description, reason: "x")
        for site in [branch, holder] { try ward.sync(site) }
        let intake = try branch.read { try $0.records(WardSchema.intake) }
        key = try #require(intake.first?.text("public_key").flatMap { Hex.decode($0) })
    }

    /// A further change of the branch that the office has: what an edit says that it is from is taken in once.
    private func origin() throws -> ChangeHeader {
        _ = try branch.addResident(["family_name=佐藤"])
        try ward.sync(branch)
        let runs = try branch.read { transaction in
            try transaction.runs(of: .residents, lacking: [:]).compactMap { try transaction.run($0) }
        }
        let own = try OpenLog(runs).runs.flatMap(\.changes).last { $0.header.dot.replica.device == branch.keys.device }
        return try #require(own).header
    }

    private func edit(
        _ operations: [Shape.Operation],
        _ values: [Value],
        collection: UInt32 = WardSchema.resident.number,
        by person: Operator? = nil
    ) throws -> PersonEdit {
        let shape = Shape(collection: collection, operations: operations)
        var header = try origin()
        if let person { header.author = person }
        return PersonEdit(WithdrawnEntry(header: header, id: record, shape: shape, values: values))
    }

    private func register(_ group: UInt32, _ fields: [UInt32], _ values: [Value]) throws -> PersonEdit {
        try edit([Shape.Operation(group: group, .register, fields: fields)], values)
    }

    /// Puts a box among the residents, as a branch's program may.
    private func send(_ box: [UInt8], _ number: Int) throws {
        _ = try branch.write { transaction in
            try transaction.draft(.residents, by: branch.person).create(
                WardSchema.sealedEdit,
                id: RecordID(derivedFrom: [Array("box".utf8), Array("\(number)".utf8)]),
                [(1, .text(Hex.encode(box)))]
            )
        }
    }

    /// The office goes on: it takes the branch's changes, writes, and others take what it writes.
    private func expectAtWork(_ what: String) throws {
        #expect(try ward.sync(branch).failure == nil, "\(what)")
        _ = try ward.centre.addResident(["family_name=仕事"])
        for site in [holder, branch, holder] { #expect(try ward.sync(site).upToDate, "\(what)") }
        #expect(try ward.centre.status().refused.isEmpty, "\(what)")
        for site in [ward.centre, holder] {
            #expect(try site.doctor().filter { $0.name == "log" || $0.name == "tables" }.allSatisfy(\.ok), "\(what)")
        }
        let digests = try [ward.centre, holder].map { site in
            try site.read { try $0.digest(of: .protectedResidents) }
        }
        #expect(digests[0] == digests[1], "\(what)")
        for site in [ward.centre, holder] { _ = try (site.cases(), site.resident(record.description)) }
    }

    @Test func `An edit that no schema allows is no edit, and stops nobody`() throws {
        let items = Items(added: [.init(Array("en".utf8))]).encoded
        let removal = Items(added: [], removed: [Array("x".utf8)]).encoded
        let all = try [
            "a field that there is not": register(1, [99], [.text("x")]),
            "a field of another group": register(1, [10], [.text("x")]),
            "one field that there is not": register(1, [1, 99], [.text("x"), .text("y")]),
            "a group that there is not": register(40, [1], [.text("x")]),
            "a set as a register": register(9, [16], [.text("x")]),
            "a number for a text": register(1, [1], [.integer(7)]),
            "bytes for a text": register(1, [1], [.bytes([1])]),
            "a register as a set": edit([.init(group: 1, .set)], [.bytes(items)]),
            "a set of no items": edit([.init(group: 9, .set)], [.bytes([9])]),
            "a set that is a text": edit([.init(group: 9, .set)], [.text("x")]),
            "a removal from a list": edit([.init(group: 10, .log)], [.bytes(removal)]),
            "a note that is no text": edit([.init(group: 10, .log)], [.bytes(Items(added: [.init([0xff])]).encoded)]),
            "another collection": edit(
                [.init(group: 1, .register, fields: [1])],
                [.text("x")],
                collection: WardSchema.booking.number
            ),
            "a collection that there is not": edit(
                [.init(group: 1, .register, fields: [1])],
                [.text("x")],
                collection: 999
            ),
            "a life of bytes": register(0, [0], [.bytes([1])]),
        ]
        for (number, (what, edit)) in all.sorted(by: { $0.key < $1.key }).enumerated() {
            try send(#require(try edit.sealed(for: key)), number)
            try expectAtWork(what)
        }
    }

    @Test func `An edit that is larger than the office can keep stops nobody`() throws {
        let long = Operator(
            id: ExactText(String(repeating: "i", count: 4000)),
            label: ExactText(String(repeating: "l", count: 4000))
        )
        let notes = Items(added: (0..<4000).map { Items.Item(Array("記事\($0)".utf8)) }).encoded
        let text = Value.text(String(repeating: "x", count: 300_000))
        let all = try [
            edit([.init(group: 10, .log)], [.bytes(notes)]), edit([.init(group: 10, .log)], [.bytes(notes)], by: long),
            register(1, [1, 2], [text, .null]), register(0, [0], [text]),
        ]
        for (number, edit) in all.enumerated() {
            try send(#require(try edit.sealed(for: key)), number)
            try expectAtWork("edit \(number)")
        }
    }

    @Test func `A key that agrees on nothing keeps nobody from the people who are protected`() throws {
        for (number, key) in [[UInt8](repeating: 0, count: 32), [1, 2], []].enumerated() {
            _ = try branch.write { transaction in
                try transaction.draft(.residents, by: branch.person).set(
                    WardSchema.intake,
                    RecordID(derivedFrom: [Array("intake".utf8)]),
                    [(1, .text(Hex.encode(key)))]
                )
            }
            try expectAtWork("key \(number)")
            // Somebody edits another person without knowing that it is protected now.
            let late = try ward.centre.addResident(["family_name=遅\(number)", "birth_date=1970-01-0\(number + 1)"])
            try ward.sync(branch)
            _ = try ward.centre.protectResident(late.description, reason: "x")
            _ = try branch.setResident(late.description, ["phone=03-0000-0000"])
            try expectAtWork("a late edit under key \(number)")
        }
    }

    @Test(arguments: 0..<2 as Range<UInt64>)
    func `A box of spoilt content is opened or not, and stops nobody`(seed: UInt64) throws {
        let real = try edit(
            [
                .init(group: 1, .register, fields: [1, 2]), .init(group: 9, .set), .init(group: 10, .log),
            ],
            [
                .text("隠岐"), .text("新"), .bytes(Items(added: [.init(Array("en".utf8))]).encoded),
                .bytes(Items(added: [.init(Array("記事".utf8))]).encoded),
            ]
        ).encoded
        let secret = try ward.centre.read { try $0.secret(of: .protectedResidents) }
        let opening = try PersonEdit.intakeKey(secret: #require(secret))
        var generator = SeededGenerator(seed: seed)
        var opened: [[UInt8]] = []
        for bytes in real.indices.map({ Array(real.prefix($0)) })
            + (0..<1500).map({ _ in Bodies.spoilt(real, &generator) })
        {
            var sender = try HPKE.Sender(
                recipientKey: Curve25519.KeyAgreement.PublicKey(rawRepresentation: key),
                ciphersuite: .Curve25519_SHA256_ChachaPoly,
                info: Data("tsunagu/sealed-edit/1".utf8)
            )
            var content: [UInt8] = []
            content.appendPrefixed(bytes)
            let box = [UInt8](sender.encapsulatedKey) + [UInt8](try sender.seal(content))
            if PersonEdit(opening: box, with: opening) != nil { opened.append(box) }
        }
        #expect(opened.count > 20)
        for (number, box) in opened.prefix(40).enumerated() { try send(box, number) }
        try expectAtWork("what was opened")
    }
}
