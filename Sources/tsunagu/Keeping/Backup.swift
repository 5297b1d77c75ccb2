// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCarriers
import TsunaguCommands
import TsunaguCore

/// Where a passphrase comes from: never from an argument, which others on the machine can read.
struct PassphraseOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            tr("合言葉の書かれたファイル。なければ端末で尋ねる", "A file that holds the passphrase; asked for at the terminal without."),
            valueName: "file"
        ),
        completion: .file()
    )
    var passphraseFile: String?

    /// The passphrase; a line end at its end does not belong to it.
    ///
    /// - Parameter isNew: whether it is asked for twice.
    func passphrase(isNew: Bool) throws -> [UInt8] {
        if let passphraseFile {
            guard let text = try DataDirectory.read(passphraseFile) else {
                throw CommandError(
                    .notFound,
                    Localized(ja: "ファイルがありません: \(passphraseFile)", en: "there is no file \(passphraseFile)"),
                    record: passphraseFile
                )
            }
            return Array(text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).first ?? [])
        }
        let first = try HiddenInput.ask(tr("合言葉: ", "passphrase: "), orFileOf: "--passphrase-file")
        guard try !isNew || first == HiddenInput.ask(tr("もう一度: ", "again: "), orFileOf: "--passphrase-file") else {
            throw CommandError(.usage, Localized(ja: "二つの合言葉が違います", en: "the two passphrases differ"))
        }
        return first
    }
}

struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("この拠点の控えを暗号化して作る", "Writes all that this site is into one encrypted file."),
        discussion: tr(
            "合言葉がなければ誰にも開けません。控えと合言葉は別の場所に置いてください。",
            "Without the passphrase nobody opens it; keep the two in different places."
        )
    )
    @Argument(help: ArgumentHelp(tr("ファイル", "The file."), valueName: "file"), completion: .file())
    var file: String
    @OptionGroup var passphrase: PassphraseOptions
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        try globals.site().backUp(to: file, passphrase: passphrase.passphrase(isNew: true))
        globals.confirm(.object([("file", .text(file))]), tr("控えを作りました: \(file)", "backed up: \(file)"))
    }
}

struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("控えからデータの場所を作る", "Makes the data directory of a backup."),
        discussion: tr(
            "次に同期すると、控えのあとの変更が本庁から届きます。--force のとき、今あるファイルは名前を変えて残します。",
            "What came after the backup arrives with the next sync. With --force, what is there is kept under other names."
        )
    )
    @Argument(help: ArgumentHelp(tr("ファイル", "The file."), valueName: "file"), completion: .file())
    var file: String
    @Flag(help: ArgumentHelp(tr("今あるデータと置き換える", "Takes the place of what is there.")))
    var force = false
    @OptionGroup var passphrase: PassphraseOptions
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        if let holder = DataDirectoryLock.holder(of: globals.directory.path) {
            throw CommandError(
                .tryAgain,
                Localized(
                    ja: "tsunagud が動いています（\(holder.process)）",
                    en: "tsunagud is running there (process \(holder.process))"
                ),
                hint: Localized(ja: "止めてからもう一度", en: "stop it and try again")
            )
        }
        var replaced: Site.Replaced?
        let site = try Site.restore(
            globals.directory,
            from: file,
            passphrase: passphrase.passphrase(isNew: false),
            person: globals.person,
            force: force
        ) { replaced = $0 }
        if let replaced { tell(replaced) }
        let status = try site.status()
        globals.confirm(
            .object([
                ("site", JSON(status.site)), ("device", JSON(status.device)), ("replica", JSON(status.replica)),
                ("data", .text(globals.directory.path)), ("replaced", JSON(replaced?.database)),
                ("unsent", JSON(replaced?.unsent)),
            ]),
            tr(
                "復元しました: \(globals.directory.path)。続けて tsunagu sync をしてください",
                "restored: \(globals.directory.path); go on with 'tsunagu sync'"
            )
        )
    }

    /// Work that nobody else has stays in what was replaced: that is for a person to know.
    private func tell(_ replaced: Site.Replaced) {
        guard replaced.unsent != 0 || !globals.quiet else { return }
        let name = replaced.database
        let what =
            replaced.unsent.map {
                tr(
                    "そこには、どこにも送られていない変更が \($0) 件あります",
                    "it holds \(counted($0, "change")) that nobody else is known to have"
                )
            } ?? tr("そこに未送信の変更があるかどうかは、読めないのでわかりません", "whether it holds unsent changes could not be read")
        let how = tr(
            "取り戻すには、これを別の場所に ward.sqlite、同じ語尾の device.key をそこに device.key として写し、--data でその場所を指定して "
                + "tsunagu sync をしてください。本庁のデータなら、ほかの拠点の tsunagud のアドレスを付けてください",
            "to get them back, copy it as ward.sqlite, and the device.key of the same ending as device.key, to another place, and "
                + "run 'tsunagu sync' there with --data; what was the centre's is synced with another site's daemon, by its address"
        )
        let isSafe = replaced.unsent == 0
        globals.note(
            tr("置き換えたデータは残してあります: \(name)。", "what was replaced is kept: \(name); ") + what
                + (isSafe ? "" : tr("。", "; ") + how)
        )
    }
}
