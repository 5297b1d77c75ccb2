// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
package import TsunaguCore
import TsunaguStore

extension Site {
    /// What `invite` made.
    package struct Invitation: Sendable {
        package let code: String
        package let hub: String?
        /// Unix milliseconds.
        package let expiresAt: UInt64
    }

    /// How a code says that a hub is to be known by TLS.
    package enum HubTrust: String, Sendable, CaseIterable {
        case pin
        case system
    }

    /// How long an invitation may be good for.
    package static let invitationMillisecondsMax: UInt64 = 90 * 24 * 3600 * 1000

    /// Makes a code that enrols one device.
    ///
    /// - Parameters:
    ///   - spaces: what it may hold; the role's usual spaces where empty.
    ///   - hub: the address to put in, where one is known.
    ///   - trust: how an HTTPS hub shows there that it is the one: by its own key, or behind a proxy by a certificate that
    ///     machines trust anyway.
    package func invite(
        role: Role,
        name: String,
        spaces: [String],
        milliseconds: UInt64,
        hub: String?,
        trust: HubTrust = .pin
    ) throws -> Invitation {
        let named = ExactText(name)
        guard (1...128).contains(named.utf8.count) else {
            throw CommandError(.usage, Localized(ja: "拠点の名称は1〜128バイトです", en: "a site's name has 1 to 128 bytes"))
        }
        guard (1...Self.invitationMillisecondsMax).contains(milliseconds) else {
            throw CommandError(.usage, Localized(ja: "期限は90日以内です", en: "an invitation expires within 90 days"))
        }
        let scope = spaces.isEmpty ? role.defaultSpaces : spaces
        try Self.check(scope: scope, for: role)
        return try write { transaction in
            try transaction.requireAdmin(self)
            try transaction.requireRole(role, ofSiteNamed: named)
            guard let root = try transaction.root() else {
                throw CommandError(.failed, Localized(ja: "自治体が不明です", en: "the ward's root is unknown"))
            }
            let pin = trust == .pin ? try transaction.pin(at: hub) : nil
            let trust: PeerAddress.Trust =
                hub?.hasPrefix("http://") == true ? .plain : pin.map { .pin($0) } ?? .system
            let code = InvitationCode(
                secret: (0..<16).map { _ in UInt8(truncatingIfNeeded: store.random()) },
                root: root,
                hub: hub.map { PeerAddress(url: $0, trust: trust) },
                pin: pin
            )
            let expiry = store.now() + milliseconds
            try transaction.draft(.system, by: person).create(
                SystemSchema.invitation,
                id: code.record,
                [
                    (1, .text(name)), (2, .text(role.rawValue)), (3, .text(scope.joined(separator: " "))),
                    (4, .integer(Int64(expiry))), (6, .text(Hex.encode(try code.key().publicKey.rawRepresentation))),
                ]
            )
            return Invitation(code: code.text, hub: hub, expiresAt: expiry)
        }
    }

    /// Those of a scope that name no space held here, nor what every ward has: perhaps slips of typing, perhaps to come.
    package func unknownSpaces(_ scope: [String]) throws -> [String] {
        let known = try read { try $0.spaces() }
        let usual = Set(Role.allCases.flatMap(\.defaultSpaces))
        return scope.filter { pattern in !usual.contains(pattern) && !known.contains { $0.matches(pattern) } }
    }

    /// Fails where a device of a role cannot be given these spaces.
    static func check(scope: [String], for role: Role) throws {
        guard !scope.isEmpty else {
            throw CommandError(
                .usage,
                Localized(ja: "会場には --space が必要です", en: "a venue needs --space"),
                hint: Localized(ja: "例: --space lessons/kudan", en: "for example --space lessons/kudan")
            )
        }
        // A volunteer's laptop holds lessons it was named for, never the register.
        let outside = scope.first { !$0.hasPrefix("lessons/") || $0.hasSuffix("*") }
        if role == .venue, let outside {
            throw CommandError(
                .usage,
                Localized(
                    ja: "会場が持てるのは lessons/会場名 の空間だけです: \(outside)",
                    en: "a venue holds spaces such as lessons/kudan only: \(outside)"
                )
            )
        }
        for space in scope {
            let base = space.hasSuffix("/*") ? String(space.dropLast(2)) : space
            guard space == "*" || SpaceID(base) != nil else {
                throw CommandError(
                    .usage,
                    Localized(ja: "空間の名前ではありません: \(space)", en: "'\(space)' is no space's name")
                )
            }
        }
    }
}

extension StoreTransaction {
    /// The SHA-256 of the TLS key of the hub at an address: of another's where this site was told of it, else of its own.
    fileprivate func pin(at hub: String?) throws -> [UInt8]? {
        let known = try addresses().compactMap { PeerAddress(url: $0.url, trust: $0.trust) }.first { $0.url == hub }
        if case .pin(let pin)? = known?.trust { return pin }
        guard case .bytes(let own)? = try meta(Site.hubPin) else { return nil }
        return own
    }

    /// Fails where a site of a name has another role: what its devices may do should be what people read in the list.
    fileprivate func requireRole(_ role: Role, ofSiteNamed name: ExactText) throws {
        let sites = try records(
            SystemSchema.site,
            where: "name = ? AND deleted = 0 ORDER BY id",
            [.text(name)],
            limit: 1
        )
        guard let known = sites.first?.text("role"), known != role.rawValue, !(known == "central" && role == .admin)
        else { return }
        throw CommandError(
            .badInput,
            Localized(
                ja: "\(name) は別の役割（\(known)）の拠点です",
                en: "\(name) is a site of another role (\(known))"
            ),
            record: name.string,
            hint: Localized(ja: "別の名称で招いてください", en: "invite it under another name")
        )
    }
}
