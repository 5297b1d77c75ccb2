// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Who may do what, where, and by which way: every combination, with real sites, against the rules as they are published.
@Suite("The matrix of rights")
struct AccessMatrixTests {
    /// Who acts.
    enum Who: CaseIterable {
        case admin, branch, venue, auditor
        /// A branch that may only read what it holds.
        case reader
        /// Nobody here; it holds a code that has expired.
        case stranger
        /// A branch whose device was stolen.
        case lost
        /// A branch that goes in good order and has not handed in what it has.
        case retiring
        /// The same after it did.
        case retired
    }

    /// What is done.
    enum Act: CaseIterable {
        case create, edit, delete
        /// A lesson's capacity, which a venue does not plan.
        case plan
        /// A space's secret.
        case found
        case protect
        case grant, revoke, invite, adopt, admit

        /// Where it can be done at all.
        var spaces: [SpaceID] {
            switch self {
            case .create, .edit, .delete: [.residents, .protectedResidents, .procedures, kudan, ochanomizu]
            case .plan: [kudan, ochanomizu]
            case .found: [.residents, .procedures, kudan, newVenue]
            case .protect: [.protectedResidents]
            case .grant, .revoke, .invite, .adopt, .admit: [.system]
            }
        }
    }

    static let kudan = SpaceID("lessons/kudan")!
    static let ochanomizu = SpaceID("lessons/ochanomizu")!
    /// A space that nobody founded.
    static let newVenue = SpaceID("lessons/new")!

    // MARK: - The published rules

    /// By threat-model.md, the roles' usual spaces, and the writers that `tsunagu schema` tells: nothing here asks the
    /// program.
    enum Rules {
        /// Whether a device may hold a space.
        static func holds(_ who: Who, _ space: SpaceID) -> Bool {
            switch who {
            case .stranger, .lost, .retiring, .retired: false
            case .admin: true
            case .branch, .venue, .auditor, .reader: space == .system || isNamed(who, space)
            }
        }

        /// Whether a grant names the space to a device, revoked or not.
        static func isNamed(_ who: Who, _ space: SpaceID) -> Bool {
            let office: [SpaceID] = [.residents, .procedures, SpaceID("cases")!, kudan, ochanomizu, newVenue]
            return switch who {
            case .admin: true
            case .branch, .lost, .retiring, .retired, .auditor: office.contains(space)
            case .venue: space == kudan
            case .reader: space == .residents || space == kudan
            case .stranger: false
            }
        }

        /// Why a change is not in effect; `nil` where it is.
        static func quarantine(_ who: Who, _ act: Act, _ space: SpaceID) -> QuarantinedRun.Reason? {
            if who == .admin { return nil }
            let writes = isNamed(who, space) && ![.auditor, .reader, .stranger].contains(who)
            guard writes, space != .system else { return .notGranted }
            let isOfRole =
                switch act {
                case .create, .edit, .delete: space != .procedures
                case .plan: who != .venue
                case .found, .protect, .grant, .revoke, .invite, .adopt, .admit: false
                }
            guard isOfRole else { return .notWriter }
            // What is handed in by who goes in good order counts.
            return who == .lost || who == .retired ? .revoked : nil
        }

        /// What a device is told that brings its own change, or that of a device which nobody brings in person.
        static func fate(_ who: Who, _ space: SpaceID, by way: Way) -> Carrier.Fate {
            let isMember = holds(who, .system)
            let receiver: Who = way.isToCentre ? .admin : .branch
            switch way {
            case .relay: return who == .stranger ? .refused("unknown_device") : .taken
            case .push:
                // Who is nobody may tell of the ward's beginning only; who was revoked hands in.
                if who == .stranger { return .turnedAway(space == .system ? "new_beginning" : "unknown_client") }
                return isMember && !holds(who, space) ? .refused("not_granted") : .taken
            case .pull, .bundle:
                if !isMember { return .turnedAway("not_permitted") }
                if holds(who, space) && holds(receiver, space) { return .taken }
                return way == .pull ? .unasked : .refused("not_granted")
            }
        }
    }

    /// How a change gets to the site that judges it.
    enum Way: CaseIterable {
        /// To the centre's hub.
        case push
        /// From its author to a neighbour in the network that asks it.
        case pull
        /// By a stick to a neighbour.
        case bundle
        /// To the centre's hub by another member who holds everything.
        case relay

        var isToCentre: Bool { self == .push || self == .relay }
    }

    // MARK: - The ward

    private struct Ward {
        let fixture: WardFixture
        let neighbour: Site
        /// Brings others' changes.
        let courier: Site
        let keys: [Who: DeviceKeys]
        /// How far the centre's chain goes in each space.
        let seen: [SpaceID: Dot]
        /// A device that an admin may revoke.
        let victim: DeviceKeys
        private var incarnation: UInt64 = 1

        init() throws {
            let ward = try WardFixture()
            fixture = ward
            let centre = ward.centre
            for (space, code) in [(kudan, "K"), (ochanomizu, "O")] {
                _ = try centre.addLesson(.kudan(code, space: space.name, capacity: 9))
            }
            try centre.write { transaction in
                for space in [SpaceID.residents, .protectedResidents, .procedures, kudan, ochanomizu] {
                    let draft = try transaction.draft(space, by: centre.person)
                    for act in [Act.edit, .delete] {
                        _ = try draft.create(plain(space), id: target(act, space), [(1, .text("元"))])
                    }
                }
            }
            try centre.seal()
            seen = try centre.read { transaction in
                try Dictionary(
                    uniqueKeysWithValues: transaction.spaces().compactMap { space in
                        try transaction.vector(of: space).first { $0.replica.device == centre.keys.device }
                            .map { (space, Dot($0.replica, $0.seq)) }
                    }
                )
            }
            var keys: [Who: DeviceKeys] = [:]
            func join(_ who: Who, _ name: String, _ role: Role = .branch, _ spaces: [String] = []) throws {
                keys[who] = try ward.join(name, role: role, spaces: spaces).keys
            }
            try join(.admin, "admin", .admin)
            try join(.branch, "branch")
            try join(.venue, "venue", .venue, [kudan.name])
            try join(.auditor, "auditor", .auditor)
            for (who, name) in [(Who.lost, "lost"), (.retiring, "retiring"), (.retired, "retired")] {
                try join(who, name)
            }
            keys[.reader] = try Self.admit(ward, spaces: "residents lessons/kudan", writes: false)
            keys[.stranger] = try Self.refuse(ward)
            victim = try ward.join("victim").keys
            neighbour = try ward.join("neighbour")
            courier = try ward.join("courier", role: .admin)
            _ = try centre.revoke("lost", mode: .lost, reason: "盗難")
            for name in ["retiring", "retired"] { _ = try centre.revoke(name, mode: .retired, reason: "返却") }
            // It hands in nothing, and takes its leave.
            let reply = try HubSession(keys[.retired]!, with: ward.hub).ask(.leave)
            #expect(reply.word == "revoked")
            for site in [neighbour, courier] { try ward.sync(site) }
            self.keys = keys
        }

        /// A device with a grant that no command gives.
        private static func admit(_ fixture: WardFixture, spaces: String, writes: Bool) throws -> DeviceKeys {
            let keys = DeviceKeys { .random(in: .min ... .max) }
            try fixture.centre.write { transaction in
                let draft = try transaction.draft(.system, by: fixture.centre.person)
                let site = try draft.create(SystemSchema.site, [(1, .text("reader")), (2, .text("branch"))])
                _ = try draft.create(
                    SystemSchema.device,
                    id: RecordID(keys.device.raw),
                    [
                        (1, .text(site.description)), (2, .text("reader")), (3, .text(Hex.encode(keys.signingPublic))),
                        (4, .text(Hex.encode(keys.receivingPublic))), (5, .text(Hex.encode(try keys.proof()))),
                    ]
                )
                _ = try draft.create(
                    SystemSchema.grant,
                    [
                        (1, .text(keys.device.description)), (2, .text("branch")), (3, .text(spaces)),
                        (4, .text(writes ? "write" : "read")),
                    ]
                )
            }
            return keys
        }

        /// A device that comes with a code too late.
        private static func refuse(_ fixture: WardFixture) throws -> DeviceKeys {
            let keys = DeviceKeys { .random(in: .min ... .max) }
            let invitation = try fixture.centre.invite(
                role: .branch,
                name: "late",
                spaces: [],
                milliseconds: 1,
                hub: nil
            )
            while fixture.centre.store.now() < invitation.expiresAt {}
            let code = try #require(InvitationCode(invitation.code))
            let request = try Enrolment.Request(
                invitation: code.record,
                signingKey: keys.signingPublic,
                receivingKey: keys.receivingPublic,
                proof: keys.proof(),
                deviceName: "late"
            ).encoded(code.key(), device: keys.signing)
            #expect(fixture.hub.answer(path: "/v1/enrol", body: request).status == 403)
            return keys
        }

        // MARK: Changes

        /// A change that says what an act says, in a chain of its own under the actor's own key.
        mutating func change(_ who: Who, _ act: Act, _ space: SpaceID) throws -> RunEnvelope {
            let device = keys[who]!
            incarnation += 1
            var forge = Forge(
                space,
                as: ReplicaID(device: device.device, incarnation: incarnation),
                device.signing,
                Operator(id: "x", label: "x")
            )
            let deps = seen[space].map { DepsDelta(entries: [$0], exceptions: nil) } ?? .none
            try forge.append(
                try entries(act, space, by: device.device),
                deps: deps,
                milliseconds: fixture.centre.store.now()
            )
            return try forge.run()
        }

        private func entries(_ act: Act, _ space: SpaceID, by device: DeviceID) throws -> [Forge.Entry] {
            func register(_ collection: CollectionSchema, _ id: RecordID?, _ values: [(UInt32, Value)]) -> Forge.Entry {
                let groups = Dictionary(grouping: values) { collection.group(ofField: $0.0)!.number }
                    .sorted { $0.key < $1.key }
                let shape = Shape(
                    collection: collection.number,
                    operations: groups.map { Shape.Operation(group: $0.key, .register, fields: $0.value.map(\.0)) }
                )
                return Forge.Entry(shape, id, groups.flatMap { $0.value.map(\.1) })
            }
            let target = target(act, space)
            switch act {
            case .create: return [register(plain(space), nil, [(1, .text("新")), (2, .text("規"))])]
            case .edit: return [register(plain(space), target, [(1, .text("改"))])]
            case .delete:
                let shape = Shape(collection: plain(space).number, operations: [Shape.Operation(group: 0, .register)])
                return [Forge.Entry(shape, target, [.text("x")])]
            case .plan:
                let lesson = try fixture.centre.lesson(space == kudan ? "K" : "O").record.id
                return [register(WardSchema.lesson, lesson, [(7, .integer(99))])]
            case .found:
                return [
                    register(
                        SystemSchema.spaceInfo,
                        nil,
                        [(1, .text("x")), (2, .text(String(repeating: "ab", count: 32)))]
                    )
                ]
            case .protect: return [register(WardSchema.protection, nil, [(1, .text(target.description))])]
            case .grant:
                // To itself, and everything.
                return [
                    register(
                        SystemSchema.grant,
                        nil,
                        [(1, .text(device.description)), (2, .text("admin")), (3, .text("*")), (4, .text("write"))]
                    )
                ]
            case .revoke:
                let victim = victim.device.description
                return [
                    register(SystemSchema.revocation, nil, [(1, .text(victim)), (2, .text("lost")), (3, .text(""))])
                ]
            case .invite:
                let key = Hex.encode(Curve25519.Signing.PrivateKey().publicKey.rawRepresentation)
                return [
                    register(
                        SystemSchema.invitation,
                        nil,
                        [(1, .text("x")), (2, .text("admin")), (3, .text("*")), (4, .integer(.max)), (6, .text(key))]
                    )
                ]
            case .adopt:
                let chain = ReplicaID(device: device, incarnation: 1)
                return [
                    register(SystemSchema.adoption, nil, [(1, .text(Revocation.Cut([.residents: [chain: 9]]).text))])
                ]
            case .admit:
                let key = Hex.encode(Curve25519.Signing.PrivateKey().publicKey.rawRepresentation)
                return [register(SystemSchema.device, nil, [(2, .text("x")), (3, .text(key))])]
            }
        }

        /// Everything by which a person or a program could tell that a change is in effect.
        func state(_ site: Site) throws -> [String: [String]] {
            var tables = try TestSite.dump(path: site.directory.database)
            let log = [
                "run", "chain", "author", "seed", "part", "withheld", "barred", "device_key", "space", "holding",
                "refusal",
                "refused_part", "staged", "peer", "peer_space", "notice", "address",
            ]
            for table in log { tables[table] = nil }
            try site.read { transaction in
                let digests = try transaction.spaces().compactMap { space in
                    try transaction.digest(of: space).flatMap { $0 == Bytes16(0) ? nil : "\(space) \($0)" }
                }
                tables["digests"] = digests.sorted()
                guard let access = try transaction.currentAccess() else { return }
                let grants = access.grants.mapValues { grants in Set(grants.map { "\($0)" }).sorted() }
                tables["grants"] = grants.map { "\($0.key) \($0.value)" }.sorted()
                tables["revocations"] = access.revocations.map { device, revocations in
                    "\(device) \(revocations.map { "\($0.mode) \($0.cut?.text ?? "-")" }.sorted())"
                }.sorted()
                tables["adopted"] = [access.adopted.text]
            }
            return tables
        }
    }

    /// What a space's ordinary records are.
    private static func plain(_ space: SpaceID) -> CollectionSchema {
        switch space {
        case .residents, .protectedResidents: WardSchema.resident
        case .procedures: WardSchema.procedure
        default: WardSchema.booking
        }
    }

    private static func target(_ act: Act, _ space: SpaceID) -> RecordID {
        RecordID(derivedFrom: [Array("\(act)".utf8), Array(space.name.utf8)])
    }

    // MARK: - Writing

    @Test(arguments: Way.allCases)
    func `A change takes effect where its author may write it, whoever brings it, and changes nothing elsewhere`(
        way: Way
    )
        throws
    {
        var ward = try Ward()
        let receiver = way.isToCentre ? ward.fixture.centre : ward.neighbour
        // What the ward so far calls for is done.
        try receiver.write { try $0.settleSeats(in: [.system], by: receiver) }
        var before = try ward.state(receiver)
        for act in Act.allCases {
            for space in act.spaces {
                for who in Who.allCases {
                    let run = try ward.change(who, act, space)
                    let place = "\(who) \(act) \(space)"
                    let bringer = way == .relay ? ward.courier.keys : ward.keys[who]!
                    let carrier: Carrier =
                        switch way {
                        case .push, .relay: .push
                        case .pull: .pull
                        case .bundle: .bundle
                        }
                    let fates = try carrier.bring([run], from: bringer, to: receiver, ward.fixture)
                    let fate = Rules.fate(who, space, by: way)
                    #expect(fates == [fate], "\(place)")

                    let why = Rules.quarantine(who, act, space)
                    let isInEffect = try receiver.read { transaction in
                        try transaction.inEffect(space).covers(Dot(run.replica, 1))
                    }
                    #expect(isInEffect == (fate == .taken && why == nil), "\(place)")
                    let after = try ward.state(receiver)
                    #expect(
                        isInEffect != (after == before),
                        "\(place): \(after.keys.filter { after[$0] != before[$0] })"
                    )
                    before = after
                    // What one reads of the ward from whom one does not know is kept like anybody's word.
                    let isKept = fate == .taken || way == .pull && space == .system && who != .stranger
                    let found = try receiver.read { try $0.quarantined() }.first { $0.replica == run.replica }
                    #expect(found?.reason == (isKept ? why : nil), "\(place)")
                }
            }
        }
    }

    @Test func `An honest program says no before anything is written`() throws {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: 9))
        let id = try ward.centre.addResident(["family_name=佐藤"]).description
        let sites = [
            try ward.join("branch"), try ward.join("venue", role: .venue, spaces: [Self.kudan.name]),
            try ward.join("auditor", role: .auditor),
        ]
        for site in sites { try ward.sync(site) }
        for (place, site) in sites.enumerated() {
            let forbidden: [() throws -> Void] = [
                { _ = try site.grant("branch", space: "residents/protected", writes: true) },
                { _ = try site.revoke("千代田区", mode: .lost, reason: "x") },
                { _ = try site.invite(role: .branch, name: "x", spaces: [], milliseconds: 1000, hub: nil) },
                { _ = try site.adopt(site: "branch", reason: "x") }, { _ = try site.protectResident(id, reason: "x") },
            ]
            let register: [() throws -> Void] = [
                { _ = try site.setResident(id, ["phone=03-0000-0001"]) },
                { _ = try site.deleteResident(id, reason: "x") }, { _ = try site.addResident(["family_name=鈴木"]) },
            ]
            let isBranch = place == 0
            let before = try TestSite.dump(path: site.directory.database)
            for attempt in isBranch ? forbidden : forbidden + register {
                let error = #expect(throws: CommandError.self, "\(place)") { try attempt() }
                // Who does not hold the register does not know the person at all.
                #expect(error.map { [.notPermitted, .notFound].contains($0.code) } == true, "\(place)")
            }
            #expect(try TestSite.dump(path: site.directory.database) == before)
            if isBranch { for attempt in register { try attempt() } }
        }
    }

    // MARK: - Reading

    private func spaces(_ runs: [RunEnvelope]) -> Set<SpaceID> { Set(runs.map(\.space)) }

    @Test func `A device is sent runs of what it may hold and of nothing else, whoever it asks and however`() throws {
        let ward = try Ward()
        let (centre, neighbour) = (ward.fixture.centre, ward.neighbour)
        let everything = try centre.read { transaction in
            try Dictionary(
                uniqueKeysWithValues: transaction.spaces().map { space in
                    let vector = try transaction.vector(of: space)
                    return (space, Dictionary(uniqueKeysWithValues: vector.map { ($0.replica, $0.seq) }))
                }
            )
        }
        let wants = everything.mapValues { $0.mapValues { _ in 0 as UInt64 } }
        for (site, holder) in [(centre, Who.admin), (neighbour, .branch)] {
            let held = Set(everything.keys.filter { Rules.holds(holder, $0) })
            for who in Who.allCases {
                let keys = ward.keys[who]!
                let allowed = held.filter { Rules.holds(who, $0) }
                let session = try HubSession(keys, with: Hub(site))

                // What it is told there is.
                switch try session.ask(.compare([])) {
                case .compared(let told): #expect(Set(told.map(\.space)) == allowed, "\(who)")
                case .unknownClient: #expect(who == .stranger)
                case .revoked(let farewell):
                    #expect([.lost, .retiring, .retired].contains(who))
                    // Nothing of spaces that it never held.
                    #expect(farewell.holds.last.keys.allSatisfy { $0 == .system || Rules.isNamed(who, $0) }, "\(who)")
                default: Issue.record("\(who)")
                }
                // What it gets by asking for everything; an admin's hub shows the revoked by whose word they are that.
                let isShown = site === centre && [.lost, .retiring, .retired].contains(who)
                let shown: Set<SpaceID> = isShown ? [.system] : []
                #expect(spaces(try session.pull(wants) ?? []) == allowed.union(shown), "\(who)")
                for (space, chains) in everything {
                    let summary = SpaceSummary(
                        space: space,
                        vectorHash: Bytes16(0),
                        exceptionsHash: Bytes16(0),
                        digest: Bytes16(0)
                    )
                    guard !allowed.contains(space) else { continue }
                    let asked = try session.ask(.sums(SumsRequest(summary: summary, ranges: [.all])))
                    #expect([SyncReply.sums(nil), .unknownClient, .failed("this device was revoked")].contains(asked))
                    for replica in chains.keys {
                        let again = try session.ask(.run(space, replica, first: 1))
                        #expect(
                            [SyncReply.run(nil), .unknownClient, .failed("this device was revoked")].contains(again)
                        )
                    }
                }
                // What a stick for it holds, opened with its key.
                try #expect(bundled(for: keys, by: site, ward) == allowed, "\(who)")
            }
        }
    }

    /// The spaces of the runs and vectors in a bundle for a device; none where none is made.
    private func bundled(for keys: DeviceKeys, by site: Site, _ ward: Ward) throws -> Set<SpaceID> {
        let path = ward.fixture.root + "/for"
        do {
            _ = try site.exportBundle(to: path, for: keys.device.description)
        } catch let error as CommandError {
            #expect([.notPermitted, .notFound].contains(error.code))
            return []
        }
        let bytes = [UInt8](try #require(FileManager.default.contents(atPath: path)))
        var reader = BundleReader(device: keys.device, receivingKey: keys.receiving)
        var rest = bytes[...]
        var out: Set<SpaceID> = []
        while !reader.isComplete {
            let next = Array(rest.prefix(reader.wanted))
            rest = rest.dropFirst(next.count)
            switch try reader.take(next) {
            case .vector(let space, _): out.insert(space)
            case .runs(let runs): out.formUnion(spaces(runs))
            case .head, .end, nil: break
            }
        }
        return out
    }
}
