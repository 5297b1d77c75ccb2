// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// How one background sync ended.
package enum SyncOutcome: String, Hashable, Sendable, CaseIterable {
    /// Proved: both sides hold the same. Also when there is nobody to sync with.
    case upToDate
    /// A peer answered, but something is still missing: changes wait for others, or a step was cut short.
    case behind
    /// No peer answered.
    case unreachable
    /// A peer answered and will not talk to us: its key is another, or we are revoked. People must act.
    case refused
    /// The ward office ended this device's rights, and nothing is left to sync.
    case ended
}

/// When to sync next: regularly while all is well, and ever more rarely while it is not.
///
/// Pure: one outcome in, one delay out. Every delay is drawn from the upper half of its range, so that the sites of a
/// ward that lost their hub at one moment do not all come back at one moment.
package struct BackOff: Hashable, Sendable {
    /// Between two syncs while all is well.
    package var interval: Duration
    /// After the first failure; doubled with each further one.
    package var first: Duration
    /// However many failures: a network that comes back is noticed within this time.
    package var limit: Duration

    /// Outcomes other than up to date, in a row.
    package private(set) var failures = 0

    package init(
        interval: Duration = .seconds(60),
        first: Duration = .seconds(2),
        limit: Duration = .seconds(300)
    ) {
        precondition(.zero < first && first <= limit && .zero < interval, "back-off \(first), \(limit), \(interval)")
        self.interval = interval
        self.first = first
        self.limit = limit
    }

    /// Takes note of an outcome and says how long to wait.
    package mutating func delay(
        after outcome: SyncOutcome,
        using random: inout some RandomNumberGenerator
    ) -> Duration {
        let longest: Duration
        switch outcome {
        case .upToDate:
            failures = 0
            longest = interval
        case .behind:
            // The peer is there: no reason to come less often than when all is well.
            longest = min(doubled(), interval)
            failures += 1
        case .unreachable:
            longest = doubled()
            failures += 1
        case .refused, .ended:
            longest = limit
            failures += 1
        }
        return longest * Double.random(in: 0.5...1, using: &random)
    }

    private func doubled() -> Duration {
        // 2^20 times the shortest delay is beyond any limit, and the product stays far from overflow.
        min(first * (1 << min(failures, 20)), limit)
    }
}
