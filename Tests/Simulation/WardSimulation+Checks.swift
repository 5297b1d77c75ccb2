// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

extension WardSimulation {
    // MARK: - What must never be

    /// Looks at a place by the rules that hold at every moment.
    func check(_ place: Place) throws {
        guard let site = place.site else { return }
        try site.read { transaction in
            let spaces = try transaction.spaces()
            let system = try transaction.inEffect(.system)
            try checkReplica(place, transaction)
            try checkCuts(place, transaction, knowing: system)
            if !hasForks { try checkRights(place, transaction, knowing: system) }
            for space in spaces {
                guard place.mayHold(space) else { throw failure("ungranted", "\(place.name) holds \(space)") }
                guard !forked.contains(space) else {
                    place.inEffect[space] = try transaction.inEffect(space)
                    continue
                }
                try checkProgress(place, space, transaction, knowing: system)
                try checkSameness(place, space, transaction)
            }
            for book in books where spaces.contains(book.space) && !forked.contains(book.space) {
                try checkCauses(place, book, transaction, knowing: system)
            }
            if forked.isDisjoint(with: SimulatedSchema.spaces) {
                try checkTransactions(place, spaces, knowing: system)
            }
            try checkClock(place, transaction)
        }
        for book in books where !forked.contains(book.space) {
            guard let inEffect = place.inEffect[book.space], place.compared[book.space] != inEffect else { continue }
            place.compared[book.space] = inEffect
            let visible = book.visible(in: inEffect)
            try book.compare(site.store, place.note, visible) { failure("model", "\(place.name) \(book.space): \($0)") }
        }
        try checkUnsent(place)
        try checkRegister(place)
        try checkGuarded(place)
        try checkErased(place)
        try checkSeats(place)
    }

    /// What was written of a resident is shown, or among the values of a conflict, unless somebody replaced it who had
    /// seen it.
    private func checkRegister(_ place: Place) throws {
        guard let inEffect = place.inEffect[.residents], !forked.contains(.residents),
            place.compared[.residents] != inEffect
        else { return }
        place.compared[.residents] = inEffect
        try place.site!.read { transaction in
            for register in register.places {
                let standing = self.register.standing(register, in: inEffect)
                guard !standing.isEmpty else { continue }
                let name = "\(place.name): \(register.field ?? "life") of \(register.record)"
                guard let row = try transaction.record(WardSchema.resident, register.record) else {
                    throw failure("lost", name)
                }
                let group = register.field.flatMap { WardSchema.resident.field(named: $0)?.group.number }
                let conflict = try transaction.conflicts(rid: row.rid).first { $0.group?.number == group }
                func value(_ values: [(field: Field, value: Value)]) -> [UInt8] {
                    values.first { $0.field.name == register.field }?.value.text.map { Array($0.string.utf8) } ?? []
                }
                let shown =
                    register.field.map { row.text($0).map { Array($0.utf8) } ?? [] }
                    ?? (row.deleted ? RegisterModel.deleted : RegisterModel.alive)
                let found = conflict.map { conflict in
                    conflict.alternatives.map {
                        register.field != nil
                            ? value($0.values) : $0.deleted ? RegisterModel.deleted : RegisterModel.alive
                    }
                }
                guard standing.contains(shown), Set(found ?? [shown]) == standing else {
                    throw failure("register", "\(name): \(shown) among \(found ?? []), expected \(standing)")
                }
            }
        }
    }

    /// What was ever written of a resident stays readable, whichever of two machines under one name wrote it.
    private func checkHistory(_ place: Place) throws {
        guard let inEffect = place.inEffect[.residents] else { return }
        for record in Set(register.places.map(\.record)) {
            let fields = register.places.filter { $0.record == record && $0.field != nil }
            func all(_ field: RegisterModel.Place) -> Set<[UInt8]> {
                register.all(field, in: forked.contains(.residents) ? nil : inEffect)
            }
            guard fields.contains(where: { !all($0).isEmpty }) else { continue }
            let history = try place.site!.residentHistory(record.description)
            for field in fields {
                let found = history.filter { $0.field == field.field }.compactMap { entry in
                    if case .value(let value) = entry.content { value.text.map { Array($0.string.utf8) } } else { nil }
                }
                guard all(field).isSubset(of: found) else {
                    throw failure("lost", "\(place.name): a value of \(record)")
                }
            }
        }
    }

    /// What was once in effect stays so unless a revocation excludes it, and what was acknowledged is there.
    private func checkProgress(
        _ place: Place,
        _ space: SpaceID,
        _ transaction: StoreTransaction,
        knowing system: VersionVector
    ) throws {
        let now = try transaction.inEffect(space)
        if var before = place.inEffect[space].map({ honoured($0, in: space, knowing: system) }) {
            // What an auditor's machine writes is in effect there alone, while it goes by the name it wrote under.
            if place.role == .auditor {
                for replica in before.entries.keys where replica.device == place.device { before[replica] = 0 }
            }
            guard now.covers(before) else { throw failure("lost", "\(place.name) \(space): \(before) became \(now)") }
        }
        place.inEffect[space] = now
        let own = try transaction.ownSeq(in: space).seq
        guard own >= place.acknowledged[space] ?? 0 else {
            throw failure("lost", "\(place.name) \(space): own changes")
        }
        place.acknowledged[space] = own
    }

    /// Nobody else's clock drags this one along.
    private func checkClock(_ place: Place, _ transaction: StoreTransaction) throws {
        place.latest = max(place.latest, place.machine.now)
        let clock = Timestamp(raw: UInt64(bitPattern: try transaction.meta("clock")?.integer ?? 0)).milliseconds
        guard clock <= place.latest + HybridLogicalClock.adoptionBoundMilliseconds else {
            throw failure("clock", "\(place.name) is at \(clock), its machine never beyond \(place.latest)")
        }
    }

    /// Whether the log has something in its erased form whose receipt is still to come: peers send no other.
    private func awaitsReceipts(_ space: SpaceID, _ transaction: StoreTransaction) throws -> Bool {
        var found = false
        try transaction.forEachChange(in: space) { change in
            found =
                try found
                || change.payload.entries.contains { entry in
                    guard entry.isErased, let collection = transaction.schema.collection(entry.shape.collection) else {
                        return false
                    }
                    return try !transaction.isErased(collection, entry.id, in: space)
                }
        }
        return found
    }

    /// The same changes in effect are the same state, wherever.
    private func checkSameness(_ place: Place, _ space: SpaceID, _ transaction: StoreTransaction) throws {
        let key = "\(space) \(Self.key(place.inEffect[space]!))"
        guard let digest = try transaction.digest(of: space) else {
            throw failure("diverged", "\(place.name) \(space): no digest")
        }
        if digests[key] != digest {
            // Of an exchange that was cut the erased form may be here, and its receipt not.
            let isErasing = summary.protections > 0 || erasable.people.contains { !$0.receipts.isEmpty }
            if try space == .residents && isErasing && awaitsReceipts(space, transaction) { return }
            guard digests[key] == nil else { throw failure("diverged", "\(place.name) \(key)") }
            digests[key] = digest
        }
        // Sites of one version show the same conflicts.
        let list = try transaction.conflicts().filter { try transaction.recordName($0.rid)?.space == space }
            .map(\.id).sorted()
        let versioned = "\(place.isWide) \(key)"
        guard conflictLists[versioned] ?? list == list else {
            throw failure(
                "diverged",
                "\(place.name) \(space): conflicts \(list), elsewhere \(conflictLists[versioned]!)"
            )
        }
        conflictLists[versioned] = list
    }

    static func key(_ vector: VersionVector) -> String {
        let entries = vector.entries.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
        let exceptions = vector.exceptions.sorted().map { "-\($0.replica):\($0.first)-\($0.last)" }
        return (entries + exceptions).joined(separator: " ")
    }

    /// Nothing is in effect before what its author had seen is here, nor by an author without a right.
    private func checkCauses(
        _ place: Place,
        _ book: ModelBook,
        _ transaction: StoreTransaction,
        knowing system: VersionVector
    ) throws {
        let vector = place.inEffect[book.space]!
        let visible = book.visible(in: vector)
        for change in visible {
            let author = places[book.model.changes[change].site]
            // What an auditor's machine wrote goes out of effect at home too once that goes by another name; what it
            // writes from then on had seen it.
            if author === place, author.role == .auditor { continue }
            let missing = book.model.changes[change].past.subtracting(visible).map { book.dot($0) }
            // What a revocation took away, or kept out, is in the log all the same.
            let isVoid = { (dot: Dot) in
                dot.seq <= vector[dot.replica] && self.isExcluded(dot, in: book.space, knowing: system)
            }
            guard missing.allSatisfy(isVoid) else {
                let lacking = missing.filter { !isVoid($0) }
                throw failure("causes", "\(place.name) \(book.space): \(book.dot(change)) before \(lacking)")
            }
            guard author.role == .auditor else { continue }
            guard let grantedAt, try transaction.inEffect(.system).covers(grantedAt) else {
                throw failure("unauthorised", "\(place.name) \(book.space): \(book.dot(change))")
            }
        }
        var known: [ReplicaID: UInt64] = [founder: 1]
        for dot in book.changes.map({ book.dot($0) }) { known[dot.replica] = max(known[dot.replica] ?? 0, dot.seq) }
        for (replica, seq) in vector.entries where seq > known[replica] ?? 0 {
            throw failure("invented", "\(place.name) \(book.space): \(replica) \(seq)")
        }
    }

    /// The parts of a transaction are in effect together, unless a revocation ends between them.
    private func checkTransactions(_ place: Place, _ spaces: [SpaceID], knowing system: VersionVector) throws {
        let held = SimulatedSchema.spaces.map { spaces.contains($0) }
        for (first, second) in pairs {
            let isSplit = zip([first, second], SimulatedSchema.spaces)
                .contains { isExcluded($0, in: $1, knowing: system) }
            if isSplit { continue }
            let isThere = [
                held[0] && place.inEffect[SimulatedSchema.spaces[0]]!.covers(first),
                held[1] && place.inEffect[SimulatedSchema.spaces[1]]!.covers(second),
            ]
            if held == [true, true] {
                guard isThere[0] == isThere[1] || place.exempt.contains(first) else {
                    throw failure("torn", "\(place.name): \(first) is \(isThere[0]), \(second) is \(isThere[1])")
                }
            } else if isThere[0] || isThere[1] {
                place.exempt.insert(first)
            }
        }
    }

    /// Nothing is said to be sent that nobody else ever had.
    private func checkUnsent(_ place: Place) throws {
        for other in places {
            guard let site = other.site else { continue }
            for (space, vector) in try Self.vectors(site) {
                let others = vector.filter { $0.key.device != site.keys.device }
                delivered[space, default: [:]].merge(others, uniquingKeysWith: max)
            }
        }
        // Whoever is still joining has taken something that nobody can look at.
        guard places.allSatisfy(\.isJoined), forked.isEmpty else { return }
        let site = place.site!
        for (space, vector) in try Self.vectors(site) {
            let unsent = vector.reduce(UInt64(0)) { sum, entry in
                guard entry.key.device == site.keys.device else { return sum }
                return sum + entry.value - min(entry.value, delivered[space]?[entry.key] ?? 0)
            }
            let said = try site.read { try $0.unsent(in: space) }
            guard said >= unsent else {
                throw failure("false status", "\(place.name) \(space): \(said) unsent, nobody has \(unsent)")
            }
        }
    }

    /// When spaces were last proved to be the same, as a site says it.
    func proofs(_ place: Place) throws -> [SpaceID: UInt64] {
        guard let site = place.site else { return [:] }
        return try site.read { transaction in
            try transaction.spaces().reduce(into: [:]) { $0[$1] = try transaction.provedAt($1) }
        }
    }

    /// The time of a proof moves only with one; where something moved, what was proved before may differ by now.
    func checkProofTimes(
        _ report: SyncReport,
        _ place: Place,
        _ peer: Place,
        since former: [[SpaceID: UInt64]]
    ) throws {
        guard report.outcome.sent + report.outcome.received == 0, let here = place.site, let there = peer.site else {
            return
        }
        func state(_ site: Site, _ space: SpaceID) throws -> (String, Bytes16?) {
            try site.read { (Self.key(try $0.inEffect(space)), try $0.digest(of: space)) }
        }
        for (site, former) in zip([place, peer], former) {
            for (space, time) in try proofs(site) where time != former[space] {
                guard try state(here, space) == state(there, space) else {
                    throw failure("false proof", "\(site.name) \(space): at \(time)")
                }
            }
        }
    }

    /// "Up to date" is a proof.
    func checkProof(_ report: SyncReport, _ place: Place, _ peer: Place) throws {
        guard let here = place.site, let there = peer.site else { return }
        func state(_ site: Site, _ space: SpaceID) throws -> (String, Bytes16?) {
            try site.read { (Self.key(try $0.inEffect(space)), try $0.digest(of: space)) }
        }
        for space in report.outcome.proved {
            let states = (try state(here, space), try state(there, space))
            guard states.0 == states.1 else {
                throw failure("false proof", "\(place.name), \(peer.name): \(space) \(states)")
            }
        }
        guard report.upToDate else { return }
        let access = try here.read { try $0.currentAccess() }
        let shared = try Set(here.read { try $0.spaces() }).union(there.read { try $0.spaces() }).filter {
            access?.mayRead(here.keys.device, $0) == true && access?.mayRead(there.keys.device, $0) == true
        }
        let missing = shared.subtracting(report.outcome.proved)
        guard missing.isEmpty else { throw failure("false proof", "\(place.name), \(peer.name): not \(missing)") }
    }

    // MARK: - Merged partial views

    /// Somebody who has what two sites have, whatever way it came, sees what the model says.
    func lookAtMergedViews(_ generator: inout SeededGenerator) throws {
        let some = places.filter { $0.site != nil && $0.role != .venue }
        guard some.count >= 2, forked.isEmpty else { return }
        let (first, second) = (generator.pick(some), generator.pick(some))
        guard !isEnding(first) else { return }
        // A branch's disk, copied, takes the other's changes; nobody hears of it afterwards.
        let disk = first.machine.disk.copy(seed: generator.next())
        let path = first.directory.path + "-view"
        SimulatedVFS.mount(disk, at: path + "/")
        defer { SimulatedVFS.unmount(path + "/") }
        for suffix in ["", "-wal", "-shm"] where disk.exists(first.directory.database + suffix) {
            try disk.rename(first.directory.database + suffix, to: path + "/ward.sqlite" + suffix)
        }
        let keys = first.site!.keys
        var environment = first.machine.environment
        environment.files = disk
        let view = try Store.open(at: path + "/ward.sqlite", schema: first.schema, environment: environment)
        defer { try? view.close() }
        let isSealed: Void? = try attempt([second]) { try second.site!.seal() }
        guard isSealed != nil, let source = second.site else { return }
        let (here, there) = try (view.read { try $0.spaces() }, source.read { try $0.spaces() })
        // Who may write comes first.
        for space in [.system] + there.filter({ $0 != .system && first.mayHold($0) }) {
            let vector = try view.read { try $0.vector(of: space) }
            var runs = try source.read { transaction in
                let known = Dictionary(uniqueKeysWithValues: vector.map { ($0.replica, $0.seq) })
                return try transaction.runs(of: space, lacking: known).compactMap { try transaction.run($0) }
            }
            if generator.chance(50) { runs.shuffle(using: &generator) }
            for run in runs { _ = try view.write { try $0.receive(run, from: keys.device) } }
        }
        trace("merged \(first.name) \(second.name)")
        if Set(here).isSubset(of: there) { try checkUnion(view, first, second) }
        for book in books where try view.read({ try $0.spaces() }).contains(book.space) {
            let visible = book.visible(in: try view.read { try $0.inEffect(book.space) })
            try book.compare(view, first.note, visible) {
                failure("model", "\(first.name) with \(second.name) \(book.space): \($0)")
            }
        }
        try view.read { try checkSeats($0, "\(first.name) with \(second.name)") }
        let found = try view.read { try $0.verify() }
        if let fault = (found.log.faults + found.tables.faults + found.digests.faults).first {
            throw failure("damaged", "\(first.name) with \(second.name): \(fault.detail)")
        }
    }

    /// In whatever order it came, everything that one of two sites has in effect is in effect.
    private func checkUnion(_ view: Store, _ first: Place, _ second: Place) throws {
        try view.read { transaction in
            // An adoption that neither of them heard of does not count here.
            let system = try transaction.inEffect(.system)
            for book in books where try transaction.spaces().contains(book.space) {
                let visible = book.visible(in: try transaction.inEffect(book.space))
                for place in [first, second] {
                    let vector = try place.site!.read { try $0.inEffect(book.space) }
                    guard book.visible(in: vector).subtracting(excluded(book, knowing: system)).isSubset(of: visible)
                    else {
                        throw failure(
                            "stuck",
                            "\(first.name) with \(second.name) \(book.space): not all of \(place.name)"
                        )
                    }
                }
            }
        }
    }

    // MARK: - What must be in the end

    /// Once nothing breaks any more everything granted arrives, everything valid takes effect, and nobody waits for a
    /// seat that is free.
    func heal(_ generator: inout SeededGenerator) throws {
        for place in places {
            place.isCutOff = false
            place.machine.disk.disarm()
            if place.isJoined, place.site == nil { try restart(place) }
        }
        try forgetNumbers(of: centre)
        if centre.putBack != nil {
            for place in places.dropFirst() where place.isJoined && !isEnding(place) {
                try exchange(place, centre, .fair, &generator)
            }
        }
        try endAll(&generator)
        for place in places.dropFirst() {
            for _ in 0..<20 where !place.isJoined { try join(place, .fair, &generator) }
            guard place.isJoined else { throw failure("stuck", "\(place.name) cannot join") }
        }
        try grant()
        for round in 0..<Self.roundsMax {
            var isQuiet = try !decideCapacities()
            let written = try writtenByCentre()
            for place in places.dropFirst() {
                passTime(60_000, &generator)
                let report = try exchange(place, centre, .fair, &generator)!
                if let error = report.failure { throw failure("stuck", "\(place.name): \(error.message.en)") }
                isQuiet = isQuiet && report.upToDate && report.outcome.sent + report.outcome.received == 0
            }
            // What the day moves at the centre comes of an exchange that found all equal.
            if isQuiet, try writtenByCentre() == written { break }
            guard round < Self.roundsMax - 1 else { throw failure("stuck", try whatIsMissing()) }
        }
    }

    /// Looks at what everybody has in the end.
    func checkEnd() throws {
        for place in places {
            place.compared = [:]
            try check(place)
            try checkArrival(place)
            try checkHistory(place)
            try examineEnd(place)
        }
        try checkGuardedEnd()
        try checkErasedEnd()
    }

    private func writtenByCentre() throws -> [UInt64] {
        try centre.site!.read { transaction in
            try transaction.spaces().sorted().map { try transaction.ownSeq(in: $0).seq }
        }
    }

    private static let roundsMax = 12

    private func whatIsMissing() throws -> String {
        try places.map { place in
            let status = try place.site!.status()
            let waits = status.spaces.flatMap(\.waitingFor)
            return "\(place.name): waits \(waits), quarantined \(status.quarantined), "
                + "refused \(status.refused.map(\.reason))"
        }.joined(separator: "; ")
    }

    private func checkArrival(_ place: Place) throws {
        try forgetNumbers(of: place)
        guard place.putBack == nil || hasForks else {
            throw failure("identity", "\(place.name) is the same replica")
        }
        for book in books where place.mayHold(book.space) && !forked.contains(book.space) {
            let missing = Set(book.changes).subtracting(excluded(book))
                .subtracting(book.visible(in: place.inEffect[book.space] ?? VersionVector()))
            guard missing.isEmpty else {
                throw failure("stuck", "\(place.name) \(book.space): \(missing.map { book.dot($0) })")
            }
        }
        if hasForks { try checkWritten(place) }
        for (space, vector) in centre.inEffect where place.mayHold(space) {
            guard place.inEffect[space].map(Self.key) == Self.key(vector) else {
                throw failure("stuck", "\(place.name) \(space) is not the centre's")
            }
            let digests = try [place, centre].map { try $0.site!.read { try $0.digest(of: space) } }
            guard digests[0] == digests[1] else { throw failure("diverged", "\(place.name) \(space): \(digests)") }
        }
        try checkSeatsEnd(place)
    }

    private func examineEnd(_ place: Place) throws {
        let found = try place.site!.read { try $0.verify() }
        if let fault = (found.log.faults + found.tables.faults + found.digests.faults).first {
            throw failure("damaged", "\(place.name): \(fault.detail)")
        }
        let status = try place.site!.status()
        guard try status.quarantined == excludedCount(place.site!), status.spaces.allSatisfy(\.waitingFor.isEmpty)
        else {
            throw failure("stuck", try whatIsMissing())
        }
    }
}
