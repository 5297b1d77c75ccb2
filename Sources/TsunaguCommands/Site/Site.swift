// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore
import TsunaguWard

/// An opened data directory: what every command works on.
package final class Site: Sendable {
    package let directory: DataDirectory
    package let store: Store
    package let keys: DeviceKeys
    /// The person at the keyboard.
    package let person: Operator

    private init(_ directory: DataDirectory, _ store: Store, _ keys: DeviceKeys, _ person: Operator) {
        self.directory = directory
        self.store = store
        self.keys = keys
        self.person = person
    }

    /// What a ward's sites keep where nobody brings a schema of his own.
    package static var schema: Schema { WardSchema.schema }

    /// Opens the site of a data directory.
    package static func open(
        _ directory: DataDirectory,
        person: Operator,
        schema: Schema = Site.schema,
        environment: Store.Environment = .system
    ) throws -> Site {
        if DataDirectory.exists(directory.farewell) { throw try erased(directory, environment.files) }
        guard environment.files.exists(directory.database) || directory.ward == nil else {
            throw CommandError.databaseLost(directory, .notFound)
        }
        let store = try translating {
            try Store.open(at: directory.database, schema: schema, environment: environment)
        }
        guard let text = try DataDirectory.read(directory.deviceKey), let keys = DeviceKeys(text) else {
            throw CommandError(
                .failed,
                Localized(
                    ja: "端末の鍵がないか読めません: \(directory.deviceKey)",
                    en: "the device key \(directory.deviceKey) is missing or unreadable"
                ),
                hint: .startAgain
            )
        }
        let site = Site(directory, store, keys, person)
        try site.check()
        if keys.root == nil { site.rememberRoot() }
        return site
    }

    /// Notes beside the keys which ward they are of: where the database alone is lost, that says which recovery key is
    /// right.
    private func rememberRoot() {
        var keys = keys
        guard let root = try? read({ try $0.root() }) else { return }
        keys.root = root
        // What cannot be written now is written at the next opening.
        try? DataDirectory.write(keys.encoded, to: directory.deviceKey)
    }

    /// The keys and the database must be of one device.
    private func check() throws {
        let own = try read { try $0.ownReplica() }
        guard own?.device == keys.device else {
            throw CommandError(
                .failed,
                Localized(ja: "鍵とデータベースが別の端末のものです", en: "the key and the database are of different devices"),
                hint: Localized(ja: "データの場所を確かめてください", en: "check the data directory")
            )
        }
    }

    /// Makes the files of a new site: keys first, then a store that knows its replica and holds what `body` writes.
    ///
    /// The store is whole before it has its name, so a process that dies in between leaves nothing half made, and the
    /// next try goes on with the same keys.
    static func create(
        _ directory: DataDirectory,
        person: Operator,
        schema: Schema,
        environment: Store.Environment,
        root: (device: DeviceID, key: [UInt8]?),
        _ body: (Site, StoreTransaction) throws -> Void
    ) throws -> Site {
        try directory.create()
        guard !environment.files.exists(directory.database) else {
            throw CommandError(StoreError.exists(path: directory.database))
        }
        var keys: DeviceKeys
        if let text = try DataDirectory.read(directory.deviceKey), let known = DeviceKeys(text) {
            keys = known
        } else {
            keys = DeviceKeys(random: environment.random)
            try DataDirectory.write(keys.encoded, to: directory.deviceKey)
        }
        // Which ward new keys are of is noted once there is a database.
        if keys.root != nil, keys.root != root.device {
            keys.root = root.device
            try DataDirectory.write(keys.encoded, to: directory.deviceKey)
        }
        let temporary = directory.database + ".new"
        for suffix in ["", "-wal", "-shm"] { environment.files.remove(temporary + suffix) }
        let store = try translating {
            try Store.create(at: temporary, schema: schema, environment: environment)
        }
        let site = Site(directory, store, keys, person)
        let replica = ReplicaID(of: keys.device, drawn: store.random())
        try site.write { transaction in
            try transaction.setMeta("replica", .bytes(replica.bytes))
            // Which store this is: peers notice when another answers in its place.
            try transaction.setMeta("epoch", .bytes(store.random128().bytes))
            try transaction.setMeta("root", .bytes(root.device.bytes))
            if let key = root.key { try transaction.setMeta("root_key", .bytes(key)) }
            try body(site, transaction)
        }
        try translating {
            // Under its name it is opened without the log that stands beside it now.
            try store.checkpoint()
            try store.close()
            // What a database that was lost left there would be played into this one.
            for file in ["-wal", "-shm"].map({ directory.database + $0 }) where environment.files.exists(file) {
                try environment.files.rename(file, to: file + DataDirectory.aside(environment))
            }
            try environment.files.rename(temporary, to: directory.database)
        }
        DataDirectory.remove(directory.farewell)
        return try open(directory, person: person, schema: schema, environment: environment)
    }

    /// Whether this device speaks for the ward.
    package func isAdmin() throws -> Bool { try read { try $0.currentAccess()?.isAdmin(keys.device) == true } }

    /// What programs of the owner show to the daemon's local API; made by the first daemon that asks.
    package func apiToken() throws -> String {
        let known = try DataDirectory.read(directory.apiToken)?.split(separator: "\n").first
        if let known { return String(known) }
        let token = Hex.encode(store.random128().bytes + store.random128().bytes)
        try DataDirectory.write(token + "\n", to: directory.apiToken)
        return token
    }

    /// Reads one consistent state.
    package func read<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        try Self.translating { try store.read(body) }
    }

    /// Writes in one transaction.
    package func write<R>(_ body: (StoreTransaction) throws -> R) throws -> R {
        try Self.translating {
            try store.write { transaction in
                try transaction.forgetContactsWhereDue(by: self)
                let result = try body(transaction)
                try transaction.settle()
                try transaction.keepOutcomes(by: self)
                try transaction.settleProtection(by: self)
                try transaction.beginIncarnationWhereDue(keys)
                return result
            }
        }
    }

    /// Seals what this replica wrote.
    package func seal() throws {
        try write { try $0.seal { try self.keys.sign($0) } }
    }

    static func translating<R>(_ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as StoreError {
            throw CommandError(error)
        }
    }
}

extension StoreTransaction {
    /// Goes on as a new replica where others know more of what was written here than this store does: it is an older
    /// copy of itself; and where a grant fell that its chain stands on, so that what is written next counts by others.
    package func beginIncarnationWhereDue(_ keys: DeviceKeys) throws {
        if let returner, !Mutant.numbersAreGivenAgain.isPlanted {
            try note("own_changes_returned", returner.short)
        } else if try !isOwnWorkWithheld() {
            return
        }
        try beginIncarnation { try keys.sign($0) }
    }

    /// Fails with 77 unless this device is an admin's.
    package func requireAdmin(_ site: Site) throws {
        guard try currentAccess()?.isAdmin(site.keys.device) == true else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "この操作は管理者だけができます", en: "only an admin may do this"),
                hint: Localized(ja: "本庁に依頼してください", en: "ask the ward office")
            )
        }
    }

    /// Fails with 77 unless this device may write the space.
    package func requireWrite(_ site: Site, _ space: SpaceID) throws {
        guard try currentAccess()?.mayWrite(site.keys.device, space) == true else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "この端末は \(space) に書き込めません", en: "this device may not write \(space)"),
                hint: Localized(ja: "本庁に権限を依頼してください", en: "ask the ward office for a grant")
            )
        }
    }
}

extension Operator {
    /// Who wrote what no person did: enrolments, seats confirmed as bookings arrive.
    package static let daemon = Operator(id: "tsunagud", label: "tsunagud")
}
