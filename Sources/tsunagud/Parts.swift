// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import FoundationEssentials
import Glibc
import Logging
import TsunaguCarriers
import TsunaguCommands

/// Opens the site in a data directory and says what its daemon is made of.
///
/// The one place where the daemon meets the commands; everything else here knows only addresses and bytes.
func makeParts(directory: String, settings: DaemonSettings, logger: Logger) throws -> DaemonParts {
    let (site, hub, token) = try complaining {
        let site = try Site.open(DataDirectory(directory), person: .daemon)
        return (site, try makeHub(site, settings), try site.apiToken())
    }
    return DaemonParts(
        hub: hub,
        apiToken: token,
        syncOnce: { cancellation in syncOnce(site, cancellation, logger) },
        ready: { site.answers() ? .ready : .notReady("the database does not answer") },
        metrics: { (try? site.metrics()) ?? "" }
    )
}

/// Removes what is left of a site whose rights ended while its daemon ran, and says so.
///
/// - Throws: always, with what ends the process.
func endSite(directory: String) throws {
    try complaining { _ = try Site.open(DataDirectory(directory), person: .daemon) }
}

private func complaining<R>(_ work: () throws -> R) throws -> R {
    do {
        return try work()
    } catch let error as CommandError {
        complain(error.message, hint: error.hint)
        throw ExitCode(error.code.exitStatus)
    }
}

/// The server for other sites: the hub at the centre, elsewhere one for peers where somebody said where to listen.
private func makeHub(_ site: Site, _ settings: DaemonSettings) throws -> DaemonParts.Hub? {
    let directory = site.directory
    var certificate = try DataDirectory.read(directory.hubCertificate)
    var key = try DataDirectory.read(directory.hubKey)
    let isCentral = try settings.role.map { $0 == .central } ?? (key != nil && site.isCentre())
    guard isCentral || settings.hubListen != nil else { return nil }
    if isCentral, try !site.isAdmin() {
        throw CommandError(
            .notPermitted,
            Localized(
                ja: "\(directory.path) は本庁（管理者）の端末のデータではないので、--role central は使えません",
                en: "\(directory.path) is not an admin's data, so it cannot take --role central"
            ),
            hint: Localized(
                ja: "--role site にするか --role を省いてください。ほかの拠点から待ち受けるだけなら --hub-listen で足ります",
                en: "use --role site, or leave it out; --hub-listen alone lets other sites reach this one"
            )
        )
    }
    if settings.hubPlain { return DaemonParts.Hub(service: SiteHub(site), identity: nil) }
    if isCentral, try !site.isCentre() {
        // An admin that was invited becomes a centre like the first: from now on its invitations name its key.
        try site.becomeCentre(identity: TLSIdentity.ofHub(in: directory))
        certificate = try DataDirectory.read(directory.hubCertificate)
        key = try DataDirectory.read(directory.hubKey)
    }
    if !isCentral, key == nil || certificate == nil {
        // Nobody is told to trust it: devices prove themselves to each other above TLS.
        let made = try TLSIdentity.make(commonName: "tsunagu")
        (key, certificate) = (made.keyPEM, made.certificatePEM)
        try DataDirectory.write(made.keyPEM, to: directory.hubKey)
        try DataDirectory.write(made.certificatePEM, to: directory.hubCertificate)
    }
    guard let certificate, let key else {
        throw CommandError(
            .notFound,
            Localized(ja: "ハブの TLS 鍵がありません", en: "there is no TLS key for a hub here"),
            hint: Localized(
                ja: "hub-key.pem と hub-certificate.pem が失われています。控えから戻してください（ほかの拠点はこの鍵を確かめます）。"
                    + "TLS を終端するプロキシの後ろなら --hub-plain",
                en:
                    "hub-key.pem and hub-certificate.pem are lost: put them back from a backup, since other sites know the hub by "
                    + "that key; behind a proxy that does TLS use --hub-plain"
            )
        )
    }
    do {
        let identity = try TLSIdentity(certificatePEM: certificate, keyPEM: key)
        return DaemonParts.Hub(service: SiteHub(site), identity: identity)
    } catch {
        throw CommandError(.failed, Localized(ja: "ハブの TLS 鍵: \(error)", en: "the hub's TLS key: \(error)"))
    }
}

private func syncOnce(_ site: Site, _ cancellation: CancellationFlag, _ logger: Logger) -> SyncOutcome {
    // A command may have been told before this daemon.
    if DataDirectory.exists(site.directory.farewell) { return .ended }
    do {
        let reports = try site.syncAll(cancellation: cancellation)
        if DataDirectory.exists(site.directory.farewell) { return .ended }
        for failure in reports.compactMap(\.failure) {
            logger.debug("sync failed", metadata: ["code": "\(failure.code.rawValue)"])
        }
        if reports.contains(where: { $0.lossMessage != nil }) { logger.warning("a peer had lost changes") }
        return SyncOutcome(reports)
    } catch let error as CommandError {
        logger.warning("sync failed here", metadata: ["code": "\(error.code.rawValue)"])
        return .behind
    } catch {
        logger.warning("sync failed here")
        return .behind
    }
}
