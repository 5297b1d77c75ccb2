// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguWard

/// How protected residents were looked at.
enum ProtectedRead: String {
    case show, find, history, export, conflict
}

extension Site {
    /// Reads what may show protected residents; that they were seen is recorded before anybody is told.
    ///
    /// - Parameter body: gives the answer, and the protected residents that it shows; it may run twice.
    func reading<R>(_ kind: ProtectedRead, _ body: (StoreTransaction) throws -> (R, [RecordID])) throws -> R {
        let (answer, seen) = try read(body)
        if seen.isEmpty { return answer }
        return try write { transaction in
            let (answer, seen) = try body(transaction)
            try transaction.record(kind, of: seen, by: self)
            return answer
        }
    }
}

extension StoreTransaction {
    /// Adds to the audit log that protected residents were seen.
    func record(_ kind: ProtectedRead, of residents: [RecordID], by site: Site) throws {
        guard !residents.isEmpty else { return }
        let names = Set(residents).sorted().map(\.description).joined(separator: " ")
        try draft(.protectedResidents, by: site.person).create(
            WardSchema.protectedRead,
            [(1, .text(kind.rawValue)), (2, .text(names))]
        )
    }

    /// Those of some rows that are protected.
    func seen(_ rows: [StoredRecord]) -> [RecordID] {
        rows.filter { $0.space == .protectedResidents }.map(\.id)
    }
}
