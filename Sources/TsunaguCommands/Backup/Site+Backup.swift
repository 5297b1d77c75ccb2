// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

#if canImport(Glibc)
    import Glibc
#endif

extension Site {
    /// A passphrase is typed by a person and guards a ward's data.
    package static let passphraseBytesMin = 8

    /// Writes all that this site is into one file that only the passphrase opens: the data as of one moment, and the keys.
    ///
    /// What was removed from the data is not in it.
    package func backUp(to path: String, passphrase: [UInt8]) throws {
        guard passphrase.count >= Self.passphraseBytesMin else {
            throw CommandError(
                .usage,
                Localized(
                    ja: "合言葉は \(Self.passphraseBytesMin) バイト以上にしてください",
                    en: "a passphrase has at least \(Self.passphraseBytesMin) bytes"
                )
            )
        }
        let output = try OutputFile(path, replacing: BackupFile.magic)
        let copy = directory.backupCopy
        DataDirectory.remove(copy)
        // The copy is as private as the data, from the moment it is there, and does not outlive this call.
        try DataDirectory.write("", to: copy)
        defer { DataDirectory.remove(copy) }
        try Self.translating { try store.copy(to: copy) }
        var writer = try BackupFile.Writer(output, passphrase: passphrase, salt: store.random128())
        try writer.append("ward.sqlite", from: copy)
        for (name, source) in directory.keyFiles where DataDirectory.exists(source) {
            try writer.append(name, from: source)
        }
        try writer.append(.end)
        try output.finish()
    }

    /// Makes a data directory of a backup; the site goes on as a new replica, since others may know more of the old one.
    ///
    /// Nothing takes its place before all of the backup was read and found whole; what was there is kept beside it.
    ///
    /// - Parameters:
    ///   - force: whether to take the place of what is there.
    ///   - onReplacing: told what is kept beside, as soon as it is; a notice of `status` keeps it too.
    package static func restore(
        _ directory: DataDirectory,
        from path: String,
        passphrase: [UInt8],
        person: Operator,
        force: Bool,
        schema: Schema = Site.schema,
        environment: Store.Environment = .system,
        onReplacing: (Replaced) -> Void = { _ in }
    ) throws -> Site {
        let taken = [directory.database, directory.deviceKey].first { environment.files.exists($0) }
        if let taken, !force {
            throw CommandError(
                .badInput,
                Localized(ja: "データがすでにあります: \(taken)", en: "there is data already: \(taken)"),
                record: taken,
                hint: Localized(
                    ja: "壊れているなら --force を付けてください。今あるものは横に残します",
                    en: "where it is damaged, add --force; what is there is kept beside"
                )
            )
        }
        try directory.create()
        let unpacked = directory.unpacked
        removeAll(unpacked)
        try unpacked.create()
        defer { removeAll(unpacked) }
        try unpack(path, passphrase, into: unpacked)
        let aside = DataDirectory.aside(environment)
        let replaced = taken.map { _ in
            Replaced(
                database: directory.database + aside,
                unsent: unsent(directory, person: person, schema: schema, environment: environment)
            )
        }
        let restored = try open(unpacked, person: person, schema: schema, environment: environment)
        try restored.write { transaction in
            try transaction.beginIncarnation { try restored.keys.sign($0) }
            // Peers that met the store before notice that another answers in its place.
            try transaction.setMeta("epoch", .bytes(restored.store.random128().bytes))
            try transaction.note("restored", path)
            if let replaced { try transaction.note("replaced", replaced.detail) }
        }
        try translating {
            try restored.store.checkpoint()
            try restored.store.close()
        }
        for file in directory.files where environment.files.exists(file) {
            try DataDirectory.rename(file, to: file + aside)
        }
        if let replaced { onReplacing(replaced) }
        // The data last: what has no data yet is no site, and is restored again.
        for (from, to) in zip(unpacked.files, directory.files).reversed() where environment.files.exists(from) {
            try DataDirectory.rename(from, to: to)
        }
        DataDirectory.remove(directory.farewell)
        return try open(directory, person: person, schema: schema, environment: environment)
    }

    /// What a restore took the place of.
    package struct Replaced: Sendable {
        /// The database, under its new name; the keys stand beside it under names that end alike.
        package let database: String
        /// How many changes of this device no other device is known to hold; `nil` where it could not be read.
        package let unsent: Int?

        fileprivate var detail: String { "\(database), unsent \(unsent.map { String($0) } ?? "unknown")" }
    }

    /// How many changes would stay behind in a data directory, as far as it can be read.
    private static func unsent(
        _ directory: DataDirectory,
        person: Operator,
        schema: Schema,
        environment: Store.Environment
    ) -> Int? {
        guard environment.files.exists(directory.database),
            let site = try? open(directory, person: person, schema: schema, environment: environment)
        else { return nil }
        defer { try? site.store.close() }
        return try? site.read { transaction in
            try transaction.spaces().reduce(0) { try $0 + transaction.unsent(in: $1) }
        }
    }

    private static func unpack(_ path: String, _ passphrase: [UInt8], into directory: DataDirectory) throws {
        let known = Dictionary(uniqueKeysWithValues: [("ward.sqlite", directory.database)] + directory.keyFiles)
        var output: OutputFile?
        var names: Set<String> = []
        try BackupFile.read(path, passphrase: passphrase) { piece in
            switch piece {
            case .file(let name):
                try output?.finish()
                guard let target = known[name], names.insert(name).inserted else {
                    throw CommandError(
                        .badInput,
                        Localized(ja: "控えに知らないファイルがあります: \(name)", en: "the backup holds an unknown file: \(name)"),
                        record: path
                    )
                }
                output = try OutputFile(target)
            case .bytes(let bytes): try output?.write(bytes)
            case .end: try output?.finish()
            }
        }
        guard names.isSuperset(of: ["ward.sqlite", "device.key"]) else {
            throw CommandError(
                .badInput,
                Localized(ja: "控えに必要なものがありません: \(path)", en: "the backup lacks what a site needs: \(path)"),
                record: path
            )
        }
    }

    private static func removeAll(_ directory: DataDirectory) {
        for file in directory.files { DataDirectory.remove(file) }
        rmdir(directory.path)
    }
}

extension DataDirectory {
    /// The keys, by their names in a backup.
    fileprivate var keyFiles: [(String, String)] {
        [("device.key", deviceKey), ("hub-key.pem", hubKey), ("hub-certificate.pem", hubCertificate)]
    }

    /// All files that make up a site, the data first.
    fileprivate var files: [String] {
        [database, database + "-wal", database + "-shm"] + keyFiles.map(\.1)
    }
}
