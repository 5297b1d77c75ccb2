// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Text as it was typed, compared, hashed and ordered by its UTF-8 bytes.
///
/// Swift's own `String` equality is canonical equivalence: it calls U+FA19 and U+795E the same, so two sites would keep
/// different bytes under one digest, and a clerk's correction of a character form would vanish as "no change".
public struct ExactText: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The text.
    ///
    /// Compare the `ExactText`, never this.
    public let string: String

    /// Wraps text; its bytes stay as they are.
    public init(_ string: some StringProtocol) { self.string = String(string) }

    /// Reads the form that the type prints.
    public init(stringLiteral value: String) { self.string = value }

    /// Checks that the bytes are UTF-8; `nil` where they are not.
    public init?(validating bytes: some Collection<UInt8>) {
        guard let string = String(validating: bytes, as: UTF8.self) else { return nil }
        self.string = string
    }

    /// What people and logs read.
    public var description: String { string }

    /// The UTF-8 bytes.
    public var utf8: String.UTF8View { string.utf8 }

    /// The code points that fit in so many bytes.
    package func prefix(bytes: Int) -> ExactText {
        var room = bytes
        var scalars = String.UnicodeScalarView()
        for scalar in string.unicodeScalars {
            room -= UTF8.width(scalar)
            guard room >= 0 else { break }
            scalars.append(scalar)
        }
        return ExactText(String(scalars))
    }

    /// Byte for byte.
    public static func == (a: ExactText, b: ExactText) -> Bool {
        a.string.utf8.count == b.string.utf8.count && a.string.utf8.elementsEqual(b.string.utf8)
    }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) {
        var string = string
        string.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    /// Whether one comes before the other, by bytes.
    public static func < (a: ExactText, b: ExactText) -> Bool { a.string.utf8.lexicographicallyPrecedes(b.string.utf8) }
}

/// What a field holds.
public enum Value: Hashable, Sendable {
    /// Emptied by a person; not the same as never written.
    case null
    /// Text as it was typed.
    case text(ExactText)
    /// A whole number.
    case integer(Int64)
    /// Bytes.
    case bytes([UInt8])

    /// Text of a string's exact bytes.
    public static func text(_ string: String) -> Value { .text(ExactText(string)) }

    /// The text, where it is text.
    public var text: ExactText? { if case .text(let text) = self { text } else { nil } }

    /// The number, where it is one.
    public var integer: Int64? { if case .integer(let number) = self { number } else { nil } }
}
