// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import BookingReplay
import Foundation

@main
struct Bookings: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replays bookings at many counters that see each other only between windows, through real sites.",
        discussion: """
            The file has one JSON object a line: {"venue":6,"op":"book","session":1,"who":"…","bid":"06-000000"}; a \
            "cancel" names the bid that it ends. Without a file a small workload of the same shape is made up. The \
            exit status is 1 where a promise was broken.
            """
    )

    @Argument(help: "The workload.") var file: String?
    @Option(help: "Offline windows of equal length.") var windows = 10
    @Option(help: "Seats of each session.") var capacity = 20
    @Flag(help: "Who is told to wait gives up at once.") var impatient = false
    @Flag(help: "Few counters are asked most.") var uneven = false
    @Option(help: "Only the first so many operations.") var limit: Int?
    @Option(help: "Where the ward's data directories are made; they are removed at the end.") var directory: String?

    func run() throws {
        var workload = try file.map { try BookingWorkload(file: $0, capacity: capacity) } ?? .small
        if let limit {
            workload = BookingWorkload(operations: Array(workload.operations.prefix(limit)), capacity: capacity)
        }
        if uneven { workload = workload.uneven }
        let parent = directory.map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
        let place = parent.appending(path: "tsunagu-bookings-\(getpid())")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let start = Date()
        let report = try BookingReplay.run(
            workload,
            windows: windows,
            isPatient: !impatient,
            in: place.path,
            progress: { Self.say($0) }
        )
        let fixed = SeatSplit.fixed(workload, isPatient: !impatient)
        let central = SeatSplit.central(workload, isPatient: !impatient)
        func seconds(_ value: Double) -> String { String(format: "%.1f", value) }
        print(
            """
            \(workload.operations.count) operations, \(workload.sessions) sessions of \(workload.capacity) seats, \
            \(workload.venues) venues, \(windows) windows
            confirmed at the counter: \(report.confirmedAtCounter), by an equal fixed split \
            \(fixed.confirmedAtCounter), were all on one line \(central.confirmedAtCounter)
            told to wait: \(report.waitingAtCounter), of whom moved up later: \(report.movedUp), by an equal fixed \
            split \(fixed.movedUp), on one line \(central.movedUp)
            seated in the end: \(report.seated), by an equal fixed split \(fixed.seated), on one line \(central.seated); \
            waiting: \(report.waiting)
            gave up at one counter and asked again at another, and wait with a finding: \(report.contradicted)
            rounds of exchanges after each window: \(report.rounds); \(report.bytes / 1_000_000) MB on the line
            CPU seconds: \(seconds(report.founding)) founding, \(seconds(report.counters)) at the counters, \
            \(seconds(report.exchanges)) exchanging, \(seconds(report.inbox)) listing \(report.findings) findings; \
            \(seconds(Date().timeIntervalSince(start))) s in all; \
            peak memory of all sites together \(ProcessCost.peakBytes / 1_000_000) MB
            broken promises: \(report.broken.count)
            """
        )
        for broken in report.broken.prefix(20) { print("BROKEN \(broken)") }
        if !report.broken.isEmpty { throw ExitCode(1) }
    }
}

extension Bookings {
    /// A line at once, also where a file takes it.
    private static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

extension BookingWorkload {
    fileprivate static var small: BookingWorkload {
        generated(seed: 1, operations: 1000, venues: 6, sessions: 10, capacity: 20)
    }
}
