// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// 297 procedures of a ward, the size of Chiyoda's guide.
///
/// What they are called and cost is typical, not authoritative.
///
/// The three tables are read line by line. A line `@owner|life events|counters|documents|deadline|online|sentence` says
/// what the lines below it share; `stem/kana = act/kana:fee!online, …` is a procedure for each act, `stemのact`. The fee
/// is in yen, nothing is free and ? is unknown; `!` overrides what the shared line says about online filing.
enum ProcedureCatalogue {
    static let columns = [
        "code", "name", "kana", "summary", "life_events", "counters", "hours", "documents", "fee", "online",
        "online_from", "cashless", "cashless_from", "deadline", "owner", "source", "checked_on", "url",
    ]

    /// As many procedures take cashless payment as the ward reports; the certificates, asked for most, come first.
    static let cashlessCount = 58

    private struct Shared {
        let number: Int
        let parts: [String]

        var owner: String { parts[0] }
        var lifeEvents: String { parts[1] }
        var counters: String { parts[2] }
        var documents: String { parts[3] }
        var deadline: String { parts[4] }
        var online: String { parts[5] }
        var sentence: String { parts[6] }
    }

    /// The rows of the file; the seed moves the days on which things began and were checked.
    static func rows(seed: UInt64) -> [[String]] {
        var random = SplitMix64(seed: seed, stream: 3)
        var rows: [[String]] = []
        var shared = Shared(number: 0, parts: [])
        var inGroup = 0
        var cashless = 0
        for table in [register, family, city] {
            for line in table.split(separator: "\n") {
                if line.hasPrefix("@") {
                    let parts = line.dropFirst().split(separator: "|", omittingEmptySubsequences: false)
                    shared = Shared(number: shared.number + 1, parts: parts.map(String.init))
                    inGroup = 0
                    continue
                }
                let sides = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let stem = sides[0].split(separator: "/").map { $0.split(separator: " ").joined() }
                for act in sides[1].split(separator: ",") {
                    inGroup += 1
                    let isCashless = cashless < cashlessCount && takesMoney(act)
                    if isCashless { cashless += 1 }
                    let code = "P" + SamplePeople.padded(shared.number, 2) + SamplePeople.padded(inGroup, 2)
                    rows.append(row(code, stem.first == "" ? [] : stem, act, shared, isCashless, &random))
                }
            }
        }
        return rows
    }

    private static func takesMoney(_ act: Substring) -> Bool {
        guard let fee = fee(act) else { return false }
        return fee != "0" && fee != ""
    }

    /// What stands between the colon and the exclamation mark: "" is unknown, `nil` free.
    private static func fee(_ act: Substring) -> String? {
        guard let colon = act.firstIndex(of: ":") else { return nil }
        let fee = act[act.index(after: colon)...].prefix { $0 != "!" }
        return fee == "?" ? "" : String(fee)
    }

    private static func row(
        _ code: String,
        _ stem: [String],
        _ act: Substring,
        _ shared: Shared,
        _ isCashless: Bool,
        _ random: inout SplitMix64
    ) -> [String] {
        let words = act.split(separator: "!")
        let reading = words[0].split(separator: ":")[0].split(separator: "/")
        let title = reading[0].split(separator: " ").joined()
        let name = stem.isEmpty ? title : stem[0] + "の" + title
        let kana = stem.isEmpty ? String(reading[1]) : stem[1] + "ノ" + reading[1]
        let online = words.count > 1 ? String(words[1]) : shared.online
        let opened = Day(year: random.within(2020...2026), month: random.within(1...10), day: 1)!
        let paid = Day(year: random.within(2022...2025), month: random.within(1...12), day: 1)!
        let checked = Day(year: 2026, month: random.within(4...10), day: random.within(1...28))!
        return [
            code, name, kana, "\(name)。\(shared.sentence)", shared.lifeEvents, shared.counters,
            shared.counters.split(separator: "、").contains("出張所") ? "平日8:30-17:00、水曜19:00まで" : "平日8:30-17:00",
            shared.documents, fee(act) ?? "0", online, online == "no" ? "" : opened.description,
            isCashless ? "yes" : "no", isCashless ? paid.description : "", shared.deadline, shared.owner,
            "手続きガイド（架空）", checked.description, "https://ward.example/procedures/" + code.lowercased(),
        ]
    }
}
