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
    let directory = DataDirectory(directory)
    let site: Site
    let hub: DaemonParts.Hub?
    do {
        site = try Site.open(directory, person: .daemon)
        hub = try makeHub(site, settings)
    } catch let error as CommandError {
        complain([error.message.en, error.hint?.en].compactMap(\.self).joined(separator: "; "))
        throw ExitCode(error.code.exitStatus)
    }
    return DaemonParts(
        hub: hub,
        syncOnce: { cancellation in syncOnce(site, cancellation, logger) },
        ready: { site.answers() ? .ready : .notReady("the database does not answer") },
        metrics: { (try? site.metrics()) ?? "" }
    )
}

private func makeHub(_ site: Site, _ settings: DaemonSettings) throws -> DaemonParts.Hub? {
    let directory = site.directory
    let certificate = try DataDirectory.read(directory.hubCertificate)
    let key = try DataDirectory.read(directory.hubKey)
    let isCentral = settings.role.map { $0 == .central } ?? (key != nil)
    guard isCentral else { return nil }
    if settings.hubPlain { return DaemonParts.Hub(service: SiteHub(site), identity: nil) }
    guard let certificate, let key else {
        throw CommandError(
            .notFound,
            Localized(ja: "ハブの TLS 鍵がありません", en: "there is no TLS key for a hub here"),
            hint: Localized(
                ja: "tsunagu init で作られます。TLS を終端するプロキシの後ろなら --hub-plain",
                en: "'tsunagu init' makes it; behind a proxy that does TLS use --hub-plain"
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
    do {
        let reports = try site.syncAll(cancellation: cancellation)
        // Without a hub to ask there is nothing to be behind of.
        if reports.allSatisfy(\.upToDate) { return .upToDate }
        for failure in reports.compactMap(\.failure) {
            logger.debug("sync failed", metadata: ["code": "\(failure.code.rawValue)"])
            if failure.code == .notPermitted { return .refused }
            if failure.code == .unreachable { return .unreachable }
        }
        return .behind
    } catch let error as CommandError {
        logger.warning("sync failed here", metadata: ["code": "\(error.code.rawValue)"])
        return .behind
    } catch {
        logger.warning("sync failed here")
        return .behind
    }
}
