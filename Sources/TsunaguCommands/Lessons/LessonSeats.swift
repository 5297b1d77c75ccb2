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
    static let cancelled: ExactText = "cancelled"
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
        /// The spending that it sits on: of several that are backed the lowest, which alone stays.
        fileprivate(set) var seat: Dot?
        /// Whether somebody was told to have a seat that is none any more, for no doing of his own: he waits at the head.
        ///
        /// Either it was given up for another one, and whoever ended that had not seen this one; or its holder is no
        /// more, and gave it behind its end.
        fileprivate(set) var comesFirst = false
        /// The place of its request among others of one change: its entry there, and 0 where it is alone.
        var placeInChange = 0

        init(id: RecordID, isDeleted: Bool) {
            self.id = id
            self.isDeleted = isDeleted
        }

        /// Works out where the flow stands, once its steps are there.
        fileprivate mutating func fold() { flow = FlowState(steps, LessonGroups.machine) }

        /// Whether somebody still wants the seat.
        var isActive: Bool { !isDeleted && flow.state != BookingState.cancelled }

        /// The first of the requests that nobody ended: it orders the queue.
        ///
        /// A request's depth is 1 + the greatest that its author saw in the lesson, so that nobody comes before those
        /// whom the clerk saw waiting, whatever the clocks say.
        var request: FlowStep? {
            flow.standing.filter { $0.transition.to == BookingState.requested }.min(by: Self.comes)
        }

        /// Whether somebody cancelled who had not seen a request that stands: both were meant, and a person asks.
        var isContradicted: Bool { Set(flow.open.map(\.transition.to)).count > 1 }

        static func comes(_ a: FlowStep, before b: FlowStep) -> Bool {
            if a.depth != b.depth { return a.depth < b.depth }
            if a.timestamp != b.timestamp { return a.timestamp < b.timestamp }
            guard let first = a.dot, let second = b.dot else { return a.dot != nil && b.dot == nil }
            return first < second
        }
    }

    let lesson: RecordID
    /// The lesson does not take place: nobody has a seat or waits for one, so nobody moves up.
    let isCancelled: Bool
    private(set) var ledger: SeatLedger
    let lineage: (ReplicaID) -> [ReplicaID]
    private(set) var bookings: [Booking]

    /// Bookings without a seat that want one, in order.
    private(set) var waiting: [RecordID] = []

    /// - Parameters:
    ///   - lineage: of an author what `SeatLedger` asks for.
    ///   - maySucceed: likewise of devices.
    init(
        lesson: RecordID,
        isCancelled: Bool = false,
        rights: [OwnedItem],
        bookingItems: [OwnedItem],
        lineage: @escaping (ReplicaID) -> [ReplicaID] = { [$0] },
        maySucceed: (DeviceID, DeviceID) -> Bool = { _, _ in false }
    ) {
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
                if case .release(_, for: _?) = use { bookings[place].comesFirst = true }
            }
        }
        for place in bookings.indices { bookings[place].fold() }
        ledger = SeatLedger(ledger: posted, uses: uses, lineage: lineage, maySucceed: maySucceed)
        let places = Dictionary(uniqueKeysWithValues: bookings.enumerated().map { ($1.id, $0) })
        for used in ledger.backed.values.joined() {
            guard let place = places[used.booking] else { continue }
            bookings[place].spends.append(used.dot)
            bookings[place].seat = min(bookings[place].seat ?? used.dot, used.dot)
        }
        for used in ledger.unbacked {
            guard let place = places[used.booking] else { continue }
            bookings[place].spends.append(used.dot)
            if ledger.ended[lineage(used.dot.replica)[0]] != nil { bookings[place].comesFirst = true }
        }
        queue()
    }

    private mutating func queue() {
        if isCancelled { return }
        let confirmed = ledger.confirmed
        let waiting = bookings.filter { $0.request != nil && $0.isActive && !confirmed.contains($0.id) }
            .sorted { Self.comes($0, before: $1) }
        self.waiting = (waiting.filter(\.comesFirst) + waiting.filter { !$0.comesFirst }).map(\.id)
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
        if isCancelled || !booking.isActive { return ("cancelled", nil) }
        guard booking.request != nil else { return (booking.flow.state.string, nil) }
        if ledger.confirmed.contains(id) { return ("confirmed", nil) }
        return ("waiting", waiting.firstIndex(of: id).map { $0 + 1 })
    }

    /// All bookings in the order in which they were asked for.
    var inOrder: [Booking] { bookings.sorted { Self.comes($0, before: $1) } }

    var confirmedCount: Int { isCancelled ? 0 : bookings.count { $0.isActive && ledger.confirmed.contains($0.id) } }

    /// Who is confirmed beyond a capacity that was lowered afterwards, the last who asked first out.
    func peopleBeyond(_ planned: Int?) -> [RecordID] {
        let seated = inOrder.filter { $0.isActive && ledger.confirmed.contains($0.id) }
        guard let planned, seated.count > planned else { return [] }
        return seated.dropFirst(planned).map(\.id).sorted()
    }

    // MARK: - What a command is about to write

    /// Counts a request in that is still to be written.
    mutating func request(_ id: RecordID) { add(BookingState.requested, id) }

    /// Counts a cancellation in that is still to be written.
    mutating func cancel(_ id: RecordID) { add(BookingState.cancelled, id) }

    private mutating func add(_ state: ExactText, _ id: RecordID) {
        let place = bookings.firstIndex { $0.id == id } ?? bookings.count
        if place == bookings.count { bookings.append(Booking(id: id, isDeleted: false)) }
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
        let rights = try items(
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
        let own = try rights.filter { right in
            guard LedgerEntry(right.item.content) == .open else { return true }
            return try isCreation(of: lesson.id, WardSchema.lesson, in: right.item.dot, lesson.space)
        }
        var lineages: [ReplicaID: [ReplicaID]] = [:]
        if try !forks(in: lesson.space).isEmpty {
            for replica in Set((rights + items).map(\.item.dot.replica)) {
                lineages[replica] = try lineage(of: replica, in: lesson.space)
            }
            items = try items.map { try $0.naming { try changes(named: $0, by: $1, in: lesson.space) } }
        }
        let access = try currentAccess()
        var seats = LessonSeats(
            lesson: lesson.id,
            isCancelled: lesson.isCancelledLesson,
            rights: own,
            bookingItems: items,
            lineage: { lineages[$0] ?? [$0] },
            maySucceed: { access?.successor(of: $1) == $0 }
        )
        try seats.setPlaces { try place(of: $0, WardSchema.booking, in: $1, lesson.space) }
        return seats
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
}

extension OwnedItem {
    /// The same with the changes that it names by the names they go by now.
    fileprivate func naming(_ changes: (Dot, ReplicaID) throws -> [Dot]) rethrows -> OwnedItem {
        var out = self
        if group == LessonGroups.status.number, var transition = Transition(item.content) {
            transition.answers = try transition.answers.flatMap { try changes($0, item.dot.replica) }
            out.item.content = transition.encoded
        } else if group == LessonGroups.seat.number, case .release(let dot, let survivor)? = SeatUse(item.content),
            let meant = try changes(dot, item.dot.replica).first
        {
            out.item.content = SeatUse.release(meant, for: survivor).encoded
        }
        return out
    }
}
