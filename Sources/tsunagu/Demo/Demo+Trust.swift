// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// What happens to machines: they never meet, break, and are stolen.
extension Demo {
    func carry() throws -> String {
        try claim(centre.stop() == 0, "ハブがきれいに止まりません", "the hub did not stop cleanly")
        let (id, stick) = (shared["id"]?.text ?? "", directory + "/stick.tsunagu")
        let phone = "090-0777-8888"
        try kojimachi.run("resident", "set", id, "phone=\(phone)")
        let written = try kojimachi.run("bundle", "export", stick, "--for", jimbocho.name)
        let bytes = written["files"]?.elements.reduce(0) { $0 + ($1["bytes"]?.number ?? 0) } ?? 0
        try claim(
            FileManager.default.contents(atPath: stick).map { !DemoSite.contains(phone, Array($0)) } == true,
            "USB メモリから電話が読めます",
            "the stick tells the phone"
        )
        // Whoever else finds the stick gets nothing from it.
        try venue.run("bundle", "import", stick, status: 77)
        try jimbocho.run("bundle", "import", stick)
        let shown = try jimbocho.run("resident", "show", id)["phone"]?.text
        try claim(shown == phone, "電話が届いていません", "the phone did not arrive")
        try centre.startHub()
        return say("\(bytes) バイト、宛先のほかは読めない", "\(bytes) bytes that nobody else can read")
    }

    func restore() throws -> String {
        let (id, file, secret) = (shared["id"]?.text ?? "", directory + "/kojimachi.backup", directory + "/passphrase")
        try Data("四つの長い言葉\n".utf8).write(to: URL(filePath: secret))
        try kojimachi.run("backup", file, "--passphrase-file", secret)
        let former = try kojimachi.run("status")["replica"]?.text
        try kojimachi.run("resident", "set", id, "phone=090-0999-0000")
        try kojimachi.run("sync")
        try FileManager.default.removeItem(atPath: kojimachi.directory)
        try kojimachi.run("restore", file, "--passphrase-file", secret)
        let replica = try kojimachi.run("status")["replica"]?.text
        try claim(replica != nil && replica != former, "同じ番号で続けています", "it goes on under its old numbers")
        let answer = try kojimachi.run("sync")
        try claim(
            answer["up_to_date"]?.bool == true,
            "\(kojimachi.name) が最新になりません",
            "\(kojimachi.name) is not up to date"
        )
        let shown = try kojimachi.run("resident", "show", id)["phone"]?.text
        try claim(shown == "090-0999-0000", "バックアップの後の入力が失われました", "what came after the backup is lost")
        try jimbocho.run("sync")
        return say("バックアップの後の入力も戻った", "what was written after the backup is back too")
    }

    func revoke() throws -> String {
        let before = try centre.run("lesson", "show", full.id)["waiting"]?.number
        try centre.run("site", "revoke", venue.name, "--lost", "--reason", "盗難")
        try venue.run("booking", "add", full.id, "--name", "偽 予約", "--kana", "ニセ ヨヤク", "--phone", "090-0000-0000")
        let answer = try venue.run("sync", status: 77)
        try claim(answer["received"]?.number == 0, "変更が渡されました", "it was given changes")
        try claim(
            !FileManager.default.fileExists(atPath: venue.directory + "/ward.sqlite"),
            "端末にデータが残っています",
            "its data is still there"
        )
        let after = try centre.run("lesson", "show", full.id)["waiting"]?.number
        try claim(before == after, "盗まれた端末の予約が数えられました", "the stolen laptop's booking counts")
        isVenueRevoked = true
        return say("受け取り 0、端末のデータは消えた", "it received nothing, and its data is erased")
    }

    func quarantine() throws -> String {
        let held = try centre.run("conflict", "list", "--kind", "quarantine").elements
        guard held.count == 1, let code = held[0]["code"]?.text, let id = held[0]["id"]?.text else {
            throw ChildProcess.Failure(description: say("隔離は1件のはず: \(held.count)", "one should be held: \(held.count)"))
        }
        let before = try centre.run("lesson", "show", full.id)["waiting"]?.number ?? 0
        try centre.run("conflict", "resolve", id, "--adopt", "--reason", "本人に電話で確認")
        let after = try centre.run("lesson", "show", full.id)["waiting"]?.number
        try claim(after == before + 1, "採用した予約が数えられていません", "what was adopted does not count")
        for site in [kojimachi, jimbocho] { try site.run("sync") }
        return "\(code) → \(say("採用", "adopted"))"
    }
}
