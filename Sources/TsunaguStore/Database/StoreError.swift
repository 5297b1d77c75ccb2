// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
package import TsunaguCore

#if canImport(Glibc)
    import Glibc
#endif

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
    /// What the file holds contradicts itself, or cannot be read.
    case damaged(String)
    /// The file cannot be opened or written: its path or its permissions.
    case inaccessible(path: String, reason: String)
    /// The disk refused: full, or failing.
    case disk(String)
    /// Another process holds the database for too long.
    case busy
    /// What this store's own log says cannot be read.
    case damagedLog(space: SpaceID, replica: ReplicaID, seq: UInt64, CodecError)
    /// The state machine of a flow has no step to the state from where the record stands.
    case noSuchStep(group: String, to: ExactText)
    /// This device's rights have ended: it writes nothing more.
    case revoked
    /// This device's role does not write the group of the collection; 0 is a record's life.
    case notWriter(collection: UInt32, group: UInt32)
    /// A transaction is larger than one change may be.
    case changeTooLarge(bytes: Int)
}

/// What the machine and SQLite say, in the store's terms; the only place where that is decided.
extension StoreError {
    /// What an error of the file system means.
    init(errno code: Int32, path: String) {
        switch code {
        case ENOENT: self = .missing(path: path)
        case EEXIST: self = .exists(path: path)
        case ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM: self = .disk("\(path): \(String(cString: strerror(code)))")
        default: self = .inaccessible(path: path, reason: String(cString: strerror(code)))
        }
    }

    /// What an error of SQLite means.
    init(_ error: DatabaseError, path: String) {
        let code = error.extendedResultCode.rawValue
        switch error.resultCode {
        case .SQLITE_NOTADB: self = .unusable(path: path, reason: "it is no SQLite database")
        case .SQLITE_BUSY, .SQLITE_LOCKED: self = .busy
        case .SQLITE_FULL: self = .disk("no space is left")
        case .SQLITE_IOERR, .SQLITE_NOMEM, .SQLITE_NOLFS: self = .disk("SQLite error \(code)")
        case .SQLITE_CANTOPEN: self = .inaccessible(path: path, reason: "SQLite error \(code)")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            self = .inaccessible(path: path, reason: "it cannot be written")
        default:
            // A page that cannot be read, a table or column that is gone, a key that is there twice.
            self = .damaged("SQLite error \(code)")
        }
    }
}
