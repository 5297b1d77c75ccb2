// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCarriers
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
                --revoke の拠点の端末がほかの人の手にあるかもしれないなら --lost（既定）: ここに届いている分までを有効とし、\
                そのあとに許した端末や失効は、隔離から一件ずつ引き取るまで効きません。壊れて使えないだけなら --retired: \
                ほかの拠点に残っている分もすべて有効です。先にほかの拠点と同期しておくと、失われるものが減ります。
                """,
                """
                For when the last admin's device is lost; any site that joined will do. Asks for the key that init printed. \
                That it was used is in every site's status from then on.
                Where the devices of the site named by --revoke may be in unknown hands, --lost (the default) honours what has \
                arrived here; whom they let in or revoked since then is quarantined until you adopt it, case by case. Where \
                they are only broken, --retired honours all that other sites still hold of them. Syncing with other sites \
                first leaves less behind.
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
        @Flag(help: ArgumentHelp(tr("その端末は、ほかの人の手にあるかもしれない（既定）", "Its devices may be in unknown hands; the default.")))
        var lost = false
        @Flag(help: ArgumentHelp(tr("その端末は、壊れて使えないだけ", "Its devices are broken, and in nobody's hands.")))
        var retired = false
        @OptionGroup var why: ReasonOption
        @OptionGroup var key: RecoveryKeyOptions
        @OptionGroup var globals: GlobalOptions

        func validate() throws {
            guard !(lost && retired), revoke != nil || !(lost || retired) else {
                throw ValidationError(
                    tr(
                        "--lost か --retired は、--revoke と一緒にどちらか一方を",
                        "give --lost or --retired, one of them, with --revoke"
                    )
                )
            }
        }

        func run() throws {
            let opened = try globals.site()
            let (admitted, revoked) = try opened.recover(
                with: key.key(),
                site: site,
                revoking: revoke,
                as: retired ? .retired : .lost,
                reason: why.reason,
                identity: TLSIdentity.ofHub(in: globals.directory)
            )
            if !revoked.isEmpty, !retired, !globals.quiet {
                globals.note(
                    tr(
                        "\(revoke ?? "") が、ここに届いたあとに許した端末や失効は効きません。"
                            + "ほかの拠点と同期してから tsunagu conflict list --kind quarantine を見て、正しいものを引き取ってください",
                        "whom \(revoke ?? "") let in or revoked after what has arrived here does not count; once other sites "
                            + "have synced, look at 'tsunagu conflict list --kind quarantine' and adopt what is right"
                    )
                )
            }
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
