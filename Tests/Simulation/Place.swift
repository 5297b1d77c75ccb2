// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// A site of a simulated ward, with what the simulation knows of it.
final class Place {
    let index: Int
    let name: String
    let role: Role
    let machine: SimulatedMachine
    let directory: DataDirectory
    let person: Operator
    /// What its grants cover, in the words of grants; only ever more.
    var scope: [String]
    /// Whether it knows the schema's second version.
    var isWide: Bool
    /// The opened site; `nil` before it joined, and while it is down.
    private(set) var site: Site?
    /// The device that it works on, or last worked on.
    private(set) var device: DeviceID?
    /// Answers those who sync with this place.
    private(set) var hub: Hub?
    /// The code to join with; `nil` for the founder, and for whoever has to be invited anew.
    var code: String?
    var isJoined = false
    /// Whether nobody can reach it, nor it anybody.
    var isCutOff = false

    /// What was in effect at the last look, by space; never less afterwards.
    var inEffect: [SpaceID: VersionVector] = [:]
    /// The latest that its machine's clock ever showed, Unix milliseconds.
    var latest: UInt64 = 0
    /// The stamp of its last change.
    var stamp: UInt64 = 0
    /// Under which replica it writes, as of the last look.
    var replica: ReplicaID?
    /// What it wrote and acknowledged under that replica, by space.
    var acknowledged: [SpaceID: UInt64] = [:]
    /// Its disk as it once was.
    var image: Image?
    /// How far the numbers of its replica went when an older disk came back, in spaces where others knew later ones;
    /// `nil` once it goes on as another replica.
    var putBack: [SpaceID: UInt64]?
    /// Parts of transactions that were here before their partner's space was.
    var exempt: Set<Dot> = []
    /// What its seats came from at the last look.
    var seatKey = ""
    /// The changes in effect of each space whose tables were compared with the model since this process began.
    var compared: [SpaceID: VersionVector] = [:]
    /// Who was shown to have a seat then.
    var shownSeats: Set<RecordID> = []
    /// What it was about to write when its power went.
    var tentative: [WardSimulation.Written] = []

    init(
        index: Int,
        name: String,
        role: Role,
        machine: SimulatedMachine,
        directory: DataDirectory,
        scope: [String],
        isWide: Bool
    ) {
        self.index = index
        self.name = name
        self.role = role
        self.machine = machine
        self.directory = directory
        self.scope = scope
        self.isWide = isWide
        person = Operator(id: ExactText(name), label: ExactText("担当 \(name)"))
    }

    /// A copy of a disk, and what it held.
    struct Image {
        let disk: SimulatedDisk
        let replica: ReplicaID
        let vectors: [SpaceID: [ReplicaID: UInt64]]
    }

    var schema: Schema { isWide ? SimulatedSchema.v2 : SimulatedSchema.v1 }

    var note: CollectionSchema { schema.collection(SimulatedSchema.number)! }

    func begin(_ site: Site) {
        self.site = site
        device = site.keys.device
        hub = Hub(site)
        compared = [:]
    }

    /// Forgets the device that was erased: whatever comes next is another.
    func leave() {
        (code, isJoined, image, putBack, replica) = (nil, false, nil, nil, nil)
        // Whom the recovery key made an admin is none under another name.
        scope.removeAll { $0 == "*" }
        (inEffect, acknowledged, exempt, stamp, tentative) = ([:], [:], [], 0, [])
        (seatKey, shownSeats) = ("", [])
    }

    /// Ends the process, whether the disk still answers or not.
    func end() {
        try? site?.store.close()
        site = nil
        hub = nil
    }

    func open() throws {
        begin(try Site.open(directory, person: person, schema: schema, environment: machine.environment))
    }

    /// Whether it has heard that its rights have ended, and not handed in everything yet.
    var knowsItsEnd: Bool {
        get throws {
            guard let site else { return false }
            return try site.read { try $0.currentAccess()?.isRevoked(site.keys.device) == true }
        }
    }

    func mayHold(_ space: SpaceID) -> Bool { space == .system || scope.contains { space.matches($0) } }
}

/// The ward's schema, and notes beside it that have a group of every kind.
enum SimulatedSchema {
    static let number: UInt32 = 40

    /// Spaces of notes: everybody's, and one that not all hold.
    static let spaces = ["notes/a", "notes/b"].map { SpaceID($0)! }

    private static func schema(_ version: UInt32, _ note: CollectionSchema, _ others: [CollectionSchema]) -> Schema {
        let notes = CollectionSchema(number, note.name, note.label, spaces: "notes/*", groups: note.groups)
        return Schema(
            version: version,
            collections: Site.schema.collections.filter { $0.number >= 16 } + [notes] + others,
            searchKey: Site.schema.searchKey
        )
    }

    /// What a program goes by that knows no limits: everybody writes everything.
    static let lax = Schema(
        version: v1.version,
        collections: v1.collections.filter { $0.number >= 16 }.map { collection in
            CollectionSchema(
                collection.number,
                collection.name,
                collection.label,
                spaces: collection.spaces,
                writers: Role.allCases,
                groups: collection.groups.map {
                    MergeGroup($0.number, $0.name, $0.label, $0.kind, $0.fields, machine: $0.machine)
                }
            )
        },
        searchKey: Site.schema.searchKey
    )

    static let v1 = schema(101, TestSchema.note, [])
    static let v2 = schema(102, TestSchema.wideNote, [])
}
