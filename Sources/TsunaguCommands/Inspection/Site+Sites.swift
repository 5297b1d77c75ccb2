// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
import TsunaguStore

/// A site with its devices, as `system` has it.
package struct SiteView: Sendable {
    /// Whether all its devices' rights have ended.
    package var isRevoked: Bool { !devices.isEmpty && devices.allSatisfy { $0.revoked != nil } }

    package struct Device: Sendable {
        package let id: DeviceID
        package let name: ExactText
        package let role: Role?
        package let spaces: [String]
        package let writes: Bool
        /// How its rights ended, where they did.
        package let revoked: Revocation.Mode?
        /// Unix milliseconds when the recovery key made it an admin's; `nil` where it did not.
        package let recovered: UInt64?
        /// Unix milliseconds of the last exchange with it; `nil` where this site has had none.
        package let lastContact: UInt64?
        /// How many changes held here it may hold and is not known to, where there are any; `nil` where it was never met,
        /// or may hold nothing any more.
        package let lacking: [(space: SpaceID, changes: Int)]?
    }

    package let id: RecordID
    package let name: ExactText
    package let role: String
    package let devices: [Device]
}

extension Site {
    /// The sites of the ward by name.
    package func sites() throws -> [SiteView] {
        try read { transaction in
            let access = try transaction.currentAccess()
            let recoveries = try transaction.recoveries()
            var devices: [RecordID: [SiteView.Device]] = [:]
            for row in try transaction.records(SystemSchema.device, where: "deleted = 0 ORDER BY name, id") {
                guard let site = row.text("site").flatMap({ RecordID(hex: $0) }), let id = DeviceID(bytes: row.id.bytes)
                else {
                    continue
                }
                let grants = access?.grants[id] ?? []
                devices[site, default: []].append(
                    SiteView.Device(
                        id: id,
                        name: row.values["name"]?.text ?? "",
                        role: access?.role(of: id),
                        spaces: grants.flatMap(\.spaces),
                        writes: grants.contains(where: \.writes),
                        revoked: access?.revocations[id]?.first?.mode,
                        recovered: recoveries.last { $0.devices.contains(id) }?.at,
                        lastContact: try transaction.met(id)?.at,
                        lacking: try transaction.lacking(id, access)
                    )
                )
            }
            return try transaction.records(SystemSchema.site, where: "deleted = 0 ORDER BY name, id").map { row in
                SiteView(
                    id: row.id,
                    name: row.values["name"]?.text ?? "",
                    role: row.text("role") ?? "",
                    devices: devices[row.id] ?? []
                )
            }
        }
    }

    /// One site by its name, its id or the beginning of that.
    package func site(_ name: String) throws -> SiteView {
        let row = try read { try $0.find(SystemSchema.site, name, key: SystemSchema.site.field(named: "name")!.field) }
        guard let found = try sites().first(where: { $0.id == row.id }) else {
            throw CommandError.notFound(SystemSchema.site, name)
        }
        return found
    }
}

extension StoreTransaction {
    fileprivate func lacking(_ device: DeviceID, _ access: Access?) throws -> [(space: SpaceID, changes: Int)]? {
        guard try met(device) != nil, access?.isRevoked(device) != true else { return nil }
        return try spaces().filter { access?.mayRead(device, $0) == true }
            .map { ($0, try lacking(device, in: $0)) }
            .filter { $0.changes > 0 }
    }
}
