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
        guard !arrivals.spaces.isDisjoint(with: [.residents, .protectedResidents]), try showsProtected(site),
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
                try followRelease(of: protection, by: site)
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
            if try showsProtected(site), try isEffective(edit.origin, in: .residents), try !isProtectionToCome(edit) {
                try takeIn(edit, by: site)
            } else if access.mayWrite(site.keys.device, .residents) {
                try seal(edit, by: site)
            }
        }
        try flushDrafts()
    }

    /// Whether the erasure of an ordinary record is here, and what became of the person is not: he may be protected, or
    /// erased for good.
    private func isProtectionToCome(_ edit: PersonEdit) throws -> Bool {
        try isErasurePartial(WardSchema.resident, edit.record, in: .residents)
    }

    private func openSealedEdits(by site: Site, erases: Bool) throws {
        let boxes = try records(WardSchema.sealedEdit)
        guard !boxes.isEmpty, let secret = try secret(of: .protectedResidents) else { return }
        let key = try PersonEdit.intakeKey(secret: secret)
        for box in boxes {
            guard let content = box.text("box").flatMap({ Hex.decode($0) }),
                let edit = PersonEdit(opening: content, with: key)
            else { continue }
            // What is quarantined stays sealed: it takes part if it takes effect.
            let isProtected = try protection(ofOrdinary: edit.record) != nil
            guard try isProtected ? isEffective(edit.origin, in: .residents) : !isProtectionToCome(edit) else {
                continue
            }
            try takeIn(edit, by: site)
            if erases { try draft(.residents, by: site.person).erase(WardSchema.sealedEdit, box.id) }
        }
        try flushDrafts()
    }

    /// Puts back what somebody who did not know of a protection left among the ordinary residents: a release that lost
    /// against it, notes and links.
    private func bringBack(_ protection: Protection, by site: Site) throws {
        for id in protection.ordinary.sorted() {
            if let row = try record(WardSchema.resident, id) {
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
        try keepNews(of: row, beside: protection, by: site) { try !isRelease($0, of: row, protection) }
        try carryOver(row, to: protection, by: site)
    }

    /// Takes over to the ordinary record what was written on a protected one by somebody who did not know of its release.
    private func followRelease(of protection: Protection, by site: Site) throws {
        // One that was set again by somebody who did not know of the release.
        try removeMarks(of: protection, by: site)
        guard let file = try record(WardSchema.protection, protection.file),
            let hidden = try record(WardSchema.resident, protection.resident), let row = try present(protection)
        else { return }
        let releases = try lifeHeads(of: file.rid).compactMap { try causes(of: $0, in: .protectedResidents) }
        let known = Set(try lifeHeads(of: file.rid))
        try keepNews(of: hidden, beside: protection, by: site) { dot in
            !known.contains(dot) && !releases.contains { $0.covers(dot) }
        }
        for note in try notes(of: hidden) {
            let isThere = try record(WardSchema.carriedNote, note.record(for: row.id)) != nil
            if !isThere { try draft(.residents, by: site.person).create(note, for: row.id) }
        }
    }

    /// Keeps what some changes wrote on one record of a person beside the present one.
    private func keepNews(
        of row: StoredRecord,
        beside protection: Protection,
        by site: Site,
        where isNew: (Dot) throws -> Bool
    ) throws {
        func keep(_ dot: Dot, _ operation: Shape.Operation, _ values: [Value]) throws {
            guard try isNew(dot), let header = try header(of: dot, in: row.space) else { return }
            let edit = PersonEdit(
                origin: dot,
                record: row.id,
                person: header.author,
                timestamp: header.timestamp,
                shape: Shape(collection: row.collection.number, operations: [operation]),
                values: values
            )
            try keepBeside(edit, protection.resident, by: site)
        }
        for group in row.collection.groups {
            if group.kind.mergeClass == .register {
                for head in try heads(of: row.rid, group: group) {
                    let operation = Shape.Operation(group: group.number, .register, fields: group.fields.map(\.number))
                    try keep(head, operation, group.fields.map { row.values[$0.name] ?? .null })
                }
            } else if group.kind == .set {
                for item in try items(of: row.rid, group: group) {
                    let added = Items(added: [Items.Item(item.content)])
                    try keep(item.dot, Shape.Operation(group: group.number, .set), [.bytes(added.encoded)])
                }
            }
        }
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
