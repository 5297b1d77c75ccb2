// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Foundation

/// A built program, run as people run it.
package enum Program: String {
    case tsunagu, tsunagud, simulate

    /// How a program ended and what it said.
    package struct Result {
        /// As a shell tells it: 128 and the signal's number where a signal ended it.
        package let status: Int32
        package let output: [UInt8]
        package let errors: String
        /// From its start to its end.
        package let duration: Duration

        package var isKilled: Bool { status == 128 + SIGKILL }

        package var text: String { String(decoding: output, as: UTF8.self) }

        /// The one document on standard output.
        package var json: Any? { try? JSONSerialization.jsonObject(with: Data(output), options: .fragmentsAllowed) }

        package var object: [String: Any] { json as? [String: Any] ?? [:] }

        package var list: [[String: Any]] { json as? [[String: Any]] ?? [] }

        /// The error that `--json` prints on standard error.
        package var error: [String: Any] {
            let document = try? JSONSerialization.jsonObject(with: Data(errors.utf8)) as? [String: Any]
            return document?["error"] as? [String: Any] ?? [:]
        }
    }

    /// What happens to a run that has not ended after some seconds.
    package struct Strike {
        let seconds: Double
        let blow: (_ processIdentifier: Int32) -> Void

        /// The same moment, with another end.
        package func aimed(_ blow: @escaping (_ processIdentifier: Int32) -> Void) -> Strike {
            Strike(seconds: seconds, blow: blow)
        }

        /// SIGKILL to the program itself.
        package static func kill(after seconds: Double) -> Strike {
            Strike(seconds: seconds) { _ = Glibc.kill($0, SIGKILL) }
        }
    }

    /// A command that had to succeed and did not.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Beside the running tests, or where the environment says.
    private static let folder =
        ProcessInfo.processInfo.environment["TSUNAGU_BIN"].map { URL(filePath: $0) }
        ?? URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    package var url: URL { Self.folder.appending(path: rawValue) }

    /// A process to be run.
    ///
    /// - Parameters:
    ///   - fileKilobytesMax: the size at which writes to a file fail.
    ///   - umask: what is taken from the permissions of new files, as a shell takes it.
    func process(
        _ arguments: [String],
        _ environment: [String: String] = [:],
        fileKilobytesMax: Int? = nil,
        umask: String? = nil
    ) -> Process {
        let process = Process()
        // A write beyond the limit is to fail, and not to end the process by a signal.
        let limit = fileKilobytesMax.map { "trap '' XFSZ; ulimit -f \($0); " }
        let mask = umask.map { "umask \($0); " }
        if limit != nil || mask != nil {
            process.executableURL = URL(filePath: "/bin/bash")
            process.arguments = ["-c", (limit ?? "") + (mask ?? "") + "exec \"$@\"", "bash", url.path] + arguments
        } else {
            process.executableURL = url
            process.arguments = arguments
        }
        process.environment = ["LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin"].merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs it to its end.
    package func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
        try Run(process(arguments, environment)).end()
    }

    /// A run that has begun.
    package final class Run {
        private let process: Process
        private let output = Pipe()
        private let errors = Pipe()
        private let hasEnded = DispatchSemaphore(value: 0)
        private let start: ContinuousClock.Instant

        init(_ process: Process) throws {
            self.process = process
            (process.standardOutput, process.standardError) = (output, errors)
            process.terminationHandler = { [hasEnded] _ in hasEnded.signal() }
            start = .now
            try process.run()
        }

        /// Waits for its end, or strikes before.
        package func end(_ strike: Strike? = nil) -> Result {
            let isStruck = strike.map { hasEnded.wait(timeout: .now() + $0.seconds) == .timedOut } ?? false
            if let strike, isStruck { strike.blow(process.processIdentifier) }
            // What goes to standard error is short, so reading one after the other cannot fill a pipe.
            let text = output.fileHandleForReading.readDataToEndOfFile()
            let complaint = errors.fileHandleForReading.readDataToEndOfFile()
            // Not 'waitUntilExit', which looks twenty times a second.
            if strike == nil || isStruck { hasEnded.wait() }
            // Foundation keeps them open for as long as it remembers the process.
            for pipe in [output, errors] {
                try? pipe.fileHandleForReading.close()
                try? pipe.fileHandleForWriting.close()
            }
            let signal = process.terminationReason == .uncaughtSignal ? 128 : Int32(0)
            return Result(
                status: signal + process.terminationStatus,
                output: Array(text),
                errors: String(decoding: complaint, as: UTF8.self),
                duration: .now - start
            )
        }
    }
}

extension [UInt8] {
    /// Whether the bytes of a text occur, as they are.
    package func contains(_ text: String) -> Bool {
        let needle = Array(text.utf8)
        guard count >= needle.count else { return false }
        return (0...(count - needle.count)).contains { self[$0..<$0 + needle.count].elementsEqual(needle) }
    }
}
