// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore

extension WardSchema {
    /// What becomes of a booking.
    ///
    /// Somebody asks for a seat (`requested`), is put before the others by a person (`promoted`), or only if he answers
    /// in time (`offered`), gives it up (`cancelled`), and on the day is there (`attended`), there without a seat that
    /// was his (`walk_in`), or missing (`no_show`). Who has a seat, and is `confirmed`, is worked out from the uses of
    /// rights and no state.
    ///
    /// Of what people said who did not know of each other the first in this order is shown: who was there was there,
    /// whatever others thought meanwhile. A cancellation ends the requests that its author saw; one that it had not
    /// seen stands, and a finding says so. Nothing of a booking is ever contested, so that nobody waits for an inbox.
    static let bookingMachine = FlowMachine(
        [
            FlowMachine.initial: ["requested", "walk_in"],
            "requested": ["requested", "cancelled", "promoted", "offered"] + marks,
            "promoted": ["requested", "cancelled", "offered"] + marks,
            "offered": ["requested", "cancelled", "promoted"] + marks,
            "cancelled": ["requested", "attended"],
            // A mark that was set in error leads back; a second one says that somebody looked into it.
            "attended": ["requested", "cancelled", "promoted", "offered"] + marks,
            "no_show": ["requested", "cancelled", "promoted", "offered", "attended", "walk_in"],
            "walk_in": ["requested", "cancelled", "promoted", "offered", "attended", "no_show"],
        ],
        twins: .each,
        yielding: Dictionary(
            uniqueKeysWithValues: precedence.indices.map { (precedence[$0], Array(precedence[($0 + 1)...])) }
        )
    )

    private static let marks: [ExactText] = ["attended", "no_show", "walk_in"]

    private static let precedence: [ExactText] = [
        "attended", "walk_in", "no_show", "requested", "cancelled", "promoted", "offered",
    ]
}
