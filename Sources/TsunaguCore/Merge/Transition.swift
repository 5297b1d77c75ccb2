// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One step of a `flow`: from a state to another, with a reason.
package struct Transition: Hashable, Sendable {
    package var from: ExactText
    package var to: ExactText
    package var reason: ExactText

    package init(from: ExactText, to: ExactText, reason: ExactText) {
        self.from = from
        self.to = to
        self.reason = reason
    }

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        for text in [from, to, reason] { out.appendPrefixed(Array(text.utf8)) }
        return out
    }

    /// `nil` for a transition of a newer version: it is kept, and moves nothing here.
    package init?(_ bytes: [UInt8]) {
        let texts = try? bytes.withMemory { memory throws(CodecError) -> [ExactText] in
            var reader = ByteReader(memory)
            var out: [ExactText] = []
            for _ in 0..<3 { out.append(try reader.text("transition", atMost: 65_536)) }
            return out
        }
        guard let texts else { return nil }
        (from, to, reason) = (texts[0], texts[1], texts[2])
    }
}
