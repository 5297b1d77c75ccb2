// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// No more confirmations than rights, no more rights than seats, and nobody who was told to have one without.
extension WardSimulation {
    /// Looks at the seats of a place where something changed since the last look.
    func checkSeats(_ place: Place) throws {
        guard let site = place.site else { return }
        try site.read { transaction in
            let key = try seatKey(transaction)
            guard key != place.seatKey else { return }
            place.seatKey = key
            try checkSeats(transaction, place.name, key)
            try checkShown(place, transaction)
        }
    }

    /// What the seats of a view come from; empty where it has no lessons.
    private func seatKey(_ transaction: StoreTransaction) throws -> String {
        let spaces = try transaction.spaces().filter { $0.matches("lessons/*") }
        guard !spaces.isEmpty else { return "" }
        return try (spaces + [.system]).map { "\($0) \(Self.key(try transaction.inEffect($0)))" }
            .joined(separator: "; ")
    }

    /// Looks at the seats of a view; the same changes are the same seats everywhere.
    func checkSeats(_ transaction: StoreTransaction, _ name: String, _ key: String? = nil, isEnd: Bool = false) throws {
        let key = try key ?? seatKey(transaction)
        guard !key.isEmpty else { return }
        let bookings = Dictionary(grouping: try transaction.bookingViews(), by: \.lesson)
        var all: [String] = []
        for lesson in try transaction.lessonViews() {
            let rows = bookings[lesson.record.id] ?? []
            let seated = rows.filter { $0.status == "confirmed" }.map(\.record.id)
            let minted = lesson.rights.reduce(0) { $0 + $1.held }
            let code = lesson.code
            try checkOwner(lesson, name)
            try checkAuthors(lesson, transaction, name)
            guard minted <= seats.planned[code] ?? 0 else {
                throw failure("overbooked", "\(name): \(minted) rights to \(seats.planned[code] ?? 0) seats of \(code)")
            }
            guard Set(seated).count <= minted, lesson.confirmed <= minted else {
                throw failure("overbooked", "\(name): \(seated.count) on \(minted) rights to \(code)")
            }
            try checkPromises(lesson, rows, transaction, name, isEnd: isEnd)
            all += rows.map { "\($0.record.id) \($0.status) \($0.position ?? 0)" }
            all += lesson.rights.map { "\($0.device.short) \($0.held) \($0.free)" }
        }
        let state = all.sorted().joined(separator: ", ")
        guard !hasForks else { return }
        guard seatStates[key] ?? state == state else {
            throw failure("diverged", "\(name): seats \(state), elsewhere \(seatStates[key]!)")
        }
        seatStates[key] = state
    }

    /// Who was told to have a seat has it; who lost it without his doing waits before everybody else.
    private func checkPromises(
        _ lesson: LessonView,
        _ rows: [BookingView],
        _ transaction: StoreTransaction,
        _ name: String,
        isEnd: Bool
    ) throws {
        let space = lesson.record.space
        guard !forked.contains(space) else { return }
        let inEffect = try transaction.inEffect(space)
        // Who was told and has none.
        var without: [(row: BookingView, words: [SeatModel.Word])] = []
        for row in rows where !row.isLessonCancelled && row.status != "confirmed" {
            let words = seats.standing(row.record.id, in: inEffect)
            if !words.isEmpty { without.append((row, words)) }
        }
        for (row, words) in without {
            let what = "\(name): \(row.record.id), promised \(words.map(\.dot)), is \(row.status) \(row.position ?? 0)"
            let firm = try words.filter {
                try !isForfeit($0, row.record.id, lesson.code, transaction)
                    && (isEnd && $0.isFirm || !isShaken($0, lesson))
            }
            // Whoever gave up one of two bookings made at once had not seen the other.
            guard firm.allSatisfy({ seats.isCancelled(row.record.id, besides: $0, in: inEffect) }) else {
                throw failure("lost", what + (try ledger(of: lesson, transaction)))
            }
            guard !firm.isEmpty || isEnd else { continue }
            guard row.status == "waiting", let position = row.position, position <= without.count else {
                throw failure("lost", "\(what), of \(without.count) who come first")
            }
        }
    }

    /// Whether a seat was given behind the end of its holder, or of who planned it, or given up by one whose word does not
    /// count any more.
    private func isForfeit(
        _ promise: SeatModel.Word,
        _ booking: RecordID,
        _ code: String,
        _ transaction: StoreTransaction
    ) throws -> Bool {
        // What was asked for at a device whose work did not count for a while asks anew.
        let askers = try transaction.creators(of: WardSchema.booking, where: "id = ?", [.bytes(booking.bytes)]).keys
        if endings.contains(where: { $0.cut != nil && askers.contains($0.device) }) { return true }
        return try isCut(promise.dot, in: promise.space) || replaced.contains(promise.dot.replica)
            || seats.endings(booking, of: promise).contains {
                try isCut($0, in: promise.space)
                    && mayHaveHeard(promise.dot.replica.device, of: $0, in: promise.space, transaction)
            }
            || seats.plans[code, default: []].contains { isCut($0.dot, in: $0.space) }
    }

    /// Whether a holder may have taken a seat back because of a change: nobody else does that for it.
    ///
    /// - Parameter view: what is being looked at, which may be the holder's.
    private func mayHaveHeard(
        _ holder: DeviceID,
        of dot: Dot,
        in space: SpaceID,
        _ view: StoreTransaction
    ) throws -> Bool {
        guard let site = places.first(where: { $0.device == holder })?.site,
            !replaced.contains(where: { $0.device == holder })
        else { return true }
        let isOwn = try view.ownReplica()?.device == holder
        let vector = try isOwn ? view.vector(of: space) : site.read { try $0.vector(of: space) }
        return vector.contains { $0.replica == dot.replica && $0.seq >= dot.seq }
    }

    /// A seat is taken back by who gave it or who keeps the ledger, and only who was granted rights under that very name
    /// gives seats, and rights back.
    private func checkAuthors(_ lesson: LessonView, _ transaction: StoreTransaction, _ name: String) throws {
        // Of a lesson whose making does not count nobody knows here who kept it.
        guard !hasForks, !lesson.code.isEmpty,
            let row = try transaction.record(WardSchema.lesson, lesson.record.id)
        else { return }
        let entries = try transaction.items(
            of: WardSchema.lesson,
            groups: [WardSchema.lesson.field(named: "rights")!.group],
            where: "r.rid = ?",
            [.integer(row.rid)]
        ).compactMap { owned in LedgerEntry(owned.item.content).map { (author: owned.item.dot.replica, entry: $0) } }
        let uses = try transaction.items(
            of: WardSchema.booking,
            groups: [WardSchema.booking.field(named: "seat")!.group],
            where: "r.lesson = ?",
            [.text(lesson.record.id.description)]
        )
        for use in uses {
            guard case .release(let spend, _)? = SeatUse(use.item.content) else { continue }
            let author = use.item.dot.replica.device
            guard author != spend.replica.device else { continue }
            // What a lost owner reclaimed behind its end may not count any more.
            let isReclaimed = entries.contains { posted in
                if case .reclaim(spend.replica, _, _) = posted.entry { true } else { false }
            }
            guard mayKeep(lesson, author), isReclaimed || hasLostKeeper(lesson) else {
                throw failure("unauthorised", "\(name): \(author.short) took back what \(spend.replica) gave")
            }
        }
        // Nor what it granted.
        guard !hasLostKeeper(lesson) else { return }
        let named = entries.filter { mayKeep(lesson, $0.author.device) }.compactMap { posted in
            switch posted.entry {
            case .open, .succeed: posted.author
            case .grant(let replica, _), .pass(let replica): replica
            default: nil
            }
        }
        let givers =
            uses.filter { SeatUse($0.item.content) == .spend }.map(\.item.dot.replica)
            + entries.filter { if case .offer = $0.entry { true } else { false } }.map(\.author)
        if let stranger = Set(givers).subtracting(named).first {
            let what = "\(name): \(stranger) was granted nothing of \(lesson.code)"
            throw failure("unauthorised", what + (try ledger(of: lesson, transaction)))
        }
    }

    /// What stands in the ledger of a lesson and on its bookings, for whoever looks into a failure.
    private func ledger(of lesson: LessonView, _ transaction: StoreTransaction) throws -> String {
        guard let row = try transaction.record(WardSchema.lesson, lesson.record.id) else { return "" }
        func name(_ dot: Dot) -> String {
            "\(dot.replica.description.prefix(6))…\(dot.replica.description.suffix(4)) \(dot.seq)"
        }
        let entries = try transaction.items(
            of: WardSchema.lesson,
            groups: [WardSchema.lesson.field(named: "rights")!.group],
            where: "r.rid = ?",
            [.integer(row.rid)]
        ).map { "\($0.item.depth) \(name($0.item.dot)) \(LedgerEntry($0.item.content).map { "\($0)" } ?? "?")" }
        let uses = try transaction.items(
            of: WardSchema.booking,
            groups: [WardSchema.booking.field(named: "seat")!.group],
            where: "r.lesson = ?",
            [.text(lesson.record.id.description)]
        ).map { "\(name($0.item.dot)) \($0.id) \(SeatUse($0.item.content).map { "\($0)" } ?? "?")" }
        let ended = endings.map { "ended \($0)" } + replaced.map { "replaced \($0)" }
        return "\n  " + (["\(lesson.code)"] + entries + uses + ended).joined(separator: "\n  ")
    }

    private func hasLostKeeper(_ lesson: LessonView) -> Bool { endings.contains { mayKeep(lesson, $0.device) } }

    /// A ledger is kept by who made it, to whom it was passed, or an office.
    private func checkOwner(_ lesson: LessonView, _ name: String) throws {
        guard let device = lesson.owner?.device, !mayKeep(lesson, device) else { return }
        throw failure("unauthorised", "\(name): \(device.short) keeps the ledger of \(lesson.code)")
    }

    private func mayKeep(_ lesson: LessonView, _ device: DeviceID) -> Bool {
        seats.keepers[lesson.code]?.contains(device) == true || centre.device == device
            || recoveries.contains { $0.device == device }
    }

    /// Whether a seat may stand on a right that a lost owner granted behind its end: who follows it hears of that later.
    private func isShaken(_ promise: SeatModel.Word, _ lesson: LessonView) -> Bool {
        promise.seen.entries.contains {
            mayKeep(lesson, $0.key.device) && isCut(Dot($0.key, $0.value), in: promise.space)
        }
    }

    /// Who is shown to have a seat keeps it, told or not, while nobody gives it up and nobody's rights end.
    private func checkShown(_ place: Place, _ transaction: StoreTransaction) throws {
        let isCalm = endings.isEmpty && summary.restoredDisks == 0 && forked.isEmpty
        var shown: Set<RecordID> = []
        for row in try transaction.bookingViews() {
            let booking = row.record.id
            if row.status == "confirmed" || row.isLessonCancelled {
                if row.status == "confirmed" { shown.insert(booking) }
                continue
            }
            guard isCalm, place.shownSeats.contains(booking) else { continue }
            guard try seats.isCancelled(booking, in: transaction.inEffect(row.record.space)) else {
                throw failure("lost", "\(place.name): \(booking) had a seat and is \(row.status)")
            }
        }
        place.shownSeats = shown
    }

    // MARK: - In the end

    /// An office decides how many seats a lesson has where others differ on it.
    ///
    /// - Returns: whether there was anything to decide.
    func decideCapacities() throws -> Bool {
        guard let site = centre.site else { return false }
        let open = try site.read { transaction in
            try transaction.conflicts().filter {
                try transaction.recordName($0.rid)?.space.matches("lessons/*") == true
            }
        }
        for one in open { _ = try attempt([centre]) { try site.resolve(one.id, .take(1), reason: "確認") } }
        if !open.isEmpty { trace("capacities \(open.count)") }
        return !open.isEmpty
    }

    /// The lessons that sites differ on.
    ///
    /// The inbox is not asked: who looks into it is noted, where it tells of protected people.
    func contested(_ site: Site) throws -> Set<RecordID> {
        try site.read { transaction in
            Set(try transaction.conflicts().compactMap { try transaction.recordName($0.rid)?.id })
        }
    }

    /// Nobody waits for a free seat, and all see the same.
    func checkSeatsEnd(_ place: Place) throws {
        guard let site = place.site else { return }
        try site.read { try checkSeats($0, place.name, isEnd: true) }
        let contested = try contested(site)
        for lesson in try site.lessons() where !contested.contains(lesson.record.id) {
            guard lesson.waiting == 0 || lesson.confirmed >= lesson.capacity else {
                throw failure(
                    "waiting",
                    "\(place.name): \(lesson.waiting) wait for \(lesson.code), "
                        + "\(lesson.confirmed) of \(lesson.capacity) sit, "
                        + "\(lesson.rights.map { "\($0.device.short) \($0.held) \($0.free)" })"
                        + (try site.read { try ledger(of: lesson, $0) })
                )
            }
        }
    }
}

extension LessonView {
    var code: String { record.text("code")?.string ?? "" }

    /// The planned seats, as they are shown.
    var capacity: Int {
        guard case .integer(let number)? = record.fields.first(where: { $0.field.name == "capacity" })?.shown else {
            return 0
        }
        return Int(number)
    }
}
