// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Residents: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resident",
        abstract: tr("住民", "Residents."),
        subcommands: [
            Add.self, Show.self, Find.self, Set.self, Note.self, History.self, Delete.self, Revive.self, Protect.self,
            Unprotect.self, Erase.self,
        ]
    )

    /// What one resident is named by.
    struct Name: ParsableArguments {
        @Argument(
            help: ArgumentHelp(
                tr("宛名番号、id、または id の先頭", "The number, the id, or the beginning of the id."),
                valueName: "id"
            )
        )
        var id: String
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("住民を加える", "Adds a resident."))
        @Argument(help: ArgumentHelp(tr("項目=値", "What is known."), valueName: "field=value"))
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let id = try globals.site().addResident(fields)
            globals.confirm(.object([("id", JSON(id))]), id.description)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("一人を見る", "Shows one resident."))
        @OptionGroup var name: Name
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let view = try globals.site().resident(name.id)
            globals.show(JSON(view)) { Plain.record(view) }
        }
    }

    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("氏名、カナ、番号、電話の一部で探す", "Finds residents by a part of name, kana, number or phone.")
        )
        @Argument(help: ArgumentHelp(tr("探す言葉。すべて含むものを探す", "Words; all must be found."), valueName: "text"))
        var words: [String]
        @Flag(help: ArgumentHelp(tr("削除した人も探す", "Find deleted residents too.")))
        var all = false
        @Option(help: ArgumentHelp(tr("最大件数", "Answers at most."), valueName: "n"))
        var limit = Site.findLimit
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard (1...10_000).contains(limit) else {
                throw ValidationError(tr("--limit は1から10000です", "--limit is 1 to 10000"))
            }
        }

        func run() throws {
            let views = try globals.site().findResidents(words.joined(separator: " "), all: all, limit: limit)
            globals.show(.array(views.map { JSON($0) })) { Plain.residents(views) }
            // A clerk who does not see the person must not conclude that nobody is there.
            if views.count == limit, !globals.quiet, !globals.json {
                Standard.error.write(tr("まだあるかもしれません（--limit で増やせます）\n", "there may be more (raise --limit)\n"))
            }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("項目を変える", "Changes fields."))
        @OptionGroup var name: Name
        @Argument(help: ArgumentHelp(tr("項目=値", "What changes."), valueName: "field=value"))
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (id, changed) = try globals.site().setResident(name.id, fields)
            globals.confirm(.changed(id, changed), Plain.changed(id, changed))
        }
    }

    struct Note: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("記事を書き足す", "Appends a note."))
        @OptionGroup var name: Name
        @Argument(help: ArgumentHelp(tr("文", "The text."), valueName: "text"))
        var text: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let id = try globals.site().noteResident(name.id, text)
            globals.confirm(.object([("id", JSON(id))]), id.description)
        }
    }

    struct History: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("これまでの値をすべて見る", "Shows every value that a resident ever had.")
        )
        @OptionGroup var name: Name
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let entries = try globals.site().residentHistory(name.id)
            globals.show(.array(entries.map { JSON($0) })) { Plain.history(entries) }
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("除票にする（記録は残る）", "Marks a resident as deleted; nothing is lost.")
        )
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let id = try globals.site().deleteResident(name.id, reason: why.reason)
            globals.confirm(
                .object([("id", JSON(id)), ("deleted", .bool(true))]),
                tr("除票にしました: \(id)", "deleted: \(id)")
            )
        }
    }

    struct Revive: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("除票を戻す", "Brings a deleted resident back."))
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let id = try globals.site().reviveResident(name.id, reason: why.reason)
            globals.confirm(
                .object([("id", JSON(id)), ("deleted", .bool(false))]),
                tr("戻しました: \(id)", "revived: \(id)")
            )
        }
    }
}

extension Residents {
    struct Protect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("支援措置の対象にする", "Puts a resident under protection."),
            discussion: tr(
                "記録は residents/protected に移り、ほかの端末からは消えます。理由もそこだけに残ります。",
                "The record moves to residents/protected and is erased elsewhere; the reason stays there too."
            )
        )
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let done = try globals.site().protectResident(name.id, reason: why.reason)
            let said =
                done.wasProtected
                ? tr("すでに支援措置の対象です。改めて記録しました", "protected before; said again, which is on record")
                : tr("支援措置の対象にしました", "protected")
            globals.confirm(.act(done, "protected", true), Plain.act(done, said))
        }
    }

    struct Unprotect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("支援措置を解く", "Ends a resident's protection."),
            discussion: tr(
                "消した記録の id は戻りません。新しい id で、宛名番号はそのままです。",
                "An erased id never comes back: the record gets a new one and keeps its number."
            )
        )
        @OptionGroup var name: Name
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let done = try globals.site().unprotectResident(name.id, reason: why.reason)
            globals.confirm(.act(done, "protected", false), Plain.act(done, tr("支援措置を解きました", "released")))
        }
    }
}

extension Residents {
    struct Erase: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("住民の記録を完全に消す", "Erases a resident for good."),
            discussion: tr(
                "値は、記録を持つすべての端末の表とログから、次の同期で消えます。元には戻せません。値のない控えと理由だけが残ります。除票は delete です。",
                """
                The values leave the tables and logs of every site that holds the record, with its next sync. Nothing \
                brings them back; a receipt without values and the reason stay. To strike somebody off the register, \
                use 'delete'.
                """
            )
        )
        @OptionGroup var name: Name
        @Option(help: ArgumentHelp(tr("理由（残るので個人の情報は書かない）", "Why; it stays, so it names nobody."), valueName: "text"))
        var reason: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let done = try globals.site().eraseResident(name.id, reason: reason)
            globals.confirm(.act(done, "erased", true), Plain.act(done, tr("完全に消しました", "erased")))
        }
    }
}

extension JSON {
    static func act(_ done: Site.ActOnPerson, _ what: String, _ isSo: Bool) -> JSON {
        .object([
            ("id", JSON(done.id)), (what, .bool(isSo)),
            ("bookings", .array(done.bookings.map { JSON($0) })),
        ])
    }

    static func changed(_ id: RecordID, _ fields: [String]) -> JSON {
        .object([("id", JSON(id)), ("changed", .array(fields.map { .text($0) }))])
    }
}

extension Plain {
    static func act(_ done: Site.ActOnPerson, _ what: String) -> String {
        var text = "\(what): \(done.id)"
        if !done.bookings.isEmpty {
            let ids = done.bookings.map(\.description).joined(separator: "\n  ")
            text += tr("\n教室の空間に名前が残る予約:\n  \(ids)", "\nbookings that tell a lesson's space the name:\n  \(ids)")
        }
        return text
    }

    static func changed(_ id: RecordID, _ fields: [String]) -> String {
        fields.isEmpty
            ? tr("変わりはありません: \(id)", "nothing changed: \(id)")
            : tr("変えました（\(fields.joined(separator: "、"))）: \(id)", "changed \(fields.joined(separator: ", ")): \(id)")
    }
}
