// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

extension SpaceID {
    /// The residents of whom only the ward office may tell (支援措置).
    package static let protectedResidents = SpaceID("residents/protected")!
}

/// A protected person: the record with the values, and the file that says that the protection stands.
struct Protection {
    /// The person's record in `residents/protected`.
    let resident: RecordID
    /// The record of `protection`.
    let file: RecordID
    /// Whether it stands; released otherwise.
    let stands: Bool
    /// The records that the person had among the ordinary ones.
    var ordinary: Set<RecordID>
    let marks: [String]

    /// The ordinary record of the next release.
    var released: RecordID {
        RecordID(derivedFrom: [Array("released".utf8), resident.bytes, Array(String(ordinary.count).utf8)])
    }

    /// The protection of a person whom nobody protected before.
    init(of ordinary: RecordID) {
        resident = RecordID(derivedFrom: [Array("protected".utf8), ordinary.bytes])
        file = RecordID(derivedFrom: [Array("protection".utf8), resident.bytes])
        stands = false
        self.ordinary = []
        marks = []
    }

    init?(_ row: StoredRecord) {
        guard let resident = row.text("resident").flatMap({ RecordID(hex: $0) }) else { return nil }
        self.resident = resident
        file = row.id
        stands = !row.deleted
        ordinary = Set(SetColumn.members(row.values["ordinary"]).compactMap { RecordID(hex: $0) })
        marks = SetColumn.members(row.values["marks"])
    }
}

extension StoreTransaction {
    /// The protections that this site knows of; none where it does not hold their space.
    func protections(where condition: String = "1", _ arguments: [Value] = []) throws -> [Protection] {
        try records(WardSchema.protection, where: "(\(condition)) ORDER BY id", arguments).compactMap(Protection.init)
    }

    /// The protection of a person by the record in `residents/protected`.
    func protection(of resident: RecordID) throws -> Protection? {
        try protections(where: "resident = ?", [.text(resident.description)]).first
    }

    /// The protection, standing or released, of the person who has or had an ordinary record.
    func protection(ofOrdinary id: RecordID) throws -> Protection? {
        try protections(where: "instr(ordinary, ?) > 0", [.text(id.description)]).first
    }

    /// Whether this device may be shown protected residents: it holds them, and can record that it saw them.
    func showsProtected(_ site: Site) throws -> Bool {
        try spaces().contains(.protectedResidents)
            && currentAccess()?.mayWrite(site.keys.device, .protectedResidents) == true
    }

    /// The condition on rows of `resident` that may be shown here: of the protected space only persons whose protection
    /// stands, and none where a look cannot be recorded.
    func residentScope(_ site: Site) throws -> String {
        let ordinary = "space IS NOT (SELECT no FROM space WHERE name = '\(SpaceID.protectedResidents)')"
        guard try showsProtected(site) else { return "(\(ordinary))" }
        return "(\(ordinary) OR lower(hex(id)) IN (SELECT resident FROM protection WHERE deleted = 0))"
    }

    /// Whether a row may be shown here, by the same rule.
    func isInScope(_ row: StoredRecord, _ site: Site) throws -> Bool {
        guard row.space == .protectedResidents else { return !row.isErased }
        return try showsProtected(site) && protection(of: row.id)?.stands == true
    }
}
