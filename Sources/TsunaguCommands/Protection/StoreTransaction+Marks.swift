// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore
import TsunaguStore
import TsunaguWard

extension CommandError {
    /// Exactly this person is kept at the ward office, for whatever reason.
    static let askWardOffice = CommandError(
        .askWardOffice,
        Localized(ja: "本庁へ照会してください", en: "ask the ward office about this person"),
        hint: Localized(
            ja: "この端末には表示も登録もできません",
            en: "this device can neither show nor register the person"
        )
    )
}

extension StoreTransaction {
    /// Whether one of some marks stands here.
    private func stands(_ marks: [PersonMark]) throws -> Bool {
        for mark in marks {
            guard let row = try record(WardSchema.mark, mark.record) else { continue }
            if !SetColumn.members(row.values["standing"]).isEmpty { return true }
        }
        return false
    }

    /// Whether anybody has a mark here: where nobody has, rows need no second look.
    func hasMarks() throws -> Bool { try !isEmpty(WardSchema.mark) }

    /// Whether a resident with these values is one whom a mark stands for.
    func isMarked(_ field: (String) -> String?) throws -> Bool {
        guard try hasMarks(), let secret = try secret(of: .residents) else { return false }
        return try stands(PersonMark.of(resident: field, secret: secret))
    }

    /// Whether the words of a search, or the name of a record, mean a person whom a mark stands for.
    func isMarked(words: [String]) throws -> Bool {
        guard try hasMarks(), let secret = try secret(of: .residents) else { return false }
        return try stands(PersonMark.of(words: words, secret: secret))
    }

    /// Sets the marks that a protected person with some values lacks.
    ///
    /// - Parameter anew: those that stand are set again, against removals that are not known yet.
    func setMarks(
        of protection: Protection,
        with field: (String) -> String?,
        by site: Site,
        anew: Bool = false
    ) throws {
        guard let secret = try secret(of: .residents),
            try currentAccess()?.mayWrite(site.keys.device, .residents) == true
        else { return }
        let marks =
            PersonMark.of(resident: field, secret: secret)
            + protection.ordinary.sorted().map { PersonMark(record: $0, secret: secret) }
        let known = Set(protection.marks)
        let new = marks.map(\.description).filter { !known.contains($0) }
        for mark in marks {
            let standing = try record(WardSchema.mark, mark.record).map { SetColumn.members($0.values["standing"]) }
            let blinded = try blinded(protection.resident, mark)
            guard anew || standing?.contains(blinded) != true, !Mutant.marksAreNotSet.isPlanted else { continue }
            let draft = try draft(.residents, by: site.person)
            try draft.create(WardSchema.mark, id: mark.record, [(1, .text(mark.description))])
            try draft.edit(WardSchema.mark, mark.record, group: ProtectionGroups.standing, add: [Array(blinded.utf8)])
        }
        guard !new.isEmpty else { return }
        let draft = try draft(.protectedResidents, by: site.person)
        let added = new.map { Array($0.utf8) }
        try draft.edit(WardSchema.protectionTrace, protection.trace, group: ProtectionGroups.marks, add: added)
    }

    /// Takes a person's marks away, as far as they are seen here.
    func removeMarks(of protection: Protection, by site: Site) throws {
        for mark in protection.marks.compactMap({ PersonMark(hex: $0) }) {
            let blinded = try blinded(protection.resident, mark)
            guard let row = try record(WardSchema.mark, mark.record),
                SetColumn.members(row.values["standing"]).contains(blinded)
            else { continue }
            try draft(.residents, by: site.person).edit(
                WardSchema.mark,
                mark.record,
                group: ProtectionGroups.standing,
                remove: [Array(blinded.utf8)]
            )
        }
    }

    /// What a person's part in a mark is called: two persons of one key are told apart, and nobody else reads it.
    private func blinded(_ resident: RecordID, _ mark: PersonMark) throws -> String {
        guard let secret = try secret(of: .protectedResidents) else { throw CommandError.lacksProtected }
        var code = HMAC<SHA256>(key: SymmetricKey(data: secret))
        code.update(data: Array("tsunagu/standing/1".utf8) + resident.bytes + mark.raw.bytes)
        return Hex.encode(Array(code.finalize()).prefix(16))
    }
}

extension CommandError {
    /// This device does not hold the protected residents.
    static let lacksProtected = CommandError(
        .notPermitted,
        Localized(ja: "この端末は支援措置の住民を持っていません", en: "this device does not hold the protected residents"),
        hint: Localized(ja: "本庁に依頼してください", en: "ask the ward office")
    )
}

/// The groups that protection writes.
enum ProtectionGroups {
    static let ordinary = WardSchema.protectionTrace.group(2)!
    static let origins = WardSchema.protectionTrace.group(3)!
    static let marks = WardSchema.protectionTrace.group(4)!
    static let standing = WardSchema.mark.group(2)!
    static let notes = WardSchema.resident.field(named: "notes")!.group
}
