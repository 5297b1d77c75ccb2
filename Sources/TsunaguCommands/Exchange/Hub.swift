// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Synchronization
import TsunaguCore
import TsunaguStore
import TsunaguSync

/// The answering end of HTTP exchanges: who asks, is it authentic and fresh, and what is the answer.
package final class Hub: Sendable {
    /// A status and a body made piece by piece; what is not asked for is not made.
    package struct Answer: Sendable {
        package let status: Int
        package let next: @Sendable () throws -> [UInt8]?
    }

    private struct Session {
        let client: DeviceID
        let key: SymmetricKey
        let clientMessage: [UInt8]
        var isProved = false
        var counter: UInt64 = 0
        var lastUsed: UInt64
    }

    /// Sessions at most, and the silence after which one ends: a hub keeps little for people who went away.
    private static let sessionsMax = 4096
    private static let sessionMilliseconds: UInt64 = 10 * 60 * 1000
    /// What a device may have the hub add up or work out in the length of a session: a search takes a handful.
    private static let looksMax = 256

    private let site: Site
    private let sessions = Mutex<[Bytes16: Session]>([:])
    /// How often each device had something added up, and since when that is counted.
    private let looks = Mutex<[DeviceID: (count: Int, since: UInt64)]>([:])

    package init(_ site: Site) { self.site = site }

    /// Answers a request's body.
    package func answer(path: String, body: [UInt8]) -> Answer {
        do {
            switch path {
            case "/v1/hello": return .whole(try hello(body))
            case "/v1/exchange": return try exchange(body)
            case "/v1/enrol": return .whole(try enrol(body))
            default: return .refusal(404, "there is nothing at \(path)")
            }
        } catch let error as CommandError {
            return .refusal(error.code == .notPermitted ? 403 : 503, error.message.en)
        } catch let error as CodecError {
            return .refusal(400, "\(error)")
        } catch SyncError.notAuthenticated(let why) {
            return .refusal(401, why)
        } catch {
            return .refusal(500, "the hub failed")
        }
    }

    // MARK: - Sessions

    private func hello(_ body: [UInt8]) throws -> [UInt8] {
        let hello = try Handshake.Hello(decoding: body)
        let (isMember, epoch) = try site.read { transaction in
            (
                try transaction.currentAccess()?.isMember(hello.client) ?? false,
                try transaction.meta("epoch")
            )
        }
        guard isMember, case .bytes(let bytes)? = epoch, let epoch = Bytes16(bytes) else {
            throw SyncError.notAuthenticated("this device does not belong to the ward")
        }
        let session = Bytes16(UInt128(site.store.random()) << 64 | UInt128(site.store.random()))
        let (welcome, key, message) = try Handshake.welcome(
            hello,
            signingKey: site.keys.signingPublic,
            epoch: epoch,
            session: session,
            sign: site.keys.sign
        )
        let now = site.store.now()
        sessions.withLock { sessions in
            sessions = sessions.filter { now < $0.value.lastUsed + Self.sessionMilliseconds }
            if sessions.count >= Self.sessionsMax,
                let oldest = sessions.min(by: { $0.value.lastUsed < $1.value.lastUsed })
            {
                sessions[oldest.key] = nil
            }
            sessions[session] = Session(client: hello.client, key: key, clientMessage: message, lastUsed: now)
        }
        return welcome.encoded
    }

    /// Opens a request: its session is known, its code right, its number new, and its device proved.
    private func open(_ body: [UInt8]) throws -> (
        client: DeviceID, key: SymmetricKey, counter: UInt64, content: [UInt8]
    ) {
        let opened = try Envelope.Opened(body)
        let now = site.store.now()
        guard let session = sessions.withLock({ $0[opened.session] }),
            now < session.lastUsed + Self.sessionMilliseconds,
            opened.isAuthentic(session.key)
        else { throw SyncError.notAuthenticated("the session is unknown or over") }
        if let proof = opened.proof {
            let key = try site.read { try $0.signingKey(of: session.client) }
            guard key?.isValidSignature(proof, for: session.clientMessage) == true else {
                throw SyncError.notAuthenticated("the device's signature is wrong")
            }
        }
        // The check and the count are one step, or two copies of a request could both be the first.
        let isFresh = sessions.withLock { sessions in
            guard var current = sessions[opened.session], opened.counter > current.counter,
                current.isProved || opened.proof != nil
            else { return false }
            current.counter = opened.counter
            current.isProved = true
            current.lastUsed = now
            sessions[opened.session] = current
            return true
        }
        guard isFresh else { throw SyncError.notAuthenticated("the request was answered before") }
        return (session.client, session.key, opened.counter, opened.content)
    }

    private func exchange(_ body: [UInt8]) throws -> Answer {
        let (client, key, counter, content) = try open(body)
        // A right that was withdrawn since the hello counts from now on.
        guard try site.read({ try $0.currentAccess()?.isMember(client) ?? false }) else {
            throw SyncError.notAuthenticated("this device does not belong to the ward any more")
        }
        let request = try content.withMemory { memory throws(CodecError) in try SyncRequest(decoding: memory) }
        let server = SyncServer(client: client)
        let replica = StoreReplica(site)
        if let refusal = refusalOfLook(request, client) {
            return .whole(Envelope.reply(refusal.encoded, counter: counter, piece: 0, key))
        }
        guard case .pull(let pull) = request else {
            let reply = try server.answer(request, replica)
            return .whole(Envelope.reply(reply.encoded, counter: counter, piece: 0, key))
        }
        let frames = Mutex(PullState(writer: try server.frames(pull, replica)))
        return Answer(status: 200) {
            try frames.withLock { state in
                guard !state.isOver else { return nil }
                let frame = try state.writer.next(from: replica)
                state.isOver = frame == nil
                let piece = Envelope.reply(frame?.encoded ?? [], counter: counter, piece: state.piece, key)
                state.piece += 1
                return PieceStream.length(piece.count) + piece
            }
        }
    }

    /// What a device is told that asks without end for what costs more to answer than to ask.
    private func refusalOfLook(_ request: SyncRequest, _ client: DeviceID) -> SyncReply? {
        let refusal: SyncReply
        switch request {
        case .sums: refusal = .sums(nil)
        case .run: refusal = .run(nil)
        case .compare, .push, .pull: return nil
        }
        let now = site.store.now()
        return looks.withLock { looks in
            var look = looks[client] ?? (0, now)
            if now >= look.since + Self.sessionMilliseconds { look = (0, now) }
            look.count += 1
            looks[client] = look
            return look.count > Self.looksMax ? refusal : nil
        }
    }

    private struct PullState: Sendable {
        var writer: FrameWriter
        var piece: UInt64 = 0
        var isOver = false
    }

    // MARK: - Enrolment

    private func enrol(_ body: [UInt8]) throws -> [UInt8] {
        let request = try Enrolment.Request(decoding: body)
        return try site.write { transaction in
            try transaction.requireAdmin(site)
            let refused = CommandError(
                .notPermitted,
                Localized(ja: "招待コードが無効です", en: "the invitation is not valid")
            )
            guard let invitation = try transaction.record(SystemSchema.invitation, request.invitation),
                !invitation.deleted, let key = invitation.text("public_key").flatMap({ Hex.decode($0) }),
                request.isAuthentic(body, publicKey: key)
            else { throw refused }
            let device = DeviceID(signingKey: request.signingKey)
            guard DeviceKeys.isValidProof(request.proof, signing: request.signingKey, receiving: request.receivingKey)
            else { throw refused }
            if let used = invitation.text("device") {
                // The same device that did not get its answer may ask again; a stolen code gains nothing.
                guard used == device.description else { throw refused }
            } else {
                // A device that is known already is somebody: an invitation must not give it another site or key.
                guard try transaction.record(SystemSchema.device, RecordID(device.raw)) == nil else { throw refused }
                guard let expiry = invitation.integer("expires_at"), Int64(site.store.now()) < expiry else {
                    throw refused
                }
                try admit(device, request, invitation, transaction)
            }
            guard let root = try transaction.root(), let rootKey = try transaction.signingKey(of: root) else {
                throw refused
            }
            let answer = Enrolment.Answer(
                rootKey: Array(rootKey.rawRepresentation),
                hubKey: site.keys.signingPublic
            )
            return try answer.encoded(to: body, sign: site.keys.sign)
        }
    }

    private func admit(
        _ device: DeviceID,
        _ request: Enrolment.Request,
        _ invitation: StoredRecord,
        _ transaction: StoreTransaction
    ) throws {
        let draft = try transaction.draft(.system, by: site.person)
        let siteID = try Membership.site(
            named: invitation.text("site") ?? "",
            role: invitation.text("role") ?? "",
            draft,
            transaction
        )
        try Membership.admit(
            device,
            site: siteID,
            name: request.deviceName,
            signing: request.signingKey,
            receiving: request.receivingKey,
            proof: request.proof,
            role: invitation.text("role") ?? "",
            spaces: invitation.text("spaces") ?? "",
            writes: invitation.text("role") != Role.auditor.rawValue,
            draft
        )
        try draft.set(SystemSchema.invitation, invitation.id, [(5, .text(device.description))])
    }
}

extension Hub.Answer {
    fileprivate static func whole(_ bytes: [UInt8], status: Int = 200) -> Hub.Answer {
        let piece = Mutex<[UInt8]?>(bytes)
        return Hub.Answer(status: status) { piece.withLock { $0.take() } }
    }

    fileprivate static func refusal(_ status: Int, _ reason: String) -> Hub.Answer {
        whole(Array(reason.utf8), status: status)
    }
}

/// Pieces of a streamed answer: four bytes of length before each.
struct PieceStream {
    private var buffer: [UInt8] = []

    static func length(_ count: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) } }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(contentsOf: bytes) }

    var isEmpty: Bool { buffer.isEmpty }

    /// The next whole piece.
    mutating func next() throws(SyncError) -> [UInt8]? {
        guard buffer.count >= 4 else { return nil }
        let count = buffer[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard count <= SyncFrame.runBytesMax + 1024 else { throw .protocolViolation("a piece of \(count) bytes") }
        guard buffer.count >= 4 + count else { return nil }
        defer { buffer.removeFirst(4 + count) }
        return Array(buffer[4..<4 + count])
    }
}

/// How sites and devices stand in `system`.
enum Membership {
    /// The record of a site, made where there is none of the name.
    static func site(
        named name: String,
        role: String,
        _ draft: Draft,
        _ transaction: StoreTransaction
    ) throws -> RecordID {
        let known = try transaction.records(
            SystemSchema.site,
            where: "name = ? AND deleted = 0 ORDER BY id",
            [.text(name)],
            limit: 1
        )
        if let known = known.first { return known.id }
        return try draft.create(SystemSchema.site, [(1, .text(name)), (2, .text(role))])
    }

    static func admit(
        _ device: DeviceID,
        site: RecordID,
        name: ExactText,
        signing: [UInt8],
        receiving: [UInt8],
        proof: [UInt8],
        role: String,
        spaces: String,
        writes: Bool,
        _ draft: Draft
    ) throws {
        try draft.create(
            SystemSchema.device,
            id: RecordID(device.raw),
            [
                (1, .text(site.description)), (2, .text(name)), (3, .text(Hex.encode(signing))),
                (4, .text(Hex.encode(receiving))), (5, .text(Hex.encode(proof))),
            ]
        )
        try draft.create(
            SystemSchema.grant,
            [
                (1, .text(device.description)), (2, .text(role)), (3, .text(spaces)),
                (4, .text(writes ? "write" : "read")),
            ]
        )
    }
}
