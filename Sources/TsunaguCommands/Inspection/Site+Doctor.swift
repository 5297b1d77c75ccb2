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
}

extension Site {
    /// Looks at everything that this site keeps: the file, the chains and seals, every record against the log, digests,
    /// permissions, and what the machine gives.
    package func doctor() throws -> [HealthCheck] {
        var out: [HealthCheck] = []
        let (file, records) = try read { transaction in (try transaction.checkFile(), try transaction.verify()) }
        let log = records.log
        let again = Localized(
            ja: "tsunagu sync で送れるものを送り、新しい場所で参加し直してください",
            en: "send what can be sent with 'tsunagu sync', then join again in another place"
        )
        out.append(Self.check("database", file, ja: "ページ", en: "pages", repair: again))
        out.append(Self.check("log", log, ja: "件の変更", en: "changes", repair: again))
        out.append(Self.check("tables", records.tables, ja: "件の記録", en: "records", repair: again))
        out.append(Self.check("digests", records.digests, ja: "空間", en: "spaces", repair: again))
        out.append(permissions())
        out.append(encryption())
        out.append(try clock())
        return out
    }

    private static func check(_ name: String, _ check: StoreCheck, ja: String, en: String, repair: Localized)
        -> HealthCheck
    {
        guard check.faultCount > 0 else {
            return HealthCheck(
                name: name,
                ok: true,
                isWarning: false,
                detail: Localized(ja: "\(check.checked) \(ja)に異常なし", en: "\(check.checked) \(en), no fault"),
                repair: nil
            )
        }
        let faults = check.faults.prefix(5).map { fault in
            fault.detail + (fault.record.map { " (\($0))" } ?? "")
        }.joined(separator: "; ")
        return HealthCheck(
            name: name,
            ok: false,
            isWarning: false,
            detail: Localized(ja: "異常 \(check.faultCount) 件: \(faults)", en: "\(check.faultCount) faults: \(faults)"),
            repair: repair
        )
    }

    // MARK: - The machine

    /// Keys and records are the owner's alone to read.
    private func permissions() -> HealthCheck {
        var open: [String] = []
        for path in [directory.path, directory.database, directory.deviceKey, directory.hubKey] {
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            if status.st_mode & 0o077 != 0 { open.append(path) }
        }
        guard !open.isEmpty else {
            return HealthCheck(
                name: "permissions",
                ok: true,
                isWarning: false,
                detail: Localized(ja: "所有者だけが読めます", en: "only the owner can read the files"),
                repair: nil
            )
        }
        let list = open.joined(separator: " ")
        return HealthCheck(
            name: "permissions",
            ok: false,
            isWarning: false,
            detail: Localized(ja: "ほかの利用者が読めます: \(list)", en: "others can read: \(list)"),
            repair: Localized(ja: "chmod go-rwx \(list)", en: "chmod go-rwx \(list)")
        )
    }

    /// The database relies on the machine's disk encryption; here it is looked for where Linux tells of it.
    private func encryption() -> HealthCheck {
        var status = stat()
        guard stat(directory.path, &status) == 0 else { return Self.encryption(found: false) }
        // The kernel's packing of a device's numbers in 64 bits.
        let device = UInt64(status.st_dev)
        let major = (device >> 8 & 0xfff) | (device >> 32 & ~0xfff)
        let minor = (device & 0xff) | (device >> 12 & ~0xff)
        let uuid = try? DataDirectory.read("/sys/dev/block/\(major):\(minor)/dm/uuid")
        return Self.encryption(found: (uuid ?? nil)?.utf8.starts(with: "CRYPT-".utf8) == true)
    }

    private static func encryption(found: Bool) -> HealthCheck {
        HealthCheck(
            name: "disk_encryption",
            ok: true,
            isWarning: !found,
            detail: found
                ? Localized(ja: "ディスクは暗号化されています", en: "the disk is encrypted")
                : Localized(ja: "ディスクの暗号化が見つかりません", en: "no disk encryption was found"),
            repair: found
                ? nil
                : Localized(
                    ja: "端末を盗まれても読まれないよう、ディスクを暗号化してください",
                    en: "encrypt the disk, so that a thief of the machine reads nothing"
                )
        )
    }

    /// What this machine noticed of clocks, its own among them.
    private func clock() throws -> HealthCheck {
        let (last, notices) = try read { transaction in
            (
                try transaction.meta("clock")?.integer ?? 0,
                try transaction.notices().filter { $0.code == "clock_ahead" }.map(\.detail)
            )
        }
        let ahead = Int64(bitPattern: UInt64(bitPattern: last) >> 16) - Int64(store.now())
        var details = notices
        // Ten minutes: the bound within which stamps of others are followed.
        if ahead > 600_000 { details.append("\(ahead / 60_000) min") }
        guard !details.isEmpty else {
            return HealthCheck(
                name: "clock",
                ok: true,
                isWarning: false,
                detail: Localized(ja: "時計のずれは見つかりません", en: "no clock is far off"),
                repair: nil
            )
        }
        let list = details.joined(separator: "; ")
        return HealthCheck(
            name: "clock",
            ok: true,
            isWarning: true,
            detail: Localized(ja: "進みすぎた時計があります: \(list)", en: "a clock is ahead: \(list)"),
            repair: Localized(ja: "端末の時計を合わせてください", en: "set the clocks of the machines")
        )
    }
}
