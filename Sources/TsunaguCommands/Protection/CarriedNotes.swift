// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// A note with who wrote it and when, as it goes from one record of a person to the next.
struct CarriedNote {
    let text: ExactText
    let person: Operator
    let device: DeviceID
    let timestamp: Timestamp
    /// The place in the list that it comes from.
    let place: Int
    /// The change that wrote it, and its place there: whoever carries it makes one record.
    let name: [UInt8]

    init(_ text: ExactText, _ person: Operator, _ device: DeviceID, _ timestamp: Timestamp, place: Int, name: [UInt8]) {
        self.text = text
        self.person = person
        self.device = device
        self.timestamp = timestamp
        self.place = place
        self.name = name
    }

    init?(_ row: StoredRecord) {
        guard let text = row.values["text"]?.text, let device = row.text("device").flatMap({ DeviceID(hex: $0) })
        else { return nil }
        self.init(
            text,
            Operator(id: row.values["operator_id"]?.text ?? "", label: row.values["operator_label"]?.text ?? ""),
            device,
            Timestamp(raw: UInt64(bitPattern: row.integer("stamp") ?? 0)),
            place: Int(row.integer("place") ?? 0),
            name: row.text("origin").flatMap { Hex.decode($0) } ?? row.id.bytes
        )
    }

    /// The record that carries it for a person.
    func record(for resident: RecordID) -> RecordID {
        RecordID(derivedFrom: [Array("carried_note".utf8), resident.bytes, name])
    }

    /// What that record holds.
    func values(for resident: RecordID) -> [(field: UInt32, value: Value)] {
        [
            (1, .text(resident.description)), (2, .text(text)), (3, .text(person.id)), (4, .text(person.label)),
            (5, .text(device.description)), (6, .integer(Int64(bitPattern: timestamp.raw))),
            (7, .integer(Int64(place))), (8, .text(Hex.encode(name))),
        ]
    }
}

extension Draft {
    func create(_ note: CarriedNote, for resident: RecordID) throws {
        try create(WardSchema.carriedNote, id: note.record(for: resident), note.values(for: resident))
    }
}

extension StoreTransaction {
    /// The notes that a record's person brought along, oldest first.
    func carriedNotes(of resident: RecordID) throws -> [(record: RecordID, note: CarriedNote)] {
        try records(
            WardSchema.carriedNote,
            where: "resident = ? ORDER BY stamp, device, place, id",
            [.text(resident.description)]
        ).compactMap { row in CarriedNote(row).map { (row.id, $0) } }
    }

    /// The notes that a resident's person brought along, less those that came back to where they were written.
    func notesBrought(to row: StoredRecord) throws -> [CarriedNote] {
        let brought = try carriedNotes(of: row.id).map(\.note)
        if brought.isEmpty { return [] }
        let own = Set(try items(of: row.rid, group: ProtectionGroups.notes).map { CarriedNote.name($0, in: row.space) })
        return brought.filter { !own.contains($0.name) }
    }

    /// All notes of a resident, those that were brought along first.
    func notes(of row: StoredRecord) throws -> [CarriedNote] {
        let own = try items(of: row.rid, group: ProtectionGroups.notes).compactMap { item -> CarriedNote? in
            guard let text = ExactText(validating: item.content), let header = try header(of: item.dot, in: row.space)
            else { return nil }
            return CarriedNote(
                text,
                header.author,
                item.dot.replica.device,
                item.timestamp,
                place: item.index,
                name: CarriedNote.name(item, in: row.space)
            )
        }
        return try notesBrought(to: row) + own
    }
}

extension CarriedNote {
    /// What an entry of a list is called once it is carried on.
    fileprivate static func name(_ item: StoreTransaction.ItemRow, in space: SpaceID) -> [UInt8] {
        name(item.dot, in: space, place: item.index)
    }

    /// The same of an entry by its change and place; chains of different spaces number alike.
    static func name(_ dot: Dot, in space: SpaceID, place: Int) -> [UInt8] {
        var name = dot.name
        name.appendVarint(UInt64(place))
        name += space.name.utf8
        return name
    }
}

extension Dot {
    /// The bytes that name the change.
    var name: [UInt8] {
        var out = replica.bytes
        out.appendVarint(seq)
        return out
    }
}
