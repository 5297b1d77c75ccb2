// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

/// A centre and its venues, each with a data directory of its own and all of them in this process.
struct BookingWard {
    let centre: Site
    let venues: [Site]
    private let hub: Hub

    init(_ directory: String, _ workload: BookingWorkload) throws {
        var random = SystemRandomNumberGenerator()
        let centre = try Site.initialise(
            DataDirectory(directory + "/centre"),
            person: Operator(id: "admin", label: "本庁"),
            name: "つなぐ区",
            code: "131016",
            deviceName: "centre",
            recoveryKey: RecoveryKey { random.next() },
            identity: { _ in ("key", "certificate", [UInt8](repeating: 7, count: 32)) }
        )
        let hub = Hub(centre, requestsPerMinuteMax: .max)
        venues = try (0..<workload.venues).map { number in
            let name = "会場\(number)"
            let code = try centre.invite(
                role: .branch,
                name: name,
                spaces: [],
                milliseconds: 3_600_000,
                hub: "https://hub.example"
            )
            return try Site.join(
                DataDirectory(directory + "/venue\(number)"),
                person: Operator(id: ExactText("clerk\(number)"), label: ExactText(name)),
                code: code.code,
                hub: nil,
                deviceName: name,
                connect: { _ in HubInProcess(hub) }
            ).site
        }
        (self.centre, self.hub) = (centre, hub)
        for session in 0..<workload.sessions { try addLesson(session, workload) }
    }

    /// Far ahead, so that rights travel for it whenever this is run: one in each venue's space on each day.
    private func addLesson(_ session: Int, _ workload: BookingWorkload) throws {
        let day = Day(iso: "2090-01-01".utf8)!.adding(session / workload.venues)!
        _ = try centre.addLesson(
            LessonPlan(
                space: "lessons/v\(session % workload.venues)",
                code: Self.code(session),
                title: "スマホ教室",
                date: day.description,
                time: "10:00-12:00",
                capacity: "\(workload.capacity)"
            )
        )
    }

    static func code(_ session: Int) -> String { "S\(session)" }

    /// Exchanges every venue with the centre once.
    ///
    /// - Returns: whether anything moved.
    func exchange() throws -> (moved: Bool, bytes: Int) {
        var out = (moved: false, bytes: 0)
        for venue in venues {
            let report = try venue.sync(with: HubInProcess(hub))
            if let failure = report.failure { throw failure }
            out.moved = out.moved || report.outcome.sent + report.outcome.received > 0
            out.bytes += report.bytesSent + report.bytesReceived
        }
        return out
    }

    /// Whether everybody holds the same.
    func agrees() throws -> Bool {
        let expected = try digests(of: centre)
        return try venues.allSatisfy { try digests(of: $0) == expected }
    }

    private func digests(of site: Site) throws -> [SpaceID: Bytes16] {
        try site.read { transaction in
            let spaces = try transaction.spaces().filter { $0.name.hasPrefix("lessons/") }
            return Dictionary(
                uniqueKeysWithValues: try spaces.map { ($0, try transaction.digest(of: $0) ?? Bytes16(0)) }
            )
        }
    }
}

/// The bytes of an exchange as over HTTPS, without the line.
private final class HubInProcess: Transport {
    let address = "in process"
    private(set) var traffic: (sent: Int, received: Int) = (0, 0)
    private let hub: Hub

    init(_ hub: Hub) { self.hub = hub }

    func post(_ path: String, _ body: [UInt8], onChunk: (UnsafeRawBufferPointer) throws -> Void) throws {
        traffic.sent += body.count
        let answer = hub.answer(path: path, body: body)
        guard answer.status == 200 else {
            let reason = try answer.next() ?? []
            throw TransportError.refused(status: answer.status, String(decoding: reason, as: UTF8.self))
        }
        while let piece = try answer.next() {
            traffic.received += piece.count
            try piece.withUnsafeBytes(onChunk)
        }
    }
}
