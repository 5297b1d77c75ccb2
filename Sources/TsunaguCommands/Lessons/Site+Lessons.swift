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

    package let record: RecordView
    package let confirmed: Int
    package let waiting: Int
    package let rights: [Rights]

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
        guard let time = LessonTime(plan.time.utf8) else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "時間「\(plan.time)」は 10:00-12:00 の形ではありません",
                    en: "the time '\(plan.time)' is not like 10:00-12:00"
                ),
                record: "time",
                hint: Localized(
                    ja: "開始より後に終わる12時間以内の時間帯を書いてください",
                    en: "write a time that ends after its start, within 12 hours"
                )
            )
        }
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
        return try write { transaction in
            try transaction.requireLessonSpace(space, self)
            try transaction.requireFreeCode(plan.code)
            let draft = try transaction.draft(space, by: person)
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
    }

    /// The lessons held here by date; of one space, or of all.
    package func lessons(in space: String? = nil) throws -> [LessonView] {
        try read { transaction in
            var condition = "deleted = 0"
            if space != nil { condition += " AND space = (SELECT no FROM space WHERE name = ?)" }
            condition += " ORDER BY date, start_time, code, id"
            let places = try Places(transaction)
            return try transaction.records(WardSchema.lesson, where: condition, space.map { [.text($0)] } ?? [])
                .map { try transaction.view(lesson: $0, places) }
        }
    }

    /// One lesson by its code or id.
    package func lesson(_ name: String) throws -> LessonView {
        try read { transaction in
            try transaction.view(lesson: transaction.lesson(name), Places(transaction))
        }
    }
}

extension StoreTransaction {
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
            rights: rights
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
