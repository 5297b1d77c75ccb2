// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A value of a JSON document (RFC 8259) with the line it stands on, so that an editor finds what is wrong with it.
///
/// Texts keep their bytes and members their order. Ordinary decoders do neither: they take 神 (U+FA19) and 神 (U+795E)
/// for one key, and the last of two members of one name for both.
struct JSONNode: Sendable {
    enum Content: Sendable {
        case object([Member])
        case array([JSONNode])
        case text(String)
        case bool(Bool)
        case null
        /// A number, which no file of ours has: read so that the fault can be named where it stands.
        case number
    }

    struct Member: Sendable {
        let name: String
        let line: Int
        let value: JSONNode
    }

    /// What is no JSON, and where.
    struct SyntaxError: Error, Hashable {
        let line: Int
        /// From 1, in bytes.
        let column: Int
    }

    /// From 1.
    let line: Int
    let content: Content

    /// Reads a whole document; a byte order mark at its start is dropped.
    init(parsing bytes: [UInt8]) throws(SyntaxError) {
        var parser = Parser(bytes: bytes)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { parser.position = 3 }
        self = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error }
    }

    private init(line: Int, _ content: Content) {
        self.line = line
        self.content = content
    }

    private struct Parser {
        let bytes: [UInt8]
        var position = 0
        private var line = 1
        private var lineStart = 0

        /// Deeper documents are refused, so that one cannot exhaust the stack.
        private static let depthMax = 32

        init(bytes: [UInt8]) { self.bytes = bytes }

        var error: SyntaxError { SyntaxError(line: line, column: position - lineStart + 1) }

        private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

        mutating func skipSpace() {
            while let byte = next, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D {
                position += 1
                if byte == 0x0A {
                    line += 1
                    lineStart = position
                }
            }
        }

        mutating func value(depth: Int) throws(SyntaxError) -> JSONNode {
            skipSpace()
            guard depth < Self.depthMax, let byte = next else { throw error }
            let start = line
            let content: Content =
                switch byte {
                case UInt8(ascii: "{"): .object(try members(depth))
                case UInt8(ascii: "["): .array(try elements(depth))
                case UInt8(ascii: "\""): .text(try text())
                case UInt8(ascii: "t"): .bool(try word("true", true))
                case UInt8(ascii: "f"): .bool(try word("false", false))
                case UInt8(ascii: "n"): try word("null", .null)
                default: try number()
                }
            return JSONNode(line: start, content)
        }

        private mutating func word<T>(_ word: StaticString, _ meaning: T) throws(SyntaxError) -> T {
            let length = word.utf8CodeUnitCount
            guard bytes[position...].starts(with: UnsafeBufferPointer(start: word.utf8Start, count: length)) else {
                throw error
            }
            position += length
            return meaning
        }

        private mutating func take(_ byte: Unicode.Scalar) -> Bool {
            skipSpace()
            guard next == UInt8(ascii: byte) else { return false }
            position += 1
            return true
        }

        private mutating func members(_ depth: Int) throws(SyntaxError) -> [Member] {
            position += 1
            if take("}") { return [] }
            var out: [Member] = []
            repeat {
                skipSpace()
                guard next == UInt8(ascii: "\"") else { throw error }
                let start = line
                let name = try text()
                guard take(":") else { throw error }
                out.append(Member(name: name, line: start, value: try value(depth: depth + 1)))
            } while take(",")
            guard take("}") else { throw error }
            return out
        }

        private mutating func elements(_ depth: Int) throws(SyntaxError) -> [JSONNode] {
            position += 1
            if take("]") { return [] }
            var out: [JSONNode] = []
            repeat { out.append(try value(depth: depth + 1)) } while take(",")
            guard take("]") else { throw error }
            return out
        }

        private mutating func text() throws(SyntaxError) -> String {
            position += 1
            var out: [UInt8] = []
            while let byte = next, byte != UInt8(ascii: "\"") {
                guard byte >= 0x20 else { throw error }
                if byte == UInt8(ascii: "\\") {
                    out += try escape().utf8
                } else {
                    out.append(byte)
                    position += 1
                }
            }
            guard next != nil, let text = String(validating: out, as: UTF8.self) else { throw error }
            position += 1
            return text
        }

        private mutating func escape() throws(SyntaxError) -> String {
            position += 1
            guard let byte = next else { throw error }
            position += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return String(Unicode.Scalar(byte))
            case UInt8(ascii: "b"): return "\u{8}"
            case UInt8(ascii: "f"): return "\u{C}"
            case UInt8(ascii: "n"): return "\n"
            case UInt8(ascii: "r"): return "\r"
            case UInt8(ascii: "t"): return "\t"
            case UInt8(ascii: "u"):
                var units = [try codeUnit()]
                if UTF16.isLeadSurrogate(units[0]), bytes[position...].starts(with: "\\u".utf8) {
                    position += 2
                    units.append(try codeUnit())
                }
                guard let text = String(validating: units, as: UTF16.self) else { throw error }
                return text
            default: throw error
            }
        }

        private mutating func codeUnit() throws(SyntaxError) -> UInt16 {
            let digits = bytes[position...].prefix(4)
            guard digits.count == 4, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
                let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
            else { throw error }
            position += 4
            return unit
        }

        private mutating func number() throws(SyntaxError) -> Content {
            if next == UInt8(ascii: "-") { position += 1 }
            guard let first = next, 48...57 ~= first else { throw error }
            // How it goes on does not matter: a number is refused whatever it says.
            while let byte = next, 48...57 ~= byte || "+-.eE".utf8.contains(byte) { position += 1 }
            return .number
        }
    }
}
