// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Why a person made a change, where he was asked: it stands among the header's extensions, as `tag ‖ length ‖ content`,
/// so an older program keeps it without knowing it.
extension ChangeHeader {
    private static let reasonTag: UInt64 = 1

    /// The reason; `nil` where none was given.
    package var reason: ExactText? {
        let found = try? extensions.withMemory { memory throws(CodecError) -> ExactText? in
            var reader = ByteReader(memory)
            while !reader.isAtEnd {
                let tag = try reader.varint()
                let content = try reader.prefixed("extension", atMost: 65_536)
                if tag == Self.reasonTag { return ExactText(validating: content) }
            }
            return nil
        }
        return found ?? nil
    }

    /// The extensions of a change with a reason.
    static func extensions(reason: ExactText?) -> [UInt8] {
        guard let reason else { return [] }
        var out: [UInt8] = []
        out.appendVarint(reasonTag)
        out.appendPrefixed(reason.utf8)
        return out
    }
}
