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
        /// How many asked there for seats in this venue's sessions.
        package var requests: Int
        /// Whether it is where the session takes place, with people at its door on the day.
        package var isVenue: Bool

        package init(replica: ReplicaID, requests: Int, isVenue: Bool = false) {
            self.replica = replica
            self.requests = requests
            self.isVenue = isVenue
        }
    }

    /// A site where many ask counts as so many sites where nobody has asked yet.
    private static let requestWeight = 2

    /// - Parameters:
    ///   - free: rights that nobody sits on, wherever they are.
    ///   - takers: the owner too; each once.
    ///   - isEve: whether the session is so near that the venue's share has to be there.
    /// - Returns: the free rights that each is to have; together all of them.
    package static func shares(of free: Int, among takers: [Taker], isEve: Bool) -> [ReplicaID: Int] {
        let takers = takers.sorted { $0.replica < $1.replica }
        guard free > 0, !takers.isEmpty else { return [:] }
        var out: [ReplicaID: Int] = [:]
        var rest = free
        if isEve, let venue = takers.first(where: \.isVenue) {
            // Half of what is left: who comes to the door has no other way, who asks elsewhere can wait for an answer.
            let share = (free + 1) / 2
            out[venue.replica] = share
            rest -= share
        }
        let weights = takers.map { 1 + requestWeight * max(0, $0.requests) }
        let sum = weights.reduce(0, +)
        var given = 0
        var remainders: [(remainder: Int, place: Int)] = []
        for (place, weight) in weights.enumerated() {
            let (share, remainder) = (rest * weight).quotientAndRemainder(dividingBy: sum)
            out[takers[place].replica, default: 0] += share
            given += share
            remainders.append((remainder, place))
        }
        // Largest remainders first; of equals the lower name.
        for (_, place) in remainders.sorted(by: { ($1.remainder, $0.place) < ($0.remainder, $1.place) })
            .prefix(rest - given)
        {
            out[takers[place].replica, default: 0] += 1
        }
        return out.filter { $0.value > 0 }
    }
}
