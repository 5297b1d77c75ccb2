// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Rules over several records that nobody can keep while offline: pure functions of what is held, the same at every site
/// that holds the same.
extension StoreTransaction {
    /// What breaks a rule now.
    func findings() throws -> [Case] {
        var out: [Case] = []
        for (collection, field) in Self.uniqueFields { out += try doubles(collection, field) }
        return try out + seats() + bookedTwice() + linkedTwice() + overlaps() + splits() + copies()
    }

    private static let uniqueFields: [(CollectionSchema, Field)] = [
        (WardSchema.resident, WardSchema.residentNumber), (WardSchema.procedure, WardSchema.procedureCode),
        (WardSchema.lesson, LessonGroups.lessonCode),
    ]

    /// Records that share what names one of them.
    private func doubles(_ collection: CollectionSchema, _ field: Field) throws -> [Case] {
        // The inner query reads the index alone; deleted records are left out where the few that it names are read.
        let condition = """
            \(field.name) IN (SELECT \(field.name) FROM \(collection.name) WHERE \(field.name) IS NOT NULL
            GROUP BY \(field.name) HAVING count(*) > 1) AND deleted = 0 ORDER BY \(field.name), id
            """
        let rows = try records(collection, where: condition)
        let groups = Dictionary(grouping: rows) { $0.values[field.name]! }
        return groups.values.filter { $0.count > 1 }.sorted { $0[0].id < $1[0].id }.map { rows in
            finding(
                "unique_\(field.name)",
                rows[0].space,
                collection,
                rows.map(\.id),
                label: rows[0].values[field.name]?.text
            )
        }
    }

    /// What bookings leave for a person to talk about with the people: confirmations beyond their holder's rights or
    /// beyond a capacity that was lowered, bookings that one cancelled who had not seen another ask for the seat, and
    /// people who were there though they had cancelled, or were noted as there and as missing.
    private func seats() throws -> [Case] {
        try records(WardSchema.lesson, where: "deleted = 0 ORDER BY id").flatMap { lesson -> [Case] in
            let seats = try seats(of: lesson)
            func cases(_ code: String, _ bookings: [RecordID]) -> [Case] {
                if bookings.isEmpty { return [] }
                let records = [lesson.id] + bookings
                return [finding(code, lesson.space, WardSchema.lesson, records, label: Self.label(lesson))]
            }
            let came =
                cases("attended_though_cancelled", seats.cameThoughCancelled)
                + cases("marked_apart", seats.bookings.filter(\.isMarkedApart).map(\.id).sorted())
            // Nobody sits in a lesson that does not take place.
            if seats.isCancelled { return came }
            return came + cases("unbacked", Set(seats.ledger.unbacked.map(\.booking)).sorted())
                + cases("over_capacity", try seats.peopleBeyond(plannedCapacity(lesson)))
                + cases("cancelled_and_booked", seats.bookings.filter(\.isContradicted).map(\.id).sorted())
        }
    }

    /// Acts over several spaces of which a part is quarantined.
    private func splits() throws -> [Case] {
        try splitTransactions().map { finding("split_transaction", $0.space, nil, $0.records, label: nil) }
    }

    /// Devices that wrote two changes under one number, until their rights end.
    ///
    /// Two machines go on with one key, or one went on with an older disk. Nothing is lost by it; a person says which of
    /// the machines enrols anew.
    private func copies() throws -> [Case] {
        let all = try spaces().flatMap { try forks(in: $0) }
        return try all.filter { try currentAccess()?.isRevoked($0.replica.device) == false }.map { fork in
            let places = try Places(self)
            let name = places[fork.replica.device]?.device ?? ExactText(fork.replica.device.short)
            return finding("equivocation", fork.space, nil, fork.records, of: fork.replica.bytes, label: name)
        }
    }

    func finding(
        _ code: String,
        _ space: SpaceID,
        _ collection: CollectionSchema?,
        _ records: [RecordID],
        of subject: [UInt8]? = nil,
        label: ExactText?
    ) -> Case {
        let parts =
            [Array("finding".utf8), Array(code.utf8), Array(space.name.utf8)] + (subject.map { [$0] } ?? [])
            + records.map(\.bytes)
        return Case(
            id: String(Base32.encode(RecordID(derivedFrom: parts).bytes.prefix(8)).prefix(12)),
            kind: .finding,
            code: code,
            space: space,
            collection: collection,
            records: records,
            label: label,
            group: nil,
            values: [],
            shown: nil
        )
    }

    /// What is kept but not in effect.
    ///
    /// - Parameter told: the id of the one whose records are read.
    func quarantineCases(_ places: Places, telling told: String? = nil) throws -> [Case] {
        try quarantined().map { run in
            let parts = [
                Array("quarantine".utf8), Array(run.space.name.utf8), run.replica.bytes, Array(String(run.first).utf8),
            ]
            let id = String(Base32.encode(RecordID(derivedFrom: parts).bytes.prefix(8)).prefix(12))
            let isTold = told.map { id.utf8.elementsEqual($0.utf8) } ?? false
            let value = Case.Alternative(
                n: 1,
                fields: [],
                deleted: false,
                author: places.authorship(run.header),
                source: run.header.source
            )
            return Case(
                id: id,
                kind: .quarantine,
                code: run.reason.rawValue,
                space: run.space,
                collection: nil,
                records: run.records,
                label: nil,
                group: nil,
                values: [value],
                shown: nil,
                says: try run.space == .system ? says(run, places) : isTold ? records(of: run) : []
            )
        }
    }

    /// What a run says of records, a line for each of the first.
    ///
    /// Nothing of protected residents: nobody would have noted that they were seen.
    private func records(of run: QuarantinedRun) throws -> [String] {
        guard run.space != .protectedResidents else { return [] }
        let last = min(run.last, run.first + UInt64(Case.recordsShown))
        return try changes(run.first...last, of: run.replica, in: run.space).flatMap { change in
            try change.content().map { content in
                let collection = schema.collection(content.collection)
                let fields = collection.map { content.fields(in: $0) } ?? []
                let words = fields.map { field, value in
                    "\(field.name)=\(value.text?.string ?? value.integer.map { String($0) } ?? "")"
                }
                let life = content.life.map { $0 == .null ? ["+"] : ["-", $0.text?.string ?? ""] } ?? []
                let name = [collection?.name ?? "?", String(content.id.description.prefix(8))]
                return (name + life + words).joined(separator: " ")
            }
        }
    }

    /// What a run of `system` says, in the words of the audit log.
    private func says(_ run: QuarantinedRun, _ places: Places) throws -> [String] {
        try changes(run.first...run.last, of: run.replica, in: .system).flatMap { change in
            try AuditEntry.entries(of: change, places, isInEffect: false).map { entry in
                let names = entry.records.map { record in
                    DeviceID(exactHex: record).flatMap { places[$0]?.device.string } ?? String(record.prefix(8))
                }
                return ([entry.act.rawValue] + names + [entry.detail ?? ""]).joined(separator: " ")
            }
        }
    }
}
