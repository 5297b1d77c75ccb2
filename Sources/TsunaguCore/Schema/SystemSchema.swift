// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The engine's own collections: who belongs to the ward and what each may hold.
///
/// They live in `system`, but for `space_info`, of which every space holds one.
public enum SystemSchema {
    /// The ward itself: one record, whose id is derived, written by the root.
    public static let municipality = CollectionSchema(
        1,
        "municipality",
        "自治体",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "municipality",
                "自治体",
                .review,
                [
                    Field(1, "code", "団体コード"), Field(2, "name", "名称"),
                ]
            )
        ]
    )

    /// What people call a place: 麹町出張所.
    public static let site = CollectionSchema(
        2,
        "site",
        "拠点",
        spaces: "system",
        writers: [.admin],
        groups: [MergeGroup(1, "site", "拠点", .review, [Field(1, "name", "名称"), Field(2, "role", "役割")])]
    )

    /// A machine of a site; the record's id is the `DeviceID`.
    public static let device = CollectionSchema(
        3,
        "device",
        "端末",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "device",
                "端末",
                .review,
                [
                    Field(1, "site", "拠点"), Field(2, "name", "名称"),
                    Field(3, "signing_key", "署名鍵"), Field(4, "receiving_key", "受信鍵"), Field(5, "key_proof", "鍵の証明"),
                ]
            )
        ]
    )

    /// What a device may read and write; the record's id is derived from device and grantor's act.
    public static let grant = CollectionSchema(
        4,
        "access_grant",
        "権限",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "grant",
                "権限",
                .review,
                [
                    Field(1, "device", "端末"), Field(2, "role", "役割"), Field(3, "spaces", "範囲"),
                    Field(4, "access", "読み書き"),
                ]
            )
        ]
    )

    /// A one-time code that was given out, by the hash of its secret.
    public static let invitation = CollectionSchema(
        5,
        "invitation",
        "招待",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "invitation",
                "招待",
                .review,
                [
                    Field(1, "site", "拠点"), Field(2, "role", "役割"), Field(3, "spaces", "範囲"),
                    Field(4, "expires_at", "期限", .integer), Field(6, "public_key", "照合鍵"),
                ]
            ),
            MergeGroup(2, "used", "使用", .review, [Field(5, "device", "端末")]),
        ]
    )

    /// The founding of a space, with the secret that only its holders know.
    public static let spaceInfo = CollectionSchema(
        6,
        "space_info",
        "空間",
        spaces: "*",
        writers: [.admin],
        groups: [
            MergeGroup(1, "space", "空間", .review, [Field(1, "name", "名称"), Field(2, "secret", "秘密")])
        ]
    )

    /// The end of a device's rights, as `Revocation` has it.
    public static let revocation = CollectionSchema(
        7,
        "revocation",
        "失効",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "revocation",
                "失効",
                .review,
                [
                    Field(1, "device", "端末"), Field(2, "mode", "扱い"), Field(3, "cut", "有効な範囲"),
                    Field(4, "reason", "理由"),
                ]
            )
        ]
    )

    /// An admin's word for changes that no grant covers, or a revocation cuts off: `Revocation.Cut` in the same form.
    public static let adoption = CollectionSchema(
        8,
        "adoption",
        "引き取り",
        spaces: "system",
        writers: [.admin],
        groups: [
            MergeGroup(1, "adoption", "引き取り", .review, [Field(1, "chains", "有効な範囲"), Field(2, "reason", "理由")])
        ]
    )

    /// The receipt of an erasure: which record of the space it stands in holds nothing any more.
    ///
    /// The record's id is derived from what it names.
    public static let erasure = CollectionSchema(
        9,
        "erasure",
        "消去",
        spaces: "*",
        writers: [.admin],
        groups: [
            MergeGroup(
                1,
                "erasure",
                "消去",
                .review,
                [Field(1, "collection", "種類", .integer), Field(2, "record", "記録")]
            )
        ]
    )

    /// The first number that a ward's schema may give.
    package static let numbersEnd: UInt32 = 16

    /// All of them, in the order of their numbers.
    public static let collections = [
        municipality, site, device, grant, invitation, spaceInfo, revocation, adoption, erasure,
    ]
}
