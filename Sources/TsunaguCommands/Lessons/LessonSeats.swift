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
    static let bookingLesson = WardSchema.booking.field(named: "lesson")!.field
    static let status = WardSchema.booking.field(named: "status")!.group
    static let seat = WardSchema.booking.field(named: "seat")!.group
    static let needs = WardSchema.booking.field(named: "needs")!.group
}

/// The states of a booking's flow that this version writes; newer ones pass through as they are.
enum BookingState {
    static let requested: ExactText = "requested"
    static let cancelled: ExactText = "cancelled"
}

/// A lesson's seats: the ledger of its rights, and its bookings in the order in which they were asked for.
struct LessonSeats {
    /// What one booking has to do with seats.
    struct Booking {
        let id: RecordID
        /// Where the flow stands.
        var state: ExactText
        /// When the standing request was made: this, the change, and the place in it order the queue.
        var requestedAt: Timestamp
        var requestedIn: Dot?
        var place = 0
        /// Spendings that their holder has not taken back.
        var spends: [Dot]
        let isDeleted: Bool

        /// Whether somebody still wants the seat.
        var isActive: Bool { !isDeleted && state != BookingState.cancelled }
    }

    let lesson: RecordID
    private(set) var ledger: SeatLedger
    private(set) var bookings: [Booking]

    /// Bookings without a seat that want one, in order.
    private(set) var waiting: [RecordID] = []

    init(lesson: RecordID, rights: [OwnedItem], bookingItems: [OwnedItem]) {
        self.lesson = lesson
        let posted = rights.compactMap { owned in
            LedgerEntry(owned.item.content).map {
                SeatLedger.Posted(
                    dot: owned.item.dot,
                    timestamp: owned.item.timestamp,
                    depth: owned.item.depth,
                    entry: $0
                )
            }
        }
        var uses: [SeatLedger.Used] = []
        bookings = []
        for owned in bookingItems {
            if bookings.last?.id != owned.id {
                bookings.append(
                    Booking(
                        id: owned.id,
                        state: "",
                        requestedAt: Timestamp(raw: 0),
                        requestedIn: nil,
                        spends: [],
                        isDeleted: owned.deleted
                    )
                )
            }
            let place = bookings.count - 1
            if owned.group == LessonGroups.status.number, let step = Transition(owned.item.content) {
                bookings[place].state = step.to
                if step.to == BookingState.requested {
                    bookings[place].requestedAt = owned.item.timestamp
                    bookings[place].requestedIn = owned.item.dot
                }
            } else if owned.group == LessonGroups.seat.number, let use = SeatUse(owned.item.content) {
                uses.append(SeatLedger.Used(dot: owned.item.dot, booking: owned.id, use: use))
                switch use {
                case .spend: bookings[place].spends.append(owned.item.dot)
                case .release(let dot) where dot.replica == owned.item.dot.replica:
                    bookings[place].spends.removeAll { $0 == dot }
                case .release: break
                }
            }
        }
        ledger = SeatLedger(ledger: posted, uses: uses)
        queue()
    }

    private mutating func queue() {
        let confirmed = ledger.confirmed
        waiting = bookings.filter { $0.state == BookingState.requested && $0.isActive && !confirmed.contains($0.id) }
            .sorted { Self.comes($0, before: $1) }.map(\.id)
    }

    private static func comes(_ a: Booking, before b: Booking) -> Bool {
        if a.requestedAt != b.requestedAt { return a.requestedAt < b.requestedAt }
        switch (a.requestedIn, b.requestedIn) {
        case (let first?, let second?) where first != second: return first < second
        // What is not a change yet comes last.
        case (.some, nil): return true
        case (nil, .some): return false
        default: return a.place == b.place ? a.id < b.id : a.place < b.place
        }
    }

    /// The status and the place in the queue of a booking, from 1.
    func status(of id: RecordID) -> (status: String, position: Int?) {
        guard let booking = bookings.first(where: { $0.id == id }) else { return ("", nil) }
        if !booking.isActive { return ("cancelled", nil) }
        guard booking.state == BookingState.requested else { return (booking.state.string, nil) }
        if ledger.confirmed.contains(id) { return ("confirmed", nil) }
        return ("waiting", waiting.firstIndex(of: id).map { $0 + 1 })
    }

    /// All bookings in the order in which they were asked for.
    var inOrder: [Booking] { bookings.sorted { Self.comes($0, before: $1) } }

    var confirmedCount: Int { bookings.count { $0.isActive && ledger.confirmed.contains($0.id) } }

    // MARK: - What the holder of rights does

    /// What a replica has to write so that no free seat stays while somebody waits.
    struct Settlement {
        /// Rights to make, where more are planned than there are.
        var mint = 0
        /// Bookings that lose a seat, with the spending to take back.
        var releases: [(booking: RecordID, spend: Dot)] = []
        /// Bookings that get one, in order.
        var spends: [RecordID] = []

        var isEmpty: Bool { mint == 0 && releases.isEmpty && spends.isEmpty }
    }

    /// The same from any number of tries: what is written is seen by the next.
    ///
    /// - Parameters:
    ///   - holder: the replica that acts; only a ledger's owner has rights to spend here.
    ///   - planned: the capacity; `nil` while sites differ on it.
    func settlement(by holder: ReplicaID, planned: Int?) -> Settlement {
        var out = Settlement()
        guard ledger.owner == holder else { return out }
        if let planned { out.mint = max(0, planned - ledger.minted) }
        var spent = 0
        var seated: Set<RecordID> = []
        for booking in bookings {
            let own = booking.spends.filter { $0.replica == holder }
            // A second spending for one booking serves nobody.
            let kept = booking.isActive ? 1 : 0
            out.releases += own.dropFirst(kept).map { (booking.id, $0) }
            spent += min(own.count, kept)
            if booking.isActive, !own.isEmpty { seated.insert(booking.id) }
        }
        let free = (ledger.held[holder] ?? 0) + out.mint - spent
        out.spends = Array(waiting.filter { !seated.contains($0) }.prefix(max(0, free)))
        return out
    }

    // MARK: - What a command is about to write

    /// Counts a request in that is still to be written.
    mutating func request(_ id: RecordID) {
        if let place = bookings.firstIndex(where: { $0.id == id }) {
            bookings[place].state = BookingState.requested
            bookings[place].requestedAt = Timestamp(raw: .max)
            bookings[place].requestedIn = nil
        } else {
            bookings.append(
                Booking(
                    id: id,
                    state: BookingState.requested,
                    requestedAt: Timestamp(raw: .max),
                    requestedIn: nil,
                    spends: [],
                    isDeleted: false
                )
            )
        }
        queue()
    }

    /// Counts a cancellation in that is still to be written.
    mutating func cancel(_ id: RecordID) {
        guard let place = bookings.firstIndex(where: { $0.id == id }) else { return }
        bookings[place].state = BookingState.cancelled
        queue()
    }

    /// Orders requests of one change by their place in it.
    mutating func setPlaces(_ place: (Booking) throws -> Int?) rethrows {
        let changes = bookings.compactMap(\.requestedIn)
        guard Set(changes).count < changes.count else { return }
        var seen: [Dot: Int] = [:]
        for dot in changes { seen[dot, default: 0] += 1 }
        for index in bookings.indices {
            guard let dot = bookings[index].requestedIn, seen[dot]! > 1 else { continue }
            bookings[index].place = try place(bookings[index]) ?? .max
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
        let items = try items(
            of: WardSchema.booking,
            groups: [LessonGroups.status, LessonGroups.seat],
            where: "r.lesson = ?",
            [.text(lesson.id.description)]
        )
        var seats = LessonSeats(lesson: lesson.id, rights: rights, bookingItems: items)
        try seats.setPlaces { booking in
            try booking.requestedIn.flatMap { try place(of: booking.id, WardSchema.booking, in: $0, lesson.space) }
        }
        return seats
    }

    /// The capacity that everybody agrees on; `nil` while it is a conflict.
    func plannedCapacity(_ lesson: StoredRecord) throws -> Int? {
        let isContested = try conflicts(rid: lesson.rid).contains {
            $0.group?.number == LessonGroups.capacity.group.number
        }
        return isContested ? nil : lesson.integer("capacity").map(Int.init)
    }
}
