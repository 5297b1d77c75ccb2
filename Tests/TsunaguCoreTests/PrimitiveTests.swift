// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore

/// Numbers, texts and names as bytes.
@Suite struct PrimitiveTests {
    private func read<R>(
        _ bytes: [UInt8],
        _ body: (inout ByteReader) throws(CodecError) -> R
    ) throws(CodecError) -> R {
        try bytes.withMemory { memory throws(CodecError) -> R in
            var reader = ByteReader(memory)
            let out = try body(&reader)
            try reader.expectEnd()
            return out
        }
    }

    @Test func everyNumberHasOneSpelling() throws {
        var generator = SeededGenerator(seed: 1)
        var numbers: [UInt64] = [0, 1, 127, 128, 16_383, 16_384, 1 << 32, 1 << 63, .max, .max - 1]
        for shift in 0..<64 as Range<UInt64> { numbers.append(generator.next() >> shift) }
        for number in numbers {
            var bytes: [UInt8] = []
            bytes.appendVarint(number)
            #expect(try read(bytes) { reader throws(CodecError) in try reader.varint() } == number)
            // The same number with a group of zero bits more.
            var longer = bytes
            longer[longer.count - 1] |= 0x80
            longer.append(0)
            #expect(throws: CodecError.malformedNumber) {
                try read(longer) { reader throws(CodecError) in try reader.varint() }
            }
            for length in 0..<bytes.count {
                #expect(throws: CodecError.truncated) {
                    try read(Array(bytes.prefix(length))) { reader throws(CodecError) in try reader.varint() }
                }
            }
        }
        // Sixty-five bits, and bits without end.
        let nines = [UInt8](repeating: 0xff, count: 9)
        for tail in [[2], [0x7f], [0x81, 0], [0x80, 1], [0xff, 0xff, 1]] as [[UInt8]] {
            #expect(throws: CodecError.malformedNumber) {
                try read(nines + tail) { reader throws(CodecError) in try reader.varint() }
            }
        }
        #expect(try read(nines + [1]) { reader throws(CodecError) in try reader.varint() } == .max)
    }

    @Test func signedNumbersComeBack() throws {
        for number in [0, -1, 1, 63, -64, 64, .min, .max] as [Int64] {
            var bytes: [UInt8] = []
            bytes.appendZigzag(number)
            #expect(try read(bytes) { reader throws(CodecError) in try reader.zigzag() } == number)
            if (-64...63).contains(number) { #expect(bytes.count == 1) }
        }
    }

    @Test func boundsAreNamedWithTheValueFound() {
        #expect(throws: CodecError.tooLarge(what: "things", found: 300, bound: 299)) {
            try read([0xac, 2]) { reader throws(CodecError) in try reader.varint("things", atMost: 299) }
        }
        #expect(throws: CodecError.tooLarge(what: "text", found: 5, bound: 4)) {
            try read([5, 0, 0, 0, 0, 0]) { reader throws(CodecError) in try reader.text("text", atMost: 4) }
        }
        #expect(throws: CodecError.truncated) {
            try read([5, 0]) { reader throws(CodecError) in try reader.prefixed("bytes", atMost: 9).count }
        }
        #expect(throws: CodecError.trailingBytes(2)) {
            try read([1, 2, 3]) { reader throws(CodecError) in try reader.byte() }
        }
        #expect(throws: CodecError.invalid("text is not UTF-8")) {
            try read([2, 0xc3, 0x28]) { reader throws(CodecError) in try reader.text("text", atMost: 4) }
        }
        #expect(throws: CodecError.truncated) { try read([]) { reader throws(CodecError) in try reader.uint64() } }
    }

    @Test func hexIsLowercaseAndReadInEitherCase() {
        #expect(Hex.encode([0, 0x1f, 0xff]) == "001fff")
        #expect(Hex.decode("001FfF") == [0, 0x1f, 0xff])
        #expect(Hex.decode("") == [])
        for text in ["0", "0g", "0x00", " 00", "００", "00 "] { #expect(Hex.decode(text) == nil, "'\(text)'") }
    }

    @Test func base32HasOneSpellingForEveryBytes() {
        // RFC 4648, section 10, in lowercase without padding.
        for (text, code) in [
            ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"),
            ("foobar", "mzxw6ytboi"),
        ] {
            #expect(Base32.encode(Array(text.utf8)) == code)
            #expect(Base32.decode(code) == Array(text.utf8))
            #expect(Base32.decode(code.uppercased()) == Array(text.utf8))
        }
        var generator = SeededGenerator(seed: 2)
        for length in 0..<60 {
            let bytes = generator.bytes(length)
            #expect(Base32.decode(Base32.encode(bytes)) == bytes)
        }
        // Left-over bits that are not zero, a length that no bytes have, characters outside the alphabet.
        for code in ["mz", "mzxr", "a", "abc", "abcdef", "m0", "m1", "m8", "my=", "m y", "ｍy"] {
            #expect(Base32.decode(code) == nil, "'\(code)'")
        }
    }

    @Test func spacesHaveNamesOfOneForm() {
        let good = [
            "system", "residents", "residents/protected", "lessons/kudan-3", "a", "-",
            String(repeating: "a", count: 32),
        ]
        for name in good { #expect(SpaceID(name)?.name == name) }
        let bad = [
            "", "/", "a/", "/a", "a/b/c", "A", "a b", "a_b", "あ", "a.b", "../a", "a//b", "a\0", "ａ",
            String(repeating: "a", count: 33), "e\u{301}",
        ]
        for name in bad { #expect(SpaceID(name) == nil, "'\(name)'") }
        var bytes: [UInt8] = []
        bytes.appendPrefixed(Array("A".utf8))
        #expect(throws: CodecError.invalid("'A' is no space's name")) {
            try read(bytes) { reader throws(CodecError) in try reader.space() }
        }
    }

    @Test func aPatternCoversNoMoreThanItSays() throws {
        let protected = try #require(SpaceID("residents/protected"))
        let residents = try #require(SpaceID("residents"))
        #expect(residents.matches("residents") && !protected.matches("residents"))
        #expect(protected.matches("residents/*") && !residents.matches("residents/*"))
        #expect(!SpaceID("residents2")!.matches("residents/*"))
        for pattern in ["", "*/*", "/*", "resident*", "RESIDENTS", "residents/"] {
            #expect(!residents.matches(pattern) && !protected.matches(pattern), "'\(pattern)'")
        }
        #expect(residents.matches("*") && SpaceID.system.matches("*"))
    }

    @Test func identifiersKeepTheirBytesAndOrderByThem() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            let (a, b) = (generator.bytes(24), generator.bytes(24))
            let (first, second) = (try #require(ReplicaID(bytes: a)), try #require(ReplicaID(bytes: b)))
            #expect(first.bytes == a)
            #expect((first < second) == a.lexicographicallyPrecedes(b))
            let (x, y) = (try #require(RecordID(bytes: a.prefix(16))), try #require(RecordID(bytes: b.prefix(16))))
            #expect(x.bytes == Array(a.prefix(16)))
            #expect((x < y) == a.prefix(16).lexicographicallyPrecedes(b.prefix(16)))
            #expect(RecordID(hex: x.description) == x)
        }
        #expect(DeviceID(bytes: [UInt8](repeating: 0, count: 15)) == nil)
        #expect(ReplicaID(bytes: [UInt8](repeating: 0, count: 16)) == nil)
        #expect(RecordID(hex: "00") == nil)
    }

    @Test func derivedRecordsDependOnEveryPartAndItsLength() {
        let names =
            [[[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3]], [[1, 2, 3], []], [[], [1, 2, 3]]] as [[[UInt8]]]
        #expect(Set(names.map { RecordID(derivedFrom: $0) }).count == names.count)
        #expect(RecordID(derivedFrom: names[0]) == RecordID(derivedFrom: names[0]))
    }

    @Test func textIsWhatItsBytesAre() {
        let (typed, unified) = (ExactText("\u{FA19}"), ExactText("\u{795E}"))
        #expect(typed.string == unified.string, "Swift's own equality, which must not be used")
        #expect(typed != unified)
        #expect(Set([typed, unified]).count == 2)
        #expect(Value.text(typed) != .text(unified))
        #expect(unified < typed && !(typed < unified))
        #expect(ExactText("か\u{3099}") != ExactText("が"))
        #expect(ExactText(validating: [0xed, 0xa0, 0x80]) == nil)
        #expect(ExactText("辻\u{E0100}").utf8.count == 7)
        #expect(ExactText("あいう").prefix(bytes: 7) == "あい")
        #expect(ExactText("あいう").prefix(bytes: 9) == "あいう")
        #expect(ExactText("あ").prefix(bytes: 2) == "")
    }

    @Test func zstdGivesBackWhatWentInAndNothingElse() throws {
        var generator = SeededGenerator(seed: 4)
        for length in [0, 1, 100, 70_000] {
            let bytes = (0..<length).map { _ in UInt8(generator.below(4)) }
            let packed = Zstd.compress(bytes)
            func unpack(_ packed: [UInt8], _ size: Int) throws(CodecError) -> [UInt8] {
                try packed.withMemory { memory throws(CodecError) in try Zstd.decompress(memory, size: size) }
            }
            #expect(try unpack(packed, length) == bytes)
            #expect(throws: CodecError.self) { try unpack(packed, length + 1) }
            if length > 0 { #expect(throws: CodecError.self) { try unpack(packed, length - 1) } }
            #expect(throws: CodecError.self) { try unpack(Array(packed.dropLast()), length) }
            #expect(throws: CodecError.self) { try unpack(packed + [7], length) }
            if length > 0 { #expect(throws: CodecError.self) { try unpack([], length) } }
        }
    }
}
