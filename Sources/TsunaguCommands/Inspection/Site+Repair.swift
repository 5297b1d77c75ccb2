// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguSync

#if canImport(Glibc)
    import Glibc
#endif

/// One thing that `doctor --repair` did, or could not do.
package struct RepairStep: Sendable {
    /// The check that it belongs to.
    package let name: String
    package let done: Bool
    package let detail: Localized
}

extension Site {
    /// Sets right what can be told from elsewhere: permissions, indexes, what follows from the log, and runs that a peer
    /// has whole.
    ///
    /// Each step is one transaction: killed at any point, the next call goes on. Nothing is invented: no step writes a
    /// change, and what only a damaged log could tell stays as it is.
    ///
    /// - Parameter connect: makes a transport to an address.
    package func repair(connect: (HubAddress) throws -> any Transport) throws -> [RepairStep] {
        var steps = try repairFiles()
        steps += try repairStore()
        let damaged = try read { try $0.verify().damagedRuns }
        guard !damaged.isEmpty else { return steps }
        let fetched = try refetch(damaged, connect)
        steps += fetched
        // Chains and records behind the runs can be read now.
        if fetched.contains(where: \.done) { steps += try repairStore() }
        return steps
    }

    private func repairFiles() throws -> [RepairStep] {
        var steps: [RepairStep] = []
        for path in openFiles() {
            var status = stat()
            let done = stat(path, &status) == 0 && chmod(path, status.st_mode & 0o7700) == 0
            steps.append(RepairStep(name: "permissions", done: done, detail: Localized(ja: path, en: path)))
        }
        if let file = try? read({ try $0.checkFile() }), Self.isOfIndexes(file) {
            try write { try $0.rebuildIndexes() }
            let detail = Localized(ja: "索引を作り直しました", en: "the indexes were made anew")
            steps.append(RepairStep(name: "database", done: true, detail: detail))
        }
        return steps
    }

    private func repairStore() throws -> [RepairStep] {
        var steps: [RepairStep] = []
        let log = try write { try $0.repairLog() }
        if log > 0 {
            steps.append(
                RepairStep(
                    name: "log",
                    done: true,
                    detail: Localized(ja: "連鎖と種を \(log) 件書き直しました", en: "\(log) chains and seeds were written anew")
                )
            )
        }
        let before = try digests()
        let repaired = try write { try $0.repairTables() }
        let records = repaired.records
        if repaired.rows > 0 {
            steps.append(
                RepairStep(
                    name: "tables",
                    done: true,
                    detail: Localized(
                        ja: "どの記録にも、どの変更にも当たらない行など \(repaired.rows) 行を直しました",
                        en: "\(repaired.rows) rows that no record or change backs, or that were missing, were set right"
                    )
                )
            )
        }
        if !records.isEmpty {
            let names = records.sorted().prefix(5).map(\.description).joined(separator: " ")
            steps.append(
                RepairStep(
                    name: "tables",
                    done: true,
                    detail: Localized(
                        ja: "\(records.count) 件の記録を変更の記録から作り直しました: \(names)",
                        en: "\(records.count) records were worked out anew from the log: \(names)"
                    )
                )
            )
        }
        let moved = try zip(before, digests()).filter { $0.digest != $1.digest }.map(\.0.space.name)
        if !moved.isEmpty {
            let names = moved.joined(separator: " ")
            let detail = Localized(ja: "\(names) を合計し直しました", en: "\(names): added up again")
            steps.append(RepairStep(name: "digests", done: true, detail: detail))
        }
        let waiting = try write { try $0.dropUnreadableWaiting() }
        if waiting > 0 {
            steps.append(
                RepairStep(
                    name: "waiting",
                    done: true,
                    detail: Localized(
                        ja: "読めない待ち \(waiting) 件を捨てました。次の同期でまた届きます",
                        en: "\(waiting) unreadable waiting runs or parts were dropped; they come again with a sync"
                    )
                )
            )
        }
        return steps
    }

    /// Asks the known hubs for damaged runs, one after another.
    private func refetch(_ places: [RunPlace], _ connect: (HubAddress) throws -> any Transport) throws -> [RepairStep] {
        var rest = places
        var steps: [RepairStep] = []
        for address in try peers() where !rest.isEmpty {
            do {
                let transport = try connect(address)
                try SyncDriver.translating(transport) {
                    var driver = try SyncDriver(self, transport)
                    // In the order of the chains: behind a run that is whole again the next can be checked.
                    rest = try rest.sorted { $0.first < $1.first }.filter { place in
                        guard let run = try driver.run(place) else { return true }
                        guard run.space == place.space, run.replica == place.replica, run.first == place.first,
                            try write({ try $0.replaceRun(run) })
                        else { return true }
                        let detail = Localized(
                            ja: "\(place) を \(address.url) から取り直しました",
                            en: "\(place) was taken again from \(address.url)"
                        )
                        steps.append(RepairStep(name: "log", done: true, detail: detail))
                        return false
                    }
                }
            } catch let error as TransportError {
                steps.append(Self.failed(CommandError(error, address.url)))
            } catch let error as CommandError {
                steps.append(Self.failed(error))
            }
        }
        guard !rest.isEmpty else { return steps }
        let list = rest.map(\.description).joined(separator: "; ")
        let detail = Localized(
            ja: "取り直せない変更があります: \(list)",
            en: "no peer gave these runs: \(list)"
        )
        return steps + [RepairStep(name: "log", done: false, detail: detail)]
    }

    private static func failed(_ error: CommandError) -> RepairStep {
        RepairStep(name: "log", done: false, detail: error.message)
    }
}
