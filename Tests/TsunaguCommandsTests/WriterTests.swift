// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What the ward's roles write, and what they are refused.
@Suite("Writers in a ward")
struct WriterTests {
    private func refusal(_ work: () throws -> Void) -> CommandError? {
        #expect(throws: CommandError.self) { try work() }
    }

    @Test func `A venue books in its lessons and plans none; a branch plans lessons and leaves procedures alone`()
        throws
    {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 3))
        let procedure = try ward.centre.write { transaction in
            try transaction.draft(.procedures, by: ward.centre.person)
                .create(WardSchema.procedure, [(1, .text("P1")), (2, .text("転入届"))])
        }
        let branch = try ward.join("branch")
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        for site in [branch, venue] { try ward.sync(site) }
        let before = try (ward.digests(branch), ward.digests(venue))

        for error in [
            refusal { _ = try venue.addLesson(.kudan("K2", capacity: 3)) },
            refusal { _ = try branch.setProcedure("P1", ["summary=勝手に"]) },
            refusal {
                try branch.write {
                    try $0.draft(.procedures, by: branch.person).delete(WardSchema.procedure, procedure, reason: "x")
                }
            },
        ] {
            #expect(error?.code == .notPermitted)
        }
        #expect(try before.0 == ward.digests(branch) && before.1 == ward.digests(venue))

        let guest = BookingPerson.guest(name: "田中", kana: "タナカ", phone: "090-0000-0000", ageGroup: nil)
        _ = try venue.addBooking(lesson: "K1", guest)
        _ = try branch.addLesson(.kudan("K3", capacity: 3))
        _ = try ward.centre.setProcedure("P1", ["summary=本庁"])
        for words in [["code="], ["summary=x", "name="]] {
            #expect(refusal { _ = try ward.centre.setProcedure("P1", words) }?.code == .badInput, "\(words)")
        }
        for site in [branch, venue, branch, venue] { #expect(try ward.sync(site).upToDate) }
        #expect(try venue.lesson("K1").confirmed == 1 && venue.lessons().count == 2)
        #expect(try ward.centre.status().quarantined == 0)
    }

    @Test func `A venue whose program was changed raises no capacity anywhere`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 3))
        let venue = try ward.join("venue", role: .venue, spaces: ["lessons/kudan"])
        let branch = try ward.join("branch")
        for site in [branch, venue] { try ward.sync(site) }
        try venue.store.close()
        let lax = WardSchema.schema.collections.filter { $0.number >= 16 }.map { collection in
            CollectionSchema(
                collection.number,
                collection.name,
                collection.label,
                spaces: collection.spaces,
                writers: Role.allCases,
                groups: collection.groups.map {
                    MergeGroup($0.number, $0.name, $0.label, $0.kind, $0.fields, machine: $0.machine)
                }
            )
        }
        let tampered = try Site.open(
            venue.directory,
            person: venue.person,
            schema: Schema(version: WardSchema.schema.version, collections: lax, searchKey: WardSchema.schema.searchKey)
        )
        let lesson = try tampered.lesson("K1").record.id
        try tampered.write { transaction in
            try transaction.draft(SpaceID("lessons/kudan")!, by: venue.person).set(
                WardSchema.lesson,
                lesson,
                [(7, .integer(99))]
            )
        }
        #expect(try ward.sync(tampered).failure == nil)
        try ward.sync(branch)
        for site in [ward.centre, branch] {
            let row = try #require(try site.read { try $0.record(WardSchema.lesson, lesson) })
            #expect(row.integer("capacity") == 3)
            #expect(try site.cases(.quarantine).map(\.code) == ["not_writer"])
        }
        #expect(try ward.digests(ward.centre) == ward.digests(branch))
    }

    @Test func `Whose grant falls goes on by another of its grants, and what stood on the fallen one is out`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.write { transaction in
            try transaction.draft(.procedures, by: ward.centre.person)
                .create(WardSchema.procedure, [(1, .text("P1")), (2, .text("転入届"))])
        }
        let branch = try ward.join("branch")
        let second = try ward.join("second", role: .admin)
        let before = try second.read { try $0.vector(of: .system).first { $0.replica.device == second.keys.device } }
        #expect(before == nil)
        _ = try second.write { transaction in
            try transaction.draft(.system, by: second.person).create(
                SystemSchema.grant,
                [
                    (1, .text(ExactText(branch.keys.device.description))), (2, .text("admin")), (3, .text("*")),
                    (4, .text("write")),
                ]
            )
        }
        #expect(try branch.sync(with: LoopbackTransport(Hub(second))).upToDate)
        _ = try branch.setProcedure("P1", ["summary=管理者として"])
        #expect(try ward.sync(branch).upToDate)
        let chain = try branch.status().replica
        // As if it had gone before it said anything.
        _ = try ward.centre.write { transaction in
            try transaction.draft(.system, by: ward.centre.person).create(
                SystemSchema.revocation,
                [(1, .text(ExactText(second.keys.device.description))), (2, .text("lost")), (3, .text(""))]
            )
        }
        #expect(try ward.sync(branch).upToDate)
        #expect(try branch.status().replica != chain && branch.status().role == .branch)
        _ = try branch.addResident(["family_name=続き"])
        #expect(refusal { _ = try branch.setProcedure("P1", ["summary=x"]) }?.code == .notPermitted)
        #expect(try ward.sync(branch).upToDate)
        #expect(try ward.digests(branch) == ward.digests(ward.centre))
        for site in [branch, ward.centre] {
            #expect(try site.cases(.quarantine).map(\.code).sorted() == ["not_writer", "revoked"])
            #expect(try site.procedure("P1").text("summary") == nil)
            #expect(try site.read { try $0.records(WardSchema.resident) }.count == 1)
            #expect(try site.doctor().filter { $0.name == "log" || $0.name == "tables" }.allSatisfy(\.ok))
        }
    }
}
