// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A site as people have it: a data directory, and the two programs run with real arguments.
final class TestSite {
    /// How a command ended and what it said.
    struct Result {
        let status: Int32
        let output: [UInt8]
        let errors: String

        var text: String { String(decoding: output, as: UTF8.self) }

        /// The one document on standard output.
        var json: Any? { try? JSONSerialization.jsonObject(with: Data(output), options: .fragmentsAllowed) }

        var object: [String: Any] { json as? [String: Any] ?? [:] }

        var list: [[String: Any]] { json as? [[String: Any]] ?? [] }

        /// The error that `--json` prints on standard error.
        var error: [String: Any] {
            let document = try? JSONSerialization.jsonObject(with: Data(errors.utf8)) as? [String: Any]
            return document?["error"] as? [String: Any] ?? [:]
        }
    }

    /// Beside the running tests, or where the environment says.
    static let programs =
        ProcessInfo.processInfo.environment["TSUNAGU_BIN"].map { URL(filePath: $0) }
        ?? URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()

    let name: String
    let directory: URL
    private let root: URL
    private let ownsRoot: Bool
    private var daemon: Process?
    private(set) var hub: String?

    /// A place for a site; nothing is made yet.
    init(_ name: String = "centre", beside other: TestSite? = nil) throws {
        self.name = name
        root = other?.root ?? FileManager.default.temporaryDirectory.appending(path: "tsunagu-cli-\(UUID().uuidString)")
        ownsRoot = other == nil
        directory = root.appending(path: name)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }

    deinit {
        stop()
        if ownsRoot { try? FileManager.default.removeItem(at: root) }
    }

    /// A ward that has begun.
    static func ward() throws -> TestSite {
        let site = try TestSite()
        try #require(site.run("init", "--name", "千代田区").status == 0)
        return site
    }

    /// A file beside the data directories.
    func file(_ name: String, _ content: String = "") throws -> String {
        let url = root.appending(path: name)
        if !content.isEmpty { try Data(content.utf8).write(to: url) }
        return url.path
    }

    /// Runs a command to its end.
    func run(
        _ words: String...,
        environment: [String: String] = [:],
        data: Bool = true
    ) throws -> Result {
        try run(words, environment: environment, data: data)
    }

    func run(_ words: [String], environment: [String: String] = [:], data: Bool = true) throws -> Result {
        let process = Process()
        process.executableURL = Self.programs.appending(path: "tsunagu")
        process.arguments = (data ? ["--data", directory.path] : []) + words
        let own = ["TSUNAGU_OPERATOR": name, "LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin", "HOME": root.path]
        process.environment = own.merging(environment) { $1 }
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        process.standardInput = FileHandle.nullDevice
        try process.run()
        // What goes to standard error is short, so reading one after the other cannot fill a pipe.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: Array(text),
            errors: String(decoding: complaint, as: UTF8.self)
        )
    }

    /// Runs a command that must succeed, and reads its document.
    func json(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Result {
        let result = try run(words + ["--json"])
        try #require(result.status == 0, "\(words): \(result.errors)", sourceLocation: sourceLocation)
        try #require(result.json != nil, "\(words) printed no document", sourceLocation: sourceLocation)
        return result
    }

    /// Adds a resident and gives the id.
    func add(_ fields: String...) throws -> String {
        let result = try run(["resident", "add", "--json"] + fields)
        return try #require(result.object["id"] as? String, "\(result.errors)")
    }

    // MARK: - Several sites

    /// Starts the daemon, which answers others at the address it had before where it had one.
    func start(role: String = "central") throws {
        let process = Process()
        process.executableURL = Self.programs.appending(path: "tsunagud")
        let address = hub.map { String($0.dropFirst("https://".count)) } ?? "127.0.0.1:0"
        process.arguments = [
            "--data", directory.path, "--role", role, "--listen", "127.0.0.1:0", "--hub-listen", address,
            "--log-level", "error",
        ]
        process.environment = ["LANG": "en_US.UTF-8", "PATH": "/usr/bin:/bin"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        daemon = process
        var text = ""
        while !text.contains("hub ") || !text.hasSuffix("\n") {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "the daemon ended: \(text)")
            text += String(decoding: more, as: UTF8.self)
        }
        hub = text.split(separator: "\n").first { $0.hasPrefix("hub ") }.map { String($0.dropFirst(4)) }
    }

    /// Ends the daemon: nobody reaches this site.
    func stop() {
        guard let daemon else { return }
        daemon.terminate()
        daemon.waitUntilExit()
        self.daemon = nil
    }

    /// A new site of this ward, joined.
    func invite(_ name: String, role: String, _ spaces: String...) throws -> TestSite {
        let words = ["invite", "--role", role, "--name", name, "--hub", try #require(hub), "--json"]
        let invitation = try run(words + spaces.flatMap { ["--space", $0] })
        let code = try #require(invitation.object["code"] as? String, "\(invitation.errors)")
        let site = try TestSite(name, beside: self)
        let joined = try site.run("join", code)
        try #require(joined.status == 0, "\(joined.errors)")
        return site
    }

    func sync() throws { _ = try json("sync") }
}

extension [UInt8] {
    /// Whether the bytes of a text occur, as they are.
    func contains(_ text: String) -> Bool {
        let needle = Array(text.utf8)
        guard count >= needle.count else { return false }
        return (0...(count - needle.count)).contains { self[$0..<$0 + needle.count].elementsEqual(needle) }
    }
}
