// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What lessons leave beside their bookings: what people were told, who was there, and how they liked it.
///
/// None of these records names a person: they stay when the bookings are erased.
extension WardSchema {
    /// 連絡: that one person is to be reminded of one lesson in one way, and whether that happened.
    ///
    /// It stands in the lesson's space, beside the booking that it is derived from: whoever holds the booking sees whether
    /// the person was told, and a hub of lessons alone can run the job. Only the ward office writes it.
    package static let reminder = CollectionSchema(
        32,
        "reminder",
        "連絡",
        spaces: "lessons/*",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "subject",
                "対象",
                .latest,
                [
                    Field(1, "booking", "予約", indexed: true), Field(2, "lesson", "教室", indexed: true),
                    Field(3, "kind", "種類"), Field(5, "date", "教室の日"),
                ]
            ),
            // What was sent was sent, whoever thought better of it meanwhile.
            MergeGroup(
                2,
                "status",
                "状態",
                .flow,
                [Field(4, "status", "状態")],
                machine: FlowMachine(
                    [
                        FlowMachine.initial: ["queued"], "queued": ["sent", "withdrawn"], "withdrawn": ["queued"],
                    ],
                    yielding: ["sent": ["queued", "withdrawn"], "queued": ["withdrawn"]]
                )
            ),
        ]
    )

    /// 参加の記録: what figures need of a booking whose names and phones were erased.
    package static let attendance = CollectionSchema(
        33,
        "attendance",
        "参加の記録",
        spaces: "lessons/*",
        groups: [
            MergeGroup(
                1,
                "subject",
                "対象",
                .latest,
                [
                    Field(1, "lesson", "教室", indexed: true), Field(2, "person_key", "本人キー", indexed: true),
                    Field(3, "age_group", "年齢区分"),
                ],
                writers: [.admin]
            ),
            // A mark that arrives after the erasure stands beside what was known then; the strongest counts.
            MergeGroup(2, "outcomes", "結果", .set, [Field(4, "outcomes", "結果")]),
        ]
    )

    /// 満足度: how many answered what after a lesson; nobody's name is on an answer.
    package static let satisfaction = CollectionSchema(
        34,
        "satisfaction",
        "満足度",
        spaces: "lessons/*",
        groups: [MergeGroup(1, "subject", "対象", .latest, [Field(1, "lesson", "教室", indexed: true)])]
            + (1...5).map { score in
                MergeGroup(
                    UInt32(score) + 1,
                    "score_\(score)",
                    "満足度\(score)",
                    .counter,
                    [Field(UInt32(score) + 1, "score_\(score)", "満足度\(score)", .integer)]
                )
            }
    )

    /// The one record of some kind that belongs to another record, whichever sites make it.
    package static func record(_ kind: CollectionSchema, of other: RecordID, _ part: String = "") -> RecordID {
        RecordID(derivedFrom: [Array(kind.name.utf8), other.bytes, Array(part.utf8)])
    }
}
