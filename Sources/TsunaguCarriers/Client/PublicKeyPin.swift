// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The SHA-256 of a TLS server's SubjectPublicKeyInfo (RFC 7469): who the other end is, whatever its certificate says.
///
/// A certificate may be renewed under the same key; the pin, and with it every invitation ever handed out, stays.
package struct PublicKeyPin: Hashable, Sendable {
    package static let byteCount = 32

    package let sha256: [UInt8]

    /// Takes the 32 bytes of a SHA-256; nil for any other length.
    package init?(sha256: some Sequence<UInt8>) {
        self.sha256 = Array(sha256)
        guard self.sha256.count == Self.byteCount else { return nil }
    }
}

extension PublicKeyPin: CustomStringConvertible {
    /// The pin as libcurl reads it, `sha256//BASE64`.
    package var description: String { "sha256//" + Data(sha256).base64EncodedString() }
}
