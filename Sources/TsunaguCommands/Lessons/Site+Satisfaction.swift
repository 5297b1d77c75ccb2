// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// Counts answers on how a lesson was liked; nothing says whose they are.
    ///
    /// - Parameters:
    ///   - score: 1, not at all, to 5, very much.
    ///   - count: how many answered so; below 0 takes back what was counted by mistake.
    /// - Returns: how many answered what, from 1 to 5.
    /// - Throws: 65 for a score or number beyond that.
    @discardableResult
    package func rate(lesson name: String, score: Int, count: Int = 1) throws -> [Int] {
        guard 1...5 ~= score, -1000...1000 ~= count, count != 0 else {
            throw CommandError(
                .badInput,
                Localized(
                    ja: "満足度は 1〜5、数は 0 以外の -1000〜1000 です",
                    en: "a score is 1 to 5, a number -1000 to 1000 and not 0"
                ),
                record: name,
                hint: Localized(ja: "例: --score 5 --count 3", en: "for example --score 5 --count 3")
            )
        }
        return try write { transaction in
            let lesson = try transaction.lesson(name)
            try transaction.requireWrite(self, lesson.space)
            guard !lesson.isCancelledLesson else { throw CommandError.lessonCancelled(lesson) }
            let id = WardSchema.record(WardSchema.satisfaction, of: lesson.id)
            let known = try transaction.scores(of: lesson.id)[score - 1]
            guard known + count >= 0 else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "満足度 \(score) は今 \(known) 件です", en: "there are \(known) answers of score \(score)"),
                    record: name,
                    hint: Localized(ja: "取り消せるのはそこまでです", en: "no more can be taken back")
                )
            }
            let draft = try transaction.draft(lesson.space, by: person)
            if try transaction.record(WardSchema.satisfaction, id) == nil {
                try draft.create(WardSchema.satisfaction, id: id, [(1, .text(ExactText(lesson.id.description)))])
            }
            let group = WardSchema.satisfaction.field(named: "score_\(score)")!.group
            try draft.edit(WardSchema.satisfaction, id, group: group, add: [Tally.encode(Int64(count))])
            try transaction.flushDrafts()
            return try transaction.scores(of: lesson.id)
        }
    }

    /// How many days after a lesson this device, which is an admin's, lets names and phones stand.
    ///
    /// - Throws: 77 for any other: it erases nothing by itself, and is not told what admins set.
    package func contactDays() throws -> Int {
        try read { transaction in
            try transaction.requireAdmin(self)
            return try transaction.contactDays()
        }
    }

    /// Sets that number; of several admins' devices the shortest counts.
    ///
    /// - Throws: 77 unless this device is an admin's, 65 beyond 1 to 3650 days.
    package func setContactDays(_ days: Int) throws {
        guard 1...3650 ~= days else {
            throw CommandError(
                .badInput,
                Localized(ja: "日数は 1〜3650 です", en: "the days are 1 to 3650"),
                record: String(days),
                hint: Localized(ja: "例: 30", en: "for example 30")
            )
        }
        try write { transaction in
            try transaction.requireAdmin(self)
            try transaction.setContactDays(days)
        }
    }
}

extension StoreTransaction {
    /// How many answered what, from 1 to 5.
    func scores(of lesson: RecordID) throws -> [Int] {
        let row = try record(WardSchema.satisfaction, WardSchema.record(WardSchema.satisfaction, of: lesson))
        return (1...5).map { Int(clamping: row?.integer("score_\($0)") ?? 0) }
    }
}
