// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Testing
import TsunaguCommands
import TsunaguCore
import TsunaguStore
import TsunaguSync
import TsunaguWard

@Suite("Hostile peers")
struct HostilePeerTests {
    @Test func `A number that no store can hold is refused before anything is kept`() throws {
        var frame: [UInt8] = [2]
        frame.appendPrefixed(Array("system".utf8))
        frame.append(ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1))
        frame.appendVarint(1 << 63)
        frame.append(Bytes16(0))
        frame.appendVarint(0)
        frame.appendVarint(10)
        frame.appendPrefixed([1, 2, 3])
        #expect(throws: CodecError.self) {
            try frame.withMemory { memory throws(CodecError) in try SyncFrame(decoding: memory) }
        }
    }

    @Test func `A vector that names an author twice is refused`() throws {
        let entry = VectorEntry(
            replica: ReplicaID(device: DeviceID(signingKey: [1]), incarnation: 1),
            seq: 1,
            hash: Hash32(repeating: 0, count: 32)
        )
        let reply = SyncReply.compared([(.system, .differs([entry, entry]))]).encoded
        #expect(throws: CodecError.self) {
            try reply.withMemory { memory throws(CodecError) in try SyncReply(decoding: memory) }
        }
    }

    @Test func `One peer's rubbish does not take the holding area from the others`() throws {
        let ward = try WardFixture()
        let (a, b) = (try ward.join("a"), try ward.join("b"))
        let replica = StoreReplica(ward.centre)
        func junk(_ first: UInt64) -> SyncFrame {
            SyncFrame(items: [
                .run(
                    RunEnvelope(
                        space: .system,
                        replica: ReplicaID(device: a.keys.device, incarnation: first),
                        first: 5,
                        count: 1,
                        signature: [UInt8](repeating: 0, count: 64),
                        body: [1]
                    )
                )
            ])
        }
        var refused = 0
        for number in 0..<200 as Range<UInt64> {
            if case .refused(.holdingFull) = try replica.receive(junk(number), from: a.keys.device)[0] { refused += 1 }
        }
        #expect(refused > 0)
        guard case .held = try replica.receive(junk(1000), from: b.keys.device)[0] else {
            Issue.record("another peer's run finds no place")
            return
        }
        #expect(try ward.sync(b).upToDate)
    }

    @Test func `An invitation does not let its holder take another device's place`() throws {
        let ward = try WardFixture()
        let a = try ward.join("a")
        let text = try ward.centre.invite(
            role: .venue,
            name: "EVIL",
            spaces: ["lessons/evil"],
            milliseconds: 60_000,
            hub: "https://hub.example"
        ).code
        let code = try #require(InvitationCode(text))
        let record = try #require(
            try ward.centre.read { try $0.record(SystemSchema.device, RecordID(a.keys.device.raw)) }
        )
        let proof = try #require(record.text("key_proof").flatMap { Hex.decode($0) })
        let request = Enrolment.Request(
            invitation: RecordID(derivedFrom: [Array("invitation".utf8), code.secret]),
            signingKey: a.keys.signingPublic,
            receivingKey: a.keys.receivingPublic,
            proof: proof,
            deviceName: "pwned"
        )
        // The thief has the public keys and the proof, which everybody can read, but not the device's own key.
        let forged = try request.encoded(try code.key(), device: Curve25519.Signing.PrivateKey())
        #expect(ward.hub.answer(path: "/v1/enrol", body: forged).status == 403)
        // And the device itself keeps the site it has.
        let own = try request.encoded(try code.key(), device: a.keys.signing)
        #expect(ward.hub.answer(path: "/v1/enrol", body: own).status == 403)
    }

    @Test(arguments: ["residents", "residents/protected", "lessons/*", "*"])
    func `A venue cannot be invited into the register`(space: String) throws {
        let ward = try WardFixture()
        #expect {
            try ward.centre.invite(role: .venue, name: "会場", spaces: [space], milliseconds: 60_000, hub: nil)
        } throws: { ($0 as? CommandError)?.code == .usage }
    }
}
