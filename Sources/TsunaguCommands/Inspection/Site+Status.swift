// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

/// What stands where at this site.
package struct SiteStatus: Sendable {
    package struct Space: Sendable {
        package let id: SpaceID
        package let records: Int
        package let changes: Int
        /// Changes written here that no peer is known to hold.
        package let unsent: Int
        /// What held changes wait for.
        package let waitingFor: [String]
        /// Unix milliseconds of the last proof of being up to date.
        package let provedAt: UInt64?
    }

    package let site: ExactText?
    package let role: Role?
    package let device: DeviceID
    package let deviceName: ExactText?
    package let replica: ReplicaID
    package let spaces: [Space]
    package let conflicts: Int
    package let findings: Int
    package let quarantined: Int
    /// Changes that the log counts and does not hold, as far as that is known.
    package let lost: [LostChanges]
    /// Runs that this side or a peer would not take, oldest first.
    package let refused: [StoreTransaction.RefusalRow]
    /// What this machine alone noticed: code and detail, oldest first.
    package let notices: [(at: UInt64, code: String, detail: String)]
}

extension Site {
    /// What needs no network to say.
    package func status() throws -> SiteStatus {
        try read { transaction in
            guard let replica = try transaction.ownReplica() else {
                preconditionFailure("an opened site has a replica")
            }
            let place = try Places(transaction)[replica.device]
            let spaces = try transaction.spaces().map { id in
                let counts = try transaction.counts(of: id)
                return SiteStatus.Space(
                    id: id,
                    records: counts.records,
                    changes: counts.changes,
                    unsent: try transaction.unsent(in: id),
                    waitingFor: try transaction.heldCauses(in: id),
                    provedAt: try transaction.provedAt(id)
                )
            }
            let inbox = try transaction.inboxCounts()
            return SiteStatus(
                site: place?.site,
                role: try transaction.currentAccess()?.role(of: replica.device),
                device: replica.device,
                deviceName: place?.device,
                replica: replica,
                spaces: spaces,
                conflicts: inbox.conflicts,
                findings: try transaction.findings().count,
                quarantined: inbox.quarantined,
                lost: try transaction.lostChanges(),
                refused: try transaction.refusals(),
                notices: try transaction.notices() + transaction.recoveryNotices() + transaction.endingNotices(replica)
            )
        }
    }

    /// What every space held here adds up to; equal for equal state.
    package func digests() throws -> [(space: SpaceID, digest: Bytes16)] {
        try read { transaction in
            try transaction.spaces().compactMap { id in try transaction.digest(of: id).map { (id, $0) } }
        }
    }
}

extension StoreTransaction {
    /// That the recovery key was used is for everybody to see.
    fileprivate func recoveryNotices() throws -> [(at: UInt64, code: String, detail: String)] {
        try recoveries().map { recovery in
            let devices = recovery.devices.map(\.short).joined(separator: " ")
            return (recovery.at, "recovery_key_used", "\(recovery.person.label): \(recovery.reason ?? "") (\(devices))")
        }
    }
}

extension StoreTransaction {
    /// That this device's own rights have ended, as long as it has not handed in what it wrote.
    fileprivate func endingNotices(_ own: ReplicaID) throws -> [(at: UInt64, code: String, detail: String)] {
        guard let access = try currentAccess(), access.isRevoked(own.device), let word = access.endings[own.device],
            let said = try header(of: word, in: .system)
        else { return [] }
        let office = try Places(self)[word.replica.device]?.site?.string ?? word.replica.device.short
        return [(said.timestamp.milliseconds, "rights_ended", "\(said.author.label) (\(office))")]
    }
}

extension Access {
    /// What a device is seen as; the root is an admin.
    package func role(of device: DeviceID) -> Role? { wasAdmin(device) ? .admin : grants[device]?.first?.role }
}
