// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Procedures: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "procedure",
        abstract: tr("手続", "Procedures of the guide."),
        subcommands: [List.self, Show.self, Set.self]
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("手続の一覧", "Lists procedures."))
        @Argument(help: ArgumentHelp(tr("含む言葉", "Words that must be found."), valueName: "text"))
        var words: [String] = []
        @Flag(help: ArgumentHelp(tr("削除したものも", "Deleted ones too.")))
        var all = false
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let views = try globals.site().procedures(matching: words.joined(separator: " "), all: all)
            globals.show(.array(views.map { JSON($0) })) {
                var table = TextTable([
                    tr("コード", "code"), tr("手続名", "name"), tr("担当課", "owner"), tr("オンライン", "online"),
                    tr("キャッシュレス", "cashless"),
                ])
                for view in views {
                    table.row(["code", "name", "owner", "online", "cashless"].map { view.text($0)?.string ?? "" })
                }
                return table.isEmpty ? tr("手続はありません", "there are no procedures") : table.text
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("一つを見る", "Shows one procedure."))
        @Argument(help: ArgumentHelp(tr("手続コードか id", "The code or id."), valueName: "id"))
        var id: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let view = try globals.site().procedure(id)
            globals.show(JSON(view)) { Plain.record(view) }
        }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("項目を変える", "Changes fields."))
        @Argument(help: ArgumentHelp(tr("手続コードか id", "The code or id."), valueName: "id"))
        var id: String
        @Argument(help: ArgumentHelp(tr("項目=値", "What changes."), valueName: "field=value"))
        var fields: [String]
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let (id, changed) = try globals.site().setProcedure(id, fields)
            globals.confirm(.changed(id, changed), Plain.changed(id, changed))
        }
    }
}
