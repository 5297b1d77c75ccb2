// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a device is told whose rights ended: how far its own chains are held at the peer, and the peer's own, under the
/// peer's signature.
///
/// It is the receipt for what the device handed in, and all that it gets.
package struct Farewell: Hashable, Sendable {
    /// Why the device goes.
    package var mode: Revocation.Mode
    /// The last number held of each of its chains and of the peer's, with half of the hash there.
    package var holds: Revocation.Cut
    /// The peer's signature over `message(to:)`, 64 bytes.
    package var signature: [UInt8]

    private static let chainsMax: UInt64 = 65_536

    package init(mode: Revocation.Mode, holds: Revocation.Cut, signature: [UInt8]) {
        self.mode = mode
        self.holds = holds
        self.signature = signature
    }

    /// Signs what is said to a device.
    package init(
        to client: DeviceID,
        mode: Revocation.Mode,
        holds: Revocation.Cut,
        sign: ([UInt8]) throws -> [UInt8]
    ) rethrows {
        self.init(mode: mode, holds: holds, signature: [])
        signature = try sign(message(to: client))
    }

    /// What the signature is over.
    package func message(to client: DeviceID) -> [UInt8] {
        Array("tsunagu/farewell/1".utf8) + client.bytes + content
    }

    private var content: [UInt8] {
        var out: [UInt8] = [mode == .lost ? 0 : 1]
        let chains = holds.last.sorted { $0.key < $1.key }.flatMap { space, chains in
            chains.sorted { $0.key < $1.key }.map { (space, $0.key, $0.value, holds.hashes[space]?[$0.key]) }
        }
        out.appendVarint(UInt64(chains.count))
        for (space, replica, seq, hash) in chains {
            out.appendPrefixed(Array(space.name.utf8))
            out.append(replica)
            out.appendVarint(seq)
            out.append(hash ?? Bytes16(0))
        }
        return out
    }

    var encoded: [UInt8] { content + signature }

    init(decoding reader: inout ByteReader) throws(CodecError) {
        let mode: Revocation.Mode
        switch try reader.byte() {
        case 0: mode = .lost
        case 1: mode = .retired
        case let code: throw .invalid("mode \(code)")
        }
        var holds = Revocation.Cut()
        for _ in 0..<(try reader.varint("chains", atMost: Self.chainsMax)) {
            let (space, replica) = (try reader.space(), try reader.replica())
            holds.last[space, default: [:]][replica] = UInt64(try reader.varint("number", atMost: Chain.seqMax))
            holds.hashes[space, default: [:]][replica] = try reader.bytes16()
        }
        self.init(mode: mode, holds: holds, signature: Array(try reader.bytes(64)))
    }
}
