// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A SHA-256 value.
public typealias Hash32 = [UInt8]

/// What one transaction of one author in one space says about itself.
///
/// Its hash is a link of the author's chain.
public struct ChangeHeader: Hashable, Sendable {
    /// A transaction over several spaces: its id, and per part a code that only holders of that part's space recognise.
    public struct Transaction: Hashable, Sendable {
        /// Drawn at random.
        public var id: Bytes16
        /// HMAC-SHA-256 of the id under each other space's secret, sorted.
        public var parts: [Hash32]

        /// Other spaces at most.
        package static let partsMax = 64

        /// Joins the parts.
        public init(id: Bytes16, parts: [Hash32]) {
            self.id = id
            self.parts = parts
        }
    }

    /// Where.
    public var space: SpaceID
    /// Who, and the how-manieth of them.
    public var dot: Dot
    /// The person.
    public var author: Operator
    /// When, by the author's clock.
    public var timestamp: Timestamp
    /// What was in effect in the space, as the difference from the author's previous change.
    ///
    /// The author's own earlier changes are included without being named.
    public var deps: DepsDelta
    /// The same of `system`; empty for changes of `system` itself.
    public var systemDeps: DepsDelta
    /// The hash of the author's previous header in this space; zeros for the first.
    public var previous: Hash32
    /// The schema it was written under.
    public var schemaVersion: UInt32
    /// The first number of the block of changes whose seed makes this one's salts.
    public var blockStart: UInt64
    /// Binds a bulk import's changes together.
    public var batch: Bytes16?
    /// Set where several spaces were written together.
    public var transaction: Transaction?
    package static let extensionsMax = 65_536
    /// Kept byte for byte, for what a newer version adds.
    public var extensions: [UInt8] = []
    /// Commits to the operations.
    public var payloadHash: Hash32

    /// Joins the parts.
    package init(
        space: SpaceID,
        dot: Dot,
        author: Operator,
        timestamp: Timestamp,
        deps: DepsDelta,
        systemDeps: DepsDelta,
        previous: Hash32,
        schemaVersion: UInt32,
        blockStart: UInt64,
        batch: Bytes16?,
        transaction: Transaction?,
        extensions: [UInt8] = [],
        payloadHash: Hash32
    ) {
        self.space = space
        self.dot = dot
        self.author = author
        self.timestamp = timestamp
        self.deps = deps
        self.systemDeps = systemDeps
        self.previous = previous
        self.schemaVersion = schemaVersion
        self.blockStart = blockStart
        self.batch = batch
        self.transaction = transaction
        self.extensions = extensions
        self.payloadHash = payloadHash
    }

    /// Zeros: what the first change of a chain names as its previous one.
    public static let noHash = Hash32(repeating: 0, count: 32)

    /// The link of the chain: SHA-256 over the canonical form (`Protocol/change-format.md`, "Header").
    public func hash() -> Hash32 {
        var out: [UInt8] = []
        out.reserveCapacity(320)
        out.append(contentsOf: "tsunagu/change/1".utf8)
        out.appendPrefixed(Array(space.name.utf8))
        out.append(dot.replica)
        out.appendVarint(dot.seq)
        out.appendUInt64(timestamp.raw)
        out.appendPrefixed(author.id.utf8)
        out.appendPrefixed(author.label.utf8)
        out.appendVarint(UInt64(schemaVersion))
        out.appendVarint(blockStart)
        out.appendDeps(deps)
        out.appendDeps(systemDeps)
        out.append(contentsOf: previous)
        out.append(contentsOf: payloadHash)
        out.append(batch == nil ? 0 : 1)
        if let batch { out.append(batch) }
        out.append(transaction == nil ? 0 : 1)
        if let transaction {
            out.append(transaction.id)
            out.appendVarint(UInt64(transaction.parts.count))
            for part in transaction.parts { out.append(contentsOf: part) }
        }
        out.appendPrefixed(extensions)
        return Array(SHA256.hash(data: out))
    }
}

extension [UInt8] {
    fileprivate mutating func appendDeps(_ deps: DepsDelta) {
        appendVarint(UInt64(deps.entries.count))
        for entry in deps.entries {
            append(entry.replica)
            appendVarint(entry.seq)
        }
        append(deps.exceptions == nil ? 0 : 1)
        guard let exceptions = deps.exceptions else { return }
        appendVarint(UInt64(exceptions.count))
        for exception in exceptions {
            append(exception.replica)
            appendVarint(exception.first)
            appendVarint(exception.last)
        }
    }
}
