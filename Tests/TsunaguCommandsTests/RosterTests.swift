// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguWard

import class TestSupport.Scratch

/// The list that a volunteer holds.
@Suite struct RosterTests {
    private func ward(capacity: Int, _ people: [(name: String, kana: String?)]) throws -> WardFixture {
        let ward = try WardFixture()
        _ = try ward.centre.addLesson(.kudan(capacity: capacity))
        for (name, kana) in people { _ = try book(ward.centre, name, kana) }
        return ward
    }

    private func book(_ site: Site, _ name: String, _ kana: String?) throws -> RecordID {
        let guest = BookingPerson.guest(name: name, kana: kana, phone: "03-0000-0000", ageGroup: nil)
        return try site.addBooking(lesson: "K1", guest).record.id
    }

    private func printed(_ site: Site, _ directory: Scratch, renumbers: Bool = false) throws -> String {
        let path = directory.path + "/page.html"
        _ = try site.printRoster("K1", to: path, in: .ja, blankLines: 3, renumbers: renumbers) { "\($0)" }
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    private func lines(_ site: Site) throws -> [String] {
        try site.roster("K1").lines.map { "\($0.number) \($0.text("name")) \($0.booking.status)" }
    }

    @Test func `People stand by kana, and who cancelled stands nowhere`() throws {
        let ward = try ward(capacity: 2, [("和田", "ワダ"), ("阿部", "ｱﾍﾞ"), ("加藤", "カトウ"), ("無名", nil)])
        #expect(try lines(ward.centre) == ["1 阿部 confirmed", "2 加藤 waiting", "3 和田 confirmed", "4 無名 waiting"])
        let roster = try ward.centre.roster("K1")
        #expect(roster.free == 0 && roster.capacity == 2)
        let first = try #require(roster.lines.first).booking.record.id
        _ = try ward.centre.cancelBooking(first.description, reason: "都合")
        #expect(try lines(ward.centre) == ["1 加藤 confirmed", "2 和田 confirmed", "3 無名 waiting"])
    }

    @Test func `What was printed keeps its numbers`() throws {
        let directory = try Scratch()
        let ward = try ward(capacity: 9, [("和田", "ワダ"), ("加藤", "カトウ"), ("田中", "タナカ")])
        _ = try printed(ward.centre, directory)
        let tanaka = try ward.centre.booking(lesson: "K1", number: 2)
        #expect(tanaka.record.text("name") == "田中")
        _ = try book(ward.centre, "阿部", "アベ")
        _ = try ward.centre.cancelBooking(tanaka.record.id.description, reason: "都合")
        #expect(try lines(ward.centre) == ["4 阿部 confirmed", "1 加藤 confirmed", "3 和田 confirmed"])
        #expect(try ward.centre.booking(lesson: "K1", number: 2).status == "cancelled")
        for number in [0, 5] {
            #expect(throws: CommandError.self) { try ward.centre.booking(lesson: "K1", number: number) }
        }
        // Whoever comes back has the old number.
        _ = try book(ward.centre, "田中", "タナカ")
        #expect(try ward.centre.booking(lesson: "K1", number: 2).record.id == tanaka.record.id)
        // A page that is printed again has the newcomers behind; one that is numbered anew is by kana throughout.
        #expect(try printed(ward.centre, directory).contains("<td>4</td>"))
        _ = try printed(ward.centre, directory, renumbers: true)
        #expect(
            try lines(ward.centre) == ["1 阿部 confirmed", "2 加藤 confirmed", "3 田中 confirmed", "4 和田 confirmed"]
        )
    }

    @Test func `Every site has one order, whoever typed first`() throws {
        let ward = try ward(capacity: 9, [("佐藤 二郎", "サトウ ジロウ")])
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        _ = try book(a, "佐藤 一郎", "サトウ イチロウ")
        // The same kana twice: the bytes of the name decide.
        _ = try book(a, "\u{795E}", "カミ")
        _ = try book(b, "\u{FA19}", "カミ")
        for site in [a, b, a] { try ward.sync(site) }
        let orders = try [a, b, ward.centre].map { try $0.roster("K1").lines.map(\.booking.record.id) }
        #expect(orders[0] == orders[1] && orders[1] == orders[2])
        let names = try a.roster("K1").lines.map { Array($0.text("name").utf8) }
        #expect(names.prefix(2).elementsEqual(["\u{795E}", "\u{FA19}"].map { Array($0.utf8) }))
    }

    @Test func `A site reads its own rights off the page`() throws {
        let directory = try Scratch()
        let ward = try ward(capacity: 4, [("田中", "タナカ")])
        let branch = try ward.join("branch")
        #expect(try printed(ward.centre, directory).contains("あと3名まで確定可"))
        #expect(try printed(branch, directory).contains("ここで確定できる席はありません"))
        #expect(try printed(ward.centre, directory).components(separatedBy: "class=\"blank\"").count == 4)
    }

    @Test func `No value becomes markup, and every byte of a name stands on the page`() throws {
        let directory = try Scratch()
        let long = "寿限無" + String(repeating: "長介", count: 60)
        let names = [
            "<script>alert(1)</script>", "\"'&<b>", "\u{FA19}田", "\u{795E}田", "\u{9AD9}\u{FA11}", "葛\u{E0100}城", "𠮷野",
            long,
            "\u{202E}逆",
        ]
        let ward = try ward(capacity: 2, names.map { ($0, "カナ") })
        let html = try printed(ward.centre, directory)
        let bytes = Array(html.utf8)
        func holds(_ text: String) -> Bool { Data(bytes).range(of: Data(text.utf8)) != nil }
        for name in names.dropFirst(2) { #expect(holds("<bdi>\(name)</bdi>"), "\(name)") }
        #expect(!holds("<script") && !holds("<b>"))
        #expect(holds("&lt;script&gt;") && holds("&quot;&#39;&amp;&lt;b&gt;"))
        // Nothing is loaded from anywhere.
        for word in ["http://", "https://", "src=", "href=", "url(", "@import"] { #expect(!holds(word), "\(word)") }
        #expect(try PageReader.tagsAreBalanced(html))
        let page = try FileManager.default.attributesOfItem(atPath: directory.path + "/page.html")
        #expect(page[.posixPermissions] as? Int == 0o600)
    }
}

/// As much of HTML as the roster uses.
enum PageReader {
    static func tagsAreBalanced(_ html: String) throws -> Bool {
        let alone: Set<String> = ["meta", "!DOCTYPE"]
        var open: [String] = []
        for part in html.split(separator: "<", omittingEmptySubsequences: false).dropFirst() {
            guard let end = part.firstIndex(of: ">") else { return false }
            let tag = part[..<end]
            let name = String(tag.split(separator: " ").first ?? "")
            if name.hasPrefix("/") {
                guard open.popLast() == String(name.dropFirst()) else { return false }
            } else if !alone.contains(name) {
                open.append(name)
            }
        }
        return open.isEmpty
    }
}
