// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// A lesson with where its seats stand.
package struct LessonView: Sendable {
    /// Who holds rights to seats.
    package struct Rights: Sendable {
        /// The holder's site; `nil` where this site does not know the device.
        package let site: ExactText?
        package let device: DeviceID
        package let held: Int
        package let free: Int
    }

    /// Seats that nobody sits on.
    package struct Free: Sendable {
        /// The site of who has to act; `nil` where this site does not know the device.
        package let site: ExactText?
        package let device: DeviceID
        package let count: Int
        package let reason: FreeSeats.Reason
    }

    package let record: RecordView
    package let confirmed: Int
    package let waiting: Int
    package let rights: [Rights]
    /// How many bookings there are of each status; `beyond` are people who were there without a seat of their own, and
    /// `without_seat` helpers and others who need none.
    package let counts: [(status: String, count: Int)]
    /// The replica that keeps the ledger; `nil` where nobody opened one.
    package let owner: ReplicaID?
    /// Its site; `nil` where this site does not know the device.
    package let keeper: ExactText?
    /// Why the lesson does not take place, where it does not.
    package let cancelReason: ExactText?
    /// Seats that nobody sits on, and why they are handed out here or not.
    package let freeSeats: [Free]

    /// The lesson does not take place.
    package var isCancelled: Bool { record.text("status") == BookingState.cancelled }

    /// `10:00-12:00`.
    package var time: String? {
        guard let start = record.text("start_time"), let end = record.text("end_time") else { return nil }
        return "\(start)-\(end)"
    }
}

/// What a new lesson is to be.
package struct LessonPlan: Sendable {
    package var space: String
    package var code: String
    package var title: String
    package var date: String
    package var time: String
    package var capacity: String
    /// Further `field=value` words: venue, room, level, deadline, languages.
    package var others: [String]

    package init(
        space: String,
        code: String,
        title: String,
        date: String,
        time: String,
        capacity: String,
        others: [String] = []
    ) {
        self.space = space
        self.code = code
        self.title = title
        self.date = date
        self.time = time
        self.capacity = capacity
        self.others = others
    }
}

extension Site {
    /// Adds a lesson with as many rights to seats as it has places.
    ///
    /// At the centre a space comes into being with its first
    /// lesson.
    package func addLesson(_ plan: LessonPlan) throws -> RecordID {
        try write { try $0.addLesson(plan, by: self) }
    }

    /// Adds lessons on the same weekday and at the same time of so many weeks, under the codes `CODE-1`, `CODE-2`, …:
    /// all of them or none.
    ///
    /// - Parameter weeks: 1 to 53.
    package func addLessons(_ plan: LessonPlan, weekly weeks: Int) throws -> [RecordID] {
        let first = Day(iso: plan.date.utf8)
        let days = (1...53).contains(weeks) ? (0..<weeks).compactMap { first?.adding(7 * $0) } : []
        guard !days.isEmpty, days.count == weeks else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "毎週の回数か日付が正しくありません: \(weeks)、\(plan.date)",
                    en: "no weekly lessons: \(weeks) from \(plan.date)"
                ),
                hint: Localized(ja: "1〜53回、日付は 2026-12-01 の形です", en: "1 to 53 times, from a day such as 2026-12-01")
            )
        }
        return try write { transaction in
            try days.enumerated().map { place, day in
                var lesson = plan
                lesson.code += "-\(place + 1)"
                lesson.date = day.description
                // Each has the same time left to book as the first.
                lesson.others = plan.others.map { word in
                    guard let name = ["deadline=", "申込期限="].first(where: { word.utf8.starts(with: $0.utf8) }),
                        let last = Day(iso: word.dropFirst(name.count).utf8)?.adding(7 * place)
                    else { return word }
                    return "\(name)\(last)"
                }
                return try transaction.addLesson(lesson, by: self)
            }
        }
    }

    /// Writes what assignments change; `time=10:00-12:00` stands for both ends.
    ///
    /// - Returns: the lesson and the fields that changed.
    package func setLesson(_ name: String, _ words: [String]) throws -> (id: RecordID, changed: [String]) {
        let assignments = try FieldAssignment.parse(Self.lessonWords(words), WardSchema.lesson, record: name)
        guard !assignments.isEmpty else {
            throw CommandError(.usage, Localized(ja: "項目=値 がありません", en: "there is no field=value"))
        }
        let needed = ["code", "title", "date", "start_time", "end_time", "capacity"]
        try FieldAssignment.requireFilled(needed, assignments, WardSchema.lesson, record: name)
        return try write { transaction in
            let row = try transaction.lesson(name)
            try transaction.requireWrite(self, row.space)
            guard !row.deleted else { throw CommandError.deleted(row) }
            try transaction.requireDecided(row, assignments.map(\.field.name))
            try transaction.checkLesson(row, with: assignments)
            let changed = try transaction.draft(row.space, by: person).write(assignments, to: row, transaction)
            try transaction.settleSeats(in: [row.space], by: self)
            return (row.id, changed)
        }
    }

    /// Plans another number of seats.
    ///
    /// More go to who waits, where the ledger's owner hears of it; fewer take back what nobody sits on.
    package func setCapacity(_ name: String, _ seats: String) throws -> LessonView {
        let id = try setLesson(name, ["capacity=" + seats]).id
        return try lesson(id.description)
    }

    /// Says that a lesson does not take place: its bookings are told so, and nobody moves up.
    package func cancelLesson(_ name: String, reason: String) throws -> LessonView {
        try step(lesson: name, to: BookingState.cancelled, reason) { !$0.isCancelledLesson }
    }

    /// Says that a lesson that was called off takes place after all: whoever had booked has what he had.
    ///
    /// Where nothing was called off nothing is written. Whoever calls it off without knowing of this prevails.
    package func resumeLesson(_ name: String, reason: String) throws -> LessonView {
        try step(lesson: name, to: BookingState.resumed, reason) { $0.isCancelledLesson }
    }

    private func step(
        lesson name: String,
        to state: ExactText,
        _ reason: String,
        where applies: (StoredRecord) -> Bool
    ) throws -> LessonView {
        let reason = try Self.checkedReason(reason)
        let id = try write { transaction in
            let row = try transaction.lesson(name)
            try transaction.requireWrite(self, row.space)
            guard !row.deleted else { throw CommandError.deleted(row) }
            guard applies(row) else { return row.id }
            try transaction.draft(row.space, by: person)
                .step(WardSchema.lesson, row.id, group: LessonGroups.lessonStatus, to: state, reason: reason)
            try transaction.settleSeats(in: [row.space], by: self)
            return row.id
        }
        return try lesson(id.description)
    }

    private static func lessonWords(_ words: [String]) throws -> [String] {
        try words.flatMap { word in
            guard let name = ["time=", "時間="].first(where: { word.utf8.starts(with: $0.utf8) }) else { return [word] }
            let time = try lessonTime(String(word.dropFirst(name.count)))
            return ["start_time=\(time.start)", "end_time=\(time.end)"]
        }
    }

    /// Reads `10:00-12:00`.
    fileprivate static func lessonTime(_ text: String) throws -> LessonTime {
        if let time = LessonTime(text.utf8) { return time }
        throw CommandError(
            .badInput,
            Localized(
                ja: "時間「\(text)」は 10:00-12:00 の形ではありません",
                en: "the time '\(text)' is not like 10:00-12:00"
            ),
            record: "time",
            hint: Localized(
                ja: "開始より後に終わる12時間以内の時間帯を書いてください",
                en: "write a time that ends after its start, within 12 hours"
            )
        )
    }

    /// The lessons held here by date; of one space, or of all.
    package func lessons(in space: String? = nil) throws -> [LessonView] {
        try read { try $0.lessonViews(in: space) }
    }

    /// One lesson by its code or id.
    package func lesson(_ name: String) throws -> LessonView {
        try read { transaction in
            try transaction.view(lesson: transaction.lesson(name), Places(transaction))
        }
    }
}

extension StoreTransaction {
    /// The lessons held here by date; of one space, or of all.
    package func lessonViews(in space: String? = nil) throws -> [LessonView] {
        var condition = "deleted = 0"
        if space != nil { condition += " AND space = (SELECT no FROM space WHERE name = ?)" }
        condition += " ORDER BY date, start_time, code, id"
        let places = try Places(self)
        return try records(WardSchema.lesson, where: condition, space.map { [.text($0)] } ?? [])
            .map { try view(lesson: $0, places) }
    }

    fileprivate func addLesson(_ plan: LessonPlan, by site: Site) throws -> RecordID {
        guard let space = SpaceID(plan.space), space.matches(WardSchema.lesson.spaces) else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "教室の空間の名前ではありません: \(plan.space)",
                    en: "'\(plan.space)' is not the name of a lesson space"
                ),
                record: plan.space,
                hint: Localized(
                    ja: "lessons/hibiya のように半角の小文字、数字、ハイフン32文字以内で書いてください",
                    en: "write it like lessons/hibiya, with up to 32 lowercase letters, digits and hyphens"
                )
            )
        }
        let time = try Site.lessonTime(plan.time)
        let words = [
            "code=" + plan.code, "title=" + plan.title, "date=" + plan.date, "start_time=" + time.start.string,
            "end_time=" + time.end.string, "capacity=" + plan.capacity,
        ]
        let assignments = try FieldAssignment.parse(words + plan.others, WardSchema.lesson)
        for case .value(.null) in assignments.prefix(words.count).map(\.content) {
            throw CommandError(
                .badInput,
                Localized(ja: "コード、教室名、日付、時間、定員はすべて必要です", en: "code, title, date, time and capacity are all needed"),
                hint: Localized(ja: "空の項目を記入してください", en: "fill what is empty")
            )
        }
        try Self.checkDeadline(assignments) { _ in nil }
        try requireLessonSpace(space, site)
        try requireFreeCode(plan.code)
        let draft = try draft(space, by: site.person)
        let id = try draft.create(WardSchema.lesson, assignments)
        // Two entries, one after the other: the list's order says which came first.
        try draft.edit(WardSchema.lesson, id, group: LessonGroups.rights, add: [LedgerEntry.open.encoded])
        if let capacity = Int(plan.capacity), capacity > 0 {
            try draft.edit(
                WardSchema.lesson,
                id,
                group: LessonGroups.rights,
                add: [LedgerEntry.mint(capacity).encoded]
            )
        }
        return id
    }

    /// Refuses assignments that leave a lesson without a time, with a deadline behind it, or under another lesson's code.
    fileprivate func checkLesson(_ row: StoredRecord, with assignments: [FieldAssignment]) throws {
        func text(_ name: String) -> ExactText? { Self.text(name, assignments) { row.values[$0]?.text } }
        if let start = text("start_time"), let end = text("end_time"), LessonTime(start: start, end: end) == nil {
            _ = try Site.lessonTime("\(start)-\(end)")
        }
        try Self.checkDeadline(assignments) { row.values[$0]?.text }
        if let code = text("code"), code != row.values["code"]?.text { try requireFreeCode(code.string) }
    }

    /// What a field says once assignments are written.
    private static func text(
        _ name: String,
        _ assignments: [FieldAssignment],
        _ stored: (String) -> ExactText?
    ) -> ExactText? {
        let written = assignments.first { $0.field.name.utf8.elementsEqual(name.utf8) }
        if case .value(let value)? = written?.content { return value.text }
        return stored(name)
    }

    /// - Parameter stored: what stands in a field that is not assigned.
    private static func checkDeadline(
        _ assignments: [FieldAssignment],
        _ stored: (String) -> ExactText?
    ) throws {
        guard assignments.contains(where: { BookingDeadline.fields.contains($0.field.name) }),
            let late = BookingDeadline.late({ Self.text($0, assignments, stored) })
        else { return }
        throw CommandError(
            .badInput,
            Localized(
                ja: "申込期限 \(late.deadline) が教室の日 \(late.lesson) より後です",
                en: "the last day to book, \(late.deadline), is after the lesson, \(late.lesson)"
            ),
            record: "deadline",
            hint: Localized(ja: "教室の日までの期限を書いてください", en: "give a deadline on that day or before it")
        )
    }

    func lesson(_ name: String) throws -> StoredRecord {
        try find(WardSchema.lesson, name, key: LessonGroups.lessonCode)
    }

    fileprivate func view(lesson row: StoredRecord, _ places: Places) throws -> LessonView {
        let seats = try seats(of: row)
        let rights = seats.ledger.held.keys.sorted().map { holder in
            LessonView.Rights(
                site: places[holder.device]?.site,
                device: holder.device,
                held: seats.ledger.held[holder] ?? 0,
                free: max(0, seats.ledger.free(holder))
            )
        }
        return LessonView(
            record: try view(row, places),
            confirmed: seats.confirmedCount,
            waiting: seats.waiting.count,
            rights: rights,
            counts: seats.counts,
            owner: seats.ledger.owner,
            keeper: seats.ledger.owner.flatMap { places[$0.device]?.site },
            cancelReason: try cancelReason(ofLesson: row),
            freeSeats: try freeSeats(of: row, seats).map { free in
                let device = free.holder.device
                return LessonView.Free(
                    site: places[device]?.site,
                    device: device,
                    count: free.count,
                    reason: free.reason
                )
            }
        )
    }

    /// Why a lesson does not take place, where it does not.
    func cancelReason(ofLesson row: StoredRecord) throws -> ExactText? {
        guard row.isCancelledLesson else { return nil }
        return try items(of: row.rid, group: LessonGroups.lessonStatus).compactMap { Transition($0.content) }
            .last { $0.to == BookingState.cancelled }?.reason
    }

    private func freeSeats(of lesson: StoredRecord, _ seats: LessonSeats) throws -> [FreeSeats] {
        guard let own = try ownReplica() else { return [] }
        let access = try currentAccess()
        return seats.freeSeats(
            planned: try plannedCapacity(lesson),
            own: own,
            on: Day(tokyo: now()),
            isEnded: { access?.isRevoked($0.device) == true || seats.ledger.ended[$0] != nil }
        )
    }

    /// Makes sure that the space is there and may be written; an admin founds it.
    func requireLessonSpace(_ space: SpaceID, _ site: Site) throws {
        try requireWrite(site, space)
        guard try !spaces().contains(space) else { return }
        try requireAdmin(site)
        try found(space, by: site.person)
    }

    fileprivate func requireFreeCode(_ code: String) throws {
        guard
            let other = try records(WardSchema.lesson, where: "code = ? AND deleted = 0", [.text(code)], limit: 1).first
        else { return }
        throw CommandError(
            .badInput,
            Localized(ja: "教室コード \(code) はすでにあります", en: "there is a lesson '\(code)' already"),
            record: other.id.description,
            hint: Localized(ja: "別のコードにしてください", en: "choose another code")
        )
    }
}
