// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore

@Suite struct AccessTests {
    private let root = DeviceID(signingKey: [0])
    private let device = DeviceID(signingKey: [1])
    private let spaces = [
        "system", "residents", "residents/protected", "procedures", "lessons/kudan", "lessons/ochanomizu",
    ]
    .map { SpaceID($0)! }

    private func access(_ grants: Access.Grant...) -> Access { Access(root: root, grants: [device: grants]) }

    private func names(_ access: Access, _ may: (Access) -> (DeviceID, SpaceID) -> Bool) -> [String] {
        spaces.filter { may(access)(device, $0) }.map(\.name)
    }

    @Test func theFounderMayEverythingAndAStrangerNothing() {
        let access = access()
        for space in spaces {
            #expect(access.mayRead(root, space) && access.mayWrite(root, space))
            #expect(!access.mayRead(device, space) && !access.mayWrite(device, space))
        }
        #expect(access.isMember(root) && access.isAdmin(root))
        #expect(!access.isMember(device) && !access.isAdmin(device))
        #expect(!Access(root: root).isMember(device))
    }

    @Test func aVenueHasItsOwnLessonSpaceOnly() {
        let access = access(Access.Grant(role: .venue, spaces: ["lessons/kudan"], writes: true))
        #expect(names(access, Access.mayRead) == ["system", "lessons/kudan"])
        #expect(names(access, Access.mayWrite) == ["lessons/kudan"])
        #expect(access.isMember(device) && !access.isAdmin(device))
    }

    @Test func aBranchDoesNotSeeWhoIsProtected() {
        let access = access(Access.Grant(role: .branch, spaces: Role.branch.defaultSpaces, writes: true))
        #expect(
            names(access, Access.mayRead) == [
                "system", "residents", "procedures", "lessons/kudan", "lessons/ochanomizu",
            ]
        )
        #expect(names(access, Access.mayWrite) == ["residents", "procedures", "lessons/kudan", "lessons/ochanomizu"])
    }

    @Test func readingGivesNoRightToWriteAndGrantsAddUp() {
        let auditor = Access.Grant(role: .auditor, spaces: Role.auditor.defaultSpaces, writes: false)
        #expect(names(access(auditor), Access.mayWrite) == [])
        let both = access(auditor, Access.Grant(role: .venue, spaces: ["lessons/kudan"], writes: true))
        #expect(names(both, Access.mayWrite) == ["lessons/kudan"])
        #expect(names(both, Access.mayRead).contains("residents"))
    }

    @Test func onlyAnAdminWritesSystemHoweverWideTheGrant() {
        let wide = access(Access.Grant(role: .branch, spaces: ["*", "system"], writes: true))
        #expect(!wide.mayWrite(device, .system))
        #expect(wide.mayRead(device, .system))
        let admin = access(Access.Grant(role: .admin, spaces: [], writes: false))
        for space in spaces { #expect(admin.mayRead(device, space) && admin.mayWrite(device, space)) }
    }
}
