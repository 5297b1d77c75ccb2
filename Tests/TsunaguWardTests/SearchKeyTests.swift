// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguWard

/// Special characters are written with escapes, so that an editor that normalises text cannot make a test say nothing.
@Suite struct SearchKeyTests {
    private func key(_ text: String) -> [UInt8] { bytes(SearchKey.fold(text)) }

    @Test(
        "spellings that a clerk calls the same make one key",
        arguments: [
            // The pairs of the register standard.
            ("ヂ", "ジ"), ("ズ", "ヅ"), ("ワ", "ハ"), ("ヴァ", "バ"), ("ヴィ", "ビ"), ("ヴ", "ブ"), ("オ", "ヲ"), ("ヒ", "ピ"),
            ("ッ", "ツ"), ("ャュョ", "ヤユヨ"), ("トウル", "トオル"), ("コウヘイ", "コオヘイ"), ("ヨウコ", "ヨオコ"),
            // The length mark and everything typed for it, both spaces.
            ("ラーメン", "ラメン"), ("ラ\u{2015}メン", "ラ\u{FF0D}メン"), ("ラ\u{2010}メン", "ラ\u{FF70}メン"), ("ラ-メン", "ラーメン"),
            ("ハナ コ", "ハナ\u{3000}コ"), ("ハナ コ", "ハナコ"),
            // Half width: plain, voiced, semi-voiced, small, ｳﾞ.
            ("\u{FF84}", "ト"), ("\u{FF76}\u{FF9E}\u{FF84}\u{FF9E}", "ガド"), ("\u{FF73}\u{FF9E}\u{FF67}", "バ"),
            ("\u{FF8B}\u{FF9F}", "ピ"), ("\u{FF7B}\u{FF72}\u{FF84}\u{FF73}", "サイトウ"),
            ("\u{FF7B}\u{FF72}\u{FF84}\u{FF73}", "さいとう"),
            ("\u{FF6D}\u{FF70}", "ユ"),
            // Marks in every form.
            ("か\u{3099}", "が"), ("カ\u{309B}", "ガ"), ("カ\u{FF9E}", "が"), ("は\u{309A}", "パ"), ("ウ\u{3099}ィ", "ビ"),
            // Repetition.
            ("すゞ", "スズ"), ("いすゞ", "イスズ"), ("みすヽ", "ミスス"),
            // Foreign names.
            ("ジョン・マイケル", "ジョンマイケル"), ("\u{FF7C}\u{FF9E}\u{FF6E}\u{FF9D}\u{FF65}", "ジョン"), ("O'CONNOR", "oconnor"),
            ("TAYLOR-JONES", "Taylor Jones"), ("Nguy\u{1EC5}n", "NGUYEN"), ("Nguye\u{302}\u{303}n", "nguyen"),
            ("M\u{DC}LLER", "muller"), ("H\u{C9}L\u{C8}NE", "helene"),
            // Full-width letters, digits and signs.
            ("\u{FF21}\u{FF22}\u{FF43}\u{FF11}", "abc1"), ("\u{FF10}\u{FF13}\u{FF0D}\u{FF11}", "031"),
            ("090-0111-2222", "09001112222"),
            // Signs of several letters.
            ("\u{2460}", "1"), ("\u{2473}", "20"), ("\u{3231}", "(株)"), ("\u{337B}", "平成"), ("\u{32FF}", "令和"),
            ("\u{2162}", "III"),
            ("\u{FF5E}", "\u{301C}"),
        ]
    )
    func same(_ pair: (String, String)) {
        #expect(key(pair.0) == key(pair.1), "\(pair.0) and \(pair.1)")
    }

    @Test(
        "forms of a character make one key",
        arguments: [
            // Compatibility forms: NFC makes them the plain ones, so only escapes can tell them apart.
            ("\u{FA19}", "\u{795E}"), ("\u{FA1B}", "\u{798F}"), ("\u{FA12}", "\u{6674}"), ("\u{F9DC}", "\u{9686}"),
            ("\u{FA10}", "\u{585A}"), ("\u{FA1E}", "\u{7FBD}"), ("\u{FA1A}", "\u{7965}"), ("\u{FA26}", "\u{90FD}"),
            ("\u{FA1D}", "\u{7CBE}"), ("\u{FA45}", "\u{6D77}"), ("\u{FA46}", "\u{6E1A}"), ("\u{FA4C}", "\u{793E}"),
            // Forms that no normalisation joins.
            ("\u{9AD9}", "\u{9AD8}"), ("\u{FA11}", "\u{5D0E}"), ("\u{9AD9}\u{5CF6}", "\u{9AD8}\u{5CF6}"),
            ("\u{5D5C}", "\u{5D0E}"),
            ("\u{9089}", "\u{8FBA}"), ("\u{908A}", "\u{8FBA}"), ("\u{6FF1}", "\u{6D5C}"), ("\u{6FF5}", "\u{6D5C}"),
            ("\u{6589}", "\u{658E}"), ("\u{9F4B}", "\u{658E}"), ("\u{9F4A}", "\u{658E}"), ("\u{6FA4}", "\u{6CA2}"),
            ("\u{5D8B}", "\u{5CF6}"), ("\u{5D8C}", "\u{5CF6}"), ("\u{5EE3}", "\u{5E83}"), ("\u{6AFB}", "\u{685C}"),
            ("\u{20BB7}", "\u{5409}"), ("\u{9EB4}", "\u{9EB9}"),
            // Variation selectors.
            ("\u{845B}\u{E0100}", "\u{845B}"), ("\u{845B}\u{E0101}\u{98FE}", "\u{845B}\u{98FE}"),
            ("\u{8FBB}\u{E0100}", "\u{8FBB}"),
            ("\u{845B}\u{FE00}", "\u{845B}"),
        ]
    )
    func variants(_ pair: (String, String)) {
        #expect(key(pair.0) == key(pair.1))
        #expect(bytes(pair.0) != bytes(pair.1), "the escapes were normalised away")
    }

    @Test(
        "other names make other keys",
        arguments: [
            ("プライド", "フライト"), ("ト", "ド"), ("カ", "ガ"), ("ウダ", "オダ"), ("ハナ", "バナ"), ("アベ", "アヘ"), ("髙田", "島田"),
            ("サトウ", "サト"), ("サトウウメ", "サトウメ"), ("a", "b"), ("12", "21"), ("\u{E000}", "\u{E001}"),
            ("\u{10DE92}", "\u{10DE93}"), ("イイダ", "イダ"),
        ]
    )
    func different(_ pair: (String, String)) {
        #expect(key(pair.0) != key(pair.1), "\(pair.0) and \(pair.1)")
    }

    @Test("a mark that voices nothing stays")
    func loneMarks() {
        #expect(key("\u{FF9E}\u{FF77}") != key("\u{FF77}"))
        #expect(key("\u{FF9F}") == bytes("\u{FF9F}"))
        #expect(key("ア\u{FF9E}") == bytes("ア\u{FF9E}"))
    }

    @Test("氏 and 名 are found together however they were folded")
    func joined() {
        #expect(key("サトウ") + key("ウメ") == key("サトウウメ"))
        #expect(key("サトウ") + key("ウメ") == key("サトウ ウメ"))
        #expect(key("キノ") + key("ウタ") == key("キノ ウタ"))
    }

    @Test("all half-width kana fold as their full-width forms")
    func halfWidth() {
        let narrow = (0xFF66...0xFF9D).map { String(Unicode.Scalar($0)!) }
        let wide = Array(
            "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン".unicodeScalars
        )
        #expect(narrow.count == wide.count)
        for (narrow, wide) in zip(narrow, wide) { #expect(key(narrow) == key(String(wide))) }
    }

    @Test("hiragana fold as katakana")
    func hiragana() {
        for value in UInt32(0x3041)...0x3096 {
            let hiragana = String(Unicode.Scalar(value)!)
            #expect(key(hiragana) == key(String(Unicode.Scalar(value + 0x60)!)))
        }
    }

    @Test("folding a key changes nothing, for every character")
    func idempotent() {
        for value in UInt32(0x20)...0x2FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let once = SearchKey.fold(String(scalar))
            #expect(key(once) == bytes(once), "U+\(String(value, radix: 16))")
        }
        for text in ["サトウウメ", "ヴァイオリン", "コウ\u{3099}", "トオウ", "ソウウ ウ"] {
            let once = SearchKey.fold(text)
            #expect(key(once) == bytes(once), "\(text)")
        }
    }

    @Test("no character grows beyond what the buffer holds, in any company")
    func growth() {
        for text in ["\u{337B}", "\u{216B}", "\u{3231}", "\u{2121}", "\u{10FFFF}", ""] {
            let many = String(repeating: text, count: 500)
            #expect(SearchKey.fold(many).utf8.count == SearchKey.fold(text).utf8.count * 500)
        }
    }
}
