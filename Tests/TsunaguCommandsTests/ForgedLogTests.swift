// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Real logs of a small ward, altered in every way that somebody could who has them, and brought by every carrier.
///
/// What was altered is refused with the reason, or waits as a gap; nothing of it takes effect, and what is right is taken
/// afterwards.
@Suite("Forged logs")
struct ForgedLogTests {
    private static let kudan = SpaceID("lessons/kudan")!
    private static let spaces: [SpaceID] = [.system, .procedures, .residents, kudan]

    /// What is brought and what has to become of it.
    private struct Case {
        let what: String
        let runs: [RunEnvelope]
        /// Of each run; where it does not decode any more it may be called so, since that is looked at first.
        let fates: [Set<Carrier.Fate>]

        init(_ what: String, _ runs: [RunEnvelope], _ fates: Set<Carrier.Fate>...) {
            self.what = what
            self.runs = runs
            self.fates = fates
        }
    }

    private static let badSeal: Set<Carrier.Fate> = [.refused("bad_seal")]
    private static let malformed: Set<Carrier.Fate> = [.refused("malformed")]
    private static let either: Set<Carrier.Fate> = [.refused("bad_seal"), .refused("malformed")]

    /// A ward that wrote much, and a site that knows its first half.
    private struct Ward {
        let fixture: WardFixture
        /// Who brings everything: a branch like others.
        let bringer: Site
        let receiver: Site
        let authors: [Site]
        /// By space, in the centre's order; the receiver has those of which the chain here begins before `known`.
        private(set) var logs: [SpaceID: OpenLog] = [:]
        private(set) var known: [SpaceID: [ReplicaID: UInt64]] = [:]

        init() throws {
            let ward = try WardFixture()
            fixture = ward
            _ = try ward.centre.addLesson(.kudan(capacity: 9))
            _ = try ward.centre.write { transaction in
                try transaction.draft(.procedures, by: ward.centre.person)
                    .create(WardSchema.procedure, [(1, .text("P1")), (2, .text("転入届"))])
            }
            let (a, b) = (try ward.join("a"), try ward.join("b"))
            let venue = try ward.join("venue", role: .venue, spaces: [ForgedLogTests.kudan.name])
            bringer = try ward.join("bringer")
            receiver = try ward.join("receiver")
            authors = [a, b, venue]
            for site in authors + [bringer] { try fixture.sync(site) }
            try work(round: 0)
            for site in [receiver, bringer] { try fixture.sync(site) }
            for space in ForgedLogTests.spaces {
                let vector = try receiver.read { try $0.vector(of: space) }
                known[space] = Dictionary(uniqueKeysWithValues: vector.map { ($0.replica, $0.seq) })
            }
            for round in 1...3 { try work(round: round) }
            for space in ForgedLogTests.spaces {
                logs[space] = try OpenLog(
                    fixture.centre.read { transaction in
                        try transaction.runs(of: space, lacking: [:]).compactMap { try transaction.run($0) }
                    }
                )
            }
        }

        /// Everybody writes what goes into one run of each, some of it on what the others wrote.
        private func work(round: Int) throws {
            let lesson = "K1"
            for (place, site) in authors.enumerated() {
                try fixture.sync(site)
                if place < 2 {
                    let own = try site.addResident([
                        "family_name=家\(place)\(round)", "phone=03-0000-\(round)00\(place)",
                    ])
                    _ = try site.noteResident(own.description, "記事\(round)")
                    // A record that the receiver knows: what is named of others' is looked up before a seal is checked.
                    let shared = try site.read { try $0.records(WardSchema.resident) }.first { row in
                        row.id != own && row.text("family_name")?.hasSuffix("0") == true
                    }
                    if let shared { _ = try site.setResident(shared.id.description, ["phone=03-\(place)-\(round)"]) }
                    _ = try site.setResident(own.description, ["given_name=名\(round)"])
                } else {
                    for guest in 0..<2 {
                        let name = "客\(round)\(guest)"
                        _ = try site.addBooking(
                            lesson: lesson,
                            .guest(name: name, kana: "キャク", phone: "090-\(round)-\(guest)", ageGroup: nil)
                        )
                    }
                }
                try fixture.sync(site)
            }
            _ = try fixture.centre.setProcedure("P1", ["summary=第\(round)版"])
            _ = try fixture.centre.grant("venue", space: "lessons/n\(round)", writes: true)
            _ = try fixture.centre.grant("venue", space: "lessons/m\(round)", writes: false)
            try fixture.centre.seal()
        }

        /// Runs of the second half, of one author in one space, in their order.
        func news(_ space: SpaceID, _ device: DeviceID) -> [OpenLog.Run] {
            logs[space]!.runs.filter {
                $0.envelope.replica.device == device
                    && $0.envelope.first > known[space]?[$0.envelope.replica] ?? 0
            }
        }

        /// What must be as it was: all that the store holds but for what it notes of those who bring, and what waits.
        func state() throws -> [String: [String]] {
            var tables = try TestSite.dump(path: receiver.directory.database)
            for table in ["holding", "refusal", "staged", "peer", "peer_space", "notice", "address"] {
                tables[table] = nil
            }
            return tables
        }
    }

    // MARK: - What is done to them

    private func cases(_ ward: Ward) throws -> [Case] {
        let (a, b, venue) = (ward.authors[0].keys.device, ward.authors[1].keys.device, ward.authors[2].keys.device)
        let centre = ward.fixture.centre.keys.device
        var out: [Case] = []
        for (space, device) in [
            (SpaceID.residents, a), (.residents, b), (Self.kudan, venue), (.procedures, centre), (.system, centre),
        ] {
            let news = ward.news(space, device)
            try #require(news.count >= 3, "\(space)")
            out += try seals(news[0], later: news[1], ward)
            out += cuts(news)
            out += headers(news[0], others: [a, b, venue])
            out += try contents(news[0])
            out += try places(news, ward)
        }
        out += splices(ward.news(.residents, a)[0], ward.news(.residents, b)[0])
        out += try repeats(ward)
        return out
    }

    private func seals(_ run: OpenLog.Run, later: OpenLog.Run, _ ward: Ward) throws -> [Case] {
        func sealed(_ signature: [UInt8]) -> RunEnvelope {
            var run = run.envelope
            run.signature = signature
            return run
        }
        let own = run.envelope.signature
        let last = try #require(run.changes.last)
        let message = Seal.message(
            space: run.envelope.space,
            replica: run.envelope.replica,
            seq: last.header.dot.seq,
            hash: last.hash
        )
        var flipped = own
        flipped[17] ^= 4
        return [
            Case("a bit of the seal", [sealed(flipped)], Self.badSeal),
            Case("no seal", [sealed([UInt8](repeating: 0, count: 64))], Self.badSeal),
            Case("another member's seal", [sealed(try ward.bringer.keys.sign(message))], Self.badSeal),
            Case("the seal of the author's next run", [sealed(later.envelope.signature)], Self.badSeal),
        ]
    }

    private func cuts(_ news: [OpenLog.Run]) -> [Case] {
        let (run, next) = (news[0], news[1])
        var out: [Case] = []
        for count in 1..<run.changes.count {
            out.append(Case("cut behind change \(count)", [run.with(Array(run.changes[..<count]))], Self.badSeal))
            let rest = Array(run.changes[count...])
            out.append(Case("begun before change \(count)", [run.with(rest)], Self.either))
            let first = run.envelope.first + UInt64(count)
            out.append(Case("what is before change \(count) left out", [run.with(rest, first: first)], [.held]))
            var without = run.changes
            without.remove(at: count - 1)
            out.append(Case("without change \(count)", [run.with(without)], Self.either))
            var swapped = run.changes
            swapped.swapAt(count - 1, count)
            out.append(Case("changes \(count) and \(count + 1) swapped", [run.with(swapped)], Self.either))
        }
        out.append(Case("a change twice", [run.with(run.changes + run.changes.suffix(1))], Self.either))
        out.append(
            Case("with the next run's first change", [run.with(run.changes + next.changes.prefix(1))], Self.badSeal)
        )
        out.append(Case("a run left out in the middle", [news[2].envelope], [.held]))
        return out
    }

    private func headers(_ run: OpenLog.Run, others: [DeviceID]) -> [Case] {
        let own = run.envelope.replica
        let other = ReplicaID(device: others.first { $0 != own.device }!, incarnation: 7)
        let alterations: [(String, Set<Carrier.Fate>, (inout ChangeHeader) -> Void)] = [
            ("the operator's label", Self.badSeal, { $0.author.label = "別人" }),
            ("the operator's id", Self.badSeal, { $0.author.id = "other" }),
            ("the time", Self.badSeal, { $0.timestamp = Timestamp(raw: $0.timestamp.raw + 1 << 16) }),
            ("the schema's version", Self.badSeal, { $0.schemaVersion += 1 }),
            ("the batch", Self.badSeal, { $0.batch = Bytes16(9) }),
            ("the reason", Self.badSeal, { $0.extensions = [1, 1, 65] }),
            ("a transaction", Self.badSeal, { $0.transaction = .init(id: Bytes16(9), parts: []) }),
            (
                "seen what it had not", Self.either,
                { $0.deps = DepsDelta(entries: [Dot(other, 1)], exceptions: $0.deps.exceptions) }
            ),
            (
                "seen less", Self.either,
                { $0.deps = DepsDelta(entries: [], exceptions: $0.deps.exceptions.map { _ in [] } ?? []) }
            ),
            (
                "seen of `system`", Self.badSeal,
                { $0.systemDeps = DepsDelta(entries: [Dot(other, 1)], exceptions: nil) }
            ),
            (
                "its own chain among what was seen", Self.malformed,
                { $0.deps = DepsDelta(entries: [Dot(own, 1)], exceptions: nil) }
            ),
        ]
        return run.changes.indices.flatMap { place in
            alterations.map { Case("\($0) of change \(place + 1)", [run.altered(place, $2)], $1) }
        }
    }

    private func contents(_ run: OpenLog.Run) throws -> [Case] {
        try run.changes.indices.flatMap { place in
            try [Value.text("偽"), .null, .bytes(Items(added: [.init([65])]).encoded), .integer(7)].map { value in
                Case("a value of change \(place + 1): \(value)", [try run.altered(place, value: value)], Self.either)
            }
        }
    }

    /// The same run elsewhere: in another space, of another author, under another number.
    private func places(_ news: [OpenLog.Run], _ ward: Ward) throws -> [Case] {
        func moved(_ alter: (inout RunEnvelope) -> Void) -> [RunEnvelope] {
            var run = news[0].envelope
            alter(&run)
            return [run]
        }
        let run = news[0].envelope
        var out = [
            Case("under the number before", moved { $0.first -= 1 }, Self.either),
            Case(
                "as another replica of its author",
                moved { ($0.replica, $0.first) = (again(run.replica), 1) },
                Self.either
            ),
            Case("as another replica's later run", moved { $0.replica = again(run.replica) }, [.held]),
            Case("as an unknown device's", moved { $0.replica = stranger }, [.refused("unknown_device")]),
            Case("two runs swapped", [renumbered(news[1], as: news[0])], Self.either),
            Case("far ahead", moved { $0.first += 1000 }, [.held]),
        ]
        for other in [ward.authors[0], ward.authors[1], ward.bringer] where other.keys.device != run.replica.device {
            let replica = ReplicaID(device: other.keys.device, incarnation: 99)
            out.append(Case("as another author's", moved { ($0.replica, $0.first) = (replica, 1) }, Self.either))
        }
        // `system` travels by itself.
        for space in Self.spaces where space != run.space && space != .system {
            // What it names of others' changes is not in that space.
            out.append(Case("in \(space)", moved { ($0.space, $0.first) = (space, 1) }, Self.either.union([.held])))
        }
        return out
    }

    private func again(_ replica: ReplicaID) -> ReplicaID {
        ReplicaID(device: replica.device, incarnation: replica.incarnation &+ 1)
    }

    private let stranger = ReplicaID(device: DeviceID(signingKey: [9]), incarnation: 1)

    private func renumbered(_ run: OpenLog.Run, as other: OpenLog.Run) -> RunEnvelope {
        var out = run.envelope
        out.first = other.envelope.first
        return out
    }

    private func splices(_ mine: OpenLog.Run, _ theirs: OpenLog.Run) -> [Case] {
        (1..<mine.changes.count).map { count in
            let spliced = Array(mine.changes[..<count] + theirs.changes[count...])
            return Case("another author's changes from \(count + 1) on", [mine.with(spliced)], Self.either)
        }
    }

    /// What is here already, once more and otherwise.
    private func repeats(_ ward: Ward) throws -> [Case] {
        let log = try #require(ward.logs[.residents])
        let known = log.runs.filter { $0.envelope.first <= ward.known[.residents]?[$0.envelope.replica] ?? 0 }
        return known.flatMap { run in
            var flipped = run.envelope
            flipped.signature[3] ^= 1
            return [
                Case("a duplicate", [run.envelope, run.envelope], [.taken], [.taken]),
                Case("a duplicate with another seal", [flipped], Self.badSeal),
                Case("another body under a known seal", [run.with(run.changes.reversed())], [.taken]),
            ]
        }
    }

    // MARK: - The tests

    @Test(arguments: Carrier.allCases)
    func `What was altered takes no effect by any carrier, and what is right is taken afterwards`(carrier: Carrier)
        throws
    {
        let ward = try Ward()
        let before = try ward.state()
        let cases = try cases(ward)
        #expect(cases.count > 300)
        for one in cases {
            let fates = try carrier.bring(one.runs, from: ward.bringer.keys, to: ward.receiver, ward.fixture)
            let place = one.runs[0]
            // Who asks lists no refusal of what it has got past.
            let isPassed = carrier == .pull && place.first <= ward.known[place.space]?[place.replica] ?? 0
            for (fate, expected) in zip(fates, one.fates) {
                #expect(
                    expected.contains(fate) || isPassed && fate == .taken,
                    "\(one.what) of \(place.space) \(place.first): \(fate)"
                )
            }
            let after = try ward.state()
            if after != before {
                let tables = after.keys.filter { after[$0] != before[$0] }
                Issue.record("\(one.what) of \(place.space) \(place.first) changed \(tables)")
                return
            }
        }

        // In another form of the body they are the same word: nothing is compressed, and two runs are one.
        for space in Self.spaces {
            let lacking = ward.logs[space]!.runs.filter {
                $0.envelope.first > ward.known[space]?[$0.envelope.replica] ?? 0
            }
            let runs = try lacking.map { run in
                var stored = run.envelope
                stored.body = try Bodies.stored(run.envelope.body)
                return stored
            }
            let fates = try carrier.bring(runs, from: ward.bringer.keys, to: ward.receiver, ward.fixture)
            #expect(fates.allSatisfy { $0 == .taken }, "\(space): \(fates)")
        }
        let (site, centre) = (ward.receiver, ward.fixture.centre)
        #expect(try ward.fixture.sync(site).upToDate)
        #expect(try ward.fixture.digests(site) == ward.fixture.digests(centre))
        #expect(try site.doctor().filter { $0.name == "log" || $0.name == "tables" }.allSatisfy(\.ok))
    }

    @Test func `Two runs of an author in one, under the later seal, are the author's word`() throws {
        let ward = try Ward()
        let runs = ward.news(.residents, ward.authors[0].keys.device)
        for run in ward.logs[.residents]!.runs where run.envelope.replica.device != runs[0].envelope.replica.device {
            _ = try Carrier.push.bring([run.envelope], from: ward.bringer.keys, to: ward.receiver, ward.fixture)
        }
        var both = runs[0].with(runs[0].changes + runs[1].changes)
        both.signature = runs[1].envelope.signature
        #expect(try ward.fixture.sync(ward.receiver).upToDate)
        #expect(try Carrier.push.bring([both], from: ward.bringer.keys, to: ward.receiver, ward.fixture) == [.taken])
        #expect(try ward.fixture.digests(ward.receiver) == ward.fixture.digests(ward.fixture.centre))
    }
}
