// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Edits of a person who was protected meanwhile: what a site gives up reaches the office and takes part as an edit.
@Suite struct LateEditTests {
    let ward: WardFixture
    let branch: Site
    let id: RecordID

    init() throws {
        ward = try WardFixture()
        branch = try ward.join("branch")
        id = try ward.centre.addResident(ProtectionTests.person)
        try ward.sync(branch)
    }

    /// What a site would have to redact of its own last changes of the person.
    private func withdrawn(_ site: Site, last count: Int = 1) throws -> [WithdrawnEntry] {
        try site.read { transaction in
            let own = try transaction.ownReplica()
            var out: [WithdrawnEntry] = []
            try transaction.forEachChange(in: .residents) { change in
                guard change.header.dot.replica == own else { return }
                try change.payload.bytes.withUnsafeBytes { memory in
                    for entry in change.payload.entries where entry.id == id {
                        var reader = ByteReader(
                            UnsafeRawBufferPointer(rebasing: memory[entry.slotsStart..<entry.range.upperBound])
                        )
                        let values = try (0..<entry.shape.slotCount).map { _ in try reader.slot().value() }
                        out.append(
                            WithdrawnEntry(header: change.header, id: id, shape: entry.shape, values: values)
                        )
                    }
                }
            }
            return Array(out.suffix(count))
        }
    }

    /// The branch gives its last edits up, sealed, and the office gets them.
    private func giveUp(last count: Int = 1) throws {
        let edits = try withdrawn(branch, last: count)
        try branch.write { $0.withdrawn = edits }
        try ward.sync(branch)
    }

    private func person() throws -> RecordView { try ward.centre.resident(id.description) }

    @Test func `An edit of somebody who did not know replaces what he had seen`() throws {
        _ = try branch.setResident(id.description, ["phone=03-1111-1111"])
        _ = try branch.setResident(id.description, ["phone=03-2222-2222", "languages=en"])
        _ = try branch.noteResident(id.description, "来庁")
        _ = try ward.centre.protectResident(id.description, reason: "x")
        try giveUp(last: 3)
        let shown = try person()
        #expect(shown.space == .protectedResidents)
        #expect(shown.text("phone") == "03-2222-2222")
        guard case .members(let languages)? = shown.fields.first(where: { $0.field.name == "languages" })?.shown,
            case .entries(let notes)? = shown.fields.first(where: { $0.field.name == "notes" })?.shown
        else {
            Issue.record("no languages or no notes")
            return
        }
        #expect(languages == ["en"])
        #expect(notes.map(\.text) == ["来庁"])
        #expect(notes.map(\.author.person.id) == ["branch"])
    }

    @Test func `An edit beside a newer value waits for a decision, and the newer value stays`() throws {
        _ = try branch.setResident(id.description, ["phone=03-1111-1111"])
        let hidden = try ward.centre.protectResident(id.description, reason: "x").id
        _ = try ward.centre.setResident(hidden.description, ["phone=03-3333-3333"])
        try giveUp()
        #expect(try person().text("phone") == "03-3333-3333")
        let open = try #require(try ward.centre.cases().first { $0.code == "pending_edit" })
        #expect(open.values.map { $0.fields.map(\.value) } == [[.text("03-3333-3333")], [.text("03-1111-1111")]])
        #expect(open.values[1].author.person.id == "branch")
        #expect(try ward.centre.resolve(open.id, .take(2), reason: "本人に確認") == hidden)
        #expect(try person().text("phone") == "03-1111-1111")
        #expect(try !ward.centre.cases().contains { $0.code == "pending_edit" })
    }

    @Test func `An edit beside an ordinary one that the office had seen waits too`() throws {
        _ = try branch.setResident(id.description, ["phone=03-1111-1111"])
        _ = try ward.centre.setResident(id.description, ["phone=03-4444-4444"])
        _ = try ward.centre.protectResident(id.description, reason: "x")
        try giveUp()
        #expect(try person().text("phone") == "03-4444-4444")
        #expect(try ward.centre.cases().filter { $0.code == "pending_edit" }.count == 1)
    }

    @Test func `An edit that a lost device hands in waits sealed until an admin adopts it`() throws {
        _ = try branch.setResident(id.description, ["phone=03-1111-1111"])
        let hidden = try ward.centre.protectResident(id.description, reason: "x").id
        _ = try ward.centre.revoke("branch", mode: .lost, reason: "紛失")
        // It hands in what it wrote and is gone.
        #expect(try branch.sync(with: ward.transport()).failure?.code == .notPermitted)
        #expect(try person().text("phone") != "03-1111-1111")
        #expect(try !ward.centre.cases().contains { $0.code == "pending_edit" })
        _ = try ward.centre.adopt(site: "branch", reason: "本人に確かめた")
        #expect(try ward.centre.resident(hidden.description).text("phone") == "03-1111-1111")
    }

    @Test func `Any number of offices take an edit in, in any order, as one`() throws {
        let other = try ward.join("second", role: .admin)
        _ = try branch.setResident(id.description, ["phone=03-1111-1111", "address=新住所"])
        let hidden = try ward.centre.protectResident(id.description, reason: "x").id
        try ward.sync(other)
        let edits = try withdrawn(branch)
        try ward.sync(branch)
        try ward.sync(other)
        // Both take it in before either hears of the other's.
        for site in [ward.centre, other, ward.centre] { try site.write { $0.withdrawn = edits } }
        for _ in 0..<2 { try ward.sync(other) }
        for site in [ward.centre, other] {
            let shown = try site.resident(hidden.description)
            #expect(shown.text("phone") == "03-1111-1111" && shown.text("address") == "新住所")
            #expect(try !site.cases().contains { $0.space == .protectedResidents })
        }
    }

    @Test func `A box opens for the holders of the protected alone, and says nothing by its bytes`() throws {
        _ = try branch.setResident(id.description, ["phone=03-1111-1111"])
        _ = try ward.centre.protectResident(id.description, reason: "x")
        let edit = PersonEdit(try withdrawn(branch)[0])
        let (secret, other) = try ward.centre.read {
            (try $0.secret(of: .protectedResidents), try $0.secret(of: .residents))
        }
        let key = try PersonEdit.intakeKey(secret: try #require(secret))
        let box = try #require(try edit.sealed(for: Array(key.publicKey.rawRepresentation)))
        #expect(PersonEdit(opening: box, with: key)?.encoded == edit.encoded)
        #expect(PersonEdit(opening: box, with: try PersonEdit.intakeKey(secret: try #require(other))) == nil)
        for place in stride(from: 0, to: box.count, by: 7) {
            var changed = box
            changed[place] ^= 1
            #expect(PersonEdit(opening: changed, with: key) == nil, "\(place)")
            #expect(PersonEdit(opening: Array(box[..<place]), with: key) == nil, "\(place)")
        }
        #expect((box.count - 48) % 256 == 0)
    }
}
