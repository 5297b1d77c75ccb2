// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One step of a `flow`: from a state to another, with a reason, and the steps that it answers.
package struct Transition: Hashable, Sendable {
    package var from: ExactText
    package var to: ExactText
    package var reason: ExactText
    /// The changes whose steps its author saw standing and ends, at most `answersMax`.
    ///
    /// A cancellation that had not seen a booking does not undo it, whatever their clocks say.
    package var answers: [Dot]

    package static let answersMax = 1024

    package init(from: ExactText, to: ExactText, reason: ExactText, answers: [Dot] = []) {
        self.from = from
        self.to = to
        self.reason = reason
        self.answers = answers
    }

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        for text in [from, to, reason] { out.appendPrefixed(Array(text.utf8)) }
        out.appendVarint(UInt64(answers.count))
        for dot in answers {
            out.append(dot.replica)
            out.appendVarint(dot.seq)
        }
        return out
    }

    /// `nil` for a transition of a newer version: it is kept, and moves nothing here.
    package init?(_ bytes: [UInt8]) {
        let read = try? bytes.withMemory { memory throws(CodecError) -> ([ExactText], [Dot]) in
            var reader = ByteReader(memory)
            var texts: [ExactText] = []
            for _ in 0..<3 { texts.append(try reader.text("transition", atMost: 65_536)) }
            var answers: [Dot] = []
            for _ in 0..<(try reader.varint("answers", atMost: UInt64(Self.answersMax))) {
                answers.append(Dot(try reader.replica(), try reader.varint()))
            }
            try reader.expectEnd()
            return (texts, answers)
        }
        guard let (texts, answers) = read else { return nil }
        (from, to, reason) = (texts[0], texts[1], texts[2])
        self.answers = answers
    }
}
