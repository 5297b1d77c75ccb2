// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

/// The stored form of a `Chain`: replicas by this store's numbers.
extension StoreTransaction {
    /// A chain with what the store knows of it besides.
    struct ChainRow {
        var chain: Chain
        /// The last number under a seal.
        var sealed: UInt64
        /// The first number of the author's current block of salts.
        var block: UInt64
        var isChanged = false
    }

    func encode(_ chain: Chain) throws -> [UInt8] {
        var out: [UInt8] = []
        out.appendVarint(chain.seq)
        out.append(contentsOf: chain.hash)
        out.appendUInt64(chain.timestamp.raw)
        for vector in [chain.deps, chain.systemDeps] {
            out.appendVarint(UInt64(vector.entries.count))
            for (replica, seq) in vector.entries.sorted(by: { $0.key < $1.key }) {
                out.appendVarint(UInt64(try author(replica)))
                out.appendVarint(seq)
            }
            out.appendVarint(UInt64(vector.exceptions.count))
            for exception in vector.exceptions {
                out.appendVarint(UInt64(try author(exception.replica)))
                out.appendVarint(exception.first)
                out.appendVarint(exception.last)
            }
        }
        return out
    }

    func decodeChain(_ bytes: [UInt8]) throws -> Chain {
        var chain = Chain()
        // The closure-based readers keep their errors' type; here authors are looked up in between.
        try bytes.withUnsafeBytes { memory in
            var reader = ByteReader(memory)
            chain.seq = try reader.varint()
            chain.hash = Array(try reader.bytes(32))
            chain.timestamp = Timestamp(raw: try reader.uint64())
            chain.deps = try readVector(&reader)
            chain.systemDeps = try readVector(&reader)
            try reader.expectEnd()
        }
        return chain
    }

    /// Where a chain ends, without what its last change had seen.
    struct ChainEnd {
        let seq: UInt64
        let hash: [UInt8]
    }

    func decodeEnd(_ bytes: [UInt8]) throws -> ChainEnd {
        try bytes.withUnsafeBytes { memory in
            var reader = ByteReader(memory)
            return ChainEnd(seq: try reader.varint(), hash: Array(try reader.bytes(32)))
        }
    }

    private func readVector(_ reader: inout ByteReader) throws -> VersionVector {
        var entries: [ReplicaID: UInt64] = [:]
        for _ in 0..<(try reader.varint("entries", atMost: 1 << 20)) {
            let replica = try replica(UInt32(truncatingIfNeeded: try reader.varint()))
            entries[replica] = try reader.varint()
        }
        var exceptions: [VersionVector.Exception] = []
        for _ in 0..<(try reader.varint("exceptions", atMost: 1 << 20)) {
            let replica = try replica(UInt32(truncatingIfNeeded: try reader.varint()))
            exceptions.append(
                VersionVector.Exception(replica: replica, first: try reader.varint(), last: try reader.varint())
            )
        }
        return VersionVector(entries, exceptions: exceptions)
    }

    /// Where an author's chain stands, as this transaction has it.
    func chainRow(_ space: SpaceRow, _ author: UInt32) throws -> ChainRow {
        let key = ChainKey(space: space.no, author: author)
        if let row = chains[key] { return row }
        let select = try statement("SELECT state, sealed, block FROM chain WHERE space = ? AND author = ?")
        select.bind(1, space.no)
        select.bind(2, author)
        var row = ChainRow(chain: Chain(), sealed: 0, block: 1)
        if try select.step() {
            let state = select.bytes(0)
            row.sealed = select.unsigned(1)
            row.block = select.unsigned(2)
            select.reset()
            row.chain = try decodeChain(state)
        }
        chains[key] = row
        return row
    }

    func setChainRow(_ row: ChainRow, _ space: SpaceRow, _ author: UInt32) {
        var row = row
        row.isChanged = true
        chains[ChainKey(space: space.no, author: author)] = row
    }

    func saveChains() throws {
        let insert = try statement(
            "INSERT OR REPLACE INTO chain(space, author, seq, state, sealed, block) VALUES (?, ?, ?, ?, ?, ?)"
        )
        for (key, row) in chains where row.isChanged {
            let state = try encode(row.chain)
            insert.bind(1, key.space)
            insert.bind(2, key.author)
            insert.bind(3, row.chain.seq)
            insert.bind(4, state)
            insert.bind(5, row.sealed)
            insert.bind(6, row.block)
            try insert.run()
            chains[key]?.isChanged = false
        }
    }
}
