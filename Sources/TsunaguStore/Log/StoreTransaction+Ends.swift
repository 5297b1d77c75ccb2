// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// Where chains end.
extension StoreTransaction {
    /// The chains of a device in a space, branches by their own names, and how far each is here.
    package func chainEnds(of device: DeviceID, in id: SpaceID) throws -> [ReplicaID: UInt64] {
        let chains = try vector(of: id).filter { $0.replica.device == device }
        return Dictionary(uniqueKeysWithValues: chains.map { ($0.replica, $0.seq) })
    }

    /// Where a chain of a revoked device ends for good, with its branches: what is honoured of each.
    ///
    /// - Returns: `nil` while something of that is not here, or more may be honoured yet.
    package func finalEnds(of replica: ReplicaID, in id: SpaceID) throws -> [ReplicaID: UInt64]? {
        guard let access = try currentAccess(), let space = try space(id),
            access.revocations[replica.device]?.contains(where: { $0.cut != nil }) == true
        else { return nil }
        var out: [ReplicaID: UInt64] = [:]
        for author in try parts(of: replica, in: space) {
            let name = try self.replica(author)
            let honoured = access.honours(name, in: id, barred: try barred(space, author))
            guard honoured <= (try chainRow(space, author).chain.seq) else { return nil }
            out[name] = honoured
        }
        guard out[replica] != nil || access.honours(replica, in: id) == 0 else { return nil }
        return out
    }
}
