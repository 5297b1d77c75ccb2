// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Residents who are erased for good, and written of by those who have not heard of it.
extension WardSimulation {
    /// Somebody is registered, written of or erased.
    func actOfErasing(_ clerk: Place, _ office: Place, _ place: Place, _ generator: inout SeededGenerator) throws {
        if erasable.people.allSatisfy(\.isEnding) || generator.chance(10) { try enter(clerk, &generator) }
        switch generator.below(9) {
        case 0..<3:
            if let index = try pickErasable(at: clerk, &generator) { try writeOfErasable(clerk, index, &generator) }
        case 3..<8: try erase(office, clerk, &generator)
        default: try checkErased(place, isThorough: true)
        }
    }

    /// Somebody comes who will be erased; those who will write of the person hear of it, as far as they are reached.
    private func enter(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard erasable.people.count < ErasablePeople.peopleMax, try holdsRegister(place) else { return }
        let (name, number) = ("対馬\(step)番", "8000000\(1000 + step)")
        _ = try attempt([place]) {
            try place.site!.addResident(["family_name=\(name)", "given_name=去", "number=\(number)"])
        }
        // Whose power went may have written all the same.
        let found = try place.site?.read { transaction in
            try transaction.records(WardSchema.resident, where: "number = ?", [.text(ExactText(number))]).first.map {
                ($0.id, try Dot(transaction.ownReplica()!, transaction.ownSeq(in: .residents).seq))
            }
        }
        trace("enter \(place.name) \(name): \(found != nil)")
        guard let (record, began) = found ?? nil else { return }
        erasable.people.append(
            ErasablePeople.Person(record: record, name: name, began: began, values: [name, number])
        )
        for other in [place] + places.filter({ $0.role == .branch && $0 !== place }) where other !== centre {
            guard other.site != nil, centre.site != nil, !isEnding(other), mayWrite(centre) else { continue }
            try exchange(other, centre, .fair, &generator)
        }
    }

    /// One of the people whose record a place has.
    private func pickErasable(at place: Place, _ generator: inout SeededGenerator) throws -> Int? {
        guard let site = place.site, try holdsRegister(place) else { return nil }
        let known = try site.read { transaction in
            try erasable.people.indices.filter {
                try transaction.record(WardSchema.resident, erasable.people[$0].record) != nil
            }
        }
        return known.isEmpty ? nil : generator.pick(known)
    }

    private func writeOfErasable(_ place: Place, _ index: Int, _ generator: inout SeededGenerator) throws {
        let isNote = generator.chance(40)
        let value = isNote ? "覚書\(step)番\(place.index)" : "04-\(1000 + step)-\(1000 + place.index)"
        let name = erasable.people[index].record.description
        erasable.people[index].values.insert(value)
        let isDone: Void? = try attempt([place], isExcused: Self.isNoDefect) {
            _ =
                isNote
                ? try place.site!.noteResident(name, value) : try place.site!.setResident(name, ["phone=\(value)"]).id
        }
        trace("write of \(erasable.people[index].name) \(place.name): \(isDone != nil)")
    }

    /// An office erases somebody; at times a clerk writes of the person before the news comes.
    private func erase(_ place: Place, _ clerk: Place, _ generator: inout SeededGenerator) throws {
        guard let index = try pickErasable(at: place, &generator), isAdmin(place) else { return }
        func own() throws -> Dot? {
            try place.site?.read { try Dot($0.ownReplica()!, $0.ownSeq(in: .residents).seq) }
        }
        let before = try own()
        erasable.people[index].isEnding = true
        let name = erasable.people[index].record.description
        _ = try attempt([place], isExcused: { self.isNoDefect($0, at: place) }) {
            try place.site!.eraseResident(name, reason: "保存期間の満了")
        }
        guard let after = try own() else { return }
        trace("erase \(erasable.people[index].name) \(place.name): \(after != before)")
        guard after != before else { return }
        erasable.people[index].receipts.append(after)
        summary.erasures += 1
        let isThere = try clerk.site?.read {
            try $0.record(WardSchema.resident, erasable.people[index].record) != nil
        }
        if generator.chance(70), isThere == true, try holdsRegister(clerk) {
            try writeOfErasable(clerk, index, &generator)
        }
        try check(place)
    }

    // MARK: - What must be

    /// Where an erasure is known, in effect or not, nothing is left of the person; where nobody ever tried, the person
    /// is there.
    ///
    /// - Parameter isThorough: also in searches, inbox, export and log.
    func checkErased(_ place: Place, isThorough: Bool = false) throws {
        guard let site = place.site, !erasable.people.isEmpty, let inEffect = place.inEffect[.residents] else { return }
        var gone: [ErasablePeople.Person] = []
        try site.read { transaction in
            let known = try Dictionary(
                uniqueKeysWithValues: transaction.vector(of: .residents).map { ($0.replica, $0.seq) }
            )
            let system = try transaction.inEffect(.system)
            for person in erasable.people {
                let row = try transaction.record(WardSchema.resident, person.record)
                let isErased = person.receipts.contains { receipt in
                    receipt.seq <= known[receipt.replica] ?? 0 && counts(receipt, knowing: system)
                }
                if isErased { gone.append(person) }
                guard !isErased || row == nil else { throw left(person, place, "the table") }
                let isDue = !person.isEnding && inEffect.covers(person.began)
                guard !isDue || row?.text("family_name") == person.name else {
                    throw failure("lost", "\(place.name): \(person.name)")
                }
            }
        }
        if isThorough, !gone.isEmpty { try checkTraces(of: gone, place) }
    }

    /// Whether those who know so much of `system` know that who erased is an admin.
    private func counts(_ receipt: Dot, knowing system: VersionVector) -> Bool {
        receipt.replica.device == founder.device
            || recoveries.contains { $0.device == receipt.replica.device && system.covers($0.saidAt) }
    }

    private func left(_ person: ErasablePeople.Person, _ place: Place, _ room: String) -> Failure {
        failure("erased", "\(place.name): \(person.name) in \(room)")
    }

    private func checkTraces(of gone: [ErasablePeople.Person], _ place: Place) throws {
        let site = place.site!
        var log = Data()
        try site.read { transaction in
            try transaction.forEachChange(in: .residents) { log.append(contentsOf: $0.payload.bytes) }
        }
        let path = place.directory.path + ".csv"
        _ = try site.exportFile(.residents, to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let table = FileManager.default.contents(atPath: path) ?? Data()
        let cases = try site.cases()
        for person in gone {
            for value in person.values.sorted() {
                if Self.holds(log, value) { throw left(person, place, "the log: \(value)") }
                if Self.holds(table, value) { throw left(person, place, "an export: \(value)") }
            }
            guard try site.findResidents(person.name, all: true).isEmpty else { throw left(person, place, "a search") }
            // What is quarantined is told by its id alone.
            guard cases.allSatisfy({ $0.kind == .quarantine || !$0.records.contains(person.record) }) else {
                throw left(person, place, "the inbox")
            }
            if let history = try? site.residentHistory(person.record.description), !history.isEmpty {
                throw left(person, place, "the history")
            }
        }
    }

    /// Every erasure is everywhere, and no byte is left, be it in pages that nothing uses.
    func checkErasedEnd() throws {
        let gone = erasable.people.filter { !$0.receipts.isEmpty }
        guard !gone.isEmpty else { return }
        for place in places where place.mayHold(.residents) {
            try checkErased(place, isThorough: true)
            let known = try place.site!.read { try $0.vector(of: .residents) }
            for receipt in gone.flatMap(\.receipts) {
                guard known.contains(where: { $0.replica == receipt.replica && $0.seq >= receipt.seq }) else {
                    throw failure("stuck", "\(place.name): the erasure \(receipt)")
                }
            }
            // Whose power went while the file was written anew goes on with it now.
            place.end()
            try place.open()
            for suffix in ["", "-wal"] where place.machine.disk.exists(place.directory.database + suffix) {
                let (bytes, _) = try place.machine.disk.head(of: place.directory.database + suffix, .max)
                let data = Data(bytes)
                for person in gone {
                    for value in person.values.sorted() where Self.holds(data, value) {
                        throw left(person, place, "the file\(suffix): \(value)")
                    }
                }
            }
        }
    }

    /// Whether some bytes hold a word; files are long, and `Data` looks at each byte through a generic collection.
    private static func holds(_ data: Data, _ word: String) -> Bool {
        let word = Array(word.utf8)
        return data.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while rest.count >= word.count,
                let start = memchr(rest.base.baseAddress! + rest.startIndex, Int32(word[0]), rest.count)
            {
                let place = UnsafeRawPointer(start) - bytes.baseAddress!
                if place + word.count <= bytes.count, memcmp(start, word, word.count) == 0 { return true }
                rest = bytes[(place + 1)...]
            }
            return false
        }
    }
}
