// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a ward office keeps: the collections, with numbers that are fixed for ever.
///
/// Numbers stand in every change on disk and wire. A field that is no longer wanted keeps its number unused; a new one
/// takes the next free number and raises the schema's version.
package enum WardSchema {
    /// The schema that every ward runs.
    package static let schema = Schema(
        version: 1,
        collections: [
            resident, procedure, lesson, booking, bookingLink, protection, pendingEdit, carriedNote, protectedRead,
            mark,
            intake, sealedEdit, protectionTrace, reminder, attendance, satisfaction,
        ],
        searchKey: SearchKey.fold
    )

    /// 住民: one person of the register.
    ///
    /// Groups are what a clerk decides in one act, so that concurrent moves never mix.
    package static let resident = CollectionSchema(
        16,
        "resident",
        "住民",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(
                1,
                "name",
                "氏名",
                .review,
                [
                    Field(1, "family_name", "氏", searchable: true),
                    Field(2, "given_name", "名", searchable: true),
                    Field(3, "family_kana", "氏カナ", searchable: true),
                    Field(4, "given_kana", "名カナ", searchable: true),
                ]
            ),
            MergeGroup(
                2,
                "number",
                "宛名番号",
                .review,
                [
                    Field(5, "number", "宛名番号", searchable: true, indexed: true)
                ]
            ),
            MergeGroup(
                3,
                "household",
                "世帯",
                .review,
                [
                    Field(6, "household", "世帯番号", indexed: true),
                    Field(7, "relationship", "続柄"),
                ]
            ),
            MergeGroup(4, "birth", "生年月日", .review, [Field(8, "birth_date", "生年月日")]),
            MergeGroup(5, "sex", "性別", .review, [Field(9, "sex", "性別")]),
            MergeGroup(
                6,
                "address",
                "住所",
                .review,
                [
                    Field(10, "postal_code", "郵便番号"),
                    Field(11, "address", "住所"),
                    Field(12, "building", "方書"),
                    Field(13, "moved_in", "住所を定めた日"),
                ]
            ),
            MergeGroup(7, "phone", "電話", .review, [Field(14, "phone", "電話", searchable: true)]),
            MergeGroup(8, "standing", "住民区分", .review, [Field(15, "standing", "住民区分")]),
            MergeGroup(9, "languages", "使用言語", .set, [Field(16, "languages", "使用言語")]),
            MergeGroup(10, "notes", "記事", .log, [Field(17, "notes", "記事")]),
        ]
    )

    /// 手続: what the guide knows of one procedure; the ward office answers for it.
    package static let procedure = CollectionSchema(
        17,
        "procedure",
        "手続",
        spaces: "procedures",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "procedure",
                "手続",
                .review,
                [
                    Field(1, "code", "手続コード", searchable: true, indexed: true),
                    Field(2, "name", "手続名", searchable: true),
                    Field(3, "kana", "手続名カナ", searchable: true),
                    Field(4, "summary", "概要"),
                ]
            ),
            MergeGroup(2, "life_events", "ライフイベント", .set, [Field(5, "life_events", "ライフイベント")]),
            MergeGroup(
                3,
                "counters",
                "窓口",
                .review,
                [
                    Field(6, "counters", "窓口"),
                    Field(7, "hours", "受付時間"),
                ]
            ),
            MergeGroup(4, "documents", "必要書類", .set, [Field(8, "documents", "必要書類")]),
            // Whole yen: 0 is free, null is unknown.
            MergeGroup(5, "fee", "手数料", .review, [Field(9, "fee", "手数料", .integer)]),
            MergeGroup(
                6,
                "online",
                "オンライン申請",
                .review,
                [
                    Field(10, "online", "オンライン申請"),
                    Field(11, "online_from", "オンライン開始日"),
                ]
            ),
            MergeGroup(
                7,
                "cashless",
                "キャッシュレス",
                .review,
                [
                    Field(12, "cashless", "キャッシュレス"),
                    Field(13, "cashless_from", "キャッシュレス開始日"),
                ]
            ),
            MergeGroup(8, "deadline", "期限", .review, [Field(14, "deadline", "期限")]),
            MergeGroup(9, "owner", "担当課", .review, [Field(15, "owner", "担当課")]),
            MergeGroup(
                10,
                "source",
                "出典",
                .review,
                [
                    Field(16, "source", "出典"),
                    Field(17, "checked_on", "確認日"),
                ]
            ),
            MergeGroup(11, "url", "案内ページ", .review, [Field(18, "url", "案内ページ")]),
        ]
    )

    /// Who decides what a lesson is, when, and for how many: a venue's volunteers hold it, they do not plan it.
    private static let planners: [Role] = [.admin, .branch]

    /// 教室: one lesson on one day, in the space of its venue.
    package static let lesson = CollectionSchema(
        18,
        "lesson",
        "教室",
        spaces: "lessons/*",
        groups: [
            MergeGroup(
                1,
                "plan",
                "企画",
                .review,
                [
                    Field(1, "code", "教室コード", indexed: true),
                    Field(2, "title", "教室名"),
                    Field(3, "venue", "会場"),
                ],
                writers: planners
            ),
            MergeGroup(
                2,
                "time",
                "日時",
                .review,
                [
                    Field(4, "date", "日付"),
                    Field(5, "start_time", "開始"),
                    Field(6, "end_time", "終了"),
                ],
                writers: planners
            ),
            MergeGroup(3, "capacity", "定員", .review, [Field(7, "capacity", "定員", .integer)], writers: planners),
            MergeGroup(4, "place", "部屋", .review, [Field(8, "room", "部屋")]),
            MergeGroup(
                5,
                "details",
                "詳細",
                .review,
                [
                    Field(9, "level", "レベル"),
                    Field(10, "deadline", "申込期限"),
                ]
            ),
            MergeGroup(6, "languages", "対応言語", .set, [Field(11, "languages", "対応言語")]),
            MergeGroup(7, "rights", "席の権利", .seats, [Field(12, "rights", "席の権利")]),
            MergeGroup(
                8,
                "status",
                "状態",
                .flow,
                [Field(13, "status", "状態")],
                machine: FlowMachine(
                    [FlowMachine.initial: ["cancelled"], "cancelled": ["resumed"], "resumed": ["cancelled"]],
                    // Who calls it off without knowing that somebody took another's cancellation back prevails: nobody
                    // is sent to a lesson that may not take place.
                    twins: .each,
                    yielding: ["cancelled": ["resumed"]]
                )
            ),
            // 手話, 筆談, 車いす, 拡大文字: what is provided for.
            MergeGroup(9, "needs", "配慮", .set, [Field(14, "needs", "配慮")]),
        ]
    )

    /// 予約: one person in one lesson, with what the lesson needs and nothing else of the register.
    package static let booking = CollectionSchema(
        19,
        "booking",
        "予約",
        spaces: "lessons/*",
        groups: [
            MergeGroup(
                1,
                "subject",
                "対象",
                .review,
                [
                    Field(1, "lesson", "教室", indexed: true),
                    Field(2, "person_key", "本人キー", indexed: true),
                ]
            ),
            MergeGroup(
                2,
                "person",
                "本人",
                .review,
                [
                    Field(3, "name", "氏名"),
                    Field(4, "kana", "カナ"),
                    Field(5, "phone", "電話"),
                    Field(6, "age_group", "年齢区分"),
                ]
            ),
            MergeGroup(3, "needs", "配慮", .set, [Field(7, "needs", "配慮")]),
            MergeGroup(4, "status", "状態", .flow, [Field(8, "status", "状態")], machine: bookingMachine),
            MergeGroup(5, "seat", "席", .seats, [Field(9, "seat", "席")]),
            MergeGroup(6, "notes", "記録", .log, [Field(10, "notes", "記録")]),
            MergeGroup(7, "party", "同伴", .latest, [Field(11, "party", "連れ")]),
            MergeGroup(8, "counts", "席の要否", .latest, [Field(12, "counts", "席を使う", .integer)]),
            MergeGroup(9, "answer_by", "返事の期限", .latest, [Field(13, "answer_by", "返事の期限")]),
        ]
    )

    /// 予約の本人: which resident a booking is of.
    ///
    /// It lives among the residents, so that no venue ever holds it.
    package static let bookingLink = CollectionSchema(
        20,
        "booking_link",
        "予約の本人",
        spaces: "residents",
        writers: [.admin, .branch],
        groups: [
            MergeGroup(
                1,
                "link",
                "予約の本人",
                .review,
                [
                    Field(1, "booking", "予約", indexed: true),
                    Field(2, "lesson_space", "スペース"),
                    Field(3, "resident", "住民", indexed: true),
                ]
            )
        ]
    )
}
