// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A request to stop, seen by blocking work that no task cancellation reaches.
///
/// Set once, from any thread, and never taken back.
package final class CancellationFlag: Sendable {
    private let flag = Atomic<Bool>(false)

    package init() {}

    package var isCancelled: Bool { flag.load(ordering: .acquiring) }

    package func cancel() { flag.store(true, ordering: .releasing) }
}
