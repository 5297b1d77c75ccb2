// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// What tells a site that exactly this person is kept at the ward office, without telling who: 16 bytes.
///
/// HMAC-SHA256 under the secret of `residents`. Whoever holds that secret can try persons, one by one; nobody else can.
package struct PersonMark: Hashable, Sendable, CustomStringConvertible {
    /// What is matched.
    private enum Kind: UInt8 {
        case kana = 1
        case name, number, record
    }

    /// The key.
    package let raw: Bytes16

    private init(_ kind: Kind, _ parts: [[UInt8]], _ secret: [UInt8]) {
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret))
        code.update(data: Array("tsunagu/mark/1".utf8) + [kind.rawValue])
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count).bigEndian) { code.update(data: $0) }
            code.update(data: part)
        }
        self.raw = code.finalize().withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    /// The marks of a resident: kana and birth date, name and birth date, number; as far as they are known.
    ///
    /// - Parameter field: the resident's text in the field of a name; `nil` where it is empty.
    package static func of(resident field: (String) -> String?, secret: [UInt8]) -> [PersonMark] {
        var out: [PersonMark] = []
        func folded(_ names: [String]) -> String { names.compactMap(field).map(SearchKey.fold).joined() }
        for (kind, names) in [(Kind.kana, ["family_kana", "given_kana"]), (.name, ["family_name", "given_name"])] {
            guard let born = field("birth_date"), !folded(names).isEmpty else { continue }
            out.append(PersonMark(kind, [Array(folded(names).utf8), Array(born.utf8)], secret))
        }
        if let number = field("number") { out.append(PersonMark(number: number, secret: secret)) }
        return out
    }

    /// The mark of a 宛名番号.
    package init(number: String, secret: [UInt8]) { self.init(.number, [Array(number.utf8)], secret) }

    /// The mark of a record that the person had.
    package init(record: RecordID, secret: [UInt8]) { self.init(.record, [record.bytes], secret) }

    /// The marks that the words of a search may mean: a number or an id, or a full name or kana with a birth date.
    package static func of(words: [String], secret: [UInt8]) -> [PersonMark] {
        if words.count == 1 {
            return [PersonMark(number: words[0], secret: secret)]
                + (RecordID(hex: words[0]).map { [PersonMark(record: $0, secret: secret)] } ?? [])
        }
        return words.indices.filter { Day(register: words[$0].utf8) != nil }.flatMap { place in
            let name = (words[..<place] + words[(place + 1)...]).map(SearchKey.fold).joined()
            return [Kind.kana, .name].map { PersonMark($0, [Array(name.utf8), Array(words[place].utf8)], secret) }
        }
    }

    /// Reads what `description` prints; `nil` for anything else.
    package init?(hex: some StringProtocol) {
        guard let bytes = Hex.decode(hex), let raw = Bytes16(bytes) else { return nil }
        self.raw = raw
    }

    /// 32 hexadecimal digits.
    package var description: String { Hex.encode(raw.bytes) }

    /// The record that holds the mark.
    package var record: RecordID { RecordID(derivedFrom: [Array("mark".utf8), raw.bytes]) }
}
