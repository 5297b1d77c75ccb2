// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension Site {
    /// Whether the database answers.
    package func answers() -> Bool { (try? read { try $0.spaces() }) != nil }

    /// Prometheus text: counts only, nothing of any person.
    package func metrics() throws -> String {
        try read { transaction in
            let counts = try transaction.spaces().map { ($0, try transaction.counts(of: $0)) }
            let inbox = try transaction.inboxCounts()
            return Self.gauge("tsunagu_records", "Records held.", "space", counts.map { ($0.0.name, $0.1.records) })
                + Self.gauge(
                    "tsunagu_changes",
                    "Changes received or written.",
                    "space",
                    counts.map { ($0.0.name, $0.1.changes) }
                )
                + Self.gauge(
                    "tsunagu_inbox",
                    "What waits for a person.",
                    "kind",
                    [("conflict", inbox.conflicts), ("quarantine", inbox.quarantined)]
                )
        }
    }

    private static func gauge(_ name: String, _ help: String, _ label: String, _ values: [(String, Int)]) -> String {
        values.reduce("# HELP \(name) \(help)\n# TYPE \(name) gauge\n") { text, value in
            text + "\(name){\(label)=\"\(value.0)\"} \(value.1)\n"
        }
    }
}
