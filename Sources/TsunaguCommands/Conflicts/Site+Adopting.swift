// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

/// What is quarantined takes effect by an admin's word: what a lost device handed in, what was written without a grant.
extension Site {
    /// Adopts all that is quarantined of a site's devices, but for what they said in `system`.
    ///
    /// The changes take effect as they were written: a value that somebody else wrote meanwhile stands beside theirs, and a
    /// person decides. Who may do what is looked at case by case.
    ///
    /// - Returns: how many changes took effect.
    package func adopt(site name: String, reason: String) throws -> Int {
        let place = try site(name)
        let devices = Set(place.devices.map(\.id))
        return try adopt(reason: reason, record: place.id.description) { runs, _ in
            runs.filter { devices.contains($0.replica.device) && $0.space != .system }
        }
    }

    /// Adopts what a case of the inbox is of, and what stands before it in the same chain.
    ///
    /// What somebody said in `system` nobody can say in his place: this device says it anew, in its own name.
    ///
    /// - Throws: 75 where the case is not open any more.
    package func adopt(case id: String, reason: String) throws -> Int {
        let isDecided = try read { transaction in
            let others = try transaction.findings().map(\.id) + transaction.conflicts().map(\.id)
            return others.contains { $0.utf8.elementsEqual(id.utf8) }
        }
        guard !isDecided else {
            throw CommandError(
                .usage,
                Localized(
                    ja: "\(id) は隔離された変更ではなく、引き取るものはありません",
                    en: "\(id) is no quarantined change: there is nothing to adopt"
                ),
                record: id,
                hint: Localized(
                    ja: "tsunagu conflict show \(id) で内容を確かめてください",
                    en: "see what it is about: 'tsunagu conflict show \(id)'"
                )
            )
        }
        return try adopt(reason: reason, record: id) { runs, cases in
            guard let place = cases.firstIndex(where: { $0.id.utf8.elementsEqual(id.utf8) }) else {
                throw Self.notOpen(id)
            }
            let chosen = runs[place]
            guard chosen.space == .system else { return [chosen] }
            return runs.filter {
                $0.space == .system && $0.replica == chosen.replica && $0.first <= chosen.first
            }
        }
    }

    private func adopt(
        reason: String,
        record: String,
        _ choose: ([QuarantinedRun], [Case]) throws -> [QuarantinedRun]
    ) throws -> Int {
        let reason = try Self.checkedReason(reason)
        return try write { transaction in
            try transaction.requireAdmin(self)
            let runs = try transaction.quarantined()
            let chosen = try choose(runs, transaction.quarantineCases(Places(transaction)))
            var chains = Revocation.Cut()
            for run in chosen where run.last > chains[run.space, run.replica] {
                chains.last[run.space, default: [:]][run.replica] = run.last
                let hash = try transaction.headerHash(of: run.replica, at: run.last, in: run.space)
                chains.hashes[run.space, default: [:]][run.replica] = hash.flatMap { Bytes16($0.prefix(16)) }
            }
            guard !chains.last.isEmpty else {
                throw CommandError(
                    .badInput,
                    Localized(ja: "引き取る変更がありません: \(record)", en: "there is nothing to adopt of \(record)"),
                    record: record,
                    hint: Localized(
                        ja: "system の変更（権限や失効）は、tsunagu conflict list --kind quarantine で確かめ、一件ずつ "
                            + "conflict resolve ID --adopt で引き取ります",
                        en:
                            "what was said in 'system' of who may do what is looked at with 'conflict list --kind quarantine' "
                            + "and adopted case by case with 'conflict resolve ID --adopt'"
                    )
                )
            }
            let draft = try transaction.draft(.system, by: person)
            draft.reason = reason
            for run in chosen where run.space == .system { try sayAnew(run, draft, transaction) }
            try draft.create(SystemSchema.adoption, [(1, .text(ExactText(chains.text))), (2, .text(reason))])
            try transaction.settle()
            try transaction.settleSeats(in: transaction.arrivals.spaces, by: self)
            return runs.reduce(0) { sum, run in
                sum + Int(min(run.last, max(chains[run.space, run.replica], run.first - 1)) - (run.first - 1))
            }
        }
    }

    /// Says in this device's name what somebody said in `system`: grants, revocations and adoptions as new facts, all else on
    /// the records that it was said of.
    ///
    /// That this device's own rights end is not for it to say.
    private func sayAnew(_ run: QuarantinedRun, _ draft: Draft, _ transaction: StoreTransaction) throws {
        let facts = [SystemSchema.grant, SystemSchema.revocation, SystemSchema.adoption]
        let records = [SystemSchema.municipality, SystemSchema.site, SystemSchema.device, SystemSchema.invitation]
        let said = try transaction.changes(run.first...run.last, of: run.replica, in: .system)
        for entry in try said.flatMap({ try $0.content() }) {
            // A newer program may have said more than this one knows to say.
            func values(_ collection: CollectionSchema) -> [(field: UInt32, value: Value)] {
                entry.registers.sorted { $0.key < $1.key }.filter { collection.group(ofField: $0.key) != nil }
                    .map { ($0.key, $0.value) }
            }
            if let collection = facts.first(where: { $0.number == entry.collection }), entry.isCreated {
                let isOwnEnd =
                    collection.number == SystemSchema.revocation.number
                    && entry.registers[1]?.text == ExactText(keys.device.description)
                if !isOwnEnd { try draft.create(collection, values(collection)) }
            } else if let collection = records.first(where: { $0.number == entry.collection }) {
                try draft.set(collection, entry.id, values(collection))
                if let reason = entry.life?.text { try draft.delete(collection, entry.id, reason: reason) }
            }
        }
    }
}
