// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCarriers

struct TLSIdentityTests {
    @Test("What was made is read back from its PEM, pin and all")
    func roundTrip() throws {
        let made = try TLSIdentity.forTests()
        let read = try TLSIdentity(certificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
        #expect(read == made)
        #expect(made.keyPEM.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        #expect(made.keyPEM.hasSuffix("-----END PRIVATE KEY-----\n"))
        #expect(made.certificatePEM.hasSuffix("-----END CERTIFICATE-----\n"))
    }

    @Test("Two identities never share a pin")
    func distinctPins() throws {
        #expect(try TLSIdentity.forTests().pin != TLSIdentity.forTests().pin)
    }

    @Test("The leaf of a chain gives the pin")
    func chain() throws {
        let leaf = try TLSIdentity.forTests()
        let other = try TLSIdentity.forTests()
        let read = try TLSIdentity(certificatePEM: leaf.certificatePEM + other.certificatePEM, keyPEM: leaf.keyPEM)
        #expect(read.pin == leaf.pin)
    }

    @Test("The pin is the one that a certificate made elsewhere is known to have")
    func knownPin() throws {
        // openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64
        let identity = try TLSIdentity(certificatePEM: knownCertificate, keyPEM: knownKey)
        #expect(identity.pin.description == "sha256//8/ghADoPjNCjYdu+y2TlDzqfyRyooYl0rdfGAqt/zEI=")
    }

    @Test("A key that belongs to another certificate is refused, and so is what is no PEM")
    func mismatches() throws {
        let one = try TLSIdentity.forTests()
        let two = try TLSIdentity.forTests()
        #expect(throws: TLSIdentityError.keyOfAnotherCertificate) {
            try TLSIdentity(certificatePEM: one.certificatePEM, keyPEM: two.keyPEM)
        }
        #expect(throws: TLSIdentityError.unreadableCertificate) {
            try TLSIdentity(certificatePEM: one.keyPEM, keyPEM: one.keyPEM)
        }
        #expect(throws: TLSIdentityError.unreadableCertificate) {
            try TLSIdentity(certificatePEM: "", keyPEM: one.keyPEM)
        }
        #expect(throws: TLSIdentityError.unreadableKey) {
            try TLSIdentity(certificatePEM: one.certificatePEM, keyPEM: one.certificatePEM)
        }
    }

    @Test("Printing an identity does not print its key")
    func printing() throws {
        let identity = try TLSIdentity.forTests()
        #expect(!"\(identity) \(String(reflecting: identity))".contains("PRIVATE"))
    }

    @Test("A pin has 32 bytes")
    func pinLength() {
        #expect(PublicKeyPin(sha256: [UInt8](repeating: 0, count: 31)) == nil)
        #expect(PublicKeyPin(sha256: [UInt8](repeating: 0, count: 33)) == nil)
        let pin = PublicKeyPin(sha256: [UInt8](repeating: 0, count: 32))
        #expect(pin?.description == "sha256//" + String(repeating: "A", count: 43) + "=")
    }
}

// Made with openssl, for these tests only.
private let knownCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBdDCCARugAwIBAgIULCw3wz7J+Hg7LuPde3xV/C6lJdcwCgYIKoZIzj0EAwIw
    EDEOMAwGA1UEAwwFa25vd24wHhcNMjYxMTI1MDMzNTQ2WhcNMjYxMTI2MDMzNTQ2
    WjAQMQ4wDAYDVQQDDAVrbm93bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABILh
    VRmI12r+eohrC5HkHbLYR0N67ueOSK6PesDcAr9LKvBynrSoo2hH7719rnuADMZH
    o9anVc6fGlJrebF0xKCjUzBRMB0GA1UdDgQWBBTYQwwxZ2Jo/HSFwvSZG99leqlo
    6DAfBgNVHSMEGDAWgBTYQwwxZ2Jo/HSFwvSZG99leqlo6DAPBgNVHRMBAf8EBTAD
    AQH/MAoGCCqGSM49BAMCA0cAMEQCIBvXKt2W9GrjnkshwJDPoHxLiddlQVk9X04v
    QUWolj5/AiAdhb4Qm/Y+KZKcVp1tY6Y++3A0UWlT1NfwJFyTwTdHNg==
    -----END CERTIFICATE-----
    """

private let knownKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg4Ef2TUwBsCOzpx8y
    VY65km+wpn8FaKHmkbdmyzTtntChRANCAASC4VUZiNdq/nqIawuR5B2y2EdDeu7n
    jkiuj3rA3AK/Syrwcp60qKNoR++9fa57gAzGR6PWp1XOnxpSa3mxdMSg
    -----END PRIVATE KEY-----
    """
