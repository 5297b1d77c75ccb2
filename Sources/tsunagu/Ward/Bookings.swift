// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Bookings: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "booking",
        abstract: tr("予約", "Bookings."),
        subcommands: [
            Add.self, Accept.self, Attend.self, Cancel.self, Link.self, List.self, Promote.self, Set.self, Show.self,
        ]
    )

    /// What one booking is named by.
    struct Name: ParsableArguments {
        @Argument(help: ArgumentHelp(tr("予約の id か先頭", "The booking's id or its beginning."), valueName: "id"))
        var id: String
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("予約する", "Books a seat."),
            discussion: tr(
                "確定かキャンセル待ちかを答えます。同じ人の同じ教室の予約は一つです。",
                "Answers whether it is confirmed or waits. One person has one booking of a lesson."
            )
        )
        @OptionGroup var lessonName: Lessons.Name
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
                let booking = try site.admitWalkIn(lesson: lessonName.lesson, person, needs: needs, reason: reason)
                globals.confirm(JSON(booking), Plain.marked(booking))
                return globals.warn(of: site.remark(on: booking, isMark: true))
            }
            let bookings = try site.addBookings(
                lesson: lessonName.lesson,
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
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().cancelBooking(name.id, reason: why.reason)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }

    struct Link: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("氏名だけの予約を住民と結ぶ", "Says which resident a booking is of.")
        )
        @OptionGroup var name: Name
        @Option(help: ArgumentHelp(tr("住民の宛名番号か id", "The resident's number or id."), valueName: "id"))
        var resident: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().linkBooking(name.id, resident: resident)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("氏名、電話、配慮などを直す", "Corrects name, phone, needs and the like."),
            discussion: tr("席や順番はそのままです。", "Seat and place in the queue stay.")
        )
        @OptionGroup var name: Name
        @Argument(
            help: ArgumentHelp(tr("項目=値。例: phone=03-1234-5678", "What changes."), valueName: "field=value")
        )
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (booking, changed) = try globals.site().setBooking(name.id, fields)
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
        @OptionGroup var name: Name
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().booking(name.id)
            globals.show(JSON(booking)) {
                tr("状態", "status") + ": " + Plain.answer(booking) + "\n"
                    + (booking.cancelReason.map { tr("取消の理由: ", "cancelled: ") + $0.string + "\n" } ?? "")
                    + Plain.record(booking.record)
            }
        }
    }
}
