// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A daemon that has said where it listens; ended at the latest when nobody holds it.
package final class RunningDaemon {
    private let process: Process
    private let output: Pipe
    private let hasEnded = DispatchSemaphore(value: 0)
    /// Where other sites find it; `nil` where it serves none.
    package let hub: String?

    /// - Throws: `Program.Failure` where it ends before it listens.
    ///
    /// - Parameter log: what its standard error is added to.
    init(_ arguments: [String], fileKilobytesMax: Int?, umask: String?, log: URL) throws {
        process = Program.tsunagud.process(arguments, fileKilobytesMax: fileKilobytesMax, umask: umask)
        let output = Pipe()
        process.standardOutput = output
        let descriptor = open(log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        let errors = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        process.standardError = errors
        process.terminationHandler = { [hasEnded] _ in hasEnded.signal() }
        try process.run()
        try errors.close()
        let last = arguments.contains("--hub-listen") ? "hub " : "listening "
        var text = ""
        while !text.contains(last) || !text.hasSuffix("\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else {
                hasEnded.wait()
                hasEnded.signal()
                self.output = output
                hub = nil
                throw Program.Failure(description: "the daemon ended: \(process.terminationStatus) \(text)")
            }
            text += String(decoding: more, as: UTF8.self)
        }
        self.output = output
        hub = text.split(separator: "\n").first { $0.hasPrefix("hub ") }.map { String($0.dropFirst(4)) }
    }

    deinit { kill() }

    package var isRunning: Bool { process.isRunning }

    /// Waits until it ends by itself.
    ///
    /// - Returns: its exit status.
    package func end() -> Int32 {
        hasEnded.wait()
        hasEnded.signal()
        return process.terminationStatus
    }

    /// The end that an administrator gives it.
    func terminate() { end(by: SIGTERM) }

    /// The end that a power cut gives it.
    package func kill() { end(by: SIGKILL) }

    private func end(by number: Int32) {
        if process.isRunning { _ = Glibc.kill(process.processIdentifier, number) }
        hasEnded.wait()
        hasEnded.signal()
        // Foundation keeps them open for as long as it remembers the process.
        try? output.fileHandleForReading.close()
        try? output.fileHandleForWriting.close()
    }
}
