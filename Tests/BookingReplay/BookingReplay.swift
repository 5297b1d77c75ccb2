// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

/// Books and cancels through a ward's sites, which see each other only between some windows, and looks after each whether
/// all that was promised is so.
package struct BookingReplay {
    /// What one run came to.
    package struct Report: Sendable {
        /// Requests that were answered at once, without a network.
        package var confirmedAtCounter = 0
        package var waitingAtCounter = 0
        /// Who waited and had a seat after a window.
        package var movedUp = 0
        /// By window, how many were told at the counter that they have a seat.
        package var confirmedByWindow: [Int] = []
        /// Rounds of exchanges after each window, the last of which moved nothing.
        package var rounds: [Int] = []
        package var bytes = 0
        /// In the end.
        package var seated = 0
        package var waiting = 0
        /// Who asked again at one counter while another gave up for him, and waits with a finding.
        package var contradicted = 0
        /// What must not be: each after every window, in words.
        package var broken: [String] = []
        /// CPU seconds of making the ward, of the counters, of the exchanges, and of listing every finding once.
        package var founding = 0.0
        package var counters = 0.0
        package var exchanges = 0.0
        package var inbox = 0.0
        /// What the list had.
        package var findings = 0
    }

    /// A site that talks without end shall not keep the replay.
    private static let roundsMax = 20

    private let workload: BookingWorkload
    private let ward: BookingWard
    private let isPatient: Bool
    private var report = Report()
    /// The booking that a request became.
    private var bookings: [String: RecordID] = [:]
    /// Who was told, or could see after a window, to have a seat, and did not give it up.
    private var promised: Set<RecordID> = []

    /// Replays all of a workload in a fresh ward below a directory.
    ///
    /// - Parameters:
    ///   - isPatient: whether who is told to wait does; otherwise he gives up at once.
    ///   - progress: told what each window came to.
    package static func run(
        _ workload: BookingWorkload,
        windows: Int,
        isPatient: Bool = true,
        in directory: String,
        progress: (String) -> Void = { _ in }
    ) throws -> Report {
        let start = ProcessCost.seconds
        var replay = BookingReplay(workload: workload, ward: try BookingWard(directory, workload), isPatient: isPatient)
        try replay.settle()
        replay.report.rounds = []
        replay.report.founding = ProcessCost.seconds - start
        replay.report.exchanges = 0
        for window in workload.windows(windows) {
            try replay.serve(window)
            try replay.settle()
            try replay.check()
            progress(replay.line)
        }
        let listing = ProcessCost.seconds
        replay.report.findings = try replay.ward.centre.cases(.finding).count
        replay.report.inbox = ProcessCost.seconds - listing
        return replay.report
    }

    private init(workload: BookingWorkload, ward: BookingWard, isPatient: Bool) {
        self.isPatient = isPatient
        self.workload = workload
        self.ward = ward
    }

    private var line: String {
        "window \(report.rounds.count): \(report.confirmedByWindow.last ?? 0) confirmed at the counter, "
            + "\(report.seated) seated, \(report.waiting) waiting, \(report.rounds.last ?? 0) rounds, "
            + "\(report.broken.count) broken, \(Int(report.counters)) + \(Int(report.exchanges)) s"
    }

    private mutating func serve(_ window: ArraySlice<BookingWorkload.Operation>) throws {
        let start = ProcessCost.seconds
        let before = report.confirmedAtCounter
        for operation in window {
            let venue = ward.venues[operation.venue]
            switch operation.op {
            case .book:
                let person = BookingPerson.guest(name: operation.who, kana: nil, phone: nil, ageGroup: nil)
                let view = try venue.addBooking(lesson: BookingWard.code(operation.session), person)
                bookings[operation.bid] = view.record.id
                if view.status == "confirmed" {
                    report.confirmedAtCounter += 1
                    promised.insert(view.record.id)
                } else {
                    report.waitingAtCounter += 1
                    if !isPatient {
                        _ = try venue.cancelBooking(view.record.id.description, reason: "満席")
                        bookings[operation.bid] = nil
                    }
                }
            case .cancel:
                guard let id = bookings[operation.bid] else { continue }
                _ = try venue.cancelBooking(id.description, reason: "都合")
                promised.remove(id)
            }
        }
        report.confirmedByWindow.append(report.confirmedAtCounter - before)
        report.counters += ProcessCost.seconds - start
    }

    /// Exchanges until nothing moves.
    private mutating func settle() throws {
        let start = ProcessCost.seconds
        var rounds = 0
        repeat {
            rounds += 1
            let (moved, bytes) = try ward.exchange()
            report.bytes += bytes
            if !moved { break }
        } while rounds < Self.roundsMax
        if rounds == Self.roundsMax { report.broken.append("sites still talk after \(rounds) rounds") }
        report.rounds.append(rounds)
        report.exchanges += ProcessCost.seconds - start
    }

    private mutating func check() throws {
        if try !ward.agrees() { report.broken.append("sites differ") }
        (report.seated, report.waiting) = (0, 0)
        var seated: Set<RecordID> = []
        let capacity = workload.capacity
        for session in 0..<workload.sessions {
            let code = BookingWard.code(session)
            let lesson = try ward.centre.lesson(code)
            report.seated += lesson.confirmed
            report.waiting += lesson.waiting
            if lesson.confirmed > capacity { report.broken.append("\(code): \(lesson.confirmed) confirmed") }
            if lesson.waiting > 0, lesson.confirmed < capacity {
                report.broken.append("\(code): \(lesson.waiting) wait for \(capacity - lesson.confirmed) free seats")
            }
            for booking in try ward.centre.bookings(lesson: code, cancelled: false) {
                if booking.status == "confirmed" { seated.insert(booking.record.id) }
                if booking.status == "waiting", booking.position == nil || booking.waitingReason != .full {
                    report.broken.append("\(code): somebody waits without a place or a reason")
                }
            }
        }
        let lost = promised.subtracting(seated)
        guard !lost.isEmpty else { return keep(seated) }
        // One counter cancelled for a person who asked again at another: a person is asked which was meant.
        let asked = Set(try ward.centre.cases(.finding).filter { $0.code == "cancelled_and_booked" }.flatMap(\.records))
        report.contradicted += lost.intersection(asked).count
        for id in lost.subtracting(asked) { report.broken.append("\(id) lost its seat") }
        keep(seated)
    }

    private mutating func keep(_ seated: Set<RecordID>) {
        report.movedUp += seated.subtracting(promised).count
        promised = seated
    }
}
