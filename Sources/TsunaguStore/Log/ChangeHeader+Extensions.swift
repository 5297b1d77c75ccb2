// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a change says about where it comes from: it stands among the header's extensions, as `tag ‖ length ‖ content`
/// with ascending tags, so an older program keeps it without knowing it.
extension ChangeHeader {
    private enum Tag: UInt64 {
        case reason = 1
        case source = 2
    }

    /// Why a person made the change; `nil` where he was not asked.
    package var reason: ExactText? { text(.reason) }

    /// Who the rows of an import come from; `nil` where that was not said, and for what was typed here.
    package var source: ExactText? { text(.source) }

    private func text(_ wanted: Tag) -> ExactText? {
        let found = try? extensions.withMemory { memory throws(CodecError) -> ExactText? in
            var reader = ByteReader(memory)
            while !reader.isAtEnd {
                let tag = try reader.varint()
                let content = try reader.prefixed("extension", atMost: 65_536)
                if tag == wanted.rawValue { return ExactText(validating: content) }
            }
            return nil
        }
        return found ?? nil
    }

    /// The extensions of a change with a reason, with a source, with both or with neither.
    static func extensions(reason: ExactText?, source: ExactText?) -> [UInt8] {
        var out: [UInt8] = []
        for (tag, text) in [(Tag.reason, reason), (.source, source)] {
            guard let text else { continue }
            out.appendVarint(tag.rawValue)
            out.appendPrefixed(text.utf8)
        }
        return out
    }
}
