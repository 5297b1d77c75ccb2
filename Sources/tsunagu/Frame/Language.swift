// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

/// The language that people are spoken to in: Japanese, unless the environment or `--lang` says English.
enum Language: String {
    case ja, en

    /// Settled once, before anything is said: help texts are made of it too.
    static let current = detect(CommandLine.arguments)

    private static func detect(_ arguments: [String]) -> Language {
        for (index, word) in arguments.enumerated() {
            if word == "--" { break }
            if word == "--lang", index + 1 < arguments.count, let named = Language(rawValue: arguments[index + 1]) {
                return named
            }
            if word.hasPrefix("--lang="), let named = Language(rawValue: String(word.dropFirst(7))) { return named }
        }
        // The order in which the C library looks.
        for name in ["LC_ALL", "LC_MESSAGES", "LANG"] {
            guard let value = environment(name) else { continue }
            return value.hasPrefix("en") ? .en : .ja
        }
        return .ja
    }
}

/// Says a sentence in the language of the day.
func tr(_ ja: String, _ en: String) -> String { Language.current == .ja ? ja : en }

func tr(_ text: Localized) -> String { tr(text.ja, text.en) }

/// A number of things in English.
func counted(_ count: Int, _ thing: String) -> String { "\(count) \(thing)\(count == 1 ? "" : "s")" }

/// A variable of the environment; `nil` where it is unset or empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name), value.pointee != 0 else { return nil }
    return String(cString: value)
}
