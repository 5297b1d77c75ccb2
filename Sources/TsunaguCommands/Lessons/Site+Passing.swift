// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

extension Site {
    /// Hands the ledger of a lesson's rights to another site, which makes and moves them from there on: before this one
    /// closes for good, or where the other is met more often.
    ///
    /// Who holds rights keeps them.
    ///
    /// - Throws: 77 where another keeps the ledger, 65 where the other site does not take part in the lesson.
    package func passLesson(_ name: String, to siteName: String) throws -> LessonView {
        let place = try site(siteName)
        let id = try write { transaction in
            let lesson = try transaction.lesson(name)
            try transaction.requireWrite(self, lesson.space)
            guard !lesson.deleted else { throw CommandError.deleted(lesson) }
            let seats = try transaction.seats(of: lesson)
            guard let own = try transaction.ownReplica(), seats.ledger.owner == own else {
                let owner = seats.ledger.owner?.device
                let known = try owner.flatMap { try Places(transaction)[$0]?.site }
                throw Self.ledgerElsewhere(known?.string ?? owner?.short ?? "?", name)
            }
            let devices = Set(place.devices.map(\.id))
            guard !devices.contains(own.device) else { return lesson.id }
            guard let heir = try transaction.heir(among: devices, seats, lesson.space) else {
                throw Self.takesNoPart(place, name)
            }
            try transaction.draft(lesson.space, by: person).edit(
                WardSchema.lesson,
                lesson.id,
                group: LessonGroups.rights,
                add: [LedgerEntry.pass(heir).encoded]
            )
            return lesson.id
        }
        return try lesson(id.description)
    }

    private static func ledgerElsewhere(_ owner: String, _ lesson: String) -> CommandError {
        CommandError(
            .notPermitted,
            Localized(ja: "この教室の席の台帳は \(owner) にあります", en: "\(owner) keeps the ledger of this lesson's seats"),
            record: lesson,
            hint: Localized(ja: "\(owner) で実行してください", en: "run this there")
        )
    }

    private static func takesNoPart(_ place: SiteView, _ lesson: String) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "\(place.name) はこの教室にまだ加わっていません",
                en: "\(place.name) does not take part in this lesson yet"
            ),
            record: lesson,
            hint: Localized(
                ja: "書き込みの権限を与え、双方を一度同期してください",
                en: "let it write the lesson's space, and sync both once"
            )
        )
    }
}

extension StoreTransaction {
    /// The replica of some devices that takes part in a lesson and may write it; of several the one that said so last.
    fileprivate func heir(among devices: Set<DeviceID>, _ seats: LessonSeats, _ space: SpaceID) throws -> ReplicaID? {
        guard let access = try currentAccess() else { return nil }
        let over = Set(seats.ledger.joined.values.flatMap(\.former.keys))
        return seats.ledger.joined.filter { replica, _ in
            devices.contains(replica.device) && !over.contains(replica) && seats.ledger.ended[replica] == nil
                && access.mayWrite(replica.device, space)
        }.max { ($0.value.depth, $0.key) < ($1.value.depth, $1.key) }?.key
    }
}
