// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

extension WardSimulation {
    /// One step: somebody does something, or something breaks; then those concerned are looked at.
    func act(_ generator: inout SeededGenerator) throws {
        passTime(UInt64(generator.below(generator.pick([1000, 60_000, 6 * 3_600_000]))), &generator)
        let place = generator.pick(places)
        guard place.site != nil else {
            try begin(place, &generator)
            if place.site != nil { try check(place) }
            return
        }
        armFaults(place, &generator)
        switch generator.below(100) {
        case 0..<56 where !mayWrite(place): try exchange(place, centre, &generator)
        case 0..<34: try writeNotes(place, &generator)
        case 34..<42: try writeResident(place, &generator)
        case 42..<52: try book(place, &generator)
        case 52..<56: try resolve(place, &generator)
        case 56..<80: try exchange(place, centre, &generator)
        case 80..<83: try pack(place, for: generator.pick(places), &generator)
        case 83..<85: try exchange(place, generator.pick(places), &generator)
        case 85..<88 where !parcels.isEmpty && generator.chance(70): try deliver(&generator)
        case 85..<88: try deliverAstray(&generator)
        case 88: try reopen(place, &generator)
        case 89: try losePower(place, &generator)
        case 90..<92: jumpClock(place, &generator)
        case 92..<94: cutOff(place, &generator)
        case 94: try grant()
        case 95..<97: try lookAtMergedViews(&generator)
        case 97: try revoke(place, &generator)
        case 98: try adopt(&generator)
        default: try examine(place)
        }
        armed = nil
        try check(place)
        if let site = place.site {
            trace(try site.digests().map { "\($0.space) \($0.digest)" }.joined(separator: " "))
        }
        try keepBackups(place, &generator)
        for other in step % 10 == 0 ? places : [generator.pick(places)] where other !== place { try check(other) }
    }

    /// What is to break during what is done in this step.
    private func armFaults(_ place: Place, _ generator: inout SeededGenerator) {
        let disk = generator.chance(70) ? place.machine.disk : centre.machine.disk
        switch generator.below(100) {
        case 0..<10: armed = (disk, .crash(after: generator.below(generator.pick([4, 20, 80]))))
        case 10..<14: armed = (disk, .full(after: generator.below(8), writes: 1 + generator.below(20)))
        case 14..<16: armed = (disk, .readError(after: generator.below(4)))
        default: armed = nil
        }
    }

    /// A place that is down or not in the ward yet.
    private func begin(_ place: Place, _ generator: inout SeededGenerator) throws {
        if place.isJoined {
            try restart(place)
        } else {
            armFaults(place, &generator)
            try join(place, weather, &generator)
        }
    }

    // MARK: - Writing

    /// A random change of notes; at times one transaction over both spaces.
    func writeNotes(_ place: Place, _ generator: inout SeededGenerator) throws {
        let held = try place.site!.read { try $0.spaces() }
        var indices = books.indices.filter { held.contains(books[$0].space) }
        guard !indices.isEmpty else { return }
        if indices.count > 1, !generator.chance(40) { indices = [generator.pick(indices)] }
        let replica = try place.site!.read { try $0.ownReplica() }!
        // At times more than one frame carries.
        let isLarge = generator.chance(5)
        var written: [Written] = []
        let isDone: Void? = try attempt([place]) {
            try place.site!.write { transaction in
                written = []
                for index in indices {
                    let book = books[index]
                    let seen = book.visible(in: try transaction.inEffect(book.space))
                    var entries = book.randomEntries(seeing: seen, isWide: place.isWide, &generator)
                    if isLarge {
                        let text = Hex.encode(generator.bytes(SyncFrame.bytesMax * 3 / 2))
                        entries[0].registers[1, default: [:]][TestSchema.Number.body] = .text(Array(text.utf8))
                    }
                    let own = try transaction.ownSeq(in: book.space).seq
                    let draft = try transaction.draft(book.space, by: place.person)
                    let done = try book.write(entries, draft, place.note, seeing: seen)
                    written.append(Written(book: index, seq: own + 1, seen: seen, entries: done))
                    place.tentative = written
                }
            }
        }
        trace("notes \(place.name) \(indices): \(isDone != nil)")
        try settle(place, isAcknowledged: isDone != nil, written, replica)
    }

    /// Finds out what of a write that the simulation may have broken is there, and tells the model.
    func settle(_ place: Place) throws {
        guard let replica = try place.site?.read({ try $0.ownReplica() }) else { return }
        try settle(place, isAcknowledged: false, place.tentative, replica)
    }

    private func settle(
        _ place: Place,
        isAcknowledged: Bool,
        _ written: [Written],
        _ replica: ReplicaID
    ) throws {
        place.tentative = []
        guard let site = place.site else { return }
        let news = written.filter { books[$0.book].number(Dot(replica, $0.seq)) == nil }
        guard !news.isEmpty else { return }
        let there = try site.read { transaction in
            try news.filter { try transaction.ownSeq(in: books[$0.book].space).seq >= $0.seq }
        }
        if isAcknowledged, there.count < news.count { throw failure("lost", "\(place.name): an acknowledged change") }
        if there.isEmpty {
            // Their ids were never given to anybody, and may be given again.
            for change in news { books[change.book].renameUnwritten() }
        }
        guard there.isEmpty || there.count == news.count else {
            throw failure("torn", "\(place.name): a part of a transaction is there, another is not")
        }
        for change in there {
            let book = books[change.book]
            let dot = Dot(replica, change.seq)
            guard let header = try site.read({ try $0.header(of: dot, in: book.space) }) else {
                throw failure("lost", "\(place.name): the header of \(dot)")
            }
            guard header.timestamp.raw >= place.stamp else {
                throw failure("clock", "\(place.name): the stamp of \(dot) lies before that of an earlier change")
            }
            place.stamp = header.timestamp.raw
            book.append(dot, stamp: header.timestamp.raw, site: place.index, past: change.seen, change.entries)
            try noteWritten(dot, book.space, site)
        }
        if there.count == 2 { pairs.append((Dot(replica, there[0].seq), Dot(replica, there[1].seq))) }
    }

    private static let names = ["佐藤", "鈴木", "髙橋", "神\u{FA19}", "神\u{795E}", "山田"]

    private func writeResident(_ place: Place, _ generator: inout SeededGenerator) throws {
        let site = place.site!
        guard place.role != .auditor, try site.read({ try $0.spaces() }).contains(.residents) else { return }
        let apart = guarded.records.union(erasable.records)
        let known = try site.read { try $0.records(WardSchema.resident, where: "1 ORDER BY id") }
            .filter { $0.space == .residents && !apart.contains($0.id) }
        let isDone: Bool
        if known.isEmpty || generator.chance(10) {
            let values = ["family_name": generator.pick(Self.names), "phone": "03-1234-5678"]
            isDone = try writeRegister(place, .create(values)) {
                _ = try site.addResident(values.map { "\($0)=\($1)" }.sorted())
            }
        } else {
            // Few records, so that edits meet.
            let row = generator.pick(Array(known.prefix(2)))
            let id = row.id.description
            let words = [
                ("family_name", generator.pick(Self.names)), ("address", "千代田区\(generator.below(9))番"),
                ("phone", "03-0000-000\(generator.below(10))"),
            ]
            switch generator.below(8) {
            case 0:
                isDone = try writeRegister(place, .life(row.id, isDeleted: true)) {
                    _ = try site.deleteResident(id, reason: "転出")
                }
            case 1:
                isDone = try writeRegister(place, .life(row.id, isDeleted: false)) {
                    _ = try site.reviveResident(id, reason: "誤り")
                }
            // Who is deleted is not edited.
            case _ where row.deleted: isDone = true
            default:
                let (field, value) = generator.pick(words)
                isDone = try writeRegister(place, .set(row.id, [field: value])) {
                    _ = try site.setResident(id, ["\(field)=\(value)"])
                }
            }
        }
        trace("resident \(place.name): \(isDone)")
    }

    private enum RegisterWrite {
        case create([String: String])
        case set(RecordID, [String: String])
        case life(RecordID, isDeleted: Bool)
    }

    /// Does something that writes to one resident, and tells the model what came of it.
    private func writeRegister(_ place: Place, _ write: RegisterWrite, _ body: () throws -> Void) throws -> Bool {
        func look() throws -> (dot: Dot, inEffect: VersionVector, records: Set<RecordID>) {
            try place.site!.read { transaction in
                (
                    Dot(try transaction.ownReplica()!, try transaction.ownSeq(in: .residents).seq),
                    try transaction.inEffect(.residents),
                    Set(try transaction.records(WardSchema.resident).map(\.id))
                )
            }
        }
        let before = try look()
        // Whoever edits what is being decided is sent to decide it.
        let isDone: Void? = try attempt([place], isExcused: { $0 == .tryAgain }, body)
        let after = try look()
        // The same value again is no change.
        guard after.dot != before.dot else { return isDone != nil }
        try noteWritten(after.dot, .residents, place.site!)
        switch write {
        case .create(let values):
            guard let id = after.records.subtracting(before.records).first else {
                throw failure("lost", "\(place.name): a new resident")
            }
            register.append(after.dot, id, values.mapValues { Array($0.utf8) }, seen: before.inEffect)
        case .set(let id, let values):
            register.append(after.dot, id, values.mapValues { Array($0.utf8) }, seen: before.inEffect)
        case .life(let id, let isDeleted):
            register.appendLife(after.dot, id, isDeleted: isDeleted, seen: before.inEffect)
        }
        return isDone != nil
    }

    func book(_ place: Place, _ generator: inout SeededGenerator) throws {
        let site = place.site!
        let lessons = try site.lessons()
        guard place.role != .auditor, !lessons.isEmpty else { return }
        let lesson = generator.pick(lessons)
        let bookings = try site.bookings(lesson: lesson.record.id.description)
        if !bookings.isEmpty, generator.chance(30) { return try cancel(place, generator.pick(bookings)) }
        try ask(place, lesson, generator.below(12))
    }

    private func resolve(_ place: Place, _ generator: inout SeededGenerator) throws {
        let site = place.site!
        guard place.role != .auditor else { return }
        let apart = guarded.records.union(erasable.records)
        let open = try site.cases(.conflict).filter { $0.space == .residents && apart.isDisjoint(with: $0.records) }
        guard !open.isEmpty else { return }
        let conflict = generator.pick(open)
        let choice = conflict.values[generator.below(conflict.values.count)]
        let values = choice.fields.compactMap { field, value in value.text.map { (field.name, $0.string) } }
        let write: RegisterWrite =
            conflict.group == nil
            ? .life(conflict.records[0], isDeleted: choice.deleted)
            : .set(conflict.records[0], Dictionary(uniqueKeysWithValues: values))
        let isDone = try writeRegister(place, write) {
            _ = try site.resolve(conflict.id, .take(choice.n), reason: "確認")
        }
        trace("resolve \(place.name) \(conflict.id): \(isDone)")
    }

    // MARK: - Exchanging

    private func exchange(_ place: Place, _ peer: Place, _ generator: inout SeededGenerator) throws {
        // An older disk that closes a retirement gives numbers again that others know.
        // The office alone closes retirements here.
        guard place !== peer, mayWrite(peer) && (peer === centre || !isAdmin(peer)) || !isEnding(place) else { return }
        // A machine and its copy do not take each other for a peer.
        guard place.device != peer.device || place.device == nil else { return }
        var weather = weather
        weather.dropsLarge = generator.chance(10)
        if generator.chance(40) { weather = .fair }
        _ = try exchange(place, peer, weather, &generator)
    }

    /// One sync; what it claims is held against the truth.
    @discardableResult
    func exchange(
        _ place: Place,
        _ peer: Place,
        _ weather: Weather,
        _ generator: inout SeededGenerator
    ) throws -> SyncReport? {
        let line = line(from: place, to: peer, weather, &generator)
        let isReachable = peer.hub != nil && !place.isCutOff && !peer.isCutOff
        let strikes = place.machine.disk.counts.sum + peer.machine.disk.counts.sum
        let former = [try proofs(place), try proofs(peer)]
        let said = [try place.site.map(Self.ownNumbers), try peer.site.map(Self.ownNumbers)]
        let (told, heard) = (try audience(place, peer), try audience(peer, place))
        let report = try attempt([place, peer]) { try place.site!.sync(with: line) }
        note(line)
        try noteRetirements(handingIn: heard.held)
        let isGone = try seeOff(place, held: heard.held)
        try checkSilence(heard, to: place, sent: line.traffic.received, of: line.traffic.sent)
        try checkSilence(told, to: peer, sent: report?.outcome.sent ?? 0, of: 0)
        if isGone {
            if peer.site != nil { try check(peer) }
            return report
        }
        guard let report else {
            trace("sync \(place.name) \(peer.name): -")
            return nil
        }
        trace("sync \(place.name) \(peer.name): \(report.outcome.sent) \(report.outcome.received) \(report.upToDate)")
        let isStruck = place.machine.disk.counts.sum + peer.machine.disk.counts.sum > strikes
        if let error = report.failure, isReachable, line.counts.sum == 0, !isStruck, place.isJoined, peer.isJoined {
            guard error.code == .notPermitted, try !areAcquainted(place, peer) else {
                throw failure("stuck", "\(place.name) with \(peer.name): \(error.message.en)")
            }
        }
        // Rights to seats move as changes arrive: whoever wrote of them since has more than was proved.
        let isStill = try said == [place.site.map(Self.ownNumbers), peer.site.map(Self.ownNumbers)]
        if isStill || report.failure == nil { try checkProof(report, place, peer) }
        if isStill { try checkProofTimes(report, place, peer, since: former) }
        // The peer has by now what was given a number a second time.
        if hasForks { try place.site?.read { try checkReplica(place, $0) } }
        if peer.site != nil { try check(peer) }
        return report
    }

    /// Whether two sites know of each other that they are of the ward.
    private func areAcquainted(_ a: Place, _ b: Place) throws -> Bool {
        guard let first = a.site, let second = b.site else { return false }
        return try first.read { try $0.currentAccess()?.isMember(second.keys.device) } == true
            && second.read { try $0.currentAccess()?.isMember(first.keys.device) } == true
    }

    private func deliverAstray(_ generator: inout SeededGenerator) throws {
        guard !astray.isEmpty else { return }
        let request = astray.remove(at: generator.below(astray.count))
        guard let hub = request.place.hub, request.path != "/v1/enrol" || mayWrite(request.place),
            request.place === centre || !isAdmin(request.place) || !isEnding(request.sender)
        else { return }
        let isDone: Void? = try attempt([request.place]) {
            let answer = hub.answer(path: request.path, body: request.body)
            while try answer.next() != nil {}
        }
        try noteRetirements()
        trace("astray \(request.place.name): \(isDone != nil)")
        if request.place.site != nil { try check(request.place) }
    }

    // MARK: - Machines

    private func reopen(_ place: Place, _ generator: inout SeededGenerator) throws {
        // Programs are updated one machine after another.
        if generator.chance(50) { place.isWide = true }
        trace("reopen \(place.name) \(place.isWide)")
        _ = try attempt([place]) {
            place.end()
            try place.open()
        }
    }

    private func losePower(_ place: Place, _ generator: inout SeededGenerator) throws {
        place.machine.disk.powerOff()
        if generator.chance(50) {
            try restart(place)
        } else {
            // It stays off for a while.
            place.end()
            place.machine.disk.powerOn()
            trace("off \(place.name)")
        }
    }

    private func jumpClock(_ place: Place, _ generator: inout SeededGenerator) {
        let day: UInt64 = 86_400_000
        summary.clockJumps += 1
        place.latest = max(place.latest, place.machine.now)
        switch generator.below(4) {
        case 0: place.machine.now += 3650 * day
        case 1: place.machine.now -= 3650 * day
        case 2: place.machine.now -= UInt64(generator.below(3_600_000))
        default:
            // One is away for more than a year.
            place.isCutOff = true
            passTime(400 * day, &generator)
        }
        trace("clock \(place.name)")
    }

    private func cutOff(_ place: Place, _ generator: inout SeededGenerator) {
        place.isCutOff.toggle()
        if generator.chance(50) { for other in places { other.isCutOff = false } }
        trace("line \(place.name) \(place.isCutOff)")
    }

    /// The writer without a right gets one: what it wrote before takes effect.
    func grant() throws {
        guard let reader = places.first(where: { $0.role == .auditor }), reader.isJoined, grantedAt == nil,
            mayWrite(centre), let site = centre.site, let device = reader.site?.keys.device
        else { return }
        let isDone = try attempt([centre]) {
            try site.write { transaction in
                try transaction.draft(.system, by: centre.person).create(
                    SystemSchema.grant,
                    [
                        (1, .text(device.description)), (2, .text(Role.branch.rawValue)), (3, .text("notes/*")),
                        (4, .text("write")),
                    ]
                )
            }
        }
        guard isDone != nil, let granted = centre.site else { return }
        grantedAt = try granted.read { try Dot($0.ownReplica()!, $0.ownSeq(in: .system).seq) }
        reader.scope.append("notes/*")
        rights.append(Right(device: device, scope: ["notes/*"], saidAt: grantedAt))
        trace("grant")
    }

    private func examine(_ place: Place) throws {
        guard let site = place.site else { return }
        _ = try attempt([place]) {
            let found = try site.read { try $0.verify() }
            let faults = found.log.faults + found.tables.faults + found.digests.faults
            if let fault = faults.first { throw failure("damaged", "\(place.name): \(fault.detail)") }
            let waiting = try site.read { try $0.checkWaiting() }
            if let fault = waiting.faults.first { throw failure("damaged", "\(place.name): \(fault.detail)") }
            let file = try site.store.checkFile()
            if let fault = file.faults.first { throw failure("damaged", "\(place.name): \(fault.detail)") }
        }
        trace("examine \(place.name)")
    }
}
