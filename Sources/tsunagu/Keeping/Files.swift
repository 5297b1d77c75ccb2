// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands

extension TransferFile: ExpressibleByArgument {}
extension ExportFormat: ExpressibleByArgument {}

/// What `export` writes: the records of a kind, the figures, or the audit log.
enum ExportedFile: ExpressibleByArgument {
    case records(TransferFile)
    case audit
    case figures

    static var allValueStrings: [String] { TransferFile.allValueStrings + ["kpi", "audit"] }

    init?(argument: String) {
        if argument == "audit" {
            self = .audit
        } else if argument == "kpi" {
            self = .figures
        } else if let kind = TransferFile(rawValue: argument) {
            self = .records(kind)
        } else {
            return nil
        }
    }
}

/// How the text of a file is written, as a person says it.
enum TextEncoding: String, ExpressibleByArgument, CaseIterable {
    /// Looked at in the file: UTF-8, with or without a byte order mark, or refused by the name of what it looks like.
    case auto
    case utf8 = "utf-8"
    case cp932

    /// Fails with 64 where files of the encoding are not read.
    func requireRead(_ file: String) throws {
        guard self == .cp932 else { return }
        throw CommandError(
            .usage,
            Localized(
                ja: "cp932（シフトJIS）のファイルはまだ読めません: \(file)",
                en: "files in cp932 (Shift JIS) are not read yet: \(file)"
            ),
            record: file,
            hint: Localized(
                ja: "UTF-8 で保存し直してください（表計算ソフトなら「CSV UTF-8」）",
                en: "save it as UTF-8; spreadsheets call that 'CSV UTF-8'"
            )
        )
    }
}

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("CSV を取り込む（すべてか、何もしないか）", "Takes a CSV file in, all of it or nothing.")
    )
    @Argument(help: ArgumentHelp(tr("種類", "What the rows are."), valueName: "residents|procedures|lessons|bookings"))
    var kind: TransferFile
    @Argument(
        help: ArgumentHelp(tr("ファイル。- は標準入力", "The file; - is standard input."), valueName: "file"),
        completion: .file()
    )
    var file: String
    @Flag(help: ArgumentHelp(tr("登録済みのものは違いだけを書く", "What exists is no error: differences are written.")))
    var update = false
    @Flag(help: ArgumentHelp(tr("確かめるだけで書かない", "Check everything, write nothing.")))
    var dryRun = false
    @Option(help: ArgumentHelp(tr("文字コード", "How its text is written."), valueName: "auto|utf-8|cp932"))
    var encoding = TextEncoding.auto
    @Option(
        help: ArgumentHelp(
            tr("よその列と値の読み替えを書いた JSON", "A JSON file that says what foreign columns and values mean."),
            valueName: "file"
        ),
        completion: .file()
    )
    var mapping: String?
    @Option(
        help: ArgumentHelp(
            tr("提供元。conflict list --source で絞れる", "Who the rows come from; 'conflict list --source' filters by it."),
            valueName: "name"
        )
    )
    var source: String?
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        try encoding.requireRead(file)
        let progress = Progress(file, globals)
        defer { progress.end() }
        let options = ImportOptions(updates: update, isDry: dryRun, source: source, mapping: mapping)
        let counts = try globals.site().importFile(kind, at: file, options) { progress.update($0, of: $1) }
        progress.end()
        globals.confirm(
            .object([
                ("rows", JSON(counts.rows)), ("created", JSON(counts.created)), ("updated", JSON(counts.updated)),
                ("unchanged", JSON(counts.unchanged)),
            ]),
            tr(
                "\(counts.rows) 行: 新規 \(counts.created)、更新 \(counts.updated)、変更なし \(counts.unchanged)",
                "\(counted(counts.rows, "row")): \(counts.created) created, \(counts.updated) updated, \(counts.unchanged) unchanged"
            )
                + (dryRun ? tr("（書いていません）", " (nothing was written)") : "")
        )
    }
}

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("この拠点が持つものを書き出す", "Writes out what this site holds."),
        discussion: tr(
            "CSV は import で同じものに戻ります。宛名番号のない住民だけは、番号を付けるまで読み込めません。",
            "The CSV is read back by import to the same records, but for residents who have no number yet."
        )
    )
    @Argument(
        help: ArgumentHelp(tr("種類", "What to write."), valueName: "residents|procedures|lessons|bookings|kpi|audit")
    )
    var kind: ExportedFile
    @Argument(
        help: ArgumentHelp(tr("ファイル。なければ標準出力", "The file; standard output without it."), valueName: "file"),
        completion: .file()
    )
    var file: String?
    @Option(help: ArgumentHelp(tr("csv か json", "csv or json."), valueName: "csv|json"))
    var format = ExportFormat.csv
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        // Without a file, the rows are the output, and `--json` says which form they have.
        let toFile = file != nil && file != "-"
        let form = globals.json && !toFile ? .json : format
        let site = try globals.site()
        let rows =
            switch kind {
            case .records(let kind): try site.exportFile(kind, to: file, form)
            case .figures: try site.exportFigures(to: file, form, in: .current)
            case .audit: try exportAudit(site, form)
            }
        guard toFile else { return }
        globals.confirm(
            .object([("rows", JSON(rows)), ("file", JSON(file))]),
            tr("\(rows) 行を書きました", "\(counted(rows, "row")) written")
        )
    }

    private func exportAudit(_ site: Site, _ form: ExportFormat) throws -> Int {
        globals.warn(of: try site.auditGap())
        return try site.exportAudit(to: file, form) { TokyoTime($0).iso }
    }
}

struct Sample: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: tr("架空の区のデータを作る", "Makes the files of a fictitious ward."),
        discussion: tr("同じ人数と種からは、いつも同じファイルができます。", "The same number and seed give the same files.")
    )
    @Option(help: ArgumentHelp(tr("住民の数", "How many residents."), valueName: "n"))
    var residents = 87_714
    @Option(help: ArgumentHelp(tr("乱数の種", "What everything follows from."), valueName: "n"))
    var seed: UInt64 = 1
    @Argument(help: ArgumentHelp(tr("書くフォルダー", "The directory to write to."), valueName: "dir"), completion: .directory)
    var directory: String
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        let files = try Site.writeSample(residents: residents, seed: seed, to: directory)
        globals.confirm(
            .object([
                ("files", .array(files.map { .object([("path", .text($0.path)), ("bytes", JSON($0.bytes))]) })),
                ("residents", JSON(residents)), ("seed", .number(String(seed))),
            ]),
            files.map { "\($0.path)  \($0.bytes)" }.joined(separator: "\n")
        )
    }
}
