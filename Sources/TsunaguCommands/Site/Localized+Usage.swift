// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

extension Localized {
    /// What the parser of command lines says, which it says in English only; other sentences stay as they are.
    package init(usage english: String) {
        self.init(ja: Self.japanese(english) ?? english, en: english)
    }

    private static func japanese(_ english: String) -> String? {
        if let match = english.wholeMatch(of: #/Unknown option '(.+?)'(?:\. Did you mean '(.+)'\?)?/#) {
            let nearest = match.2.map { "（\($0) のことですか）" } ?? ""
            return "知らない指定です: \(match.1)\(nearest)"
        }
        if let match = english.wholeMatch(of: #/Missing value for '(.+)'/#) {
            return "値がありません: \(match.1)"
        }
        if let match = english.wholeMatch(of: #/Missing expected argument '(.+)'/#) {
            return "必要な指定がありません: \(match.1)"
        }
        if let match = english.wholeMatch(of: #/(?:Unexpected argument|\d+ unexpected arguments:) '(.+)'/#) {
            return "余分な引数です: \(match.1.split(separator: "', '").joined(separator: "、"))"
        }
        if let match = english.wholeMatch(of: #/The option '(.+?)' does not take any value, but '(.*)' was .+/#) {
            return "値を取らない指定です: \(match.1)（\(match.2)）"
        }
        if let match = english.wholeMatch(of: #/The value '(.*)' is invalid for '(.+?)'((?s).*)/#) {
            return "使えない値です: \(match.2)「\(match.1)」" + reason(String(match.3))
        }
        return nil
    }

    /// The values that may stand there, or our own sentence on the value.
    private static func reason(_ english: String) -> String {
        if english.hasPrefix(": ") { return "。" + english.dropFirst(2) }
        let values = english.matches(of: #/'([^']+)'|  - (\S+)/#).map { String($0.1 ?? $0.2 ?? "") }
        return values.isEmpty ? "" : "。次のどれかにしてください: " + values.joined(separator: "、")
    }
}
