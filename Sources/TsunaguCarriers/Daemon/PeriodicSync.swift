// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Dispatch
package import Logging
import ServiceLifecycle

/// Syncs in the background, again and again, until the daemon stops or this device's rights have ended.
///
/// The work blocks (on the database and on the network), so it runs on a thread of its own; this service only decides
/// when. Graceful shutdown sets the cancellation flag and waits for the thread. How long it waits is the service
/// group's decision: when the group cancels its tasks, the thread is left to the end of the process, which the database
/// survives like any crash.
package struct PeriodicSync: Service {
    /// Blocking.
    ///
    /// Returns soon after the flag is set.
    package typealias SyncOnce = @Sendable (CancellationFlag) -> SyncOutcome
    package typealias Sleep = @Sendable (Duration) async throws -> Void

    private let syncOnce: SyncOnce
    private let backOff: BackOff
    private let sleep: Sleep
    private let logger: Logger

    private let thread = DispatchQueue(label: "tsunagu.sync")
    private let cancellation = CancellationFlag()
    private let alarm = Alarm()

    package init(
        backOff: BackOff,
        logger: Logger,
        sleep: @escaping Sleep = { try await Task.sleep(for: $0) },
        syncOnce: @escaping SyncOnce
    ) {
        self.syncOnce = syncOnce
        self.backOff = backOff
        self.sleep = sleep
        self.logger = logger
    }

    /// Syncs now, or once more as soon as the sync under way has ended.
    package func wake() { alarm.ring() }

    /// - Throws: ``RightsEnded`` where nothing is left to sync.
    package func run() async throws {
        // Also after a plain task cancellation, which the thread does not see.
        defer { cancellation.cancel() }
        try await withGracefulShutdownHandler {
            try await loop()
        } onGracefulShutdown: {
            cancellation.cancel()
            alarm.end()
        }
    }

    private func loop() async throws {
        var backOff = backOff
        var random = SystemRandomNumberGenerator()
        var rings = alarm.rings.makeAsyncIterator()
        var former: SyncOutcome?

        while !cancellation.isCancelled {
            guard let outcome = await syncOnThread() else {
                return logger.warning("left a sync behind that does not end")
            }
            guard outcome != .ended else { throw RightsEnded() }
            if cancellation.isCancelled { return }

            let delay = backOff.delay(after: outcome, using: &random)
            // A site that is offline for a week has nothing new to say about it.
            logger.log(
                level: outcome == former ? .debug : .info,
                "sync ended",
                metadata: ["outcome": "\(outcome)", "next_in": "\(delay)"]
            )
            former = outcome

            let timer = Task {
                try await sleep(delay)
                alarm.ring()
            }
            let rang = await rings.next() != nil
            timer.cancel()
            guard rang else { return }
        }
    }

    /// Nil when this task was cancelled before the thread came to its end.
    private func syncOnThread() async -> SyncOutcome? {
        let (outcomes, continuation) = AsyncStream.makeStream(of: SyncOutcome.self)
        thread.async { [syncOnce, cancellation] in
            continuation.yield(syncOnce(cancellation))
            continuation.finish()
        }
        var iterator = outcomes.makeAsyncIterator()
        return await iterator.next()
    }
}

/// The ward office ended this device's rights: there is nothing that a daemon could go on with.
package struct RightsEnded: Error {}

/// Rings once however often it was rung while nobody listened, so that a burst of local writes is one sync.
private struct Alarm: Sendable {
    let rings: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (rings, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func ring() { continuation.yield() }

    func end() { continuation.finish() }
}
