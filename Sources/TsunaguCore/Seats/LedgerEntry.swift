// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// An entry of a session's ledger of rights.
///
/// All but `offer`, `join` and `succeed` are the owner's; from anybody else they count for nothing.
package enum LedgerEntry: Hashable, Sendable {
    /// The first entry: its author owns the ledger.
    case open
    /// The owner makes so many rights, which it holds itself.
    case mint(Int)
    /// The owner gives a holder so many of its own.
    case grant(ReplicaID, Int)
    /// The owner takes so many of the rights back that a holder offered with a change.
    case takeBack(Dot, Int)
    /// The owner unmakes so many of its own.
    case retire(Int)
    /// The owner takes so many rights of a holder that is no more, whose changes count up to its ends from then on.
    case reclaim(ReplicaID, ends: ChainEnds, Int)
    /// The owner's last: who keeps the ledger from here on.
    case pass(ReplicaID)
    /// Whoever follows an owner that is no more, whose entries count up to its ends.
    case succeed(ReplicaID, ends: ChainEnds)
    /// A holder spends so many of its rights no more: the owner may take them back.
    case offer(Int)
    /// The author takes part, has seen what stands before, and knows where its device's former replicas ended.
    case join(former: ChainEnds)

    /// The last number of each of some chains.
    package typealias ChainEnds = [ReplicaID: UInt64]

    /// Rights that one entry may move; a capacity is far below.
    package static let amountMax: UInt64 = 100_000
    /// Chains that one entry may name: a replica and the branches of its fork.
    package static let endsMax: UInt64 = 64

    package var encoded: [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .open: out.append(1)
        case .mint(let amount): out.append(2, amount)
        case .grant(let holder, let amount):
            out.append(3, amount)
            out.append(holder)
        case .takeBack(let offer, let amount):
            out.append(4, amount)
            out.append(offer.replica)
            out.appendVarint(offer.seq)
        case .retire(let amount): out.append(5, amount)
        case .reclaim(let holder, let ends, let amount):
            out.append(6, amount)
            out.append(holder)
            out.append(ends)
        case .pass(let heir):
            out.append(7)
            out.append(heir)
        case .succeed(let owner, let ends):
            out.append(8)
            out.append(owner)
            out.append(ends)
        case .offer(let amount): out.append(9, amount)
        case .join(let former):
            out.append(10)
            out.append(former)
        }
        return out
    }

    /// `nil` for an entry of a newer version: it is kept, and counts for nothing here.
    package init?(_ bytes: [UInt8]) {
        guard
            let entry = try? bytes.withMemory({ memory throws(CodecError) -> LedgerEntry? in
                var reader = ByteReader(memory)
                let entry = try Self.read(&reader)
                try reader.expectEnd()
                return entry
            })
        else { return nil }
        self = entry
    }

    private static func read(_ reader: inout ByteReader) throws(CodecError) -> LedgerEntry? {
        switch try reader.byte() {
        case 1: return .open
        case 2: return .mint(try reader.rights())
        case 3:
            let amount = try reader.rights()
            return .grant(try reader.replica(), amount)
        case 4:
            let amount = try reader.rights()
            return .takeBack(Dot(try reader.replica(), try reader.varint()), amount)
        case 5: return .retire(try reader.rights())
        case 6:
            let amount = try reader.rights()
            return .reclaim(try reader.replica(), ends: try reader.chainEnds(), amount)
        case 7: return .pass(try reader.replica())
        case 8: return .succeed(try reader.replica(), ends: try reader.chainEnds())
        case 9: return .offer(try reader.rights())
        case 10: return .join(former: try reader.chainEnds())
        default: return nil
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ kind: UInt8, _ amount: Int) {
        append(kind)
        appendVarint(UInt64(amount))
    }

    fileprivate mutating func append(_ ends: LedgerEntry.ChainEnds) {
        appendVarint(UInt64(ends.count))
        for (replica, seq) in ends.sorted(by: { $0.key < $1.key }) {
            append(replica)
            appendVarint(seq)
        }
    }
}

extension ByteReader {
    fileprivate mutating func rights() throws(CodecError) -> Int {
        try varint("rights", atMost: LedgerEntry.amountMax)
    }

    fileprivate mutating func chainEnds() throws(CodecError) -> LedgerEntry.ChainEnds {
        var out: LedgerEntry.ChainEnds = [:]
        var last: ReplicaID?
        for _ in 0..<(try varint("chains", atMost: LedgerEntry.endsMax)) {
            let replica = try replica()
            if let last, last >= replica { throw .invalid("chains out of order") }
            out[replica] = try varint()
            last = replica
        }
        return out
    }
}
