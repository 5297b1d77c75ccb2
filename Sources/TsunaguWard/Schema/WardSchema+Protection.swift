// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What protected residents (支援措置) need beside their records.
///
/// A protected person is a `resident` record in `residents/protected`. All that refers to it lives there too, but for
/// the marks and the sealed edits, which tell a site without the grant nothing but "ask the ward office".
extension WardSchema {
    /// 支援措置: one protected person, alive while the protection stands; nothing else is ever written on it.
    package static let protection = CollectionSchema(
        21,
        "protection",
        "支援措置",
        spaces: "residents/protected",
        writers: [.admin],
        groups: [MergeGroup(1, "resident", "住民", .latest, [Field(1, "resident", "住民", indexed: true)])]
    )

    /// 支援措置の経過: what a protected person's values and marks come from.
    package static let protectionTrace = CollectionSchema(
        28,
        "protection_trace",
        "支援措置の経過",
        spaces: "residents/protected",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(1, "resident", "住民", .latest, [Field(1, "resident", "住民", indexed: true)]),
            // The records that the person had among the ordinary ones, one after another; all but the last are erased.
            MergeGroup(2, "ordinary", "一般の記録", .set, [Field(2, "ordinary", "一般の記録")]),
            // The changes of ordinary records that the values come from: `group replica number`.
            MergeGroup(3, "origins", "値の由来", .set, [Field(3, "origins", "値の由来")]),
            // The marks that stand for the person.
            MergeGroup(4, "marks", "照会の印", .set, [Field(4, "marks", "照会の印")]),
        ]
    )

    /// 保留の値: a value that stands beside a protected person's own, until somebody decides.
    package static let pendingEdit = CollectionSchema(
        22,
        "pending_edit",
        "保留の値",
        spaces: "residents/protected",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(
                1,
                "edit",
                "変更",
                .latest,
                [Field(1, "resident", "住民", indexed: true), Field(2, "content", "内容")]
            ),
            MergeGroup(2, "decision", "判断", .latest, [Field(3, "decision", "判断")]),
        ]
    )

    /// 引き継いだ記事: a note that was written on another record of the same person, with who wrote it and when.
    package static let carriedNote = CollectionSchema(
        23,
        "carried_note",
        "引き継いだ記事",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(
                1,
                "note",
                "記事",
                .latest,
                [
                    Field(1, "resident", "住民", indexed: true), Field(2, "text", "文"), Field(3, "operator_id", "操作者"),
                    Field(4, "operator_label", "操作者名"), Field(5, "device", "端末"), Field(6, "stamp", "時刻", .integer),
                    Field(7, "place", "順", .integer),
                    // The change that wrote it and its place there: the same however often it is carried on.
                    Field(8, "origin", "由来"),
                ]
            )
        ]
    )

    /// 閲覧: somebody saw protected residents; who and when is the change's.
    package static let protectedRead = CollectionSchema(
        24,
        "protected_read",
        "閲覧",
        spaces: "residents/protected",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(1, "read", "閲覧", .latest, [Field(1, "kind", "種類"), Field(2, "residents", "住民")])
        ]
    )

    /// 照会の印: exactly this person is kept at the ward office.
    ///
    /// Neither who nor why can be read from it.
    package static let mark = CollectionSchema(
        25,
        "mark",
        "照会の印",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(1, "key", "照合値", .latest, [Field(1, "mark_key", "照合値", indexed: true)]),
            // Whose marks they are, blinded; one that is set anew stands against a removal that had not seen it.
            MergeGroup(2, "standing", "有効", .set, [Field(2, "standing", "有効")]),
        ]
    )

    /// 受付鍵: whoever has to give up what he wrote about a protected person seals it for those who hold them.
    package static let intake = CollectionSchema(
        26,
        "intake",
        "受付鍵",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [MergeGroup(1, "intake", "受付鍵", .latest, [Field(1, "public_key", "公開鍵")])]
    )

    /// 封じた変更: an edit of a person who was protected meanwhile, for the holders of the protected alone.
    package static let sealedEdit = CollectionSchema(
        27,
        "sealed_edit",
        "封じた変更",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [MergeGroup(1, "edit", "変更", .latest, [Field(1, "box", "封")])]
    )
}
