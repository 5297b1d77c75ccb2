// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import TsunaguCommands
import TsunaguCore
import TsunaguStore

/// A whole ward by one seed: real commands, protocol and stores; clocks, disks and network in the simulation's hand.
///
/// One seed is one run: each step draws from a generator of its own, so that steps can be left out without changing the
/// others.
package final class WardSimulation {
    /// A rule that does not hold.
    package struct Failure: Error, CustomStringConvertible, Sendable {
        package let seed: UInt64
        package let step: Int
        /// In one word: which of the rules.
        package let rule: String
        package let detail: String

        package init(seed: UInt64, step: Int, rule: String, detail: String) {
            self.seed = seed
            self.step = step
            self.rule = rule
            self.detail = detail
        }

        package var description: String { "seed \(seed), step \(step), \(rule): \(detail)" }
    }

    /// What is run.
    package struct Plan: Sendable {
        package var seed: UInt64
        package var steps: Int
        /// Steps that are left out.
        package var skipped: Set<Int> = []
        /// Whether people write on a disk that was put back before anybody noticed, and on clones of disks: one number
        /// is two changes.
        package var hasForks = false
        /// Whether lessons are planned, changed, passed on and called off by those who work apart, and people book them.
        package var hasLessons = false
        /// Told each line of the trace.
        package var trace: (@Sendable (String) -> Void)?

        package init(seed: UInt64, steps: Int = WardSimulation.stepsUsual) {
            self.seed = seed
            self.steps = steps
        }
    }

    /// What a run came to.
    package struct Summary: Sendable {
        package var steps = 0
        package var changes = 0
        package var simulatedDays: Double = 0
        package var network = NetworkCounts()
        package var disk = SimulatedDisk.Counts()
        package var clockJumps = 0
        package var restoredDisks = 0
        package var revokedDevices = 0
        /// How often the office adopted what was quarantined.
        package var adoptions = 0
        /// How often the office put somebody under protection, and the key on paper was used.
        package var protections = 0
        package var recoveries = 0
        /// How often the office erased somebody for good.
        package var erasures = 0
        /// How often a scene came to its point.
        package var scenes = 0
        /// The same for the same seed, on every machine.
        package var traceHash: UInt64 = 0

        package init() {}

        package var faults: Int { network.sum + disk.sum + clockJumps + restoredDisks + revokedDevices }

        package var line: String {
            "\(steps) steps, \(changes) changes, \(Int(simulatedDays)) days; "
                + "requests lost \(network.lost), cut \(network.cut), twice \(network.twice), late \(network.late), "
                + "too large \(network.dropped); power lost \(disk.crashes) (\(disk.tornWrites) torn writes), "
                + "disk full \(disk.refusedWrites), reads failed \(disk.failedReads), clocks moved \(clockJumps), "
                + "old disks back \(restoredDisks), devices revoked \(revokedDevices), adopted \(adoptions), "
                + "people protected \(protections), erased \(erasures), keys recovered \(recoveries), "
                + "scenes \(scenes); "
                + "trace \(String(traceHash, radix: 16))"
        }

        /// Counts another run in.
        package mutating func add(_ other: Summary) {
            steps += other.steps
            changes += other.changes
            simulatedDays += other.simulatedDays
            network.add(other.network)
            disk.add(other.disk)
            clockJumps += other.clockJumps
            restoredDisks += other.restoredDisks
            revokedDevices += other.revokedDevices
            adoptions += other.adoptions
            protections += other.protections
            recoveries += other.recoveries
            erasures += other.erasures
            scenes += other.scenes
            traceHash &+= other.traceHash
        }
    }

    package static let stepsUsual = 120

    /// What one change writes, in the model's words.
    struct Written {
        let book: Int
        let seq: UInt64
        let seen: Set<Int>
        let entries: [ReferenceModel.Entry]
    }

    let plan: Plan
    private(set) var step = -1
    var places: [Place] = []
    let books = SimulatedSchema.spaces.map { ModelBook($0) }
    /// Whether one number may be two changes from here on.
    var hasForks: Bool
    /// Spaces in which one number may be two changes.
    var forked: Set<SpaceID> = []
    /// What was acknowledged, by the hash of its header: a number may be two changes.
    var written: [SpaceID: [(dot: Dot, hash: Hash32)]] = [:]
    /// The most that anybody but the author ever had, by space and author.
    var delivered: [SpaceID: [ReplicaID: UInt64]] = [:]
    /// What was written of residents.
    var register = RegisterModel()
    /// Changes of two spaces that are one transaction.
    var pairs: [(Dot, Dot)] = []
    /// Requests on their way to whoever does not expect them any more.
    var astray: [SimulatedLine.Astray] = []
    /// Bundles that have not arrived, or may arrive again.
    var parcels: [Parcel] = []
    /// What was said at counters of seats.
    var seats = SeatModel()
    /// The seats of each set of changes in effect that was seen.
    var seatStates: [String: String] = [:]
    /// Replicas that their places went on from under another name, since an older disk had come back.
    var replaced: Set<ReplicaID> = []
    /// Whether two places have told one person at once, and an owner was lost, on purpose.
    var (hasSeatedTwice, hasLostOwner) = (false, false)
    /// The devices whose rights have ended.
    var endings: [Ending] = []
    /// What the office adopted, and the change of `system` that says so.
    var adoptions: [(chains: Vectors, saidAt: Dot)] = []
    /// What lets each device hold something.
    var rights: [Right] = []
    /// The devices that write what their role may not.
    var crooks: [Crook] = []
    /// The devices that the recovery key made admins', and the changes that say so.
    var recoveries: [(device: DeviceID, saidAt: Dot)] = []
    private(set) var recoveryKey: RecoveryKey?
    /// The residents whom the office protects at times.
    var guarded = GuardedPeople()
    /// The residents whom the office erases.
    var erasable = ErasablePeople()
    /// The change with the quarantined writer's grant; `nil` before it is given.
    var grantedAt: Dot?
    /// The digest of each set of changes in effect that was seen.
    var digests: [String: Bytes16] = [:]
    var conflictLists: [String: [String]] = [:]
    /// The centre's replica: it began the spaces, with a change of its own in each.
    private(set) var founder = ReplicaID(device: DeviceID(signingKey: []), incarnation: 0)
    var summary = Summary()
    var weather = Weather.fair
    /// What breaks during the next thing that is done.
    var armed: (disk: SimulatedDisk, fault: SimulatedDisk.Fault)?
    private let scratch: Scratch
    private var root: String { scratch.path }
    private var began: [UInt64] = []

    var centre: Place { places[0] }

    /// Runs a plan to its end.
    package static func run(_ plan: Plan) throws -> Summary {
        let simulation = try WardSimulation(plan)
        defer { simulation.end() }
        return try simulation.run()
    }

    private init(_ plan: Plan) throws {
        self.plan = plan
        hasForks = plan.hasForks
        scratch = try Scratch()
        summary.traceHash = 0xcbf2_9ce4_8422_2325
    }

    private func end() {
        for place in places {
            place.end()
            SimulatedVFS.unmount(place.directory.path + "/")
        }
        for crook in crooks { SimulatedVFS.unmount(root + "/" + crook.name + "/") }
    }

    private func run() throws -> Summary {
        var generator = SeededGenerator(seed: plan.seed)
        try found(&generator)
        for index in 0..<plan.steps where !plan.skipped.contains(index) {
            step = index
            var generator = SeededGenerator(seed: plan.seed &* 0x9e37_79b9 &+ UInt64(index) &* 0x2545_f491_4f6c_dd1d)
            try act(&generator)
            // Beside the step, so that it draws what it always drew.
            var other = SeededGenerator(seed: plan.seed &* 0x2545_f491_4f6c_dd1d &+ UInt64(index) &* 0x9e37_79b9)
            if other.chance(20) { try actOfTrust(&other) }
            var third = SeededGenerator(seed: plan.seed &* 0xd134_2543_de82_ef95 &+ UInt64(index) &* 0x9e37_79b9)
            if plan.hasLessons, third.chance(18) { try actOfLessons(&third) }
            summary.steps += 1
        }
        step = plan.steps
        try heal(&generator)
        if plan.hasLessons {
            for place in places { try checkSeatsEnd(place) }
            var fourth = SeededGenerator(seed: plan.seed &* 0x9e37_79b9_7f4a_7c15)
            try playScene(&fourth)
            try heal(&generator)
        }
        try checkEnd()
        var fifth = SeededGenerator(seed: plan.seed &* 0xbf58_476d_1ce4_e5b9)
        step += 1
        try copyMachine(&fifth)
        for place in places {
            summary.disk.add(place.machine.disk.counts)
        }
        summary.changes = books.reduce(0) { $0 + $1.changes.count }
        return summary
    }

    // MARK: - The beginning

    /// The centre with its spaces and lessons, and an invitation for each of the others.
    private func found(_ generator: inout SeededGenerator) throws {
        let clerk = ["residents", "procedures", "cases", "lessons/*"]
        let venue = ["lessons/hibiya"]
        add("centre", .admin, ["*"], &generator)
        add("branch1", .branch, clerk + ["notes/*"], &generator)
        add("branch2", .branch, clerk + ["notes/*"], &generator)
        add("limited", .branch, clerk + ["notes/a"], &generator)
        add("venue", .venue, venue, &generator)
        add("reader", .auditor, ["residents", "notes/a"], &generator)
        weather.loss = generator.pick([0, 5, 15])
        weather.cut = generator.pick([0, 10, 30])
        weather.twice = generator.pick([0, 10])
        weather.late = generator.pick([0, 5, 15])

        let key = RecoveryKey { generator.next() }
        recoveryKey = key
        let site = try Site.initialise(
            centre.directory,
            person: centre.person,
            name: "千代田区",
            code: "131016",
            deviceName: centre.name,
            recoveryKey: key,
            schema: centre.schema,
            environment: centre.machine.environment,
            identity: { _ in ("key", "certificate", [UInt8](repeating: 7, count: 32)) }
        )
        centre.begin(site)
        centre.isJoined = true
        rights.append(Right(device: site.keys.device, scope: centre.scope, saidAt: nil))
        founder = try site.read { try $0.ownReplica() }!
        try site.write { transaction in
            for space in SimulatedSchema.spaces { try transaction.found(space, by: centre.person) }
        }
        for (index, space) in ["hibiya", "hibiya", "kudan"].enumerated() {
            let plan = LessonPlan(
                space: "lessons/" + space,
                code: "L\(index)",
                title: "スマホ教室",
                date: "2099-06-0\(index + 1)",
                time: "10:00-12:00",
                capacity: "\(2 + index)"
            )
            seats.plan(plan.code, 2 + index)
            _ = try site.addLesson(plan)
        }
        for place in places.dropFirst() { try invite(place) }
        // Most are there from the beginning; whoever is not has to get in through the weather.
        for place in places.dropFirst() where generator.chance(80) { try join(place, .fair, &generator) }
    }

    private func add(_ name: String, _ role: Role, _ scope: [String], _ generator: inout SeededGenerator) {
        let index = places.count
        let day: UInt64 = 86_400_000
        // Most clocks are near each other; some are ten years off, which must change nothing causal.
        var now: UInt64 = 1_800_000_000_000 + UInt64(generator.below(60_000))
        switch generator.below(8) {
        case 0: now += 3650 * day
        case 1: now -= 3650 * day
        default: break
        }
        let directory = DataDirectory(root + "/" + name)
        let disk = SimulatedDisk(seed: generator.next())
        SimulatedVFS.mount(disk, at: directory.path + "/")
        began.append(now)
        places.append(
            Place(
                index: index,
                name: name,
                role: role,
                machine: SimulatedMachine(now: now, disk: disk, seed: generator.next()),
                directory: directory,
                scope: scope,
                isWide: generator.chance(30)
            )
        )
    }

    /// A machine that is no place of the ward's: it comes once.
    func visitor(_ name: String, seed: UInt64) -> Place {
        let directory = DataDirectory(root + "/" + name)
        let disk = SimulatedDisk(seed: seed)
        SimulatedVFS.mount(disk, at: directory.path + "/")
        return Place(
            index: places.count,
            name: name,
            role: .branch,
            machine: SimulatedMachine(now: centre.machine.now, disk: disk, seed: seed &+ 1),
            directory: directory,
            scope: [],
            isWide: false
        )
    }

    private func invite(_ place: Place) throws {
        place.code = try centre.site!.invite(
            role: place.role,
            name: place.name,
            spaces: place.scope,
            milliseconds: 90 * 86_400_000,
            hub: "https://centre"
        ).code
    }

    /// Tries to join; what the weather broke off goes on the next time.
    func join(_ place: Place, _ weather: Weather, _ generator: inout SeededGenerator) throws {
        guard centre.site != nil, mayWrite(centre) else { return }
        if place.code == nil { try invite(place) }
        guard let code = place.code else { return }
        let line = line(from: place, to: centre, weather, &generator)
        let isAlone = centre.hub == nil || centre.isCutOff || place.isCutOff
        let joined = try attempt(
            [place, centre],
            // Where the clocks are years apart a code runs out at once.
            isExcused: { line.counts.sum > 0 || isAlone || $0 == .notPermitted }
        ) {
            try Site.join(
                place.directory,
                person: place.person,
                code: code,
                hub: nil,
                deviceName: place.name,
                schema: place.schema,
                environment: place.machine.environment,
                connect: { _ in line }
            )
        }
        note(line)
        trace("join \(place.name): \(joined != nil)")
        if let joined, place.machine.disk.isOn {
            place.begin(joined.site)
            place.isJoined = true
            rights.append(Right(device: joined.site.keys.device, scope: place.scope, saidAt: nil))
        } else if centre.site != nil, generator.chance(50) {
            // The code may have run out meanwhile: the office makes another.
            if attemptQuietly({ try self.invite(place) }) { trace("another code") }
        }
    }

    private func attemptQuietly(_ body: () throws -> Void) -> Bool { (try? body()) != nil }

    func line(
        from place: Place,
        to peer: Place,
        _ weather: Weather,
        _ generator: inout SeededGenerator
    ) -> SimulatedLine {
        SimulatedLine(from: place, to: peer, weather, isCut: place.isCutOff || peer.isCutOff, seed: generator.next())
    }

    func note(_ line: SimulatedLine) {
        summary.network.add(line.counts)
        astray += line.astray
    }

    // MARK: - Doing

    func failure(_ rule: String, _ detail: String) -> Failure {
        Failure(seed: plan.seed, step: step, rule: rule, detail: detail)
    }

    func trace(_ line: String) {
        let line = "\(step) \(line)"
        plan.trace?(line)
        // FNV-1a: the same on every machine.
        for byte in line.utf8 { summary.traceHash = (summary.traceHash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    /// Does something at some places; those whose power goes meanwhile start again.
    ///
    /// - Parameter isExcused: whether an error of this code is no defect.
    /// - Returns: `nil` where it came to nothing, for a reason that the simulation made.
    func attempt<R>(
        _ places: [Place],
        isExcused: (CommandError.Code) -> Bool = { _ in false },
        _ body: () throws -> R
    ) throws -> R? {
        let before = places.map(\.machine.disk.counts.sum)
        if let (disk, fault) = armed { disk.arm(fault) }
        armed = nil
        var result: R?
        var problem: (any Error)?
        do { result = try body() } catch { problem = error }
        let isStruck = zip(places, before).contains { $0.machine.disk.counts.sum > $1 }
        for place in self.places { place.machine.disk.disarm() }
        for place in places where !place.machine.disk.isOn { try restart(place) }
        if let problem { trace("error \((problem as? CommandError)?.message.en ?? "\(type(of: problem))")") }
        if let problem, !isStruck {
            // Whoever has heard that his rights have ended is told so by each command.
            let isOver = try places.contains { try $0.knowsItsEnd }
            guard let error = problem as? CommandError, isExcused(error.code) || isOver && error.code == .notPermitted
            else {
                throw failure("error", "\(problem)")
            }
        }
        return result
    }

    /// Begins again after the power went: whatever was acknowledged must be there.
    func restart(_ place: Place) throws {
        place.end()
        place.machine.disk.powerOn()
        trace("power \(place.name)")
        // Whoever was erasing when the power went is seen off by those who saw it.
        guard place.isJoined, !DataDirectory.exists(place.directory.farewell) else { return }
        do { try place.open() } catch { throw failure("lost", "\(place.name) does not open: \(error)") }
        try settle(place)
    }

    /// Lets time go by: some of it for all, a little more or less at each.
    func passTime(_ milliseconds: UInt64, _ generator: inout SeededGenerator) {
        for place in places {
            place.latest = max(place.latest, place.machine.now)
            place.machine.pass(milliseconds + UInt64(generator.below(50)))
        }
        summary.simulatedDays += Double(milliseconds) / 86_400_000
    }
}

extension NetworkCounts {
    mutating func add(_ other: NetworkCounts) {
        lost += other.lost
        cut += other.cut
        twice += other.twice
        late += other.late
        dropped += other.dropped
    }
}
