// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

extension StoreTransaction {
    /// The last stamp of each chain of a space, as its author's clock said.
    package func lastStamps(in id: SpaceID) throws -> [(replica: ReplicaID, timestamp: Timestamp)] {
        guard let space = try space(id) else { return [] }
        return try vector(of: id).map { entry in
            (entry.replica, try chainRow(space, author(entry.replica)).chain.timestamp)
        }
    }
}
