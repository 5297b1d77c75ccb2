// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One machine of a ward: a data directory, and the two programs run as people run them.
final class Machine {
    struct Ended {
        let status: Int32
        let output: Data
        let errors: String

        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: output)) as? [String: Any] ?? [:] }
    }

    struct Unexpected: Error, CustomStringConvertible {
        let description: String
    }

    /// Where the programs are: beside the running tests, or where the environment says.
    static let programs =
        ProcessInfo.processInfo.environment["TSUNAGU_BIN"].map { URL(filePath: $0) }
        ?? URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    let directory: URL
    private var daemon: Process?
    private(set) var hub: String?

    init(_ directory: URL) { self.directory = directory }

    /// Runs a command to its end, or until it is killed.
    ///
    /// - Parameter killAfter: seconds after which SIGKILL comes, by coreutils' `timeout`.
    func run(_ words: [String], killAfter: Double? = nil) throws -> Ended {
        let process = Process()
        let command = [Self.programs.appending(path: "tsunagu").path] + words + ["--data", directory.path, "--json"]
        if let killAfter {
            process.executableURL = URL(filePath: "/usr/bin/timeout")
            process.arguments = ["-s", "KILL", String(killAfter)] + command
        } else {
            process.executableURL = URL(filePath: command[0])
            process.arguments = Array(command.dropFirst())
        }
        process.environment = ["TSUNAGU_OPERATOR": "tester", "LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin"]
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        // What goes to standard error is short, so reading one after the other cannot fill a pipe.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Ended(
            status: process.terminationStatus,
            output: text,
            errors: String(decoding: complaint, as: UTF8.self)
        )
    }

    @discardableResult
    func must(_ words: String...) throws -> Ended {
        let ended = try run(words)
        guard ended.status == 0 else {
            throw Unexpected(description: "\(words.joined(separator: " ")): \(ended.status): \(ended.errors)")
        }
        return ended
    }

    /// Starts the hub, at the address it had before where it had one.
    func startHub() throws {
        let process = Process()
        process.executableURL = Self.programs.appending(path: "tsunagud")
        let address = hub.map { String($0.dropFirst("https://".count)) } ?? "127.0.0.1:0"
        process.arguments = [
            "--data", directory.path, "--role", "central", "--listen", "127.0.0.1:0", "--hub-listen", address,
            "--log-level", "error",
        ]
        process.environment = ["LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin"]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        daemon = process
        var text = ""
        while hub == nil || !text.contains("hub ") || !text.hasSuffix("\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Unexpected(description: "the daemon ended: \(text)") }
            text += String(decoding: more, as: UTF8.self)
            if let line = text.split(separator: "\n").first(where: { $0.hasPrefix("hub ") }) {
                hub = String(line.dropFirst(4))
            }
        }
    }

    /// Ends the daemon at once, as a power cut would.
    func killHub() {
        guard let daemon else { return }
        kill(daemon.processIdentifier, SIGKILL)
        daemon.waitUntilExit()
        self.daemon = nil
    }

    func digests() throws -> [String: String] { try must("digest").json.compactMapValues { $0 as? String } }

    /// Records of a space, as `status` counts them.
    func records(in space: String) throws -> Int {
        let spaces = try must("status").json["spaces"] as? [[String: Any]] ?? []
        return spaces.first { $0["name"] as? String == space }?["records"] as? Int ?? -1
    }
}
