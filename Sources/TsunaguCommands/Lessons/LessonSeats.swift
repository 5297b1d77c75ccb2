// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// The places in the schema that lessons and bookings are worked out from.
enum LessonGroups {
    static let rights = WardSchema.lesson.field(named: "rights")!.group
    static let capacity = WardSchema.lesson.field(named: "capacity")!
    static let lessonCode = WardSchema.lesson.field(named: "code")!.field
    static let lessonStatus = WardSchema.lesson.field(named: "status")!.group
    static let status = WardSchema.booking.field(named: "status")!.group
    static let machine = status.machine!
    static let seat = WardSchema.booking.field(named: "seat")!.group
    static let needs = WardSchema.booking.field(named: "needs")!.group
    static let notes = WardSchema.booking.field(named: "notes")!.group
}

/// The states of a booking's flow.
enum BookingState {
    static let requested: ExactText = "requested"
    static let promoted: ExactText = "promoted"
    static let offered: ExactText = "offered"
    static let cancelled: ExactText = "cancelled"
    static let attended: ExactText = "attended"
    static let noShow: ExactText = "no_show"
    static let walkIn: ExactText = "walk_in"
    /// Of a lesson that was cancelled and takes place after all.
    static let resumed: ExactText = "resumed"

    /// Somebody wants a seat.
    static let asks: Set<ExactText> = [requested, promoted, offered]
    /// Somebody was there.
    static let present: Set<ExactText> = [attended, walkIn]
    /// What is noted on the day.
    static let marks: Set<ExactText> = [attended, walkIn, noShow]
}

/// A lesson's seats: the ledger of its rights, and its bookings in the order in which they were asked for.
struct LessonSeats {
    /// What one booking has to do with seats.
    struct Booking {
        let id: RecordID
        let isDeleted: Bool
        /// The steps of its flow, in list order.
        fileprivate(set) var steps: [FlowStep] = []
        /// Where the flow stands.
        private(set) var flow = FlowState([], LessonGroups.machine)
        /// Spendings that stand, backed or not.
        fileprivate(set) var spends: [Dot] = []
        /// Those of them that were made for a request that stands: who gave a seat up and asks again, before its holder
        /// has heard of it, has none until somebody who knows gives him one.
        fileprivate(set) var serving: [Dot] = []
        /// The spending that it sits on: of several that are backed and serve it the lowest, which alone stays.
        fileprivate(set) var seat: Dot?
        /// Whether somebody was told to have a seat that is none any more, for no doing of his own: he waits at the head.
        ///
        /// Either it was given up for another one, and whoever ended that had not seen this one, or for a cancellation
        /// that does not count any more; or its holder is no more, and gave it behind its end; or a lost owner granted
        /// the right behind its own.
        fileprivate(set) var comesFirst = false
        /// The place of its request among others of one change: its entry there, and 0 where it is alone.
        var placeInChange = 0
        /// When it got the seat that it sits on, in Tokyo, or the lesson was to take place again after that.
        fileprivate(set) var seatedOn: Day?
        /// What it says of seats besides.
        fileprivate(set) var terms = Terms()

        init(id: RecordID, isDeleted: Bool) {
            self.id = id
            self.isDeleted = isDeleted
        }

        /// Works out where the flow stands, once its steps are there.
        fileprivate mutating func fold() { flow = FlowState(steps, LessonGroups.machine) }

        /// Whether somebody still wants to come, came, or should have.
        var isActive: Bool { !isDeleted && flow.state != BookingState.cancelled }

        /// The last day to answer where a seat is offered: two days at least are left from when it was there.
        var answerBy: Day? {
            guard isActive, flow.state == BookingState.offered, let last = terms.answerBy else { return nil }
            return max(last, seatedOn?.adding(Self.answerDays) ?? last)
        }

        private static let answerDays = 2

        /// Why it was cancelled, where it is.
        var cancelReason: ExactText? {
            guard flow.state == BookingState.cancelled else { return nil }
            return steps.last { $0.transition.to == BookingState.cancelled }?.transition.reason
        }

        /// Whether a seat is his to keep: helpers and companions who only look on have none.
        var wantsSeat: Bool { isActive && terms.usesSeat }

        /// The first of the requests that nobody ended: it orders the queue.
        ///
        /// A request's depth is 1 + the greatest that its author saw in the lesson, so that nobody comes before those
        /// whom the clerk saw waiting, whatever the clocks say. Who was marked on the day asks for nothing any more.
        var request: FlowStep? {
            guard BookingState.asks.contains(flow.state) else { return nil }
            return flow.open.filter { BookingState.asks.contains($0.transition.to) }.min(by: Self.comes)
        }

        /// Whether a person said that this one comes before those who asked earlier.
        var isPromoted: Bool {
            flow.open.contains { $0.transition.to == BookingState.promoted || $0.transition.to == BookingState.offered }
        }

        /// Whether seats may be kept for it: a person put it first, and where a seat is only offered the day to answer is
        /// not over.
        func isWaitedFor(on today: Day?) -> Bool {
            guard let today, flow.state == BookingState.offered, let last = terms.answerBy else { return isPromoted }
            return today <= last
        }

        /// Whether a spending was made for a request that stands.
        fileprivate func isServed(by spend: Dot, _ knew: (Dot, Dot) throws -> Bool) rethrows -> Bool {
            guard isActive else { return false }
            // Where nobody ever gave it up there is nothing else that it can be for.
            guard steps.contains(where: { $0.transition.to == BookingState.cancelled }),
                !Mutant.oldSeatsServeAgain.isPlanted
            else { return true }
            let cancels = steps.filter { $0.transition.to == BookingState.cancelled }.compactMap(\.dot)
            return try asksNotGivenUp.contains { step in
                guard let dot = step.dot else { return false }
                if try dot == spend || knew(spend, dot) { return true }
                // Who asked at a second counter was told there of this seat, unless that knew that it had been given up.
                return try knew(dot, spend) && !cancels.contains { try knew(dot, $0) && !knew(spend, $0) }
            }
        }

        /// Where somebody asked and neither that nor what followed on it was called off.
        private var asksNotGivenUp: [FlowStep] {
            var givenUp: Set<Dot> = []
            var out: [FlowStep] = []
            // What answers a step stands behind it.
            for step in steps.reversed() {
                let isGivenUp =
                    step.transition.to == BookingState.cancelled || step.dot.map(givenUp.contains) == true
                if isGivenUp { givenUp.formUnion(step.transition.answers) }
                if !isGivenUp, BookingState.asks.contains(step.transition.to) { out.append(step) }
            }
            return out
        }

        /// Whether a request that this device wrote stands.
        func isRequested(by device: DeviceID) -> Bool {
            flow.open.contains {
                BookingState.asks.contains($0.transition.to) && $0.dot?.replica.device == device
            }
        }

        /// Whether somebody cancelled who had not seen a request that stands: both were meant, and a person asks.
        var isContradicted: Bool {
            let ends = Set(flow.open.map(\.transition.to))
            return ends.contains(BookingState.cancelled) && !ends.isDisjoint(with: BookingState.asks)
                && !BookingState.marks.contains(flow.state)
        }

        /// Whether somebody was there who had cancelled, as far as nobody looked into it.
        var cameThoughCancelled: Bool {
            BookingState.present.contains(flow.state)
                && flow.open.contains {
                    $0.transition.to == BookingState.cancelled
                        || BookingState.present.contains($0.transition.to)
                            && $0.transition.from == BookingState.cancelled
                }
        }

        /// Whether somebody noted that he was there, and another, who had not seen that, that he was not.
        var isMarkedApart: Bool {
            let ends = Set(flow.open.map(\.transition.to))
            return !isDeleted && ends.contains(BookingState.noShow) && !ends.isDisjoint(with: BookingState.present)
        }

        /// Whether somebody asked for a seat before he was there.
        fileprivate var hadAsked: Bool { steps.contains { BookingState.asks.contains($0.transition.to) } }

        static func comes(_ a: FlowStep, before b: FlowStep) -> Bool {
            if a.depth != b.depth { return a.depth < b.depth }
            if a.timestamp != b.timestamp { return a.timestamp < b.timestamp }
            guard let first = a.dot, let second = b.dot else { return a.dot != nil && b.dot == nil }
            return first < second
        }
    }

    /// What a booking says of seats besides its flow.
    struct Terms {
        /// The first booking of a group who come together or not at all; `nil` for one alone.
        var party: RecordID?
        var usesSeat = true
        /// The last day to answer where a seat is offered.
        var answerBy: Day?
    }

    let lesson: RecordID
    /// The lesson does not take place: nobody has a seat or waits for one, so nobody moves up.
    let isCancelled: Bool
    private(set) var ledger: SeatLedger
    let lineage: (ReplicaID) -> [ReplicaID]
    private(set) var bookings: [Booking]

    /// Who wrote that it takes part when it knew that the owner had followed one that was no more.
    private(set) var acknowledged: Set<ReplicaID> = []
    /// Bookings without a seat that want one, in order.
    private(set) var waiting: [RecordID] = []

    /// - Parameters:
    ///   - resumedOn: when somebody last said that the lesson takes place after all.
    ///   - lineage: of an author what `SeatLedger` asks for.
    ///   - maySucceed: likewise of devices.
    ///   - knew: whether the author of the first change had seen the second, or it is the same.
    init(
        lesson: RecordID,
        isCancelled: Bool = false,
        resumedOn: Day? = nil,
        rights: [OwnedItem],
        bookingItems: [OwnedItem],
        terms: [RecordID: Terms] = [:],
        lineage: @escaping (ReplicaID) -> [ReplicaID] = { [$0] },
        maySucceed: (DeviceID, DeviceID) -> Bool = { _, _ in false },
        knew: (Dot, Dot) throws -> Bool = { _, _ in true }
    ) rethrows {
        self.lesson = lesson
        self.lineage = lineage
        self.isCancelled = isCancelled
        let posted = rights.compactMap { owned in
            LedgerEntry(owned.item.content).map {
                SeatLedger.Posted(
                    dot: owned.item.dot,
                    index: owned.item.index,
                    timestamp: owned.item.timestamp,
                    depth: owned.item.depth,
                    entry: $0
                )
            }
        }
        var uses: [SeatLedger.Used] = []
        var days: [Dot: Day] = [:]
        bookings = []
        for owned in bookingItems {
            if bookings.last?.id != owned.id { bookings.append(Booking(id: owned.id, isDeleted: owned.deleted)) }
            let place = bookings.count - 1
            let item = owned.item
            if owned.group == LessonGroups.status.number, let transition = Transition(item.content) {
                let step = FlowStep(
                    dot: item.dot,
                    place: item.index,
                    depth: item.depth,
                    timestamp: item.timestamp,
                    transition: transition
                )
                bookings[place].steps.append(step)
            } else if owned.group == LessonGroups.seat.number, let use = SeatUse(item.content) {
                uses.append(SeatLedger.Used(dot: item.dot, booking: owned.id, use: use))
                if terms[owned.id]?.answerBy != nil { days[item.dot] = Day(tokyo: item.timestamp.milliseconds) }
            }
        }
        for place in bookings.indices {
            bookings[place].fold()
            bookings[place].terms = terms[bookings[place].id] ?? Terms()
        }
        if Mutant.releasesAreInferred.isPlanted {
            let active = Set(bookings.filter(\.isActive).map(\.id))
            uses.removeAll { $0.use == .spend && !active.contains($0.booking) }
        }
        ledger = SeatLedger(ledger: posted, uses: uses, lineage: lineage, maySucceed: maySucceed)
        if let succession = ledger.succeeded?.dot {
            acknowledged = try Set(ledger.joined.filter { try knew($0.value.dot, succession) }.keys)
        }
        let places = Dictionary(uniqueKeysWithValues: bookings.enumerated().map { ($1.id, $0) })
        for used in ledger.backed.values.joined() {
            guard let place = places[used.booking] else { continue }
            bookings[place].spends.append(used.dot)
            guard try bookings[place].isServed(by: used.dot, knew) else { continue }
            bookings[place].serving.append(used.dot)
            bookings[place].seat = min(bookings[place].seat ?? used.dot, used.dot)
            bookings[place].seatedOn = bookings[place].seat.flatMap { days[$0] }.map { max($0, resumedOn ?? $0) }
        }
        for used in ledger.unbacked {
            guard let place = places[used.booking] else { continue }
            bookings[place].spends.append(used.dot)
            guard try bookings[place].isServed(by: used.dot, knew) else { continue }
            bookings[place].serving.append(used.dot)
            if ledger.succeeded != nil || ledger.ended[lineage(used.dot.replica)[0]] != nil {
                bookings[place].comesFirst = true
            }
        }
        for used in uses {
            guard case .release(let dot, _) = used.use, let place = places[used.booking],
                try bookings[place].isServed(by: dot, knew)
            else { continue }
            bookings[place].comesFirst = true
        }
        queue()
    }

    private mutating func queue() {
        if isCancelled { return }
        let waiting = bookings.filter { $0.request != nil && $0.wantsSeat && $0.seat == nil }
            .sorted { Self.comes($0, before: $1) }
        func rank(_ booking: Booking) -> Int {
            if booking.comesFirst, !Mutant.headIsForgotten.isPlanted { return 0 }
            return booking.isPromoted ? 1 : 2
        }
        self.waiting = (0...2).flatMap { place in waiting.filter { rank($0) == place } }.map(\.id)
    }

    private static func comes(_ a: Booking, before b: Booking) -> Bool {
        guard let first = a.request, let second = b.request else {
            return a.request != nil || b.request == nil && a.id < b.id
        }
        if Booking.comes(first, before: second) { return true }
        if Booking.comes(second, before: first) { return false }
        return (a.placeInChange, a.id) < (b.placeInChange, b.id)
    }

    /// The greatest depth of a request here: the next stands one deeper.
    var depth: UInt64 { bookings.flatMap(\.steps).map(\.depth).filter { $0 < .max }.max() ?? 0 }

    /// The status and the place in the queue of a booking, from 1.
    func status(of id: RecordID) -> (status: String, position: Int?) {
        guard let booking = bookings.first(where: { $0.id == id }) else { return ("", nil) }
        return status(of: booking)
    }

    private func status(of booking: Booking) -> (status: String, position: Int?) {
        let state = booking.flow.state
        let hasSeat = booking.seat != nil
        if !booking.isDeleted, BookingState.marks.contains(state) {
            // Taken in at the door while somebody else gave him the seat that he had asked for.
            let wasExpected = state == BookingState.walkIn && hasSeat && booking.hadAsked
            return (wasExpected ? "attended" : state.string, nil)
        }
        if isCancelled || !booking.isActive { return ("cancelled", nil) }
        guard booking.request != nil else { return (state.string, nil) }
        if hasSeat { return (state == BookingState.offered ? "offered" : "confirmed", nil) }
        if !booking.terms.usesSeat { return ("confirmed", nil) }
        return ("waiting", waiting.firstIndex(of: booking.id).map { $0 + 1 })
    }

    /// Whether somebody asked for a seat or was there: a walk-in that was noted in error and taken back is nobody's.
    func wasMeant(_ id: RecordID) -> Bool {
        guard let booking = bookings.first(where: { $0.id == id }) else { return false }
        return booking.hadAsked || BookingState.marks.contains(booking.flow.state)
    }

    /// How many bookings there are of each status, in the order of a day; helpers and others without a seat apart.
    var counts: [(status: String, count: Int)] {
        var out: [String: Int] = [:]
        for booking in bookings {
            guard booking.terms.usesSeat else {
                if booking.isActive { out["without_seat", default: 0] += 1 }
                continue
            }
            out[status(of: booking).status, default: 0] += 1
            let isPresent = booking.isActive && BookingState.present.contains(booking.flow.state)
            if isPresent, booking.seat == nil { out["beyond", default: 0] += 1 }
        }
        return Self.countNames.map { ($0, out[$0] ?? 0) }
    }

    private static let countNames = [
        "waiting", "offered", "confirmed", "attended", "no_show", "walk_in", "cancelled", "beyond", "without_seat",
    ]

    /// Who of a lesson that does not take place was there all the same, and who else was there who had cancelled.
    var cameThoughCancelled: [RecordID] {
        bookings.filter { booking in
            !booking.isDeleted
                && (booking.cameThoughCancelled || isCancelled && BookingState.present.contains(booking.flow.state))
        }.map(\.id).sorted()
    }

    /// Who is next, as many as there are rights: in order, and of a group all who wait or, for now, nobody.
    func next(_ free: Int, besides seated: Set<RecordID> = [], on today: Day?) -> [RecordID] {
        filled(free, besides: seated, on: today).people
    }

    /// Who sits on so many rights.
    ///
    /// A group that does not fit lets others pass, unless a person put it before them: then what is free is kept until
    /// it does, as long as there are seats enough in all and its day to answer is not over.
    ///
    /// - Returns: who is next, and the group for which the rest is kept.
    func filled(
        _ free: Int,
        besides seated: Set<RecordID> = [],
        on today: Day?
    ) -> (people: [RecordID], waitedFor: [RecordID]) {
        let open = waiting.filter { !seated.contains($0) }
        let (parties, promoted) = (parties, Set(bookings.filter { $0.isWaitedFor(on: today) }.map(\.id)))
        var out: [RecordID] = []
        var seen: Set<RecordID> = []
        for id in open where out.count < free && !seen.contains(id) {
            let together = parties[id].map { party in open.filter { parties[$0] == party } } ?? [id]
            seen.formUnion(together)
            if out.count + together.count <= free {
                out += together
            } else if together.count <= ledger.minted, together.contains(where: promoted.contains) {
                return (out, together)
            }
        }
        return (out, [])
    }

    /// The group of each booking that belongs to one.
    private var parties: [RecordID: RecordID] {
        Dictionary(
            bookings.compactMap { booking in booking.terms.party.map { (booking.id, $0) } },
            uniquingKeysWith: { first, _ in first }
        )
    }

    /// A booking with those that come together with it, in the order in which they were asked for.
    func group(of id: RecordID) -> [Booking] {
        let parties = parties
        return inOrder.filter { $0.id == id || parties[id] != nil && parties[$0.id] == parties[id] }
    }

    /// All bookings in the order in which they were asked for.
    var inOrder: [Booking] { bookings.sorted { Self.comes($0, before: $1) } }

    /// How many seats are somebody's, whether he was there yet or not.
    var confirmedCount: Int { isCancelled ? 0 : bookings.count { $0.isActive && $0.seat != nil } }

    /// Who is confirmed beyond a capacity that was lowered afterwards, the last who asked first out.
    func peopleBeyond(_ planned: Int?) -> [RecordID] {
        let seated = inOrder.filter { $0.isActive && $0.seat != nil }
        guard let planned, seated.count > planned else { return [] }
        return seated.dropFirst(planned).map(\.id).sorted()
    }

    // MARK: - What a command is about to write

    /// Counts a request in that is still to be written.
    mutating func request(_ id: RecordID, _ terms: Terms? = nil) { add(BookingState.requested, id, terms) }

    /// Counts a cancellation in that is still to be written.
    mutating func cancel(_ id: RecordID) { add(BookingState.cancelled, id) }

    private mutating func add(_ state: ExactText, _ id: RecordID, _ terms: Terms? = nil) {
        let place = bookings.firstIndex { $0.id == id } ?? bookings.count
        if place == bookings.count { bookings.append(Booking(id: id, isDeleted: false)) }
        if let terms { bookings[place].terms = terms }
        guard let transition = bookings[place].flow.step(to: state) else { return }
        let step = FlowStep(
            dot: nil,
            place: bookings[place].steps.count,
            depth: depth + 1,
            timestamp: Timestamp(raw: .max),
            transition: transition
        )
        bookings[place].steps.append(step)
        bookings[place].fold()
        // Whatever it had was for a request that has ended.
        if !Mutant.oldSeatsServeAgain.isPlanted { (bookings[place].serving, bookings[place].seat) = ([], nil) }
        queue()
    }

    /// Orders requests of one change by their place in it.
    mutating func setPlaces(_ place: (RecordID, Dot) throws -> Int?) rethrows {
        let changes = bookings.compactMap(\.request?.dot)
        guard Set(changes).count < changes.count else { return }
        var seen: [Dot: Int] = [:]
        for dot in changes { seen[dot, default: 0] += 1 }
        for index in bookings.indices {
            guard let dot = bookings[index].request?.dot, seen[dot]! > 1 else { continue }
            bookings[index].placeInChange = try place(bookings[index].id, dot) ?? .max
        }
        queue()
    }
}

extension StoreTransaction {
    /// The seats of one lesson.
    func seats(of lesson: StoredRecord) throws -> LessonSeats {
        var rights = try items(
            of: WardSchema.lesson,
            groups: [LessonGroups.rights],
            where: "r.rid = ?",
            [.integer(lesson.rid)]
        )
        var items = try items(
            of: WardSchema.booking,
            groups: [LessonGroups.status, LessonGroups.seat],
            where: "r.lesson = ? AND r.space = (SELECT no FROM space WHERE name = ?)",
            [.text(lesson.id.description), .text(lesson.space.name)]
        )
        // Whoever made the lesson opened its ledger in the same change; a later opening by anybody else is none.
        rights = try rights.filter { right in
            guard LedgerEntry(right.item.content) == .open else { return true }
            return try isCreation(of: lesson.id, WardSchema.lesson, in: right.item.dot, lesson.space)
        }
        var lineages: [ReplicaID: [ReplicaID]] = [:]
        if try !forks(in: lesson.space).isEmpty {
            for replica in Set((rights + items).map(\.item.dot.replica)) {
                lineages[replica] = try lineage(of: replica, in: lesson.space)
            }
            rights = try rights.flatMap { try $0.naming { try changes(named: $0, by: $1, in: lesson.space) } }
            items = try items.flatMap { try $0.naming { try changes(named: $0, by: $1, in: lesson.space) } }
        }
        if Mutant.rightsAreInherited.isPlanted {
            for (_, names) in Dictionary(grouping: Set((rights + items).map(\.item.dot.replica)), by: \.device) {
                for name in names { lineages[name] = [names.min()!, name] }
            }
        }
        let access = try currentAccess()
        var seats = try LessonSeats(
            lesson: lesson.id,
            isCancelled: lesson.isCancelledLesson,
            resumedOn: try resumedOn(lesson),
            rights: rights,
            bookingItems: items,
            terms: try terms(of: lesson),
            lineage: { lineages[$0] ?? [$0] },
            maySucceed: { access?.successor(of: $1) == $0 || Mutant.everybodySucceeds.isPlanted },
            knew: { try causes(of: $0, in: lesson.space)?.covers($1) ?? false }
        )
        try seats.setPlaces { try place(of: $0, WardSchema.booking, in: $1, lesson.space) }
        return seats
    }

    /// When somebody last said that a lesson takes place after all.
    private func resumedOn(_ lesson: StoredRecord) throws -> Day? {
        guard lesson.values["status"]?.text == BookingState.resumed else { return nil }
        return try items(of: lesson.rid, group: LessonGroups.lessonStatus)
            .filter { Transition($0.content)?.to == BookingState.resumed }
            .map { Day(tokyo: $0.timestamp.milliseconds) }.max()
    }

    /// What the few bookings say that come together, use no seat or are to answer.
    private func terms(of lesson: StoredRecord) throws -> [RecordID: LessonSeats.Terms] {
        let rows = try records(
            WardSchema.booking,
            where: """
                lesson = ? AND space = (SELECT no FROM space WHERE name = ?)
                AND (party IS NOT NULL OR counts IS NOT NULL OR answer_by IS NOT NULL)
                """,
            [.text(lesson.id.description), .text(lesson.space.name)]
        )
        let terms = rows.map { row in
            let terms = LessonSeats.Terms(
                party: row.text("party").flatMap { RecordID(hex: $0) },
                usesSeat: row.usesSeat,
                answerBy: row.day("answer_by")
            )
            return (row.id, terms)
        }
        return Dictionary(terms, uniquingKeysWith: { first, _ in first })
    }

    /// The capacity that everybody agrees on; `nil` while it is a conflict, or what no capacity can be: values from
    /// elsewhere were not checked by this site's commands.
    func plannedCapacity(_ lesson: StoredRecord) throws -> Int? {
        let isContested = try conflicts(rid: lesson.rid).contains {
            $0.group?.number == LessonGroups.capacity.group.number
        }
        guard !isContested, let planned = lesson.integer("capacity"), 0...1000 ~= planned else { return nil }
        return Int(planned)
    }
}

extension StoredRecord {
    /// Whether a lesson does not take place.
    var isCancelledLesson: Bool { values["status"]?.text == BookingState.cancelled }

    /// Whether a booking needs a seat, as all do of which nobody said that they do not.
    var usesSeat: Bool { integer("counts") != 0 }
}

extension OwnedItem {
    /// The same with the changes that it names by the names they go by now: once for each that it means.
    fileprivate func naming(_ changes: (Dot, ReplicaID) throws -> [Dot]) rethrows -> [OwnedItem] {
        let contents: [[UInt8]]
        if group == LessonGroups.status.number, var transition = Transition(item.content) {
            transition.answers = try transition.answers.flatMap { try changes($0, item.dot.replica) }
            contents = [transition.encoded]
        } else if group == LessonGroups.seat.number, case .release(let dot, let survivor)? = SeatUse(item.content) {
            contents = try changes(dot, item.dot.replica).map { SeatUse.release($0, for: survivor).encoded }
        } else if group == LessonGroups.rights.number,
            case .takeBack(let offer, let amount)? = LedgerEntry(item.content)
        {
            contents = try changes(offer, item.dot.replica).map { LedgerEntry.takeBack($0, amount).encoded }
        } else {
            return [self]
        }
        return contents.map { content in
            var out = self
            out.item.content = content
            return out
        }
    }
}
