// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TsunaguCommands
import TsunaguCore
import TsunaguWard

struct Schema: ParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case json, markdown
    }

    static let configuration = CommandConfiguration(
        abstract: tr("区が持つ記録の形", "What a ward keeps: collections, fields, merge groups, who reads and writes.")
    )
    @Option(help: ArgumentHelp(tr("json か markdown", "json or markdown."), valueName: "json|markdown"))
    var format: Format?
    @OptionGroup var globals: GlobalOptions

    func run() throws {
        if format == .json || (globals.json && format == nil) {
            return Standard.output.write(json.line)
        }
        let text = Site.collections.map(markdown).joined(separator: "\n")
        if globals.json { return Standard.output.write(JSON.object([("markdown", .text(text))]).line) }
        Standard.output.write(text)
    }

    private var json: JSON {
        let collections = Site.collections.map { view in
            let groups = view.groups.map { group, access in
                JSON.object([
                    ("number", JSON(Int(group.number))), ("name", .text(group.name)), ("label", .text(group.label)),
                    ("kind", .text(group.kind.rawValue)), ("sensitivity", .text(access.sensitivity.rawValue)),
                    ("readers", .array(access.readers.map { .text($0.rawValue) })),
                    ("writers", .array(view.collection.writers(of: group.number).map { .text($0.rawValue) })),
                    (
                        "fields",
                        .array(
                            group.fields.map { field in
                                .object([
                                    ("number", JSON(Int(field.number))), ("name", .text(field.name)),
                                    ("label", .text(field.label)), ("kind", .text(field.kind.rawValue)),
                                    ("searchable", .bool(field.searchable)),
                                ])
                            }
                        )
                    ),
                    (
                        "steps",
                        .array(
                            (group.machine?.steps ?? []).map {
                                .object([("from", .text($0.from.string)), ("to", .text($0.to.string))])
                            }
                        )
                    ),
                ])
            }
            return JSON.object([
                ("number", JSON(Int(view.collection.number))), ("name", .text(view.collection.name)),
                ("label", .text(view.collection.label)), ("spaces", .text(view.collection.spaces)),
                ("writers", .array(view.collection.writers.map { .text($0.rawValue) })),
                ("groups", .array(groups)),
            ])
        }
        return .object([("version", JSON(Int(Site.schema.version))), ("collections", .array(collections))])
    }

    private func markdown(_ view: CollectionView) -> String {
        var text = "## \(view.collection.name) (\(view.collection.label))\n\n"
        text += tr("空間", "Space") + ": `\(view.collection.spaces)`\n\n"
        text += tr(
            "| 群 | 種類 | 項目 | 機微 | 読む | 書く |\n",
            "| group | kind | fields | sensitivity | readers | writers |\n"
        )
        text += "|---|---|---|---|---|---|\n"
        for (group, access) in view.groups {
            let fields = group.fields.map { "`\($0.name)` \($0.label)" }.joined(separator: ", ")
            let readers = access.readers.map(\.rawValue).joined(separator: " ")
            let writers = view.collection.writers(of: group.number).map(\.rawValue).joined(separator: " ")
            text +=
                "| \(group.name) (\(group.label)) | \(group.kind.rawValue) | \(fields) | \(access.sensitivity.rawValue) | \(readers) | \(writers) |\n"
        }
        return text
    }
}
