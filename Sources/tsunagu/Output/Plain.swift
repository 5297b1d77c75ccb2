// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

/// What people read.
enum Plain {
    static func value(_ value: Value) -> String {
        switch value {
        case .null: tr("（空）", "(empty)")
        case .text(let text): text.string
        case .integer(let number): String(number)
        case .bytes(let bytes): Hex.encode(bytes)
        }
    }

    /// A field's name as the reader calls it.
    static func label(_ field: Field) -> String { tr(field.label, field.name) }

    static func author(_ author: Authorship) -> String {
        let place = author.site?.string ?? author.device.short
        return "\(author.person.label) / \(place) / \(TokyoTime(author.timestamp).plain)"
    }

    static func record(_ view: RecordView) -> String {
        var table = TextTable(["id", view.id.description])
        for (field, shown) in view.fields {
            switch shown {
            case .none: continue
            case .text(let text): table.row([label(field), text.string])
            case .integer(let number): table.row([label(field), String(number)])
            case .members(let members):
                if !members.isEmpty {
                    table.row([label(field), members.map(\.string).joined(separator: tr("、", ", "))])
                }
            case .entries(let entries):
                for entry in entries { table.row([label(field), "\(entry.text)  — \(author(entry.author))"]) }
            }
        }
        if view.space == .protectedResidents {
            table.row([tr("支援措置", "protected"), tr("本庁以外に教えない", "to be told to nobody outside the ward office")])
        }
        if view.deleted { table.row([tr("状態", "state"), tr("削除済み", "deleted")]) }
        for id in view.conflicts { table.row([tr("競合", "conflict"), id]) }
        return table.text
    }

    static func residents(_ views: [RecordView]) -> String {
        var table = TextTable([
            "id", tr("宛名番号", "number"), tr("氏名", "name"), tr("カナ", "kana"), tr("生年月日", "born"), tr("住所", "address"),
        ])
        for view in views {
            func text(_ names: String...) -> String {
                names.compactMap { view.text($0)?.string }.joined(separator: " ")
            }
            let mark =
                (view.conflicts.isEmpty ? "" : " !") + (view.deleted ? " ✕" : "")
                + (view.space == .protectedResidents ? tr(" 支援措置", " protected") : "")
            table.row([
                String(view.id.description.prefix(8)) + mark, text("number"), text("family_name", "given_name"),
                text("family_kana", "given_kana"), text("birth_date"), text("address", "building"),
            ])
        }
        return table.isEmpty ? tr("見つかりません", "nobody was found") : table.text
    }

    static func lesson(_ lesson: LessonView) -> String {
        var text = record(lesson.record)
        if let reason = lesson.cancelReason { text += tr("中止の理由: ", "cancelled: ") + reason.string + "\n" }
        if let keeper = lesson.keeper { text += tr("席の台帳: ", "ledger of seats: ") + keeper.string + "\n" }
        text += tr(
            "席: 決まった人 \(lesson.confirmed)、待ち \(lesson.waiting)\n",
            "seats: \(lesson.confirmed) taken, \(lesson.waiting) waiting\n"
        )
        let others = lesson.counts.filter {
            !["confirmed", "waiting", "cancelled"].contains($0.status) && $0.count > 0
        }
        if !others.isEmpty {
            text += tr("当日など: ", "and: ")
            text += others.map { "\(count($0.status)) \($0.count)" }.joined(separator: tr("、", ", ")) + "\n"
        }
        for rights in lesson.rights {
            let site = rights.site?.string ?? rights.device.short
            text += tr(
                "権利: \(site) \(rights.held)（空き \(rights.free)）\n",
                "rights: \(site) \(rights.held) (\(rights.free) free)\n"
            )
        }
        for free in lesson.freeSeats {
            let site = free.site?.string ?? free.device.short
            text += tr("空席 \(free.count): ", "\(free.count) free: ") + why(free.reason, site) + "\n"
        }
        return text
    }

    /// Why free seats are handed out here, or are not.
    private static func why(_ reason: FreeSeats.Reason, _ site: String) -> String {
        switch reason {
        case .here: tr("ここですぐ確定できます", "confirmed here at once")
        case .elsewhere:
            tr("\(site) が権利を持っています。ここでは待ちになります", "\(site) holds the rights; who asks here waits for it")
        case .returning:
            tr("返された権利です。\(site) の次の同期のあと配られます", "given back by \(site); passed on with the next syncs")
        case .forWaiting:
            tr("待っている人の分です。\(site) の次の同期で確定します", "for people who wait; \(site) confirms them with its next sync")
        case .kept: tr("先にした人たちがそろって座れるまで取ってあります", "kept until people whom somebody put first fit together")
        case .lost:
            tr("\(site) は失効しました。そこまでの変更がそろえば取り戻します", "\(site)'s rights ended; taken back when all it handed in is here")
        case .notMade:
            tr("\(site) の次の同期で席になります", "\(site) makes them with its next sync")
        }
    }

    static func lessons(_ lessons: [LessonView]) -> String {
        var table = TextTable([
            tr("コード", "code"), tr("日付", "date"), tr("時間", "time"), tr("教室名", "title"), tr("空間", "space"),
            tr("定員", "seats"),
            tr("確定", "confirmed"), tr("待ち", "waiting"),
        ])
        for lesson in lessons {
            let capacity: String =
                if case .integer(let number)? = lesson.record.fields.first(where: { $0.field.name == "capacity" })?
                    .shown
                {
                    String(number)
                } else {
                    ""
                }
            table.row([
                lesson.record.text("code")?.string ?? "", lesson.record.text("date")?.string ?? "", lesson.time ?? "",
                (lesson.isCancelled ? tr("【中止】", "CANCELLED: ") : "") + (lesson.record.text("title")?.string ?? ""),
                lesson.record.space.name, capacity, String(lesson.confirmed),
                String(lesson.waiting),
            ])
        }
        return table.isEmpty ? tr("教室はありません", "there are no lessons") : table.text
    }

    /// A name among the counts of a lesson.
    private static func count(_ name: String) -> String {
        switch name {
        case "offered": tr("案内中", "offered")
        case "attended": tr("出席", "attended")
        case "no_show": tr("欠席", "no-shows")
        case "walk_in": tr("当日参加", "walk-ins")
        case "beyond": tr("席なしで参加", "there without a seat")
        default: tr("席を使わない人", "without need of a seat")
        }
    }

    static func status(_ booking: BookingView) -> String {
        if booking.isLessonCancelled, booking.status == "cancelled" { return tr("教室中止", "lesson cancelled") }
        if !booking.usesSeat, booking.status == "confirmed" { return tr("席なし", "without a seat") }
        return switch booking.status {
        case "offered":
            tr("案内中（返事は\(booking.answerBy ?? "")まで）", "offered until \(booking.answerBy ?? "")")
        case "attended": tr("出席", "attended")
        case "no_show": tr("欠席", "no-show")
        case "walk_in": tr("当日参加", "walk-in")
        case "confirmed": tr("確定", "confirmed")
        case "waiting": tr("キャンセル待ち \(booking.position ?? 0) 番", "waiting, number \(booking.position ?? 0)")
        case "cancelled": tr("取消", "cancelled")
        default: booking.status
        }
    }

    /// The status with why somebody waits.
    static func answer(_ booking: BookingView) -> String {
        guard let reason = booking.waitingReason else { return status(booking) }
        let why =
            switch reason {
            case .full: tr("満席", "all seats are taken")
            case .freeElsewhere: tr("空席の権利は別の拠点にあります", "the free seats are at other sites")
            case .groupTooLarge:
                tr("空席は一緒に来る人数に足りません", "the free seats are too few for those who come together")
            case .keptForGroup:
                tr("空席は先にした人たちの分です", "the free seats are kept for people who were put first")
            case .noSeats: tr("定員が決まっていません", "no seats are planned, or sites differ on how many")
            }
        return tr("\(status(booking))（\(why)）", "\(status(booking)) (\(why))")
    }

    /// The answer with whose it is.
    static func answered(_ booking: BookingView) -> String {
        "\(answer(booking)): \(booking.record.text("name")?.string ?? "") \(booking.record.id)"
    }

    static func bookings(_ bookings: [BookingView]) -> String {
        var table = TextTable([
            "id", tr("教室", "lesson"), tr("状態", "status"), tr("氏名", "name"), tr("カナ", "kana"), tr("電話", "phone"),
        ])
        for booking in bookings {
            func text(_ name: String) -> String { booking.record.text(name)?.string ?? "" }
            table.row([
                String(booking.record.id.description.prefix(8)), booking.lessonCode?.string ?? "", status(booking),
                text("name"),
                text("kana"), text("phone"),
            ])
        }
        return table.isEmpty ? tr("予約はありません", "there are no bookings") : table.text
    }
}
