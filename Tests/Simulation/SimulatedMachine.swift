// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
package import TsunaguStore

/// A machine that a simulation holds in its hand: clock, generator and disk.
///
/// A ward is one thread, and two wards share no machine: nothing here is locked.
package final class SimulatedMachine: @unchecked Sendable {
    /// Unix milliseconds, as somebody set the clock.
    package var now: UInt64
    /// The milliseconds that went by.
    private var uptime: UInt64 = 0
    package let disk: SimulatedDisk
    private var generator: SeededGenerator

    package init(now: UInt64, disk: SimulatedDisk, seed: UInt64) {
        self.now = now
        self.disk = disk
        generator = SeededGenerator(seed: seed)
    }

    /// Lets time go by.
    package func pass(_ milliseconds: UInt64) {
        now += milliseconds
        uptime += milliseconds
    }

    package var environment: Store.Environment {
        var environment = Store.Environment(
            now: { self.now },
            random: { self.generator.next() },
            uptime: { self.uptime }
        )
        environment.files = disk
        return environment
    }
}
