// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// Erases what is held of a resident, here and at every site that holds the record, from tables and logs alike.
    ///
    /// It is final: what somebody writes on the record without knowing is erased as it arrives.
    ///
    /// - Throws: 77 unless this device is an admin's and may write the space.
    package func eraseResident(_ name: String, reason: String) throws -> ActOnPerson {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            try transaction.requireAdmin(self)
            let row = try transaction.resident(name, self)
            try transaction.requireWrite(self, row.space)
            let bookings = try transaction.bookings(of: row.id)
            try transaction.erase(row, reason: reason, by: self)
            try transaction.flushDrafts()
            return ActOnPerson(id: row.id, bookings: bookings)
        }
    }
}

extension StoreTransaction {
    /// Erases a resident, and what hangs on the record in its own space.
    fileprivate func erase(_ row: StoredRecord, reason: ExactText, by site: Site) throws {
        try flushDrafts()
        let draft = try draft(row.space, by: site.person)
        draft.reason = reason
        try draft.erase(WardSchema.resident, row.id)
        for (record, _) in try carriedNotes(of: row.id) { try draft.erase(WardSchema.carriedNote, record) }
        for collection in [WardSchema.bookingLink, WardSchema.pendingEdit] {
            for hanging in try records(collection, where: "resident = ?", [.text(row.id.description)])
            where hanging.space == row.space {
                try draft.erase(collection, hanging.id)
            }
        }
        guard row.space == .protectedResidents, let protection = try protection(of: row.id) else { return }
        // There is nobody left to ask the ward office for.
        try draft.delete(WardSchema.protection, protection.file, reason: "")
        try removeMarks(of: protection, by: site)
    }
}
