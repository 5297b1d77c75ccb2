// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// Runs that a member signed with a program of its own: what they say is possible, or harmless.
@Suite struct HostileAuthorTests {
    private let note = TestSchema.note

    private func ward() throws -> (sites: [TestSite], id: RecordID, scratch: Scratch) {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b", "forger"], in: scratch)
        let id = RecordID(derivedFrom: [Array("target".utf8)])
        return (sites, id, scratch)
    }

    private func check(_ site: TestSite) throws {
        try site.compareWithDefinition(rederiving: true) { Disagreement($0) }
    }

    @Test func whatOneChangeSawIsWaitedForThoughALaterOneExceptsIt() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let b = sites[1].replica
        try sites[1].write { try $0.create(note, id: id, [(1, .text("of b"))]) }
        let cause = try sites[1].runs(TestSchema.space)
        var forge = Forge(sites[2])
        try forge.write("saw b", on: id, deps: [b: 1])
        try forge.write("saw it no more", on: id, exceptions: [VersionVector.Exception(replica: b, first: 1, last: 1)])
        let run = try forge.run()
        #expect(try sites[0].receive([run]) == [.held(waitsFor: "\(b.device.short) 1")])
        #expect(try sites[0].receive(cause) == [.applied(3)], "what waited for it included")
        try sites[1].receive([run])
        #expect(try sites[0].digest() == sites[1].digest())
        #expect(try sites[0].record(id)?.values == sites[1].record(id)?.values)
        #expect(try sites[0].conflicts().map(\.id) == sites[1].conflicts().map(\.id))
        for site in sites.prefix(2) { try check(site) }
    }

    @Test(.timeLimit(.minutes(1))) func astronomicDepsWaitAndCostNothing() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let b = sites[1].replica
        let nobody = ReplicaID(device: DeviceID(signingKey: [9]), incarnation: 9)
        var forge = Forge(sites[2])
        try forge.write(
            "x",
            on: id,
            deps: [b: .max],
            exceptions: [VersionVector.Exception(replica: b, first: 2, last: .max - 1)]
        )
        #expect(try sites[0].receive([try forge.run()]) == [.held(waitsFor: "\(b.device.short) 1")])
        forge = Forge(sites[2])
        try forge.write("x", on: id, deps: [nobody: .max])
        #expect(try sites[0].receive([try forge.run()]) == [.held(waitsFor: "\(nobody.device.short) 1")])
        forge = Forge(sites[2])
        try forge.write("x", on: id, system: [nobody: 3])
        #expect(try sites[0].receive([try forge.run()]) == [.held(waitsFor: "\(nobody.device.short) 1")])
        // Whatever is excepted in full is no cause.
        forge = Forge(sites[2])
        try forge.write(
            "x",
            on: id,
            deps: [b: .max],
            exceptions: [VersionVector.Exception(replica: b, first: 1, last: .max)]
        )
        #expect(try sites[0].receive([try forge.run()]) == [.applied(1)])
        // Its own work goes on, and others take it.
        try sites[0].write { try $0.set(note, id, [(1, .text("y"))]) }
        #expect(try sites[1].pull(from: sites[0]).allSatisfy { if case .applied = $0 { true } else { false } })
        #expect(try sites[0].digest() == sites[1].digest())
    }

    @Test func depsThatNameTheirOwnAuthorAreRefused() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let own = sites[2].replica
        for exceptions in [nil, [VersionVector.Exception(replica: own, first: 1, last: 1)]] {
            var forge = Forge(sites[2])
            try forge.write("x", on: id)
            try forge.write("y", on: id, deps: exceptions == nil ? [own: 1] : [:], exceptions: exceptions)
            let receipt = try sites[0].receive([try forge.run()])
            #expect(receipt == [.refused(.malformed("\(CodecError.invalid("deps name their own author"))"))])
        }
    }

    /// Its first seed of a block is what names and salts hang on.
    @Test func aBlockHasOneSeed() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        var forge = Forge(sites[2])
        try forge.write("x", on: id)
        #expect(try sites[0].receive([try forge.run()]) == [.applied(1)])
        try forge.write("y", on: id)
        let second = try forge.run()
        // The same changes under another seed have other salts, so other hashes: the author signs those instead.
        var other = Forge(sites[2], seed: Bytes16(6))
        other.continueFrom(forge)
        try other.write("y", on: id)
        #expect(try sites[0].receive([try other.run()]) == [.refused(.malformed("block 1 has two seeds"))])
        #expect(try sites[0].receive([second]) == [.applied(1)])
    }

    @Test func `Devices that no grant names have one share together, however small their runs are`() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "forger", "made up"], in: scratch, granting: ["a"])
        var forges = sites.dropFirst().map { Forge($0) }
        let shares = 8 * 1024
        let runs = try (0...shares).map { number in
            try forges[number % 2].write("x", on: RecordID(derivedFrom: [Array("\(number)".utf8)]))
            return try forges[number % 2].run()
        }
        // Whether they come in one exchange or in several.
        let receipts = try sites[0].store.write { transaction in
            try runs.prefix(8000).map { try transaction.receive($0) }
        }
        #expect(receipts.allSatisfy { $0 == .quarantined(1) })
        #expect(try sites[0].receive(Array(runs[8000..<shares])).allSatisfy { $0 == .quarantined(1) })
        #expect(try sites[0].receive([runs[shares]]) == [.refused(.shareFull)])
        // Whom a grant names has his own.
        try sites[0].grant(sites[1])
        #expect(try sites[0].store.read { try $0.inboxCounts().quarantined } == shares / 2)
        #expect(try sites[0].receive([runs[shares]]) == [.applied(1)])
    }

    @Test func `A device has so many replicas in a space and no more, and those that it has go on`() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        var forges: [Forge] = []
        func begin(_ incarnation: UInt64) throws -> Receipt {
            let replica = ReplicaID(device: sites[2].device, incarnation: incarnation)
            var forge = Forge(TestSchema.space, as: replica, sites[2].key, sites[2].person)
            try forge.write("\(incarnation)", on: id)
            defer { forges.append(forge) }
            return try sites[0].receive([try forge.run()])[0]
        }
        for incarnation in 1...1024 { #expect(try begin(UInt64(incarnation)) == .applied(1)) }
        #expect(try begin(1025) == .refused(.shareFull))
        try forges[0].write("on", on: id)
        #expect(try sites[0].receive([try forges[0].run()]) == [.applied(1)])
        try sites[1].write { try $0.create(note, [(1, .text("of b"))]) }
        #expect(try sites[0].receive(sites[1].runs(TestSchema.space)) == [.applied(1)])
    }

    @Test func exceptionsOutOfOrderOrOverlappingAreRefused() throws {
        let (sites, id, scratch) = try ward()
        defer { withExtendedLifetime(scratch) {} }
        let b = sites[1].replica
        let lists: [[(UInt64, UInt64)]] = [[(3, 4), (1, 2)], [(1, 3), (3, 4)], [(2, 1)], [(0, 1)], [(1, 2), (1, 2)]]
        for list in lists {
            var forge = Forge(sites[2])
            let exceptions = list.map { VersionVector.Exception(replica: b, first: $0.0, last: $0.1) }
            try forge.write("x", on: id, exceptions: exceptions)
            guard case .refused(.malformed) = try sites[0].receive([try forge.run()])[0] else {
                Issue.record("\(list)")
                continue
            }
        }
    }
}

extension Forge {
    fileprivate init(_ site: TestSite, seed: Bytes16 = Bytes16(5)) {
        self.init(TestSchema.space, as: site.replica, site.key, site.person, seed: seed)
    }

    fileprivate mutating func write(
        _ title: String,
        on id: RecordID,
        deps: [ReplicaID: UInt64] = [:],
        exceptions: [VersionVector.Exception]? = nil,
        system: [ReplicaID: UInt64] = [:]
    ) throws {
        func delta(_ entries: [ReplicaID: UInt64], _ exceptions: [VersionVector.Exception]?) -> DepsDelta {
            DepsDelta(entries: entries.sorted { $0.key < $1.key }.map { Dot($0.key, $0.value) }, exceptions: exceptions)
        }
        let shape = Shape(collection: 20, operations: [Shape.Operation(group: 1, .register, fields: [1])])
        try append([Entry(shape, id, [.text(title)])], deps: delta(deps, exceptions), systemDeps: delta(system, nil))
    }
}
