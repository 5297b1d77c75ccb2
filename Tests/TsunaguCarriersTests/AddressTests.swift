// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCarriers

struct AddressTests {
    @Test(
        "A hub's address is taken apart and written as it was",
        arguments: [
            ("https://hub.example.jp", "hub.example.jp", nil, "", "https://hub.example.jp"),
            ("https://hub.example.jp:8788/", "hub.example.jp", 8788, "", "https://hub.example.jp:8788"),
            ("http://127.0.0.1:1/a/b//", "127.0.0.1", 1, "/a/b", "http://127.0.0.1:1/a/b"),
            ("https://[::1]:8788", "::1", 8788, "", "https://[::1]:8788"),
        ] as [(String, String, Int?, String, String)]
    )
    func hubURL(text: String, host: String, port: Int?, prefix: String, written: String) throws {
        let url = try HubURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.prefix == prefix)
        #expect(url.description == written)
        #expect(url.isSecure == text.hasPrefix("https"))
    }

    @Test(
        "What is no address of a hub is refused at once",
        arguments: [
            "", "hub.example.jp", "ftp://h", "HTTPS://h", "https://", "https://:1", "https://h:", "https://h:x",
            "https://h:65536", "https://h:0", "https://h:-1", "https://h:+1", "https://u:p@h", "https://h/?q",
            "https://h#f",
            "https://h h", "https://[::1", "https://[::1]x", "https://h\\x", "https://h\r\nX: y",
        ]
    )
    func unusableHubURL(text: String) {
        #expect(throws: CarrierError.self) { try HubURL(text) }
    }

    @Test("Loopback is this machine only", arguments: ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    func loopback(host: String) {
        #expect(ListenAddress(host: host, port: 1).isLoopback)
    }

    @Test(
        "Everything else can be reached by others, however it is written",
        arguments: [
            "0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::2", "1::1", "::ffff:127.0.0.1", "localhost.example.jp", "",
            "127.0.0.1.example.jp", "2130706433",
        ]
    )
    func notLoopback(host: String) {
        #expect(!ListenAddress(host: host, port: 1).isLoopback)
    }

    @Test("A listen address has a port")
    func listenAddress() {
        #expect(ListenAddress("127.0.0.1:0") == ListenAddress(host: "127.0.0.1", port: 0))
        #expect(ListenAddress("[::1]:8787")?.description == "[::1]:8787")
        #expect(ListenAddress("127.0.0.1") == nil)
        #expect(ListenAddress(":8787") == nil)
        #expect(ListenAddress("::1:8787") == nil)
        #expect(ListenAddress(host: "0.0.0.0", port: 0).url(scheme: "https", port: 9) == "https://127.0.0.1:9")
        #expect(ListenAddress(host: "::1", port: 0).url(scheme: "http", port: 9) == "http://[::1]:9")
    }
}
