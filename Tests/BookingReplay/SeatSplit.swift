// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The workload without an engine: how many are told at the counter that they have a seat, and how many have one in the
/// end.
package struct SeatSplit: Sendable {
    package private(set) var confirmedAtCounter = 0
    /// Who waited and got a seat.
    package private(set) var movedUp = 0
    package private(set) var seated = 0

    /// Every counter has an equal part of each session's seats for good, what does not go evenly falling to other
    /// counters in each session; who waits moves up where a seat of his counter is given up.
    package static func fixed(_ workload: BookingWorkload, isPatient: Bool = true) -> SeatSplit {
        SeatSplit(workload, isPatient) { venue, session in
            let (part, rest) = workload.capacity.quotientAndRemainder(dividingBy: workload.venues)
            return (venue, part + ((venue + session * rest) % workload.venues < rest ? 1 : 0))
        }
    }

    /// All counters are on one line all the time: no engine that keeps to the order can do better.
    package static func central(_ workload: BookingWorkload, isPatient: Bool = true) -> SeatSplit {
        SeatSplit(workload, isPatient) { _, _ in (0, workload.capacity) }
    }

    /// - Parameters:
    ///   - isPatient: whether who cannot be told to have a seat waits for one.
    ///   - pool: of a counter and a session, which stock of seats it takes from, and how many that has.
    private init(_ workload: BookingWorkload, _ isPatient: Bool, pool: (Int, Int) -> (pool: Int, seats: Int)) {
        struct Place: Hashable {
            let session: Int
            let pool: Int
        }
        struct Stock {
            var free: Int
            var seated: Set<String> = []
            var waiting: [String] = []
        }
        var stocks: [Place: Stock] = [:]
        for operation in workload.operations {
            let (pool, seats) = pool(operation.venue, operation.session)
            let place = Place(session: operation.session, pool: pool)
            var stock = stocks[place] ?? Stock(free: seats)
            switch operation.op {
            case .book where stock.free > 0:
                stock.free -= 1
                stock.seated.insert(operation.bid)
                confirmedAtCounter += 1
            case .book where isPatient: stock.waiting.append(operation.bid)
            case .book: break
            case .cancel:
                if stock.seated.remove(operation.bid) == nil {
                    stock.waiting.removeAll { $0 == operation.bid }
                } else if stock.waiting.isEmpty {
                    stock.free += 1
                } else {
                    stock.seated.insert(stock.waiting.removeFirst())
                    movedUp += 1
                }
            }
            stocks[place] = stock
        }
        seated = stocks.values.reduce(0) { $0 + $1.seated.count }
    }
}
