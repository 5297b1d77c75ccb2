// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// Disks that go back to what they once held.
extension WardSimulation {
    /// Whether a place may write now.
    ///
    /// Who writes on an older disk before the next sync gives numbers again that others know.
    func mayWrite(_ place: Place) -> Bool { place.putBack == nil || hasForks }

    /// Keeps a copy of a disk now and then, and puts one back.
    func keepBackups(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard let site = place.site, place.machine.disk.isOn else { return }
        if hasForks, generator.chance(1) {
            _ = try clone(place, &generator)
            return
        }
        if generator.chance(4), let image = place.image { return try putBack(image, at: place) }
        if generator.chance(10) { place.image = try image(of: place, site) }
    }

    func image(of place: Place, _ site: Site) throws -> Place.Image {
        trace("backup \(place.name)")
        return Place.Image(
            disk: place.machine.disk.copy(seed: 0),
            replica: try site.read { try $0.ownReplica()! },
            vectors: try Self.vectors(site)
        )
    }

    typealias Vectors = [SpaceID: [ReplicaID: UInt64]]

    static func vectors(_ site: Site) throws -> Vectors {
        try site.read { transaction in
            try Dictionary(
                uniqueKeysWithValues: transaction.spaces().map { space in
                    let entries = try transaction.vector(of: space)
                    return (space, Dictionary(uniqueKeysWithValues: entries.map { ($0.replica, $0.seq) }))
                }
            )
        }
    }

    /// A machine goes on with an older copy of its disk.
    ///
    /// What only that disk held is gone, and the model forgets it; what anybody else has must come back.
    func putBack(_ image: Place.Image, at place: Place) throws {
        // What survives cannot be told by numbers that are two changes.
        guard forked.isEmpty, place.putBack == nil, !isEnding(place), let known = try knownElsewhere(place) else {
            return
        }
        let survivors = known.merging(image.vectors) { $0.merging($1, uniquingKeysWith: max) }
        func survives(_ dot: Dot, _ space: SpaceID) -> Bool { dot.seq <= survivors[space]?[dot.replica] ?? 0 }
        // A part that others have waits for ever for one that nobody has.
        guard
            pairs.allSatisfy({
                survives($0.0, SimulatedSchema.spaces[0]) == survives($0.1, SimulatedSchema.spaces[1])
            })
        else { return }
        // Nobody comes back who has erased his disk because somebody said so.
        guard
            endings.allSatisfy({ ending in
                survives(ending.saidAt, .system) && ending.cut.map { survives($0.saidAt, .system) } != false
            }), adoptions.allSatisfy({ survives($0.saidAt, .system) }),
            rights.allSatisfy({ right in right.saidAt.map { $0 == grantedAt || survives($0, .system) } != false })
        else { return }
        // What was redacted stays so, also where nobody is left who knows why.
        guard erasable.receipts.allSatisfy({ survives($0, .residents) }) else { return }
        // Nobody else has the protected people: with the only disk that holds them they are gone.
        let hidden = try place.site.map { try Self.vectors($0)[.protectedResidents] ?? [:] } ?? [:]
        guard hidden.allSatisfy({ survives(Dot($0.key, $0.value), .protectedResidents) }) else { return }
        // Rights to seats move as changes arrive, and an office moves late edits of protected people, whether a site's own
        // later numbers have come back or not.
        let answering = isAdmin(place) ? ["lessons/*", "residents", "residents/protected"] : ["lessons/*"]
        let isBehindWhereItAnswers = known.contains { space, vector in
            answering.contains { space.matches($0) }
                && vector[image.replica] ?? 0 > image.vectors[space]?[image.replica] ?? 0
        }
        guard hasForks || !isBehindWhereItAnswers else { return }
        place.end()
        place.machine.disk.restore(image.disk)
        summary.restoredDisks += 1
        trace("older disk \(place.name)")
        try place.open()
        guard try Self.vectors(place.site!) == image.vectors else { throw failure("lost", "\(place.name): a backup") }

        astray.removeAll { $0.sender === place }
        // They may hold what is about to be forgotten.
        parcels = []
        (place.inEffect, place.acknowledged, place.stamp) = ([:], [:], 0)
        place.replica = image.replica
        place.putBack = Dictionary(
            uniqueKeysWithValues: known.keys.map { ($0, image.vectors[$0]?[image.replica] ?? 0) }
        )
        for other in places { try forgetNumbers(of: other) }
        // Numbers that are given again mean something else.
        (digests, conflictLists, seatStates) = ([:], [:], [:])
        for other in places { (other.seatKey, other.compared) = ("", [:]) }
        for book in books {
            book.forget(Set(book.changes.filter { !survives(book.dot($0), book.space) }))
        }
        register.forget { !survives($0, .residents) }
        for space in written.keys { written[space]?.removeAll { !survives($0.dot, space) } }
        guarded.forget { !survives($0, $1) }
        erasable.people.removeAll { !survives($0.began, .residents) }
        pairs.removeAll { !survives($0.0, SimulatedSchema.spaces[0]) }
        seats.forget { !survives($0, $1) }
        if let granted = grantedAt, !survives(granted, .system) {
            grantedAt = nil
            rights.removeAll { $0.saidAt == granted }
            places.first { $0.role == .auditor }?.scope.removeAll { $0 == "notes/*" }
        }
        try check(place)
    }

    /// A number that nobody knows any more may be given again.
    func forgetNumbers(of place: Place) throws {
        guard !hasForks, place.putBack != nil, let replica = place.replica, let known = try knownElsewhere(place)
        else { return }
        place.putBack = place.putBack?.filter { space, seq in known[space]?[replica] ?? 0 > seq }
        if place.putBack?.isEmpty == true { place.putBack = nil }
    }

    /// A second machine goes on with a copy of a disk, beside the first.
    ///
    /// - Returns: the copy; `nil` where none was made.
    private func clone(_ place: Place, _ generator: inout SeededGenerator) throws -> Place? {
        guard place !== centre, place.role != .auditor, places.count < Self.placesMax else { return nil }
        let directory = DataDirectory("\(place.directory.path)-\(places.count)")
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: place.directory.deviceKey, toPath: directory.deviceKey)
        let disk = place.machine.disk.copy(seed: generator.next())
        SimulatedVFS.mount(disk, at: directory.path + "/")
        for suffix in ["", "-wal"] where disk.exists(place.directory.database + suffix) {
            try disk.rename(place.directory.database + suffix, to: directory.database + suffix)
        }
        let twin = Place(
            index: places.count,
            name: "\(place.name)-\(places.count)",
            role: place.role,
            machine: SimulatedMachine(now: place.machine.now, disk: disk, seed: generator.next()),
            directory: directory,
            scope: place.scope,
            isWide: place.isWide
        )
        twin.isJoined = true
        twin.latest = max(place.latest, place.machine.now)
        (twin.replica, twin.inEffect, twin.exempt) = (place.replica, place.inEffect, place.exempt)
        places.append(twin)
        trace("clone \(twin.name)")
        try twin.open()
        // Whatever either of them writes from here on, the other may too.
        let own = try Self.ownNumbers(twin.site!)
        (twin.acknowledged, twin.putBack, place.putBack) = (own, own, own)
        return twin
    }

    /// In the end somebody copies a branch's machine, and both go on: whatever either writes takes effect everywhere.
    func copyMachine(_ generator: inout SeededGenerator) throws {
        let some = places.filter {
            $0.role == .branch && $0.isJoined && $0.site != nil && $0.putBack == nil && !isEnding($0) && !isAdmin($0)
        }
        guard !hasForks, !some.isEmpty, mayWrite(centre) else { return }
        let place = generator.pick(some)
        // Rights of its own are at stake too.
        if plan.hasLessons { _ = try openLesson(place, 6, &generator) }
        guard place.site != nil else { return }
        hasForks = true
        guard let twin = try clone(place, &generator) else { return }
        for _ in 0..<8 {
            let one = generator.pick([place, twin])
            switch generator.below(10) {
            case 0..<4: try writeNotes(one, &generator)
            case 4..<7: try book(one, &generator)
            default: try exchange(one, centre, .fair, &generator)
            }
            try check(one)
        }
        try heal(&generator)
        try checkEnd()
    }

    /// The last number that a site gave in each space.
    static func ownNumbers(_ site: Site) throws -> [SpaceID: UInt64] {
        try site.read { transaction in
            try Dictionary(uniqueKeysWithValues: transaction.spaces().map { ($0, try transaction.ownSeq(in: $0).seq) })
        }
    }

    private static let placesMax = 8

    /// What all the others have; `nil` where that cannot be told for certain, since somebody is down, or keeps what
    /// waits for its turn.
    private func knownElsewhere(_ place: Place) throws -> Vectors? {
        var known: Vectors = [:]
        let devices = places.compactMap { $0.site?.keys.device }
        for other in places where other !== place {
            guard other.isJoined else {
                // Whoever is joining has something that nobody can look at.
                if other.machine.disk.exists(other.directory.database) { return nil }
                continue
            }
            guard let site = other.site, other.machine.disk.isOn else { return nil }
            let vectors = try Self.vectors(site)
            let isWaiting = try site.read { transaction in
                try vectors.keys.contains { try !transaction.heldCauses(in: $0).isEmpty }
                    || devices.contains { try !transaction.staged(from: $0).isEmpty }
            }
            if isWaiting { return nil }
            known.merge(vectors) { $0.merging($1, uniquingKeysWith: max) }
        }
        return known
    }

    /// Notes what a change is that somebody has just written.
    func noteWritten(_ dot: Dot, _ space: SpaceID, _ site: Site) throws {
        guard let hash = try site.read({ try $0.headerHash(of: dot.replica, at: dot.seq, in: space) }) else {
            throw failure("lost", "\(dot) in \(space), which was just written")
        }
        written[space, default: []].append((dot, hash))
    }

    /// Whichever of two machines under one name wrote it, everything is in effect.
    func checkWritten(_ place: Place) throws {
        try place.site!.read { transaction in
            for (space, changes) in written where place.mayHold(space) {
                var found: Set<Hash32> = []
                try transaction.forEachChange(in: space) { change in
                    if try transaction.isEffective(change.header.dot, in: space) { found.insert(change.hash) }
                }
                let lost = changes.first { !found.contains($0.hash) && !isExcluded($0.dot, in: space) }
                if let lost {
                    throw failure("lost", "\(place.name) \(space): \(lost.dot)")
                }
            }
        }
    }

    /// A place goes on as another replica where an older disk came back and others knew more, and only there.
    func checkReplica(_ place: Place, _ transaction: StoreTransaction) throws {
        let own = try transaction.ownReplica()
        defer { place.replica = own }
        guard let former = place.replica, let own else { return }
        if own != former {
            replaced.insert(former)
            guard let putBack = place.putBack else {
                throw failure("identity", "\(place.name): a new replica for no reason")
            }
            // It may have given numbers again in the exchange in which it noticed.
            if hasForks {
                for space in putBack.keys where try !transaction.forks(in: space).isEmpty { forked.insert(space) }
            }
            (place.putBack, place.acknowledged) = (nil, [:])
        } else if let putBack = place.putBack {
            for (space, seq) in putBack where try transaction.ownSeq(in: space).seq > seq {
                guard hasForks else {
                    throw failure("identity", "\(place.name) \(space): goes on under numbers that others know")
                }
                forked.insert(space)
            }
        }
    }
}
