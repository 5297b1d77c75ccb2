// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCarriers
import TsunaguCommands
import TsunaguCore
import TsunaguSync

#if canImport(Glibc)
    import Glibc
#endif

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("新しい自治体を始める", "Begins a ward with this device as its first admin."),
        discussion: tr(
            """
            復旧キーを一度だけ表示します。紙に書き写し、金庫などに保管してください。どの端末にも残りません。\
            管理者の端末がすべて失われたとき、このキーだけが新しい管理者を作れます（tsunagu site recover）。
            """,
            """
            Shows the recovery key once. Write it down and lock it away; no machine keeps it. When every admin's device is \
            lost, it alone makes another admin ('tsunagu site recover').
            """
        )
    )
    @Option(help: ArgumentHelp(tr("自治体の名称", "The ward's name."), valueName: "name"))
    var name: String
    @Option(help: ArgumentHelp(tr("団体コード", "The municipality's code."), valueName: "code"))
    var municipality = "131016"
    @Option(help: ArgumentHelp(tr("端末の名称", "This device's name."), valueName: "name"))
    var device: String?
    @Option(
        help: ArgumentHelp(
            tr("復旧キーを表示せず、このファイルに書く", "Writes the recovery key to this file instead of showing it."),
            valueName: "file"
        ),
        completion: .file()
    )
    var recoveryFile: String?
    @Flag(
        help: ArgumentHelp(
            tr(
                "データベースだけが失われた本庁を、復旧キーでもう一度始める。ほかの拠点の持つ記録は、次の同期で戻る",
                "Begins again, by the recovery key, where the centre lost its database alone; what other sites hold comes "
                    + "back with their next sync."
            )
        )
    )
    var recover = false
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        let key: RecoveryKey
        if recover {
            guard DataDirectory.exists(globals.directory.deviceKey) else {
                throw CommandError(
                    .notFound,
                    Localized(ja: "この端末は自治体の端末ではありません", en: "this device never belonged to the ward"),
                    record: globals.directory.deviceKey,
                    hint: Localized(
                        ja: "参加している拠点で tsunagu site recover を使ってください",
                        en: "use 'tsunagu site recover' at a site that joined"
                    )
                )
            }
            key = try RecoveryKeyOptions.key(recoveryFile)
        } else {
            var random = SystemRandomNumberGenerator()
            key = RecoveryKey { random.next() }
        }
        let site = try Site.initialise(
            globals.directory,
            person: globals.person,
            name: name,
            code: municipality,
            deviceName: device ?? Self.hostName,
            recoveryKey: key,
            recoveryFile: recover ? nil : recoveryFile,
            isAgain: recover,
            identity: TLSIdentity.ofHub(in: globals.directory)
        )
        let status = try site.status()
        let shown = recover || recoveryFile != nil ? nil : key.text
        globals.show(
            .object([
                ("site", JSON(status.site)), ("device", JSON(status.device)), ("replica", JSON(status.replica)),
                ("data", .text(globals.directory.path)), ("recovery_key", JSON(shown)),
                ("recovery_file", JSON(recover ? nil : recoveryFile)),
            ])
        ) {
            let begun = tr("\(name) を始めました: \(globals.directory.path)", "\(name) has begun: \(globals.directory.path)")
            let told = shown.map { key in
                tr(
                    "復旧キー: \(key)\n紙に書き写して保管してください。二度と表示されません。",
                    "recovery key: \(key)\nWrite it down and lock it away; it is not shown again."
                )
            }
            return ([globals.quiet ? nil : begun] + [told]).compactMap { $0 }.joined(separator: "\n")
        }
    }

    static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "device" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension Site.HubTrust: ExpressibleByArgument {}

struct Invite: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("拠点を招く一度きりのコードを作る", "Makes a code that enrols one site, once.")
    )
    @Option(
        help: ArgumentHelp(tr("役割", "The role."), valueName: "branch|venue|admin|auditor"),
        completion: .list(Role.allCases.map(\.rawValue)),
        transform: Invite.role
    )
    var role: Role?
    @Option(help: ArgumentHelp(tr("拠点の名称", "The site's name."), valueName: "name"))
    var name: String?
    @Option(help: ArgumentHelp(tr("持つ空間（いくつでも）", "A space it may hold; as often as needed."), valueName: "space"))
    var space: [String] = []
    @Option(help: ArgumentHelp(tr("期限。例: 7d、12h、30m", "How long it is good for: 7d, 12h, 30m."), valueName: "time"))
    var expires = "7d"
    @Option(help: ArgumentHelp(tr("本庁のアドレス", "The hub's address."), valueName: "url"))
    var hub: String?
    @Option(
        help: ArgumentHelp(
            tr(
                "https の本庁の確かめ方。本庁の鍵（pin）か、TLS を終端するプロキシの後ろなら端末の認証局（system）",
                "How an https hub is known: by its own key (pin), or behind a proxy that does TLS by the authorities that "
                    + "machines trust (system)."
            ),
            valueName: "pin|system"
        )
    )
    var tls: Site.HubTrust = .pin
    @Option(
        help: ArgumentHelp(tr("ファイルで届いた申請を受け入れる", "Accepts a request that came as a file."), valueName: "file"),
        completion: .file()
    )
    var accept: String?
    @Option(
        help: ArgumentHelp(
            tr("その返事と最初のバンドルを書くファイル", "Where the answer to it goes, with a first bundle."),
            valueName: "file"
        ),
        completion: .file()
    )
    var answer: String?
    @OptionGroup var globals: GlobalOptions

    func validate() throws {
        let invites = role != nil && name != nil && accept == nil && answer == nil
        let accepts = role == nil && name == nil && accept != nil && answer != nil
        guard invites || accepts else {
            throw ValidationError(
                tr(
                    "--role と --name、または --accept と --answer を指定します",
                    "give --role and --name, or --accept and --answer"
                )
            )
        }
    }

    func run() throws {
        if let accept, let answer {
            let written = try globals.site().accept(accept, answer: answer)
            return globals.confirm(
                .object([
                    ("device", JSON(written.devices[0])),
                    ("files", .array(written.files.map { .text($0.path) })),
                ]),
                tr("申請した拠点に届けてください", "take this to the site that asked") + ": "
                    + written.files.map(\.path).joined(separator: " ")
            )
        }
        guard let role, let name else { preconditionFailure("arguments were validated") }
        let milliseconds = try Self.milliseconds(expires)
        let site = try globals.site()
        let daemon = DataDirectoryLock.holder(of: globals.directory.path)
        let hub = hub ?? environment("TSUNAGU_HUB") ?? daemon?.url(of: "hub")
        if let hub {
            do {
                _ = try HubURL(hub)
            } catch {
                throw CommandError(
                    .usage,
                    Localized(ja: "アドレスが使えません: \(hub)", en: "the address cannot be used: \(hub)")
                )
            }
        }
        globals.warnOfPlain(hub)
        let invitation = try site.invite(
            role: role,
            name: name,
            spaces: space,
            milliseconds: milliseconds,
            hub: hub,
            trust: tls
        )
        globals.warnOfUnknown(try site.unknownSpaces(space))
        if hub == nil, !globals.quiet {
            let port = daemon?.url(of: "hub-everywhere").flatMap { try? HubURL($0) }?.port ?? 8788
            let example = "--hub https://\(Init.hostName):\(port)"
            globals.note(
                tr(
                    "ほかの端末から見た本庁のアドレスがわからないので、コードに入っていません。"
                        + "招くときか参加するときに --hub で指定してください。例: \(example)",
                    "the code has no address, since where other machines find the hub is not known; name it with --hub "
                        + "when inviting or joining, such as \(example)"
                )
            )
        }
        globals.show(
            .object([
                ("code", .text(invitation.code)), ("hub", JSON(invitation.hub)),
                ("expires_at", .text(TokyoTime(milliseconds: invitation.expiresAt).iso)),
            ])
        ) {
            "\(invitation.code)\n" + tr("期限", "good until")
                + ": \(TokyoTime(milliseconds: invitation.expiresAt).plain)\n"
        }
        // Codes are read in either case; capitals make a smaller picture.
        if Standard.output.isTerminal, !globals.json, let picture = QRCode(invitation.code.uppercased()) {
            Standard.output.write(picture.terminalText)
        }
    }

    private static func role(_ text: String) throws -> Role {
        guard let role = Role(rawValue: text) else {
            let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError(tr("役割は \(known) のどれかです", "a role is one of \(known)"))
        }
        return role
    }

    private static func milliseconds(_ text: String) throws -> UInt64 {
        let units: [Character: UInt64] = ["d": 86_400_000, "h": 3_600_000, "m": 60_000]
        guard let unit = text.last.flatMap({ units[$0] }), let number = UInt64(text.dropLast()),
            (1...1_000_000).contains(number)
        else {
            throw CommandError(
                .usage,
                Localized(ja: "期限「\(text)」は 7d、12h、30m の形ではありません", en: "'\(text)' is not like 7d, 12h or 30m")
            )
        }
        return number * unit
    }
}

struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("招かれた拠点として参加する", "Enrols this data directory and does the first sync.")
    )
    @Argument(help: ArgumentHelp(tr("招待コード", "The code."), valueName: "code"))
    var code: String?
    @Option(
        help: ArgumentHelp(
            tr(
                "招待コードの書かれたファイル。引数はこの端末のほかの利用者にも見える",
                "A file that holds the code; arguments can be seen by others on this machine."
            ),
            valueName: "file"
        ),
        completion: .file()
    )
    var codeFile: String?
    @Option(help: ArgumentHelp(tr("本庁のアドレス", "The hub's address."), valueName: "url"))
    var hub: String?
    @Option(help: ArgumentHelp(tr("端末の名称", "This device's name."), valueName: "name"))
    var name: String?
    @Option(
        help: ArgumentHelp(
            tr("本庁につながらないとき、申請をファイルに書く", "Writes the request to a file, for a site that no line reaches."),
            valueName: "file"
        ),
        completion: .file()
    )
    var request: String?
    @Option(
        help: ArgumentHelp(
            tr("本庁から届いた返事のファイルで参加を終える", "Finishes with the file that the ward office answered."),
            valueName: "file"
        ),
        completion: .file()
    )
    var answer: String?
    @OptionGroup var globals: GlobalOptions

    func validate() throws {
        let ways = [code, codeFile, answer].filter { $0 != nil }.count
        guard ways == 1, answer == nil || request == nil, request == nil || hub == nil else {
            throw ValidationError(
                tr(
                    "コード、--code-file、--answer のどれか一つを指定します",
                    "give a code or --code-file, with --request or not, or --answer alone"
                )
            )
        }
    }

    func run() throws {
        if let answer {
            let (_, report) = try Site.join(globals.directory, person: globals.person, answer: answer)
            return globals.confirm(
                .object([("received", JSON(report.applied))]),
                tr("参加しました: 受信 \(report.applied) 件", "joined: \(report.applied) changes received")
            )
        }
        let code = try code ?? codeFile.map(Self.read) ?? ""
        globals.warnOfPlain(hub)
        if let request {
            try Site.requestToJoin(
                globals.directory,
                person: globals.person,
                code: code,
                deviceName: name ?? Init.hostName,
                to: request
            )
            return globals.confirm(
                .object([("request", .text(request))]),
                tr("本庁に届けてください: \(request)", "take this to the ward office: \(request)")
            )
        }
        let (_, report) = try Site.join(
            globals.directory,
            person: globals.person,
            code: code,
            hub: hub,
            deviceName: name ?? Init.hostName
        ) { try HTTPTransport($0) }
        globals.confirm(
            .sync([report]),
            tr(
                "参加しました: 受信 \(report.outcome.received) 件",
                "joined: \(counted(report.outcome.received, "change")) received"
            )
        )
    }
}

extension GlobalOptions {
    /// Tells people that an address is one at which nobody checks the hub's TLS key, whatever the code says of it.
    func warnOfPlain(_ url: String?) {
        guard let url, url.hasPrefix("http://"), !quiet, !json else { return }
        note(
            tr(
                "\(url) は暗号化しない HTTP なので、本庁の TLS 鍵（pin）は確かめません。中身は端末の鍵で守られますが、"
                    + "だれがだれと話すかは見えます。TLS を終端するプロキシの後ろだけで使ってください",
                "\(url) is plain HTTP, so the hub's TLS key (the pin) is not checked; contents are sealed by the devices' "
                    + "keys, but who speaks with whom is seen; use it only behind a proxy that does TLS"
            )
        )
    }
}

extension Join {
    /// The text of a file that was named.
    static func read(_ path: String) throws -> String {
        guard let text = try DataDirectory.read(path) else {
            throw CommandError(
                .notFound,
                Localized(ja: "ファイルがありません: \(path)", en: "there is no file \(path)"),
                record: path
            )
        }
        return text
    }
}

struct Sync: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("本庁やほかの拠点と同期する", "Exchanges changes with the hub, or with another site.")
    )
    @Argument(
        help: ArgumentHelp(
            tr("アドレス。以後は覚える。なければ知っている相手すべて", "Addresses, remembered from then on; all known ones without."),
            valueName: "url"
        )
    )
    var urls: [String] = []
    @Option(help: ArgumentHelp(tr("覚えたアドレスを忘れる", "Forgets an address instead."), valueName: "url"))
    var forget: String?
    @Flag(help: ArgumentHelp(tr("一度だけ（既定）", "Once, which is the default.")))
    var once = false
    @Flag(help: ArgumentHelp(tr("止められるまで、何度も", "Again and again until it is stopped.")))
    var watch = false
    @OptionGroup var globals: GlobalOptions

    func validate() throws {
        if once, watch {
            throw ValidationError(tr("--once と --watch は両立しません", "--once and --watch exclude each other"))
        }
        if forget != nil, watch || !urls.isEmpty {
            throw ValidationError(tr("--forget は単独で使います", "--forget stands alone"))
        }
        if watch, globals.json {
            throw ValidationError(tr("--watch は一つの文書になりません", "--watch does not make one JSON document"))
        }
    }

    func run() throws {
        let site = try globals.site()
        for url in urls { globals.warnOfPlain(url) }
        if let forget {
            try site.forget(forget)
            return globals.confirm(.object([("url", .text(forget))]), tr("忘れました: \(forget)", "forgotten: \(forget)"))
        }
        guard watch else { return try show(site.syncAll(urls)) }
        var backOff = BackOff()
        var random = SystemRandomNumberGenerator()
        while true {
            let reports = try site.syncAll(urls)
            // What fails now may do better later; only what no waiting mends ends it.
            do {
                try show(reports)
            } catch let error as CommandError where error.code == .unreachable {
                Standard.error.write("\(tr(error.message))\n")
            } catch is ExitCode {}
            let outcome = SyncOutcome(reports)
            let (seconds, attoseconds) = backOff.delay(after: outcome, using: &random).components
            var pause = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
            nanosleep(&pause, nil)
        }
    }

    private func show(_ reports: [SyncReport]) throws {
        globals.show(.sync(reports)) {
            // What failed is told as an error, once.
            reports.filter { $0.failure == nil && !(globals.quiet && $0.isWell) }.map { report in
                let moved = tr(
                    "送信 \(report.outcome.sent)、受信 \(report.outcome.received)",
                    "\(report.outcome.sent) sent, \(report.outcome.received) received"
                )
                let state =
                    report.upToDate
                    ? tr("最新", "up to date") : tr("未完了", "not up to date")
                let scope =
                    report.upToDate ? " (\(report.outcome.proved.map(\.name).sorted().joined(separator: ", ")))" : ""
                let lost = report.lossMessage.map { "  \(tr($0))\n" } ?? ""
                let refused = report.outcome.refused.map { refused in
                    tr("  受け取られない変更", "  not taken")
                        + ": \(refused.space) \(refused.replica.device.short) \(refused.first): \(refused.reason)\n"
                }
                let differing = report.outcome.differences.map { difference in
                    tr("  食い違っていた記録", "  differed")
                        + ": \(difference.space) \(difference.record) (\(difference.wrong.rawValue))\n"
                }
                return "\(report.url): \(moved) — \(state)\(scope)\n" + lost + refused.joined() + differing.joined()
            }.joined()
        }
        // Nobody asked is no proof.
        guard !reports.isEmpty else {
            throw CommandError(
                .usage,
                Localized(ja: "同期する相手がわかりません", en: "there is no peer to sync with"),
                hint: Localized(
                    ja: "アドレスを指定するか、tsunagu join で参加してください。本庁のハブはほかの拠点を待ちます（tsunagud）",
                    en:
                        "name an address, or join a ward with 'tsunagu join'; the ward's own hub waits to be asked ('tsunagud')"
                )
            )
        }
        if let failure = reports.compactMap(\.failure).first { throw failure }
        if !reports.allSatisfy(\.upToDate) { throw ExitCode(CommandError.Code.tryAgain.exitStatus) }
    }
}

extension JSON {
    static func sync(_ reports: [SyncReport]) -> JSON {
        func sum(_ value: (SyncReport) -> Int) -> JSON { JSON(reports.reduce(0) { $0 + value($1) }) }
        let peers = reports.map { report in
            let refused = report.outcome.refused.map { refused in
                JSON.object([
                    ("space", .text(refused.space.name)), ("replica", JSON(refused.replica)),
                    ("first", .integer(Int64(refused.first))), ("reason", .text(refused.reason)),
                    ("here", .bool(refused.here)),
                ])
            }
            let diverged = report.outcome.differences.map { difference in
                JSON.object([
                    ("space", .text(difference.space.name)), ("record", JSON(difference.record)),
                    ("wrong", .text(difference.wrong.rawValue)),
                ])
            }
            return JSON.object([
                ("url", .text(report.url)), ("sent", JSON(report.outcome.sent)),
                ("received", JSON(report.outcome.received)),
                ("refused", .array(refused)), ("diverged", .array(diverged)), ("up_to_date", .bool(report.upToDate)),
                ("proved", .array(report.outcome.proved.map { .text($0.name) })),
                ("epoch_changed", .bool(report.outcome.isNewEpoch)),
                ("lost", .array(report.outcome.lost.map { .text($0.name) })),
                ("error", report.failure.map { JSON($0) } ?? .null),
            ])
        }
        return .object([
            ("sent", sum(\.outcome.sent)), ("received", sum(\.outcome.received)), ("bytes_sent", sum(\.bytesSent)),
            ("bytes_received", sum(\.bytesReceived)),
            ("up_to_date", .bool(!reports.isEmpty && reports.allSatisfy(\.upToDate))),
            ("peers", .array(peers)),
        ])
    }
}

extension SyncReport {
    /// Whether there is nothing to tell.
    fileprivate var isWell: Bool {
        upToDate && lossMessage == nil && outcome.refused.isEmpty && outcome.differences.isEmpty
    }
}
