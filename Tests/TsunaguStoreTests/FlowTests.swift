// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// An application's way through an office, moved on at two sites that do not hear of each other.
@Suite("Flows")
struct FlowTests {
    private static let status = MergeGroup(
        1,
        "status",
        "状態",
        .flow,
        [Field(1, "status", "状態")],
        machine: FlowMachine([
            FlowMachine.initial: ["filed"], "filed": ["review", "withdrawn"],
            "review": ["correction", "approved", "rejected", "withdrawn"], "correction": ["review", "rejected"],
            "approved": ["issued"],
        ])
    )
    private static let application = CollectionSchema(30, "application", "申請", spaces: "notes", groups: [status])
    private let application = Self.application
    private let status = Self.status

    private struct Office {
        let a: TestSite
        let b: TestSite
        let id: RecordID
        let scratch: Scratch
    }

    /// Two sites that hold one application in a state.
    private func office(at path: [ExactText]) throws -> Office {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b"], in: scratch, schema: Schema(version: 1, collections: [application]))
        let id = RecordID(derivedFrom: [[1]])
        let office = Office(a: sites[0], b: sites[1], id: id, scratch: scratch)
        for state in path { try move(office.a, id, to: state) }
        try office.b.pull(from: office.a)
        return office
    }

    private func move(_ site: TestSite, _ id: RecordID, to state: ExactText) throws {
        try site.write { try $0.step(application, id, group: status, to: state, reason: "") }
    }

    private func meet(_ office: Office) throws {
        try office.a.exchange(with: office.b)
        #expect(try office.a.digest() == office.b.digest())
        #expect(try office.a.conflicts().map(\.id) == office.b.conflicts().map(\.id))
        #expect(try shown(office.a, office.id) == shown(office.b, office.id))
        for site in [office.a, office.b] {
            let found = try site.store.read { try $0.verify() }
            #expect(found.tables.faultCount == 0, "\(found.tables.faults)")
        }
    }

    private func shown(_ site: TestSite, _ id: RecordID) throws -> String? {
        try site.record(id, application)?.text("status")
    }

    @Test(arguments: [("approved", "withdrawn"), ("approved", "rejected"), ("withdrawn", "rejected")])
    func `Two decisions that exclude each other are a conflict, and a person decides once`(
        first: String,
        second: String
    ) throws {
        let office = try office(at: ["filed", "review"])
        try move(office.a, office.id, to: ExactText(first))
        try move(office.b, office.id, to: ExactText(second))
        try meet(office)
        let conflict = try #require(try office.a.conflicts().first)
        #expect(
            Set(conflict.alternatives.map { $0.values[0].value }) == [
                .text(ExactText(first)), .text(ExactText(second)),
            ]
        )
        #expect(Set(conflict.alternatives.map(\.device)) == [office.a.device, office.b.device])
        #expect(throws: StoreError.self) { try move(office.a, office.id, to: "issued") }

        try move(office.b, office.id, to: ExactText(first))
        try meet(office)
        #expect(try office.a.conflicts().isEmpty)
        #expect(try shown(office.b, office.id) == first)
    }

    @Test func `Two people who decide the conflict differently have a new one; alike, none`() throws {
        for (one, other) in [("approved", "rejected"), ("approved", "approved")] as [(ExactText, ExactText)] {
            let office = try office(at: ["filed", "review"])
            try move(office.a, office.id, to: "approved")
            try move(office.b, office.id, to: "rejected")
            try meet(office)
            let before = try office.a.conflicts().map(\.id)
            try move(office.a, office.id, to: one)
            try move(office.b, office.id, to: other)
            try meet(office)
            let after = try office.a.conflicts().map(\.id)
            #expect(after.count == (one == other ? 0 : 1))
            #expect(after != before)
        }
    }

    @Test func `A decision signed twice is one, and work goes on from either`() throws {
        let office = try office(at: ["filed"])
        try move(office.a, office.id, to: "review")
        try move(office.b, office.id, to: "review")
        try move(office.b, office.id, to: "correction")
        try meet(office)
        #expect(try office.a.conflicts().isEmpty)
        #expect(try shown(office.a, office.id) == "correction")
        try move(office.a, office.id, to: "rejected")
        try meet(office)
        #expect(try shown(office.b, office.id) == "rejected")
    }

    @Test func `A correction that comes back beside a rejection is a conflict`() throws {
        let office = try office(at: ["filed", "review", "correction"])
        try move(office.a, office.id, to: "review")
        try move(office.b, office.id, to: "rejected")
        try meet(office)
        #expect(try office.a.conflicts().count == 1)
    }

    @Test func `Steps that the machine has not are refused here and count for nothing elsewhere`() throws {
        let office = try office(at: ["filed"])
        #expect(throws: StoreError.self) { try move(office.a, office.id, to: "issued") }
        let forged = Transition(from: "filed", to: "issued", reason: "", answers: [Dot(office.a.replica, 1)])
        let groundless = Transition(from: "approved", to: "issued", reason: "")
        for step in [forged, groundless] {
            try office.b.write { try $0.edit(application, office.id, group: status, add: [step.encoded]) }
        }
        try meet(office)
        #expect(try shown(office.a, office.id) == "filed")
        #expect(try office.a.conflicts().isEmpty)
    }
}
