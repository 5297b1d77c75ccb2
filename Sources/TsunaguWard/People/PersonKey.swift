// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// What tells a lesson space that two bookings are of one person, without telling who: 16 bytes.
///
/// A resident's key needs the secret that only holders of `residents` have, so a venue cannot try numbers or ids. A typed
/// person's key is a plain hash of what the venue typed and holds anyway: two sites that type the same person alike make
/// one booking.
package struct PersonKey: Hashable, Sendable, CustomStringConvertible {
    /// The key.
    package let raw: Bytes16

    /// The key of a resident: HMAC-SHA256 of the record's id under the secret of the register.
    package init(resident: RecordID, secret: [UInt8]) {
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret))
        code.update(data: Array("tsunagu/person/1".utf8))
        code.update(data: resident.bytes)
        self.raw = code.finalize().withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    /// The key of a typed person: SHA-256 over the name and the folded kana without spaces and the digits of the phone
    /// number, each behind its length.
    ///
    /// Half-width kana, a number without hyphens and whatever space stands between 氏 and 名, or none, are the same person;
    /// another character form of the name is not, for a person to decide.
    package init(guest: PersonDetails) {
        var hash = SHA256()
        hash.update(data: Array("tsunagu/guest/1".utf8))
        let parts = [
            Array(Self.withoutSpaces(guest.name).utf8),
            Array(SearchKey.fold(Self.withoutSpaces(guest.kana ?? "")).utf8),
            PhoneDigits.of(guest.phone?.string ?? ""),
        ]
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count).bigEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        self.raw = hash.finalize().withUnsafeBytes { Bytes16(loading: $0.baseAddress!) }
    }

    /// What keyboards put between the parts of a name.
    package static let spaces: [Unicode.Scalar] = [" ", "\u{A0}", "\u{3000}"]

    private static func withoutSpaces(_ text: ExactText) -> String {
        String(String.UnicodeScalarView(text.string.unicodeScalars.filter { !spaces.contains($0) }))
    }

    /// Reads what `description` prints; `nil` for anything else.
    package init?(hex: some StringProtocol) {
        guard let bytes = Hex.decode(hex), let raw = Bytes16(bytes) else { return nil }
        self.raw = raw
    }

    /// 32 hexadecimal digits, what stands in the field `person_key`.
    package var description: String { Hex.encode(raw.bytes) }

    /// The record of this person's booking of a lesson: one, whichever sites make it.
    package func booking(of lesson: RecordID) -> RecordID {
        RecordID(derivedFrom: [Array("booking".utf8), lesson.bytes, raw.bytes])
    }

    /// The record that links a booking to a resident: one for each booking, so two sites that link it differently collide
    /// where people see it.
    package static func link(of booking: RecordID) -> RecordID {
        RecordID(derivedFrom: [Array("booking_link".utf8), booking.bytes])
    }
}

/// The digits that a phone number is compared by.
package enum PhoneDigits {
    /// The ASCII digits of the first number in the text: full-width digits are read, +81 becomes 0, an extension or a
    /// second number is left out.
    package static func of(_ text: String) -> [UInt8] {
        var digits: [UInt8] = []
        var isInternational = false
        scan: for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x30...0x39: digits.append(UInt8(scalar.value))
            case 0xFF10...0xFF19: digits.append(UInt8(scalar.value - 0xFF10 + 0x30))
            case 0x2B, 0xFF0B:
                // A plus begins a number.
                if digits.isEmpty { isInternational = true } else { break scan }
            // Spaces, parentheses, full stops, hyphens and what is typed for them.
            case 0x20, 0x3000, 0x28, 0x29, 0xFF08, 0xFF09, 0x2E, 0x2D, 0xFF0D, 0xFF70, 0x30FC, 0x2212, 0x2010...0x2015:
                continue
            default:
                if !digits.isEmpty { break scan }
            }
        }
        guard isInternational, digits.starts(with: [0x38, 0x31]) else { return digits }
        let national = digits.dropFirst(2)
        return national.first == 0x30 ? Array(national) : [0x30] + national
    }
}
