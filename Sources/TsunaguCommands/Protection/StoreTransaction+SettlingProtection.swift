// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// What the arrival of changes calls for where protected residents are held: done by whoever applies them, and the same
/// whoever does it.
extension StoreTransaction {
    /// Takes in edits that were sealed for this space, and brings back under protection what is found outside it.
    func settleProtection(by site: Site) throws {
        try keepWithdrawn(by: site)
        guard !appliedSpaces.isDisjoint(with: [.residents, .protectedResidents]), try showsProtected(site),
            let access = try currentAccess(), access.mayWrite(site.keys.device, .residents)
        else { return }
        try flushDrafts()
        try openSealedEdits(by: site, erases: access.isAdmin(site.keys.device))
        // Only an admin's erasure counts.
        guard access.isAdmin(site.keys.device) else { return }
        for protection in try protections() {
            if protection.stands {
                try bringBack(protection, by: site)
            } else {
                // One that was set again by somebody who did not know of the release.
                try removeMarks(of: protection, by: site)
            }
        }
        try flushDrafts()
    }

    /// Keeps edits that this site has to give up: in the protected space, or sealed for who holds it.
    private func keepWithdrawn(by site: Site) throws {
        let edits = withdrawn.filter { entry in
            entry.header.space == .residents && entry.shape.collection == WardSchema.resident.number
        }.map(PersonEdit.init)
        withdrawn = []
        guard let access = try currentAccess() else { return }
        for edit in edits {
            if try showsProtected(site) {
                try takeIn(edit, by: site)
            } else if access.mayWrite(site.keys.device, .residents) {
                try seal(edit, by: site)
            }
        }
        try flushDrafts()
    }

    private func openSealedEdits(by site: Site, erases: Bool) throws {
        let boxes = try records(WardSchema.sealedEdit)
        guard !boxes.isEmpty, let secret = try secret(of: .protectedResidents) else { return }
        let key = try PersonEdit.intakeKey(secret: secret)
        for box in boxes {
            guard let content = box.text("box").flatMap({ Hex.decode($0) }),
                let edit = PersonEdit(opening: content, with: key)
            else { continue }
            try takeIn(edit, by: site)
            if erases { try draft(.residents, by: site.person).erase(WardSchema.sealedEdit, box.id) }
        }
        try flushDrafts()
    }

    /// Puts back what somebody who did not know of a protection left among the ordinary residents: a release that lost
    /// against it, notes and links.
    private func bringBack(_ protection: Protection, by site: Site) throws {
        for id in protection.ordinary.sorted() {
            if let row = try record(WardSchema.resident, id), row.space == .residents, !row.isErased {
                try fold(row, into: protection, by: site)
            } else {
                try carryAttachments(of: id, to: protection, by: site)
            }
        }
        guard let row = try record(WardSchema.resident, protection.resident) else { return }
        try setMarks(of: protection, with: { row.text($0) }, by: site)
    }

    /// Erases an ordinary record of a protected person; what was written on it since the release stands beside.
    private func fold(_ row: StoredRecord, into protection: Protection, by site: Site) throws {
        for group in row.collection.groups where group.kind.mergeClass == .register {
            for head in try heads(of: row.rid, group: group) {
                guard let header = try header(of: head, in: row.space),
                    try !isRelease(head, of: row, protection)
                else { continue }
                let operation = Shape.Operation(group: group.number, .register, fields: group.fields.map(\.number))
                let edit = PersonEdit(
                    origin: head,
                    record: row.id,
                    person: header.author,
                    timestamp: header.timestamp,
                    shape: Shape(collection: row.collection.number, operations: [operation]),
                    values: group.fields.map { row.values[$0.name] ?? .null }
                )
                try keepBeside(edit, protection.resident, by: site)
            }
        }
        try carryOver(row, to: protection, by: site)
    }

    /// Whether a change made an ordinary record of a protected person: it said nothing new.
    private func isRelease(_ dot: Dot, of row: StoredRecord, _ protection: Protection) throws -> Bool {
        guard let header = try header(of: dot, in: row.space), let own = header.transaction else { return false }
        guard let trace = try record(WardSchema.protectionTrace, protection.trace) else { return false }
        let name = Array(row.id.description.utf8)
        return try items(of: trace.rid, group: ProtectionGroups.ordinary).contains { item in
            try item.content == name && self.header(of: item.dot, in: .protectedResidents)?.transaction?.id == own.id
        }
    }
}
