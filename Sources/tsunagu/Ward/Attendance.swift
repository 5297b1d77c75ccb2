// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

extension Bookings {
    struct Attend: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("出席を記録する", "Notes who was there."),
            discussion: tr(
                "予約の id か、教室と名簿の番号で指定します。例: booking attend L1 3 5 7-9。一人でも記録できなければ、誰も記録しません。",
                "Names a booking, or a lesson and numbers of its roster: booking attend L1 3 5 7-9. All are noted or nobody."
            )
        )
        @Argument(
            help: ArgumentHelp(tr("予約の id、番号を書くときは教室", "A booking; with numbers, the lesson."), valueName: "id|lesson")
        )
        var target: String
        @Argument(
            help: ArgumentHelp(tr("名簿の番号。例: 3 7-9", "Numbers of the roster, such as 3 7-9."), valueName: "number")
        )
        var numbers: [String] = []
        @Flag(help: ArgumentHelp(tr("来なかったと記録する", "Notes that they did not come.")))
        var absent = false
        @Flag(
            name: .customLong("rest-absent"),
            help: ArgumentHelp(tr("席があり記録のない全員を欠席とする", "Notes as absent whoever has a seat and no mark."))
        )
        var restAbsent = false
        @Flag(help: ArgumentHelp(tr("記録を取り消して元に戻す", "Takes the mark back.")))
        var undo = false
        @Option(help: ArgumentHelp(tr("席のない人を入れた理由など", "Why somebody without a seat was let in."), valueName: "text"))
        var reason: String?
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard [absent, restAbsent, undo].count(where: { $0 }) < 2 else {
                throw ValidationError(
                    tr("--absent、--rest-absent、--undo は一つだけです", "give one of --absent, --rest-absent and --undo")
                )
            }
            guard !restAbsent || numbers.isEmpty else {
                throw ValidationError(tr("--rest-absent に番号は要りません", "--rest-absent takes no numbers"))
            }
            _ = try people()
        }

        /// The numbers, each once.
        private func people() throws -> [Int] {
            var out: [Int] = []
            for word in numbers {
                let ends = Self.halfWidth(word).split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
                guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, 1 <= first,
                    first <= last, last <= 1000
                else {
                    throw ValidationError(
                        tr("名簿の番号ではありません: \(word)（例: 3 7-9）", "no numbers of a roster: \(word) (such as 3 7-9)")
                    )
                }
                out += (first...last).filter { !out.contains($0) }
            }
            return out
        }

        /// Digits and hyphens as a Japanese keyboard may type them.
        private static func halfWidth(_ word: String) -> String {
            String(
                String.UnicodeScalarView(
                    word.unicodeScalars.map { scalar in
                        switch scalar.value {
                        case 0xFF10...0xFF19: Unicode.Scalar(scalar.value - 0xFEE0)!
                        case 0xFF0D, 0x30FC, 0x2212, 0x2010, 0x301C, 0xFF5E: "-"
                        default: scalar
                        }
                    }
                )
            )
        }

        func run() throws {
            let site = try globals.site()
            if restAbsent { return show(try site.markRestAbsent(lesson: target), site) }
            if numbers.isEmpty, (try? site.booking(target)) == nil, (try? site.lesson(target)) != nil {
                throw ValidationError(
                    tr(
                        "教室 \(target) の誰かを名簿の番号で書いてください（例: booking attend \(target) 3 7-9）",
                        "say who of lesson \(target) by numbers of its roster, such as: booking attend \(target) 3 7-9"
                    )
                )
            }
            let mark: AttendanceMark = absent ? .absent : undo ? .undone : .attended
            let numbers = try people()
            let names =
                numbers.isEmpty
                ? [target]
                : try numbers.map { try site.booking(lesson: target, number: $0).record.id.description }
            let marked = try site.mark(mark, names, reason: reason)
            if marked.count > 1 { return show(marked, site) }
            globals.confirm(JSON(marked[0]), Plain.marked(marked[0]))
            globals.warn(of: site.remark(on: marked[0], isMark: true))
        }

        private func show(_ bookings: [BookingView], _ site: Site) {
            globals.confirm(
                .array(bookings.map { JSON($0) }),
                bookings.isEmpty
                    ? tr("記録する人はいません", "there is nobody to note")
                    : bookings.map(Plain.marked).joined(separator: "\n")
            )
            globals.warn(of: bookings.first.flatMap { site.remark(on: $0, isMark: true) })
        }
    }

    struct Promote: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("待っている人を先にする", "Puts somebody who waits before the others."),
            discussion: tr(
                "席が増えるわけではありません。次に空いた席がこの人のものになり、理由は誰にでも見えます。",
                "It makes no seat: the next free one is this person's, and everybody sees why."
            )
        )
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @Option(
            name: .customLong("answer-by"),
            help: ArgumentHelp(tr("席を案内だけし、この日まで返事を待つ", "Only offers the seat until this day."), valueName: "date")
        )
        var answerBy: String?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().promoteBooking(name.id, reason: why.reason, answerBy: answerBy)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }

    struct Accept: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("案内した席を受ける", "Notes that somebody takes the seat that is offered.")
        )
        @OptionGroup var name: Name
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let booking = try globals.site().acceptOffer(name.id)
            globals.confirm(JSON(booking), Plain.answered(booking))
        }
    }
}

extension Plain {
    static func marked(_ booking: BookingView) -> String {
        let name = booking.record.text("name")?.string ?? ""
        return "\(status(booking)): \(name) \(booking.record.id)"
    }
}
