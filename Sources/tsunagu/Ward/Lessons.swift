// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Lessons: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lesson",
        abstract: tr("教室", "Lessons."),
        subcommands: [
            Add.self, List.self, Show.self, Set.self, Capacity.self, Pass.self, Cancel.self, Resume.self, Roster.self,
            Rate.self, Retention.self,
        ]
    )

    /// What one lesson is named by.
    struct Name: ParsableArguments {
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The lesson's code or id."), valueName: "lesson"))
        var lesson: String
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("教室を加える", "Adds a lesson."),
            discussion: tr("本庁では、最初の教室とともに空間ができます。", "At the centre a space comes into being with its first lesson.")
        )
        @Option(
            help: ArgumentHelp(tr("空間。例: lessons/hibiya", "The space, such as lessons/hibiya."), valueName: "space")
        )
        var space: String
        @Option(help: ArgumentHelp(tr("教室コード", "The code."), valueName: "code"))
        var code: String
        @Option(help: ArgumentHelp(tr("教室名", "The title."), valueName: "text"))
        var title: String
        @Option(help: ArgumentHelp(tr("日付。例: 2026-12-01", "The date, such as 2026-12-01."), valueName: "date"))
        var date: String
        @Option(help: ArgumentHelp(tr("時間。例: 10:00-12:00", "The time, such as 10:00-12:00."), valueName: "time"))
        var time: String
        @Option(help: ArgumentHelp(tr("定員", "How many seats."), valueName: "n"))
        var capacity: String
        @Option(help: ArgumentHelp(tr("会場", "The venue."), valueName: "text"))
        var venue: String?
        @Option(help: ArgumentHelp(tr("部屋", "The room."), valueName: "text"))
        var room: String?
        @Option(help: ArgumentHelp(tr("レベル", "The level."), valueName: "text"))
        var level: String?
        @Option(help: ArgumentHelp(tr("申込期限", "The last day to book."), valueName: "date"))
        var deadline: String?
        @Option(help: ArgumentHelp(tr("対応言語。例: en,zh", "Languages, such as en,zh."), valueName: "list"))
        var languages: String?
        @Option(
            help: ArgumentHelp(tr("配慮。例: 手話,筆談", "What is provided for, such as sign language."), valueName: "list")
        )
        var needs: String?
        @Option(
            help: ArgumentHelp(tr("毎週この回数。コードは CODE-1 から", "So many, every week: CODE-1, CODE-2, …"), valueName: "n")
        )
        var weekly: Int?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let others = [
                ("venue", venue), ("room", room), ("level", level), ("deadline", deadline), ("languages", languages),
                ("needs", needs),
            ]
            let plan = LessonPlan(
                space: space,
                code: code,
                title: title,
                date: date,
                time: time,
                capacity: capacity,
                others: others.compactMap { name, value in value.map { "\(name)=\($0)" } }
            )
            if let weekly {
                let ids = try globals.site().addLessons(plan, weekly: weekly)
                globals.confirm(
                    .array(ids.map { .object([("id", JSON($0))]) }),
                    ids.map(\.description).joined(separator: "\n")
                )
            } else {
                let id = try globals.site().addLesson(plan)
                globals.confirm(.object([("id", JSON(id))]), id.description)
            }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("部屋、日時、定員などを変える", "Changes room, time, capacity and other fields.")
        )
        @OptionGroup var name: Name
        @Argument(
            help: ArgumentHelp(tr("項目=値。例: room=和室 time=10:00-12:00", "What changes."), valueName: "field=value")
        )
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (id, changed) = try globals.site().setLesson(name.lesson, fields)
            globals.confirm(.changed(id, changed), Plain.changed(id, changed))
        }
    }

    struct Capacity: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("定員を変える", "Plans another number of seats."))
        @OptionGroup var name: Name
        @Argument(help: ArgumentHelp(tr("席の数", "How many seats."), valueName: "n"))
        var seats: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().setCapacity(name.lesson, seats)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct Pass: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("席の台帳を別の拠点に渡す", "Hands the ledger of its seats to another site."),
            discussion: tr(
                "以後、席を作り権利を動かすのはその拠点です。すでにある権利と確定はそのままです。",
                "That site makes seats and moves rights from then on; rights and confirmations stay where they are."
            )
        )
        @OptionGroup var name: Name
        @Option(help: ArgumentHelp(tr("拠点の名称か id", "The site's name or id."), valueName: "site"))
        var to: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().passLesson(name.lesson, to: to)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct Cancel: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("教室を中止する", "Cancels a lesson."))
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().cancelLesson(name.lesson, reason: why.reason)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct Resume: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("中止を取りやめる", "Says that a cancelled lesson takes place after all."),
            discussion: tr("予約は中止の前のままです。", "Bookings stand as they did before.")
        )
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().resumeLesson(name.lesson, reason: why.reason)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("教室の一覧", "Lists lessons."))
        @Option(help: ArgumentHelp(tr("この空間だけ", "Of this space alone."), valueName: "space"))
        var space: String?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lessons = try globals.site().lessons(in: space)
            globals.show(.array(lessons.map { JSON($0) })) { Plain.lessons(lessons) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("一つを見る", "Shows one lesson."))
        @OptionGroup var name: Name
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().lesson(name.lesson)
            globals.show(JSON(lesson)) { Plain.lesson(lesson) }
        }
    }
}
