// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// What people see of concurrent writes.
@Suite struct ConflictTests {
    private typealias Number = TestSchema.Number
    private let note = TestSchema.note

    /// Sites that all hold one record with a title.
    private func ward(_ names: [String], title: String = "start") throws -> (
        sites: [TestSite], id: RecordID, scratch: Scratch
    ) {
        let scratch = try Scratch()
        let sites = try makeWard(names, in: scratch)
        let id = try sites[0].write { try $0.create(note, [(Number.title, .text(title)), (Number.body, .text("b"))]) }
        for site in sites.dropFirst() { try site.pull(from: sites[0]) }
        return (sites, id, scratch)
    }

    private func setTitle(_ site: TestSite, _ id: RecordID, _ title: String) throws {
        try site.write { try $0.set(note, id, [(Number.title, .text(title))]) }
    }

    private func settle(_ sites: [TestSite]) throws {
        for _ in 0..<2 { for site in sites.dropFirst() { try sites[0].exchange(with: site) } }
    }

    @Test(arguments: [
        ("\u{FA19}", "\u{795E}"), ("\u{FA10}", "\u{585A}"), ("か\u{3099}", "が"), ("ｶﾞ", "ガ"), ("辻", "辻\u{E0100}"),
    ])
    func charactersThatOnlyBytesTellApartConflictAndStayAsTyped(first: String, second: String) throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[0], id, first)
        try setTitle(sites[1], id, second)
        try settle(sites)
        for site in sites {
            let conflict = try #require(try site.conflicts().first)
            let values = Set(conflict.alternatives.map { $0.values.first { $0.field.name == "title" }!.value })
            #expect(values == [.text(first), .text(second)])
            #expect(values.count == 2)
        }
        #expect(try sites[0].digest() == sites[1].digest())
        let shown = try sites.map { Array(try #require(try $0.record(id)?.values["title"]?.text).utf8) }
        #expect(shown[0] == shown[1])
        #expect([Array(first.utf8), Array(second.utf8)].contains(shown[0]))
    }

    @Test func aCorrectionOfACharacterFormIsAChange() throws {
        let (sites, id, scratch) = try ward(["a", "b"], title: "\u{FA19}")
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[1], id, "\u{795E}")
        try settle(sites)
        #expect(try sites[0].record(id)?.values["title"] == .text("\u{795E}"))
        #expect(try sites[0].record(id)?.values["title"] != .text("\u{FA19}"))
        #expect(try sites[0].conflicts().isEmpty)
    }

    @Test func equalConcurrentValuesAreNoConflict() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[0], id, "same")
        try setTitle(sites[1], id, "same")
        try settle(sites)
        for site in sites {
            #expect(try site.conflicts().isEmpty)
            #expect(try site.record(id)?.text("title") == "same")
        }
        // A later write of one of them still replaces both.
        try setTitle(sites[1], id, "later")
        try settle(sites)
        #expect(try sites[0].record(id)?.text("title") == "later")
    }

    @Test(arguments: [true, false])
    func theLoserStaysReadableWithItsAuthorWhoeverWasLater(firstIsLater: Bool) throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[firstIsLater ? 0 : 1].machine.now = 1_900_000_000_000
        sites[firstIsLater ? 1 : 0].machine.now = 1_899_999_999_000
        try setTitle(sites[0], id, "from a")
        try setTitle(sites[1], id, "from b")
        try settle(sites)
        let rows = try sites.map { try #require(try $0.conflicts().first) }
        #expect(rows[0].id == rows[1].id)
        for row in rows {
            let names = row.alternatives.map(\.person.id)
            #expect(names == (firstIsLater ? ["b", "a"] : ["a", "b"]), "the shown one is last")
            #expect(row.shown == 1)
            #expect(
                row.alternatives.map(\.device)
                    == (firstIsLater ? [sites[1].device, sites[0].device] : sites.map(\.device))
            )
        }
        #expect(try sites[0].record(id)?.text("title") == (firstIsLater ? "from a" : "from b"))
    }

    @Test func aThirdSiteThatAsksOnlyOneOfTwoGetsBothValues() throws {
        let scratch = try Scratch()
        let sites = try makeWard(["a", "b", "c"], in: scratch)
        let id = RecordID(derivedFrom: [Array("same person".utf8)])
        for site in sites.prefix(2) {
            try site.write { try $0.create(note, id: id, [(Number.title, .text("tel of \(site.name)"))]) }
        }
        try sites[0].exchange(with: sites[1])
        try sites[2].pull(from: sites[0])
        let conflict = try #require(try sites[2].conflicts().first)
        #expect(conflict.alternatives.count == 2)
        #expect(try Set(sites.map { try $0.digest() }).count == 1)
        #expect(try Set(sites.map { try $0.conflicts().map(\.id) }).count == 1)
        try sites[1].write { try $0.set(note, id, [(Number.title, .text("one"))]) }
        try settle(sites)
        for site in sites { #expect(try site.conflicts().isEmpty) }
    }

    @Test func whatIsCausallyLaterWinsAgainstAClockAYearAhead() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[0].machine.now += 365 * 86_400_000
        try setTitle(sites[0], id, "from next year")
        try sites[1].pull(from: sites[0])
        #expect(try sites[1].record(id)?.text("title") == "from next year")
        try setTitle(sites[1], id, "from today")
        try settle(sites)
        for site in sites {
            #expect(try site.record(id)?.text("title") == "from today")
            #expect(try site.conflicts().isEmpty)
        }
    }

    @Test(arguments: [3_600_000, 86_400_000, 3_652 * 86_400_000] as [UInt64])
    func aClockFarAheadDoesNotDragOthersAlongAndIsReportedOnce(ahead: UInt64) throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[0].machine.now = sites[1].machine.now + ahead
        for step in 0..<3 {
            sites[0].machine.now += 600_000
            try setTitle(sites[0], id, "\(step)")
        }
        try sites[1].pull(from: sites[0])
        try setTitle(sites[1], id, "mine")
        let stamp = try sites[1].store.read { Timestamp(raw: UInt64(bitPattern: try $0.meta("clock")!.integer!)) }
        #expect(stamp.milliseconds <= sites[1].machine.now + HybridLogicalClock.adoptionBoundMilliseconds)
        let notices = try sites[1].store.read { try $0.notices() }
        #expect(notices.count == 1)
        #expect(notices.first?.code == "clock_ahead")
        let minutes = (ahead + 1_800_000) / 60_000
        #expect(notices.first?.detail == "\(sites[0].device.short): \(minutes) min", "with the greatest amount")
        #expect(try sites[0].store.read { try $0.notices() }.isEmpty)
        // While it goes on it is said; a week after the last such stamp it is not.
        sites[1].machine.now += 8 * 86_400_000
        sites[0].machine.now = sites[1].machine.now + ahead
        try setTitle(sites[0], id, "still ahead")
        try sites[1].pull(from: sites[0])
        sites[1].machine.now += 7 * 86_400_000
        #expect(try sites[1].store.read { try $0.notices() }.map(\.code) == ["clock_ahead"])
        sites[1].machine.now += 1
        #expect(try sites[1].store.read { try $0.notices() }.isEmpty)
    }

    @Test func aClockTenYearsBehindLosesNothing() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[1].machine.now -= 3_652 * 86_400_000
        try setTitle(sites[1], id, "causally later")
        try settle(sites)
        #expect(try sites[0].record(id)?.text("title") == "causally later")
        #expect(try sites[0].store.read { try $0.notices() }.isEmpty)
    }

    @Test func aFailedTransactionLeavesTheClockAsItWas() throws {
        struct Stop: Error {}
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[0], id, "x")
        let before = try sites[1].dump()
        let runs = try sites[0].runs(TestSchema.space, lacking: try sites[1].vector(TestSchema.space))
        #expect(throws: Stop.self) {
            try sites[1].store.write { transaction in
                for run in runs { _ = try transaction.receive(run) }
                try transaction.draft(TestSchema.space, by: sites[1].person).set(note, id, [(Number.title, .text("y"))])
                try transaction.flushDrafts()
                throw Stop()
            }
        }
        #expect(try sites[1].dump() == before)
    }

    @Test func concurrentResolutionsThatDifferOpenOneNewConflict() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[0], id, "1")
        try setTitle(sites[1], id, "2")
        try settle(sites)
        let first = try sites[0].conflicts().map(\.id)
        for site in sites {
            try site.write {
                try $0.set(
                    note,
                    id,
                    [(Number.title, .text("by \(site.name)")), (Number.body, .null), (Number.size, .null)]
                )
            }
            #expect(try site.conflicts().isEmpty)
        }
        try settle(sites)
        let second = try sites[0].conflicts()
        #expect(second.count == 1)
        #expect(second.map(\.id) != first)
        #expect(second[0].alternatives.count == 2)
        #expect(try sites[1].conflicts().map(\.id) == second.map(\.id))
    }

    @Test func resolvingNeverMultipliesConflicts() throws {
        let (sites, id, scratch) = try ward(["a", "b", "c", "d", "e"])
        defer { withExtendedLifetime(scratch) {} }
        for round in 0..<20 {
            for site in sites { try setTitle(site, id, "\(site.name) \(round)") }
            try settle(sites)
            #expect(try sites[0].conflicts().count == 1)
            #expect(try sites[0].conflicts()[0].alternatives.count <= sites.count)
            for site in sites {
                try site.write { try $0.set(note, id, [(Number.title, .text("r\(round)\(site.name)"))]) }
            }
            try settle(sites)
            #expect(try sites[0].conflicts().count == 1)
            #expect(try sites[0].conflicts()[0].alternatives.count <= sites.count)
        }
        let before = try sites.map { try $0.digest() }
        try settle(sites)
        #expect(try sites.map { try $0.digest() } == before)
        try setTitle(sites[2], id, "end")
        try settle(sites)
        for site in sites { #expect(try site.conflicts().isEmpty) }
    }

    @Test func aChainOfOfflineEditsAgainstOneEditIsOneConflict() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        for step in 1...10 { try setTitle(sites[0], id, "a\(step)") }
        try setTitle(sites[1], id, "b")
        try settle(sites)
        let rows = try sites[1].conflicts()
        #expect(rows.count == 1)
        #expect(rows[0].alternatives.map { $0.values[0].value }.contains(.text("a10")))
        #expect(rows[0].alternatives.count == 2)
        let history = try sites[1].store.read { try $0.history(of: rows[0].rid) }
        #expect(history.filter { $0.field?.name == "title" }.count == 12, "the chain is shown")
    }

    @Test func membersThatNobodyTouchedAreNoConflictBetweenThem() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        try setTitle(sites[0], id, "new title")
        try sites[1].write { try $0.set(note, id, [(Number.phone, .text("1"))]) }
        try settle(sites)
        for site in sites {
            #expect(try site.conflicts().isEmpty)
            #expect(try site.record(id)?.text("title") == "new title")
            #expect(try site.record(id)?.text("phone") == "1")
        }
    }

    @Test func latestShowsTheLaterAndKeepsTheOther() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[1].machine.now += 1000
        for site in sites { try site.write { try $0.set(note, id, [(Number.phone, .text(site.name))]) } }
        try settle(sites)
        for site in sites {
            #expect(try site.conflicts().isEmpty)
            let record = try #require(try site.record(id))
            #expect(record.text("phone") == "b")
            let history = try site.store.read { try $0.history(of: record.rid) }
            #expect(history.contains { $0.value == .text("a") && $0.state == .lost })
        }
    }

    @Test func aReplyNeverStandsBeforeItsCauseWhateverTheClocks() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        sites[0].machine.now += 365 * 86_400_000
        sites[1].machine.now -= 365 * 86_400_000
        for turn in 0..<6 {
            let site = sites[turn % 2]
            try site.write { try $0.edit(note, id, group: TestSchema.entries, add: [Array("\(turn)".utf8)]) }
            try settle(sites)
        }
        for site in sites {
            let rid = try #require(try site.record(id)).rid
            let items = try site.store.read { try $0.items(of: rid, group: TestSchema.entries) }
            #expect(items.map { String(decoding: $0.content, as: UTF8.self) } == (0..<6).map { "\($0)" })
        }
    }

    @Test func addingWinsAgainstAConcurrentRemoval() throws {
        let (sites, id, scratch) = try ward(["a", "b"])
        defer { withExtendedLifetime(scratch) {} }
        let ja = Array("ja".utf8)
        try sites[0].write { try $0.edit(note, id, group: TestSchema.tags, add: [ja]) }
        try settle(sites)
        try sites[0].write { try $0.edit(note, id, group: TestSchema.tags, remove: [ja]) }
        try sites[1].write { try $0.edit(note, id, group: TestSchema.tags, add: [ja]) }
        try settle(sites)
        for site in sites { #expect(try site.record(id)?.text("tags") == #"["ja"]"#) }
        try sites[0].write { try $0.edit(note, id, group: TestSchema.tags, remove: [ja]) }
        try settle(sites)
        for site in sites { #expect(try site.record(id)?.text("tags") == "[]") }
    }
}
