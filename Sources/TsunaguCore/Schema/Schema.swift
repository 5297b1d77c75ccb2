// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// How concurrent writes to a merge group become one state.
///
/// The raw value stands in every operation on disk and wire, so a site that does not know a group yet still keeps its
/// live dots right.
public enum MergeClass: UInt8, Sendable, CaseIterable {
    /// A multi-valued register: kinds `latest` and `review`.
    case register = 1
    /// An add-wins observed-remove set.
    case set = 2
    /// A grow-only list: kind `log`.
    case log = 3
    /// A positive-negative counter.
    case counter = 4
    /// A ledger of rights or a spending of them: kind `seats`.
    case seats = 5
    /// Transitions of a declared state machine: kind `flow`.
    case flow = 6
}

/// The merge kind of a group, `engine.md` section 4.
public enum MergeKind: String, Sendable, CaseIterable {
    /// Shows the latest of concurrent values, keeps the others readable.
    case latest
    /// Concurrent differing values open a conflict that a person resolves.
    case review
    /// Add-wins observed-remove set of texts.
    case set
    /// Grow-only list in causal order.
    case log
    /// Tally that goes up and down.
    case counter
    /// Rights to seats.
    case seats
    /// Status that moves along declared transitions.
    case flow

    /// What stands on disk and wire.
    public var mergeClass: MergeClass {
        switch self {
        case .latest, .review: .register
        case .set: .set
        case .log: .log
        case .counter: .counter
        case .seats: .seats
        case .flow: .flow
        }
    }
}

/// A named value of a record.
public struct Field: Sendable {
    /// What a field's values are.
    public enum Kind: String, Sendable {
        /// Text as typed.
        case text
        /// A whole number.
        case integer
    }

    /// 1 to 126, unique in the collection and never used again.
    ///
    /// Fields of register groups need numbers below 127 since their liveness is a bit mask; 0 is the record's own life.
    public let number: UInt32
    /// English identifier, the column's name and the JSON key.
    public let name: String
    /// Japanese label, the printed name and the CSV header.
    public let label: String
    /// What it holds.
    public let kind: Field.Kind
    /// Whether its text takes part in `find`, folded by the schema's search key.
    public let searchable: Bool
    /// Whether the column carries an index, for look-ups by exact value.
    public let indexed: Bool

    /// Declares a field.
    public init(
        _ number: UInt32,
        _ name: String,
        _ label: String,
        _ kind: Field.Kind = .text,
        searchable: Bool = false,
        indexed: Bool = false
    ) {
        self.number = number
        self.name = name
        self.label = label
        self.kind = kind
        self.searchable = searchable
        self.indexed = indexed
    }
}

/// What a person decides as one thing: the fields of one merge group.
public struct MergeGroup: Sendable {
    /// 1 to 62, unique in the collection; 0 is the record's life.
    public let number: UInt32
    /// English identifier.
    public let name: String
    /// Japanese label.
    public let label: String
    /// How it merges.
    public let kind: MergeKind
    /// The members.
    ///
    /// Groups that are no registers have exactly one.
    public let fields: [Field]
    /// The states and steps of a `flow`; `nil` for every other kind.
    public let machine: FlowMachine?
    /// The roles whose devices may write it; those of the collection where `nil`.
    public let writers: [Role]?

    /// Declares a group.
    public init(
        _ number: UInt32,
        _ name: String,
        _ label: String,
        _ kind: MergeKind,
        _ fields: [Field],
        machine: FlowMachine? = nil,
        writers: [Role]? = nil
    ) {
        self.machine = machine
        self.writers = writers
        self.number = number
        self.name = name
        self.label = label
        self.kind = kind
        self.fields = fields
    }
}

/// A kind of record.
public struct CollectionSchema: Sendable {
    /// Unique in the schema and never used again; below 16 is the engine's own.
    public let number: UInt32
    /// English identifier, the table's name.
    public let name: String
    /// Japanese label.
    public let label: String
    /// The spaces it lives in, as `SpaceID.matches` reads it.
    public let spaces: String
    /// The groups.
    public let groups: [MergeGroup]
    /// The roles whose devices may write it, where a grant lets them write the space; an admin's always may.
    public let writers: [Role]

    /// Declares a collection.
    public init(
        _ number: UInt32,
        _ name: String,
        _ label: String,
        spaces: String,
        writers: [Role] = [.admin, .branch, .venue],
        groups: [MergeGroup]
    ) {
        self.writers = writers
        self.number = number
        self.name = name
        self.label = label
        self.spaces = spaces
        self.groups = groups
    }

    /// The group of a number.
    public func group(_ number: UInt32) -> MergeGroup? { groups.first { $0.number == number } }

    /// The group and field of a field's name.
    public func field(named name: String) -> (group: MergeGroup, field: Field)? {
        for group in groups {
            for field in group.fields where field.name == name { return (group, field) }
        }
        return nil
    }

    /// The roles that may write a group, 0 for the record's life; all for a group that this schema does not know.
    ///
    /// Like a number's meaning it never changes, or two versions of a program would differ on what is in effect.
    public func writers(of group: UInt32) -> [Role] {
        if group == 0 { return writers }
        return self.group(group).map { $0.writers ?? writers } ?? Role.allCases
    }

    /// The group of a field's number.
    public func group(ofField number: UInt32) -> MergeGroup? {
        groups.first { $0.fields.contains { $0.number == number } }
    }
}

/// The collections that a replica understands.
public struct Schema: Sendable {
    /// Stands in every change's header; a higher one may know more.
    public let version: UInt32
    /// The collections, the engine's own first.
    public let collections: [CollectionSchema]
    /// Folds searchable text to the key that `find` looks for; derived, never merged.
    public let searchKey: @Sendable (String) -> String

    /// Declares a schema; the engine's `system` collections are added.
    ///
    /// - Precondition: numbers and names are unique and within their bounds.
    public init(
        version: UInt32,
        collections: [CollectionSchema],
        searchKey: @escaping @Sendable (String) -> String = { $0 }
    ) {
        self.version = version
        self.collections = SystemSchema.collections + collections
        self.searchKey = searchKey
        checkInvariants()
    }

    /// The collection of a number.
    public func collection(_ number: UInt32) -> CollectionSchema? { collections.first { $0.number == number } }

    /// The collection of a name.
    public func collection(named name: String) -> CollectionSchema? { collections.first { $0.name == name } }

    private func checkInvariants() {
        precondition(Set(collections.map(\.number)).count == collections.count, "a collection number stands twice")
        precondition(Set(collections.map(\.name)).count == collections.count, "a collection name stands twice")
        for collection in collections {
            let fields = collection.groups.flatMap(\.fields)
            precondition(Set(collection.groups.map(\.number)).count == collection.groups.count, collection.name)
            precondition(
                ([0] + collection.groups.map(\.number)).allSatisfy { collection.writers(of: $0).contains(.admin) },
                "\(collection.name): an admin writes everything"
            )
            precondition(Set(fields.map(\.number)).count == fields.count, "\(collection.name): a field number twice")
            precondition(Set(fields.map(\.name)).count == fields.count, "\(collection.name): a field name twice")
            precondition(
                fields.allSatisfy { !["rid", "id", "space", "deleted", "search"].contains($0.name) },
                "\(collection.name): a field has the name of one of the table's own columns"
            )
            precondition(fields.allSatisfy { (1...126).contains($0.number) }, "\(collection.name): field number bounds")
            precondition(collection.groups.allSatisfy { (1...62).contains($0.number) }, "\(collection.name): groups")
            precondition(
                collection.groups.allSatisfy { $0.kind.mergeClass == .register || $0.fields.count == 1 },
                "\(collection.name): only registers have several members"
            )
            precondition(
                collection.groups.allSatisfy { ($0.kind == .flow) == ($0.machine != nil) },
                "\(collection.name): a flow declares its machine, and nothing else has one"
            )
        }
    }
}
