// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore
import TsunaguWard

extension SpaceID {
    /// The residents of whom only the ward office may tell (支援措置).
    package static let protectedResidents = SpaceID("residents/protected")!
}

/// A protected person: the record with the values, the file that says that the protection stands, and its trace.
struct Protection {
    /// The person's record in `residents/protected`.
    let resident: RecordID
    /// Whether it stands; released otherwise.
    let stands: Bool
    /// The records that the person had among the ordinary ones.
    var ordinary: Set<RecordID> = []
    var marks: [String] = []

    /// The protection of a person whom nobody protected before: the same, whoever does it.
    init(of ordinary: RecordID) {
        resident = RecordID(derivedFrom: [Array("protected".utf8), ordinary.bytes])
        stands = false
    }

    fileprivate init(_ resident: RecordID, stands: Bool) {
        self.resident = resident
        self.stands = stands
    }

    /// The record of `protection`.
    var file: RecordID { RecordID(derivedFrom: [Array("protection".utf8), resident.bytes]) }

    /// The record of `protection_trace`.
    var trace: RecordID { RecordID(derivedFrom: [Array("protection_trace".utf8), resident.bytes]) }

    /// The ordinary record of the next release.
    var released: RecordID {
        RecordID(derivedFrom: [Array("released".utf8), resident.bytes, Array(String(ordinary.count).utf8)])
    }
}

extension StoreTransaction {
    /// The protections that this site knows of; none where it does not hold their space.
    func protections(where condition: String = "1", _ arguments: [Value] = []) throws -> [Protection] {
        try records(WardSchema.protection, where: "(\(condition)) ORDER BY id", arguments).compactMap { row in
            guard let id = row.text("resident").flatMap({ RecordID(hex: $0) }) else { return nil }
            var out = Protection(id, stands: !row.deleted)
            if let trace = try record(WardSchema.protectionTrace, out.trace) {
                out.ordinary = Set(SetColumn.members(trace.values["ordinary"]).compactMap { RecordID(hex: $0) })
                out.marks = SetColumn.members(trace.values["marks"])
            }
            return out
        }
    }

    /// The protection of a person by the record in `residents/protected`.
    func protection(of resident: RecordID) throws -> Protection? {
        try protections(where: "resident = ?", [.text(resident.description)]).first
    }

    /// The protection, standing or released, of the person who has or had an ordinary record.
    func protection(ofOrdinary id: RecordID) throws -> Protection? {
        let condition = "resident IN (SELECT resident FROM protection_trace WHERE instr(ordinary, ?) > 0)"
        return try protections(where: condition, [.text(id.description)]).first
    }

    /// The record that a person has now.
    func present(_ protection: Protection) throws -> StoredRecord? {
        if protection.stands { return try record(WardSchema.resident, protection.resident) }
        return try protection.ordinary.sorted().compactMap { try record(WardSchema.resident, $0) }.first {
            try !isErased($0)
        }
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
        guard row.space == .protectedResidents else { return try Mutant.erasedAreShown.isPlanted || !isErased(row) }
        return try showsProtected(site) && protection(of: row.id)?.stands == true
    }
}
