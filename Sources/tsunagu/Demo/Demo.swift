// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// A whole ward in a temporary directory: real processes, real HTTPS, and every claim checked on what they print.
final class Demo {
    /// One step with what came of it.
    struct Step {
        let name: String
        let ok: Bool
        let detail: String
        let seconds: Double
    }

    private let residents: Int
    let directory: String
    private let isJapanese: Bool
    private let tell: (Step) -> Void
    let centre: DemoSite
    let kojimachi: DemoSite
    let jimbocho: DemoSite
    let venue: DemoSite
    private(set) var steps: [Step] = []

    private var space = ""
    private(set) var full = (id: "", capacity: 0)
    private(set) var shared: JSONValue = .null
    private var newcomer = ""
    private var conflicts: [JSONValue] = []

    /// - Parameters:
    ///   - programs: the folder of the two programs.
    ///   - tell: told each step as it ends.
    init(residents: Int, directory: String, programs: String, isJapanese: Bool, tell: @escaping (Step) -> Void) {
        self.residents = residents
        self.directory = directory
        self.isJapanese = isJapanese
        self.tell = tell
        centre = DemoSite("本庁", directory + "/centre", programs: programs)
        kojimachi = DemoSite("麹町出張所", directory + "/kojimachi", programs: programs)
        jimbocho = DemoSite("神保町出張所", directory + "/jimbocho", programs: programs)
        venue = DemoSite("スマホ教室", directory + "/venue", programs: programs)
    }

    private var branches: [DemoSite] { [kojimachi, jimbocho] }
    /// Those whose rights have not ended.
    private var everybody: [DemoSite] { [centre] + branches + (isVenueRevoked ? [] : [venue]) }
    var isVenueRevoked = false

    func say(_ ja: String, _ en: String) -> String { isJapanese ? ja : en }

    /// Plays the whole story.
    ///
    /// - Returns: whether every claim held.
    func run() -> Bool {
        defer { centre.stop() }
        let story: [(String, () throws -> String)] = [
            (say("見本データを作る", "make sample data"), sample),
            (say("自治体を始め、ハブを起こす", "begin the ward, start its hub"), begin),
            (say("住民・手続・教室・予約を取り込む", "import residents, procedures, lessons, bookings"), importAll),
            (say("出張所2つと会場が参加する", "two branches and a venue join"), join),
            (say("全員オフラインで入力する", "everybody works offline"), workOffline),
            (say("つながらなくても入力は残る", "unreachable, and nothing is lost"), unreachable),
            (say("全員が同期する", "everybody syncs"), syncAll),
            (say("食い違いが両方の値で見える", "conflicts show both values"), seeConflicts),
            (say("本庁が決める", "an admin resolves"), resolve),
            (say("負けた値も履歴に残る", "the loser stays in the history"), history),
            (say("満席の教室は定員を超えない", "a full lesson is not overbooked"), seats),
            (say("会場に住民はない", "the venue holds no resident"), venueHoldsNothing),
            (say("会わない出張所どうしが USB メモリで渡す", "branches that never meet exchange by stick"), carry),
            (say("壊れた端末がバックアップから戻る", "a broken machine comes back from its backup"), restore),
            (say("どの拠点も同じダイジェスト", "the same digest everywhere"), digests),
            (say("盗まれた端末は渡すだけで、何も得ない", "a stolen laptop hands in and gets nothing"), revoke),
            (say("その端末の入力は承認されるまで効かない", "what it wrote does not count until an admin adopts it"), quarantine),
            (say("doctor が何も見つけない", "doctor finds nothing"), doctor),
        ]
        for (name, act) in story {
            let start = ContinuousClock.now
            let (ok, detail): (Bool, String)
            do {
                (ok, detail) = (true, try act())
            } catch {
                (ok, detail) = (false, "\(error)")
            }
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            let step = Step(
                name: name,
                ok: ok,
                detail: detail,
                seconds: Double(seconds) + Double(attoseconds) / 1e18
            )
            steps.append(step)
            tell(step)
            // What follows rests on it.
            if !ok { return false }
        }
        return true
    }

    func claim(_ holds: Bool, _ ja: String, _ en: String) throws {
        if !holds { throw ChildProcess.Failure(description: say(ja, en)) }
    }

    // MARK: - Steps

    private func sample() throws -> String {
        try centre.run("sample", "--residents", "\(residents)", "--seed", "1", directory + "/sample")
        return say("\(residents)人", "\(residents) residents")
    }

    private func begin() throws -> String {
        try centre.run("init", "--name", "千代田区")
        try centre.startHub()
        return centre.addresses["hub"] ?? ""
    }

    private func importAll() throws -> String {
        var counts: [Int] = []
        for file in ["residents", "procedures", "lessons", "bookings"] {
            counts.append(try centre.run("import", file, "\(directory)/sample/\(file).csv")["created"]?.number ?? 0)
        }
        try claim(counts[0] == residents, "住民の数が違います", "the number of residents is wrong")
        try claim(counts[1] == 297, "手続の数が違います", "the number of procedures is wrong")
        try claim(counts[2] > 0 && counts[3] > 0, "教室か予約がありません", "there are no lessons or bookings")
        return say(
            "住民\(counts[0]) 手続\(counts[1]) 教室\(counts[2]) 予約\(counts[3])",
            "\(counts[0]) residents, \(counts[1]) procedures, \(counts[2]) lessons, \(counts[3]) bookings"
        )
    }

    private func join() throws -> String {
        let lessons = try centre.run("lesson", "list").elements
        let crowded = lessons.filter { ($0["waiting"]?.number ?? 0) > 0 }
        guard let lesson = crowded.first ?? lessons.first, let id = lesson["id"]?.text,
            let space = lesson["space"]?.text, let capacity = lesson["capacity"]?.number
        else { throw ChildProcess.Failure(description: say("教室がありません", "there is no lesson")) }
        self.space = space
        full = (id, capacity)
        for branch in branches { try enrol(branch, "--role", "branch") }
        try enrol(venue, "--role", "venue", "--space", space)
        let spaces = try venue.run("digest").members.keys.sorted()
        try claim(Set(spaces) == ["system", space], "会場に余分な空間があります", "the venue holds a space too many")
        return say("会場が持つのは \(space) だけ", "the venue holds \(space) only")
    }

    private func enrol(_ site: DemoSite, _ options: String...) throws {
        let words = ["invite", "--name", site.name, "--hub", centre.addresses["hub"] ?? ""] + options
        let code = try centre.run(words)["code"]?.text ?? ""
        let joined = try site.run("join", code)
        try claim(joined["up_to_date"]?.bool == true, "\(site.name) が最新になりません", "\(site.name) is not up to date")
    }

    private func workOffline() throws -> String {
        try claim(centre.stop() == 0, "ハブがきれいに止まりません", "the hub did not stop cleanly")
        guard let found = try kojimachi.run("resident", "find", "佐藤").elements.first, let id = found["id"]?.text else {
            throw ChildProcess.Failure(description: say("佐藤さんがいません", "nobody is called 佐藤"))
        }
        shared = try kojimachi.run("resident", "show", id)
        try kojimachi.run("resident", "set", id, "phone=090-0111-2222", "address=千代田区麹町三丁目1番1号")
        try jimbocho.run("resident", "set", id, "phone=090-0333-4444", "address=千代田区神田神保町二丁目2番2号")
        newcomer =
            try jimbocho.run(
                "resident",
                "add",
                "family_name=\u{9AD9}\u{FA11}",
                "given_name=花",
                "family_kana=タカサキ",
                "given_kana=ハナ",
                "birth_date=1950-04-01",
                "sex=F",
                "postal_code=1020083",
                "address=千代田区麹町三丁目1番1号"
            )["id"]?.text ?? ""
        let booking = try venue.run(
            "booking",
            "add",
            full.id,
            "--name",
            "山田 太郎",
            "--kana",
            "ヤマダ タロウ",
            "--phone",
            "090-0555-6666"
        )
        try kojimachi.run("booking", "add", full.id, "--resident", id)
        try claim(booking["status"]?.text == "waiting", "満席なのに確定しました", "a seat was given that does not exist")
        try centre.run("procedure", "list")
        return say(
            "電話と住所を両出張所で同時に、新しい住民、満席の教室に2件の予約",
            "phone and address at both branches at once, a new resident, two bookings of a full lesson"
        )
    }

    private func unreachable() throws -> String {
        let answer = try kojimachi.run("sync", status: 69)
        try claim(answer["up_to_date"]?.bool == false, "最新だと言いました", "it claims to be up to date")
        let spaces = try kojimachi.run("status")["spaces"]?.elements ?? []
        let unsent = spaces.reduce(0) { $0 + ($1["unsent"]?.number ?? 0) }
        try claim(unsent > 0, "未送信がありません", "nothing is unsent")
        return say("未送信 \(unsent) 件を保存", "\(unsent) changes are kept")
    }

    private func syncAll() throws -> String {
        try centre.startHub()
        var moved = 0
        for _ in 0..<2 {
            for site in branches + [venue] {
                let answer = try site.run("sync")
                try claim(
                    answer["up_to_date"]?.bool == true,
                    "\(site.name) が最新になりません",
                    "\(site.name) is not up to date"
                )
                moved += (answer["bytes_sent"]?.number ?? 0) + (answer["bytes_received"]?.number ?? 0)
            }
        }
        return say("\(moved) バイト", "\(moved) bytes")
    }

    private func open(at site: DemoSite) throws -> [JSONValue] {
        try site.run("conflict", "list", "--kind", "conflict").elements.filter {
            $0["record"]?.text == shared["id"]?.text
        }
    }

    private func seeConflicts() throws -> String {
        conflicts = try open(at: centre)
        try claim(
            conflicts.count == 2,
            "食い違いは2件のはず: \(conflicts.count)",
            "there should be 2 conflicts: \(conflicts.count)"
        )
        for site in branches {
            let same = try open(at: site).compactMap { $0["id"]?.text }.sorted()
            try claim(
                same == conflicts.compactMap { $0["id"]?.text }.sorted(),
                "\(site.name) の食い違いが違います",
                "\(site.name) lists other conflicts"
            )
        }
        let phone = conflicts.first { $0["group"]?.text == "phone" }?["values"]?.elements ?? []
        let values = phone.compactMap { value -> String? in
            guard let text = value["fields"]?["phone"]?.text, let person = value["operator"]?.text,
                let site = value["site"]?.text, let at = value["at"]?.text
            else { return nil }
            return "\(text) (\(person), \(site), \(at))"
        }
        try claim(values.count == 2, "両方の値が見えません", "not both values are shown")
        return values.joined(separator: " ⇔ ")
    }

    private func resolve() throws -> String {
        for conflict in conflicts {
            let values = conflict["values"]?.elements ?? []
            let choice = values.first { $0["operator"]?.text == jimbocho.name }?["n"]?.number ?? 1
            try centre.run(
                "conflict",
                "resolve",
                conflict["id"]?.text ?? "",
                "--take",
                "\(choice)",
                "--reason",
                "本人に電話で確認"
            )
        }
        for site in branches + [venue] { try site.run("sync") }
        for site in [centre] + branches {
            try claim(try open(at: site).isEmpty, "\(site.name) に食い違いが残ります", "a conflict is left at \(site.name)")
            let resident = try site.run("resident", "show", shared["id"]?.text ?? "")
            try claim(
                resident["phone"]?.text == "090-0333-4444",
                "\(site.name) の電話が違います",
                "\(site.name) shows another phone"
            )
        }
        let added = try kojimachi.run("resident", "show", newcomer)["family_name"]?.text ?? ""
        try claim(added.utf8.elementsEqual("\u{9AD9}\u{FA11}".utf8), "字形が変わりました", "a character changed its form")
        return say("電話と住所を決め、全拠点で0件", "phone and address decided, none left anywhere")
    }

    private func history() throws -> String {
        let rows = try kojimachi.run("resident", "history", shared["id"]?.text ?? "").elements
        let lost = rows.filter { $0["state"]?.text == "lost" }.compactMap { $0["value"]?.text }
        try claim(lost.contains("090-0111-2222"), "負けた電話が履歴にありません", "the losing phone is not in the history")
        return lost.joined(separator: ", ")
    }

    private func seats() throws -> String {
        var detail = ""
        for site in everybody {
            let lesson = try site.run("lesson", "show", full.id)
            let (confirmed, waiting) = (lesson["confirmed"]?.number ?? -1, lesson["waiting"]?.number ?? -1)
            try claim(
                confirmed == full.capacity && waiting >= 2,
                "\(site.name): 確定\(confirmed) 待ち\(waiting)",
                "\(site.name): \(confirmed) confirmed, \(waiting) waiting"
            )
            detail = say(
                "定員\(full.capacity) 確定\(confirmed) 待ち\(waiting)",
                "capacity \(full.capacity), \(confirmed) confirmed, \(waiting) waiting"
            )
        }
        return detail
    }

    private func venueHoldsNothing() throws -> String {
        for key in ["number", "address"] {
            guard let needle = shared[key]?.text else { continue }
            try claim(!venue.holds(needle), "会場のファイルに \(key) があります", "the venue's files hold a resident's \(key)")
            try claim(kojimachi.holds(needle), "探し方が働いていません", "the search finds nothing where it should")
        }
        return say("宛名番号も住所もファイルにない", "neither number nor address is in its files")
    }

    private func digests() throws -> String {
        let all = try everybody.map { try $0.run("digest").members }
        let spaces = Set(all.flatMap(\.keys)).sorted()
        for space in spaces {
            let values = Set(all.compactMap { $0[space]?.text })
            try claim(values.count == 1, "\(space) が食い違います", "\(space) differs")
        }
        return say("\(spaces.count) 空間", "\(spaces.count) spaces")
    }

    private func doctor() throws -> String {
        for site in everybody {
            let report = try site.run("doctor")
            try claim(report["ok"]?.bool == true, "\(site.name) に異常があります", "something is wrong at \(site.name)")
        }
        return say("\(everybody.count)拠点", "\(everybody.count) sites")
    }
}
