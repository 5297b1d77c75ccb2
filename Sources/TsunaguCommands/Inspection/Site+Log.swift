// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore

/// A change as people are told of it.
package struct LogEntry: Sendable {
    package let space: SpaceID
    package let author: Authorship
    package let replica: ReplicaID
    package let seq: UInt64
    package let records: Int
    package let reason: ExactText?
    /// Who an import's rows come from.
    package let source: ExactText?
    /// Whether it is part of an import.
    package let isBatch: Bool
    package let isInEffect: Bool
}

extension Site {
    /// The latest changes, newest first.
    package func log(space name: String? = nil, limit: Int = 50) throws -> [LogEntry] {
        try read { transaction in
            let space = try name.map { name in
                guard let space = SpaceID(name), try transaction.spaces().contains(space) else {
                    throw CommandError(
                        .notFound,
                        Localized(ja: "空間がありません: \(name)", en: "there is no space '\(name)' here"),
                        record: name,
                        hint: Localized(ja: "tsunagu status で確かめてください", en: "look at 'tsunagu status'")
                    )
                }
                return space
            }
            let places = try Places(transaction)
            return try transaction.recentChanges(in: space, limit: limit).map { change in
                LogEntry(
                    space: change.header.space,
                    author: places.authorship(change.header),
                    replica: change.header.dot.replica,
                    seq: change.header.dot.seq,
                    records: change.records,
                    reason: change.header.reason,
                    source: change.header.source,
                    isBatch: change.header.batch != nil,
                    isInEffect: change.isInEffect
                )
            }
        }
    }
}
