// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCarriers
import TsunaguCommands
import TsunaguCore
import TsunaguStore

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: tr("この拠点のようす", "What stands where at this site."))
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        let status = try globals.site().status()
        globals.show(JSON(status)) { text(status) }
    }

    private func text(_ status: SiteStatus) -> String {
        var out =
            "\(status.site?.string ?? tr("（名称なし）", "(no name)"))  \(status.role?.rawValue ?? "")  \(status.deviceName?.string ?? "")  \(status.device.short)\n"
        var table = TextTable([
            tr("空間", "space"), tr("記録", "records"), tr("変更", "changes"), tr("未送信", "unsent"), tr("待ち", "waits for"),
            tr("同期の確認", "proved"),
        ])
        for space in status.spaces {
            table.row([
                space.id.name, String(space.records), String(space.changes), String(space.unsent),
                space.waitingFor.joined(separator: ", "),
                space.provedAt.map { TokyoTime(milliseconds: $0).plain } ?? "-",
            ])
        }
        out += table.text
        out += tr(
            "競合 \(status.conflicts)件、要確認 \(status.findings)件、隔離 \(status.quarantined)件\n",
            "\(counted(status.conflicts, "conflict")), \(counted(status.findings, "finding")), "
                + "\(status.quarantined) quarantined\n"
        )
        for lost in status.lost {
            out += tr("失われた変更。tsunagu doctor で調べてください", "lost, see 'tsunagu doctor'") + ": \(lost)\n"
        }
        for refusal in status.refused {
            out += tr("受け取られない変更", "not taken") + ": \(refusal.space) \(refusal.replica.device.short) "
            out += "\(refusal.first): \(refusal.reason)\n"
        }
        for notice in status.notices {
            out += "\(TokyoTime(milliseconds: notice.at).plain)  \(notice.code)  \(notice.detail)\n"
        }
        return out
    }
}

struct Digest: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("空間ごとの要約値。同じなら中身も同じ", "What each space adds up to: equal for equal state.")
    )
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        let digests = try globals.site().digests()
        globals.show(.object(digests.map { ($0.space.name, .text(Hex.encode($0.digest.bytes))) })) {
            digests.map { "\(Hex.encode($0.digest.bytes))  \($0.space)\n" }.joined()
        }
    }
}

struct Log: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: tr("最近の変更、新しい順", "The latest changes, newest first."))
    @Option(help: ArgumentHelp(tr("この空間だけ", "Of this space alone."), valueName: "space"))
    var space: String?
    @Option(help: ArgumentHelp(tr("最大件数", "How many at most."), valueName: "n"))
    var limit = 50
    @OptionGroup var globals: GlobalOptions

    func validate() throws {
        guard (1...100_000).contains(limit) else {
            throw ValidationError(tr("--limit は1から100000です", "--limit is 1 to 100000"))
        }
    }

    func run() throws {
        let entries = try globals.site().log(space: space, limit: limit)
        globals.show(.array(entries.map { JSON($0) })) { Plain.log(entries) }
    }
}

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("持っているものをすべて確かめる", "Checks everything that this site keeps."),
        discussion: tr(
            "異常があれば終了状態は1です。--repair は、記録した変更から、または本庁から確かに分かるものだけを直します。",
            "Exits with 1 where something is wrong. --repair sets right only what the log or a peer tells for certain."
        )
    )
    @Flag(help: ArgumentHelp(tr("安全に直せるものを直してから確かめる", "Set right what safely can be, then check.")))
    var repair = false
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        let site = try globals.site()
        let steps = repair ? try site.repair { try HTTPTransport($0) } : []
        let checks = try site.doctor()
        let ok = checks.allSatisfy(\.ok)
        globals.show(
            .object(
                [("ok", .bool(ok)), ("checks", .array(checks.map { JSON($0) }))]
                    + (repair ? [("repairs", .array(steps.map { JSON($0) }))] : [])
            )
        ) {
            steps.map { step in
                "\(step.done ? tr("修復", "repaired") : tr("未修復", "NOT REPAIRED"))  \(step.name): \(tr(step.detail))\n"
            }.joined()
                + checks.filter { !globals.quiet || !$0.ok || $0.isWarning }.map { check in
                    let mark = check.ok ? (check.isWarning ? tr("注意", "note") : "ok") : tr("異常", "FAULT")
                    return "\(mark)  \(check.name): \(tr(check.detail))\n"
                        + (check.repair.map { "    → \(tr($0))\n" } ?? "")
                }.joined()
        }
        if !ok { throw ExitCode(1) }
    }
}

extension JSON {
    fileprivate init(_ check: HealthCheck) {
        self = .object([
            ("name", .text(check.name)), ("ok", .bool(check.ok)), ("warning", .bool(check.isWarning)),
            ("detail", .text(tr(check.detail))), ("repair", JSON(check.repair.map { tr($0) })),
        ])
    }

    fileprivate init(_ step: RepairStep) {
        self = .object([
            ("name", .text(step.name)), ("done", .bool(step.done)), ("detail", .text(tr(step.detail))),
        ])
    }

    fileprivate init(_ status: SiteStatus) {
        let spaces = status.spaces.map { space in
            JSON.object([
                ("name", .text(space.id.name)), ("records", JSON(space.records)), ("changes", JSON(space.changes)),
                ("unsent", JSON(space.unsent)), ("waiting_for", .array(space.waitingFor.map { .text($0) })),
                ("proved_at", space.provedAt.map { .text(TokyoTime(milliseconds: $0).iso) } ?? .null),
            ])
        }
        let refused = status.refused.map { refusal in
            JSON.object([
                ("at", .text(TokyoTime(milliseconds: refusal.at).iso)), ("peer", .text(refusal.peer)),
                ("space", .text(refusal.space.name)), ("replica", JSON(refusal.replica)),
                ("first", .integer(Int64(bitPattern: refusal.first))), ("reason", .text(refusal.reason)),
                ("here", .bool(refusal.here)),
            ])
        }
        let notices = status.notices.map { notice in
            JSON.object([
                ("at", .text(TokyoTime(milliseconds: notice.at).iso)), ("code", .text(notice.code)),
                ("detail", .text(notice.detail)),
            ])
        }
        self = .object([
            ("site", JSON(status.site)), ("role", JSON(status.role?.rawValue)), ("device", JSON(status.device)),
            ("device_name", JSON(status.deviceName)), ("replica", JSON(status.replica)), ("spaces", .array(spaces)),
            (
                "inbox",
                .object([
                    ("conflict", JSON(status.conflicts)), ("finding", JSON(status.findings)),
                    ("quarantine", JSON(status.quarantined)),
                ])
            ), ("lost", .array(status.lost.map { .text($0.description) })), ("refused", .array(refused)),
            ("notices", .array(notices)),
        ])
    }

    fileprivate init(_ entry: LogEntry) {
        self = .object(
            [("space", .text(entry.space.name)), ("seq", .integer(Int64(entry.seq)))] + Self.members(entry.author) + [
                ("replica", JSON(entry.replica)), ("records", JSON(entry.records)), ("reason", JSON(entry.reason)),
                ("source", JSON(entry.source)), ("batch", .bool(entry.isBatch)), ("in_effect", .bool(entry.isInEffect)),
            ]
        )
    }
}
