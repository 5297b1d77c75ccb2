// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

/// One line of the audit log: what somebody who may did, or saw.
package struct AuditEntry: Sendable {
    /// What was done.
    package enum Act: String, Sendable, CaseIterable {
        case invite, enrol, grant, revoke
        case protect, unprotect, erase, delete, revive, resolve
        /// Protected residents were seen.
        case read
    }

    package let act: Act
    package let author: Authorship
    package let space: SpaceID
    /// The change that says it, a link of its author's chain.
    package let change: Dot
    package let hash: Hash32
    /// The records concerned; devices where it is about them.
    package let records: [String]
    /// How it was seen; what was granted.
    package let detail: String?
    /// What the person gave as the reason.
    package let reason: ExactText?
    /// Whether it is in effect; else it is quarantined.
    package let isInEffect: Bool
}

extension Site {
    /// What was done by those who may, and who saw protected residents: read off the log, oldest first.
    ///
    /// No values of residents are in it. An auditor is told what its grants cover.
    ///
    /// - Parameter since: only what was done from then on, Unix milliseconds by the authors' clocks.
    /// - Complexity: reads the whole log of the spaces held.
    /// - Throws: 77 unless this device is an admin's or an auditor's.
    package func audit(since: UInt64 = 0) throws -> [AuditEntry] {
        try read { transaction in
            let access = try transaction.currentAccess()
            let isAuditor = access?.grants[keys.device]?.contains { $0.role == .auditor } == true
            guard access?.isAdmin(keys.device) == true || isAuditor else {
                throw CommandError(
                    .notPermitted,
                    Localized(ja: "監査の記録は管理者と監査の端末だけが見られます", en: "only admins and auditors see the audit log"),
                    hint: Localized(ja: "本庁に依頼してください", en: "ask the ward office")
                )
            }
            let places = try Places(transaction)
            var out: [AuditEntry] = []
            for space in try transaction.spaces() {
                try transaction.forEachChange(in: space) { change in
                    guard change.header.timestamp.milliseconds >= since else { return }
                    let isInEffect = try transaction.isEffective(change.header.dot, in: space)
                    out += try AuditEntry.entries(of: change, places, isInEffect: isInEffect)
                }
            }
            return out.sorted { ($0.author.timestamp, $0.change) < ($1.author.timestamp, $1.change) }
        }
    }
}

extension Site {
    /// Why the audit log here may lack rows: what is done in spaces that this device may not hold, or has not got yet, is
    /// told in those.
    ///
    /// - Returns: `nil` where this device may hold all of the ward.
    package func auditGap() throws -> Localized? {
        let (patterns, held) = try read { transaction in
            let access = try transaction.currentAccess()
            let patterns = access?.isAdmin(keys.device) == true ? ["*"] : access?.grants[keys.device]?.flatMap(\.spaces)
            return (patterns ?? [], try transaction.spaces())
        }
        guard !patterns.contains("*") else { return nil }
        let lacksProtected = !held.contains(.protectedResidents)
        return Localized(
            ja: "この記録は一部です。この端末が持てる空間（system と \(patterns.joined(separator: " "))）の分だけで、"
                + (lacksProtected ? "支援措置の操作と閲覧（residents/protected）は含みません。" : "")
                + "全部を見るには、本庁に site grant … --space '*' --read-only を依頼してください",
            en: "this log is partial: it tells of the spaces that this device may hold, system and "
                + "\(patterns.joined(separator: " ")), alone"
                + (lacksProtected ? ", and nothing of protected residents (residents/protected)" : "")
                + "; for all of it ask the ward office for 'site grant … --space '*' --read-only'"
        )
    }

    /// Writes the audit log as a file, oldest first.
    ///
    /// - Parameters:
    ///   - path: a file, or standard output for `nil`.
    ///   - time: how a moment is written.
    /// - Returns: how many lines.
    package func exportAudit(
        to path: String?,
        _ format: ExportFormat = .csv,
        time: (Timestamp) -> String
    ) throws -> Int {
        let entries = try audit()
        var rows = ExportWriter(format, try OutputFile(path))
        rows.header([
            "at", "act", "operator", "site", "device", "space", "records", "detail", "reason", "in_effect", "replica",
            "seq", "hash",
        ])
        for entry in entries {
            try rows.row([
                .text(time(entry.author.timestamp)), .text(entry.act.rawValue), .text(entry.author.person.label.string),
                entry.author.site.map { .text($0.string) } ?? .empty, .text(entry.author.device.description),
                .text(entry.space.name), .members(entry.records), entry.detail.map { .text($0) } ?? .empty,
                entry.reason.map { .text($0.string) } ?? .empty, .text(entry.isInEffect ? "true" : "false"),
                .text(entry.change.replica.description), .integer(Int64(entry.change.seq)),
                .text(Hex.encode(entry.hash)),
            ])
        }
        try rows.finish()
        return entries.count
    }
}

extension AuditEntry {
    /// What one change tells; nothing for most.
    static func entries(of change: Change, _ places: Places, isInEffect: Bool) throws -> [AuditEntry] {
        var acts: [(act: Act, record: String, detail: String?, reason: ExactText?)] = []
        for entry in try change.content() { acts += self.acts(entry) }
        // An act that has a reason and is nothing else is a decision.
        if acts.isEmpty, change.header.reason != nil {
            acts = change.payload.entries.map { (.resolve, $0.id.description, nil, nil) }
        }
        // One line an act, with all records that it concerned.
        var lines: [(act: Act, detail: String?, reason: ExactText?, records: [String])] = []
        for act in acts {
            if let place = lines.firstIndex(where: { $0.act == act.act && $0.detail == act.detail }) {
                lines[place].records.append(act.record)
            } else {
                lines.append((act.act, act.detail, act.reason ?? change.header.reason, [act.record]))
            }
        }
        // A protection says it all: what it copies, marks and erases are its parts.
        if let whole = lines.first(where: { $0.act == .protect || $0.act == .unprotect }) { lines = [whole] }
        return lines.map { line in
            AuditEntry(
                act: line.act,
                author: places.authorship(change.header),
                space: change.header.space,
                change: change.header.dot,
                hash: change.hash,
                records: line.records,
                detail: line.detail,
                reason: line.reason,
                isInEffect: isInEffect
            )
        }
    }

    private static func acts(
        _ entry: Change.Content
    ) -> [(act: Act, record: String, detail: String?, reason: ExactText?)] {
        func text(_ field: UInt32) -> String { entry.registers[field]?.text?.string ?? "" }
        let id = entry.id.description
        switch entry.collection {
        case SystemSchema.invitation.number where entry.registers[2] != nil:
            return [(.invite, id, "\(text(2)) \(text(3))", nil)]
        case SystemSchema.device.number where entry.registers[3] != nil: return [(.enrol, id, text(2), nil)]
        case SystemSchema.grant.number: return [(.grant, text(1), "\(text(2)) \(text(3)) \(text(4))", nil)]
        case SystemSchema.revocation.number: return [(.revoke, text(1), text(2), entry.registers[4]?.text)]
        case WardSchema.protectedRead.number:
            return text(2).split(separator: " ").map { (.read, String($0), text(1), nil) }
        case SystemSchema.erasure.number where entry.registers[1]?.integer == Int64(WardSchema.resident.number):
            return [(.erase, text(2), nil, nil)]
        case SystemSchema.erasure.number: return []
        case WardSchema.protection.number:
            guard let life = entry.life else { return [] }
            return [(life == .null ? .protect : .unprotect, id, nil, life.text)]
        default:
            guard let life = entry.life else { return [] }
            return life == .null ? [(.revive, id, nil, nil)] : [(.delete, id, nil, life.text)]
        }
    }
}
