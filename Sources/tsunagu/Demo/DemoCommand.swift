// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import FoundationEssentials
import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: tr("一つの区をまるごと動かして見せる", "Plays a whole ward in a temporary directory."),
        discussion: tr(
            "本庁・出張所2つ・会場を本物のプロセスと HTTPS で動かし、主張を一つずつ確かめます。一つでも崩れれば終了状態は1です。",
            "Centre, two branches and a venue as real processes over real HTTPS. Every claim is checked; one that fails ends it with status 1."
        )
    )

    @OptionGroup var globals: GlobalOptions

    @Option(help: ArgumentHelp(tr("住民の数", "How many residents."), valueName: "n"))
    var residents = 87_714

    @Option(
        help: ArgumentHelp(tr("この場所で動かし、残す", "Works in this directory and leaves it."), valueName: "dir"),
        completion: .directory
    )
    var keep: String?

    func validate() throws {
        guard (100...1_000_000).contains(residents) else {
            throw ValidationError(tr("--residents は100〜1000000です", "--residents is 100 to 1000000"))
        }
    }

    func run() throws {
        let directory = try keep ?? Self.temporaryDirectory()
        defer { if keep == nil { try? FileManager.default.removeItem(atPath: directory) } }
        if keep != nil { try DataDirectory(directory).create() }
        let demo = Demo(
            residents: residents,
            directory: directory,
            programs: try Self.programs(),
            isJapanese: Language.current == .ja,
            tell: { step in
                guard !globals.json, !globals.quiet || !step.ok else { return }
                let mark = step.ok ? "✓" : "✗"
                Standard.output.write(
                    Visible.text("\(mark) \(step.name): \(step.detail)  (\(Self.seconds(step.seconds)) s)\n")
                )
            }
        )
        let ok = demo.run()
        if globals.json {
            let steps = demo.steps.map { step in
                JSON.object([
                    ("name", .text(step.name)), ("ok", .bool(step.ok)), ("detail", .text(step.detail)),
                    ("seconds", .number(Self.seconds(step.seconds))),
                ])
            }
            Standard.output.write(JSON.object([("ok", .bool(ok)), ("steps", .array(steps))]).line)
        }
        if !ok { throw ExitCode.failure }
    }

    /// Two decimals, whatever the machine's locale.
    private static func seconds(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    private static func temporaryDirectory() throws -> String {
        var template = Array(((environment("TMPDIR") ?? "/tmp") + "/tsunagu-demo-XXXXXX").utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!).map { String(cString: $0) } }
        guard let made else {
            throw CommandError(
                .failed,
                Localized(ja: "一時ディレクトリを作れません", en: "cannot make a temporary directory"),
                hint: Localized(ja: "--keep で場所を指定してください", en: "name a place with --keep")
            )
        }
        return made
    }

    /// The folder that this program and the daemon stand in.
    private static func programs() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let folder = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex))
        guard access(folder + "/tsunagud", X_OK) == 0 else {
            throw CommandError(
                .notFound,
                Localized(ja: "tsunagud が tsunagu の隣にありません", en: "tsunagud does not stand beside tsunagu"),
                hint: Localized(
                    ja: "swift build -c release で両方を作ってください",
                    en: "build both with 'swift build -c release'"
                )
            )
        }
        return folder
    }
}
