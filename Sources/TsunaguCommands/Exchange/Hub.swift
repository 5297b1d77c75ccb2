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
        let keys: SessionKeys
        let clientMessage: [UInt8]
        /// The client's signature, kept until it can be checked: a client may first have to bring what says its key.
        var proof: [UInt8]?
        var isProved = false
        /// Whether it brought the beginning of a ward that may be taken in.
        var isIntroduced = false
        var counter: UInt64 = 0
        var lastUsed: UInt64
    }

    /// Who asks, and what.
    private struct Question {
        let session: Bytes16
        let client: DeviceID
        let isMember: Bool
        /// Whether it was a member, and its rights ended.
        let isRevoked: Bool
        let isIntroduced: Bool
        let keys: SessionKeys
        let counter: UInt64
        let content: [UInt8]
    }

    /// Sessions of which nobody proved who he is, and of one device: whoever opens more loses the oldest.
    private static let unprovedMax = 1024
    private static let sessionsOfDeviceMax = 8
    /// The silence after which a session ends: little is kept for people who went away.
    private static let sessionMilliseconds: UInt64 = 10 * 60 * 1000
    private let site: Site
    private let sessions = Mutex<[Bytes16: Session]>([:])
    private let requests: Quota
    /// What a device may have added up or worked out: a search takes a handful.
    private let looks = Quota(256, per: Hub.sessionMilliseconds)
    /// Frames of `system` that all strangers together may have taken in.
    private let introductions = Quota(64, per: Hub.sessionMilliseconds)

    /// - Parameter requestsPerMinuteMax: of each device; a first exchange of a whole ward takes some hundred.
    package init(_ site: Site, requestsPerMinuteMax: Int = 1200) {
        self.site = site
        requests = Quota(requestsPerMinuteMax, per: 60_000)
    }

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

    /// Opens a session with whoever asks: who it is shows with the first request.
    private func hello(_ body: [UInt8]) throws -> [UInt8] {
        let hello = try Handshake.Hello(decoding: body)
        guard case .bytes(let bytes)? = try site.read({ try $0.meta("epoch") }), let epoch = Bytes16(bytes) else {
            throw CommandError(.failed, Localized(ja: "エポックがありません", en: "this store has no epoch"))
        }
        let session = site.store.random128()
        let (welcome, keys, message) = try Handshake.welcome(
            hello,
            signingKey: site.keys.signingPublic,
            epoch: epoch,
            session: session,
            sign: site.keys.sign
        )
        let now = site.store.uptime()
        sessions.withLock { sessions in
            sessions = sessions.filter { now < $0.value.lastUsed + Self.sessionMilliseconds }
            sessions.makeRoom(Self.unprovedMax, among: { !$0.isProved }, age: \.lastUsed)
            sessions[session] = Session(client: hello.client, keys: keys, clientMessage: message, lastUsed: now)
        }
        return welcome.encoded
    }

    /// Opens a request: its session is known, it is the client's own, and its number new.
    private func open(_ body: [UInt8]) throws -> Question {
        let request = try Envelope.Request(body)
        let now = site.store.uptime()
        guard let session = sessions.withLock({ $0[request.session] }),
            now < session.lastUsed + Self.sessionMilliseconds,
            let content = request.open(session.keys)
        else { throw SyncError.notAuthenticated("the session is unknown or over") }
        let proof = request.proof ?? session.proof
        let (key, isGranted, isRevoked) = try site.read { transaction in
            let access = try transaction.currentAccess()
            // A right that was withdrawn since the hello is so from now on.
            return (
                try transaction.signingKey(of: session.client),
                access?.takesPart(session.client) ?? false,
                access?.isRevoked(session.client) ?? false
            )
        }
        if let key, let proof, !session.isProved, !key.isValidSignature(proof, for: session.clientMessage) {
            throw SyncError.notAuthenticated("the device's signature is wrong")
        }
        let isProved = session.isProved || (key != nil && proof != nil)
        // The check and the count are one step, or two copies of a request could both be the first.
        let isFresh = sessions.withLock { sessions in
            guard var current = sessions[request.session], request.counter > current.counter, proof != nil || isProved
            else { return false }
            if isProved, !current.isProved {
                let device = current.client
                sessions.makeRoom(
                    Self.sessionsOfDeviceMax,
                    among: { $0.isProved && $0.client == device },
                    age: \.lastUsed
                )
            }
            current.counter = request.counter
            current.isProved = isProved
            current.proof = isProved ? nil : proof
            current.lastUsed = now
            sessions[request.session] = current
            return true
        }
        guard isFresh else { throw SyncError.notAuthenticated("the request was answered before") }
        return Question(
            session: request.session,
            client: session.client,
            isMember: isProved && isGranted,
            isRevoked: isProved && isRevoked,
            isIntroduced: session.isIntroduced,
            keys: session.keys,
            counter: request.counter,
            content: content
        )
    }

    private func exchange(_ body: [UInt8]) throws -> Answer {
        let question = try open(body)
        // Whoever is not known here is bounded by what all strangers together may do.
        guard !question.isMember && !question.isRevoked || requests.takes(question.client, at: site.store.uptime())
        else {
            return .refusal(429, "too many requests of this device; try again in a minute")
        }
        func reply(_ reply: SyncReply) throws -> Answer {
            .whole(try Envelope.reply(reply.encoded, counter: question.counter, piece: 0, question.keys))
        }
        let request = try question.content.withMemory { memory throws(CodecError) in
            try SyncRequest(decoding: memory)
        }
        let server = SyncServer(client: question.client)
        let replica = StoreReplica(site)
        let writer: FrameWriter
        switch request {
        case .pull(let pull) where question.isRevoked: writer = try server.proof(pull, replica)
        case _ where question.isRevoked: return try reply(answerRevoked(request, question.client))
        case _ where !question.isMember: return try reply(answerStranger(request, question))
        case .pull(let pull): writer = try server.frames(pull, replica)
        default:
            if let refusal = refusalOfLook(request, question.client) { return try reply(refusal) }
            let answer = try server.answer(request, replica)
            // Nobody asks the hub to move rights with the day, and it hears when all is equal.
            guard answer.saysEqual, try site.settleLessonsOfDay() else { return try reply(answer) }
            return try reply(server.answer(request, replica))
        }
        let frames = Mutex(PullState(writer: writer))
        let (keys, counter) = (question.keys, question.counter)
        return Answer(status: 200) {
            try frames.withLock { state in
                guard !state.isOver else { return nil }
                let frame = try state.writer.next(from: replica)
                state.isOver = frame == nil
                let piece = try Envelope.reply(frame?.encoded ?? [], counter: counter, piece: state.piece, keys)
                state.piece += 1
                return PieceStream.length(piece.count) + piece
            }
        }
    }

    /// Takes what a revoked device hands in, and gives nothing but a receipt for it; a pull is answered with the proof.
    private func answerRevoked(_ request: SyncRequest, _ client: DeviceID) throws -> SyncReply {
        switch request {
        case .push(let frame):
            return .receipts(try SyncServer(client: client).takeFromLeaving(frame, StoreReplica(site)))
        case .leave: try site.closeRetirement(of: client)
        case .compare: break
        case .pull, .sums, .run: return .failed("this device was revoked")
        }
        let (mode, holds) = try site.read { transaction in
            let access = try transaction.currentAccess()
            let isLost = access?.revocations[client]?.contains { $0.mode == .lost }
            var holds = try transaction.chains(of: [client, site.keys.device])
            // Of what is written here it is told where it could hold it once.
            for (space, chains) in holds.last where space != .system && access?.isNamed(space, to: client) != true {
                let own = chains.filter { $0.key.device == client }
                holds.last[space] = own.isEmpty ? nil : own
            }
            return (isLost == true ? Revocation.Mode.lost : .retired, holds)
        }
        return .revoked(try Farewell(to: client, mode: mode, holds: holds, sign: site.keys.sign))
    }

    /// Takes `system` from whoever brings it, and gives nothing: its seals say whose word it is.
    ///
    /// A store that lost its data, or got an older copy back, learns so who belongs to its ward.
    private func answerStranger(_ request: SyncRequest, _ question: Question) throws -> SyncReply {
        guard case .push(let frame) = request else { return .unknownClient }
        let isSystem = frame.items.allSatisfy { if case .run(let run) = $0 { run.space == .system } else { false } }
        guard isSystem else { return .unknownClient }
        func began(apart transaction: StoreTransaction) throws -> Bool {
            try !question.isIntroduced && transaction.began(apartFrom: frame)
        }
        // Looked at before it is written: what brings nothing must not hold up those who work here.
        let refusal: SyncReply? = try site.read { transaction in
            if try began(apart: transaction) { return .newBeginning }
            let isVain = try frame.items.allSatisfy { try transaction.signingKey(of: $0.origin.replica.device) == nil }
            return isVain ? .receipts(frame.items.map { _ in .refused(.unknownDevice) }) : nil
        }
        if let refusal { return refusal }
        guard introductions.takes(.stranger, at: site.store.uptime()) else {
            return .failed("too many who are not known here ask; try again in some minutes")
        }
        let receipts = try StoreReplica(site).receive(frame, from: .stranger) { try !began(apart: $0) }
        guard let receipts else { return .newBeginning }
        sessions.withLock { $0[question.session]?.isIntroduced = true }
        return .receipts(receipts)
    }

    /// What a device is told that asks without end for what costs more to answer than to ask.
    private func refusalOfLook(_ request: SyncRequest, _ client: DeviceID) -> SyncReply? {
        let refusal: SyncReply
        switch request {
        case .sums: refusal = .sums(nil)
        case .run: refusal = .run(nil)
        case .compare, .push, .pull, .leave: return nil
        }
        return looks.takes(client, at: site.store.uptime()) ? nil : refusal
    }

    private struct PullState: Sendable {
        var writer: FrameWriter
        var piece: UInt32 = 0
        var isOver = false
    }

    // MARK: - Enrolment

    /// Admits the device that a request is of, and answers it.
    func enrol(_ body: [UInt8]) throws -> [UInt8] {
        let request = try Enrolment.Request(decoding: body)
        return try site.write { transaction in
            try transaction.requireAdmin(site)
            let refused = Enrolment.Refusal.invalid.error
            guard let invitation = try transaction.record(SystemSchema.invitation, request.invitation),
                !invitation.deleted, let key = invitation.text("public_key").flatMap({ Hex.decode($0) }),
                request.isAuthentic(body, publicKey: key)
            else { throw refused }
            let device = DeviceID(signingKey: request.signingKey)
            guard DeviceKeys.isValidProof(request.proof, signing: request.signingKey, receiving: request.receivingKey)
            else { throw refused }
            if let used = invitation.text("device") {
                // The same device that did not get its answer may ask again; a stolen code gains nothing.
                guard used == device.description else { throw Enrolment.Refusal.used.error }
            } else {
                guard let expiry = invitation.integer("expires_at"), Int64(site.store.now()) < expiry else {
                    throw Enrolment.Refusal.expired.error
                }
                if let known = try transaction.record(SystemSchema.device, RecordID(device.raw)) {
                    // It was let in before its answer was lost, and was given another code since. A device that is known
                    // is somebody: an invitation must not give it another site, role, space or key.
                    guard known.text("signing_key") == Hex.encode(request.signingKey),
                        try transaction.isInvited(device, known, invitation)
                    else { throw refused }
                    try transaction.draft(.system, by: site.person).use(invitation, device)
                } else {
                    try admit(device, request, invitation, transaction)
                }
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
        guard let role = invitation.text("role").flatMap({ Role(rawValue: $0) }) else {
            throw CodecError.invalid("an invitation of an unknown role")
        }
        let draft = try transaction.draft(.system, by: site.person)
        let siteID = try Membership.site(
            named: invitation.text("site") ?? "",
            role: role.rawValue,
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
            role: role,
            spaces: invitation.text("spaces") ?? "",
            writes: role != .auditor,
            draft
        )
        try draft.use(invitation, device)
    }
}

/// How often each device may have something done in a span of time.
private final class Quota: Sendable {
    private let max: Int
    private let milliseconds: UInt64
    /// Only devices of the ward, and strangers as one: it stays small.
    private let counts = Mutex<[DeviceID: (count: Int, since: UInt64)]>([:])

    init(_ max: Int, per milliseconds: UInt64) {
        self.max = max
        self.milliseconds = milliseconds
    }

    /// Counts once more; false where it was too often.
    func takes(_ device: DeviceID, at now: UInt64) -> Bool {
        counts.withLock { counts in
            var own = counts[device] ?? (0, now)
            if now >= own.since + milliseconds { own = (0, now) }
            own.count += 1
            counts[device] = own
            return own.count <= max
        }
    }
}

extension Draft {
    /// From here on the code is good for this device alone.
    fileprivate func use(_ invitation: StoredRecord, _ device: DeviceID) throws {
        try set(SystemSchema.invitation, invitation.id, [(5, .text(device.description))])
    }
}

extension StoreTransaction {
    /// Whether an invitation gives a device nothing that it does not have.
    fileprivate func isInvited(_ device: DeviceID, _ known: StoredRecord, _ invitation: StoredRecord) throws -> Bool {
        let place = try known.text("site").flatMap { RecordID(hex: $0) }.flatMap { try record(SystemSchema.site, $0) }
        let grants = try currentAccess()?.grants[device] ?? []
        return place?.values["name"]?.text == invitation.values["site"]?.text
            && grants.contains {
                $0.role.rawValue == invitation.text("role")
                    && $0.spaces.joined(separator: " ") == invitation.text("spaces")
            }
    }

    /// Whether this store was worked in under a beginning of which a log of `system` that somebody brings knows nothing:
    /// taken together, the same people would stand side by side for ever.
    func began(apartFrom frame: SyncFrame) throws -> Bool {
        let known = Set(try vector(of: .system).map(\.replica))
        guard known.isDisjoint(with: frame.items.map(\.origin.replica)) else { return false }
        // What founds a space is one change.
        return try spaces().contains { space in
            try space != .system && vector(of: space).contains { $0.seq > 1 }
        }
    }
}

extension Dictionary {
    /// Removes the oldest of some values until one more has room among them.
    fileprivate mutating func makeRoom(_ max: Int, among isCounted: (Value) -> Bool, age: (Value) -> UInt64) {
        let counted = filter { isCounted($0.value) }
        guard counted.count >= max, let oldest = counted.min(by: { age($0.value) < age($1.value) }) else { return }
        self[oldest.key] = nil
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
        role: Role,
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
        try draft.grant(device, role: role, spaces: spaces, writes: writes)
    }
}
