// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

@main
enum Main {
    static func main() {
        let arguments = GlobalOptions.reorder(Array(CommandLine.arguments.dropFirst()))
        exit(run(arguments))
    }

    private static func run(_ arguments: [String]) -> Int32 {
        do {
            if let error = Tsunagu.misnamed(arguments[...]) { throw error }
            var command = try Tsunagu.parseAsRoot(arguments)
            try command.run()
            return 0
        } catch {
            return report(error, isJSON: arguments.prefix { $0 != "--" }.contains("--json"))
        }
    }

    /// Tells an error where errors belong.
    ///
    /// - Returns: the exit status.
    private static func report(_ error: any Error, isJSON: Bool) -> Int32 {
        switch error {
        case let error as CommandError:
            complain(error, isJSON: isJSON)
            return error.code.exitStatus
        case let failure as ImportFailure:
            complain(failure, isJSON: isJSON)
            return CommandError.Code.badInput.exitStatus
        case let code as ExitCode:
            return code.rawValue
        default:
            let code = Tsunagu.exitCode(for: error)
            if code == .success {
                Standard.output.write(Tsunagu.fullMessage(for: error) + "\n")
                return 0
            }
            guard code == .validationFailure else {
                complain(CommandError(.failed, Localized(ja: "\(error)", en: "\(error)")), isJSON: isJSON)
                return 1
            }
            let whole = Tsunagu.fullMessage(for: error)
            complain(CommandError(usage: Tsunagu.message(for: error), whole: whole), isJSON: isJSON)
            return CommandError.Code.usage.exitStatus
        }
    }

    private static func complain(_ error: CommandError, isJSON: Bool) {
        if isJSON { return Standard.error.write(JSON.object([("error", JSON(error))]).line) }
        var text = "tsunagu: \(tr(error.message))\n"
        if let record = error.record { text += "  \(tr("対象", "concerns")): \(record)\n" }
        if let hint = error.hint { text += "  → \(tr(hint))\n" }
        Standard.error.write(Visible.text(text))
    }

    private static func complain(_ failure: ImportFailure, isJSON: Bool) {
        if isJSON { return Standard.error.write(JSON.object([("error", JSON(failure))]).line) }
        var text = ""
        for problem in failure.problems { text += "\(failure.file):\(problem.line): \(problem.sentence)\n" }
        let count =
            failure.isCut
            ? tr("\(failure.problems.count)件以上", "\(failure.problems.count) or more")
            : tr("\(failure.problems.count)件", "\(failure.problems.count)")
        text += tr(
            "tsunagu: 問題が\(count)あります。何も取り込んでいません\n",
            "tsunagu: problems: \(count). Nothing was imported\n"
        )
        Standard.error.write(Visible.text(text))
    }
}

extension ImportProblem {
    /// What stands where, what is wrong with it, and what to do.
    var sentence: String {
        let place = column.map { "\($0)\(value.map { tr("「\($0)」", " \"\($0)\"") } ?? ""): " } ?? ""
        return place + tr("\(message.ja)。\(hint.ja)", "\(message.en). \(hint.en)")
    }
}

/// The program and its commands.
struct Tsunagu: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tsunagu",
        abstract: tr("区役所の記録を、つながらない場所でも扱う", "Keeps a ward's records, connected or not."),
        discussion: tr(
            """
            共通の指定（--data、--json、--quiet、--verbose、--lang、--operator）は、命令の前にも後ろにも書けます。

            終了状態: 0 完了、1 失敗、64 使い方の誤り、65 入力の誤り（何も変えていない）、66 見つからない、
            69 相手につながらない（入力は保存済み）、75 やり直し、77 権限がない
            """,
            """
            --data, --json, --quiet, --verbose, --lang and --operator stand before or after the command.

            Exit status: 0 done, 1 failed, 64 usage, 65 bad input (nothing applied), 66 not found, 69 peer unreachable
            (work is kept), 75 try again, 77 not permitted.
            """
        ),
        version: "0.1.0",
        groupedSubcommands: [
            CommandGroup(
                name: tr("拠点", "Sites"),
                subcommands: [Init.self, Invite.self, Join.self, Sites.self, Sync.self, Status.self]
            ),
            CommandGroup(
                name: tr("記録", "Records"),
                subcommands: [
                    Residents.self, Procedures.self, Lessons.self, Bookings.self, Reminders.self, Conflicts.self,
                ]
            ),
            CommandGroup(
                name: tr("出し入れ", "Files"),
                subcommands: [
                    Import.self, Export.self, Bundles.self, Backup.self, Restore.self, Sample.self,
                ]
            ),
            CommandGroup(
                name: tr("点検", "Inspection"),
                subcommands: [Digest.self, Log.self, Audit.self, Doctor.self, Schema.self, DemoCommand.self]
            ),
        ]
    )
}
