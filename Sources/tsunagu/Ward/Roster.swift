// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

extension Lessons {
    struct Roster: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("名簿", "Who comes to a lesson."),
            discussion: tr(
                "カナの順です。--print で印刷した紙の番号は、この端末ではその後も変わりません。",
                "By kana. What --print has numbered keeps its number on this machine."
            )
        )
        @OptionGroup var name: Name
        @Option(
            name: .customLong("print"),
            help: ArgumentHelp(
                tr("印刷できる HTML を書くファイル。- は標準出力", "A file for a page to print; - is standard output."),
                valueName: "file"
            ),
            completion: .file()
        )
        var file: String?
        @Option(help: ArgumentHelp(tr("当日来た人を書く行の数", "Empty lines for walk-ins."), valueName: "n"))
        var blank = 8
        @Flag(help: ArgumentHelp(tr("まだ来ていない人だけ", "Only who has a seat and was not seen.")))
        var missing = false
        @Flag(help: ArgumentHelp(tr("番号を付け直す。前に印刷した紙は使えない", "Number anew; pages of before are void.")))
        var renumber = false
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard 0...100 ~= blank else {
                throw ValidationError(tr("--blank は 0〜100 です", "--blank is 0 to 100"))
            }
            if missing, file != nil {
                throw ValidationError(tr("--missing は --print とともに使えません", "--missing does not go with --print"))
            }
            if renumber, file == nil {
                throw ValidationError(tr("--renumber は --print とともに使います", "--renumber goes with --print"))
            }
        }

        func run() throws {
            let site = try globals.site()
            guard let file else {
                let roster = try site.roster(name.lesson)
                let lines = missing ? roster.missing : roster.lines
                return globals.show(JSON(roster, lines)) { Plain.roster(roster, lines) }
            }
            let roster = try site.printRoster(
                name.lesson,
                to: file,
                in: .current,
                blankLines: blank,
                renumbers: renumber
            ) { TokyoTime(milliseconds: $0).plain }
            guard file != "-" else { return }
            globals.confirm(
                .object([("file", .text(file)), ("people", JSON(roster.lines.count))]),
                tr("\(roster.lines.count)名の名簿を書きました: \(file)", "a roster of \(roster.lines.count) written: \(file)")
            )
        }
    }
}

extension JSON {
    init(_ roster: LessonRoster, _ lines: [LessonRoster.Line]) {
        let lesson = roster.lesson
        let people = lines.map { line in
            JSON.object([
                ("number", JSON(line.number)), ("id", JSON(line.booking.record.id)),
                ("status", .text(line.booking.status)), ("position", JSON(line.booking.position)),
                ("name", JSON(line.booking.record.text("name"))), ("kana", JSON(line.booking.record.text("kana"))),
                ("phone", JSON(line.booking.record.text("phone"))),
                ("age_group", JSON(line.booking.record.text("age_group"))),
                ("needs", .array(line.needs.map { .text($0) })), ("counts", .bool(line.booking.usesSeat)),
            ])
        }
        self = .object([
            ("lesson", JSON(lesson.record.id)), ("code", JSON(lesson.record.text("code"))),
            ("title", JSON(lesson.record.text("title"))), ("date", JSON(lesson.record.text("date"))),
            ("time", JSON(lesson.time)), ("capacity", roster.capacity.map { .integer($0) } ?? .null),
            ("confirmed", JSON(lesson.confirmed)), ("waiting", JSON(lesson.waiting)), ("free", JSON(roster.free)),
            ("present", JSON(roster.presentCount)), ("missing", JSON(roster.missing.count)),
            ("people", .array(people)),
        ])
    }
}

extension Plain {
    static func roster(_ roster: LessonRoster, _ lines: [LessonRoster.Line]) -> String {
        let record = roster.lesson.record
        let head = [record.text("title"), record.text("date")].compactMap { $0?.string } + [roster.lesson.time ?? ""]
        var table = TextTable([
            tr("番号", "no."), tr("氏名", "name"), tr("カナ", "kana"), tr("状態", "status"), tr("配慮", "needs"),
            tr("電話", "phone"),
        ])
        for line in lines {
            table.row([
                String(line.number), line.text("name"), line.text("kana"), status(line.booking),
                line.needs.joined(separator: tr("、", ", ")), line.text("phone"),
            ])
        }
        let seen = tr(
            "来た人 \(roster.presentCount)名、まだの人 \(roster.missing.count)名",
            "\(roster.presentCount) there, \(roster.missing.count) missing"
        )
        return head.joined(separator: "  ") + "\n" + tr(roster.notice) + "\n" + seen + "\n"
            + (table.isEmpty ? tr("誰もいません", "there is nobody") + "\n" : table.text)
    }
}
