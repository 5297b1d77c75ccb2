// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// A TLS server's certificate and private key, as PEM text, and the pin by which clients know it.
package struct TLSIdentity: Hashable, Sendable {
    /// The leaf first, then any certificates that lead from it to an authority.
    package let certificatePEM: String
    /// Secret: kept in a file that only its owner reads, and in no log.
    package let keyPEM: String
    package let pin: PublicKeyPin

    /// Takes what a file holds.
    ///
    /// - Throws: ``TLSIdentityError`` when the text is no PEM of its kind or key and certificate do not belong together.
    package init(certificatePEM: String, keyPEM: String) throws(TLSIdentityError) {
        let certificate: Certificate
        do {
            guard let leaf = try PEMDocument.parseMultiple(pemString: certificatePEM).first else {
                throw TLSIdentityError.unreadableCertificate
            }
            certificate = try Certificate(pemDocument: leaf)
        } catch {
            throw .unreadableCertificate
        }
        let key: Certificate.PrivateKey
        do {
            key = try Certificate.PrivateKey(pemEncoded: keyPEM)
        } catch {
            throw .unreadableKey
        }
        guard key.publicKey == certificate.publicKey else { throw .keyOfAnotherCertificate }
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
        self.pin = Self.pin(of: certificate.publicKey)
    }

    /// Makes a new ECDSA P-256 key and a certificate that it signs itself.
    ///
    /// Clients that trust by pin read nothing but the key, so the name is for people and the dates for tools that insist.
    ///
    /// - Parameter validity: in seconds since 1970, both ends included in the certificate.
    package static func make(commonName: String, validity: ClosedRange<Int64>) throws -> TLSIdentity {
        let key = P256.Signing.PrivateKey()
        let name = try DistinguishedName { CommonName(commonName) }
        let certificate = try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date(timeIntervalSince1970: TimeInterval(validity.lowerBound)),
            notValidAfter: Date(timeIntervalSince1970: TimeInterval(validity.upperBound)),
            issuer: name,
            subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
            },
            issuerPrivateKey: Certificate.PrivateKey(key)
        )
        return try TLSIdentity(
            certificatePEM: certificate.serializeAsPEM().pemString + "\n",
            keyPEM: key.pemRepresentation + "\n"
        )
    }

    private static func pin(of key: Certificate.PublicKey) -> PublicKeyPin {
        var serializer = DER.Serializer()
        do {
            try serializer.serialize(key)
        } catch {
            preconditionFailure("a public key that was parsed does not serialise: \(error)")
        }
        return PublicKeyPin(sha256: SHA256.hash(data: serializer.serializedBytes))!
    }
}

extension TLSIdentity: CustomStringConvertible, CustomDebugStringConvertible {
    /// Without the key, wherever the value is printed.
    package var description: String { "TLSIdentity(\(pin))" }
    package var debugDescription: String { description }
}

/// Why PEM texts are no identity.
package enum TLSIdentityError: Error, Hashable, Sendable {
    case unreadableCertificate
    case unreadableKey
    case keyOfAnotherCertificate
}

extension TLSIdentityError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreadableCertificate: "the TLS certificate is not readable PEM"
        case .unreadableKey: "the TLS private key is not readable PEM"
        case .keyOfAnotherCertificate: "the TLS private key does not belong to the certificate"
        }
    }
}
