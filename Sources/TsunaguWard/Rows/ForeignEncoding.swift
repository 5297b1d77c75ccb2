// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a file that is not UTF-8 looks like.
package enum ForeignEncoding: Hashable, Sendable {
    case utf16
    /// No bytes prove it, but in an office it is nearly always that.
    case perhapsShiftJIS

    /// What bytes at the start of a text look like; `nil` where they are UTF-8.
    package init?(of start: some Collection<UInt8>) {
        if let first = start.first, Self.isMarkOfUTF16(first) {
            self = .utf16
        } else if String(validating: start, as: UTF8.self) == nil {
            self = .perhapsShiftJIS
        } else {
            return nil
        }
    }

    /// Whether a file that begins with this byte begins with the byte order mark of UTF-16; UTF-8 has no such byte.
    package static func isMarkOfUTF16(_ byte: UInt8) -> Bool { byte >= 0xFE }

    /// What is wrong.
    package var what: Bilingual {
        switch self {
        case .utf16: Bilingual(ja: "UTF-8 ではなく UTF-16 のファイルです", en: "the file is UTF-16 and not UTF-8")
        case .perhapsShiftJIS:
            Bilingual(
                ja: "UTF-8 として読めません。Shift_JIS（cp932）かもしれません",
                en: "it is not UTF-8, perhaps Shift_JIS (cp932)"
            )
        }
    }

    /// What to do next.
    package var remedy: Bilingual {
        let command = "iconv -f \(self == .utf16 ? "utf-16" : "cp932") -t utf-8 FILE > NEW"
        return Bilingual(
            ja: "ファイルを UTF-8 で保存し直してください。例: \(command)",
            en: "Save the file as UTF-8, for example with: \(command)"
        )
    }
}
