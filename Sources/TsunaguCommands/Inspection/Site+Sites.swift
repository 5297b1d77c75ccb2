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
        /// What it may hold and write from now on: nothing where its rights have ended.
        package let grants: [Access.Grant]
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
                        grants: access?.isRevoked(id) == true ? [] : grants,
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

extension SiteView {
    /// One of its devices by its name, its id or the beginning of that.
    package func device(_ name: String) throws -> Device {
        let named = devices.filter { $0.name == ExactText(name) }
        let lowercased = name.lowercased()
        let found =
            named.isEmpty && !name.isEmpty
            ? devices.filter { $0.id.description.utf8.starts(with: lowercased.utf8) } : named
        if found.count == 1 { return found[0] }
        throw CommandError(
            found.isEmpty ? .notFound : .badInput,
            found.isEmpty
                ? Localized(ja: "\(self.name) に端末 \(name) はありません", en: "\(self.name) has no device \(name)")
                : Localized(
                    ja: "\(name) に当たる端末が \(found.count) 台あります",
                    en: "\(name) names \(found.count) devices of \(self.name)"
                ),
            record: name,
            hint: Localized(
                ja: "id で指定してください: " + devices.map { "\($0.name) \($0.id.short)" }.joined(separator: "、"),
                en: "name one by its id: " + devices.map { "\($0.name) \($0.id.short)" }.joined(separator: ", ")
            )
        )
    }
}

extension SiteView.Device {
    /// Spaces that it may write, as its grants name them.
    package var written: [String] { spaces { $0.writes } }

    /// Spaces that it may only read.
    package var onlyRead: [String] { spaces { !$0.writes }.filter { !written.contains($0) } }

    private func spaces(_ isNamed: (Access.Grant) -> Bool) -> [String] {
        grants.filter(isNamed).flatMap(\.spaces).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    /// Whether it may write all that a pattern of spaces names.
    func writes(_ space: String) -> Bool {
        role == .admin || written.contains { $0.utf8.elementsEqual(space.utf8) || SpaceID(space)?.matches($0) == true }
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
