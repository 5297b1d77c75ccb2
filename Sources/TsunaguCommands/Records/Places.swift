// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

/// Who wrote something, at which place and when.
package struct Authorship: Sendable {
    package let person: Operator
    package let device: DeviceID
    /// The device's name; `nil` where this site does not know the device.
    package let deviceName: ExactText?
    /// The name of the device's site.
    package let site: ExactText?
    package let timestamp: Timestamp
}

/// The names of devices and of their sites, as `system` has them.
package struct Places: Sendable {
    /// A device by name.
    package struct Place: Sendable {
        package let device: ExactText
        package let site: ExactText?
        package let siteID: RecordID?
    }

    private var places: [DeviceID: Place] = [:]

    package init(_ transaction: StoreTransaction) throws {
        var names: [RecordID: ExactText] = [:]
        try transaction.forEachRecord(SystemSchema.site) { row in names[row.id] = row.values["name"]?.text }
        try transaction.forEachRecord(SystemSchema.device) { row in
            let site = row.text("site").flatMap { RecordID(hex: $0) }
            places[DeviceID(bytes: row.id.bytes)!] = Place(
                device: row.values["name"]?.text ?? "",
                site: site.flatMap { names[$0] },
                siteID: site
            )
        }
    }

    package subscript(device: DeviceID) -> Place? { places[device] }

    package func authorship(_ person: Operator, _ device: DeviceID, _ timestamp: Timestamp) -> Authorship {
        let place = places[device]
        return Authorship(
            person: person,
            device: device,
            deviceName: place?.device,
            site: place?.site,
            timestamp: timestamp
        )
    }

    package func authorship(_ header: ChangeHeader) -> Authorship {
        authorship(header.author, header.dot.replica.device, header.timestamp)
    }
}
