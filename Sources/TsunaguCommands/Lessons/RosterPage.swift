// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguWard

/// A roster as a page to hold: one HTML document that needs nothing else, for A4.
///
/// Values stand in it with the bytes that they are stored with; nothing from outside is loaded, and no value can become
/// markup.
struct RosterPage {
    let roster: LessonRoster
    let language: Language
    /// The site whose numbers and rights these are.
    let site: String
    let printedAt: String
    /// Lines for people who come without a booking.
    let blankLines: Int

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="\(language.rawValue)">
        <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <title>\(say("名簿", "Roster")) \(escaped(code)) \(escaped(title))</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <header>
        <h1>\(value(title))</h1>
        <p class="when">\(escaped(when))</p>
        <p>\(value(place))</p>
        <p class="free">\(escaped(roster.notice.text(in: language)))</p>
        <p>\(counts)</p>
        </header>
        <table>
        <thead>
        <tr><th>\(say("番号", "No."))</th><th>\(say("出席", "Here"))</th><th>\(say("氏名", "Name"))</th>\
        <th>\(say("状態", "Status"))</th><th>\(say("配慮", "Needs"))</th><th>\(say("電話", "Phone"))</th></tr>
        </thead>
        <tbody>
        \(roster.lines.map(row).joined(separator: "\n"))
        \((0..<blankLines).map(blankRow).joined(separator: "\n"))
        </tbody>
        </table>
        <footer>
        <p>\(say("空いた行は、予約なしで来た人の氏名とカナと電話を書く行です。", "Empty lines are for people who come without a booking: name, kana, phone."))</p>
        <p>\(say("番号は", "The numbers are those of")) \(value(site)) \(say("の端末のものです。印刷:", "'s machine. Printed:")) \(escaped(printedAt))</p>
        <p>\(say("個人情報です。教室が終わったら持ち帰り、裁断してください。", "Personal data: take it back after the lesson and shred it."))</p>
        </footer>
        </body>
        </html>

        """
    }

    /// Sizes are for eyes over seventy: nothing below 12 points.
    private static let style = """
        @page { size: A4; margin: 12mm; }
        * { box-sizing: border-box; }
        body { margin: 0; font: 16pt/1.35 "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "BIZ UDPGothic", \
        "Yu Gothic", Meiryo, "IPAexGothic", sans-serif; color: #000; background: #fff; }
        @media screen { body { max-width: 190mm; margin: 12mm auto; padding: 0 4mm; } }
        h1 { font-size: 24pt; margin: 0; overflow-wrap: anywhere; }
        header p { margin: 1mm 0; overflow-wrap: anywhere; }
        .when { font-size: 20pt; font-weight: bold; }
        .free { font-size: 20pt; font-weight: bold; border: 1mm solid #000; padding: 1mm 4mm; display: inline-block; }
        table { width: 100%; border-collapse: collapse; table-layout: fixed; margin-top: 4mm; }
        thead { display: table-header-group; }
        tr { break-inside: avoid; }
        th, td { border: 0.4mm solid #000; padding: 1mm 2mm; text-align: left; vertical-align: middle; \
        overflow-wrap: anywhere; }
        th { font-size: 12pt; background: #eee; }
        td { height: 14mm; }
        th:nth-child(1) { width: 15mm; } th:nth-child(2) { width: 15mm; } th:nth-child(4) { width: 24mm; }
        th:nth-child(5) { width: 28mm; } th:nth-child(6) { width: 40mm; }
        td:nth-child(1), td:nth-child(2) { text-align: center; font-size: 20pt; font-weight: bold; }
        td:nth-child(4), td:nth-child(5), td:nth-child(6) { font-size: 13pt; }
        .name { font-size: 20pt; } .kana { font-size: 12pt; }
        .kana, .name, .need { display: block; }
        .waiting td { background: #eee; }
        footer { font-size: 12pt; margin-top: 4mm; } footer p { margin: 0; }
        """

    // MARK: - The head

    private var code: String { roster.lesson.record.text("code")?.string ?? "" }
    private var title: String { roster.lesson.record.text("title")?.string ?? "" }

    /// `2026年12月1日（火） 10:00-12:00`.
    private var when: String {
        let date = roster.lesson.record.text("date")?.string ?? ""
        guard let day = Day(iso: date.utf8) else { return date + " " + (roster.lesson.time ?? "") }
        let names =
            language == .ja ? ["日", "月", "火", "水", "木", "金", "土"] : ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let weekday = names[day.weekday]
        let written = say("\(day.year)年\(day.month)月\(day.day)日（\(weekday)）", "\(weekday) \(day)")
        return written + " " + (roster.lesson.time ?? "")
    }

    private var place: String {
        ["venue", "room"].compactMap { roster.lesson.record.text($0)?.string }.joined(separator: " ")
    }

    private var counts: String {
        let (confirmed, waiting) = (roster.lesson.confirmed, roster.lesson.waiting)
        let capacity = roster.capacity.map(String.init) ?? say("未定", "open")
        return say(
            "定員 \(capacity)・確定 \(confirmed)・キャンセル待ち \(waiting)",
            "Capacity \(capacity), confirmed \(confirmed), waiting \(waiting)"
        )
    }

    // MARK: - The lines

    private func row(_ line: LessonRoster.Line) -> String {
        let isWaiting = line.booking.status == "waiting"
        let kana = line.text("kana")
        let isGone = line.text("name").isEmpty
        let name = isGone ? say("（消去済み）", "(erased)") : value(line.text("name"))
        return "<tr class=\"\(isWaiting ? "waiting" : "seat")\"><td>\(line.number)</td><td>\(Self.mark(line))</td><td>"
            + (kana.isEmpty ? "" : "<span class=\"kana\">\(value(kana))</span>")
            + "<span class=\"name\">\(name)</span></td><td>\(status(line.booking))</td>"
            + "<td>\(line.needs.map { "<span class=\"need\">\(value($0))</span>" }.joined())</td>"
            + "<td>\(value(line.text("phone")))</td></tr>"
    }

    private func blankRow(_: Int) -> String {
        "<tr class=\"blank\"><td></td><td>☐</td><td></td><td>\(say("当日", "walk-in"))</td><td></td><td></td></tr>"
    }

    private static func mark(_ line: LessonRoster.Line) -> String {
        line.booking.status == "attended" || line.booking.status == "walk_in" ? "☑" : "☐"
    }

    private func status(_ booking: BookingView) -> String {
        switch booking.status {
        case "waiting":
            let place = booking.position.map { say("\($0)番", " \($0)") } ?? ""
            return say("待ち", "waiting") + place
        case "confirmed": return booking.usesSeat ? say("確定", "confirmed") : say("席なし", "no seat")
        case "offered": return say("案内中", "offered")
        case "attended": return say("出席", "attended")
        case "no_show": return say("欠席", "no-show")
        case "walk_in": return say("当日", "walk-in")
        default: return escaped(booking.status)
        }
    }

    // MARK: - Text

    private func say(_ ja: String, _ en: String) -> String { Localized(ja: ja, en: en).text(in: language) }

    /// A stored value: its direction of writing stays its own.
    private func value(_ text: String) -> String { "<bdi>\(escaped(text))</bdi>" }

    /// Text that no reader takes for markup; control characters, which HTML does not have, are shown as such.
    private func escaped(_ text: String) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x26: out.append(contentsOf: "&amp;".unicodeScalars)
            case 0x3C: out.append(contentsOf: "&lt;".unicodeScalars)
            case 0x3E: out.append(contentsOf: "&gt;".unicodeScalars)
            case 0x22: out.append(contentsOf: "&quot;".unicodeScalars)
            case 0x27: out.append(contentsOf: "&#39;".unicodeScalars)
            case 9, 10: out.append(" ")
            case 0..<32, 127..<160: out.append("\u{FFFD}")
            default: out.append(scalar)
            }
        }
        return String(out)
    }
}
