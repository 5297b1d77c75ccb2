// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ServiceLifecycle
import Synchronization
import Testing
import TsunaguCarriers

@Suite(.timeLimit(.minutes(1)))
struct PeriodicSyncTests {
    /// A sleep that nothing but cancellation ends.
    private static let forEver: PeriodicSync.Sleep = { _ in try await Task.sleep(for: .seconds(86_400)) }

    @Test("It syncs at once, and again when the delay is over")
    func periodic() async throws {
        let syncs = Promise<Int>()
        let count = Counter()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: { _ in }) { _ in
            syncs.fulfil(count.increment())
            return .unreachable
        }
        try await withServices([sync]) {
            while await syncs.value < 5 {}
        }
    }

    @Test("A wake-up does not wait for the delay")
    func wakeUp() async throws {
        let syncs = Promise<Int>()
        let count = Counter()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: Self.forEver) { _ in
            syncs.fulfil(count.increment())
            return .upToDate
        }
        try await withServices([sync]) {
            #expect(await syncs.value == 1)
            sync.wake()
            #expect(await syncs.value == 2)
        }
        #expect(count.value == 2)
    }

    @Test("A wake-up in the middle of a sync is not lost")
    func wakeUpDuringSync() async throws {
        let started = Promise<Int>()
        let count = Counter()
        let goOn = CancellationFlag()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: Self.forEver) { cancellation in
            started.fulfil(count.increment())
            while !goOn.isCancelled, !cancellation.isCancelled {}
            return .upToDate
        }
        try await withServices([sync]) {
            #expect(await started.value == 1)
            sync.wake()
            goOn.cancel()
            #expect(await started.value == 2)
        }
    }

    @Test("Stopping in the middle of a sync cancels it and waits for its thread")
    func stopDuringSync() async throws {
        let started = Promise<Void>()
        let ended = Counter()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: Self.forEver) { cancellation in
            started.fulfil(())
            while !cancellation.isCancelled {}
            ended.increment()
            return .behind
        }
        try await withServices([sync]) { await started.value }
        #expect(ended.value == 1)
    }

    @Test("Rights that ended are the end of it")
    func rightsEnded() async throws {
        let count = Counter()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: { _ in }) { _ in
            count.increment() < 3 ? .refused : .ended
        }
        await #expect(throws: RightsEnded.self) { try await sync.run() }
        #expect(count.value == 3)
    }

    @Test("A sync that does not end is left behind when patience is over")
    func hangingSync() async throws {
        let started = Promise<Void>()
        let release = CancellationFlag()
        let sync = PeriodicSync(backOff: BackOff(), logger: quiet, sleep: Self.forEver) { _ in
            started.fulfil(())
            while !release.isCancelled {}
            return .behind
        }
        let running = Task { try await sync.run() }
        await started.value
        running.cancel()
        try await running.value
        release.cancel()
    }
}
