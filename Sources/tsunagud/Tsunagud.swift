// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import FoundationEssentials
import Glibc
import Logging
import TsunaguCarriers
import TsunaguCommands

@main
struct Tsunagud: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tsunagud",
        abstract: "Keeps a site in sync in the background; at the centre also the hub that the others sync with.",
        discussion: """
            Every option may also stand in the environment (--hub-listen as TSUNAGU_HUB_LISTEN) or in the file
            (hub-listen = …). The command line wins over the environment, and that over the file.

            SIGTERM and SIGINT stop it, SIGHUP makes it read its settings anew and sync at once. Where the ward office ended
            this device's rights, it hands in what is unsent, erases the data and ends with 77.

            The local API has /healthz and /readyz for everybody on this machine, and /metrics for whoever sends
            "Authorization: Bearer …" with what stands in the data directory's file api-token.
            """
    )

    @Option(help: ArgumentHelp("The data directory.", valueName: "dir"))
    var data: String?

    @Option(help: ArgumentHelp("Settings, one key = value a line.", valueName: "file"))
    var config: String?

    @Option(help: "site or central; by default what the data directory is.")
    var role: String?

    @Option(help: ArgumentHelp("Where the local API listens, on this machine only.", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where the hub listens; at a site, where its peers find it.", valueName: "host:port"))
    var hubListen: String?

    @Flag(help: "The hub speaks plain HTTP, behind a proxy that does TLS.")
    var hubPlain = false

    @Option(help: ArgumentHelp("Seconds between two syncs while all is well.", valueName: "seconds"))
    var syncInterval: String?

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?

    static func main() async {
        do {
            var command = try parseAsRoot()
            if let daemon = command as? Self { try await daemon.run() } else { try command.run() }
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            complain(
                Localized(usage: message(for: error)),
                hint: Localized(ja: "使い方は tsunagud --help で見られます", en: "see 'tsunagud --help'")
            )
            exit(withError: ExitCode(CommandError.Code.usage.exitStatus))
        }
    }

    func run() async throws {
        LoggingSystem.bootstrap(StreamLogHandler.standardError)
        // Whoever read our standard output may go away; the daemon stays.
        signal(SIGPIPE, SIG_IGN)

        let environment = ProcessInfo.processInfo.environment
        let settings = try settings(environment: environment)
        var logger = Logger(label: "tsunagud")
        logger.logLevel = Logger.Level(rawValue: settings.logLevel)!

        let directory = settings.data ?? Self.defaultDirectory(environment: environment)
        let lock: DataDirectoryLock
        do {
            lock = try DataDirectoryLock(directory: directory)
        } catch {
            complain(error.description)
            throw ExitCode(error.exitStatus)
        }

        var parts = try makeParts(directory: directory, settings: settings, logger: logger)
        parts.onListening = { lock.write(addresses: $0) }
        var daemon = Daemon(
            listen: settings.listen,
            hubListen: settings.hubListen ?? DaemonSettings.hubListenDefault,
            parts: parts,
            logger: logger
        )
        daemon.backOff.interval = settings.syncInterval
        daemon.notifier = SystemdNotifier(environment: environment)
        do {
            try await daemon.run()
        } catch let error as ListenError {
            Self.explain(error, settings)
            throw ExitCode.failure
        } catch is RightsEnded {
            try endSite(directory: directory)
        }
        // To the very end: while a sync may still run, nobody else gets the directory.
        withExtendedLifetime(lock) {}
    }

    private static func explain(_ error: ListenError, _ settings: DaemonSettings) {
        guard case .cannotBind(let address, let reason) = error else { return complain(error.description) }
        let option = address == settings.listen ? "--listen" : "--hub-listen"
        complain(
            Localized(
                ja: "\(address) で待ち受けられません: \(reason)",
                en: "cannot listen on \(address): \(reason)"
            ),
            hint: Localized(
                ja: "\(option) で別のアドレスかポートを指定してください（ポート 0 なら空いているもの）",
                en: "name another address or port with \(option); port 0 takes a free one"
            )
        )
    }

    /// - Throws: `ValidationError`, which ends the process with exit status 64.
    private func settings(environment: [String: String]) throws -> DaemonSettings {
        var flags: DaemonSettings.Layer = [:]
        flags[.data] = data
        flags[.role] = role
        flags[.listen] = listen
        flags[.hubListen] = hubListen
        flags[.hubPlain] = hubPlain ? "true" : nil
        flags[.syncInterval] = syncInterval
        flags[.logLevel] = logLevel

        var layers = [flags, DaemonSettings.layer(environment: environment)]
        if let path = config ?? environment["TSUNAGU_CONFIG"] {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw ValidationError("cannot read the configuration file \(path)")
            }
            layers.append(try Self.checked { () throws(DaemonSettingsError) in try DaemonSettings.layer(file: text) })
        }
        return try Self.checked { () throws(DaemonSettingsError) in try DaemonSettings(layers: layers) }
    }

    private static func checked<Value>(_ work: () throws(DaemonSettingsError) -> Value) throws -> Value {
        do {
            return try work()
        } catch {
            throw ValidationError(error.description)
        }
    }

    /// Where the XDG base directory specification puts a user's data.
    private static func defaultDirectory(environment: [String: String]) -> String {
        if let base = environment["XDG_DATA_HOME"], base.hasPrefix("/") { return base + "/tsunagu" }
        return (environment["HOME"] ?? "") + "/.local/share/tsunagu"
    }
}

extension DataDirectoryLockError {
    /// From `sysexits.h`: not found, try again, failed.
    fileprivate var exitStatus: Int32 {
        switch self {
        case .noDirectory: 66
        case .held: 75
        case .unusable: 1
        }
    }
}

/// A complaint in the language of whoever started the daemon.
func complain(_ message: Localized, hint: Localized?) {
    let language = Language { ProcessInfo.processInfo.environment[$0] }
    complain(([message] + (hint.map { [$0] } ?? [])).map { $0.text(in: language) }.joined(separator: "\n  → "))
}

/// One line on standard error, for whoever started the daemon.
func complain(_ message: String) {
    let bytes = Array("tsunagud: \(message)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}
