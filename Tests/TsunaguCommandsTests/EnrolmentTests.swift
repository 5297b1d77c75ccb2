// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// Who gets in with a code, and who does not.
@Suite("Enrolment")
struct EnrolmentTests {
    private func invite(_ ward: WardFixture, milliseconds: UInt64 = 60_000) throws -> Site.Invitation {
        try ward.centre.invite(
            role: .branch,
            name: "branch",
            spaces: [],
            milliseconds: milliseconds,
            hub: "https://hub.example"
        )
    }

    private func join(
        _ ward: WardFixture,
        _ name: String,
        _ code: String,
        _ transport: @autoclosure () -> LoopbackTransport? = nil
    ) throws -> Site {
        let transport = transport() ?? ward.transport()
        return try Site.join(
            DataDirectory(ward.root + "/" + name),
            person: WardFixture.clerk,
            code: code,
            hub: nil,
            deviceName: name,
            connect: { _ in transport }
        ).site
    }

    private func system(_ ward: WardFixture) throws -> [VectorEntry] {
        try ward.centre.read { try $0.vector(of: .system) }
    }

    private func devices(_ ward: WardFixture, of name: String = "branch") throws -> [SiteView.Device] {
        try ward.centre.sites().first { $0.name == ExactText(name) }?.devices ?? []
    }

    /// What is in a data directory that is of the ward.
    private func files(_ ward: WardFixture, _ name: String) -> [String] {
        let all = try? FileManager.default.contentsOfDirectory(atPath: ward.root + "/" + name)
        return (all ?? []).filter { $0 != "device.key" }
    }

    @Test func `An address that is none is told as such and leaves nothing`() throws {
        let ward = try WardFixture()
        let code = try invite(ward).code
        let error = #expect(throws: CommandError.self) {
            _ = try Site.join(
                DataDirectory(ward.root + "/m"),
                person: WardFixture.clerk,
                code: code,
                hub: "foo",
                deviceName: "m",
                connect: { _ in throw TransportError.unusable("foo") }
            )
        }
        #expect(error?.code == .usage && error?.hint != nil)
        #expect(!FileManager.default.fileExists(atPath: ward.root + "/m"))
    }

    @Test func `A ward without a name does not begin`() throws {
        let ward = try WardFixture()
        for name in ["", " \u{3000}"] {
            let error = #expect(throws: CommandError.self) {
                _ = try Site.initialise(
                    DataDirectory(ward.root + "/other"),
                    person: WardFixture.clerk,
                    name: name,
                    code: "131016",
                    deviceName: "other",
                    recoveryKey: ward.recoveryKey,
                    identity: WardFixture.identity
                )
            }
            #expect(error?.code == .usage)
            #expect(!FileManager.default.fileExists(atPath: ward.root + "/other"))
        }
    }

    @Test func `Of many machines that use one code at once exactly one joins, and the others are told why`() throws {
        for _ in 0..<4 {
            let ward = try WardFixture()
            let code = try invite(ward).code
            let outcomes = Mutex<[Result<DeviceID, any Error>]>([])
            DispatchQueue.concurrentPerform(iterations: 4) { index in
                let outcome = Result { try join(ward, "m\(index)", code).keys.device }
                outcomes.withLock { $0.append(outcome) }
            }
            let joined = outcomes.withLock { $0.compactMap { try? $0.get() } }
            #expect(joined.count == 1)
            #expect(try devices(ward).map(\.id) == joined)
            for case .failure(let error) in outcomes.withLock({ $0 }) {
                let error = try #require(error as? CommandError)
                #expect(error.code == .notPermitted && error.message.en.contains("used by another"), "\(error)")
            }
            #expect((0..<4).filter { !files(ward, "m\($0)").isEmpty }.count == 1)
        }
    }

    @Test func `A code that expired lets nobody in, and its machine joins by the next one`() throws {
        let ward = try WardFixture()
        let old = try invite(ward, milliseconds: 1)
        while ward.centre.store.now() < old.expiresAt {}
        let before = try system(ward)
        let error = #expect(throws: CommandError.self) { try join(ward, "m", old.code) }
        #expect(error?.code == .notPermitted && error?.message.en.contains("expired") == true)
        #expect(try system(ward) == before && files(ward, "m").isEmpty)
        // The directory is free for whatever comes.
        let other = try WardFixture()
        let code = try other.centre.invite(role: .branch, name: "x", spaces: [], milliseconds: 60_000, hub: "https://h")
            .code
        let site = try Site.join(
            DataDirectory(ward.root + "/m"),
            person: WardFixture.clerk,
            code: code,
            hub: nil,
            deviceName: "m",
            connect: { _ in other.transport() }
        ).site
        #expect(try other.sync(site).upToDate)
    }

    @Test func `Whoever steals a used code, or records what was said, gains nothing`() throws {
        let ward = try WardFixture()
        let code = try invite(ward).code
        let recorded = Mutex<[(path: String, body: [UInt8])]>([])
        let transport = ward.transport()
        transport.onPost = { path, body in recorded.withLock { $0.append((path, body)) } }
        let branch = try join(ward, "m", code, transport)
        _ = try branch.addResident(["family_name=佐藤"])
        _ = try branch.sync(with: transport)
        let before = try ward.digests(ward.centre)
        let vector = try system(ward)

        // The code itself, at another machine.
        #expect(throws: CommandError.self) { try join(ward, "thief", code) }
        // All that was said, again and in its order, to this hub and to one that has just started.
        for hub in [ward.hub, Hub(ward.centre)] {
            for (path, body) in recorded.withLock({ $0 }) {
                let answer = hub.answer(path: path, body: body)
                switch path {
                case "/v1/exchange": #expect(answer.status == 401)
                // Answered to the device whose request it is; it says two public keys.
                case "/v1/enrol":
                    let bytes = try #require(try answer.next())
                    #expect(bytes.count == Enrolment.Answer.byteCount)
                // Without the ephemeral secret nobody goes on from there.
                default: #expect(path == "/v1/hello" && answer.status == 200)
                }
            }
        }
        #expect(try ward.digests(ward.centre) == before)
        #expect(try system(ward) == vector && devices(ward).count == 1)
        // The secret of the code was never on the line.
        let secret = try #require(InvitationCode(code)).secret
        for (_, body) in recorded.withLock({ $0 }) { #expect(Data(body).range(of: Data(secret)) == nil) }
        #expect(try ward.sync(branch).upToDate)
    }

    @Test func `A recorded hub convinces no client`() throws {
        let ward = try WardFixture()
        let branch = try join(ward, "m", invite(ward).code)
        _ = try ward.centre.addResident(["family_name=古い"])
        let recorded = Mutex<[[UInt8]]>([])
        let transport = ward.transport()
        transport.onPiece = { piece in
            recorded.withLock { $0.append(piece) }
            return piece
        }
        #expect(try branch.sync(with: transport).upToDate)
        let before = try ward.digests(branch)
        let again = ward.transport()
        let replies = Mutex(recorded.withLock { $0 }[...])
        again.onPiece = { piece in replies.withLock { $0.popFirst() } ?? piece }
        let report = try branch.sync(with: again)
        #expect(!report.upToDate && report.failure != nil)
        #expect(try ward.digests(branch) == before)
    }

    @Test func `Who stands between alters nothing of a request or its answer`() throws {
        let ward = try WardFixture()
        let code = try invite(ward).code
        let recorded = Mutex<[UInt8]>([])
        let stopped = ward.transport()
        stopped.onPost = { path, body in
            recorded.withLock { $0 = body }
            throw TransportError.unreachable("stopped")
        }
        #expect(throws: CommandError.self) { try join(ward, "m", code, stopped) }
        let before = try system(ward)
        let request = recorded.withLock { $0 }
        for place in request.indices {
            var altered = request
            altered[place] ^= 1
            let status = ward.hub.answer(path: "/v1/enrol", body: altered).status
            #expect(status == 403 || status == 400, "\(place): \(status)")
        }
        for end in stride(from: 0, to: request.count, by: 7) {
            #expect(ward.hub.answer(path: "/v1/enrol", body: Array(request[..<end])).status != 200)
        }
        #expect(try system(ward) == before)
        for place in [0, 5, 40, 70, 131] {
            let transport = ward.transport()
            var isFirst = true
            transport.onPiece = { piece in
                defer { isFirst = false }
                var piece = piece
                if isFirst { piece[place] ^= 1 }
                return piece
            }
            let error = #expect(throws: CommandError.self) { try join(ward, "m", code, transport) }
            #expect(error?.code == .notPermitted, "\(place)")
        }
        // The device was let in at the first of these; its own next try finishes it.
        #expect(try ward.sync(join(ward, "m", code)).upToDate)
        #expect(try devices(ward).count == 1)
    }

    @Test func `A code says how the hub is known, and what a person types at the other end`() throws {
        let ward = try WardFixture()
        func code(_ hub: String?, _ trust: Site.HubTrust) throws -> InvitationCode {
            let text = try ward.centre.invite(
                role: .branch,
                name: "branch",
                spaces: [],
                milliseconds: 60_000,
                hub: hub,
                trust: trust
            ).code
            return try #require(InvitationCode(text))
        }
        let pin = [UInt8](repeating: 7, count: 32)
        #expect(try code("https://h", .pin).hub?.trust == .pin(pin))
        #expect(try code("https://h", .system).hub?.trust == .system)
        #expect(try code("https://h", .system).pin == nil)
        #expect(try code("http://h", .system).hub?.trust == .plain)
        #expect(try code(nil, .pin).pin == pin && code(nil, .system).pin == nil)
    }

    @Test func `A second device joins its site, and a site keeps its role`() throws {
        let ward = try WardFixture()
        let first = try join(ward, "one", invite(ward).code)
        let second = try join(ward, "two", invite(ward).code)
        #expect(Set(try devices(ward).map(\.id)) == [first.keys.device, second.keys.device])
        #expect(try second.status().site == "branch" && second.status().role == .branch)
        let error = #expect(throws: CommandError.self) {
            try ward.centre.invite(
                role: .venue,
                name: "branch",
                spaces: ["lessons/kudan"],
                milliseconds: 60_000,
                hub: nil
            )
        }
        #expect(error?.code == .badInput)
        // What is granted or ended is so for both.
        _ = try ward.centre.grant("branch", space: "lessons/kudan", writes: true)
        #expect(try devices(ward).allSatisfy { $0.written.contains("lessons/kudan") })
        _ = try ward.centre.revoke("branch", mode: .retired, reason: "閉所")
        let site = try #require(try ward.centre.sites().first { $0.name == "branch" })
        #expect(site.isRevoked && site.devices.allSatisfy { $0.revoked == .retired && $0.lacking == nil })
        for branch in [first, second] { #expect(try ward.sync(branch).failure?.code == .notPermitted) }
        // A third one comes back under the old name.
        let third = try join(ward, "three", invite(ward).code)
        #expect(try ward.centre.sites().first { $0.name == "branch" }?.isRevoked == false)
        #expect(try ward.sync(third).upToDate)
    }

    @Test func `One code at two hubs that have not met shows as a conflict when they do`() throws {
        let ward = try WardFixture()
        let office = try ward.join("office", role: .admin)
        let code = try invite(ward).code
        try ward.sync(office)
        _ = try join(ward, "one", code)
        let second = try join(ward, "two", code, LoopbackTransport(Hub(office)))
        #expect(try second.status().role == .branch)
        #expect(try ward.sync(office).upToDate)
        for site in [ward.centre, office] {
            let cases = try site.cases(.conflict)
            #expect(cases.contains { $0.collection?.name == "invitation" && $0.values.count == 2 })
        }
        #expect(try ward.digests(ward.centre) == ward.digests(office))
    }
}
