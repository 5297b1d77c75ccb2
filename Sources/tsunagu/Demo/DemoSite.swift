// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// A JSON document as a command printed it.
indirect enum JSONValue: Decodable {
    case null
    case bool(Bool)
    case number(Int)
    case text(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    subscript(key: String) -> JSONValue? { if case .object(let members) = self { members[key] } else { nil } }

    var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var number: Int? { if case .number(let number) = self { number } else { nil } }
    var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    var members: [String: JSONValue] { if case .object(let members) = self { members } else { [:] } }
}

/// One machine of the demo: a data directory and the two programs.
final class DemoSite {
    let name: String
    let directory: String
    private let programs: String
    private var daemon: ChildProcess?
    private(set) var addresses: [String: String] = [:]

    init(_ name: String, _ directory: String, programs: String) {
        self.name = name
        self.directory = directory
        self.programs = programs
    }

    private var environment: [String: String] {
        var environment: [String: String] = ["TSUNAGU_OPERATOR": name, "TSUNAGU_DATA": directory, "LANG": "C.UTF-8"]
        for key in ["PATH", "HOME", "TMPDIR"] {
            if let value = getenv(key) { environment[key] = String(cString: value) }
        }
        return environment
    }

    /// Runs a command and reads its JSON.
    ///
    /// - Throws: where it does not end with `status`.
    @discardableResult
    func run(_ words: String..., status: Int32 = 0) throws -> JSONValue { try run(words, status: status) }

    @discardableResult
    func run(_ words: [String], status: Int32 = 0) throws -> JSONValue {
        let result = try ChildProcess(programs + "/tsunagu", words + ["--json"], environment: environment).finish()
        guard result.status == status else {
            throw ChildProcess.Failure(
                description:
                    "\(name): tsunagu \(words.joined(separator: " ")): \(result.status), \(result.errors.prefix(300))"
            )
        }
        guard !result.output.isEmpty else { return .null }
        return try JSONDecoder().decode(JSONValue.self, from: Data(result.output.utf8))
    }

    /// Starts the daemon as the centre's hub, at the address it had before where it had one.
    func startHub() throws {
        let listen = addresses["hub"].map { String($0.dropFirst("https://".count)) } ?? "127.0.0.1:0"
        let started = try ChildProcess(
            programs + "/tsunagud",
            [
                "--data", directory, "--role", "central", "--listen", "127.0.0.1:0", "--hub-listen", listen,
                "--log-level", "error",
            ],
            environment: environment
        )
        daemon = started
        addresses = try started.lines(beginning: ["listening", "hub"])
    }

    /// Stops the daemon; the site is offline from then on.
    @discardableResult
    func stop() -> Int32 {
        defer { daemon = nil }
        return daemon?.stop() ?? 0
    }

    /// Whether any file of the data directory holds some bytes.
    func holds(_ needle: String) -> Bool {
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: directory) else { return false }
        return files.contains { file in
            FileManager.default.contents(atPath: directory + "/" + file).map { Self.contains(needle, Array($0)) }
                == true
        }
    }

    /// Whether some bytes hold a text's.
    static func contains(_ needle: String, _ bytes: [UInt8]) -> Bool {
        let needle = Array(needle.utf8)
        return bytes.withUnsafeBytes { memory in
            var rest = memory[...]
            while let start = rest.firstIndex(of: needle[0]) {
                if memory[start...].starts(with: needle) { return true }
                rest = memory[(start + 1)...]
            }
            return false
        }
    }
}
