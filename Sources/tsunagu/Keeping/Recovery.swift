// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

extension Sites {
    struct Recover: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("復旧キーで管理者を作る", "Makes an admin by the recovery key."),
            discussion: tr(
                """
                最後の管理者の端末が失われたとき、参加しているどの拠点の端末でも使えます。紙に控えた復旧キーを尋ねます。\
                使ったことは、以後すべての拠点の status に出ます。
                """,
                """
                For when the last admin's device is lost; any site that joined will do. Asks for the key that init printed. \
                That it was used is in every site's status from then on.
                """
            )
        )
        @Argument(
            help: ArgumentHelp(
                tr("管理者にする拠点。なければこの端末", "The site that becomes the admin; this device where none is named."),
                valueName: "site"
            )
        )
        var site: String?
        @Option(
            help: ArgumentHelp(tr("失われた拠点。その権限を終わらせる", "The lost site, whose rights end."), valueName: "site")
        )
        var revoke: String?
        @Option(help: ArgumentHelp(tr("理由", "Why."), valueName: "text"))
        var reason: String
        @OptionGroup var key: RecoveryKeyOptions
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let opened = try globals.site()
            let (admitted, revoked) = try opened.recover(
                with: key.key(),
                site: site,
                revoking: revoke,
                reason: reason,
                identity: Init.identity(in: globals.directory)
            )
            globals.confirm(
                .object([
                    ("devices", .array(admitted.map { JSON($0) })), ("revoked", .array(revoked.map { JSON($0) })),
                ]),
                tr(
                    "管理者になりました: \(site ?? tr("この端末", "this device"))。続けて tsunagu sync をしてください",
                    "now an admin: \(site ?? tr("この端末", "this device")); go on with 'tsunagu sync'"
                )
            )
        }
    }
}

/// Where a recovery key is read from: never from an argument, which others on the machine can read.
struct RecoveryKeyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            tr("復旧キーの書かれたファイル。なければ端末で尋ねる", "A file that holds the recovery key; asked for at the terminal without."),
            valueName: "file"
        ),
        completion: .file()
    )
    var recoveryFile: String?

    /// The key that a person has.
    func key() throws -> RecoveryKey { try Self.key(recoveryFile) }

    static func key(_ file: String?) throws -> RecoveryKey {
        guard let file else {
            let typed = try HiddenInput.ask(tr("復旧キー: ", "recovery key: "), orFileOf: "--recovery-file")
            return try RecoveryKey(typed: String(decoding: typed, as: UTF8.self))
        }
        return try RecoveryKey(typed: Join.read(file))
    }
}
