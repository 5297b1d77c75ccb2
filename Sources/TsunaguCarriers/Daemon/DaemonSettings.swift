// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What a daemon is told: flags over environment over file over defaults.
///
/// A layer is a dictionary from key to text. Keys are the same everywhere: `hub-listen` is the flag `--hub-listen`, the
/// variable `TSUNAGU_HUB_LISTEN` and the file's `hub-listen = …`.
package struct DaemonSettings: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable {
        case site
        case central
    }

    package enum Key: String, Hashable, Sendable, CaseIterable {
        case data
        case role
        case listen
        case hubListen = "hub-listen"
        case hubPlain = "hub-plain"
        case syncInterval = "sync-interval"
        case logLevel = "log-level"

        package var environmentName: String {
            "TSUNAGU_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
        }
    }

    package typealias Layer = [Key: String]

    /// Nil: the caller's default data directory.
    package var data: String?
    /// Nil: as the site in the data directory says.
    package var role: Role?
    package var listen = ListenAddress(host: "127.0.0.1", port: 8787)
    /// Nil: where a hub listens by custom, and no server for peers elsewhere.
    package var hubListen: ListenAddress?
    package static let hubListenDefault = ListenAddress(host: "0.0.0.0", port: 8788)
    package var hubPlain = false
    package var syncInterval: Duration = .seconds(60)
    /// A name of swift-log's: trace, debug, info, notice, warning, error, critical.
    package var logLevel = "info"

    /// - Parameter layers: the strongest first.
    package init(layers: [Layer]) throws(DaemonSettingsError) {
        var values: Layer = [:]
        for layer in layers { values.merge(layer) { stronger, _ in stronger } }
        for (key, text) in values.sorted(by: { $0.key.rawValue < $1.key.rawValue }) { try set(key, text) }
        guard listen.isLoopback else { throw DaemonSettingsError(listen: listen) }
    }

    private mutating func set(_ key: Key, _ text: String) throws(DaemonSettingsError) {
        func parsed<Value>(_ expected: String, _ value: Value?) throws(DaemonSettingsError) -> Value {
            guard let value else { throw DaemonSettingsError(key: key, text: text, expected: expected) }
            return value
        }
        switch key {
        case .data:
            data = try parsed("a directory", text.isEmpty ? nil : text)
        case .role:
            role = try parsed("site or central", Role(rawValue: text))
        case .listen:
            listen = try parsed("host:port", ListenAddress(text))
        case .hubListen:
            hubListen = try parsed("host:port", ListenAddress(text))
        case .hubPlain:
            hubPlain = try parsed("true or false", Bool(text))
        case .syncInterval:
            let seconds = Int(text).flatMap { (1...86_400).contains($0) ? $0 : nil }
            syncInterval = .seconds(try parsed("whole seconds from 1 to 86400", seconds))
        case .logLevel:
            let names = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
            logLevel = try parsed(names.joined(separator: ", "), names.contains(text) ? text : nil)
        }
    }

    /// The layer of `TSUNAGU_…` variables.
    ///
    /// An empty variable is one that is not set.
    package static func layer(environment: [String: String]) -> Layer {
        Layer(
            uniqueKeysWithValues: Key.allCases.compactMap { key in
                environment[key.environmentName].flatMap { $0.isEmpty ? nil : (key, $0) }
            }
        )
    }

    /// The layer of a file: lines `key = value`, blank lines, and comments that begin with `#`.
    package static func layer(file text: String) throws(DaemonSettingsError) -> Layer {
        var layer: Layer = [:]
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = line.trimmingBlanks()
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let sign = line.firstIndex(of: "=") else {
                throw DaemonSettingsError(line: index + 1, "expected key = value")
            }
            let name = line[..<sign].trimmingBlanks()
            guard let key = Key(rawValue: String(name)) else {
                let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
                throw DaemonSettingsError(line: index + 1, "unknown key \"\(name)\" (known: \(known))")
            }
            let value = String(line[line.index(after: sign)...].trimmingBlanks())
            guard layer.updateValue(value, forKey: key) == nil else {
                throw DaemonSettingsError(line: index + 1, "\(name) is set twice")
            }
        }
        return layer
    }
}

/// What is wrong with what the daemon was told: a usage error.
package struct DaemonSettingsError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(line: Int, _ problem: String) {
        description = "configuration file, line \(line): \(problem)"
    }

    init(key: DaemonSettings.Key, text: String, expected: String) {
        description = "\(key.rawValue) is \"\(text)\": expected \(expected)"
    }

    init(listen: ListenAddress) {
        description = ListenError.notLoopback(listen).description
    }
}

extension Substring {
    fileprivate func trimmingBlanks() -> Substring {
        let blanks: Set<Character> = [" ", "\t", "\r"]
        var rest = drop { blanks.contains($0) }
        while let last = rest.last, blanks.contains(last) { rest.removeLast() }
        return rest
    }
}
