// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

extension Plain {
    static func cases(_ cases: [Case]) -> String {
        var table = TextTable([
            "id", tr("種類", "kind"), tr("空間", "space"), tr("対象", "concerns"), tr("内容", "what"), tr("値", "values"),
        ])
        for open in cases {
            let what = open.group.map { tr($0.label, $0.name) } ?? reason(open)
            let label = open.label?.string ?? open.records.first.map { String($0.description.prefix(8)) } ?? ""
            let values = open.values.map { value in value.deleted ? tr("削除", "deleted") : brief(value) }
            table.row([open.id, kind(open.kind), open.space.name, label, what, values.joined(separator: " | ")])
        }
        return table.isEmpty ? tr("何もありません", "there is nothing to decide") : table.text
    }

    static func openCase(_ open: Case) -> String {
        var text = "\(open.id)  \(kind(open.kind))  \(open.space)"
        if let collection = open.collection { text += "  \(tr(collection.label, collection.name))" }
        if let label = open.label { text += "  \(label)" }
        text += "\n" + tr("内容", "what") + ": " + (open.group.map { tr($0.label, $0.name) } ?? reason(open)) + "\n"
        for record in open.records.prefix(Case.recordsShown) {
            text += tr("記録", "record") + ": \(record)" + (open.names[record].map { "  \($0)" } ?? "") + "\n"
        }
        for value in open.values {
            let mark = value.n == open.shown ? tr("（表示中）", " (shown)") : ""
            text += "\n[\(value.n)]\(mark) \(author(value.author))\n"
            if let source = value.source { text += "    " + tr("提供元", "source") + ": \(source)\n" }
            if value.deleted { text += "    " + tr("削除", "deleted") + "\n" }
            if let reason = value.reason { text += "    " + tr("理由", "reason") + ": \(reason)\n" }
            for (field, value) in value.fields { text += "    \(label(field)): \(Plain.value(value))\n" }
        }
        if open.kind == .conflict {
            text +=
                "\n"
                + tr(
                    "決めるには: tsunagu conflict resolve \(open.id) --take 番号 --reason 理由",
                    "to decide: tsunagu conflict resolve \(open.id) --take N --reason TEXT"
                ) + "\n"
        }
        if open.kind == .finding, let remedy = remedy(open) { text += "\n" + remedy + "\n" }
        if !open.says.isEmpty { text += "\n" + open.says.map { "    \($0)\n" }.joined() }
        if open.kind == .quarantine {
            let how = "tsunagu conflict resolve \(open.id) --adopt --reason"
            text += "\n"
            text +=
                open.space == .system
                ? tr(
                    "この端末の名前で言い直すには（それより前の分も）: \(how) 理由",
                    "to say it anew in your name, with what stands before it: \(how) TEXT"
                ) : tr("有効にするには: \(how) 理由", "to let it count: \(how) TEXT")
            text += "\n"
        }
        return text
    }

    private static func brief(_ value: Case.Alternative) -> String {
        value.fields.compactMap { $0.value == .null ? nil : Plain.value($0.value) }.joined(separator: " ")
    }

    private static func kind(_ kind: Case.Kind) -> String {
        switch kind {
        case .conflict: tr("競合", "conflict")
        case .finding: tr("要確認", "finding")
        case .quarantine: tr("隔離", "quarantine")
        }
    }

    private static func reason(_ open: Case) -> String {
        switch open.code {
        case "edit_or_deletion": tr("編集と削除", "edit against deletion")
        case "unique_number": tr("宛名番号の重複", "a number used twice")
        case "unique_code": tr("コードの重複", "a code used twice")
        case "unbacked": tr("席を超えた確定", "confirmed beyond the seats")
        case "over_capacity": tr("定員を超えた確定", "confirmed beyond the capacity")
        case "cancelled_and_booked": tr("取消と予約が同時", "cancelled and booked at once")
        case "attended_though_cancelled": tr("取り消した人、または中止の教室に出席", "was there though booking or lesson was cancelled")
        case "marked_apart": tr("出席と欠席の両方の記録", "noted as there and as missing")
        case "linked_twice": tr("同じ住民の予約が二つ", "one resident twice in a lesson")
        case "booked_twice": tr("同じ人の予約が二つかもしれない", "perhaps one person twice in a lesson")
        case "overlap": tr("同じ人の教室の時間が重なる", "one person in two lessons at once")
        case "equivocation": tr("複製された端末", "a machine that was copied")
        case "split_transaction": tr("一部だけ有効な入力", "an act of which a part is lacking")
        case "not_granted": tr("権限のない端末の変更", "a change without a grant")
        case "not_writer": tr("役割の範囲を超えた変更", "more than the role may write")
        case "revoked": tr("失効した端末の変更", "a change of a revoked device")
        default: open.code
        }
    }

    /// How a finding ends.
    private static func remedy(_ open: Case) -> String? {
        switch open.code {
        case "unique_number", "unique_code":
            tr(
                "どれかの番号かコードを id を指定して直すか、同じ人なら一方を削除すると消えます",
                "it ends when one of them gets another number or code, set by its id, or is deleted where it is the same one"
            )
        case "equivocation":
            tr(
                "tsunagu site revoke 拠点 --retired で権限を終わらせ、両方の端末で sync してから、使い続ける方を参加し直すと消えます",
                "it ends with the device's rights: 'site revoke SITE --retired', then 'sync' on both machines, and let the one "
                    + "that you keep join anew"
            )
        case "booked_twice", "linked_twice", "overlap", "cancelled_and_booked":
            tr(
                "本人に確かめ、要らない予約を booking cancel で取り消すと消えます",
                "ask the person; it ends when the booking that is not wanted is cancelled with 'booking cancel'"
            )
        case "unbacked", "over_capacity":
            tr(
                "席を増やす（lesson capacity）か、だれかの予約を本人と相談して取り消すと消えます",
                "it ends with more seats, 'lesson capacity', or when somebody agrees to be cancelled"
            )
        case "marked_apart", "attended_though_cancelled":
            tr(
                "本人に確かめ、booking attend で記録し直すと消えます",
                "ask the person; it ends when what is right is noted again with 'booking attend'"
            )
        default: nil
        }
    }

    static func history(_ entries: [HistoryEntry]) -> String {
        var table = TextTable([
            tr("日時", "at"), tr("項目", "field"), tr("値", "value"), tr("状態", "state"), tr("操作者", "operator"),
            tr("拠点", "site"), tr("理由", "reason"),
        ])
        for entry in entries {
            let content =
                switch entry.content {
                case .value(let value): Plain.value(value)
                case .life(let deleted): deleted ? tr("削除", "deleted") : tr("復活", "revived")
                }
            let state =
                switch entry.state {
                case .current: tr("現在", "current")
                case .past: tr("過去", "past")
                case .lost: tr("不採用", "lost")
                }
            table.row([
                TokyoTime(entry.author.timestamp).plain, tr(entry.label, entry.field), content, state,
                entry.author.person.label.string, entry.author.site?.string ?? entry.author.device.short,
                entry.reason?.string ?? "",
            ])
        }
        return table.text
    }

    static func log(_ entries: [LogEntry]) -> String {
        var table = TextTable([
            tr("日時", "at"), tr("空間", "space"), tr("拠点", "site"), tr("操作者", "operator"), tr("番号", "seq"),
            tr("記録数", "records"),
            tr("理由", "reason"),
        ])
        for entry in entries {
            let note = (entry.reason?.string ?? "") + (entry.isInEffect ? "" : tr("（隔離中）", "(quarantined)"))
            table.row([
                TokyoTime(entry.author.timestamp).plain, entry.space.name,
                entry.author.site?.string ?? entry.author.device.short,
                entry.author.person.label.string, String(entry.seq), String(entry.records), note,
            ])
        }
        return table.text
    }
}
