// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// Who may do what, from all that was ever said.
@Suite struct AuthorityTests {
    private let devices = (0..<6).map { DeviceID(signingKey: [UInt8($0)]) }
    private var root: DeviceID { devices[0] }
    private let residents = SpaceID("residents")!

    private func replica(_ number: Int) -> ReplicaID { ReplicaID(device: devices[number], incarnation: 1) }

    /// What the device of a number said as its change of a number.
    private func said(_ author: Int, _ seq: UInt64, _ content: AuthorityFact.Content) -> AuthorityFact {
        AuthorityFact(Dot(replica(author), seq), content)
    }

    private func admin(_ number: Int) -> AuthorityFact.Content {
        .grant(devices[number], Access.Grant(role: .admin, spaces: ["*"], writes: true))
    }

    private func branch(_ number: Int) -> AuthorityFact.Content {
        .grant(devices[number], Access.Grant(role: .branch, spaces: ["residents"], writes: true))
    }

    /// A revocation that honours the first so many changes of the device in `system`, and as many in `residents`.
    private func revoke(_ number: Int, after seq: UInt64) -> AuthorityFact.Content {
        let chains = [replica(number): seq]
        return .revocation(
            Revocation(
                device: devices[number],
                mode: .lost,
                cut: Revocation.Cut([.system: chains, residents: chains])
            )
        )
    }

    private func access(_ facts: [AuthorityFact]) -> Access { Access(root: root, facts: facts) }

    private func admins(_ facts: [AuthorityFact]) -> [Int] {
        let access = access(facts)
        return devices.indices.filter { access.isAdmin(devices[$0]) }
    }

    @Test func `Admins are whoever a chain of grants leads to from the founder, whoever said the rest`() {
        #expect(admins([]) == [0])
        #expect(admins([said(0, 1, admin(1)), said(1, 1, admin(2))]) == [0, 1, 2])
        // Two that make each other admins are none.
        #expect(admins([said(1, 1, admin(2)), said(2, 1, admin(1))]) == [0])
        let byNobody = access([said(3, 1, branch(4)), said(3, 2, revoke(0, after: 0))])
        #expect(!byNobody.isMember(devices[4]) && byNobody.isAdmin(root))
    }

    private func adopt(_ number: Int, _ seq: UInt64) -> AuthorityFact.Content {
        .adoption(Revocation.Cut([.system: [replica(number): seq], residents: [replica(number): seq]]))
    }

    @Test func `An adoption raises how far a chain counts, by an admin's word alone and never in system`() {
        let base = [said(0, 1, admin(1)), said(0, 2, branch(2)), said(0, 3, revoke(2, after: 4))]
        #expect(access(base + [said(1, 1, adopt(2, 9))]).honours(replica(2), in: residents) == 9)
        #expect(access(base + [said(1, 1, adopt(2, 3))]).honours(replica(2), in: residents) == 4)
        #expect(access(base + [said(3, 1, adopt(2, 9))]).honours(replica(2), in: residents) == 4)
        #expect(access(base + [said(1, 1, adopt(3, 5))]).honours(replica(3), in: residents) == 5)
        #expect(access(base + [said(1, 1, adopt(3, 5))]).honours(replica(3), in: .system) == 0)
        let twice = [said(1, 1, adopt(2, 9)), said(0, 4, adopt(2, 7)), said(0, 5, revoke(1, after: 0))]
        #expect(access(base + twice).honours(replica(2), in: residents) == 7)
        #expect(!access(base + twice).isMember(devices[2]) && !access(base + twice).mayWrite(devices[2], residents))
    }

    @Test func `What a role may not write ends what counts of a chain, unless another role of the device may`() {
        let base = [said(0, 1, branch(1))]
        let barred: [Role: UInt64] = [.branch: 5, .venue: 2]
        func end(_ facts: [AuthorityFact]) -> UInt64 {
            access(facts).honours(replica(1), in: residents, barred: barred)
        }
        #expect(end(base) == 4)
        #expect(end(base + [said(0, 2, admin(1))]) == .max)
        let venue = Access.Grant(role: .venue, spaces: ["residents"], writes: true)
        #expect(end([said(0, 1, .grant(devices[1], venue))]) == 1)
        #expect(end(base + [said(0, 2, .grant(devices[1], venue))]) == 4)
        let auditor = Access.Grant(role: .auditor, spaces: ["residents"], writes: false)
        #expect(end([said(0, 1, .grant(devices[1], auditor))]) == 0)
        #expect(end(base + [said(0, 2, revoke(1, after: 3))]) == 3)
        #expect(end(base + [said(0, 2, revoke(1, after: 9))]) == 4)
        #expect(end(base + [said(0, 2, adopt(1, 6))]) == 6)
    }

    @Test func `A revocation ends all rights and honours what was written before its cut`() {
        let access = access([said(0, 1, branch(1)), said(0, 2, revoke(1, after: 7))])
        #expect(!access.isMember(devices[1]) && access.isRevoked(devices[1]))
        #expect(!access.mayWrite(devices[1], residents) && !access.mayRead(devices[1], residents))
        #expect(!access.mayRead(devices[1], .system))
        #expect(access.honours(replica(1), in: residents) == 7)
        #expect(access.honours(replica(1), in: SpaceID("cases")!) == 0)
        #expect(access.honours(ReplicaID(device: devices[1], incarnation: 2), in: residents) == 0)
    }

    @Test func `A later grant does not bring a revoked device back`() {
        let access = access([
            said(0, 1, branch(1)), said(0, 2, revoke(1, after: 7)), said(0, 3, branch(1)),
        ])
        #expect(!access.isMember(devices[1]))
        #expect(access.honours(replica(1), in: residents) == 7)
    }

    @Test func `A retired device is honoured to the end until its cut is set`() {
        let open = AuthorityFact.Content.revocation(Revocation(device: devices[1], mode: .retired, cut: nil))
        let before = access([said(0, 1, branch(1)), said(0, 2, open)])
        #expect(!before.isMember(devices[1]) && before.honours(replica(1), in: residents) == .max)
        let after = access([said(0, 1, branch(1)), said(0, 2, open), said(0, 3, revoke(1, after: 9))])
        #expect(after.honours(replica(1), in: residents) == 9)
    }

    @Test func `What a revoked admin granted before the cut stands, and after it falls with all that stood on it`() {
        let facts = [
            said(0, 1, admin(1)), said(1, 1, branch(2)), said(1, 2, admin(3)), said(3, 1, branch(4)),
            said(0, 2, revoke(1, after: 1)),
        ]
        #expect(admins(facts) == [0])
        let access = access(facts)
        #expect(access.isMember(devices[2]))
        #expect(!access.isMember(devices[3]) && !access.isMember(devices[4]))
        #expect(access.honours(replica(4), in: residents) == 0)
    }

    @Test func `Of two admins who revoke each other at once the senior's word counts`() {
        let equals = [said(0, 1, admin(1)), said(0, 2, admin(2))]
        let senior = devices[1] < devices[2] ? 1 : 2
        let mutual = equals + [said(1, 1, revoke(2, after: 0)), said(2, 1, revoke(1, after: 0))]
        #expect(admins(mutual) == [0, senior])
        // The founder before whom it made an admin, whoever that is.
        #expect(
            admins([said(0, 1, admin(1)), said(0, 2, revoke(1, after: 0)), said(1, 1, revoke(0, after: 1))]) == [0]
        )
    }

    @Test func `A junior may revoke a senior that has not revoked it`() {
        // What the founder's key says after it was stolen does not count.
        let facts = [
            said(0, 1, admin(1)), said(0, 2, admin(2)), said(1, 1, revoke(0, after: 2)),
            said(0, 3, revoke(2, after: 0)),
            said(0, 4, admin(5)),
        ]
        #expect(admins(facts) == [1, 2])
    }

    @Test func `An accomplice made admin after the cut cannot revoke the revoker`() {
        let facts = [
            said(0, 1, admin(1)), said(0, 2, admin(2)), said(2, 1, revoke(1, after: 0)),
            said(1, 1, admin(3)), said(3, 1, revoke(2, after: 0)),
        ]
        #expect(admins(facts) == [0, 2])
    }

    @Test func `A revocation that takes away what it stands on does not count`() {
        let facts = [said(0, 1, admin(1)), said(1, 1, revoke(0, after: 0))]
        #expect(admins(facts) == [0, 1])
    }

    @Test func `In a ring of revocations the juniors' word against seniors does not count`() {
        let ring = [1, 2, 3].sorted { devices[$0] < devices[$1] }
        let facts = ring.enumerated().map { place, number in
            said(number, 1, revoke(ring[(place + 1) % 3], after: 0))
        }
        let appointments = [1, 2, 3].map { said(0, UInt64($0), admin($0)) }
        // The first revokes the second, whose word against the third falls; the third's against the first is dropped.
        #expect(admins(appointments + facts) == [0, ring[0], ring[2]].sorted())
    }

    @Test(arguments: 0..<200)
    func `The same things said come to the same in any order, and what is not cut off counts`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var facts: [AuthorityFact] = []
        var next = [UInt64](repeating: 1, count: devices.count)
        for _ in 0..<(3 + generator.below(14)) {
            let (author, target) = (generator.below(devices.count), generator.below(devices.count))
            let content =
                switch generator.below(3) {
                case 0: revoke(target, after: UInt64(generator.below(Int(next[target]) + 1)))
                case 1: branch(target)
                default: admin(target)
                }
            facts.append(said(author, next[author], content))
            next[author] += 1
        }
        func summary(_ facts: [AuthorityFact]) -> [String] {
            let access = access(facts)
            return devices.indices.map { index in
                let honoured = [SpaceID.system, residents].map { access.honours(replica(index), in: $0) }
                return "\(access.isMember(devices[index])) \(access.isAdmin(devices[index])) \(honoured)"
            }
        }
        let expected = summary(facts)
        for _ in 0..<4 {
            facts.shuffle(using: &generator)
            #expect(summary(facts) == expected)
        }
        // Whoever is an admin was made one by somebody whose word counts; nobody else has any say.
        let whole = access(facts)
        for fact in facts {
            guard case .grant(let device, _) = fact.content else { continue }
            let author = fact.dot.replica
            let counts = whole.wasAdmin(author.device) && fact.dot.seq <= whole.honours(author, in: .system)
            #expect(!counts || whole.grants[device]?.isEmpty == false)
        }
        for device in whole.grants.keys where whole.wasAdmin(device) && device != root {
            #expect(
                facts.contains { fact in
                    guard case .grant(device, let grant) = fact.content, grant.role == .admin else { return false }
                    return whole.wasAdmin(fact.dot.replica.device) && fact.dot.replica.device != device
                        && fact.dot.seq <= whole.honours(fact.dot.replica, in: .system)
                }
            )
        }
    }

    @Test func `A cut is read as it was written, and nothing else is read`() {
        let cut = Revocation.Cut([.system: [replica(1): 3], residents: [replica(1): 9, replica(2): 1]])
        #expect(Revocation.Cut(cut.text) == cut)
        #expect(Revocation.Cut("") == Revocation.Cut())
        for text in [
            "residents", "residents 00 1", "residents \(replica(1)) -1", "Residents \(replica(1)) 1", "a b c d",
        ] {
            #expect(Revocation.Cut(text) == nil)
        }
    }
}
