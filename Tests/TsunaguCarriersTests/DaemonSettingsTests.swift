// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCarriers

struct DaemonSettingsTests {
    @Test("Flags win over environment, environment over file, file over defaults")
    func layers() throws {
        let file = try DaemonSettings.layer(
            file: """
                # how this office runs it
                role = central
                listen=127.0.0.1:1

                  hub-listen =  10.0.0.1:2\r
                data = /file
                """
        )
        let environment = DaemonSettings.layer(
            environment: [
                "TSUNAGU_DATA": "/environment", "TSUNAGU_HUB_PLAIN": "true", "TSUNAGU_ROLE": "", "DATA": "/other",
            ]
        )
        let settings = try DaemonSettings(layers: [[.data: "/flag"], environment, file])
        #expect(settings.data == "/flag")
        #expect(settings.hubPlain)
        #expect(settings.role == .central)
        #expect(settings.listen == ListenAddress(host: "127.0.0.1", port: 1))
        #expect(settings.hubListen == ListenAddress(host: "10.0.0.1", port: 2))
        #expect(settings.syncInterval == .seconds(60))
    }

    @Test("Defaults listen for this machine, and for the ward")
    func defaults() throws {
        let settings = try DaemonSettings(layers: [])
        #expect(settings.listen.description == "127.0.0.1:8787")
        #expect(settings.hubListen == nil)
        #expect(settings.role == nil)
        #expect(settings.data == nil)
        #expect(!settings.hubPlain)
    }

    @Test(
        "A value that makes no sense names its key",
        arguments: [
            (.role, "hub"), (.listen, "8787"), (.listen, "0.0.0.0:8787"), (.hubListen, "x"), (.hubPlain, "yes"),
            (.syncInterval, "0"), (.syncInterval, "1.5"), (.logLevel, "loud"), (.data, ""),
        ] as [(DaemonSettings.Key, String)]
    )
    func badValues(key: DaemonSettings.Key, text: String) {
        #expect(throws: DaemonSettingsError.self) { try DaemonSettings(layers: [[key: text]]) }
    }

    @Test("A mistake in a file names its line", arguments: ["\nrole", "\nrol = site", "role = site\nrole = site"])
    func badFiles(text: String) {
        let error = #expect(throws: DaemonSettingsError.self) { try DaemonSettings.layer(file: text) }
        #expect(error?.description.contains("line 2") == true)
    }
}
