// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The place of a name in a list that people look through: the order of the fifty sounds.
///
/// Names are compared on three levels, a later one only where all earlier ones are equal: the sounds themselves, without
/// voicing, size and length, where ー is the vowel before it; clear before voiced before semi-voiced; ー before small
/// before large. A space comes before every sound, so that families stand together. Hiragana and half-width kana stand
/// where the same katakana do; what is no kana stands by code point, kanji behind all kana. Everything comes from
/// explicit tables, so that every site prints the same order.
///
/// It says nothing about equality: names that are typed differently may have one place.
package struct KanaOrder: Comparable, Hashable, Sendable {
    private var sounds: [UInt32] = []
    private var voicings: [UInt8] = []
    private var forms: [UInt8] = []

    /// The place of a text.
    package init(_ text: String) {
        var last: Kana?
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x20, 0xA0, 0x3000:
                // Several are one; those in front and behind are nothing.
                if let sound = sounds.last, sound != Self.space { add(Kana(sound: Self.space, voicing: 0, form: 2)) }
                last = nil
            case 0x3099, 0x309B, 0xFF9E: mark(1, last)
            case 0x309A, 0x309C, 0xFF9F: mark(2, last)
            case 0xFE00...0xFE0F, 0xE0100...0xE01EF: continue
            case 0x309D, 0x30FD, 0x309E, 0x30FE:
                guard let repeated = last else { continue }
                let isVoiced = scalar.value == 0x309E || scalar.value == 0x30FE
                add(Kana(sound: repeated.sound, voicing: isVoiced ? 1 : 0, form: repeated.form))
            case 0x30FC, 0xFF70:
                if let vowel = last.flatMap({ Self.vowels[$0.sound] }) {
                    add(Kana(sound: vowel, voicing: 0, form: 0))
                }
            default:
                let kana = Self.kana(scalar.value)
                add(kana ?? Kana(sound: Self.folded(scalar.value), voicing: 0, form: 2))
                last = kana
            }
        }
        if sounds.last == Self.space {
            sounds.removeLast()
            voicings.removeLast()
            forms.removeLast()
        }
    }

    package static func < (a: KanaOrder, b: KanaOrder) -> Bool {
        if a.sounds != b.sounds { return a.sounds.lexicographicallyPrecedes(b.sounds) }
        if a.voicings != b.voicings { return a.voicings.lexicographicallyPrecedes(b.voicings) }
        return a.forms.lexicographicallyPrecedes(b.forms)
    }

    // MARK: - One sound

    private struct Kana {
        /// The large clear katakana.
        let sound: UInt32
        /// 1 voiced, 2 semi-voiced.
        let voicing: UInt8
        /// 0 for ー, 1 small, 2 large.
        let form: UInt8
    }

    private static let space: UInt32 = 1

    private mutating func add(_ kana: Kana) {
        sounds.append(kana.sound)
        voicings.append(kana.voicing)
        forms.append(kana.form)
    }

    /// A voicing mark that stands behind its kana.
    private mutating func mark(_ voicing: UInt8, _ last: Kana?) {
        if last != nil, !voicings.isEmpty { voicings[voicings.count - 1] = voicing }
    }

    /// The kana of a character in any form; `nil` for what is none.
    private static func kana(_ scalar: UInt32) -> Kana? {
        switch scalar {
        case 0x3041...0x3096: known[scalar + 0x60]
        case 0x30A1...0x30FA: known[scalar]
        case 0xFF66...0xFF9D: known[UInt32(TsunaguWard.Kana.halfWidth[Int(scalar - TsunaguWard.Kana.halfWidthFirst)])]
        default: nil
        }
    }

    /// Full-width Latin stands where the narrow does, small where capital does.
    private static func folded(_ scalar: UInt32) -> UInt32 {
        let narrow = 0xFF01...0xFF5E ~= scalar ? scalar - 0xFEE0 : scalar
        return 0x61...0x7A ~= narrow ? narrow - 0x20 : narrow
    }

    private static func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }

    private static let known: [UInt32: Kana] = {
        var out: [UInt32: Kana] = [:]
        for sound in UInt32(0x30A1)...0x30FA { out[sound] = Kana(sound: sound, voicing: 0, form: 2) }
        for (small, large) in zip(scalars("ァィゥェォッャュョヮヵヶ"), scalars("アイウエオツヤユヨワカケ")) {
            out[small] = Kana(sound: large, voicing: 0, form: 1)
        }
        let voiced = scalars("ヴガギグゲゴザジズゼゾダヂヅデドバビブベボ\u{30F7}\u{30F8}\u{30F9}\u{30FA}")
        for (mark, clear) in zip(voiced, scalars("ウカキクケコサシスセソタチツテトハヒフヘホワヰヱヲ")) {
            out[mark] = Kana(sound: clear, voicing: 1, form: 2)
        }
        for (mark, clear) in zip(scalars("パピプペポ"), scalars("ハヒフヘホ")) {
            out[mark] = Kana(sound: clear, voicing: 2, form: 2)
        }
        return out
    }()

    private static let vowels: [UInt32: UInt32] = {
        var out: [UInt32: UInt32] = [:]
        for (vowel, row) in [
            ("ア", "アカサタナハマヤラワ"), ("イ", "イキシチニヒミリヰ"), ("ウ", "ウクスツヌフムユル"), ("エ", "エケセテネヘメレヱ"),
            ("オ", "オコソトノホモヨロヲ"),
        ] {
            for sound in scalars(row) { out[sound] = scalars(vowel)[0] }
        }
        return out
    }()
}
