// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands

extension CommandError {
    /// What the parser found wrong with a command line.
    ///
    /// - Parameter whole: all that the parser would say; it names the help of the command that was meant.
    init(usage message: String, whole: String) {
        let help = whole.firstMatch(of: #/See '(.+?)'/#).map { String($0.1) } ?? "tsunagu --help"
        self.init(.usage, Localized(usage: message), hint: .help(help))
    }
}

extension Localized {
    fileprivate static func help(_ command: String) -> Localized {
        Localized(ja: "使い方は \(command) で見られます", en: "see '\(command)'")
    }
}

extension ParsableCommand {
    /// What is wrong with the words that name a command; `nil` where the parser is to judge.
    ///
    /// The parser takes a word that is no command for an argument, and then complains of the options behind it.
    static func misnamed(_ arguments: ArraySlice<String>, path: String = "tsunagu") -> CommandError? {
        let known = configuration.subcommands
        guard !known.isEmpty, let word = arguments.first, word != "help" else { return nil }
        if let next = known.first(where: { ([$0._commandName] + $0.configuration.aliases).contains(word) }) {
            return next.misnamed(arguments.dropFirst(), path: "\(path) \(word)")
        }
        let isOption = word.hasPrefix("-")
        guard !isOption || GlobalOptions.isShared(word) else { return nil }
        let names = known.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        let help = Localized.help("\(path) --help")
        return CommandError(
            .usage,
            isOption
                ? Localized(ja: "\(path) の命令がありません", en: "no command is given to \(path)")
                : Localized(ja: "\(path) に \(word) という命令はありません", en: "\(path) has no command '\(word)'"),
            hint: Localized(
                ja: "命令: \(names.joined(separator: "、"))。\(help.ja)",
                en: "commands: \(names.joined(separator: ", ")); \(help.en)"
            )
        )
    }
}
