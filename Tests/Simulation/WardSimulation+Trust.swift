// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// Who may do what, and what those do who may not.
extension WardSimulation {
    /// What lets a device hold some spaces, and the change of `system` that says so; `nil` for its enrolment.
    struct Right {
        let device: DeviceID
        let scope: [String]
        let saidAt: Dot?

        /// Whether one of its words means a space: its name, the beginning of one before `/*`, or `*`.
        func covers(_ space: SpaceID) -> Bool {
            scope.contains { word in
                word == "*" || word == space.description
                    || word.hasSuffix("/*") && space.description.hasPrefix(word.dropLast())
            }
        }
    }

    /// A device whose program writes what its role may not.
    struct Crook {
        let device: DeviceID
        let name: String
        /// What it wrote, and the change.
        let record: RecordID
        let wrote: Dot
    }

    /// Beside a step something that is about trust; it has a generator of its own.
    func actOfTrust(_ generator: inout SeededGenerator) throws {
        guard !hasForks else { return }
        let place = generator.pick(places)
        guard place.site != nil else { return }
        if generator.chance(8) { armed = (centre.machine.disk, .crash(after: generator.below(30))) }
        let office = generator.pick(places.filter { isAdmin($0) && $0.site != nil } + [centre])
        let clerk = generator.pick(places.filter { $0.role == .branch } + [centre])
        switch generator.below(132) {
        case 0..<62 where guarded.people.isEmpty: try welcome(clerk, &generator)
        case 0..<5: try welcome(clerk, &generator)
        case 5..<10: try pry(place, at: generator.pick(places))
        case 10..<38: try writeOfGuarded(clerk, &generator)
        case 38..<56: try protect(office, true, &generator)
        case 56..<62: try protect(office, false, &generator)
        case 62..<69: try contend(&generator)
        case 69..<73: try decide(office, &generator)
        case 73..<77: try checkGuarded(place, isThorough: true)
        case 77..<80: try widen()
        case 80..<84: try letCrookIn(&generator)
        case 84..<89: try recover(generator.pick(places.filter { $0.role == .branch }))
        case 89..<91: try adopt(&generator)
        case 91..<96: try adoptInParts(&generator)
        case 96..<100: try pry(place, at: generator.pick(places))
        default: try actOfErasing(clerk, office, place, &generator)
        }
        armed = nil
        for one in places where one === place || one === clerk { try check(one) }
    }

    // MARK: - Rights

    /// Whether a device may be given what is in a space by somebody who knows this much of `system`.
    ///
    /// Whose enrolment is not known yet is taken to be known: then it may be given less.
    func mayReceive(_ device: DeviceID, _ space: SpaceID, knowing system: VersionVector) -> Bool {
        if endings.contains(where: { $0.device == device && system.covers($0.saidAt) }) { return false }
        return space == .system
            || rights.contains { right in
                right.device == device && right.saidAt.map { system.covers($0) } != false && right.covers(space)
            }
    }

    /// A place reads no more and no less into what was said than was said.
    func checkRights(_ place: Place, _ transaction: StoreTransaction, knowing system: VersionVector) throws {
        guard let access = try transaction.currentAccess() else { return }
        for right in rights where !right.scope.contains("*") || right.saidAt != nil {
            for space in Self.asked {
                let may = access.mayRead(right.device, space)
                let isDue = mayReceive(right.device, space, knowing: system)
                let isSaid = right.saidAt.map { system.covers($0) } == true && right.covers(space)
                guard may == isDue || isDue && !isSaid else {
                    throw failure("unauthorised", "\(place.name): \(right.device.short) may read \(space): \(may)")
                }
            }
        }
        for crook in crooks where isExcluded(crook.wrote, in: .procedures, knowing: system) {
            guard try transaction.record(WardSchema.procedure, crook.record) == nil else {
                throw failure("unauthorised", "\(place.name): what a clerk may not write is shown")
            }
        }
    }

    private static let asked = [
        "notes/a", "notes/b", "residents", "residents/protected", "procedures", "lessons/hibiya", "lessons/kudan",
    ].map { SpaceID($0)! }

    /// A place is let into one more space.
    func widen() throws {
        guard let place = places.first(where: { $0.name == "limited" }), place.isJoined, !isEnding(place),
            !place.scope.contains("notes/b"), mayWrite(centre), centre.site != nil
        else { return }
        let last = try lastSaid()
        let devices = try attempt([centre]) { try centre.site!.grant(place.name, space: "notes/b", writes: true) }
        guard let said = try lastSaid(), said != last, let device = place.device else { return }
        place.scope.append("notes/b")
        rights.append(Right(device: device, scope: ["notes/b"], saidAt: said))
        trace("widen \(devices?.count ?? 0)")
        try check(centre)
    }

    /// The office's last word in `system`.
    private func lastSaid() throws -> Dot? {
        try centre.site?.read { try Dot($0.ownReplica()!, $0.ownSeq(in: .system).seq) }
    }

    /// Somebody brings the key on paper to a branch, which is an admin's from then on.
    func recover(_ place: Place) throws {
        guard recoveries.isEmpty, place.role == .branch, place.isJoined, place.site != nil, !isEnding(place),
            mayWrite(place),
            let key = recoveryKey, let device = place.device
        else { return }
        func said() throws -> Set<ReplicaID> {
            guard let site = place.site else { return [] }
            let vector = try site.read { try $0.vector(of: .system) }
            return Set(vector.map(\.replica).filter { $0.device == key.device })
        }
        let before = try said()
        // A line of its own: nobody has to be reachable.
        _ = try attempt([place], isExcused: { $0 == .notPermitted }) {
            try place.site!.recover(
                with: key,
                reason: "本庁の停電",
                identity: { _ in ("key", "certificate", [UInt8](repeating: 7, count: 32)) }
            )
        }
        guard let replica = try said().subtracting(before).first else { return }
        place.scope.append("*")
        recoveries.append((device, Dot(replica, 1)))
        rights.append(Right(device: device, scope: ["*"], saidAt: Dot(replica, 1)))
        summary.recoveries += 1
        trace("recover \(place.name)")
        try check(place)
    }

    // MARK: - Those who may not

    /// A device joins whose program knows no limits, writes what its role may not, hands it in and is not seen again.
    func letCrookIn(_ generator: inout SeededGenerator) throws {
        guard crooks.isEmpty, mayWrite(centre), centre.site != nil, centre.hub != nil, !centre.isCutOff else { return }
        armed = nil
        let seed = generator.next()
        let code = try attempt([centre]) {
            try centre.site!.invite(
                role: .branch,
                name: "crook",
                spaces: ["residents", "procedures"],
                milliseconds: 86_400_000,
                hub: "https://centre"
            ).code
        }
        guard let code, centre.hub != nil else { return }
        let place = visitor("crook", seed: seed)
        defer { place.end() }
        let line = line(from: place, to: centre, .fair, &generator)
        let joined = try attempt([centre], isExcused: { _ in line.counts.sum > 0 }) {
            try Site.join(
                place.directory,
                person: place.person,
                code: code,
                hub: nil,
                deviceName: place.name,
                schema: SimulatedSchema.lax,
                environment: place.machine.environment,
                connect: { _ in line }
            )
        }
        guard let site = joined?.site else { return }
        place.begin(site)
        rights.append(Right(device: site.keys.device, scope: ["residents", "procedures"], saidAt: nil))
        let record = try site.write { transaction in
            try transaction.draft(.procedures, by: place.person)
                .create(WardSchema.procedure, [(1, .text("X1")), (2, .text("勝手な手続"))])
        }
        let wrote = try site.read { try Dot($0.ownReplica()!, $0.ownSeq(in: .procedures).seq) }
        crooks.append(Crook(device: site.keys.device, name: place.name, record: record, wrote: wrote))
        let other = self.line(from: place, to: centre, .fair, &generator)
        _ = try attempt([centre]) { try site.sync(with: other) }
        for (space, vector) in try Self.vectors(site) {
            let others = vector.filter { $0.key.device != site.keys.device }
            delivered[space, default: [:]].merge(others, uniquingKeysWith: max)
        }
        trace("crook")
    }

    /// A member asks a site outright for spaces, whether they are its own or not, and keeps nothing of the answer.
    func pry(_ place: Place, at peer: Place) throws {
        guard place !== peer, let site = place.site, let hub = peer.hub, let there = peer.site else { return }
        let client = Handshake.Client(device: site.keys.device)
        let system = try there.read { try $0.inEffect(.system) }
        let wants = try Dictionary(
            uniqueKeysWithValues: Self.asked.map { space in
                (
                    space,
                    Dictionary(
                        uniqueKeysWithValues: try there.read { try $0.vector(of: space) }.map {
                            ($0.replica, UInt64(0))
                        }
                    )
                )
            }
        ).filter { !$0.value.isEmpty }
        let frames: [SyncFrame]? = try attempt([peer]) {
            guard let welcome = try hub.answer(path: "/v1/hello", body: client.hello.encoded).next() else { return [] }
            let session = try client.finish(Handshake.Welcome(decoding: welcome), sign: site.keys.sign)
            let request = SyncRequest.pull(
                SyncRequest.PullRequest(wants: wants, staged: [], frameBytesMax: SyncFrame.bytesMax)
            )
            let answer = hub.answer(
                path: "/v1/exchange",
                body: try Envelope.request(request.encoded, counter: 1, session)
            )
            var out: [SyncFrame] = []
            // Each piece stands behind its length; an answer that is none is a word of refusal.
            while answer.status == 200, let bytes = try answer.next(),
                let content = try? Envelope.open(
                    Array(bytes.dropFirst(4)),
                    counter: 1,
                    piece: UInt32(out.count),
                    session.keys
                ), !content.isEmpty
            {
                out.append(try content.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) })
            }
            return out
        }
        let spaces = Set((frames ?? []).flatMap(\.items).map(\.space))
        trace("pry \(place.name) \(peer.name): \(spaces.count)")
        // Whoever was sent away is shown by whose word, by those who speak for the ward.
        let isShown = isEnding(place) && isAdmin(peer)
        for space in spaces.sorted()
        where !mayReceive(site.keys.device, space, knowing: system) && !(isShown && space == .system) {
            throw failure("unauthorised", "\(peer.name) told \(place.name) of \(space)")
        }
    }
}
