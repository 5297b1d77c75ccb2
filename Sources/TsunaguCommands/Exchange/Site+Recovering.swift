// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguStore

/// What the recovery key was used for after the ward had begun.
package struct Recovery: Sendable {
    /// Unix milliseconds, by the clock of whoever used it.
    package let at: UInt64
    package let person: Operator
    package let reason: ExactText?
    /// Whom it made admins.
    package let devices: [DeviceID]
}

/// The recovery key at work: what a ward does whose last admin is lost.
extension Site {
    /// Makes admins by the ward's own key, and ends the rights of a site that is lost.
    ///
    /// - Parameters:
    ///   - name: the site whose devices become admins'; this device alone where `nil`.
    ///   - lost: the site whose rights end.
    ///   - mode: `lost` where its devices are in unknown hands: what arrived of them here is honoured. `retired` where they
    ///     are broken: all that they ever wrote is, whoever brings it.
    ///   - identity: as in `initialise`; used where this device is to be the centre and has no hub's key.
    /// - Returns: the new admins' devices, and those whose rights ended.
    package func recover(
        with key: RecoveryKey,
        site name: String? = nil,
        revoking lost: String? = nil,
        as mode: Revocation.Mode = .lost,
        reason: String,
        identity: (String) throws -> (key: String, certificate: String, pin: [UInt8])
    ) throws -> (admitted: [DeviceID], revoked: [DeviceID]) {
        let reason = try Self.checkedReason(reason)
        guard try read({ try $0.root() }) == key.device else {
            throw CommandError(
                .notPermitted,
                Localized(ja: "この自治体の復旧キーではありません", en: "this is not the recovery key of this ward"),
                hint: .rightKey
            )
        }
        let sites = try sites()
        guard let own = sites.first(where: { $0.devices.contains { $0.id == keys.device } }) else {
            throw CommandError(
                .failed,
                Localized(ja: "この端末はまだ参加していません", en: "this device has not joined yet"),
                hint: Localized(
                    ja: "参加している拠点の端末で行ってください",
                    en: "use the key where a site that joined works"
                )
            )
        }
        let place = try name.map { try site($0) }
        let named = place?.devices ?? own.devices.filter { $0.id == keys.device }
        let admitted = named.filter { $0.revoked == nil }.map(\.id)
        guard !admitted.isEmpty else {
            throw CommandError(
                .notPermitted,
                Localized(
                    ja: "\((place ?? own).name) の権限は終わっていて、戻せません",
                    en: "the rights of \((place ?? own).name) have ended, and do not come back"
                ),
                record: (place ?? own).id.description,
                hint: Localized(ja: "ほかの拠点を指定してください", en: "name another site")
            )
        }
        let revoked = try lost.map { try site($0) }?.devices.filter { $0.revoked == nil }.map(\.id) ?? []
        guard Set(revoked).isDisjoint(with: admitted) else {
            throw CommandError(
                .usage,
                Localized(ja: "同じ端末を管理者にして失効させることはできません", en: "one device is not both made an admin and revoked")
            )
        }
        let needsHub = try admitted.contains(keys.device) && !isCentre()
        let pin = try needsHub ? Self.makeHub(directory, named: own.name.string, identity) : nil
        try write { transaction in
            if let pin { try transaction.setMeta(Self.hubPin, .bytes(pin)) }
            try transaction.speak(with: key) {
                let draft = try transaction.draft(.system, by: person)
                for device in admitted { try draft.grant(device, role: .admin, spaces: "*", writes: true) }
                for device in revoked {
                    let cut = mode == .lost ? try transaction.chains(of: [device]) : nil
                    try draft.revoke(device, mode: mode, cut: cut, reason: reason)
                }
                draft.reason = reason
            }
            try transaction.giveSeatsOfEnded(by: self)
        }
        return (admitted, revoked)
    }
}

extension Localized {
    static let rightKey = Localized(
        ja: "この自治体を始めたとき（tsunagu init）に控えた紙を探してください。ほかの自治体のキーは使えません",
        en: "look for the paper written when this ward began ('tsunagu init'); another ward's key does not serve"
    )
}

extension StoreTransaction {
    /// Says something in the ward's name: by a new replica of the root, which nothing is kept of but what it said.
    func speak(with key: RecoveryKey, _ body: () throws -> Void) throws {
        let replica = ReplicaID(of: key.device, drawn: random())
        try write(as: replica, key.sign, body)
    }

    /// What is told of one chain: the key writes one change in each, and who writes more has been noticed.
    private static let usesMax: UInt64 = 100

    /// Each use of the recovery key, the beginning of the ward excepted; oldest first.
    ///
    /// The ward began with the one change of `system` whose author had seen nothing; where there are several, all are
    /// told. Whoever stole the key and writes another such one, goes on behind any, or writes in another space, hides
    /// nothing by it.
    package func recoveries() throws -> [Recovery] {
        guard let root = try root() else { return [] }
        let facts = try authorityFacts()
        var uses: [ChangeHeader] = []
        for space in try spaces() {
            for chain in try vector(of: space) where chain.replica.device == root && chain.seq > 0 {
                uses += try changes(1...min(chain.seq, Self.usesMax), of: chain.replica, in: space).map(\.header)
            }
        }
        let beginnings = try uses.filter {
            try $0.space == .system
                && causes(of: $0.dot, in: .system)?.entries.values.allSatisfy { $0 == 0 } == true
        }
        if beginnings.count == 1 { uses.removeAll { $0.space == .system && $0.dot == beginnings[0].dot } }
        return uses.sorted { ($0.timestamp, $0.dot) < ($1.timestamp, $1.dot) }.map { header in
            let devices = facts.compactMap { fact -> DeviceID? in
                guard header.space == .system, fact.dot == header.dot, case .grant(let device, _) = fact.content else {
                    return nil
                }
                return device
            }
            return Recovery(
                at: header.timestamp.milliseconds,
                person: header.author,
                reason: header.reason,
                devices: devices.sorted()
            )
        }
    }
}
