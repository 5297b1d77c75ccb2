// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// A person who books, with what the lesson's space is told of him.
struct Booker {
    let key: PersonKey
    let details: PersonDetails
    /// The resident, for the link that only the register holds.
    let resident: RecordID?
}

extension StoreTransaction {
    /// Works out who books a lesson.
    func booker(_ who: BookingPerson, _ lesson: StoredRecord, _ site: Site) throws -> Booker {
        switch who {
        case .resident(let name):
            guard try spaces().contains(.residents) else { throw CommandError.holdsNoRegister }
            let row = try resident(name, site)
            guard !row.deleted else { throw CommandError.deleted(row) }
            return try booker(row, lesson, site)
        case .guest(let name, let kana, let phone, let ageGroup):
            let words = [
                "name=" + name, "kana=" + (kana ?? ""), "phone=" + (phone ?? ""), "age_group=" + (ageGroup ?? ""),
            ]
            let texts = try FieldAssignment.parse(words, WardSchema.booking).map { assignment -> ExactText? in
                if case .value(.text(let text)) = assignment.content { text } else { nil }
            }
            guard let name = texts[0] else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "予約する人の氏名がありません", en: "the name of who books is missing"),
                    record: "name",
                    hint: Localized(ja: "--resident か --name を指定してください", en: "give --resident or --name")
                )
            }
            let details = PersonDetails(
                name: name,
                kana: texts[1],
                phone: texts[2],
                ageGroup: texts[3].flatMap { AgeGroup(rawValue: $0.string) }
            )
            return Booker(key: PersonKey(guest: details), details: details, resident: nil)
        }
    }

    /// A resident: the name as the lesson needs it, and no date of birth but the age group.
    func booker(_ row: StoredRecord, _ lesson: StoredRecord, _ site: Site) throws -> Booker {
        try requireWrite(site, .residents)
        guard row.space == .residents else {
            throw CommandError(
                .notPermitted,
                Localized(
                    ja: "支援措置の住民の値は教室の空間に書けません",
                    en: "nothing of a protected resident is written in a lesson's space"
                ),
                hint: Localized(
                    ja: "会場に伝えてよい名前を本人と決め、--name で予約してください",
                    en: "agree with the person what the venue may know, and book with --name"
                )
            )
        }
        guard let secret = try secret(of: .residents) else {
            throw CommandError.holdsNoRegister
        }
        let day = lesson.day("date")
        var details = PersonDetails(resident: { row.values[$0]?.text }, on: day ?? Self.noDay)
        if day == nil { details.ageGroup = nil }
        return Booker(key: PersonKey(resident: row.id, secret: secret), details: details, resident: row.id)
    }

    private static let noDay = Day(year: 1, month: 1, day: 1)!

    /// Whose booking it is, as far as this site may know: a protected resident's link stands in the protected space.
    func bookingLink(of booking: RecordID) throws -> StoredRecord? {
        let id = PersonKey.link(of: booking)
        return try records(WardSchema.bookingLink, where: "id = ? AND deleted = 0", [.bytes(id.bytes)]).first
    }

    /// Notes among the residents whose booking it is.
    func link(_ booking: RecordID, _ space: SpaceID, _ resident: RecordID, _ site: Site) throws {
        let id = PersonKey.link(of: booking)
        guard try bookingLink(of: booking)?.text("resident") != resident.description else { return }
        let values = BookingFields.link(booking, space, resident)
        try draft(.residents, by: site.person).create(WardSchema.bookingLink, id: id, values)
    }
}

extension CommandError {
    fileprivate static let holdsNoRegister = CommandError(
        .notPermitted,
        Localized(ja: "この端末は住民の空間を持っていません", en: "this device does not hold the residents"),
        hint: Localized(
            ja: "氏名で予約し、住民との結び付けは住民を持つ拠点に頼んでください",
            en: "book with the name, and let a site that holds the residents link it"
        )
    )
}

extension Draft {
    func create(booking id: RecordID, of lesson: RecordID, _ booker: Booker) throws {
        let values = BookingFields.registers(lesson, booker).filter { $0.value != .null }
        try create(WardSchema.booking, id: id, values)
    }

    /// Adds to what the person of a booking needs.
    func add(needs: [ExactText], at booking: RecordID) throws {
        if needs.isEmpty { return }
        try edit(WardSchema.booking, booking, group: LessonGroups.needs, add: needs.map { Array($0.utf8) })
    }

    /// Says with whom a booking comes and whether it uses a seat, where that is news.
    func set(_ id: RecordID, party: RecordID?, usesSeat: Bool, _ known: LessonSeats.Terms?) throws {
        var values: [(field: UInt32, value: Value)] = []
        if known?.party != party {
            values.append((BookingFields.party, party.map { .text($0.description) } ?? .null))
        }
        if (known?.usesSeat ?? true) != usesSeat { values.append((BookingFields.counts, .integer(usesSeat ? 1 : 0))) }
        try set(WardSchema.booking, id, values)
    }

    /// Adds to what a booking tells everybody who looks at it.
    func note(_ text: String, at booking: RecordID) throws {
        try edit(WardSchema.booking, booking, group: LessonGroups.notes, add: [Array(text.utf8)])
    }

    /// Moves a booking's flow to `requested`.
    ///
    /// - Parameter seats: the lesson's bookings as the clerk sees them; the request comes behind them all.
    func request(_ id: RecordID, of known: LessonSeats.Booking?, reviving: Bool, behind seats: LessonSeats) throws {
        let flow = known?.flow ?? FlowState([], LessonGroups.machine)
        guard let step = flow.step(to: BookingState.requested) else {
            throw StoreError.noSuchStep(group: LessonGroups.status.name, to: BookingState.requested)
        }
        try edit(
            WardSchema.booking,
            id,
            group: LessonGroups.status,
            add: [step.encoded],
            deeperThan: seats.depth
        )
        if reviving { try revive(WardSchema.booking, id) }
    }

    /// Notes that a booking that is made already was asked for here too: whoever cancels it elsewhere and has not seen
    /// this does not undo it, and its place in the queue stays.
    func requestToo(_ id: RecordID, behind seats: LessonSeats) throws {
        let step = Transition(from: FlowMachine.initial, to: BookingState.requested, reason: "")
        try edit(WardSchema.booking, id, group: LessonGroups.status, add: [step.encoded], deeperThan: seats.depth)
    }
}

/// The numbered fields of bookings and of their links.
enum BookingFields {
    private static func number(_ name: String, _ collection: CollectionSchema) -> UInt32 {
        collection.field(named: name)!.field.number
    }

    static let party = number("party", WardSchema.booking)
    static let counts = number("counts", WardSchema.booking)
    static let answerBy = number("answer_by", WardSchema.booking)

    /// The members of a booking's registers, ascending; what is not known is null.
    static func registers(_ lesson: RecordID, _ booker: Booker) -> [(field: UInt32, value: Value)] {
        [
            (number("lesson", WardSchema.booking), .text(lesson.description)),
            (number("person_key", WardSchema.booking), .text(booker.key.description)),
        ] + booker.details.fields.map { ($0.number, $0.value) }
    }

    static func link(_ booking: RecordID, _ space: SpaceID, _ resident: RecordID) -> [(field: UInt32, value: Value)] {
        [
            (number("booking", WardSchema.bookingLink), .text(booking.description)),
            (number("lesson_space", WardSchema.bookingLink), .text(space.name)),
            (number("resident", WardSchema.bookingLink), .text(resident.description)),
        ]
    }
}
