// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Which seeds a test of random histories runs.
package enum Seeds {
    /// `TSUNAGU_SEEDS=17` replays one history, `TSUNAGU_SEEDS=0-999` runs a thousand, instead of the usual ones.
    package static func chosen(_ usual: Range<UInt64>) -> Range<UInt64> {
        let bounds = (ProcessInfo.processInfo.environment["TSUNAGU_SEEDS"] ?? "").split(separator: "-").compactMap {
            UInt64($0)
        }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return usual }
        return first..<last + 1
    }
}
