// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
import TsunaguCommands

/// What the network does to an exchange, each in so many of a hundred cases.
package struct Weather: Sendable {
    /// A request never arrives.
    package var loss = 0
    /// The answer breaks off at some byte.
    package var cut = 0
    /// A request arrives twice.
    package var twice = 0
    /// A request arrives after its sender gave it up.
    package var late = 0
    /// Whether nothing longer than `frameBytes` gets through.
    package var dropsLarge = false

    /// What still passes a path that loses large packets.
    package static let frameBytes = 1400

    package static let fair = Weather()

    package init() {}
}

/// Counts of what the network did.
package struct NetworkCounts: Sendable {
    package var lost = 0
    package var cut = 0
    package var twice = 0
    package var late = 0
    package var dropped = 0

    package var sum: Int { lost + cut + twice + late + dropped }
}

/// A line from one site to another that is listening, in one thread: the bytes of HTTPS without its sockets.
final class SimulatedLine: Transport {
    /// A request that went astray, to arrive when nobody waits for its answer.
    struct Astray {
        let sender: Place
        let place: Place
        let path: String
        let body: [UInt8]
    }

    let address: String
    private(set) var traffic: (sent: Int, received: Int) = (0, 0)
    private let sender: Place
    private let place: Place
    private let weather: Weather
    private let isCut: Bool
    private var generator: SeededGenerator
    private(set) var counts = NetworkCounts()
    private(set) var astray: [Astray] = []

    /// - Parameter isCut: whether there is no way at all.
    init(from sender: Place, to place: Place, _ weather: Weather, isCut: Bool, seed: UInt64) {
        self.isCut = isCut
        self.sender = sender
        address = "https://\(place.name)"
        self.place = place
        self.weather = weather
        generator = SeededGenerator(seed: seed)
    }

    func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard !isCut, let hub = place.hub else { throw TransportError.unreachable("nobody answers") }
        traffic.sent += body.count
        try refuseLarge(body.count)
        if generator.chance(weather.loss) {
            counts.lost += 1
            throw TransportError.unreachable("the request was lost")
        }
        if generator.chance(weather.late) {
            counts.late += 1
            astray.append(Astray(sender: sender, place: place, path: path, body: body))
            throw TransportError.unreachable("no answer in time")
        }
        let answer = hub.answer(path: path, body: body)
        var (status, next) = (answer.status, answer.next as () throws -> [UInt8]?)
        if generator.chance(weather.twice) {
            counts.twice += 1
            // The copy comes when the first was answered in part; which of the answers gets back is chance.
            let head = try next()
            let second = hub.answer(path: path, body: body)
            if generator.chance(50) {
                (status, next) = (second.status, second.next)
            } else {
                _ = try? second.next()
                var isHeadTaken = false
                next = {
                    if isHeadTaken { return try answer.next() }
                    isHeadTaken = true
                    return head
                }
            }
        }
        // Some answers break off at any byte, some between two pieces.
        let isCut = generator.chance(weather.cut)
        let isCutBetween = isCut && generator.chance(30)
        var piecesLeft = isCutBetween ? 1 + generator.below(3) : .max
        let cutAfter = isCut && !isCutBetween ? generator.below(generator.pick([64, 4096, 65_536])) : nil
        if status != 200 {
            let reason = try next() ?? []
            try checkPower()
            throw TransportError.refused(status: status, String(decoding: reason, as: UTF8.self))
        }
        var passed = 0
        while let piece = try next() {
            try checkPower()
            try refuseLarge(piece.count)
            if piecesLeft == 0 {
                counts.cut += 1
                throw TransportError.unreachable("the answer broke off")
            }
            piecesLeft -= 1
            // A carrier hands over whatever arrived so far.
            var rest = piece[...]
            while !rest.isEmpty {
                var chunk = rest.prefix(1 + generator.below(generator.pick([16, 1024, 65_536])))
                rest = rest.dropFirst(chunk.count)
                if let cutAfter { chunk = chunk.prefix(max(0, cutAfter - passed)) }
                passed += chunk.count
                traffic.received += chunk.count
                try chunk.withUnsafeBytes(onChunk)
                if let cutAfter, passed >= cutAfter {
                    counts.cut += 1
                    throw TransportError.unreachable("the answer broke off")
                }
            }
        }
        try checkPower()
    }

    private func refuseLarge(_ count: Int) throws {
        guard weather.dropsLarge, count > Weather.frameBytes else { return }
        counts.dropped += 1
        throw TransportError.unreachable("the line is dead")
    }

    /// Who lost his power answers nothing any more, whatever the process still made of it.
    private func checkPower() throws {
        guard place.machine.disk.isOn else { throw TransportError.unreachable("the peer went away") }
    }
}
