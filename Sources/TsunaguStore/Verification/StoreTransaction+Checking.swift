// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore

/// What is wrong with a store, as its own check found it.
package struct StoreFault: Sendable {
    /// What does not hold.
    package let detail: String
    /// The record concerned, where it is one.
    package let record: RecordID?
}

/// A check of some part of a store.
package struct StoreCheck: Sendable {
    /// How many things were looked at.
    package var checked = 0
    /// How many faults there are; the first are in `faults`.
    package var faultCount = 0
    package private(set) var faults: [StoreFault] = []

    private static let faultsMax = 20

    package init() {}

    package mutating func fault(_ detail: String, record: RecordID? = nil) {
        faultCount += 1
        if faults.count < Self.faultsMax { faults.append(StoreFault(detail: detail, record: record)) }
    }
}

/// Reads the whole store back and compares its parts with each other: the file with itself, the log with its chains and
/// seals, the records with the log, the digests with the records.
///
/// A run at a time is in memory, whatever the store holds.
extension StoreTransaction {
    /// SQLite's own check of the file.
    package func checkFile() throws -> StoreCheck {
        var out = StoreCheck()
        let select = try statement("PRAGMA integrity_check(20)")
        while try select.step() {
            let line = select.text(0)
            if line != "ok" { out.fault(line) }
        }
        let pages = try statement("PRAGMA page_count")
        if try pages.step() { out.checked = Int(pages.int(0)) }
        pages.reset()
        return out
    }

    /// Every author's chain from its first change on: numbers, hashes, seals.
    package func checkLog() throws -> StoreCheck {
        var out = StoreCheck()
        for id in try spaces() {
            guard let space = try space(id) else { continue }
            for author in try authors(of: space) {
                do {
                    try checkChain(space, author, &out)
                } catch let error as CodecError {
                    out.fault("\(id) \(try replica(author).device.short): \(error)")
                } catch StoreError.damagedLog(_, let replica, let seq, let cause) {
                    out.fault("\(id) \(replica.device.short) \(seq): \(cause)")
                }
            }
        }
        return out
    }

    func authors(of space: SpaceRow) throws -> [UInt32] {
        let select = try statement(
            "SELECT author FROM chain WHERE space = ?1 UNION SELECT author FROM run WHERE space = ?1"
        )
        select.bind(1, space.no)
        var out: [UInt32] = []
        while try select.step() { out.append(select.number(0)) }
        return out
    }

    private func checkChain(_ space: SpaceRow, _ author: UInt32, _ out: inout StoreCheck) throws {
        let name = "\(space.id) \(try replica(author).device.short)"
        let isOwn = try ownReplica() == replica(author)
        let key = try signingKey(of: replica(author).device)
        var chain = Chain()
        try forEachRun(space, author) { run in
            guard run.first == chain.seq + 1 else {
                out.fault("\(name): \(run.first) follows \(chain.seq)")
                return
            }
            if try encode(chain) != run.base { out.fault("\(name) \(run.first): the chain before it is another") }
            let decoded = try decode(run.body, base: run.base, first: run.first, last: run.last, space, author)
            chain = decoded.chain
            out.checked += decoded.changes.count
            if let signature = run.signature {
                let message = Seal.message(
                    space: space.id,
                    replica: try replica(author),
                    seq: chain.seq,
                    hash: chain.hash
                )
                if key?.isValidSignature(signature, for: message) != true {
                    out.fault("\(name) \(chain.seq): the seal is wrong")
                }
            } else if !isOwn {
                out.fault("\(name) \(chain.seq): no seal")
            }
        }
        let row = try chainRow(space, author)
        if row.chain != chain { out.fault("\(name): the chain ends at \(chain.seq), noted is \(row.chain.seq)") }
    }

    struct StoredRun {
        let first: UInt64
        let last: UInt64
        let isInEffect: Bool
        let base: [UInt8]
        let signature: [UInt8]?
        let body: [UInt8]
    }

    /// An author's runs in order; one is in memory at a time.
    func forEachRun(_ space: SpaceRow, _ author: UInt32, _ body: (StoredRun) throws -> Void) throws {
        let select = try statement(
            "SELECT first, last, state, base, signature, body FROM run WHERE space = ? AND author = ? AND first >= ? ORDER BY first LIMIT 1"
        )
        var next: UInt64 = 0
        while true {
            select.bind(1, space.no)
            select.bind(2, author)
            select.bind(3, next)
            guard try select.step() else { return }
            let run = StoredRun(
                first: select.unsigned(0),
                last: select.unsigned(1),
                isInEffect: select.int(2) == 0,
                base: select.bytes(3),
                signature: select.isNull(4) ? nil : select.bytes(4),
                body: select.bytes(5)
            )
            // Whoever reads may use statements of this transaction, this one too.
            select.reset()
            try body(run)
            next = run.first + 1
        }
    }
}
