// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

/// A stream of the process.
///
/// Text leaves as the bytes it has: nothing is normalised or re-coded.
struct Standard {
    let descriptor: Int32

    static let output = Standard(descriptor: STDOUT_FILENO)
    static let error = Standard(descriptor: STDERR_FILENO)

    var isTerminal: Bool { isatty(descriptor) == 1 }

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Whoever read went away: nothing more to say.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// Text for a terminal: what could steer it is shown, not sent.
enum Visible {
    static func text(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isHostile) else { return text }
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isHostile(scalar) {
                out.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
            } else {
                out.append(scalar)
            }
        }
        return String(out)
    }

    /// Control characters but tab and line end, and the marks that turn the direction of writing.
    private static func isHostile(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 9, 10: false
        case 0..<32, 127..<160, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}

extension GlobalOptions {
    /// Prints a command's answer: a document for programs, or text for people.
    func show(_ json: @autoclosure () -> JSON, _ text: () -> String) {
        if json_ { return Standard.output.write(json().line) }
        let text = text()
        if !text.isEmpty { Standard.output.write(Visible.text(text.utf8.last == 10 ? text : text + "\n")) }
    }

    /// Prints that something was done; nothing with `--quiet`.
    func confirm(_ json: @autoclosure () -> JSON, _ text: @autoclosure () -> String) {
        if json_ { return Standard.output.write(json().line) }
        if !quiet { Standard.output.write(Visible.text(text()) + "\n") }
    }

    /// Tells people beside the answer, on standard error, what they should know.
    func note(_ text: String) { Standard.error.write(tr("注意: ", "note: ") + Visible.text(text) + "\n") }

    /// Tells what a person should hear besides: that a log is not whole, or that a lesson is not today.
    func warn(of remark: Localized?) {
        if let remark { note(tr(remark)) }
    }

    /// Says something on the side, with `--verbose` alone.
    func remark(_ text: @autoclosure () -> String) {
        if verbose { Standard.error.write(Visible.text(text()) + "\n") }
    }

    private var json_: Bool { json }
}

/// A bar on a terminal, and nothing anywhere else.
final class Progress {
    private let isShown: Bool
    private let label: String
    private var shown = -1

    init(_ label: String, _ globals: GlobalOptions) {
        self.label = label
        isShown = Standard.error.isTerminal && !globals.quiet && !globals.json
    }

    func update(_ done: Int, of total: Int?) {
        guard isShown, let total, total > 0 else { return }
        let percent = min(100, done * 100 / total)
        guard percent != shown else { return }
        shown = percent
        let filled = percent / 5
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
        Standard.error.write("\r\(label) [\(bar)] \(percent)%")
    }

    func end() {
        if isShown, shown >= 0 { Standard.error.write("\r\u{1b}[K") }
    }
}
