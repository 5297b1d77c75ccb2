// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

#if canImport(Glibc)
    import Glibc
#endif

/// One thing that `doctor` looked at.
package struct HealthCheck: Sendable {
    /// A word for programs.
    package let name: String
    package let ok: Bool
    /// Something to think about that is no fault of the data.
    package let isWarning: Bool
    package let detail: Localized
    /// What to do; `nil` where nothing is to be done.
    package let repair: Localized?

    fileprivate init(fine name: String, _ ja: String, _ en: String) {
        self.name = name
        ok = true
        isWarning = false
        detail = Localized(ja: ja, en: en)
        repair = nil
    }

    fileprivate init(fault name: String, _ detail: Localized, repair: Localized) {
        self.name = name
        ok = false
        isWarning = false
        self.detail = detail
        self.repair = repair
    }

    fileprivate init(warning name: String, _ detail: Localized, repair: Localized) {
        self.name = name
        ok = true
        isWarning = true
        self.detail = detail
        self.repair = repair
    }
}

extension Site {
    /// Looks at everything that this site keeps: the file, the chains and seals, every record against the log, digests,
    /// what waits, permissions, and what the machine gives.
    ///
    /// - Complexity: reads the whole store, a run of the log at a time.
    package func doctor(_ disks: DiskEncryption.Sources = .machine) throws -> [HealthCheck] {
        var out: [HealthCheck] = []
        let file = examine { try store.checkFile() }
        out.append(Self.check("database", file, ja: "ページ", en: "pages", repair: Self.repairOfFile(file)))
        do {
            let found = try read { try $0.verify() }
            if !found.damagedRuns.isEmpty { try? write { _ = try $0.noteLostChanges() } }
            out.append(Self.check("log", found.log, ja: "件の変更", en: "changes", repair: Self.repairOfLog(found)))
            let repair = found.isLogUnreadable ? Self.logFirst : Self.byRepair
            out.append(Self.check("tables", found.tables, ja: "件の記録", en: "records", repair: repair))
            out.append(Self.check("digests", found.digests, ja: "空間", en: "spaces", repair: repair))
        } catch {
            out.append(HealthCheck(fault: "log", Self.reason(error), repair: Self.repairOfFile(file)))
        }
        let waiting = examine { try read { try $0.checkWaiting() } }
        out.append(Self.check("waiting", waiting, ja: "件の待ち", en: "waiting runs and parts", repair: Self.byRepair))
        if let copies = try copies() { out.append(copies) }
        out.append(permissions())
        out.append(encryption(disks))
        out.append(try clock())
        return out
    }

    /// Devices of which two copies went on side by side; `nil` where there are none.
    private func copies() throws -> HealthCheck? {
        let forks = try? read { transaction in
            try transaction.spaces().flatMap { try transaction.forks(in: $0) }
                .filter { try transaction.currentAccess()?.isRevoked($0.replica.device) == false }
        }
        guard let forks, !forks.isEmpty else { return nil }
        let list = forks.map { "\($0.replica.device.short) \($0.space) \($0.first)" }.joined(separator: "; ")
        return HealthCheck(
            warning: "copies",
            Localized(
                ja: "同じ番号で別の変更を書いた端末があります（失われたものはありません）: \(list)",
                en: "devices wrote different changes under one number (nothing of them is lost): \(list)"
            ),
            repair: Localized(
                ja: "端末の複製が動いているなら、複製を止めるか、新しい招待コードで参加し直してください",
                en: "where a copy of the machine is in use, stop it, or let it join anew with a new code"
            )
        )
    }

    /// What cannot even be read is a fault of the check, not its end.
    private func examine(_ body: () throws -> StoreCheck) -> StoreCheck {
        do {
            return try Self.translating(body)
        } catch {
            var out = StoreCheck()
            out.fault(Self.reason(error).en)
            return out
        }
    }

    private static func reason(_ error: any Error) -> Localized {
        (error as? CommandError)?.message ?? Localized(ja: "\(error)", en: "\(error)")
    }

    private static func check(
        _ name: String,
        _ check: StoreCheck,
        ja: String,
        en: String,
        repair: Localized
    ) -> HealthCheck {
        guard check.faultCount > 0 else {
            return HealthCheck(fine: name, "\(check.checked) \(ja)に異常なし", "\(check.checked) \(en), no fault")
        }
        let faults = check.faults.prefix(5).map { fault in
            fault.detail + (fault.record.map { " (\($0))" } ?? "")
        }.joined(separator: "; ")
        return HealthCheck(
            fault: name,
            Localized(ja: "異常 \(check.faultCount) 件: \(faults)", en: "\(check.faultCount) faults: \(faults)"),
            repair: repair
        )
    }

    // MARK: - What helps

    private static let byRepair = Localized(
        ja: "tsunagu doctor --repair で直せます",
        en: "'tsunagu doctor --repair' sets it right"
    )
    private static let logFirst = Localized(
        ja: "変更の記録 (log) を先に直してください",
        en: "the log comes first: see there"
    )
    private static let again = Localized(
        ja: "tsunagu sync で送れるものを送ってから、\(Localized.startAgain.ja)",
        en: "send what can be sent with 'tsunagu sync', then \(Localized.startAgain.en)"
    )

    private static func repairOfFile(_ check: StoreCheck) -> Localized { check.isDerived ? byRepair : again }

    private static func repairOfLog(_ found: Verification) -> Localized {
        if found.log.faultCount <= found.mendableLogFaults { return byRepair }
        if found.log.faultCount <= found.mendableLogFaults + found.damagedRuns.count {
            return Localized(
                ja: "本庁につながるときに tsunagu doctor --repair で取り直せます。ほかのどこにもなければ: \(again.ja)",
                en: "'tsunagu doctor --repair' takes it again from a peer that answers; if none has it: \(again.en)"
            )
        }
        return again
    }

    // MARK: - The machine

    /// The files and folders of this site that somebody else than their owner can get at.
    func openFiles() -> [String] {
        let database = ["", "-wal", "-shm"].map { directory.database + $0 }
        return ([directory.path] + database + directory.secrets).filter { path in
            var status = stat()
            return stat(path, &status) == 0 && status.st_mode & 0o077 != 0
        }
    }

    /// Keys and records are the owner's alone to read.
    private func permissions() -> HealthCheck {
        let open = openFiles()
        guard !open.isEmpty else {
            return HealthCheck(fine: "permissions", "所有者だけが読めます", "only the owner can read the files")
        }
        let list = open.joined(separator: " ")
        return HealthCheck(
            fault: "permissions",
            Localized(ja: "ほかの利用者が読めます: \(list)", en: "others can read: \(list)"),
            repair: Localized(
                ja: "tsunagu doctor --repair または chmod go-rwx \(list)",
                en: "'tsunagu doctor --repair', or chmod go-rwx \(list)"
            )
        )
    }

    /// The database relies on the machine's disk encryption.
    private func encryption(_ sources: DiskEncryption.Sources) -> HealthCheck {
        let name = "disk_encryption"
        let path = DataDirectory.resolved(directory.path) ?? directory.path
        let detail: Localized
        switch DiskEncryption(under: path, sources) {
        case .encrypted: return HealthCheck(fine: name, "ディスクは暗号化されています", "the disk is encrypted")
        case .none: detail = Localized(ja: "ディスクが暗号化されていません", en: "the disk is not encrypted")
        case .unknown:
            detail = Localized(
                ja: "ディスクが暗号化されているかどうかわかりません",
                en: "whether the disk is encrypted is unknown"
            )
        }
        return HealthCheck(
            warning: name,
            detail,
            repair: Localized(
                ja: "端末を盗まれても読まれないよう、ディスクを暗号化してください",
                en: "encrypt the disk, so that a thief of the machine reads nothing"
            )
        )
    }

    /// A clock that is further off than this is worth a person's while.
    private static let clockMillisecondsMax: Int64 = 60_000

    /// This machine's clock against the hub's, and what was noticed of others.
    private func clock() throws -> HealthCheck {
        let (last, offset, notices) = try read { transaction in
            (
                try transaction.meta("clock")?.integer ?? 0,
                try transaction.meta(SyncDriver.clockOffset)?.integer,
                try transaction.notices().filter { $0.code == "clock_ahead" }.map(\.detail)
            )
        }
        let ahead = Int64(bitPattern: UInt64(bitPattern: last) >> 16) - Int64(store.now())
        var details = notices
        // Ten minutes: the bound within which stamps of others are followed.
        if ahead > 600_000 { details.append("\(ahead / 60_000) min") }
        if let offset, abs(offset) > Self.clockMillisecondsMax {
            details.append("hub \(offset > 0 ? "+" : "-")\(abs(offset) / 1000) s")
        }
        guard !details.isEmpty else {
            return offset == nil
                ? HealthCheck(
                    fine: "clock",
                    "時計のずれは見つかりません。本庁の時計とはまだ比べていません",
                    "no clock is far off; not yet compared with the hub's"
                )
                : HealthCheck(fine: "clock", "本庁の時計と合っています", "the clock agrees with the hub's")
        }
        let list = details.joined(separator: "; ")
        return HealthCheck(
            warning: "clock",
            Localized(ja: "時計がずれています: \(list)", en: "clocks are off: \(list)"),
            repair: Localized(ja: "端末の時計を合わせてください", en: "set the clocks of the machines")
        )
    }
}
