// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The key that `find` compares instead of the text as typed: folded from it, kept beside it, never merged.
///
/// Two spellings that a clerk would call the same give one key: half and full width, hiragana and katakana, small and large
/// kana, the pairs of the standard (ジ and ヂ, ズ and ヅ, ヴァ and バ …), a long vowel written as ウ or オ behind an o, with
/// or without ー, hyphens, spaces, middle dots and variation selectors, old and new forms of characters, capitals.
/// Everything comes from explicit tables, so that every site and version of the system makes the same key.
///
/// The key is not to be shown and says nothing about equality of persons.
package enum SearchKey {
    /// No character becomes more than four times as long: ㍻ has three bytes and becomes six.
    private static let growthMax = 4

    /// Folds a text.
    ///
    /// Folding the key of one word again changes nothing.
    ///
    /// - Complexity: one pass; under 1 µs for a name.
    package static func fold(_ text: String) -> String {
        var text = text
        return text.withUTF8 { utf8 in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: utf8.count * growthMax + 4) { out in
                var folder = Folder(out: out)
                folder.fold(utf8)
                return String(decoding: UnsafeBufferPointer(rebasing: out[..<folder.count]), as: UTF8.self)
            }
        }
    }

    /// The pass over one text.
    private struct Folder {
        let out: UnsafeMutableBufferPointer<UInt8>
        var count = 0
        /// Whether the key so far ends in a kana of the o column, which ウ or オ would lengthen.
        ///
        /// One of them lengthens once: in サトウウメ the second ウ begins the given name. A space ends it too, since 氏 and
        /// 名 are folded apart.
        var lengthens = false
        /// The last kana before folding, for ゝ and ゞ.
        var lastKana: UInt32 = 0

        init(out: UnsafeMutableBufferPointer<UInt8>) { self.out = out }

        mutating func fold(_ utf8: UnsafeBufferPointer<UInt8>) {
            let table = FoldTable.shared
            table.single.withUnsafeBufferPointer { single in
                var index = 0
                while index < utf8.count {
                    let scalar = Folder.scalar(utf8, &index)
                    if let kana = Folder.katakana(scalar, previous: lastKana) {
                        foldKana(kana, utf8, &index)
                    } else {
                        foldOther(scalar, single, table)
                    }
                }
            }
        }

        private mutating func foldKana(_ kana: UInt32, _ utf8: UnsafeBufferPointer<UInt8>, _ index: inout Int) {
            var kana = kana
            var ahead = index
            if ahead < utf8.count {
                let next = Folder.scalar(utf8, &ahead)
                let marked =
                    switch next {
                    case 0x3099, 0x309B, 0xFF9E: Kana.voiced[Int(kana - 0x30A0)]
                    case 0x309A, 0x309C, 0xFF9F: Kana.semivoiced[Int(kana - 0x30A0)]
                    default: UInt16(0)
                    }
                if marked != 0 {
                    kana = UInt32(marked)
                    index = ahead
                }
            }
            lastKana = kana
            var key = Kana.searched[Int(kana - 0x30A0)]
            if kana == 0x30F4, index < utf8.count {
                ahead = index
                let next = Folder.scalar(utf8, &ahead)
                if let vowel = Folder.katakana(next, previous: 0), let joined = Kana.afterVu(vowel) {
                    key = joined
                    index = ahead
                }
            }
            if lengthens, key == 0x30A6 || key == 0x30AA {
                key = 0x30AA
                lengthens = false
            } else {
                lengthens = Kana.endsInO[Int(key - 0x30A0)]
            }
            emit(UInt32(key))
        }

        private mutating func foldOther(
            _ scalar: UInt32,
            _ single: UnsafeBufferPointer<UInt16>,
            _ table: FoldTable
        ) {
            if scalar > 0xFFFF {
                // Variation selectors leave nothing.
                if 0xE0100...0xE01EF ~= scalar { return }
                lengthens = false
                return emit(table.beyond[scalar].map(UInt32.init) ?? scalar)
            }
            let key = single[Int(scalar)]
            if key > FoldTable.expanded {
                lengthens = false
                emit(UInt32(key))
            } else if key == FoldTable.dropped {
                if scalar == 0x20 || scalar == 0x3000 { lengthens = false }
            } else {
                lengthens = false
                for byte in table.expansions[scalar]! { put(byte) }
            }
        }

        /// The full-width katakana of a kana in any form; a repetition mark is the kana before it.
        @inline(__always)
        private static func katakana(_ scalar: UInt32, previous: UInt32) -> UInt32? {
            switch scalar {
            case 0x3041...0x3096: return scalar + 0x60
            case 0x30A1...0x30FA: return scalar
            case 0xFF66...0xFF6F, 0xFF71...0xFF9D: return UInt32(Kana.halfWidth[Int(scalar - Kana.halfWidthFirst)])
            case 0x309D, 0x30FD: return previous == 0 ? nil : previous
            case 0x309E, 0x30FE:
                guard previous != 0 else { return nil }
                let voiced = Kana.voiced[Int(previous - 0x30A0)]
                return voiced == 0 ? previous : UInt32(voiced)
            default: return nil
            }
        }

        /// Decodes one character of valid UTF-8.
        @inline(__always)
        private static func scalar(_ utf8: UnsafeBufferPointer<UInt8>, _ index: inout Int) -> UInt32 {
            let first = UInt32(utf8[index])
            if first < 0x80 {
                index += 1
                return first
            }
            func rest(_ offset: Int) -> UInt32 { UInt32(utf8[index + offset] & 0x3F) }
            if first < 0xE0 {
                defer { index += 2 }
                return (first & 0x1F) << 6 | rest(1)
            }
            if first < 0xF0 {
                defer { index += 3 }
                return (first & 0x0F) << 12 | rest(1) << 6 | rest(2)
            }
            defer { index += 4 }
            return (first & 0x07) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3)
        }

        @inline(__always)
        private mutating func emit(_ scalar: UInt32) {
            if scalar < 0x80 {
                put(UInt8(scalar))
            } else if scalar < 0x800 {
                put(UInt8(0xC0 | scalar >> 6))
                put(UInt8(0x80 | scalar & 0x3F))
            } else if scalar < 0x10000 {
                put(UInt8(0xE0 | scalar >> 12))
                put(UInt8(0x80 | scalar >> 6 & 0x3F))
                put(UInt8(0x80 | scalar & 0x3F))
            } else {
                put(UInt8(0xF0 | scalar >> 18))
                put(UInt8(0x80 | scalar >> 12 & 0x3F))
                put(UInt8(0x80 | scalar >> 6 & 0x3F))
                put(UInt8(0x80 | scalar & 0x3F))
            }
        }

        @inline(__always)
        private mutating func put(_ byte: UInt8) {
            out[count] = byte
            count += 1
        }
    }
}
