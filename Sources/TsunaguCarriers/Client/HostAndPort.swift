// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// `host`, `host:port`, `[ipv6]` or `[ipv6]:port`, taken apart.
struct HostAndPort {
    let host: String
    let port: Int?

    init(host: String, port: Int?) {
        self.host = host
        self.port = port
    }

    init?(_ text: some StringProtocol) {
        let afterHost: Substring
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = String(text[text.index(after: text.startIndex)..<close])
            afterHost = Substring(text[text.index(after: close)...])
        } else {
            let colon = text.firstIndex(of: ":") ?? text.endIndex
            host = String(text[..<colon])
            afterHost = Substring(text[colon...])
        }
        guard !host.isEmpty else { return nil }

        if afterHost.isEmpty {
            port = nil
        } else {
            let digits = afterHost.dropFirst()
            guard afterHost.hasPrefix(":"), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let number = UInt16(digits)
            else { return nil }
            port = Int(number)
        }
    }
}

extension HostAndPort: CustomStringConvertible {
    var description: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port.map { "\(name):\($0)" } ?? name
    }
}
