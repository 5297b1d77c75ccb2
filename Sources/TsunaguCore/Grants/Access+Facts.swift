// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

extension Access {
    /// Works out who may do what from everything that was said: a pure function of the set.
    ///
    /// - A grant, revocation or adoption counts where its author is an admin's device, and no revocation that counts cuts it off.
    ///   Admins are whoever a chain of grants that count leads to from the root.
    /// - A revocation that would take away what it stands on itself does not count.
    /// - Revocations that would take each other away, two or in a ring, are decided by seniority: within the ring only
    ///   the word of a senior against a junior counts. The root is the most senior, then those that it made admins,
    ///   then those that they made, and of equals the lower `DeviceID`.
    ///
    /// - Complexity: in the number of facts, times that of the revocations of admins.
    public init(root: DeviceID, facts: some Collection<AuthorityFact>) {
        let authority = Authority(root: root, facts: Array(facts))
        let revocations = authority.revocationsThatCount()
        let standing = authority.standing(under: revocations.map(\.revocation))
        let ever = authority.standing(under: []).admins
        var endings: [DeviceID: Dot] = [:]
        func rank(_ said: Authority.Said) -> (Int, Dot) { (ever[said.dot.replica.device] ?? .max, said.dot) }
        for said in revocations.sorted(by: { rank($0) < rank($1) }) where endings[said.revocation.device] == nil {
            endings[said.revocation.device] = said.dot
        }
        self.init(
            root: root,
            grants: standing.grants,
            revocations: Dictionary(grouping: revocations.map(\.revocation), by: \.device),
            adopted: authority.adopted(where: standing.counts),
            everAdmins: Set(ever.keys),
            endings: endings,
            appointments: standing.appointments,
            saidAnew: authority.saidAnew(where: standing.counts)
        )
    }
}

/// The facts, and what they come to under some revocations.
private struct Authority {
    typealias Said = (dot: Dot, revocation: Revocation)

    struct Standing {
        var grants: [DeviceID: [Access.Grant]] = [:]
        /// Whoever a chain of grants leads to, with the length of the shortest.
        var admins: [DeviceID: Int]
        /// The grant that made each of them one, but for the root.
        var appointments: [DeviceID: Dot] = [:]
        var cuts: [DeviceID: [Revocation.Cut]] = [:]

        func counts(_ dot: Dot) -> Bool { admins[dot.replica.device] != nil && !isCut(dot) }

        func isCut(_ dot: Dot) -> Bool {
            cuts[dot.replica.device]?.contains { $0[.system, dot.replica] < dot.seq } == true
        }
    }

    let root: DeviceID
    private var grants: [(dot: Dot, device: DeviceID, grant: Access.Grant)] = []
    private var revocations: [Said] = []
    private var adoptions: [(dot: Dot, chains: Revocation.Cut)] = []

    init(root: DeviceID, facts: [AuthorityFact]) {
        self.root = root
        for fact in facts.sorted(by: { $0.dot < $1.dot }) {
            switch fact.content {
            case .grant(let device, let grant): grants.append((fact.dot, device, grant))
            case .revocation(let revocation): revocations.append((fact.dot, revocation))
            case .adoption(let chains): adoptions.append((fact.dot, chains))
            }
        }
    }

    /// The farthest that chains were adopted; never what somebody said in `system`, which nobody can say in his place.
    func adopted(where counts: (Dot) -> Bool) -> Revocation.Cut {
        var out = Revocation.Cut()
        for adoption in adoptions where counts(adoption.dot) {
            for (space, chains) in adoption.chains.last where space != .system {
                out.last[space, default: [:]].merge(chains, uniquingKeysWith: max)
            }
        }
        return out
    }

    /// The farthest that adoptions name chains of `system`: an admin said anew in his own name what stands there.
    func saidAnew(where counts: (Dot) -> Bool) -> [ReplicaID: UInt64] {
        adoptions.filter { counts($0.dot) }.reduce(into: [:]) { out, adoption in
            out.merge(adoption.chains.last[.system] ?? [:], uniquingKeysWith: max)
        }
    }

    func standing(under revocations: [Revocation]) -> Standing {
        var out = Standing(admins: [root: 0])
        for revocation in revocations {
            if let cut = revocation.cut { out.cuts[revocation.device, default: []].append(cut) }
        }
        // Generation by generation, so that the first way found to an admin is the shortest.
        var appointments: [DeviceID: [(dot: Dot, device: DeviceID)]] = [:]
        for (dot, device, grant) in grants where grant.role == .admin && !out.isCut(dot) {
            appointments[dot.replica.device, default: []].append((dot, device))
        }
        var generation = [root]
        while !generation.isEmpty {
            var next: [DeviceID] = []
            for admin in generation {
                for (dot, device) in appointments[admin] ?? [] where out.admins[device] == nil {
                    out.admins[device] = out.admins[admin]! + 1
                    out.appointments[device] = dot
                    next.append(device)
                }
            }
            generation = next
        }
        for (dot, device, grant) in grants where out.counts(dot) {
            if Mutant.grantsReplaceEachOther.isPlanted { out.grants[device] = [] }
            out.grants[device, default: []].append(grant)
        }
        return out
    }

    func revocationsThatCount() -> [Said] {
        let before = standing(under: [])
        let claims = revocations.filter { before.counts($0.dot) }
        // Only what is said against an admin can take away another's word.
        let contested = claims.filter { before.admins[$0.revocation.device] != nil && $0.revocation.cut != nil }
        guard !contested.isEmpty else { return claims }

        /// By number in `contested`: whose word each would take away.
        let voids = contested.map { said -> Set<Int> in
            let alone = standing(under: [said.revocation])
            return Set(contested.indices.filter { !alone.counts(contested[$0].dot) })
        }
        let sound = contested.indices.filter { !voids[$0].contains($0) }
        func rank(_ index: Int) -> (Int, Dot) {
            (before.admins[contested[index].dot.replica.device]!, contested[index].dot)
        }
        let reach = closure(of: voids, among: sound)
        /// Whether one's word, where it counts, takes away another's: in a ring the junior's goes, whoever said what.
        func outdoes(_ index: Int, _ other: Int) -> Bool {
            let isInRing = reach[index]!.contains(other) && reach[other]!.contains(index)
            guard isInRing else { return voids[index].contains(other) }
            return rank(index) < rank(other) && (voids[index].contains(other) || voids[other].contains(index))
        }
        var pending = sound.sorted { rank($0) < rank($1) }
        var accepted: [Int] = []
        while let place = pending.firstIndex(where: { one in
            pending.allSatisfy { $0 == one || !outdoes($0, one) }
        }) {
            let index = pending.remove(at: place)
            if !accepted.contains(where: { outdoes($0, index) }) { accepted.append(index) }
        }
        let after = standing(under: accepted.map { contested[$0].revocation })
        let others = claims.filter { said in
            !contested.contains { $0.dot == said.dot && $0.revocation == said.revocation } && after.counts(said.dot)
        }
        return accepted.sorted().map { contested[$0] } + others
    }

    /// Whom each reaches by what it would take away, directly or through others.
    private func closure(of voids: [Set<Int>], among nodes: [Int]) -> [Int: Set<Int>] {
        var out: [Int: Set<Int>] = [:]
        for start in nodes {
            var seen: Set<Int> = []
            var open = [start]
            while let node = open.popLast() {
                for next in voids[node] where nodes.contains(next) && seen.insert(next).inserted { open.append(next) }
            }
            out[start] = seen
        }
        return out
    }
}
