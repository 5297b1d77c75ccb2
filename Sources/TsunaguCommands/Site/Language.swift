// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A language that people are spoken to in.
package enum Language: String, Sendable {
    case ja, en

    /// The one that the environment asks for: Japanese, unless it says English.
    package init(environment: (String) -> String?) {
        // The order in which the C library looks.
        let value = ["LC_ALL", "LC_MESSAGES", "LANG"].lazy.compactMap(environment).first { !$0.isEmpty }
        self = value?.hasPrefix("en") == true ? .en : .ja
    }
}

extension Localized {
    package func text(in language: Language) -> String { language == .ja ? ja : en }
}
