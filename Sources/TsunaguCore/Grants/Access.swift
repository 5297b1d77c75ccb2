// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What people see a device as.
public enum Role: String, Sendable, CaseIterable {
    /// Resolves, invites, grants; reads and writes every space.
    case admin
    /// A counter: residents, procedures, cases, the lesson spaces.
    case branch
    /// A volunteer's laptop: its own lesson space only.
    case venue
    /// Reads everything it is granted, writes nothing.
    case auditor

    /// What an invitation of this role covers where nobody says otherwise.
    public var defaultSpaces: [String] {
        switch self {
        case .admin: ["*"]
        case .branch: ["residents", "procedures", "cases", "lessons/*"]
        case .venue: []
        case .auditor: ["residents", "procedures", "cases", "lessons/*"]
        }
    }
}

/// Who may read and write what, from the grants in effect.
public struct Access: Sendable {
    /// One grant of one device.
    public struct Grant: Hashable, Sendable {
        /// What it is seen as.
        public var role: Role
        /// Spaces, as `SpaceID.matches` reads them.
        public var spaces: [String]
        /// Whether it may write there.
        public var writes: Bool

        /// Joins the parts.
        public init(role: Role, spaces: [String], writes: Bool) {
            self.role = role
            self.spaces = spaces
            self.writes = writes
        }
    }

    /// The founding device: whom every member was told of when it joined.
    public var root: DeviceID
    /// The grants of each device.
    public var grants: [DeviceID: [Grant]]

    /// Joins the parts.
    public init(root: DeviceID, grants: [DeviceID: [Grant]] = [:]) {
        self.root = root
        self.grants = grants
    }

    /// Whether the device is one of the ward's.
    public func isMember(_ device: DeviceID) -> Bool { device == root || grants[device]?.isEmpty == false }

    /// Whether the device may invite, grant and resolve.
    public func isAdmin(_ device: DeviceID) -> Bool {
        device == root || grants[device]?.contains { $0.role == .admin } == true
    }

    /// Whether the device may hold a space.
    ///
    /// Every member holds `system`.
    public func mayRead(_ device: DeviceID, _ space: SpaceID) -> Bool {
        if isAdmin(device) || Mutant.everybodyMayRead.isPlanted { return true }
        if space == .system { return isMember(device) }
        return grants[device]?.contains { $0.spaces.contains(where: space.matches) } == true
    }

    /// Whether a change of the device in the space takes effect.
    public func mayWrite(_ device: DeviceID, _ space: SpaceID) -> Bool {
        if isAdmin(device) || Mutant.everybodyMayWrite.isPlanted { return true }
        if space == .system { return false }
        return grants[device]?.contains { $0.writes && $0.spaces.contains(where: space.matches) } == true
    }
}
