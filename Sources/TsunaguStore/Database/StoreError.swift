// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Why the store did not do something; nothing of it was half done.
package enum StoreError: Error {
    /// There is no database at the path.
    case missing(path: String)
    /// There is one already.
    case exists(path: String)
    /// The file is no Tsunagu database, is cut short or is damaged.
    case unusable(path: String, reason: String)
    /// A newer program made it.
    case tooNew(path: String, version: Int)
    /// The disk refused: full, read-only, out of descriptors.
    case disk(String)
    /// Another process holds the database for too long.
    case busy
    /// What this store's own log says cannot be read.
    case damagedLog(space: SpaceID, replica: ReplicaID, seq: UInt64, CodecError)
    /// The state machine of a flow has no step to the state from where the record stands.
    case noSuchStep(group: String, to: ExactText)
    /// This device's rights have ended: it writes nothing more.
    case revoked
    /// A transaction is larger than one change may be.
    case changeTooLarge(bytes: Int)
}
