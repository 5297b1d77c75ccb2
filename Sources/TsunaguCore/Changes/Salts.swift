// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto

/// Where the salts of the commitments come from: block → change → entry, each step a pseudo-random function, so that a
/// small change does not pay sixteen bytes an entry, and one entry can be erased by giving its siblings' salts.
///
/// The same call names new records: the second half of an entry's output is public, the first stays as secret as the
/// content. Names cost no bytes on disk or wire that way.
package struct Salts: Sendable {
    /// Thirty-two bytes; it stands in the log itself where the block's seed was given up.
    package let changeSeed: Hash32

    /// The salts of one change.
    ///
    /// The timestamp is in, so that two clones of a machine which share an open block give one name to two people only
    /// where both write in the same millisecond; then the names stand beside each other as a conflict.
    package init(blockSeed: Bytes16, seq: UInt64, timestamp: Timestamp) {
        var bytes: [UInt8] = Array("tsunagu/salts/1".utf8)
        bytes.append(blockSeed)
        bytes.appendUInt64(seq)
        bytes.appendUInt64(timestamp.raw)
        changeSeed = Array(SHA256.hash(data: bytes))
    }

    /// The salts of one change of a block whose seed was given up.
    package init(changeSeed: Hash32) { self.changeSeed = changeSeed }

    /// The salt of an entry, and the id that the entry gives to a record which it creates.
    package func entry(_ index: Int) -> (salt: Bytes16, id: RecordID) {
        var hash = SHA256()
        changeSeed.withUnsafeBytes { hash.update(bufferPointer: $0) }
        withUnsafeBytes(of: UInt64(index).bigEndian) { hash.update(bufferPointer: $0) }
        return hash.finalize().withUnsafeBytes {
            (Bytes16(loading: $0.baseAddress!), RecordID(Bytes16(loading: $0.baseAddress! + 16)))
        }
    }
}
