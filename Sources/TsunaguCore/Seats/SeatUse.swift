// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a holder did with a right for one booking.
package enum SeatUse: Hashable, Sendable {
    /// The author spends one of its rights: the booking is confirmed, without asking anybody.
    case spend
    /// The author takes a spending of its own back, or as the ledger's owner one of a holder that is no more: the right
    /// is free again.
    ///
    /// Where the booking was confirmed twice it names the spending that stays.
    case release(Dot, for: Dot? = nil)

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .spend: out.append(1)
        case .release(let dot, let survivor):
            out.append(survivor == nil ? 2 : 3)
            for dot in [dot] + (survivor.map { [$0] } ?? []) {
                out.append(dot.replica)
                out.appendVarint(dot.seq)
            }
        }
        return out
    }

    /// `nil` for a use of a newer version: it is kept, and counts for nothing here.
    package init?(_ bytes: [UInt8]) {
        guard
            let use = try? bytes.withMemory({ memory throws(CodecError) -> SeatUse? in
                var reader = ByteReader(memory)
                let kind = try reader.byte()
                if kind == 1 {
                    try reader.expectEnd()
                    return .spend
                }
                guard 2...3 ~= kind else { return nil }
                let dot = Dot(try reader.replica(), try reader.varint())
                let survivor = kind == 3 ? Dot(try reader.replica(), try reader.varint()) : nil
                try reader.expectEnd()
                return .release(dot, for: survivor)
            })
        else { return nil }
        self = use
    }
}
