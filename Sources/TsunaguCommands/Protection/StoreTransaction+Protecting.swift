// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Moving a person between `residents` and `residents/protected`.
extension StoreTransaction {
    /// Puts a resident under protection, or says that the protection stands, against a release that is not known yet.
    ///
    /// All of it is one act over both spaces: the copy, the marks, and the erasure of what stood among the ordinary ones.
    func protect(_ row: StoredRecord, reason: ExactText, by site: Site) throws -> RecordID {
        try flushDrafts()
        if row.space == .protectedResidents {
            guard let protection = try protection(of: row.id) else { throw CommandError.notFound(row.collection, "") }
            let draft = try draft(.protectedResidents, by: site.person)
            draft.reason = reason
            if !Mutant.releaseWins.isPlanted { try draft.revive(WardSchema.protection, protection.file) }
            if !row.deleted { try draft.revive(WardSchema.resident, row.id) }
            try setMarks(of: protection, with: { row.text($0) }, by: site, anew: true)
            return row.id
        }
        try openIntake(by: site)
        var protection = try protection(ofOrdinary: row.id) ?? Protection(of: row.id)
        protection.ordinary.insert(row.id)
        let draft = try draft(.protectedResidents, by: site.person)
        draft.reason = reason
        try draft.create(WardSchema.protection, id: protection.file, [(1, .text(protection.resident.description))])
        try draft.create(
            WardSchema.protectionTrace,
            id: protection.trace,
            [(1, .text(protection.resident.description))]
        )
        // Said again where it is known, it stands against a release that is not.
        try draft.revive(WardSchema.protection, protection.file)
        try copyValues(of: row, to: protection, draft)
        try keepAlternatives(of: row, beside: protection.resident, by: site)
        try carryOver(row, to: protection, by: site)
        try setMarks(of: protection, with: { row.text($0) }, by: site, anew: true)
        return protection.resident
    }

    /// Writes all values anew: what is in the protected space then comes of this change, and of the ordinary ones that
    /// are named as its origins.
    private func copyValues(of row: StoredRecord, to protection: Protection, _ draft: Draft) throws {
        var values: [(field: UInt32, value: Value)] = []
        for group in row.collection.groups where group.kind.mergeClass == .register {
            let heads = try heads(of: row.rid, group: group)
            guard !heads.isEmpty else { continue }
            values += group.fields.map { ($0.number, row.values[$0.name] ?? .null) }
            try draft.addOrigins(heads, of: group.number, protection)
        }
        try draft.create(WardSchema.resident, id: protection.resident, values)
        try copySets(of: row, to: protection.resident, draft)
        if row.deleted {
            try draft.delete(WardSchema.resident, protection.resident, reason: draft.reason ?? "")
        } else {
            try draft.revive(WardSchema.resident, protection.resident)
        }
    }

    private func copySets(of row: StoredRecord, to id: RecordID, _ draft: Draft) throws {
        for group in row.collection.groups where group.kind == .set {
            let members = Set(try items(of: row.rid, group: group).map(\.content))
            let sorted = members.sorted { $0.lexicographicallyPrecedes($1) }
            try draft.edit(WardSchema.resident, id, group: group, add: sorted)
        }
    }

    /// Keeps what sites differ on: one value goes on as the person's, the others wait beside it for a decision.
    private func keepAlternatives(of row: StoredRecord, beside resident: RecordID, by site: Site) throws {
        for conflict in try conflicts(rid: row.rid) {
            for (place, other) in conflict.alternatives.enumerated() where place != conflict.shown {
                let operation: Shape.Operation
                let values: [Value]
                if let group = conflict.group {
                    operation = Shape.Operation(
                        group: group.number,
                        .register,
                        fields: other.values.map(\.field.number)
                    )
                    values = other.values.map(\.value)
                } else {
                    operation = Shape.Operation(group: 0, .register)
                    values = [other.deleted ? .text("") : .null]
                }
                let edit = PersonEdit(
                    origin: Dot(ReplicaID(device: other.device, incarnation: 0), 0),
                    record: row.id,
                    person: other.person,
                    timestamp: other.timestamp,
                    shape: Shape(collection: row.collection.number, operations: [operation]),
                    values: values
                )
                try keepBeside(edit, resident, by: site)
            }
        }
    }

    /// Takes along what hangs on an ordinary record, and erases both.
    func carryOver(_ row: StoredRecord, to protection: Protection, by site: Site) throws {
        let hidden = try draft(.protectedResidents, by: site.person)
        let draft = try draft(.residents, by: site.person)
        try hidden.edit(
            WardSchema.protectionTrace,
            protection.trace,
            group: ProtectionGroups.ordinary,
            add: [Array(row.id.description.utf8)]
        )
        for note in try notes(of: row) { try hidden.create(note, for: protection.resident) }
        try draft.erase(WardSchema.resident, row.id)
        try carryAttachments(of: row.id, to: protection, by: site)
    }

    /// Takes along the notes and the links of bookings that name an ordinary record.
    func carryAttachments(of ordinary: RecordID, to protection: Protection, by site: Site) throws {
        for (record, note) in try carriedNotes(of: ordinary) {
            try draft(.protectedResidents, by: site.person).create(note, for: protection.resident)
            try draft(.residents, by: site.person).erase(WardSchema.carriedNote, record)
        }
        for link in try records(WardSchema.bookingLink, where: "resident = ?", [.text(ordinary.description)])
        where link.space == .residents {
            guard let booking = link.text("booking").flatMap({ RecordID(hex: $0) }),
                let space = link.text("lesson_space").flatMap({ SpaceID($0) })
            else { continue }
            let values = BookingFields.link(booking, space, protection.resident)
            try draft(.protectedResidents, by: site.person).create(WardSchema.bookingLink, id: link.id, values)
            try draft(.residents, by: site.person).erase(WardSchema.bookingLink, link.id)
        }
    }

    /// Makes an ordinary record of a protected person again.
    ///
    /// What was erased never comes back under its id: the record is a new one, the same whoever releases.
    func release(_ protection: Protection, _ row: StoredRecord, reason: ExactText, by site: Site) throws -> RecordID {
        try flushDrafts()
        let id = protection.released
        let hidden = try draft(.protectedResidents, by: site.person)
        hidden.reason = reason
        let draft = try draft(.residents, by: site.person)
        var values: [(field: UInt32, value: Value)] = []
        for field in row.collection.groups.filter({ $0.kind.mergeClass == .register }).flatMap(\.fields) {
            if let value = row.values[field.name], value != .null { values.append((field.number, value)) }
        }
        try draft.create(WardSchema.resident, id: id, values)
        try copySets(of: row, to: id, draft)
        for note in try notes(of: row) { try draft.create(note, for: id) }
        // Why somebody was deleted (除票) stays where it was said.
        if row.deleted { try draft.delete(WardSchema.resident, id, reason: "") }
        try hidden.delete(WardSchema.protection, protection.file, reason: reason)
        try hidden.delete(WardSchema.resident, row.id, reason: reason)
        try hidden.edit(
            WardSchema.protectionTrace,
            protection.trace,
            group: ProtectionGroups.ordinary,
            add: [Array(id.description.utf8)]
        )
        try removeMarks(of: protection, by: site)
        return id
    }

    /// The bookings in lesson spaces held here that name a person: their spaces are told the name for the lesson's sake.
    func bookings(of resident: RecordID) throws -> [RecordID] {
        try records(WardSchema.bookingLink, where: "resident = ?", [.text(resident.description)]).compactMap {
            $0.text("booking").flatMap { RecordID(hex: $0) }
        }.filter { try record(WardSchema.booking, $0) != nil }.sorted()
    }
}

extension Draft {
    /// Notes that a group of a protected person holds what some changes of ordinary records wrote.
    func addOrigins(_ dots: [Dot], of group: UInt32, _ protection: Protection) throws {
        let origins = dots.map { Array(ValueOrigin(group: group, dot: $0).text.utf8) }
        try edit(WardSchema.protectionTrace, protection.trace, group: ProtectionGroups.origins, add: origins)
    }
}

/// The change of an ordinary record that a protected person's group comes from.
struct ValueOrigin: Hashable {
    let group: UInt32
    let dot: Dot

    init(group: UInt32, dot: Dot) {
        self.group = group
        self.dot = dot
    }

    /// `group replica number`.
    var text: String { "\(group) \(dot.replica) \(dot.seq)" }

    init?(_ content: [UInt8]) {
        let parts = String(decoding: content, as: UTF8.self).split(separator: " ")
        guard parts.count == 3, let group = UInt32(parts[0]), let replica = ReplicaID(hex: parts[1]),
            let seq = UInt64(parts[2])
        else { return nil }
        self.init(group: group, dot: Dot(replica, seq))
    }
}
