// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What each character outside kana becomes in a search key: one flat table for U+0000 to U+FFFF, made once.
struct FoldTable: Sendable {
    /// The character leaves nothing in the key.
    static let dropped: UInt16 = 0
    /// The character becomes several; `expansions` has them.
    static let expanded: UInt16 = 1

    /// By character: another one, `dropped` or `expanded`.
    let single: [UInt16]
    /// What the few characters of several letters become.
    let expansions: [UInt32: [UInt8]]
    /// Characters beyond U+FFFF that are variants.
    let beyond: [UInt32: UInt16]

    static let shared = FoldTable()

    private init() {
        var single = [UInt16](unsafeUninitializedCapacity: 65536) { buffer, count in
            for index in 0..<65536 { buffer[index] = UInt16(index) }
            count = 65536
        }
        for range in FoldTable.droppedRanges {
            for scalar in range { single[Int(scalar)] = FoldTable.dropped }
        }
        // U+0000 and U+0001 would read as the two marks; the rows of an import cannot hold them.
        for capital in 0x41...0x5A { single[capital] = UInt16(capital + 32) }
        for wide in 0xFF01...0xFF5E { single[wide] = single[wide - 0xFF01 + 0x21] }
        // Wave dashes, whose two forms trade places between encodings.
        single[0x301C] = 0x7E
        FoldTable.foldLatin(&single)

        var beyond: [UInt32: UInt16] = [:]
        var compatibility = FoldTable.compatibilityPairs()
        for (from, to) in compatibility { single[Int(from)] = to }
        for group in CharacterVariants.groups {
            let scalars = group.unicodeScalars.map(\.value)
            for variant in scalars.dropFirst() {
                if variant > 0xFFFF {
                    beyond[variant] = UInt16(scalars[0])
                } else {
                    single[Int(variant)] = UInt16(scalars[0])
                }
            }
        }
        // A compatibility form of an old form goes the whole way.
        compatibility.removeAll { single[Int($0.to)] == $0.to }
        for (from, to) in compatibility { single[Int(from)] = single[Int(to)] }

        let expansions = FoldTable.expansionPairs()
        for scalar in expansions.keys { single[Int(scalar)] = FoldTable.expanded }
        self.single = single
        self.expansions = expansions
        self.beyond = beyond
    }

    /// Spaces, hyphens and what is typed for them, long-vowel marks, middle dots, apostrophes, invisible characters,
    /// combining marks, variation selectors.
    private static let droppedRanges: [ClosedRange<UInt32>] = [
        0x00...0x01, 0x09...0x0D, 0x20...0x20, 0x27...0x27, 0x2D...0x2D, 0xA0...0xA0, 0xAD...0xAD, 0xB7...0xB7,
        0x02BC...0x02BC, 0x0300...0x036F, 0x180B...0x180D, 0x2000...0x2015, 0x2018...0x2019, 0x2027...0x202F,
        0x205F...0x2064, 0x2212...0x2212, 0x3000...0x3000, 0x30FB...0x30FC, 0xFE00...0xFE0F, 0xFE58...0xFE58,
        0xFE63...0xFE63, 0xFEFF...0xFEFF, 0xFF65...0xFF65, 0xFF70...0xFF70,
    ]

    private static func foldLatin(_ single: inout [UInt16]) {
        let rows = [
            (LatinLetters.extendedFirst, LatinLetters.extended),
            (LatinLetters.vietnameseFirst, LatinLetters.vietnamese),
        ]
        for (first, letters) in rows {
            for (index, letter) in letters.utf8.enumerated() where letter != UInt8(ascii: ".") {
                single[Int(first) + index] = UInt16(letter)
            }
        }
        for (scalar, letter) in LatinLetters.horned { single[Int(scalar)] = UInt16(letter) }
    }

    private static func compatibilityPairs() -> [(from: UInt32, to: UInt16)] {
        let cells = CharacterVariants.compatibility.split { $0 == " " || $0 == "\n" }
        return cells.enumerated().compactMap { index, cell in
            let to = UInt16(cell, radix: 16)!
            return to == 0 ? nil : (CharacterVariants.compatibilityFirst + UInt32(index), to)
        }
    }

    private static func expansionPairs() -> [UInt32: [UInt8]] {
        var out: [UInt32: [UInt8]] = [
            0x2116: Array("no".utf8), 0x2121: Array("tel".utf8), 0x3231: Array("(株)".utf8), 0x3232: Array("(有)".utf8),
            0x337B: Array("平成".utf8), 0x337C: Array("昭和".utf8), 0x337D: Array("大正".utf8),
            0x337E: Array("明治".utf8), 0x32FF: Array("令和".utf8),
        ]
        for number in UInt32(1)...20 { out[0x2460 + number - 1] = Array(String(number).utf8) }
        let roman = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
        for (index, letters) in roman.enumerated() {
            out[0x2160 + UInt32(index)] = Array(letters.utf8)
            out[0x2170 + UInt32(index)] = Array(letters.utf8)
        }
        return out
    }
}
