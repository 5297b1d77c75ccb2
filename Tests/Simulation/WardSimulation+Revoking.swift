// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// Devices whose rights end, and places that come back as new devices.
extension WardSimulation {
    /// The end of a device's rights, as the simulation knows it.
    struct Ending {
        let device: DeviceID
        /// The change of `system` that says so.
        let saidAt: Dot
        /// How far its chains are honoured, and the change that says so; `nil` while all of them are.
        var cut: (chains: Vectors, saidAt: Dot)?
    }

    /// Whether the rights of the device that a place works on have ended, whoever knows.
    func isEnding(_ place: Place) -> Bool { endings.contains { $0.device == place.device } }

    func isCrook(_ device: DeviceID) -> Bool { crooks.contains { $0.device == device } }

    // MARK: - What is honoured

    /// The last number of a chain that is in effect where `system` is known so far; `nil` for all that was ever said.
    private func honoured(_ replica: ReplicaID, in space: SpaceID, knowing system: VersionVector? = nil) -> UInt64 {
        let ends = endings.compactMap { ending -> UInt64? in
            guard ending.device == replica.device, let cut = ending.cut, system?.covers(cut.saidAt) != false else {
                return nil
            }
            return cut.chains[space]?[replica] ?? 0
        }
        // A role that may not write the guide has written nothing there.
        let barred: [UInt64] = isCrook(replica.device) && space == .procedures ? [0] : []
        let adopted = adoptions.compactMap { adoption in
            system?.covers(adoption.saidAt) != false && space != .system ? adoption.chains[space]?[replica] : nil
        }
        return max((ends + barred).min() ?? .max, adopted.max() ?? 0)
    }

    /// Whether a revocation cut a change off, whatever was adopted since.
    func isCut(_ dot: Dot, in space: SpaceID) -> Bool {
        endings.contains { ending in
            ending.device == dot.replica.device
                && ending.cut.map { $0.chains[space]?[dot.replica] ?? 0 < dot.seq } == true
        }
    }

    /// Whether a revocation excludes a change.
    func isExcluded(_ dot: Dot, in space: SpaceID, knowing system: VersionVector? = nil) -> Bool {
        dot.seq > honoured(dot.replica, in: space, knowing: system)
    }

    /// What revocations leave of a vector.
    func honoured(_ vector: VersionVector, in space: SpaceID, knowing system: VersionVector? = nil) -> VersionVector {
        let entries = vector.entries.map { ($0.key, min($0.value, honoured($0.key, in: space, knowing: system))) }
        return VersionVector(Dictionary(uniqueKeysWithValues: entries), exceptions: vector.exceptions)
    }

    /// The changes of a book that a revocation excludes.
    func excluded(_ book: ModelBook, knowing system: VersionVector? = nil) -> Set<Int> {
        Set(book.changes.filter { isExcluded(book.dot($0), in: book.space, knowing: system) })
    }

    /// What a device that was revoked wrote is in effect exactly as far as the revocations that are known there say.
    func checkCuts(_ place: Place, _ transaction: StoreTransaction, knowing system: VersionVector) throws {
        guard !endings.isEmpty || !crooks.isEmpty else { return }
        for space in try transaction.spaces() {
            let inEffect = try transaction.inEffect(space)
            for (replica, last) in inEffect.entries
            where isCrook(replica.device) || endings.contains(where: { $0.device == replica.device }) {
                let end = honoured(replica, in: space, knowing: system)
                if last > end, let seq = inEffect.firstCovered(of: replica, in: end + 1...last) {
                    throw failure("revoked", "\(place.name) \(space): \(Dot(replica, seq)) is in effect")
                }
                guard inEffect.exceptions.allSatisfy({ $0.replica != replica || $0.first > end }) else {
                    throw failure("revoked", "\(place.name) \(space): not all of \(replica) up to \(end)")
                }
            }
        }
    }

    /// How many changes of a log revocations exclude.
    func excludedCount(_ site: Site) throws -> Int {
        try Self.vectors(site).reduce(0) { sum, space in
            space.value.reduce(sum) { $0 + Int($1.value - min($1.value, honoured($1.key, in: space.key))) }
        }
    }

    // MARK: - Revoking

    /// The office ends a place's rights; the place hears of it when it comes to hand in its work.
    func revoke(_ place: Place, as wanted: Revocation.Mode? = nil, _ generator: inout SeededGenerator) throws {
        // Where an admin's rights end all is looked at anew, and what the quarantined writer has in effect at home alone.
        guard grantedAt != nil || !isAdmin(place) else { return }
        let isDue = place.isJoined && !isEnding(place) && place.putBack == nil && !hasForks
        guard place !== centre, place.role != .auditor, isDue, mayWrite(centre), let site = centre.site,
            let device = place.device
        else { return }
        // What an office did to whole people is not undone here.
        guard !guarded.people.contains(where: { $0.acts.contains { $0.hidden.replica.device == device } }) else {
            return
        }
        guard !erasable.receipts.contains(where: { $0.replica.device == device }) else { return }
        let drawn = generator.pick(Revocation.Mode.allCases)
        let mode = wanted ?? drawn
        let chains = try Self.chains(of: device, at: site)
        let last = try site.read { try $0.ownSeq(in: .system).seq }
        _ = try attempt([centre]) { try site.revoke(place.name, mode: mode, reason: "失効") }
        guard let said = try centre.site?.read({ try Dot($0.ownReplica()!, $0.ownSeq(in: .system).seq) }),
            said.seq > last
        else { return }
        endings.append(Ending(device: device, saidAt: said, cut: mode == .lost ? (chains, said) : nil))
        summary.revokedDevices += 1
        trace("revoke \(place.name) \(mode.rawValue)")
        try check(centre)
        if generator.chance(50) { try goOn(place, &generator) }
    }

    /// The office lets what is quarantined of a device that it revoked take effect.
    func adopt(_ generator: inout SeededGenerator) throws {
        let devices = endings.map(\.device) + crooks.map(\.device)
        if !devices.isEmpty { try adopt(generator.pick(devices)) }
    }

    /// The office adopts some of what a lost device wrote, whose owner goes on and hands in the rest.
    func adoptInParts(_ generator: inout SeededGenerator) throws {
        func unaware() throws -> Place? {
            try places.dropFirst().first { place in
                guard place.isJoined, let site = place.site, mayWrite(place), place.role == .branch,
                    let ending = endings.first(where: { $0.device == place.device }), ending.cut != nil
                else { return false }
                return try !site.read { try $0.inEffect(.system) }.covers(ending.saidAt)
            }
        }
        if try unaware() == nil {
            try revoke(generator.pick(places.filter { $0.role == .branch }), as: .lost, &generator)
        }
        let others = places.dropFirst().filter {
            $0.role == .branch && $0.site != nil && mayWrite($0) && !isEnding($0) && !isAdmin($0)
        }
        guard let place = try unaware(), let device = place.device, !others.isEmpty, mayWrite(centre) else { return }
        let neighbour = generator.pick(others)
        try writeNotes(place, &generator)
        for (one, other) in [(place, neighbour), (neighbour, centre)] where one.site != nil && other.site != nil {
            try exchange(one, other, .fair, &generator)
        }
        try adopt(device)
        guard place.site != nil, place.device == device else { return }
        try writeNotes(place, &generator)
        guard place.site != nil, centre.site != nil else { return }
        try exchange(place, centre, .fair, &generator)
    }

    private func adopt(_ device: DeviceID) throws {
        guard !hasForks, mayWrite(centre), let site = centre.site else { return }
        let known = try site.sites().first { $0.devices.contains { $0.id == device } }
        guard let known else { return }
        let vectors = try Self.vectors(site)
        let chains = vectors.mapValues { chains in
            chains.filter { entry in
                known.devices.contains { $0.id == entry.key.device && ($0.revoked != nil || isCrook($0.id)) }
            }
        }
        let last = try site.read { try $0.ownSeq(in: .system).seq }
        // Where nothing is quarantined there is nothing to adopt.
        _ = try attempt([centre], isExcused: { $0 == .badInput }) {
            try site.adopt(site: known.id.description, reason: "確かめた")
        }
        guard let said = try centre.site?.read({ try Dot($0.ownReplica()!, $0.ownSeq(in: .system).seq) }),
            said.seq > last
        else { return }
        adoptions.append((chains, said))
        summary.adoptions += 1
        trace("adopt \(device.short)")
        try check(centre)
    }

    /// Whoever has not heard of it works on, with a neighbour: each on top of the other's changes.
    private func goOn(_ place: Place, _ generator: inout SeededGenerator) throws {
        let others = places.dropFirst().filter { $0 !== place && $0.site != nil && mayWrite($0) }
        guard place.site != nil, !others.isEmpty else { return }
        let neighbour = generator.pick(others)
        for writer in [neighbour, place] { try writeNotes(writer, &generator) }
        try exchange(place, neighbour, .fair, &generator)
        for writer in [place, neighbour] where writer.site != nil { try writeNotes(writer, &generator) }
        for writer in [place, neighbour] { try check(writer) }
    }

    private static func chains(of device: DeviceID, at site: Site) throws -> Vectors {
        try vectors(site).mapValues { $0.filter { $0.key.device == device } }
    }

    /// Notes where the centre has closed the retirement of a device: what it has by now is honoured.
    ///
    /// - Parameter held: what the place held that just met the centre.
    func noteRetirements(handingIn held: Vectors = [:]) throws {
        for index in endings.indices where endings[index].cut == nil {
            let device = endings[index].device
            guard let site = centre.site, centre.machine.disk.isOn else { return }
            let isClosed = try site.read { try $0.currentAccess()?.revocations[device]?.contains { $0.cut != nil } }
            guard isClosed == true else { continue }
            let said = try site.read { try Dot($0.ownReplica()!, $0.ownSeq(in: .system).seq) }
            let cut = try Self.chains(of: device, at: site)
            for (space, chains) in held {
                for (replica, seq) in chains where replica.device == device && cut[space]?[replica] ?? 0 < seq {
                    throw failure("lost", "\(device.short) \(space): its retirement was closed too early")
                }
            }
            endings[index].cut = (cut, said)
            trace("handed in \(device.short)")
        }
    }

    // MARK: - Leaving

    /// What one end of an exchange knows, and the other holds, before it.
    struct Audience {
        /// Whether somebody here knows that the other's rights have ended.
        let isWarned: Bool
        let held: Vectors
    }

    /// Looks at who is about to speak with whom.
    func audience(_ speaker: Place, _ listener: Place) throws -> Audience {
        guard let here = speaker.site, let there = listener.site else { return Audience(isWarned: false, held: [:]) }
        let system = try here.read { try $0.inEffect(.system) }
        return Audience(
            isWarned: endings.contains { $0.device == listener.device && system.covers($0.saidAt) },
            held: try Self.vectors(there)
        )
    }

    /// Whoever is known to be revoked was told nothing but that.
    func checkSilence(_ audience: Audience, to listener: Place, sent: Int, of other: Int) throws {
        guard audience.isWarned else { return }
        // A receipt for each run, and a farewell.
        guard sent <= 4096 + other else { throw failure("unauthorised", "\(listener.name) was sent \(sent) bytes") }
        guard let site = listener.site else { return }
        let now = try Self.vectors(site)
        guard now.filter({ $0.key != .system }) == audience.held.filter({ $0.key != .system }) else {
            throw failure("unauthorised", "\(listener.name) was sent changes after its rights had ended")
        }
        guard now[.system] != audience.held[.system] else { return }
        let isTold = try site.read { try $0.currentAccess()?.isRevoked(site.keys.device) == true }
        guard isTold else {
            throw failure(
                "unauthorised",
                "\(listener.name) was sent changes of system, and not that its rights have ended"
            )
        }
    }

    /// Sees a place off that has erased what it held; it comes back as a new device.
    ///
    /// - Parameter held: what it held before it met whoever sent it away.
    /// - Returns: whether it is gone.
    func seeOff(_ place: Place, held: Vectors) throws -> Bool {
        guard place.isJoined, DataDirectory.exists(place.directory.farewell) else { return false }
        guard isEnding(place), let device = place.device else {
            throw failure("lost", "\(place.name) erased what it holds for no reason")
        }
        guard let office = centre.site else { throw failure("lost", "\(place.name) erased what nobody took") }
        let there = try Self.vectors(office)
        for (space, chains) in held {
            for (replica, seq) in chains where replica.device == device && there[space]?[replica] ?? 0 < seq {
                throw failure("lost", "\(place.name) \(space) was not handed in")
            }
        }
        place.end()
        do {
            try place.open()
            throw failure("erased", "\(place.name) opens")
        } catch let error as CommandError {
            guard error.code == .notPermitted else { throw failure("erased", "\(place.name): \(error)") }
        }
        let files = [place.directory.database, place.directory.database + "-wal"]
        guard !files.contains(where: place.machine.disk.exists), !DataDirectory.exists(place.directory.deviceKey) else {
            throw failure("erased", "\(place.name) keeps something")
        }
        trace("farewell \(place.name)")
        place.leave()
        return true
    }

    /// Everybody whose rights have ended comes to hand in, and comes back.
    func endAll(_ generator: inout SeededGenerator) throws {
        for _ in 0..<3 where places.contains(where: { $0.isJoined && isEnding($0) }) {
            for place in places.dropFirst() where place.isJoined {
                passTime(60_000, &generator)
                try exchange(place, centre, .fair, &generator)
            }
        }
        if let place = places.first(where: { $0.isJoined && isEnding($0) }) {
            throw failure("stuck", "\(place.name) cannot leave")
        }
        if generator.chance(50) { try adopt(&generator) }
    }
}
