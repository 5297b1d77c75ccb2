// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Katakana U+30A1 to U+30FF: half width, voicing, and what the standard of resident registers wants to be found together.
enum Kana {
    /// U+FF66 to U+FF9D in their order.
    static let halfWidthFirst: UInt32 = 0xFF66
    static let halfWidth = scalars(
        "\u{30F2}\u{30A1}\u{30A3}\u{30A5}\u{30A7}\u{30A9}\u{30E3}\u{30E5}\u{30E7}\u{30C3}\u{30FC}"
            + "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン"
    )

    /// What a voicing mark behind a kana makes of it, by distance from U+30A0; 0 where it makes nothing.
    static let voiced = table([
        ("ウカキクケコサシスセソタチツテトハヒフヘホ", "ヴガギグゲゴザジズゼゾダヂヅデドバビブベボ"),
        ("ワヰヱヲ", "\u{30F7}\u{30F8}\u{30F9}\u{30FA}"),
    ])

    /// What a semi-voicing mark makes of it.
    static let semivoiced = table([("ハヒフヘホ", "パピプペポ")])

    /// What a kana is searched as, by distance from U+30A0; itself where nothing is said.
    ///
    /// Small kana are large, since older registers have large ones only; the pairs are those of the standard's section
    /// on searching names.
    static let searched: [UInt16] = {
        var out = table([
            ("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨハカケ"),
            ("ヂヅヲワピヴヰヱ", "ジズオハヒブイエ"),
            ("\u{30F7}\u{30F8}\u{30F9}\u{30FA}", "バビベボ"),
        ])
        for index in out.indices where out[index] == 0 { out[index] = UInt16(0x30A0 + index) }
        return out
    }()

    /// ヴ and one of these, small or large, is one sound of the ヴ row: the large form's distance and what it becomes.
    static func afterVu(_ kana: UInt32) -> UInt16? {
        switch kana {
        case 0x30A1, 0x30A2: 0x30D0
        case 0x30A3, 0x30A4: 0x30D3
        case 0x30A7, 0x30A8: 0x30D9
        case 0x30A9, 0x30AA: 0x30DC
        default: nil
        }
    }

    /// Whether a searched kana ends in the vowel o: ウ behind it lengthens it.
    static let endsInO: [Bool] = {
        var out = [Bool](repeating: false, count: 0x60)
        for kana in scalars("オコソトノホモヨロゴゾドボポ") { out[Int(kana) - 0x30A0] = true }
        return out
    }()

    /// Writes full-width katakana at half width, as old systems print them; what has no such form stays.
    static func halfWidth(of text: String) -> String {
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x30A1...0x30FC: out.append(contentsOf: halfWidthForms[Int(scalar.value) - 0x30A0])
            case 0x3000: out.append(" ")
            default: out.append(scalar)
            }
        }
        return String(out)
    }

    /// By distance from U+30A0: one or two scalars.
    private static let halfWidthForms: [[Unicode.Scalar]] = {
        var forms = (0..<0x60).map { [Unicode.Scalar(UInt32(0x30A0 + $0))!] }
        for (index, kana) in halfWidth.enumerated() {
            let narrow = Unicode.Scalar(halfWidthFirst + UInt32(index))!
            forms[Int(kana) - 0x30A0] = [narrow]
            for (marks, mark) in [(voiced, "\u{FF9E}"), (semivoiced, "\u{FF9F}")] as [([UInt16], Unicode.Scalar)] {
                let marked = marks[Int(kana) - 0x30A0]
                if marked != 0 { forms[Int(marked) - 0x30A0] = [narrow, mark] }
            }
        }
        forms[0x5B] = ["\u{FF65}"]
        return forms
    }()

    private static func scalars(_ text: String) -> [UInt16] { text.unicodeScalars.map { UInt16($0.value) } }

    private static func table(_ pairs: [(String, String)]) -> [UInt16] {
        var out = [UInt16](repeating: 0, count: 0x60)
        for (from, to) in pairs {
            for (a, b) in zip(scalars(from), scalars(to)) { out[Int(a) - 0x30A0] = b }
        }
        return out
    }
}
