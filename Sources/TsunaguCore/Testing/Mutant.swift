// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A deliberate defect, there to show that the simulation would find it.
///
/// Only builds with `TSUNAGU_MUTANTS` know them; everywhere else `isPlanted` is `false` to the compiler too.
package enum Mutant: String, CaseIterable, Sendable {
    // Merge
    /// A concurrent write replaces the other instead of standing beside it.
    case laterArrivalWins
    /// A member that a write leaves out becomes empty instead of what its author saw.
    case absentMembersAreEmpty
    /// Values that Unicode holds to be equivalent open no conflict.
    case canonicalEquivalenceIsEquality
    /// Which of concurrent values is shown follows the order of arrival.
    case shownByArrival
    /// Removing from a set takes concurrent additions along.
    case removalWins
    /// Lists are in the order of clocks, whatever their authors had seen.
    case clocksOrderLists
    /// A deletion ends a record for whoever edits it at the same time.
    case deletionWins
    /// Of two concurrent steps of a flow the later one stands alone.
    case lastStepStands
    // Clock
    /// A clock follows every stamp that arrives, however far ahead.
    case clockFollowsAnybody
    // Causality
    /// What somebody wrote names what was received, in effect or not, as seen.
    case depsNameWhatWasReceived
    /// A write ends what its author had not in effect.
    case exceptionsAreCovered
    /// Changes take effect before what their author had seen.
    case causesAreNotAwaited
    /// The parts of a transaction take effect one by one.
    case partsTakeEffectAlone
    // Permission
    /// Everybody's changes take effect.
    case everybodyMayWrite
    /// Every member is sent every space.
    case everybodyMayRead
    /// What was quarantined stays so when its grant comes.
    case quarantineIsForEver
    /// A revocation excludes nothing of what was written.
    case cutsAreIgnored
    /// A device whose rights have ended is a member as before.
    case revokedStayMembers
    /// Whoever leaves keeps others' changes to itself, and goes while what it handed in waits for them.
    case leavesWhatWaits
    /// What is adopted of a chain is all of it, whatever comes later.
    case adoptionGoesOn
    /// A revocation honours one change less than it names.
    case cutsAreOneShort
    /// Who may write a space writes everything in it.
    case writersAreNotChecked
    /// A device's later grant replaces its earlier ones.
    case grantsReplaceEachOther
    /// A hub tells a member of every space that it holds itself.
    case hubsTellMembersAll
    /// A bundle holds what its writer may hold, whomever it is for.
    case bundlesAreForAnybody
    // Protection
    /// What somebody wrote who did not know of a protection is not taken in.
    case lateEditsAreDropped
    /// No mark tells that a person is the office's to tell of.
    case marksAreNotSet
    /// What is written on an erased record brings it back.
    case erasedComesBack
    /// Saying again that a protection stands says nothing against a release.
    case releaseWins
    // Sync
    /// "Up to date" without a second look.
    case pushingIsProof
    /// Equal vectors count as a proof, whatever is in effect.
    case vectorsAreProof
    /// The last run of a chain is not sent.
    case lastRunStaysBehind
    /// What is written is taken to be at whoever was met.
    case meetingIsSending
    // Replicas
    /// Who got an older disk back goes on under its numbers.
    case numbersAreGivenAgain
    // Holding area
    /// What waited is not looked at again.
    case heldRunsAreForgotten
    // Store
    /// A commit does not wait for the disk.
    case commitsDoNotSync
    /// A digest keeps what was replaced.
    case digestOnlyGrows
    /// The clock is not kept.
    case clockIsForgotten
    // Seats
    /// A spending needs no right.
    case rightsAreNotCounted
    /// The seat of whoever cancelled is not free again.
    case seatsStayTaken
    /// Rights move by everybody's entries, not by the owner's alone.
    case everybodyMovesRights
    /// A holder spends what it has offered.
    case offeredRightsAreSpent
    /// A lowered capacity takes rights that somebody sits on.
    case loweredCapacityTakesSeats
    /// A right is free once somebody sees that its booking was cancelled.
    case releasesAreInferred
    /// Whoever sees a cancellation takes the seat back, for whichever holder.
    case everybodyReleases
    /// A seat that was given up is still there for whoever asks again before its holder has heard of it.
    case oldSeatsServeAgain
    /// Who holds rights confirms more people than are planned since.
    case loweredCapacityIsIgnored
    /// Of two seats of one person each holder takes its own back.
    case bothSeatsGiveWay
    /// Who lost one of two seats, and the other by a cancellation that had not seen it, waits where he asked.
    case headIsForgotten
    /// Whoever follows a lost owner gives rights away before its holders have answered.
    case heirsWaitForNobody
    /// Anybody may follow a lost owner.
    case everybodySucceeds
    /// What a holder that is no more had is reclaimed whole, whoever sits on it.
    case reclaimingTakesSeats
    /// A new incarnation goes on with the rights of its predecessor.
    case rightsAreInherited

    #if TSUNAGU_MUTANTS
        /// Set before any ward runs, and read by all.
        nonisolated(unsafe) private static var planted: Mutant?

        /// Whether this defect is in the program now.
        package var isPlanted: Bool { Self.planted == self }

        /// Puts one defect in, or takes it out, while no ward runs.
        package static func plant(_ mutant: Mutant?) { planted = mutant }
    #else
        @inlinable package var isPlanted: Bool { false }
    #endif
}
