// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

/// What is quarantined takes effect by an admin's word: what a lost device handed in, what was written without a grant.
extension Site {
    /// Adopts all that is quarantined of a site's devices.
    ///
    /// The changes take effect as they were written: a value that somebody else wrote meanwhile stands beside theirs, and a
    /// person decides.
    ///
    /// - Returns: how many changes took effect.
    package func adopt(site name: String, reason: String) throws -> Int {
        let place = try site(name)
        let devices = Set(place.devices.map(\.id))
        return try adopt(reason: reason, record: place.id.description) { runs, _ in
            runs.filter { devices.contains($0.replica.device) }
        }
    }

    /// Adopts what a case of the inbox is of, and what stands before it in the same chain.
    ///
    /// - Throws: 75 where the case is not open any more.
    package func adopt(case id: String, reason: String) throws -> Int {
        try adopt(reason: reason, record: id) { runs, cases in
            guard let place = cases.firstIndex(where: { $0.id.utf8.elementsEqual(id.utf8) }) else {
                throw Self.notOpen(id)
            }
            return [runs[place]]
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
            var chains = Revocation.Cut()
            for run in try choose(runs, transaction.quarantineCases(Places(transaction))) where run.space != .system {
                guard run.last > chains[run.space, run.replica] else { continue }
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
                        ja: "system の変更は引き取れません。必要なら管理者が同じことをし直してください",
                        en: "what was said in 'system' is not adopted; let an admin say it anew where it is wanted"
                    )
                )
            }
            let draft = try transaction.draft(.system, by: person)
            draft.reason = reason
            try draft.create(SystemSchema.adoption, [(1, .text(ExactText(chains.text))), (2, .text(reason))])
            try transaction.settle()
            try transaction.settleSeats(in: transaction.appliedSpaces, by: self)
            return runs.reduce(0) { sum, run in
                sum + Int(min(run.last, max(chains[run.space, run.replica], run.first - 1)) - (run.first - 1))
            }
        }
    }
}
