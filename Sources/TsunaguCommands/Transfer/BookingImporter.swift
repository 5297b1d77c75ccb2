// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Takes bookings in: one record for each person and lesson, whoever booked first.
final class BookingImporter: RowImporter {
    private(set) var counts = ImportCounts()
    private(set) var touchedLessons: Set<SpaceID> = []

    private let site: Site
    private let transaction: StoreTransaction
    private let options: ImportOptions
    private let bookings: RecordLookup
    private let links: RecordLookup
    private var reader: BookingRowReader?
    private var shapes = RowShapes(WardSchema.booking)
    private var linkShapes = RowShapes(WardSchema.bookingLink)
    private var entry: RowEntry
    private var link: RowEntry
    private var lessons: [ExactText: StoredRecord?] = [:]
    private var depths: [RecordID: UInt64] = [:]
    private var lines: [RecordID: Int] = [:]
    /// The group that stands in the ward for each that the file has.
    private var parties: [FileGroup: RecordID] = [:]
    /// Those that stand for one already, by lesson.
    private var taken: [RecordID: Set<RecordID>] = [:]

    private struct FileGroup: Hashable {
        let lesson: RecordID
        let name: ExactText
    }

    /// What a row says of seats and company: registers with what is to stand in them.
    private typealias Terms = [(field: UInt32, value: Value)]

    init(_ site: Site, _ transaction: StoreTransaction, _ options: ImportOptions) throws {
        self.site = site
        self.transaction = transaction
        self.options = options
        // In the order of `PersonDetails.fields` and `terms`.
        let numbers = PersonDetails(name: "").fields.map(\.number) + [BookingFields.party, BookingFields.counts]
        let fields = WardSchema.booking.groups.flatMap(\.fields).filter { numbers.contains($0.number) }
        bookings = try transaction.lookup(WardSchema.booking, by: nil, reading: fields)
        links = try transaction.lookup(WardSchema.bookingLink, by: nil)
        entry = RowEntry(shapes)
        link = RowEntry(linkShapes)
    }

    func begin(header: [UnsafeBufferPointer<UInt8>], line: Int) -> [ImportProblem] {
        do throws(HeaderRefusal) {
            reader = try BookingRowReader(header: header)
            return []
        } catch {
            return error.problems.map { ImportProblem(line: line, $0) }
        }
    }

    func take(_ cells: [UnsafeBufferPointer<UInt8>], line: Int, applies: Bool) throws -> [ImportProblem] {
        counts.rows += 1
        var faults: [RowProblem] = []
        guard let row = reader!.read(cells, problems: &faults) else {
            return faults.map { ImportProblem(line: line, $0) }
        }
        guard let lesson = try lesson(row.lesson) else {
            return [
                ImportProblem(
                    line: line,
                    code: "unknown_lesson",
                    column: "lesson",
                    value: row.lesson.string,
                    Localized(ja: "この教室はありません", en: "there is no such lesson here"),
                    hint: Localized(ja: "先に教室を取り込んでください", en: "import the lessons first")
                )
            ]
        }
        let booker: Booker
        switch row.person {
        case .guest(let details): booker = Booker(key: PersonKey(guest: details), details: details, resident: nil)
        case .resident(let number):
            let found = try transaction.records(
                WardSchema.resident,
                where: "number = ? AND deleted = 0",
                [.text(number)],
                limit: 2
            )
            guard let resident = found.first, found.count == 1 else {
                if try found.isEmpty && transaction.isMarked(words: [number.string]) {
                    return [.askWardOffice(line: line)]
                }
                return [Self.unknown(number, line: line, isAmbiguous: found.count > 1)]
            }
            guard resident.space == .residents else { return [.askWardOffice(line: line)] }
            booker = try transaction.booker(resident, lesson, site)
        }
        let id = booker.key.booking(of: lesson.id)
        let shown = row.lesson.string
        if let first = lines.updateValue(line, forKey: id) {
            return [.doubled(line: line, column: "lesson", value: shown, first: first)]
        }
        let found = try bookings.find(.bytes(id.bytes))
        let terms = terms(of: row, id, lesson, found)
        guard let found else {
            counts.created += 1
            if applies { try create(id, lesson, booker, row.needs, terms) }
            return []
        }
        guard options.updates else { return [.exists(line: line, column: "lesson", value: shown, id)] }
        try update(id, found, lesson, booker, row.needs, terms, applies: applies)
        return []
    }

    /// - Returns: what the file has columns for, ascending.
    private func terms(
        of row: BookingRow,
        _ id: RecordID,
        _ lesson: StoredRecord,
        _ found: RecordLookup.Found?
    ) -> Terms {
        var terms: Terms = []
        if reader!.hasGroups {
            let party = row.group.map { name in
                let group = FileGroup(lesson: lesson.id, name: name)
                if let known = parties[group] { return known }
                // Where the first of them is in a group already it is that one, unless another of the file's is.
                let present = found?.values[partyPlace].text.flatMap { RecordID(hex: $0.string) }
                let party = [present, id].compactMap { $0 }.first { taken[lesson.id]?.contains($0) != true }
                let chosen = party ?? RecordID(derivedFrom: [Array("party".utf8), id.bytes])
                taken[lesson.id, default: []].insert(chosen)
                parties[group] = chosen
                return chosen
            }
            terms.append((BookingFields.party, party.map { Value.text(ExactText($0.description)) } ?? .null))
        }
        if let usesSeat = row.usesSeat {
            // Of whom nobody said anything needs one.
            let isUsual = usesSeat && found?.values[partyPlace + 1] ?? .null == .null
            terms.append((BookingFields.counts, isUsual ? .null : .integer(usesSeat ? 1 : 0)))
        }
        return terms
    }

    /// Where what was looked up holds the group; behind it stands whether a seat is needed.
    private let partyPlace = PersonDetails(name: "").fields.count

    /// Behind everybody who asked before the import; among themselves its rows keep the order of the file.
    private func depth(of lesson: StoredRecord) throws -> UInt64 {
        if let known = depths[lesson.id] { return known }
        let depth = try transaction.seats(of: lesson).depth + 1
        depths[lesson.id] = depth
        return depth
    }

    private func lesson(_ code: ExactText) throws -> StoredRecord? {
        if let known = lessons[code] { return known }
        let found = try transaction.records(
            WardSchema.lesson,
            where: "code = ? AND deleted = 0",
            [.text(code)],
            limit: 1
        ).first
        if let found { try transaction.requireWrite(site, found.space) }
        lessons[code] = .some(found)
        return found
    }

    private static func unknown(_ number: ExactText, line: Int, isAmbiguous: Bool) -> ImportProblem {
        if isAmbiguous { return .ambiguous(line: line, column: "number", value: number.string) }
        return ImportProblem(
            line: line,
            code: "unknown_resident",
            column: "number",
            value: number.string,
            Localized(ja: "この宛名番号の住民はいません", en: "no resident has this number"),
            hint: Localized(ja: "番号を確かめるか、氏名で書いてください", en: "check the number, or write the name instead")
        )
    }

    // MARK: - Writing

    private func create(
        _ id: RecordID,
        _ lesson: StoredRecord,
        _ booker: Booker,
        _ needs: [ExactText],
        _ terms: Terms
    ) throws {
        entry.clear()
        for (field, value) in BookingFields.registers(lesson.id, booker) + terms where value != .null {
            entry.write(value, at: shapes.place(of: field))
        }
        if !needs.isEmpty {
            entry.write(
                Items(added: needs.map { Items.Item(Array($0.utf8)) }),
                at: shapes.place(of: LessonGroups.needs.fields[0].number)
            )
        }
        let step = Transition(from: "", to: BookingState.requested, reason: "")
        entry.write(
            Items(added: [Items.Item(depth: try depth(of: lesson), step.encoded)]),
            at: shapes.place(of: LessonGroups.status.fields[0].number)
        )
        touchedLessons.insert(lesson.space)
        try transaction.draft(lesson.space, by: site.person).append(shapes.shape(entry.mask), id: id) {
            entry.writeSlots(&$0)
        }
        if let resident = booker.resident { try writeLink(id, lesson.space, resident) }
    }

    private func writeLink(_ booking: RecordID, _ space: SpaceID, _ resident: RecordID) throws {
        let id = PersonKey.link(of: booking)
        guard try links.find(.bytes(id.bytes)) == nil else { return }
        link.clear()
        for (field, value) in BookingFields.link(booking, space, resident) {
            link.write(value, at: linkShapes.place(of: field))
        }
        try transaction.draft(.residents, by: site.person).append(linkShapes.shape(link.mask), id: id) {
            link.writeSlots(&$0)
        }
    }

    /// Brings what the lesson is told of the person up to date.
    ///
    /// A cancelled booking stays cancelled.
    private func update(
        _ id: RecordID,
        _ found: RecordLookup.Found,
        _ lesson: StoredRecord,
        _ booker: Booker,
        _ needs: [ExactText],
        _ terms: Terms,
        applies: Bool
    ) throws {
        entry.clear()
        for (place, field) in booker.details.fields.enumerated() where found.values[place] != field.value {
            entry.write(field.value, at: shapes.place(of: field.number))
        }
        for (field, value) in terms
        where found.values[partyPlace + (field == BookingFields.party ? 0 : 1)] != value {
            entry.write(value, at: shapes.place(of: field))
        }
        let wanted = Set(needs.map { Array($0.utf8) })
        let present = try Set(transaction.items(of: found.rid, group: LessonGroups.needs).map(\.content))
        if wanted != present {
            let added = wanted.subtracting(present).sorted { $0.lexicographicallyPrecedes($1) }
            let removed = present.subtracting(wanted).sorted { $0.lexicographicallyPrecedes($1) }
            entry.write(
                Items(added: added.map { Items.Item($0) }, removed: removed),
                at: shapes.place(of: LessonGroups.needs.fields[0].number)
            )
        }
        guard entry.mask != 0 else {
            counts.unchanged += 1
            return
        }
        counts.updated += 1
        guard applies else { return }
        // Who comes with whom, and who needs a seat, decides who moves up.
        touchedLessons.insert(lesson.space)
        try transaction.draft(lesson.space, by: site.person).append(shapes.shape(entry.mask), id: id) {
            entry.writeSlots(&$0)
        }
    }
}
