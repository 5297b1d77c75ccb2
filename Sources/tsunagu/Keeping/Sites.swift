// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Sites: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "site",
        abstract: tr("拠点と端末", "Sites and their devices."),
        subcommands: [List.self, Show.self, Grant.self, Revoke.self, Adopt.self, Recover.self]
    )

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("拠点の一覧", "Lists sites."))
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let sites = try globals.site().sites()
            globals.show(.array(sites.map { JSON($0) })) {
                var table = TextTable([
                    tr("拠点", "site"), tr("役割", "role"), tr("権限", "rights"), tr("端末", "devices"),
                    tr("最終接続", "last contact"), tr("足りない変更", "lacks"), tr("範囲", "spaces"),
                ])
                for site in sites {
                    let spaces = site.devices.flatMap { $0.written + $0.onlyRead }.reduce(into: [String]()) {
                        if !$0.contains($1) { $0.append($1) }
                    }
                    table.row([
                        site.name.string, site.role, site.rights, site.devices.map(\.marked).joined(separator: " "),
                        site.devices.compactMap(\.lastContact).max().map { TokyoTime(milliseconds: $0).plain } ?? "-",
                        site.devices.compactMap(\.lackingCount).max().map { String($0) } ?? "-",
                        spaces.joined(separator: " "),
                    ])
                }
                return table.text
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: tr("一つを見る", "Shows one site."))
        @Argument(help: ArgumentHelp(tr("名称か id", "The name or id."), valueName: "site"))
        var site: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let site = try globals.site().site(site)
            globals.show(JSON(site)) {
                var text = "\(site.name)  \(site.role)  \(site.id)  \(site.rights)\n"
                for device in site.devices {
                    let access = [
                        (tr("読み書き", "reads and writes"), device.written), (tr("読むだけ", "reads"), device.onlyRead),
                    ].filter { !$0.1.isEmpty }.map { "  \($0.0): \($0.1.joined(separator: " "))" }
                    text += "  \(device.marked)  \(device.id.short)\(access.joined())\n"
                    if let mode = device.revoked { text += "    " + tr("失効", "revoked") + ": \(mode.rawValue)\n" }
                    if let recovered = device.recovered {
                        text += "    " + tr("復旧キーで管理者", "an admin by the recovery key")
                        text += ": \(TokyoTime(milliseconds: recovered).plain)\n"
                    }
                    if let lastContact = device.lastContact {
                        text +=
                            "    " + tr("最終接続", "last contact") + ": \(TokyoTime(milliseconds: lastContact).plain)\n"
                    }
                    for (space, changes) in device.lacking ?? [] {
                        text += "    " + tr("足りない変更", "lacks") + ": \(space) \(changes)\n"
                    }
                }
                return text
            }
        }
    }

    struct Grant: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("拠点に空間を持たせる", "Lets a site hold a further space."),
            discussion: tr(
                "次の同期で、その空間のこれまでの記録がすべて届きます。",
                "All that the space holds arrives with the site's next sync."
            )
        )
        @Argument(help: ArgumentHelp(tr("名称か id", "The name or id."), valueName: "site"))
        var site: String
        @Option(help: ArgumentHelp(tr("空間", "The space."), valueName: "space"))
        var space: String
        @Flag(help: ArgumentHelp(tr("読むだけ", "Only to read.")))
        var readOnly = false
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let opened = try globals.site()
            let devices = try opened.grant(site, space: space, writes: !readOnly)
            let unknown = try opened.unknownSpaces([space])
            globals.warnOfUnknown(unknown)
            globals.confirm(
                .object([
                    ("site", .text(site)), ("space", .text(space)), ("access", .text(readOnly ? "read" : "write")),
                    ("devices", .array(devices.map { JSON($0) })), ("known", .bool(unknown.isEmpty)),
                ]),
                devices.isEmpty
                    ? tr("\(site) はもう \(space) を持てます", "\(site) may hold \(space) already")
                    : tr("\(site) は \(space) を持てます", "\(site) may hold \(space)")
            )
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("拠点か端末の権限を終わらせる", "Ends the rights of a site's devices, or of one, for good."),
            discussion: tr(
                """
                --lost は紛失や盗難のとき: ここに届いている分までを有効とします。--retired は片付けるとき: 端末が次の同期で渡す分も有効です。\
                どちらも、端末は次に同期したときに残りの入力を渡し、データを消します。
                """,
                """
                --lost, for a device in unknown hands, honours what has arrived here; --retired, for one that goes in good \
                order, also what it hands in. Either way the device hands in its work at its next sync and erases its data.
                """
            )
        )
        @Argument(help: ArgumentHelp(tr("名称か id", "The name or id."), valueName: "site"))
        var site: String
        @Option(
            help: ArgumentHelp(
                tr(
                    "その一台だけ。名称か id（site show に出る）",
                    "One of its devices alone, by the name or id that 'site show' tells."
                ),
                valueName: "device"
            )
        )
        var device: String?
        @Flag(help: ArgumentHelp(tr("紛失、盗難", "Lost or stolen.")))
        var lost = false
        @Flag(help: ArgumentHelp(tr("使い終わった", "No longer in use.")))
        var retired = false
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard lost != retired else {
                throw ValidationError(tr("--lost か --retired のどちらか一方を指定してください", "give either --lost or --retired"))
            }
        }

        func run() throws {
            let devices = try globals.site().revoke(
                site,
                device: device,
                mode: lost ? .lost : .retired,
                reason: why.reason
            )
            globals.confirm(
                .object([
                    ("site", .text(site)), ("mode", .text(lost ? "lost" : "retired")),
                    ("devices", .array(devices.map { JSON($0) })),
                ]),
                device.map { tr("\(site) の \($0) の権限を終わらせました", "the rights of \($0) of \(site) have ended") }
                    ?? tr("\(site) の権限を終わらせました", "the rights of \(site) have ended")
            )
        }
    }
}

extension Sites {
    struct Adopt: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("隔離された入力を引き取る", "Lets take effect what is quarantined of a site."),
            discussion: tr(
                """
                失効した端末があとから渡した入力や、権限なしに書かれた入力を、書かれたとおりに有効にします。\
                その間にほかの人が書いた値は上書きせず、競合として残します。内容は tsunagu conflict list --kind quarantine で確かめられます。
                """,
                """
                What a revoked device handed in, or wrote without a grant, counts as it was written. A value that somebody \
                else wrote meanwhile is not replaced: the two are a conflict. 'conflict list --kind quarantine' shows what it is.
                """
            )
        )
        @Argument(help: ArgumentHelp(tr("名称か id", "The name or id."), valueName: "site"))
        var site: String
        @OptionGroup var why: ReasonOption
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            globals.confirmAdoption(of: site, try globals.site().adopt(site: site, reason: why.reason))
        }
    }
}

extension GlobalOptions {
    /// Tells of spaces that nobody has begun, as far as is known here: they may be slips of typing.
    func warnOfUnknown(_ spaces: [String]) {
        guard !spaces.isEmpty, !quiet else { return }
        let names = spaces.joined(separator: " ")
        note(
            tr(
                "\(names) という空間は、ここではまだ知られていません。名前に間違いがなければ、できたときに届きます",
                "no space \(names) is known here yet; if that is no slip, it arrives once it comes into being"
            )
        )
    }
}

extension SiteView {
    fileprivate var rights: String {
        if isRevoked { return tr("失効", "revoked") }
        return devices.isEmpty ? "-" : tr("有効", "valid")
    }
}

extension SiteView.Device {
    /// The name, with a mark where its rights have ended, or the recovery key gave it an admin's.
    fileprivate var marked: String {
        if revoked != nil { return name.string + tr("（失効）", "(revoked)") }
        return recovered == nil ? name.string : name.string + tr("（復旧キー）", "(recovery key)")
    }

    /// What it may do in all of its spaces; `mixed` where that is not the same in all.
    fileprivate var access: String {
        if grants.isEmpty { return "none" }
        return onlyRead.isEmpty ? "write" : written.isEmpty ? "read" : "mixed"
    }

    fileprivate var lackingCount: Int? { lacking?.reduce(0) { $0 + $1.changes } }
}

extension JSON {
    fileprivate init(_ site: SiteView) {
        let devices = site.devices.map { device in
            JSON.object([
                ("id", JSON(device.id)), ("name", JSON(device.name)), ("role", JSON(device.role?.rawValue)),
                ("spaces", .array((device.written + device.onlyRead).map { .text($0) })),
                ("access", .text(device.access)), ("read_only", .array(device.onlyRead.map { .text($0) })),
                ("revoked", JSON(device.revoked?.rawValue)),
                ("recovered_at", device.recovered.map { .text(TokyoTime(milliseconds: $0).iso) } ?? .null),
                ("last_contact", device.lastContact.map { .text(TokyoTime(milliseconds: $0).iso) } ?? .null),
                ("lacks", device.lacking.map { .object($0.map { ($0.space.name, JSON($0.changes)) }) } ?? .null),
            ])
        }
        self = .object([
            ("id", JSON(site.id)), ("name", JSON(site.name)), ("role", .text(site.role)),
            ("revoked", .bool(site.isRevoked)),
            ("devices", .array(devices)),
        ])
    }
}
