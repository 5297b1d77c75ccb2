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

    fileprivate static func done(_ name: String, _ ja: String, _ en: String) -> RepairStep {
        RepairStep(name: name, done: true, detail: Localized(ja: ja, en: en))
    }
}

extension Site {
    /// Sets right what can be told from elsewhere: permissions, indexes, what follows from the log, and runs that a peer
    /// has whole.
    ///
    /// Each step is one transaction: killed at any point, the next call goes on. Nothing is invented: no step writes a
    /// change, and what only a damaged log could tell stays as it is.
    ///
    /// - Parameter connect: makes a transport to an address.
    package func repair(connect: (PeerAddress) throws -> any Transport) throws -> [RepairStep] {
        var steps = try repairFiles()
        // What cannot be read must not be taken for what is not there.
        guard steps.allSatisfy({ $0.done || $0.name != "database" }) else { return steps }
        let damaged = try repairStore(&steps)
        guard !damaged.isEmpty else { return steps }
        // Until it is here again every sync asks for it, and says so.
        try write { _ = try $0.noteLostChanges() }
        let fetched = try refetch(damaged, connect)
        try write { _ = try $0.noteLostChanges() }
        steps += fetched
        // Chains and records behind the runs can be read now.
        if fetched.contains(where: \.done) { _ = try repairStore(&steps) }
        return steps
    }

    private func repairFiles() throws -> [RepairStep] {
        var steps: [RepairStep] = []
        for path in openFiles() {
            var status = stat()
            let done = stat(path, &status) == 0 && chmod(path, status.st_mode & 0o7700) == 0
            steps.append(RepairStep(name: "permissions", done: done, detail: Localized(ja: path, en: path)))
        }
        guard try Self.translating({ try store.checkFile() }).faultCount > 0 else { return steps }
        if try Self.translating({ try store.rebuildDamagedTables() }) {
            steps.append(
                .done(
                    "database",
                    "壊れた索引と表を変更の記録から作り直しました",
                    "damaged indexes and tables were made anew from the log"
                )
            )
        } else {
            steps.append(
                RepairStep(
                    name: "database",
                    done: false,
                    detail: Localized(
                        ja: "ファイルの壊れた所は、変更の記録から作り直せません。\(Localized.startAgain.ja)",
                        en: "what is damaged in the file cannot be made anew from the log; \(Localized.startAgain.en)"
                    )
                )
            )
        }
        return steps
    }

    /// Sets right what the log tells; what is sound is looked at without keeping those waiting who write.
    ///
    /// - Returns: runs that are damaged themselves.
    private func repairStore(_ steps: inout [RepairStep]) throws -> [RunPlace] {
        var found = try read { try $0.verify() }
        if found.mendableLogFaults > 0 {
            let count = try write { try $0.repairLog() }
            steps.append(.done("log", "連鎖と種を \(count) 件書き直しました", "\(count) chains and seeds were written anew"))
            found = try read { try $0.verify() }
        }
        if found.areTablesFaulty { steps += try Self.steps(write { try $0.repairTables() }) }
        if try read({ try $0.checkWaiting() }).faultCount > 0 {
            let count = try write { try $0.dropUnreadableWaiting() }
            steps.append(
                .done(
                    "waiting",
                    "読めない待ち \(count) 件を捨てました。次の同期でまた届きます",
                    "\(count) unreadable waiting runs or parts were dropped; they come again with a sync"
                )
            )
        }
        return found.damagedRuns
    }

    private static func steps(_ repaired: StoreTransaction.RepairedTables) -> [RepairStep] {
        var steps: [RepairStep] = []
        let (count, rows) = (repaired.records.count, repaired.rows)
        if count > 0 {
            let names = repaired.records.sorted().prefix(5).map(\.description).joined(separator: " ")
            steps.append(
                .done(
                    "tables",
                    "\(count) 件の記録を変更の記録から作り直しました: \(names)",
                    "\(count) records were worked out anew from the log: \(names)"
                )
            )
        }
        if rows > 0 {
            steps.append(
                .done("tables", "記録に属さない行などを \(rows) 行直しました", "\(rows) rows that hang on no record were set right")
            )
        }
        if !repaired.spaces.isEmpty {
            let names = repaired.spaces.map(\.name).joined(separator: " ")
            steps.append(.done("digests", "\(names) を合計し直しました", "\(names): added up again"))
        }
        return steps
    }

    /// Asks the known hubs for damaged runs, one after another.
    private func refetch(_ places: [RunPlace], _ connect: (PeerAddress) throws -> any Transport) throws -> [RepairStep]
    {
        var rest = places
        var steps: [RepairStep] = []
        for address in try peers() where !rest.isEmpty {
            do {
                let transport = try connect(address)
                try SyncDriver.translating(transport) {
                    var driver = try SyncDriver(self, transport)
                    // In the order of the chains: behind a run that is whole again the next can be checked.
                    rest = try rest.sorted { $0.first < $1.first }.filter { place in
                        guard try driver.takeAgain(place) else { return true }
                        steps.append(
                            .done(
                                "log",
                                "\(place) を \(address.url) から取り直しました",
                                "\(place) was taken again from \(address.url)"
                            )
                        )
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

    /// Why an exchange does not end well where changes are lost here.
    func lossOfChanges(_ lost: [LostChanges]) throws -> CommandError {
        let own = lost.filter { $0.replica.device == keys.device }
        let records = try read { transaction in try own.flatMap { try transaction.records(touchedBy: $0) } }
        let names = (own.isEmpty ? lost : own).prefix(5).map(\.description).joined(separator: "; ")
        guard !own.isEmpty else {
            return CommandError(
                .failed,
                Localized(ja: "この端末から失われた変更があります: \(names)", en: "changes are lost here: \(names)"),
                hint: Localized(
                    ja: "持っている相手と同期すると戻ります。なければ、\(Localized.startAgain.ja)",
                    en: "they come again from a peer that has them; where none has, \(Localized.startAgain.en)"
                )
            )
        }
        let list = records.prefix(5).map(\.description).joined(separator: " ")
        return CommandError(
            .failed,
            Localized(
                ja: "この端末で書いた変更が失われ、どこにも届いていません: \(names)。記録: \(list)",
                en: "changes that were written here are lost, and nobody has them: \(names); records: \(list)"
            ),
            hint: Localized(
                ja: "その記録の内容を控え、\(Localized.startAgain.ja)",
                en: "write down what these records show, then \(Localized.startAgain.en)"
            )
        )
    }

    private static func failed(_ error: CommandError) -> RepairStep {
        RepairStep(name: "log", done: false, detail: error.message)
    }
}
