// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Letters with marks as foreign residents' names have them, without their marks: Nguy\u{1EC5}n is found by `nguyen`.
enum LatinLetters {
    /// U+00C0 to U+017F, a letter each; a full stop for what is no letter.
    static let extendedFirst: UInt32 = 0xC0
    static let extended =
        "aaaaaaaceeeeiiiidnooooo.ouuuuytsaaaaaaaceeeeiiiidnooooo.ouuuuytyaaaaaaccccccccddddeeeeeeeeeegggg"
        + "gggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

    /// U+1EA0 to U+1EF9, the letters of Vietnamese.
    static let vietnameseFirst: UInt32 = 0x1EA0
    static let vietnamese =
        "aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy"

    /// The two letters with a horn stand elsewhere, in capital and small form.
    static let horned: [(scalar: UInt32, letter: UInt8)] = [
        (0x1A0, UInt8(ascii: "o")), (0x1A1, UInt8(ascii: "o")), (0x1AF, UInt8(ascii: "u")), (0x1B0, UInt8(ascii: "u")),
    ]
}
