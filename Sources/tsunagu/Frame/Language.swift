// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

extension Language {
    /// Settled once, before anything is said: help texts are made of it too.
    static let current = detect(CommandLine.arguments)

    /// The one that `--lang` names, else the environment's.
    private static func detect(_ arguments: [String]) -> Language {
        for (index, word) in arguments.enumerated() {
            if word == "--" { break }
            if word == "--lang", index + 1 < arguments.count, let named = Language(rawValue: arguments[index + 1]) {
                return named
            }
            if word.hasPrefix("--lang="), let named = Language(rawValue: String(word.dropFirst(7))) { return named }
        }
        return Language(environment: environment)
    }
}

/// Says a sentence in the language of the day.
func tr(_ ja: String, _ en: String) -> String { Language.current == .ja ? ja : en }

func tr(_ text: Localized) -> String { text.text(in: .current) }

/// A number of things in English.
func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

/// A variable of the environment; `nil` where it is unset or empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}
