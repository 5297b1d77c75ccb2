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

/// What `schema` tells of reading beside the merge kinds and the writers.
///
/// It describes; what is enforced of reading are grants of whole spaces.
package struct WardAccess: Sendable, Equatable {
    /// The harm of a leak.
    package let sensitivity: Sensitivity
    /// Whose sites hold it.
    package let readers: [Role]

    /// Looks a group up; the engine's own collections are everybody's to read.
    package static func of(collection: UInt32, group: UInt32) -> WardAccess {
        switch collection {
        case WardSchema.resident.number:
            let guarded: Set<UInt32> = [2, 4, 6, 7, 10]
            return WardAccess(
                sensitivity: guarded.contains(group) ? .guarded : .personal,
                readers: [.admin, .branch, .auditor]
            )
        case WardSchema.procedure.number:
            return WardAccess(sensitivity: .open, readers: [.admin, .branch, .auditor])
        case WardSchema.lesson.number:
            return WardAccess(
                sensitivity: group == 7 ? .office : .open,
                readers: Role.allCases
            )
        case WardSchema.booking.number:
            return WardAccess(
                sensitivity: group == 2 || group == 6 ? .guarded : .personal,
                readers: Role.allCases
            )
        case WardSchema.bookingLink.number:
            return WardAccess(
                sensitivity: .guarded,
                readers: [.admin, .branch, .auditor]
            )
        case WardSchema.carriedNote.number:
            return WardAccess(
                sensitivity: .guarded,
                readers: [.admin, .branch, .auditor]
            )
        case WardSchema.mark.number, WardSchema.intake.number, WardSchema.sealedEdit.number:
            return WardAccess(
                sensitivity: .office,
                readers: [.admin, .branch, .auditor]
            )
        case WardSchema.protection.number, WardSchema.protectionTrace.number, WardSchema.pendingEdit.number,
            WardSchema.protectedRead.number:
            return WardAccess(sensitivity: .guarded, readers: [.admin])
        default:
            return WardAccess(sensitivity: .office, readers: Role.allCases)
        }
    }
}
