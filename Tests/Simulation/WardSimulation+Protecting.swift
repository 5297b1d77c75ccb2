// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguWard

/// Residents under protection: the office protects and releases, others write of them who do not know.
extension WardSimulation {
    private static let hidden = SpaceID.protectedResidents

    /// Whether a place works on an admin's device.
    func isAdmin(_ place: Place) -> Bool {
        place === centre || recoveries.contains { $0.device == place.device && place.device != nil }
    }

    /// Whether a place works on the register of residents.
    func holdsRegister(_ place: Place) throws -> Bool {
        guard let site = place.site, mayWrite(place), place.role != .auditor, place.role != .venue else { return false }
        return try site.read { try $0.spaces() }.contains(.residents)
    }

    // MARK: - Writing

    /// Somebody comes who will be protected.
    ///
    /// Then those who will write of the person hear of it, as far as they are reached.
    func welcome(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard guarded.people.count < GuardedPeople.names.count, try holdsRegister(place) else { return }
        let name = GuardedPeople.names[guarded.people.count]
        let number = "9000000000\(guarded.people.count)"
        let words = ["family_name=\(name)", "given_name=守", "birth_date=1980-02-03", "number=\(number)"]
        _ = try attempt([place]) { try place.site!.addResident(words) }
        // Whose power went may have written all the same.
        let found = try place.site?.read { transaction in
            try transaction.records(WardSchema.resident, where: "number = ?", [.text(ExactText(number))]).first.map {
                ($0.id, try Dot(transaction.ownReplica()!, transaction.ownSeq(in: .residents).seq))
            }
        }
        guard let (id, began) = found ?? nil else { return }
        guarded.people.append(GuardedPeople.Person(name: name, number: number, began: began, records: [id]))
        trace("welcome \(place.name) \(name)")
        for other in [place] + places.filter({ $0.role == .branch && $0 !== place }) where other !== centre {
            guard other.site != nil, centre.site != nil, !isEnding(other), mayWrite(centre) else { continue }
            try exchange(other, centre, .fair, &generator)
        }
    }

    /// Somebody writes of a person, who may know of the protection or not.
    func writeOfGuarded(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard !guarded.people.isEmpty, try holdsRegister(place) else { return }
        guard let index = try pickKnown(at: place, &generator) else { return }
        let name = generator.pick(guarded.people[index].records.sorted()).description
        let isNote = generator.chance(30)
        let value = isNote ? "記事\(step)番" : "03-\(1000 + step)-\(1000 + index)"
        let before = try look(place, index)
        let id = try attempt([place], isExcused: Self.isNoDefect) {
            isNote
                ? try place.site!.noteResident(name, value) : try place.site!.setResident(name, ["phone=\(value)"]).id
        }
        trace("write of \(guarded.people[index].name) \(place.name): \(id != nil)")
        guard place.site != nil else { return }
        let after = try look(place, index)
        guard after.ordinary != before.ordinary || after.hidden != before.hidden else { return }
        if !isNote {
            let shown = id.map { id in before.phones.filter { $0.key == id } } ?? before.phones
            guarded.people[index].replaced.formUnion(shown.values)
        }
        // Whose power went does not know which of the two was written.
        guard let id else { return }
        let isHidden = id == guarded.people[index].hidden
        let dot = isHidden ? after.hidden : after.ordinary
        guarded.people[index].writes.append(
            GuardedPeople.Write(dot: dot, space: isHidden ? Self.hidden : .residents, value: value)
        )
    }

    /// Whether somebody may be told so who acts on a person that others act on too.
    static func isNoDefect(_ code: CommandError.Code) -> Bool {
        [.tryAgain, .notFound, .badInput, .askWardOffice].contains(code)
    }

    /// The same of an office: the older disk of a branch may not know yet that this is an admin's.
    func isNoDefect(_ code: CommandError.Code, at office: Place) -> Bool {
        Self.isNoDefect(code) || code == .notPermitted && office !== centre
    }

    /// What a place shows of a person, and how far it has written itself.
    private func look(
        _ place: Place,
        _ index: Int
    ) throws -> (ordinary: Dot, hidden: Dot, living: Set<RecordID>, known: Set<Int>, phones: [RecordID: String]) {
        let person = guarded.people[index]
        return try place.site!.read { transaction in
            let own = try transaction.ownReplica()!
            let rows = try transaction.records(
                WardSchema.resident,
                where: "number = ?",
                [.text(ExactText(person.number))]
            )
            let spaces = try transaction.spaces()
            let vector = try spaces.contains(Self.hidden) ? transaction.inEffect(Self.hidden) : VersionVector()
            return (
                Dot(own, try transaction.ownSeq(in: .residents).seq),
                Dot(own, try spaces.contains(Self.hidden) ? transaction.ownSeq(in: Self.hidden).seq : 0),
                Set(rows.filter { $0.space == .residents && !$0.deleted }.map(\.id)),
                Set(person.acts.indices.filter { vector.covers(person.acts[$0].hidden) }),
                Dictionary(uniqueKeysWithValues: rows.compactMap { row in row.text("phone").map { (row.id, $0) } })
            )
        }
    }

    // MARK: - Protecting

    /// The office protects somebody, or says again that the protection stands, or ends it.
    func protect(_ place: Place, _ isProtecting: Bool, _ generator: inout SeededGenerator) throws {
        guard let index = try pickKnown(at: place, &generator) else { return }
        try protect(place, isProtecting, index)
    }

    /// One of the people of whom a place has heard.
    private func pickKnown(at place: Place, _ generator: inout SeededGenerator) throws -> Int? {
        guard let site = place.site else { return nil }
        let known = try site.read { transaction in
            try guarded.people.indices.filter { index in
                try guarded.people[index].records.contains { try transaction.record(WardSchema.resident, $0) != nil }
            }
        }
        return known.isEmpty ? nil : generator.pick(known)
    }

    private func protect(_ place: Place, _ isProtecting: Bool, _ index: Int) throws {
        guard isAdmin(place), try holdsRegister(place),
            try place.site!.read({ try $0.spaces() }).contains(Self.hidden)
        else { return }
        let name = guarded.people[index].records.sorted()[0].description
        let before = try look(place, index)
        _ = try attempt([place], isExcused: { self.isNoDefect($0, at: place) }) {
            isProtecting
                ? try place.site!.protectResident(name, reason: "申出")
                : try place.site!.unprotectResident(name, reason: "期間の終わり")
        }
        guard let site = place.site else { return }
        let after = try look(place, index)
        try site.read { transaction in
            let number = Value.text(ExactText(guarded.people[index].number))
            for row in try transaction.records(WardSchema.resident, where: "number = ?", [number]) {
                if row.space == .residents { guarded.people[index].records.insert(row.id) }
                if row.space == Self.hidden { guarded.people[index].hidden = row.id }
            }
        }
        let isDone = after.ordinary != before.ordinary && after.hidden != before.hidden
        trace("\(isProtecting ? "protect" : "release") \(guarded.people[index].name) \(place.name): \(isDone)")
        guard isDone else { return }
        if isProtecting { summary.protections += 1 }
        guarded.people[index].acts.append(
            GuardedPeople.Act(
                isProtecting: isProtecting,
                ordinary: after.ordinary,
                hidden: after.hidden,
                erased: before.living.subtracting(after.living),
                seen: before.known
            )
        )
    }

    /// Two offices at once: one ends a protection, the other says that it stands.
    func contend(_ generator: inout SeededGenerator) throws {
        if !places.dropFirst().contains(where: isAdmin) {
            try recover(generator.pick(places.filter { $0.role == .branch }))
        }
        guard let other = places.dropFirst().first(where: isAdmin), other.site != nil,
            let index = try pickKnown(at: centre, &generator)
        else { return }
        try protect(centre, true, index)
        try exchange(other, centre, .fair, &generator)
        guard other.site != nil, centre.site != nil else { return }
        let isOther = generator.chance(50)
        try protect(isOther ? other : centre, false, index)
        try protect(isOther ? centre : other, true, index)
    }

    /// The office decides one of what stands beside a person's value.
    func decide(_ place: Place, _ generator: inout SeededGenerator) throws {
        guard try holdsRegister(place) else { return }
        let known = guarded.records
        let open =
            try attempt([place]) { try place.site!.cases() }?
            .filter { !known.isDisjoint(with: $0.records) && $0.group != nil && $0.values.count > 1 } ?? []
        guard !open.isEmpty, place.site != nil else { return }
        let one = generator.pick(open)
        let choice = generator.pick(one.values)
        let others = one.values.filter { $0.n != choice.n }.flatMap { $0.fields.compactMap(\.value.text?.string) }
        for index in guarded.people.indices { guarded.people[index].replaced.formUnion(others) }
        let isDone: Void? = try attempt([place], isExcused: { self.isNoDefect($0, at: place) }) {
            _ = try place.site!.resolve(one.id, .take(choice.n), reason: "確認")
        }
        trace("decide \(one.code) \(place.name): \(isDone != nil)")
    }

    // MARK: - What must be

    /// At a place without the grant nobody who is known to be protected is shown, and none is registered anew.
    func checkGuarded(_ place: Place, isThorough: Bool = false) throws {
        guard let site = place.site, !guarded.people.isEmpty, let vector = place.inEffect[.residents],
            try !site.read({ try $0.spaces() }).contains(Self.hidden)
        else { return }
        for person in guarded.people {
            let known = person.acts(in: vector)
            let erased = person.erased(by: known)
            guard !erased.isEmpty else { continue }
            for id in erased {
                if (try? site.resident(id.description)) != nil { throw disclosed(person, place, "\(id) is shown") }
                let row = try site.read { try $0.record(WardSchema.resident, id) }
                if let name = row?.text("family_name") { throw disclosed(person, place, "the table has \(name)") }
            }
            if person.isProtected(by: known) {
                do {
                    let shown = try site.resident(person.number)
                    if erased.contains(shown.id) { throw disclosed(person, place, "the number leads to the person") }
                } catch let error as CommandError where error.code == .askWardOffice {
                } catch let error as CommandError {
                    throw failure("unmarked", "\(place.name): \(person.name): \(error.message.en)")
                }
            }
            if isThorough { try checkLists(place, person, erased, isProtected: person.isProtected(by: known)) }
        }
    }

    private func disclosed(_ person: GuardedPeople.Person, _ place: Place, _ detail: String) -> Failure {
        failure("disclosed", "\(place.name): \(person.name): \(detail)")
    }

    /// Neither a search nor the inbox nor an export names the person, and nobody registers him again.
    private func checkLists(
        _ place: Place,
        _ person: GuardedPeople.Person,
        _ erased: Set<RecordID>,
        isProtected: Bool
    ) throws {
        let site = place.site!
        let found = try site.findResidents(person.name, all: true).map(\.id)
        guard erased.isDisjoint(with: found) else { throw disclosed(person, place, "a search finds the person") }
        // What is quarantined is told by its id alone.
        guard try site.cases().allSatisfy({ $0.kind == .quarantine || erased.isDisjoint(with: $0.records) }) else {
            throw disclosed(person, place, "the inbox has the person")
        }
        guard found.isEmpty else { return }
        let path = place.directory.path + ".csv"
        _ = try site.exportFile(.residents, to: path)
        defer { try? FileManager.default.removeItem(atPath: path) }
        if try String(contentsOfFile: path, encoding: .utf8).contains(person.name) {
            throw disclosed(person, place, "an export has the person")
        }
        guard isProtected, place.role != .auditor, mayWrite(place) else { return }
        do {
            _ = try site.addResident(["family_name=別人", "number=\(person.number)"])
            throw failure("unmarked", "\(place.name): \(person.name) was registered again")
        } catch let error as CommandError where error.code == .askWardOffice {
        }
    }

    /// Once all is known everywhere: protection stands where no release had seen it, one record is the person, and
    /// whatever was written of him is at the office.
    func checkGuardedEnd() throws {
        for place in places { try checkGuarded(place, isThorough: true) }
        for person in guarded.people where !person.isGone {
            let known = person.acts(in: centre.inEffect[.residents] ?? VersionVector())
            let isProtected = person.isProtected(by: known)
            for place in places where place.mayHold(.residents) {
                let rows = try place.site!.read { transaction in
                    try transaction.records(
                        WardSchema.resident,
                        where: "number = ?",
                        [.text(ExactText(person.number))]
                    ).filter { $0.space == .residents && !$0.deleted }
                }
                // Whose record a revocation took away is not there, unless the office wrote of the person.
                let isVoid = isExcluded(person.began, in: .residents) && rows.count < 2
                guard rows.count == (isProtected ? 0 : 1) || !isProtected && isVoid else {
                    throw failure("guarded", "\(place.name): \(rows.count) ordinary records of \(person.name)")
                }
            }
            try checkKept(person, known, isProtected)
        }
    }

    /// Every value that nobody replaced who had seen it is a value of the person's, or stands beside them.
    private func checkKept(_ person: GuardedPeople.Person, _ known: Set<Int>, _ isProtected: Bool) throws {
        let erased = person.erased(by: known)
        let kept = try centre.site!.read { transaction in
            var out: [String] = []
            for id in person.records.union(person.hidden.map { [$0] } ?? []).subtracting(erased) {
                guard let row = try transaction.record(WardSchema.resident, id) else { continue }
                out += row.text("phone").map { [$0] } ?? []
                out += try transaction.conflicts(rid: row.rid).flatMap(\.alternatives)
                    .flatMap { $0.values.compactMap(\.value.text?.string) }
                let notes = WardSchema.resident.field(named: "notes")!.group
                out += try transaction.items(of: row.rid, group: notes).map {
                    String(decoding: $0.content, as: UTF8.self)
                }
            }
            out += try transaction.records(WardSchema.carriedNote).compactMap { $0.text("text") }
            for row in try transaction.records(WardSchema.pendingEdit) {
                out.append(String(decoding: Hex.decode(row.text("content") ?? "") ?? [], as: UTF8.self))
            }
            return out
        }
        for write in person.writes where !person.replaced.contains(write.value) {
            guard !isExcluded(write.dot, in: write.space) else { continue }
            guard kept.contains(where: { $0.contains(write.value) }) else {
                throw failure("lost", "\(write.value) of \(person.name), written by \(write.dot)")
            }
        }
        guard let hidden = person.hidden, isProtected else { return }
        guard try centre.site!.resident(person.number).id == hidden else {
            throw failure("guarded", "the office does not show \(person.name)")
        }
    }
}
