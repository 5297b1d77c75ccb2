// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
package import Foundation
import Synchronization
package import TsunaguCore
package import TsunaguStore

/// A directory that goes with the test.
package final class Scratch: Sendable {
    package let url: URL

    package init() throws {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("tsunagu-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    package var path: String { url.path }

    package func path(_ name: String) -> String { url.appendingPathComponent(name).path }
}

/// A clock and a generator that a test holds in its hand.
package final class TestMachine: Sendable {
    private let state: Mutex<(now: UInt64, generator: SeededGenerator)>

    package init(now: UInt64 = 1_800_000_000_000, seed: UInt64) {
        state = Mutex((now, SeededGenerator(seed: seed)))
    }

    package var now: UInt64 {
        get { state.withLock { $0.now } }
        set { state.withLock { $0.now = newValue } }
    }

    package var environment: Store.Environment {
        Store.Environment(
            now: { self.now },
            random: { self.state.withLock { $0.generator.next() } }
        )
    }
}

/// A device with keys, a store and a clock: what a test calls a site.
package final class TestSite {
    package let name: String
    package let key: Curve25519.Signing.PrivateKey
    package let replica: ReplicaID
    package let machine: TestMachine
    package let path: String
    package private(set) var store: Store
    package let person: Operator

    package var device: DeviceID { replica.device }
    package var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

    /// A new site, empty but for its keys and the founder's.
    ///
    /// - Parameter root: the founder; `nil` where this is the founder.
    package init(
        _ name: String,
        in scratch: Scratch,
        root: TestSite? = nil,
        schema: Schema = TestSchema.v1,
        seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        self.name = name
        key = try Curve25519.Signing.PrivateKey(rawRepresentation: generator.bytes(32))
        let publicKey = Array(key.publicKey.rawRepresentation)
        replica = ReplicaID(of: DeviceID(signingKey: publicKey), drawn: generator.next())
        machine = TestMachine(seed: generator.next())
        path = scratch.path("\(name).db")
        person = Operator(id: ExactText(name), label: ExactText("担当 \(name)"))
        store = try Store.create(at: path, schema: schema, environment: machine.environment)
        let own = replica
        let (rootDevice, rootKey) = (root?.device ?? own.device, root?.publicKey ?? publicKey)
        try store.write { transaction in
            try transaction.setMeta("replica", .bytes(own.bytes))
            try transaction.setMeta("root", .bytes(rootDevice.bytes))
            try transaction.setMeta("root_key", .bytes(rootKey))
        }
    }

    /// Ends the process, so to say, and starts another on the same file.
    package func reopen(schema: Schema? = nil) throws {
        let schema = schema ?? store.schema
        try store.close()
        store = try Store.open(at: path, schema: schema, environment: machine.environment)
    }

    private init(_ original: TestSite, name: String, path: String, seed: UInt64) throws {
        self.name = name
        (key, replica, person) = (original.key, original.replica, original.person)
        machine = TestMachine(now: original.machine.now, seed: seed)
        self.path = path
        store = try Store.open(at: path, schema: original.store.schema, environment: machine.environment)
    }

    /// Another machine with a copy of this one's disk, keys included, that goes on beside it.
    package func copied(as name: String, in scratch: Scratch, seed: UInt64) throws -> TestSite {
        let copy = scratch.path("\(name).db")
        try store.close()
        try FileManager.default.copyItem(atPath: path, toPath: copy)
        store = try Store.open(at: path, schema: store.schema, environment: machine.environment)
        return try TestSite(self, name: name, path: copy, seed: seed)
    }

    // MARK: - System records

    /// Makes another device known: its record, and a grant where it gets one.
    package func admit(_ site: TestSite, role: Role? = .branch, spaces: String = "*", writes: Bool = true) throws {
        _ = try store.write { transaction in
            try transaction.draft(.system, by: person).create(
                SystemSchema.device,
                id: RecordID(bytes: site.device.bytes)!,
                [(2, .text(site.name)), (3, .text(Hex.encode(site.publicKey)))]
            )
        }
        if let role { try grant(site, role: role, spaces: spaces, writes: writes) }
    }

    package func grant(_ site: TestSite, role: Role = .branch, spaces: String = "*", writes: Bool = true) throws {
        _ = try store.write { transaction in
            try transaction.draft(.system, by: person).create(
                SystemSchema.grant,
                [
                    (1, .text(site.device.description)), (2, .text(role.rawValue)), (3, .text(spaces)),
                    (4, .text(writes ? "write" : "read")),
                ]
            )
        }
    }

    /// Ends a site's rights; what it wrote in the test's space is honoured up to these numbers, `nil` for all of it.
    package func revoke(_ site: TestSite, after last: [ReplicaID: UInt64]?, system: UInt64 = 0) throws {
        try revoke(site, with: last.map { Revocation.Cut([TestSchema.space: $0, .system: [site.replica: system]]) })
    }

    /// Ends a site's rights; what it wrote is honoured as far as a cut says.
    package func revoke(_ site: TestSite, with cut: Revocation.Cut?) throws {
        _ = try store.write { transaction in
            try transaction.draft(.system, by: person).create(
                SystemSchema.revocation,
                [
                    (1, .text(site.device.description)), (2, .text(cut == nil ? "retired" : "lost")),
                    (3, cut.map { .text(ExactText($0.text)) } ?? .null),
                ]
            )
        }
    }

    /// Lets chains of the test's space take effect up to these numbers.
    package func adopt(_ last: [ReplicaID: UInt64]) throws {
        let chains = Revocation.Cut([TestSchema.space: last])
        _ = try store.write { transaction in
            try transaction.draft(.system, by: person).create(
                SystemSchema.adoption,
                [(1, .text(ExactText(chains.text)))]
            )
        }
    }

    // MARK: - Exchange

    package func seal() throws {
        let key = key
        try store.write { try $0.seal { try Self.sign($0, with: key) } }
    }

    package static func sign(_ message: [UInt8], with key: Curve25519.Signing.PrivateKey) throws -> [UInt8] {
        Array(try key.signature(for: message))
    }

    /// Seals and gives every run of a space that a peer of some vector lacks.
    package func runs(_ space: SpaceID, lacking vector: [ReplicaID: UInt64] = [:]) throws -> [RunEnvelope] {
        try seal()
        return try store.read { transaction in
            try transaction.runs(of: space, lacking: vector).compactMap { try transaction.run($0) }
        }
    }

    package func vector(_ space: SpaceID) throws -> [ReplicaID: UInt64] {
        let entries = try store.read { try $0.vector(of: space) }
        return Dictionary(uniqueKeysWithValues: entries.map { ($0.replica, $0.seq) })
    }

    @discardableResult
    package func receive(_ runs: [RunEnvelope]) throws -> [Receipt] {
        try runs.map { run in try store.write { try $0.receive(run) } }
    }

    /// Takes runs as an exchange does: whoever is shown to be a copy goes on as another replica.
    package func take(_ runs: [RunEnvelope]) throws {
        for run in runs {
            try store.write { transaction in
                _ = try transaction.receive(run)
                guard transaction.returner != nil else { return }
                try transaction.beginIncarnation { try Self.sign($0, with: key) }
            }
        }
    }

    /// Takes everything of `peer` that is lacking here.
    @discardableResult
    package func pull(from peer: TestSite, _ spaces: [SpaceID] = [.system, TestSchema.space]) throws -> [Receipt] {
        try spaces.flatMap { space in try receive(peer.runs(space, lacking: try vector(space))) }
    }

    package func exchange(with peer: TestSite) throws {
        try pull(from: peer)
        try peer.pull(from: self)
    }

    package func digest(_ space: SpaceID = TestSchema.space) throws -> Bytes16? {
        try store.read { try $0.digest(of: space) }
    }

    // MARK: - Records

    @discardableResult
    package func write<R>(_ space: SpaceID = TestSchema.space, _ body: (Draft) throws -> R) throws -> R {
        try store.write { try body($0.draft(space, by: person)) }
    }

    package func record(_ id: RecordID, _ collection: CollectionSchema = TestSchema.note) throws -> StoredRecord? {
        try store.read { try $0.record(store.schema.collection(collection.number) ?? collection, id) }
    }

    package func conflicts() throws -> [StoreTransaction.ConflictRow] { try store.read { try $0.conflicts() } }
}

/// Founder and further sites that know each other; all have a grant, or those that `granting` names.
package func makeWard(
    _ names: [String],
    in scratch: Scratch,
    seed: UInt64 = 1,
    schema: Schema = TestSchema.v1,
    granting: ArraySlice<String>? = nil
) throws -> [TestSite] {
    let root = try TestSite(names[0], in: scratch, schema: schema, seed: seed &* 1000)
    var sites = [root]
    for (index, name) in names.enumerated().dropFirst() {
        let site = try TestSite(name, in: scratch, root: root, schema: schema, seed: seed &* 1000 &+ UInt64(index))
        try root.admit(site, role: granting?.contains(name) == false ? nil : .branch)
        sites.append(site)
    }
    for site in sites.dropFirst() { try site.pull(from: root, [.system]) }
    return sites
}
