// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// What was done to a person's record as a whole.
    package struct ActOnPerson: Sendable {
        /// The record that the person has from now on, in `residents/protected` or among the ordinary residents; the
        /// former one where nothing is left.
        package let id: RecordID
        /// Bookings whose lesson spaces were told the person's name: for the office to talk about.
        package let bookings: [RecordID]
        /// Whether the person was under protection before: then it was said again, which stands against a release that is not
        /// known here yet, and is on record.
        package var wasProtected = false
    }

    /// Puts a resident under protection (支援措置): from now on only devices with a grant for `residents/protected` hold
    /// the record, and everywhere else its values are erased.
    ///
    /// - Throws: 77 unless this device may write both spaces and is an admin's, since only an admin's erasure counts.
    package func protectResident(_ name: String, reason: String) throws -> ActOnPerson {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            try transaction.requireProtecting(self)
            let row = try transaction.resident(name, self)
            let wasProtected = try transaction.protection(of: row.id)?.stands == true
            let id = try transaction.protect(row, reason: reason, by: self)
            try transaction.flushDrafts()
            return ActOnPerson(id: id, bookings: try transaction.bookings(of: id), wasProtected: wasProtected)
        }
    }

    /// Ends a protection: the person gets a new ordinary record with the values of the protected one.
    ///
    /// - Throws: 75 while something of the person is undecided.
    package func unprotectResident(_ name: String, reason: String) throws -> ActOnPerson {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            try transaction.requireProtecting(self)
            let row = try transaction.resident(name, self)
            guard let protection = try transaction.protection(of: row.id), protection.stands else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "支援措置の住民ではありません: \(row.id)", en: "the resident \(row.id) is not protected"),
                    record: row.id.description,
                    hint: Localized(
                        ja: "tsunagu resident show で確かめてください。ほかの端末で解除された人なら、することはありません",
                        en:
                            "look at 'tsunagu resident show'; where another device released the person, there is nothing to do"
                    )
                )
            }
            try transaction.requireNothingOpen(row)
            let id = try transaction.release(protection, row, reason: reason, by: self)
            try transaction.flushDrafts()
            return ActOnPerson(id: id, bookings: try transaction.bookings(of: row.id))
        }
    }
}

extension StoreTransaction {
    fileprivate func requireProtecting(_ site: Site) throws {
        try requireWrite(site, .residents)
        try requireWrite(site, .protectedResidents)
        try requireAdmin(site)
        try requireProtectedSpace(site)
    }

    /// Makes sure that the protected residents are here; where all who held them are lost, they begin anew, or nobody could
    /// be protected any more.
    private func requireProtectedSpace(_ site: Site) throws {
        guard try !spaces().contains(.protectedResidents), let access = try currentAccess() else { return }
        // Whom this device has met since would have brought them.
        let holders = try access.grants.keys.filter {
            try $0 != site.keys.device && access.mayRead($0, .protectedResidents) && met($0) == nil
        }
        guard let holder = holders.min() else {
            try found(.protectedResidents, by: site.person)
            return try flushDrafts()
        }
        let name = try Places(self)[holder]?.site ?? ExactText(holder.short)
        throw CommandError(
            .notPermitted,
            Localized(
                ja: "支援措置の住民（\(SpaceID.protectedResidents)）が、この端末にまだ届いていません",
                en: "the protected residents, \(SpaceID.protectedResidents), have not come to this device yet"
            ),
            record: holder.description,
            hint: Localized(
                ja: "\(name) と同期してください。失われた拠点なら、site revoke で権限を終わらせてください",
                en: "sync with \(name); where that is lost, end its rights with 'site revoke'"
            )
        )
    }

    /// Fails with 75 where a release would leave something behind that a person is still to decide.
    fileprivate func requireNothingOpen(_ row: StoredRecord) throws {
        let open = try conflicts(rid: row.rid).map(\.id) + pendingEdits(of: row.id).map(\.id)
        guard let first = open.first else { return }
        throw CommandError(
            .tryAgain,
            Localized(ja: "\(first) を先に決めてください", en: "\(first) is still to be decided"),
            record: row.id.description,
            hint: Localized(
                ja: "tsunagu conflict resolve \(first) で決めてください",
                en: "decide it with 'tsunagu conflict resolve \(first)'"
            )
        )
    }
}
