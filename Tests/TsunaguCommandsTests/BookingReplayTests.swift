// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import BookingReplay
import Testing

import class TestSupport.Scratch

/// Many people book at many counters; `swift run bookings FILE` does the same with a workload of any size.
@Suite("Bookings at many counters")
struct BookingReplayTests {
    @Test func `Counters without a network overbook nothing, drop nobody and leave no seat free while somebody waits`()
        throws
    {
        let workload = BookingWorkload.generated(seed: 7, operations: 1000, venues: 4, sessions: 12, capacity: 20)
        let directory = try Scratch()
        let report = try BookingReplay.run(workload, windows: 3, in: directory.path)
        #expect(report.broken == [])
        #expect(report.confirmedAtCounter + report.waitingAtCounter > 700)
        #expect(report.confirmedAtCounter > 100)
        #expect(report.seated > SeatSplit.fixed(workload).seated)
    }
}
