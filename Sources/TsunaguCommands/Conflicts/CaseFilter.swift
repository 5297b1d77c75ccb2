// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// Which cases of the inbox are meant, where many are decided at once: `key=value`.
package struct CaseFilter: Sendable {
    /// What is compared.
    package enum Key: String, CaseIterable, Sendable {
        /// The name of a site that had a part in it.
        case site
        /// Who an import's rows came from that had a part in it.
        case source
        case space
        case collection
        /// The merge group, or `life` for an edit against a deletion.
        case group
    }

    private let key: Key
    private let value: ExactText

    /// Reads what a person typed.
    ///
    /// - Throws: 64 where it is not `key=value` with a key that there is.
    package init(typed text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let key = Key(rawValue: parts[0]) else {
            let keys = Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandError(
                .usage,
                Localized(ja: "条件「\(text)」は 名前=値 の形ではありません", en: "'\(text)' is no condition like key=value"),
                hint: Localized(ja: "名前は \(keys) のどれかです", en: "the key is one of \(keys)")
            )
        }
        self.key = key
        value = ExactText(parts[1])
    }

    /// Whether a case is one of those meant.
    func matches(_ open: Case) -> Bool {
        switch key {
        case .site: open.values.contains { $0.author.site == value }
        case .source: open.values.contains { $0.source == value }
        case .space: ExactText(open.space.name) == value
        case .collection: open.collection.map { ExactText($0.name) } == value
        case .group: ExactText(open.group?.name ?? "life") == value
        }
    }
}
