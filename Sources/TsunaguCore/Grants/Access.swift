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

/// Who may read and write what.
///
/// `Access.init(root:facts:)` works it out from all that was ever said, in whatever order it arrived.
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

    /// The ward's root, of which every member was told when it joined: a key that is named like a device.
    public var root: DeviceID
    /// The grants of each device that count, also of those that are revoked: what they wrote before stands on them.
    public var grants: [DeviceID: [Grant]]
    /// The revocations of each device that count.
    public var revocations: [DeviceID: [Revocation]]
    /// How far chains take effect because an admin adopted what they say.
    public var adopted: Revocation.Cut
    /// Whom a chain of grants leads to from the root, whatever was revoked: such a set only grows.
    public var everAdmins: Set<DeviceID>
    /// The word that ended the rights of each revoked device: of several the most senior's, then that with the lower dot.
    public var endings: [DeviceID: Dot]
    /// For each admin but the root the grant that makes it one, on a shortest way from the root.
    public var appointments: [DeviceID: Dot]
    /// How far chains of `system` that do not count were said anew by an admin: nobody has to look at them any more.
    public var saidAnew: [ReplicaID: UInt64]

    /// Joins the parts.
    public init(
        root: DeviceID,
        grants: [DeviceID: [Grant]] = [:],
        revocations: [DeviceID: [Revocation]] = [:],
        adopted: Revocation.Cut = Revocation.Cut(),
        everAdmins: Set<DeviceID> = [],
        endings: [DeviceID: Dot] = [:],
        appointments: [DeviceID: Dot] = [:],
        saidAnew: [ReplicaID: UInt64] = [:]
    ) {
        self.root = root
        self.grants = grants
        self.revocations = revocations
        self.adopted = adopted
        self.everAdmins = everAdmins
        self.endings = endings
        self.appointments = appointments
        self.saidAnew = saidAnew
    }

    /// The one device that goes on with what a revoked one kept: whose word ended its rights, or where his ended too,
    /// whose word ended those.
    public func successor(of device: DeviceID) -> DeviceID? {
        var seen: Set<DeviceID> = [device]
        var next = endings[device]?.replica.device
        while let one = next, isRevoked(one), seen.insert(one).inserted { next = endings[one]?.replica.device }
        return next.flatMap { isRevoked($0) ? nil : $0 }
    }

    /// The grants by which a device speaks for the ward, its own first; `nil` where it does not.
    public func credentials(of device: DeviceID) -> [Dot]? {
        guard isAdmin(device) else { return nil }
        var out: [Dot] = []
        var next = device
        while next != root {
            guard let dot = appointments[next], !out.contains(dot) else { return nil }
            out.append(dot)
            next = dot.replica.device
        }
        return out
    }

    /// Whether what the device says is erased is erased: that is final, so no revocation takes it back.
    public func mayErase(_ device: DeviceID) -> Bool { device == root || everAdmins.contains(device) }

    /// Whether the device's rights ended.
    public func isRevoked(_ device: DeviceID) -> Bool {
        !Mutant.revokedStayMembers.isPlanted && revocations[device] != nil
    }

    /// Whether the device is one of the ward's.
    public func isMember(_ device: DeviceID) -> Bool {
        !isRevoked(device) && (device == root || grants[device]?.isEmpty == false)
    }

    /// Whether the device exchanges with others: the root is a key on paper, which writes, and neither asks nor answers.
    public func takesPart(_ device: DeviceID) -> Bool { device != root && isMember(device) }

    /// Whether the device may invite, grant, revoke and resolve.
    public func isAdmin(_ device: DeviceID) -> Bool { !isRevoked(device) && wasAdmin(device) }

    /// Whether the device may hold a space.
    ///
    /// Every member holds `system`.
    public func mayRead(_ device: DeviceID, _ space: SpaceID) -> Bool {
        if Mutant.everybodyMayRead.isPlanted { return true }
        return space == .system ? isMember(device) : !isRevoked(device) && isNamed(space, to: device)
    }

    /// Whether a grant lets a device hold a space, or did before its rights ended.
    public func isNamed(_ space: SpaceID, to device: DeviceID) -> Bool {
        wasAdmin(device) || grants[device]?.contains { $0.spaces.contains(where: space.matches) } == true
    }

    /// Whether the device may write in the space from now on.
    public func mayWrite(_ device: DeviceID, _ space: SpaceID) -> Bool {
        !isRevoked(device) && !writingRoles(of: device, in: space).isEmpty
    }

    /// The roles in which grants let a device write a space, revoked or not; none of them writes more than an admin.
    public func writingRoles(of device: DeviceID, in space: SpaceID) -> Set<Role> {
        if wasAdmin(device) || Mutant.everybodyMayWrite.isPlanted { return [.admin] }
        if space == .system { return [] }
        let grants = grants[device]?.filter { $0.writes && $0.spaces.contains(where: space.matches) }
        return Set(grants?.map(\.role) ?? [])
    }

    /// The last number of a replica's chain in a space that takes effect: 0 where none does, `UInt64.max` where all do.
    ///
    /// A grant covers whatever the device wrote, before or after; only a revocation excludes, from a number on. What an
    /// admin adopted counts in any case.
    ///
    /// - Parameter barred: for roles that the schema does not let write all of the chain, the first number that they may
    ///   not.
    public func honours(_ replica: ReplicaID, in space: SpaceID, barred: [Role: UInt64] = [:]) -> UInt64 {
        let adopted = adopted[space, replica]
        if Mutant.adoptionGoesOn.isPlanted, adopted > 0 { return .max }
        return max(covered(replica, in: space, barred), adopted)
    }

    /// The last number that grants and cuts let take effect.
    private func covered(_ replica: ReplicaID, in space: SpaceID, _ barred: [Role: UInt64]) -> UInt64 {
        let barred = Mutant.writersAreNotChecked.isPlanted ? [:] : barred
        let ends = writingRoles(of: replica.device, in: space).map { barred[$0].map { $0 - 1 } ?? .max }
        guard let end = ends.max() else { return 0 }
        if Mutant.cutsAreIgnored.isPlanted { return end }
        let cut = revocations[replica.device]?.compactMap { $0.cut?[space, replica] }.min()
        if Mutant.cutsAreOneShort.isPlanted, let cut { return min(end, max(cut, 1) - 1) }
        return min(end, cut ?? .max)
    }

    /// Whether the device is or was an admin's.
    public func wasAdmin(_ device: DeviceID) -> Bool {
        device == root || grants[device]?.contains { $0.role == .admin } == true
    }
}
