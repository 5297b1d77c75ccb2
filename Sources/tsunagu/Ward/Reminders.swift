// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore
import TsunaguWard

struct Reminders: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reminder",
        abstract: tr("教室の前の連絡", "Reminders before lessons."),
        discussion: tr(
            "送るのは人か別の仕組みです。queue が送る相手を決め、sent が送ったことを記録します。",
            "People or another system send them: 'queue' says to whom, 'sent' notes that it was done."
        ),
        subcommands: [Queue.self, List.self, Sent.self]
    )

    struct Queue: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("連絡する相手を決める", "Notes who is to be reminded."),
            discussion: tr(
                "7日前から2日前までと、前日と当日です。何度でも、どの管理者の端末でも実行できます。",
                "From seven to two days before, and on the last day. Run it as often and on as many admins' machines as you like."
            )
        )
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let counts = try globals.site().queueReminders()
            globals.confirm(
                .object([("queued", JSON(counts.queued)), ("withdrawn", JSON(counts.withdrawn))]),
                tr(
                    "\(counts.queued)件を加え、\(counts.withdrawn)件を取りやめました",
                    "\(counts.queued) queued, \(counts.withdrawn) withdrawn"
                )
            )
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("まだ送っていない連絡", "Lists what is still to be sent."))
        @Flag(help: ArgumentHelp(tr("送ったものと取りやめたものも", "What was sent or withdrawn too.")))
        var all = false
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let reminders = try globals.site().reminders(all: all)
            globals.show(.array(reminders.map { JSON($0) })) { Plain.reminders(reminders) }
        }
    }

    struct Sent: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("送ったことを記録する（管理者）", "Notes that it was sent (admins).")
        )
        @Argument(help: ArgumentHelp(tr("連絡の id か先頭", "The reminder's id or its beginning."), valueName: "id"))
        var id: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let reminder = try globals.site().markReminderSent(id)
            globals.confirm(JSON(reminder), "\(tr("送信済み", "sent")): \(reminder.id)")
        }
    }
}

extension Lessons {
    struct Rate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("満足度の回答を数える（無記名）", "Counts anonymous answers on how it was liked.")
        )
        @OptionGroup var name: Name
        @Option(help: ArgumentHelp(tr("1（不満）〜5（満足）", "1, not at all, to 5, very much."), valueName: "1-5"))
        var score: Int
        @Option(
            parsing: .unconditional,
            help: ArgumentHelp(tr("回答の数。間違いは負の数で戻す", "How many; a negative number takes back."), valueName: "n")
        )
        var count = 1
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let scores = try globals.site().rate(lesson: name.lesson, score: score, count: count)
            globals.confirm(
                .object([("scores", .array(scores.map { JSON($0) }))]),
                scores.enumerated().map { "\($0 + 1): \($1)" }.joined(separator: "  ")
            )
        }
    }

    struct Retention: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("教室の後、氏名と電話を残す日数", "How long names and phones stay after a lesson."),
            discussion: tr(
                "日数を過ぎた教室の予約は、管理者の端末が自動で消去します。集計に要る年齢区分と出欠は残ります。",
                "Bookings of older lessons are erased by admins' machines by themselves; age group and attendance stay for the figures."
            )
        )
        @Argument(help: ArgumentHelp(tr("日数。なければ今の日数を表示", "Days; shows the number without it."), valueName: "days"))
        var days: Int?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let site = try globals.site()
            if let days { try site.setContactDays(days) }
            let now = try site.contactDays()
            globals.confirm(.object([("days", JSON(now))]), tr("\(now)日", counted(now, "day")))
        }
    }
}

extension JSON {
    init(_ reminder: ReminderView) {
        self = .object([
            ("id", JSON(reminder.id)), ("kind", .text(reminder.kind.rawValue)), ("status", .text(reminder.status)),
            ("booking", JSON(reminder.booking?.record.id.description)), ("lesson", JSON(reminder.lesson.record.id)),
            ("code", JSON(reminder.lesson.record.text("code"))), ("date", .text(reminder.date.description)),
            ("time", JSON(reminder.lesson.time)), ("name", JSON(reminder.booking?.record.text("name"))),
            ("phone", JSON(reminder.booking?.record.text("phone"))),
        ])
    }
}

extension Plain {
    static func reminders(_ reminders: [ReminderView]) -> String {
        var table = TextTable([
            "id", tr("教室", "lesson"), tr("日時", "when"), tr("種類", "kind"), tr("状態", "status"), tr("氏名", "name"),
            tr("電話", "phone"),
        ])
        for reminder in reminders {
            let record = reminder.lesson.record
            func text(_ name: String) -> String { reminder.booking?.record.text(name)?.string ?? "" }
            table.row([
                String(reminder.id.description.prefix(8)), record.text("code")?.string ?? "",
                "\(record.text("date")?.string ?? "") \(reminder.lesson.time ?? "")", kind(reminder), status(reminder),
                text("name"), text("phone"),
            ])
        }
        return table.isEmpty ? tr("連絡はありません", "there is nobody to remind") : table.text
    }

    private static func kind(_ reminder: ReminderView) -> String {
        switch reminder.kind {
        case .weekBefore: tr("一週間前", "a week before")
        case .dayBefore: tr("前日", "the day before")
        }
    }

    private static func status(_ reminder: ReminderView) -> String {
        switch reminder.status {
        case "queued": tr("未送信", "to send")
        case "sent": tr("送信済み", "sent")
        default: tr("取りやめ", "withdrawn")
        }
    }
}
