// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Edits of people who were protected meanwhile, by somebody who did not know.
///
/// A late edit takes part as it would have in the ordinary space: it replaces what its author had seen, and what its author
/// had not seen stands beside it until somebody decides. Taking it in again changes nothing, so any number of sites may.
extension StoreTransaction {
    /// Writes a late edit into the protected space; one of a person who was erased for good is dropped.
    func takeIn(_ edit: PersonEdit, by site: Site) throws {
        guard let protection = try protection(ofOrdinary: edit.record),
            let causes = try causes(of: edit.origin, in: .residents)
        else { return }
        try takeIn(edit, causes: causes, protection, by: site)
    }

    /// Writes a late edit into the protected space.
    ///
    /// - Parameter causes: what its author had seen.
    func takeIn(_ edit: PersonEdit, causes: VersionVector, _ protection: Protection, by site: Site) throws {
        if Mutant.lateEditsAreDropped.isPlanted { return }
        try flushDrafts()
        guard try isKept(edit), let trace = try record(WardSchema.protectionTrace, protection.trace),
            let row = try record(WardSchema.resident, protection.resident)
        else { return }
        let known = try items(of: trace.rid, group: ProtectionGroups.origins)
        let origins = known.compactMap { item in ValueOrigin(item.content).map { (origin: $0, dot: item.dot) } }
        let draft = try draft(.protectedResidents, by: site.person)
        for (operation, values) in edit.operations {
            let own = ValueOrigin(group: operation.group, dot: edit.origin)
            guard !origins.contains(where: { $0.origin == own }),
                let group = row.collection.group(operation.group)
            else {
                if operation.group == 0, values != [.null] || row.deleted {
                    try keepBeside(edit.part(operation, values), row.id, by: site)
                }
                continue
            }
            let mine = origins.filter { $0.origin.group == group.number }
            if operation.mergeClass != .log, !protection.stands {
                try keepBeside(edit.part(operation, values), row.id, by: site)
            } else if operation.mergeClass == .register {
                let heads = try heads(of: row.rid, group: group)
                let hasSeenAll = mine.allSatisfy { causes.covers($0.origin.dot) }
                // What a newer program knows of stands beside.
                let areKnown = operation.fields.allSatisfy { number in group.fields.contains { $0.number == number } }
                guard areKnown, hasSeenAll, heads.allSatisfy({ head in mine.contains { $0.dot == head } }) else {
                    try keepBeside(edit.part(operation, values), row.id, by: site)
                    continue
                }
                try draft.set(WardSchema.resident, row.id, zip(operation.fields, values).map { ($0, $1) })
                try draft.addOrigins([edit.origin], of: group.number, protection)
            } else if case .bytes(let body)? = values.first {
                let items = try body.withMemory { memory throws(CodecError) in try Items(decoding: memory) }
                try takeIn(items, of: group, edit, row, protection, by: site)
                try draft.addOrigins([edit.origin], of: group.number, protection)
            }
        }
        try flushDrafts()
        if protection.stands, let new = try record(WardSchema.resident, row.id) {
            try setMarks(of: protection, with: { new.text($0) }, by: site)
        }
    }

    private func takeIn(
        _ items: Items,
        of group: MergeGroup,
        _ edit: PersonEdit,
        _ row: StoredRecord,
        _ protection: Protection,
        by site: Site
    ) throws {
        guard group.kind == .log else {
            return try draft(.protectedResidents, by: site.person).edit(
                WardSchema.resident,
                row.id,
                group: group,
                add: items.added.map(\.content),
                remove: items.removed
            )
        }
        for (place, item) in items.added.enumerated() {
            guard let text = ExactText(validating: item.content) else { continue }
            let note = CarriedNote(
                text,
                edit.person,
                edit.origin.replica.device,
                edit.timestamp,
                place: place,
                name: CarriedNote.name(edit.origin, in: .residents, place: place)
            )
            guard let present = try present(protection) else { continue }
            try self.draft(present.space, by: site.person).create(note, for: present.id)
        }
    }

    /// Whether an edit can be kept apart from the log; of one that cannot a person is told.
    private func isKept(_ edit: PersonEdit) throws -> Bool {
        if edit.isSound { return true }
        try note("late_edit_left_out", "\(SpaceID.residents) \(edit.origin.replica.device.short) \(edit.origin.seq)")
        return false
    }

    /// Keeps one operation beside a protected person's values, until somebody decides.
    func keepBeside(_ edit: PersonEdit, _ resident: RecordID, by site: Site) throws {
        let id = RecordID(derivedFrom: [Array("pending_edit".utf8), resident.bytes, edit.encoded])
        guard try record(WardSchema.pendingEdit, id) == nil, try isKept(edit) else { return }
        try draft(.protectedResidents, by: site.person).create(
            WardSchema.pendingEdit,
            id: id,
            [(1, .text(resident.description)), (2, .text(Hex.encode(edit.encoded)))]
        )
    }

    /// Tells the holders of `residents` the key that edits of protected people are sealed for.
    func openIntake(by site: Site) throws {
        guard let secret = try secret(of: .protectedResidents) else { return }
        let key = Hex.encode(Array(try PersonEdit.intakeKey(secret: secret).publicKey.rawRepresentation))
        let known = try records(WardSchema.intake).first
        guard known?.values["public_key"]?.text != ExactText(key) else { return }
        let draft = try draft(.residents, by: site.person)
        // The protected residents may have begun anew: then nobody has the former key.
        if let known {
            try draft.set(WardSchema.intake, known.id, [(1, .text(key))])
        } else {
            try draft.create(WardSchema.intake, id: RecordID(derivedFrom: [Array("intake".utf8)]), [(1, .text(key))])
        }
    }

    /// Seals an edit that this site has to give up, for those who hold the protected residents.
    func seal(_ edit: PersonEdit, by site: Site) throws {
        let id = RecordID(derivedFrom: [Array("sealed_edit".utf8), edit.origin.name, edit.record.bytes])
        guard try record(WardSchema.sealedEdit, id) == nil, try isKept(edit),
            try !isErased(WardSchema.sealedEdit, id, in: .residents),
            let key = try records(WardSchema.intake).first?.text("public_key").flatMap({ Hex.decode($0) }),
            let box = try edit.sealed(for: key)
        else { return }
        try draft(.residents, by: site.person).create(
            WardSchema.sealedEdit,
            id: id,
            [(1, .text(Hex.encode(box)))]
        )
    }
}
