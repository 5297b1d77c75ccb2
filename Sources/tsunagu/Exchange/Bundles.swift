// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore

struct Bundles: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bundle",
        abstract: tr("つながらない拠点へ、ファイルで変更を運ぶ", "Carries changes as a file to a site that no line reaches."),
        subcommands: [Export.self, Import.self, Inspect.self]
    )

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr(
                "相手がまだ持たない変更を、相手だけが読めるファイルに書く",
                "Writes what a site is not known to hold, for that site alone to read."
            )
        )
        @Argument(help: ArgumentHelp(tr("書くファイル", "The file."), valueName: "file"), completion: .file())
        var file: String
        @Option(
            name: .customLong("for"),
            help: ArgumentHelp(tr("あて先の拠点、または端末の id", "The site, or the id of one device."), valueName: "site")
        )
        var site: String
        @Option(
            help: ArgumentHelp(
                tr(
                    "ファイルひとつの大きさ。超える分は FILE.2、FILE.3 … に",
                    "How large one file may be; the rest goes to FILE.2, FILE.3 …"
                ),
                valueName: "size"
            ),
            transform: Bundles.bytes
        )
        var maxSize = Site.bundleBytesMax
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let written = try globals.site().exportBundle(to: file, for: site, bytesMax: maxSize)
            let changes = written.spaces.reduce(0) { $0 + $1.changes }
            globals.confirm(
                .object([
                    ("bundle", .text(Hex.encode(written.id.bytes))),
                    ("devices", .array(written.devices.map { JSON($0) })),
                    (
                        "files",
                        .array(written.files.map { .object([("path", .text($0.path)), ("bytes", JSON($0.bytes))]) })
                    ),
                    (
                        "spaces",
                        .array(
                            written.spaces.map {
                                .object([("space", .text($0.id.name)), ("changes", JSON($0.changes))])
                            }
                        )
                    ),
                ]),
                tr("\(changes) 件の変更を書きました", "\(changes) changes written") + "\n"
                    + written.files.map { "\($0.path)  \($0.bytes)" }.joined(separator: "\n")
            )
        }
    }

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr(
                "届いたファイルを取り込む（確かめてから。二度取り込んでも同じ）",
                "Takes a file in after checking all of it; twice is as once."
            )
        )
        @Argument(help: ArgumentHelp(tr("ファイル", "The file."), valueName: "file"), completion: .file())
        var file: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let report = try globals.site().importBundle(file)
            globals.confirm(.report(report), Bundles.sentence(report))
            // Something that its sender believes to be right did not pass.
            if !report.refused.isEmpty { throw ExitCode(CommandError.Code.tryAgain.exitStatus) }
        }
    }

    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: tr("届いたファイルの中身を、取り込まずに見る", "Shows what a file holds and takes nothing in.")
        )
        @Argument(help: ArgumentHelp(tr("ファイル", "The file."), valueName: "file"), completion: .file())
        var file: String
        @OptionGroup var globals: GlobalOptions

        func run() throws {
            let view = try globals.site().inspectBundle(file)
            globals.show(.object(JSON.members(of: view))) { Bundles.plain(view) }
        }
    }

    private static func plain(_ view: BundleView) -> String {
        let sender = view.isMember ? view.senderName : tr("知らない端末", "an unknown device") + " \(view.sender.short)"
        var lines = [
            "\(tr("送り主", "from")): \(sender)",
            "\(tr("日時", "written")): \(TokyoTime(milliseconds: view.writtenAt).plain)",
            "\(tr("部分", "part")): \(view.part)/\(view.parts)",
        ]
        lines += view.spaces.map {
            "\($0.id): " + tr("変更 \($0.changes)、うち新しいもの \($0.new)", "\($0.changes) changes, \($0.new) of them new")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func sentence(_ report: BundleReport) -> String {
        var text = tr(
            "\(report.view.senderName) から: 新規 \(report.applied)、既知 \(report.duplicates)",
            "from \(report.view.senderName): \(report.applied) applied, \(report.duplicates) known"
        )
        if report.quarantined > 0 { text += tr("、隔離 \(report.quarantined)", ", \(report.quarantined) quarantined") }
        if report.held > 0 {
            text += tr(
                "、ほかの変更を待つもの \(report.held)",
                ", \(report.held) runs waiting for changes that are not here"
            )
        }
        for refused in report.refused {
            text +=
                "\n  \(tr("断ったもの", "refused")): \(refused.space) \(refused.replica.device.short) \(refused.first): "
                + refused.reason
        }
        return text
    }

    /// A size such as 2G, 700M, 64K or a number of bytes.
    private static func bytes(_ text: String) throws -> Int {
        let units: [Character: Int] = ["K": 10, "M": 20, "G": 30]
        let unit = text.last.flatMap { units[Character($0.uppercased())] }
        guard let number = Int(unit == nil ? text : String(text.dropLast())), 1...1 << 20 ~= number || unit == nil,
            number > 0
        else { throw ValidationError(tr("大きさは 2G、700M、64K の形です: \(text)", "a size is like 2G, 700M or 64K: \(text)")) }
        return number << (unit ?? 0)
    }
}

extension BundleView {
    fileprivate var senderName: String {
        guard let place else { return sender.short }
        return "\(place.site?.string ?? "")（\(place.device.string)）"
    }
}

extension JSON {
    fileprivate static func members(of view: BundleView) -> [(String, JSON)] {
        [
            ("bundle", .text(Hex.encode(view.id.bytes))), ("sender", JSON(view.sender)),
            ("site", JSON(view.place?.site)), ("device", JSON(view.place?.device)), ("member", .bool(view.isMember)),
            ("written_at", .text(TokyoTime(milliseconds: view.writtenAt).iso)), ("part", JSON(view.part)),
            ("parts", JSON(view.parts)),
            (
                "spaces",
                .array(
                    view.spaces.map {
                        .object([("space", .text($0.id.name)), ("changes", JSON($0.changes)), ("new", JSON($0.new))])
                    }
                )
            ),
        ]
    }

    fileprivate static func report(_ report: BundleReport) -> JSON {
        let refused = report.refused.map { run in
            JSON.object([
                ("space", .text(run.space.name)), ("replica", JSON(run.replica)), ("first", .number(String(run.first))),
                ("reason", .text(run.reason)),
            ])
        }
        return .object(
            members(of: report.view) + [
                ("applied", JSON(report.applied)), ("duplicates", JSON(report.duplicates)),
                ("quarantined", JSON(report.quarantined)), ("held", JSON(report.held)), ("refused", .array(refused)),
            ]
        )
    }
}
