// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Audit: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("管理の操作と、支援措置の閲覧の記録", "What admins did, and who saw protected residents."),
        discussion: tr(
            "管理者と監査の端末だけが見られます。住民の値は含みません。export audit で書き出せます。",
            "For admins and auditors alone; no values of residents are in it. 'export audit' writes a file."
        )
    )
    @Option(help: ArgumentHelp(tr("この日（東京）から", "From this day on, in Tokyo."), valueName: "date"))
    var since: String?
    @OptionGroup var globals: GlobalOptions

    func validate() throws {
        if let since, TokyoTime.start(of: since) == nil {
            throw ValidationError(tr("--since は 2026-12-01 の形です", "--since is a day such as 2026-12-01"))
        }
    }

    func run() throws {
        let site = try globals.site()
        let entries = try site.audit(since: since.flatMap(TokyoTime.start) ?? 0)
        globals.warn(of: try site.auditGap())
        globals.show(.array(entries.map { JSON($0) })) {
            entries.isEmpty ? tr("ありません", "nothing") : entries.map(Plain.audit).joined()
        }
    }
}

extension JSON {
    fileprivate init(_ entry: AuditEntry) {
        self = .object(
            [("act", .text(entry.act.rawValue))] + Self.members(entry.author) + [
                ("space", .text(entry.space.name)), ("records", .array(entry.records.map { .text($0) })),
                ("detail", JSON(entry.detail)), ("reason", JSON(entry.reason)), ("in_effect", .bool(entry.isInEffect)),
                ("replica", JSON(entry.change.replica)), ("seq", .integer(Int64(entry.change.seq))),
                ("hash", .text(Hex.encode(entry.hash))),
            ]
        )
    }
}

extension Plain {
    fileprivate static func audit(_ entry: AuditEntry) -> String {
        let act = tr(entry.act.label, entry.act.rawValue)
        let reason = entry.reason.map { "  \($0)" } ?? ""
        let detail = entry.detail.map { " \($0)" } ?? ""
        let mark = entry.isInEffect ? "" : tr("（隔離）", " (quarantined)")
        return "\(act)\(detail)\(mark): \(entry.records.joined(separator: " "))\(reason)  — \(author(entry.author))\n"
    }
}

extension AuditEntry.Act {
    fileprivate var label: String {
        switch self {
        case .invite: "招待"
        case .enrol: "参加"
        case .grant: "権限付与"
        case .revoke: "失効"
        case .protect: "支援措置"
        case .unprotect: "支援措置の解除"
        case .erase: "消去"
        case .delete: "除票"
        case .revive: "除票の取消"
        case .resolve: "判断"
        case .read: "閲覧"
        }
    }
}
