// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCore
import TsunaguStore

/// The JSON of `Protocol/vectors`, whose keys `Protocol/README.md` describes.
struct Vector: Codable {
    struct Run: Codable {
        var space: String
        var replica: String
        var first: UInt64
        var count: Int
        var seal: String
        var body: String
        var receipt: String
        /// Of the last change, where the run is in the log when all runs were given.
        var headerHash: String?

        var envelope: RunEnvelope {
            get throws {
                guard let space = SpaceID(space), let replica = ReplicaID(hex: replica),
                    let seal = Hex.decode(seal), let body = Hex.decode(body)
                else { throw CodecError.invalid("a run of a vector") }
                return RunEnvelope(
                    space: space,
                    replica: replica,
                    first: first,
                    count: count,
                    signature: seal,
                    body: body
                )
            }
        }

        init(_ run: RunEnvelope, receipt: String = "") {
            space = run.space.name
            replica = run.replica.description
            first = run.first
            count = run.count
            seal = Hex.encode(run.signature)
            body = Hex.encode(run.body)
            self.receipt = receipt
        }
    }

    struct Collection: Codable {
        struct Group: Codable {
            var number: UInt32
            var kind: String
            var fields: [Field]
            var machine: Machine?
            var writers: [String]?
        }

        struct Field: Codable {
            var number: UInt32
            var kind: String
        }

        struct Machine: Codable {
            var steps: [[String]]
            var twins: String
            var yielding: [[String]]
        }

        var number: UInt32
        var writers: [String]?
        var groups: [Group]
    }

    struct Space: Codable {
        struct Position: Codable {
            var replica: String
            var seq: UInt64
            var headerHash: String
        }

        struct Range: Codable {
            var replica: String
            var first: UInt64
            var last: UInt64
        }

        struct Record: Codable {
            var collection: UInt32
            var id: String
            var deleted: Bool
            var fields: [String: Shown]
        }

        var vector: [Position]
        var exceptions: [Range]
        var digest: String
        var conflicts: [String]
        var records: [Record]
    }

    enum Shown: Codable {
        case text(String)
        case integer(Int64)
        case list([String])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let list = try? container.decode([String].self) {
                self = .list(list)
            } else if let integer = try? container.decode(Int64.self) {
                self = .integer(integer)
            } else {
                self = .text(try container.decode(String.self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .integer(let integer): try container.encode(integer)
            case .list(let list): try container.encode(list)
            }
        }
    }

    var description: String
    var rootSigningKey: String
    var collections: [Collection]
    var runs: [Run]
    var spaces: [String: Space]
}

/// Runs that are to be refused, by a reader that took in runs of an accepted vector.
struct RefusalVector: Codable {
    struct Case: Codable {
        var because: String
        /// How many runs of the accepted vector are taken first.
        var after: Int
        var runs: [Vector.Run]
    }

    var description: String
    /// The vector's file, as seen from this one.
    var accepted: String
    var cases: [Case]
}

extension Encodable {
    /// The bytes of a vector's file.
    var vectorJSON: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self) + Data("\n".utf8)
        }
    }
}

// MARK: - Making vectors

/// A reader that knows the founder's key and nothing else, and may hold every space.
struct VectorReader {
    let store: Store
    private let scratch: Scratch

    init(rootSigningKey: String, schema: Schema) throws {
        scratch = try Scratch()
        store = try Store.create(at: scratch.path("reader.db"), schema: schema)
        guard let key = Hex.decode(rootSigningKey) else { throw CodecError.invalid("a key of a vector") }
        let root = DeviceID(signingKey: key)
        try store.write { transaction in
            try transaction.setMeta("replica", .bytes(ReplicaID(device: root, incarnation: 0).bytes))
            try transaction.setMeta("root", .bytes(root.bytes))
            try transaction.setMeta("root_key", .bytes(key))
        }
    }

    /// What becomes of a run, as the vectors' word.
    func receive(_ run: RunEnvelope) throws -> String {
        switch try store.write({ try $0.receive(run) }) {
        case .applied: "applied"
        case .duplicate: "duplicate"
        case .held: "held"
        case .quarantined: "quarantined"
        case .partial: "partial"
        case .refused(let refusal): refusal.code
        }
    }

    func headerHash(_ run: RunEnvelope) throws -> String? {
        try store.read { try $0.headerHash(of: run.replica, at: run.last, in: run.space) }.map { Hex.encode($0) }
    }
}

extension Vector {
    /// What a reader makes of runs that it is given in order.
    init(_ description: String, rootSigningKey: String, schema: Schema, runs: [RunEnvelope]) throws {
        self.description = description
        self.rootSigningKey = rootSigningKey
        collections = schema.collections.filter { $0.number >= 16 }.map(Collection.init)
        let reader = try VectorReader(rootSigningKey: rootSigningKey, schema: schema)
        self.runs = try runs.map { Run($0, receipt: try reader.receive($0)) }
        for index in runs.indices { self.runs[index].headerHash = try reader.headerHash(runs[index]) }
        spaces = try reader.store.read { transaction in
            try Dictionary(
                uniqueKeysWithValues: Set(runs.map(\.space)).map { ($0.name, try Space(of: $0, transaction)) }
            )
        }
    }
}

extension Vector.Collection {
    init(_ collection: CollectionSchema) {
        number = collection.number
        let usual: [Role] = [.admin, .branch, .venue]
        writers = collection.writers == usual ? nil : collection.writers.map(\.rawValue)
        groups = collection.groups.map { group in
            Group(
                number: group.number,
                kind: group.kind.rawValue,
                fields: group.fields.map { Field(number: $0.number, kind: $0.kind == .integer ? "integer" : "text") },
                machine: group.machine.map(Machine.init),
                writers: group.writers?.map(\.rawValue)
            )
        }
    }
}

extension Vector.Collection.Machine {
    init(_ machine: FlowMachine) {
        steps = machine.steps.map { [$0.from.string, $0.to.string] }
        twins = machine.twins == .one ? "one" : "each"
        let states = Set(machine.steps.map(\.to)).sorted()
        yielding = states.flatMap { state in
            states.filter { machine.yields(state, to: $0) }.map { [state.string, $0.string] }
        }
    }
}

extension Vector.Space {
    init(of id: SpaceID, _ transaction: StoreTransaction) throws {
        vector = try transaction.vector(of: id).map {
            Position(replica: $0.replica.description, seq: $0.seq, headerHash: Hex.encode($0.hash))
        }
        exceptions = try transaction.waiting(in: id).map {
            Range(replica: $0.replica.description, first: $0.first, last: $0.last)
        }
        digest = Hex.encode(try transaction.digest(of: id)?.bytes ?? Array(repeating: 0, count: 16))
        let collections = transaction.schema.collections
        let stored = try collections.flatMap { collection in
            try transaction.records(collection).filter { $0.space == id }
        }
        conflicts = try stored.flatMap { try transaction.conflicts(rid: $0.rid).map(\.id) }.sorted()
        records = try stored.map { try Record($0, transaction) }.sorted {
            ($0.collection, $0.id) < ($1.collection, $1.id)
        }
    }
}

extension Vector.Space.Record {
    init(_ record: StoredRecord, _ transaction: StoreTransaction) throws {
        collection = record.collection.number
        id = record.id.description
        deleted = record.deleted
        fields = [:]
        for group in record.collection.groups {
            for field in group.fields { fields["\(field.number)"] = try Self.shown(field, group, record, transaction) }
        }
    }

    private static func shown(
        _ field: Field,
        _ group: MergeGroup,
        _ record: StoredRecord,
        _ transaction: StoreTransaction
    ) throws -> Vector.Shown? {
        let contents = try transaction.items(of: record.rid, group: group).map(\.content)
        switch group.kind {
        case .seats: return nil
        case .log: return contents.isEmpty ? nil : .list(contents.map { String(decoding: $0, as: UTF8.self) })
        case .set:
            let elements = Set(contents).sorted { $0.lexicographicallyPrecedes($1) }
            return elements.isEmpty ? nil : .list(elements.map { String(decoding: $0, as: UTF8.self) })
        case .counter where contents.isEmpty: return nil
        case .latest, .review, .counter, .flow: break
        }
        switch record.values[field.name] {
        case .text(let text): return .text(text.string)
        case .integer(let integer): return .integer(integer)
        case .null, .bytes, nil: return nil
        }
    }
}
