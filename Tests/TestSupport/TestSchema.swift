// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// One collection with a group of every kind, and its next version with a field, a group and a collection more.
package enum TestSchema {
    package static let space = SpaceID("notes")!

    /// Field numbers of `note`.
    package enum Number {
        package static let title: UInt32 = 1
        package static let body: UInt32 = 2
        package static let size: UInt32 = 3
        package static let phone: UInt32 = 4
        package static let tags: UInt32 = 5
        package static let entries: UInt32 = 6
        package static let tally: UInt32 = 7
        package static let seats: UInt32 = 8
        package static let status: UInt32 = 9
        package static let extra: UInt32 = 20
        package static let memo: UInt32 = 21
        package static let labels: UInt32 = 22
    }

    package static let content = MergeGroup(
        1,
        "content",
        "内容",
        .review,
        [
            Field(Number.title, "title", "題", searchable: true), Field(Number.body, "body", "本文", searchable: true),
            Field(Number.size, "size", "大きさ", .integer),
        ]
    )
    package static let contact = MergeGroup(2, "contact", "連絡先", .latest, [Field(Number.phone, "phone", "電話")])
    package static let tags = MergeGroup(3, "tags", "札", .set, [Field(Number.tags, "tags", "札")])
    package static let entries = MergeGroup(4, "entries", "記録", .log, [Field(Number.entries, "entries", "記録")])
    package static let tally = MergeGroup(5, "tally", "数", .counter, [Field(Number.tally, "tally", "数", .integer)])
    package static let seats = MergeGroup(6, "seats", "席", .seats, [Field(Number.seats, "seats", "席")])
    package static let status = MergeGroup(
        7,
        "status",
        "状態",
        .flow,
        [Field(Number.status, "status", "状態")],
        machine: FlowMachine([
            FlowMachine.initial: ["open"], "open": ["closed", "kept"], "closed": ["open", "kept"], "kept": [],
        ])
    )

    package static let note = CollectionSchema(
        20,
        "note",
        "メモ",
        spaces: "notes",
        groups: [content, contact, tags, entries, tally, seats, status]
    )

    /// Version 1: what an old site knows.
    package static let v1 = Schema(version: 1, collections: [note], searchKey: { $0.lowercased() })

    /// The same with writers: a branch does not write the contact, and does not delete.
    package static let strict = Schema(
        version: 1,
        collections: [
            CollectionSchema(
                note.number,
                note.name,
                note.label,
                spaces: note.spaces,
                writers: [.admin],
                groups: note.groups.map { group in
                    MergeGroup(
                        group.number,
                        group.name,
                        group.label,
                        group.kind,
                        group.fields,
                        machine: group.machine,
                        writers: group.number == contact.number ? nil : [.admin, .branch, .venue]
                    )
                }
            )
        ],
        searchKey: { $0.lowercased() }
    )

    package static let wideContent = MergeGroup(
        1,
        "content",
        "内容",
        .review,
        content.fields + [Field(Number.extra, "extra", "追加", searchable: true)]
    )
    package static let memo = MergeGroup(8, "memo", "覚え", .review, [Field(Number.memo, "memo", "覚え")])
    package static let labels = MergeGroup(9, "labels", "標識", .set, [Field(Number.labels, "labels", "標識")])
    package static let wideNote = CollectionSchema(
        20,
        "note",
        "メモ",
        spaces: "notes",
        groups: [wideContent, contact, tags, entries, tally, seats, status, memo, labels]
    )
    package static let place = CollectionSchema(
        21,
        "place",
        "場所",
        spaces: "notes",
        groups: [
            MergeGroup(1, "name", "名", .review, [Field(1, "name", "名")]),
            MergeGroup(2, "uses", "用途", .set, [Field(2, "uses", "用途")]),
        ]
    )

    /// Version 2: the same with more.
    package static let v2 = Schema(version: 2, collections: [wideNote, place], searchKey: { $0.lowercased() })
}
