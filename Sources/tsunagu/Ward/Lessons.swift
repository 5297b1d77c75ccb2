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
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @Argument(
            help: ArgumentHelp(tr("項目=値。例: room=和室 time=10:00-12:00", "What changes."), valueName: "field=value")
        )
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (id, changed) = try globals.site().setLesson(lesson, fields)
            globals.confirm(.changed(id, changed), Plain.changed(id, changed))
        }
    }

    struct Capacity: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("定員を変える", "Plans another number of seats."))
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @Argument(help: ArgumentHelp(tr("席の数", "How many seats."), valueName: "n"))
        var seats: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().setCapacity(lesson, seats)
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
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @Option(help: ArgumentHelp(tr("拠点の名称か id", "The site's name or id."), valueName: "site"))
        var to: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().passLesson(lesson, to: to)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct Cancel: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("教室を中止する", "Cancels a lesson."))
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @Option(help: ArgumentHelp(tr("理由", "Why."), valueName: "text"))
        var reason: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().cancelLesson(lesson, reason: reason)
            globals.confirm(JSON(lesson), Plain.lesson(lesson))
        }
    }

    struct Resume: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("中止を取りやめる", "Says that a cancelled lesson takes place after all."),
            discussion: tr("予約は中止の前のままです。", "Bookings stand as they did before.")
        )
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @Option(help: ArgumentHelp(tr("理由", "Why."), valueName: "text"))
        var reason: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().resumeLesson(lesson, reason: reason)
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
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The code or id."), valueName: "lesson"))
        var lesson: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let lesson = try globals.site().lesson(lesson)
            globals.show(JSON(lesson)) { Plain.lesson(lesson) }
        }
    }
}

struct Bookings: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "booking",
        abstract: tr("予約", "Bookings."),
        subcommands: [
            Add.self, Accept.self, Attend.self, Cancel.self, Link.self, List.self, Promote.self, Set.self, Show.self,
        ]
    )

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("予約する", "Books a seat."),
            discussion: tr(
                "確定かキャンセル待ちかを答えます。同じ人の同じ教室の予約は一つです。",
                "Answers whether it is confirmed or waits. One person has one booking of a lesson."
            )
        )
        @Argument(help: ArgumentHelp(tr("教室コードか id", "The lesson's code or id."), valueName: "lesson"))
        var lesson: String
        @Option(help: ArgumentHelp(tr("住民の宛名番号か id", "A resident's number or id."), valueName: "id"))
        var resident: String?
        @Option(help: ArgumentHelp(tr("氏名", "A name."), valueName: "text"))
        var name: String?
        @Option(help: ArgumentHelp(tr("カナ", "Its kana."), valueName: "text"))
        var kana: String?
        @Option(help: ArgumentHelp(tr("電話", "A phone number."), valueName: "text"))
        var phone: String?
        @Option(
            name: .customLong("age-group"),
            help: ArgumentHelp(tr("年齢区分", "under-65, 65-69, 70-74 or 75+."), valueName: "group")
        )
        var ageGroup: String?
        @Option(help: ArgumentHelp(tr("配慮。例: 筆談", "What the person needs."), valueName: "text"))
        var needs: [String] = []
        @Option(
            name: .customLong("with"),
            help: ArgumentHelp(
                tr("一緒に来る人。例: 山田花子,ヤマダハナコ,090…", "Who comes along, all or nobody: name,kana,phone."),
                valueName: "person"
            )
        )
        var companions: [String] = []
        @Flag(
            name: .customLong("no-seat"),
            help: ArgumentHelp(tr("席を使わない人（講師、通訳、介助者など）", "A helper, interpreter or companion who needs no seat."))
        )
        var noSeat = false
        @Flag(
            name: .customLong("walk-in"),
            help: ArgumentHelp(tr("予約なしで会場に来た人を入れる", "Takes in somebody who came without a booking."))
        )
        var walkIn = false
        @Option(
            help: ArgumentHelp(
                tr("申込期限後に、または席がなくても入れる理由", "Why after the deadline, or without a seat."),
                valueName: "text"
            )
        )
        var reason: String?
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            let typed = [name, kana, phone, ageGroup].contains { $0 != nil }
            guard (resident != nil) != (name != nil), resident == nil || !typed else {
                throw ValidationError(
                    tr(
                        "--resident か --name のどちらか一方を指定してください",
                        "give either --resident, or --name with what else is known"
                    )
                )
            }
            if let wrong = companions.first(where: {
                $0.isEmpty || $0.hasPrefix(",") || $0.split(separator: ",", omittingEmptySubsequences: false).count > 3
                    || $0.contains("、") || $0.contains("，")
            }) {
                throw ValidationError(
                    tr(
                        "--with「\(wrong)」は 氏名,カナ,電話 の形（氏名から始め、半角のコンマ二つまで）で書いてください",
                        "write --with '\(wrong)' as name,kana,phone: a name first, and two commas ',' at most"
                    )
                )
            }
            guard !walkIn || companions.isEmpty && !noSeat else {
                throw ValidationError(
                    tr(
                        "--walk-in は一人ずつ、--with と --no-seat なしで書いてください",
                        "--walk-in takes in one person at a time, with neither --with nor --no-seat"
                    )
                )
            }
        }

        func run() throws {
            let person: BookingPerson =
                if let resident {
                    .resident(resident)
                } else {
                    .guest(name: name ?? "", kana: kana, phone: phone, ageGroup: ageGroup)
                }
            let site = try globals.site()
            if walkIn {
                let booking = try site.admitWalkIn(lesson: lesson, person, needs: needs, reason: reason)
                globals.confirm(JSON(booking), Plain.marked(booking))
                return globals.warn(of: site.remark(on: booking, isMark: true))
            }
            let bookings = try site.addBookings(
                lesson: lesson,
                [person] + companions.map(Self.companion),
                needs: needs,
                usesSeat: !noSeat,
                reason: reason
            )
            globals.confirm(
                JSON(bookings[0], with: bookings.dropFirst()),
                bookings.map(Plain.answered).joined(separator: "\n")
            )
            globals.warn(of: site.remark(on: bookings[0], isMark: false))
        }

        /// Reads `name,kana,phone`.
        private static func companion(_ text: String) -> BookingPerson {
            let parts = text.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            func part(_ place: Int) -> String? {
                parts.indices.contains(place) && !parts[place].isEmpty ? parts[place] : nil
            }
            return .guest(name: part(0) ?? "", kana: part(1), phone: part(2), ageGroup: nil)
        }
    }

    struct Cancel: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("予約を取り消す", "Cancels a booking."))
        @Argument(help: ArgumentHelp(tr("予約の id か先頭", "The booking's id or its beginning."), valueName: "id"))
        var id: String
        @Option(help: ArgumentHelp(tr("理由", "Why."), valueName: "text"))
        var reason: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().cancelBooking(id, reason: reason)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }

    struct Link: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("氏名だけの予約を住民と結ぶ", "Says which resident a booking is of.")
        )
        @Argument(help: ArgumentHelp(tr("予約の id か先頭", "The booking's id or its beginning."), valueName: "id"))
        var id: String
        @Option(help: ArgumentHelp(tr("住民の宛名番号か id", "The resident's number or id."), valueName: "id"))
        var resident: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().linkBooking(id, resident: resident)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("氏名、電話、配慮などを直す", "Corrects name, phone, needs and the like."),
            discussion: tr("席や順番はそのままです。", "Seat and place in the queue stay.")
        )
        @Argument(help: ArgumentHelp(tr("予約の id か先頭", "The booking's id or its beginning."), valueName: "id"))
        var id: String
        @Argument(
            help: ArgumentHelp(tr("項目=値。例: phone=03-1234-5678", "What changes."), valueName: "field=value")
        )
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (booking, changed) = try globals.site().setBooking(id, fields)
            globals.confirm(JSON(booking), Plain.changed(booking.record.id, changed))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("予約の一覧", "Lists bookings."))
        @Argument(help: ArgumentHelp(tr("教室コードか id。なければすべて", "A lesson; all of them without it."), valueName: "lesson"))
        var lesson: String?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let bookings = try globals.site().bookings(lesson: lesson)
            globals.show(.array(bookings.map { JSON($0) })) { Plain.bookings(bookings) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("一つを見る", "Shows one booking."))
        @Argument(help: ArgumentHelp(tr("予約の id か先頭", "The booking's id or its beginning."), valueName: "id"))
        var id: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().booking(id)
            globals.show(JSON(booking)) {
                tr("状態", "status") + ": " + Plain.answer(booking) + "\n"
                    + (booking.cancelReason.map { tr("取消の理由: ", "cancelled: ") + $0.string + "\n" } ?? "")
                    + Plain.record(booking.record)
            }
        }
    }
}
