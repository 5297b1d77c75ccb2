// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

extension Case.Kind: ExpressibleByArgument {}

struct Conflicts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conflict",
        abstract: tr("人が決めること", "What a person has to decide."),
        subcommands: [List.self, Show.self, Resolve.self]
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("競合、要確認、隔離の一覧", "Lists conflicts, findings and what is quarantined.")
        )
        @Option(help: ArgumentHelp(tr("一種類だけ", "One kind alone."), valueName: "conflict|finding|quarantine"))
        var kind: Case.Kind?
        @Option(help: ArgumentHelp(tr("この拠点が関わったものだけ", "What this site had a part in."), valueName: "name"))
        var site: String?
        @Option(
            help: ArgumentHelp(
                tr("この提供元の取込みが関わったものだけ", "What an import from this source had a part in."),
                valueName: "name"
            )
        )
        var source: String?
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let cases = try globals.site().cases(kind, site: site, source: source)
            globals.show(.array(cases.map { JSON($0) })) { Plain.cases(cases) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("値を並べて見る", "Shows the values side by side."))
        @Argument(help: ArgumentHelp(tr("競合の id", "The conflict's id."), valueName: "id"))
        var id: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let open = try globals.site().openCase(id)
            globals.show(JSON(open)) { Plain.openCase(open) }
        }
    }

    struct Resolve: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("競合を決める", "Decides a conflict."),
            discussion: tr(
                "値を一つ選ぶ（--take 2）か、別の値を書きます（--set phone=03-1234-5678）。隔離された変更は --adopt で有効にします。",
                "Takes one of the values (--take 2), or writes others (--set phone=03-1234-5678). What is quarantined takes "
                    + "effect with --adopt."
            )
        )
        @Argument(help: ArgumentHelp(tr("競合の id", "The conflict's id."), valueName: "id"))
        var id: String?
        @Option(help: ArgumentHelp(tr("選ぶ値の番号", "The number of the value to take."), valueName: "n"))
        var take: Int?
        @Option(parsing: .upToNextOption, help: ArgumentHelp(tr("書く値", "Values to write."), valueName: "field=value"))
        var set: [String] = []
        @Flag(
            help: ArgumentHelp(
                tr("隔離された変更を、それより前の分とともに引き取る", "Adopts quarantined changes, and those before them of the same chain.")
            )
        )
        var adopt = false
        @Option(
            help: ArgumentHelp(
                tr("id の代わりに条件（いくつでも）", "Conditions instead of an id, as many as needed."),
                valueName: "site|source|space|collection|group=value"
            )
        )
        var filter: [String] = []
        @Option(
            help: ArgumentHelp(
                tr("この提供元の値を、その値がある競合すべてで選ぶ", "Takes this source's value in all conflicts that have one."),
                valueName: "name"
            )
        )
        var takeSource: String?
        @Flag(help: ArgumentHelp(tr("決めるものを見るだけで書かない", "Tells what would be decided, writes nothing.")))
        var dryRun = false
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard [take != nil, !set.isEmpty, adopt, takeSource != nil].filter({ $0 }).count == 1 else {
                throw ValidationError(
                    tr(
                        "--take、--set、--adopt、--take-source のどれか一つを指定してください",
                        "give one of --take, --set, --adopt and --take-source"
                    )
                )
            }
            guard (id == nil) == (takeSource != nil), takeSource != nil || (filter.isEmpty && !dryRun) else {
                throw ValidationError(
                    tr(
                        "一件なら id を、多くをまとめて決めるなら id なしで --take-source（と --filter、--dry-run）を指定してください",
                        "name one by its id, or decide many without an id by --take-source, with --filter and --dry-run"
                    )
                )
            }
        }

        func run() throws {
            if let takeSource { return try resolveAll(takeSource) }
            guard let id else { preconditionFailure("arguments were validated") }
            if adopt { return globals.confirmAdoption(of: id, try globals.site().adopt(case: id, reason: why.reason)) }
            let decision: Decision = if let take { .take(take) } else { .set(set) }
            let record = try globals.site().resolve(id, decision, reason: why.reason)
            globals.confirm(
                .object([("id", .text(id)), ("record", JSON(record))]),
                tr("決めました: \(record)", "resolved: \(record)")
            )
        }

        private func resolveAll(_ source: String) throws {
            let decided = try globals.site().resolveAll(
                filter.map { try CaseFilter(typed: $0) },
                takingFrom: source,
                reason: why.reason,
                isDry: dryRun
            )
            globals.show(
                .object([
                    ("dry_run", .bool(dryRun)),
                    (
                        "resolved",
                        .array(
                            decided.map { open, n in
                                .object([
                                    ("id", .text(open.id)), ("record", JSON(open.records[0])), ("take", JSON(n)),
                                ])
                            }
                        )
                    ),
                ])
            ) {
                let cases = decided.isEmpty ? "" : Plain.cases(decided.map(\.open))
                let count = counted(decided.count, "conflict")
                return cases
                    + (dryRun
                        ? tr(
                            "決めるのは \(decided.count) 件です（書いていません）\n",
                            "\(count) would be decided (nothing was written)\n"
                        )
                        : tr("\(decided.count) 件を決めました\n", "\(count) decided\n"))
            }
        }
    }
}

extension GlobalOptions {
    /// Tells how many quarantined changes of a case or site took effect.
    func confirmAdoption(of name: String, _ changes: Int) {
        confirm(
            .object([("id", .text(name)), ("adopted", JSON(changes))]),
            tr("引き取りました: \(changes) 件", "adopted: \(counted(changes, "change"))")
        )
    }
}
