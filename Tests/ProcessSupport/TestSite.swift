// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Foundation
package import Testing

/// A site as people have it: a data directory, and the two programs run with real arguments.
package final class TestSite {
    package typealias Result = Program.Result

    package let name: String
    package let directory: URL
    private let root: URL
    private let ownsRoot: Bool
    package private(set) var daemon: RunningDaemon?
    /// What the system takes from the permissions of its new files, as a shell takes it; sites beside it inherit it.
    package var umask: String?
    /// Where its hub was when it last ran.
    package private(set) var hub: String?

    /// A place for a site; nothing is made yet.
    package init(_ name: String = "centre", beside other: TestSite? = nil) throws {
        self.name = name
        root = other?.root ?? FileManager.default.temporaryDirectory.appending(path: "tsunagu-cli-\(UUID().uuidString)")
        ownsRoot = other == nil
        umask = other?.umask
        directory = root.appending(path: name)
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    }

    deinit {
        daemon?.kill()
        if ownsRoot { try? FileManager.default.removeItem(at: root) }
    }

    /// A ward that has begun.
    package static func ward() throws -> TestSite {
        let site = try TestSite()
        _ = try site.json("init", "--name", "千代田区")
        return site
    }

    /// A file beside the data directories.
    package func file(_ name: String, _ content: String = "") throws -> String {
        let url = root.appending(path: name)
        if !content.isEmpty { try Data(content.utf8).write(to: url) }
        return url.path
    }

    /// Runs a command to its end.
    package func run(
        _ words: String...,
        environment: [String: String] = [:],
        data: Bool = true
    ) throws -> Result {
        try run(words, environment: environment, data: data)
    }

    package func run(
        _ words: [String],
        environment: [String: String] = [:],
        data: Bool = true,
        fileKilobytesMax: Int? = nil,
        _ strike: Program.Strike? = nil
    ) throws -> Result {
        try begin(words, environment: environment, data: data, fileKilobytesMax: fileKilobytesMax).end(strike)
    }

    /// Begins a command while others run.
    ///
    /// - Parameter fileKilobytesMax: the size at which the system takes no more of a file.
    package func begin(
        _ words: [String],
        environment: [String: String] = [:],
        data: Bool = true,
        fileKilobytesMax: Int? = nil
    ) throws -> Program.Run {
        let own = ["TSUNAGU_OPERATOR": name, "HOME": root.path].merging(environment) { $1 }
        let arguments = (data ? ["--data", directory.path] : []) + words
        return try Program.Run(
            Program.tsunagu.process(arguments, own, fileKilobytesMax: fileKilobytesMax, umask: umask)
        )
    }

    /// Runs a command that must succeed, and reads its document.
    @discardableResult
    package func json(_ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Result {
        let result = try run(words + ["--json"])
        try #require(result.status == 0, "\(words): \(result.errors)", sourceLocation: sourceLocation)
        try #require(result.json != nil, "\(words) printed no document", sourceLocation: sourceLocation)
        return result
    }

    /// Adds a resident and gives the id.
    package func add(_ fields: String...) throws -> String {
        let result = try run(["resident", "add", "--json"] + fields)
        return try #require(result.object["id"] as? String, "\(result.errors)")
    }

    /// A day so far ahead that rights travel for its lessons, and nobody is forgotten, whenever this is run.
    package static let distantDay = "2090-12-01"

    /// Adds a lesson in Kudan, from ten to twelve.
    package func addLesson(
        _ code: String = "L1",
        title: String = "スマホ入門",
        capacity: Int,
        date: String = distantDay
    ) throws -> Result {
        let what = ["lesson", "add", "--space", "lessons/kudan", "--code", code, "--title", title, "--json"]
        return try run(what + ["--date", date, "--time", "10:00-12:00", "--capacity", "\(capacity)"])
    }

    /// Whether `doctor` finds nothing.
    package func isSound() throws -> Bool { try run("doctor", "--json").object["ok"] as? Bool == true }

    /// Of the spaces that centre and branches share.
    package func digests() throws -> [String: String] {
        try json("digest").object.compactMapValues { $0 as? String }.filter { $0.key != "residents/protected" }
    }

    /// Records of a space, as `status` counts them.
    package func records(in space: String) throws -> Int {
        let spaces = try json("status").object["spaces"] as? [[String: Any]] ?? []
        return spaces.first { $0["name"] as? String == space }?["records"] as? Int ?? -1
    }

    // MARK: - Several sites

    /// Starts the hub, at the address it had before where it had one.
    package func start(
        role: String = "central",
        _ options: [String] = [],
        fileKilobytesMax: Int? = nil
    ) throws {
        let address = hub.map { String($0.trimmingPrefix("https://").trimmingPrefix("http://")) } ?? "127.0.0.1:0"
        try startDaemon(["--role", role, "--hub-listen", address] + options, fileKilobytesMax: fileKilobytesMax)
    }

    /// Starts a daemon, which syncs when it begins.
    package func startDaemon(_ options: [String] = [], fileKilobytesMax: Int? = nil) throws {
        let own = ["--data", directory.path, "--listen", "127.0.0.1:0", "--log-level", "error"]
        let daemon = try RunningDaemon(
            own + options,
            fileKilobytesMax: fileKilobytesMax,
            umask: umask,
            log: URL(filePath: file("\(name).log"))
        )
        self.daemon = daemon
        hub = daemon.hub ?? hub
    }

    /// Ends the hub: everybody is offline.
    package func stop() {
        daemon?.terminate()
        daemon = nil
    }

    /// What its daemons said on standard error.
    package func log() throws -> String { try String(contentsOfFile: file("\(name).log"), encoding: .utf8) }

    /// Ends the daemon as a power cut would.
    package func kill() {
        daemon?.kill()
        daemon = nil
    }

    /// A code for a new site of this ward.
    ///
    /// - Parameter address: where it is to find the hub, if not where it is.
    package func invitation(_ name: String, role: String, _ spaces: [String] = [], at address: String? = nil) throws
        -> String
    {
        let words = ["invite", "--role", role, "--name", name, "--hub", try #require(address ?? hub), "--json"]
        let invitation = try run(words + spaces.flatMap { ["--space", $0] })
        return try #require(invitation.object["code"] as? String, "\(invitation.errors)")
    }

    /// A new site of this ward, joined.
    package func invite(_ name: String, role: String, _ spaces: String...) throws -> TestSite {
        let code = try invitation(name, role: role, spaces)
        let site = try TestSite(name, beside: self)
        let joined = try site.run("join", code)
        try #require(joined.status == 0, "\(joined.errors)")
        return site
    }

    package func sync() throws { try json("sync") }
}
