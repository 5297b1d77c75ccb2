// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

/// A JSON document that keeps the order of its members and every byte of its texts.
enum JSON {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A number as it is to be written.
    case number(String)
    case text(String)
    case array([JSON])
    case object([(String, JSON)])

    init(_ text: String?) { self = text.map { .text($0) } ?? .null }

    init(_ text: ExactText?) { self = text.map { .text($0.string) } ?? .null }

    init(_ number: Int?) { self = number.map { .integer(Int64($0)) } ?? .null }

    init(_ id: some Identifier) { self = .text(id.description) }

    init(_ value: Value) {
        self =
            switch value {
            case .null: .null
            case .text(let text): .text(text.string)
            case .integer(let number): .integer(number)
            case .bytes(let bytes): .text(Hex.encode(bytes))
            }
    }

    /// The document and a line end.
    var line: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        out.append(10)
        return out
    }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .integer(let number): out += String(number).utf8
        case .number(let text): out += text.utf8
        case .text(let text): Self.write(text, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                element.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let members):
            out.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                Self.write(member.0, to: &out)
                out.append(UInt8(ascii: ":"))
                member.1.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// Only what JSON requires is escaped; everything else leaves as it is stored.
    private static func write(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 10: out += "\\n".utf8
            case 13: out += "\\r".utf8
            case 9: out += "\\t".utf8
            case 0..<32: out += ("\\u00" + Hex.encode([byte])).utf8
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
