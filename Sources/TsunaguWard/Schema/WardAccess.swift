// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// How much harm a leak of a group would do.
package enum Sensitivity: String, Sendable, CaseIterable {
    /// Published anyway: the guide, the lessons' dates.
    case open
    /// The office's own, of no person.
    case office
    /// Of a person.
    case personal
    /// Of a person, and what people are hurt or cheated with: addresses of those who hide, birth dates, notes.
    case guarded
}

/// What `schema` tells beside the merge kinds.
///
/// It describes; what is enforced are grants of whole spaces.
package struct WardAccess: Sendable, Equatable {
    /// The harm of a leak.
    package let sensitivity: Sensitivity
    /// Whose sites hold it.
    package let readers: [Role]
    /// Whose sites write it.
    package let writers: [Role]

    /// Looks a group up; the engine's own collections are the administrators' to write and everybody's to read.
    package static func of(collection: UInt32, group: UInt32) -> WardAccess {
        switch collection {
        case WardSchema.resident.number:
            let guarded: Set<UInt32> = [2, 4, 6, 7, 10]
            return WardAccess(
                sensitivity: guarded.contains(group) ? .guarded : .personal,
                readers: [.admin, .branch, .auditor],
                writers: [.admin, .branch]
            )
        case WardSchema.procedure.number:
            return WardAccess(sensitivity: .open, readers: [.admin, .branch, .auditor], writers: [.admin, .branch])
        case WardSchema.lesson.number:
            return WardAccess(
                sensitivity: group == 7 ? .office : .open,
                readers: Role.allCases,
                writers: [.admin, .branch, .venue]
            )
        case WardSchema.booking.number:
            return WardAccess(
                sensitivity: group == 2 || group == 6 ? .guarded : .personal,
                readers: Role.allCases,
                writers: [.admin, .branch, .venue]
            )
        case WardSchema.bookingLink.number:
            return WardAccess(
                sensitivity: .guarded,
                readers: [.admin, .branch, .auditor],
                writers: [.admin, .branch]
            )
        case WardSchema.carriedNote.number:
            return WardAccess(
                sensitivity: .guarded,
                readers: [.admin, .branch, .auditor],
                writers: [.admin, .branch]
            )
        case WardSchema.mark.number, WardSchema.intake.number, WardSchema.sealedEdit.number:
            return WardAccess(
                sensitivity: .office,
                readers: [.admin, .branch, .auditor],
                writers: [.admin, .branch]
            )
        case WardSchema.protection.number, WardSchema.protectionTrace.number, WardSchema.pendingEdit.number,
            WardSchema.protectedRead.number:
            return WardAccess(sensitivity: .guarded, readers: [.admin], writers: [.admin])
        default:
            return WardAccess(sensitivity: .office, readers: Role.allCases, writers: [.admin])
        }
    }
}
