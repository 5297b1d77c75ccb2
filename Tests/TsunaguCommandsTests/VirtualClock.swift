// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TsunaguCommands
import TsunaguStore
import TsunaguWard

/// A clock that a test sets.
final class VirtualClock: Sendable {
    private let milliseconds = Mutex<UInt64>(0)

    init(_ day: String) { set(day) }

    /// Noon of a day in Tokyo.
    func set(_ day: String) {
        let number = Day(iso: day.utf8)!.number
        milliseconds.withLock { $0 = UInt64(number) * 86_400_000 + 3 * 3_600_000 }
    }

    func advance(hours: UInt64) { milliseconds.withLock { $0 += hours * 3_600_000 } }

    var environment: Store.Environment {
        var environment = Store.Environment.system
        environment.now = { self.milliseconds.withLock { $0 } }
        return environment
    }

    /// The same site by this clock.
    func site(_ site: Site) throws -> Site {
        try Site.open(site.directory, person: site.person, environment: environment)
    }
}
