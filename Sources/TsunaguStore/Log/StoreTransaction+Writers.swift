// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// Which groups a role writes, by the schema: a change that says more than its author's role may is not in effect.
extension StoreTransaction {
    /// From which numbers on a chain says what some roles may not.
    func barred(_ space: SpaceRow, _ author: UInt32) throws -> [Role: UInt64] {
        let key = ChainKey(space: space.no, author: author)
        if let known = barredChains[key] { return known }
        let select = try statement("SELECT role, first FROM barred WHERE space = ? AND author = ?")
        select.bind(1, space.no)
        select.bind(2, author)
        var out: [Role: UInt64] = [:]
        while try select.step() { out[Role(rawValue: select.text(0))!] = select.unsigned(1) }
        // What a chain must not say before it forks bars its branches too.
        if let branch = try branches(in: space.no)?.byAuthor[author] {
            for (role, first) in try barred(space, branch.parent) where first < branch.first {
                out[role] = min(first, out[role] ?? .max)
            }
        }
        barredChains[key] = out
        return out
    }

    /// Notes what changes of a chain say that some roles may not.
    func noteBarred(by changes: some Collection<Change>, _ space: SpaceRow, _ author: UInt32) throws {
        var firsts = try barred(space, author)
        var news: Set<Role> = []
        for change in changes {
            for entry in change.payload.entries {
                for role in plan(entry.shape).barred.keys where change.header.dot.seq < firsts[role] ?? .max {
                    firsts[role] = change.header.dot.seq
                    news.insert(role)
                }
            }
        }
        for role in news {
            let insert = try statement("INSERT OR REPLACE INTO barred(space, author, role, first) VALUES (?, ?, ?, ?)")
            insert.bind(1, space.no)
            insert.bind(2, author)
            insert.bind(3, role.rawValue)
            insert.bind(4, firsts[role]!)
            try insert.run()
        }
        barredChains[ChainKey(space: space.no, author: author)] = firsts
    }

    /// Whether a chain says what none of the roles of its device's grants may.
    func isBarred(_ replica: ReplicaID, _ space: SpaceRow, _ access: Access) throws -> Bool {
        let roles = access.writingRoles(of: replica.device, in: space.id)
        let barred = try barred(space, author(replica))
        return !roles.isEmpty && roles.allSatisfy { barred[$0] != nil }
    }

    /// Reads all logs again for what a newer schema says of their writers.
    func noteBarredAnew() throws {
        for id in try spaces() {
            guard let space = try space(id) else { continue }
            for entry in try vector(of: id) {
                let author = try author(entry.replica)
                do {
                    let first = try firstSeq(author, in: space.no)
                    try forEachRun(space, author, holding: first..<entry.seq + 1) { run, _ in
                        try noteBarred(by: run.changes, space, author)
                    }
                } catch StoreError.damagedLog {
                    // Whoever repairs it has to be able to open it.
                    continue
                }
            }
        }
        try judgeAnew(areWritersNews: true)
    }

    /// Fails where this device may write the space, and in none of its roles all that a payload says.
    func requireWriter(_ payload: Payload, in space: SpaceID, _ own: DeviceID) throws {
        guard let roles = try currentAccess()?.writingRoles(of: own, in: space), !roles.isEmpty else { return }
        let plans = payload.entries.map { plan($0.shape) }
        guard roles.allSatisfy({ role in plans.contains { $0.barred[role] != nil } }) else { return }
        guard let plan = plans.first(where: { !roles.isDisjoint(with: $0.barred.keys) }),
            let group = plan.barred.first(where: { roles.contains($0.key) })?.value
        else { return }
        throw StoreError.notWriter(collection: plan.collection?.number ?? 0, group: group)
    }
}
