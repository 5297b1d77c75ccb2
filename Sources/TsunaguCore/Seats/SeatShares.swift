// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// How a session's free rights are to be spread, so that most people can be told at the counter where they ask.
///
/// Every site works out the same from the same state: the owner grants whoever has less than its share, and holders
/// offer what they have beyond it.
package struct SeatShares: Sendable {
    /// Somebody who may hold rights.
    package struct Taker: Sendable {
        package var replica: ReplicaID
        /// How many asked there for seats in sessions of this space that are still ahead.
        package var requests: Int
        /// Rights there that nobody sits on.
        package var free: Int
        /// Whether it is where the session takes place, with people at its door on the day.
        package var isVenue: Bool

        package init(replica: ReplicaID, requests: Int, free: Int = 0, isVenue: Bool = false) {
            self.replica = replica
            self.requests = requests
            self.free = free
            self.isVenue = isVenue
        }
    }

    /// So many requests are expected everywhere before anybody asked: a venue whose first lesson is still to be known of
    /// has its share in time, and a few requests at one counter do not empty the others.
    private static let expectedRequests = 4

    /// - Parameters:
    ///   - free: rights that nobody sits on, wherever they are.
    ///   - takers: the owner too; each once.
    ///   - isEve: whether the session is so near that the venue's share has to be there.
    ///   - turn: a number of the session's: who comes first where all have an equal claim to the last seats, so that it
    ///     is another in another session.
    /// - Returns: the free rights that each is to have; together all of them.
    package static func shares(of free: Int, among takers: [Taker], isEve: Bool, turn: Int = 0) -> [ReplicaID: Int] {
        guard free > 0, !takers.isEmpty else { return [:] }
        let sorted = takers.sorted { $0.replica < $1.replica }
        let first = turn % sorted.count
        let takers = sorted[first...] + sorted[..<first]
        var out: [ReplicaID: Int] = [:]
        var rest = free
        if isEve, let venue = takers.first(where: \.isVenue) {
            // Half of what is left: who comes to the door has no other way, who asks elsewhere can wait for an answer.
            let share = (free + 1) / 2
            out[venue.replica] = share
            rest -= share
        }
        let weights = takers.map { expectedRequests + max(0, $0.requests) }
        let sum = weights.reduce(0, +)
        var given = 0
        var claims: [(claim: Int, place: Int, replica: ReplicaID)] = []
        for (place, (taker, weight)) in zip(takers, weights).enumerated() {
            let (share, remainder) = (rest * weight).quotientAndRemainder(dividingBy: sum)
            out[taker.replica, default: 0] += share
            given += share
            // Whoever has one more already keeps it, unless another's claim is greater by a quarter of a seat: rights do
            // not wander with every request.
            let keeps = taker.free > out[taker.replica]!
            claims.append((4 * remainder + (keeps ? sum : 0), place, taker.replica))
        }
        for (_, _, replica) in claims.sorted(by: { ($1.claim, $0.place) < ($0.claim, $1.place) }).prefix(rest - given) {
            out[replica]! += 1
        }
        return out.filter { $0.value > 0 }
    }
}
