// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

#if canImport(Glibc)
    import Glibc
#endif

/// What every command understands, before its name and after it.
struct GlobalOptions: ParsableArguments {
    @Option(help: ArgumentHelp(tr("データの場所", "The data directory."), valueName: "dir"), completion: .directory)
    var data: String?

    @Flag(help: ArgumentHelp(tr("JSON で出力する", "Print one JSON document.")))
    var json = false

    @Flag(name: .shortAndLong, help: ArgumentHelp(tr("成功したときは何も言わない", "Say nothing where all is well.")))
    var quiet = false

    @Flag(name: .shortAndLong, help: ArgumentHelp(tr("詳しく言う", "Say more, on standard error.")))
    var verbose = false

    @Option(help: ArgumentHelp(tr("言語: ja か en", "The language: ja or en."), valueName: "ja|en"))
    var lang: String?

    @Option(
        name: .customLong("operator"),
        help: ArgumentHelp(tr("操作者", "The person at the keyboard."), valueName: "name")
    )
    var operatorName: String?

    func validate() throws {
        if let lang, Language(rawValue: lang) == nil {
            throw ValidationError(tr("--lang は ja か en です", "--lang is ja or en"))
        }
        if quiet, verbose {
            throw ValidationError(tr("--quiet と --verbose は両立しません", "--quiet and --verbose exclude each other"))
        }
    }

    private static let flags = ["--json", "--quiet", "-q", "--verbose", "-v"]
    private static let valued = ["--data", "--lang", "--operator"]

    /// Whether a word is an option that every command understands.
    static func isShared(_ word: String) -> Bool {
        flags.contains(word) || valued.contains { word == $0 || word.hasPrefix($0 + "=") }
    }

    /// Puts the options that every command understands behind its name, where its own options stand.
    static func reorder(_ arguments: [String]) -> [String] {
        var own: [String] = []
        var shared: [String] = []
        var index = 0
        while index < arguments.count, arguments[index] != "--" {
            let word = arguments[index]
            index += 1
            guard isShared(word) else {
                own.append(word)
                continue
            }
            shared.append(word)
            if valued.contains(word), index < arguments.count {
                shared.append(arguments[index])
                index += 1
            }
        }
        return own + shared + arguments[index...]
    }
}

extension GlobalOptions {
    /// `--data`, else `TSUNAGU_DATA`, else the XDG data home.
    var directory: DataDirectory {
        if let path = data ?? environment("TSUNAGU_DATA") { return DataDirectory(path) }
        if let base = environment("XDG_DATA_HOME"), base.hasPrefix("/") { return DataDirectory(base + "/tsunagu") }
        return DataDirectory((environment("HOME") ?? "") + "/.local/share/tsunagu")
    }

    /// `--operator`, else `TSUNAGU_OPERATOR`, else the login name.
    var person: Operator {
        let name = operatorName ?? environment("TSUNAGU_OPERATOR") ?? Self.loginName ?? "uid-\(getuid())"
        return Operator(id: ExactText(name), label: ExactText(name))
    }

    private static var loginName: String? {
        guard let entry = getpwuid(getuid()), let name = entry.pointee.pw_name else { return nil }
        return String(cString: name)
    }

    /// Opens the site of the data directory.
    func site() throws -> Site {
        let (directory, person) = (directory, person)
        guard (1...256).contains(person.id.utf8.count) else {
            throw CommandError(
                .usage,
                Localized(ja: "操作者の名前は1〜256バイトです", en: "an operator's name has 1 to 256 bytes")
            )
        }
        remark("\(tr("データ", "data")): \(directory.path)  \(tr("操作者", "operator")): \(person.label)")
        return try Site.open(directory, person: person)
    }
}
