// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Holds the sources to the table in `Sources/README.md`: a room imports only from rooms above it.
@Suite("Import directions")
struct ImportDirectionTests {
    /// What each target may import of this project and of its dependencies.
    static let allowed: [(target: String, modules: Set<String>)] = [
        ("TsunaguCore", ["CZstd", "Crypto"]),
        ("TsunaguSync", ["TsunaguCore", "Crypto", "FoundationEssentials"]),
        ("TsunaguWard", ["TsunaguCore", "Crypto"]),
        ("TsunaguStore", ["TsunaguCore", "Crypto", "GRDB", "GRDBSQLite", "Glibc", "Synchronization"]),
        (
            "TsunaguCommands",
            [
                "TsunaguCore", "TsunaguSync", "TsunaguWard", "TsunaguStore", "Crypto", "CryptoExtras", "Logging",
                "FoundationEssentials", "Glibc", "Synchronization",
            ]
        ),
        (
            "TsunaguCarriers",
            [
                "CCurl", "TsunaguCommands", "TsunaguSync", "Crypto", "Dispatch", "Foundation", "FoundationEssentials",
                "Glibc", "HTTPTypes", "Hummingbird", "HummingbirdCore", "HummingbirdTLS", "Logging", "NIOCore",
                "NIOHTTP1", "NIOHTTPTypes", "NIOPosix", "NIOSSL", "ServiceLifecycle", "SwiftASN1", "Synchronization",
                "UnixSignals", "X509",
            ]
        ),
        (
            "tsunagu",
            [
                "TsunaguCommands", "TsunaguCarriers", "TsunaguCore", "TsunaguStore", "TsunaguSync", "TsunaguWard",
                "ArgumentParser", "Foundation", "FoundationEssentials", "Glibc",
            ]
        ),
        (
            "tsunagud",
            ["TsunaguCommands", "TsunaguCarriers", "ArgumentParser", "FoundationEssentials", "Glibc", "Logging"]
        ),
    ]

    private static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    private static func swiftFiles(of target: String) -> [URL] {
        let folder = sources.appending(path: target)
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        return files?.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" } ?? []
    }

    private static func imports(of file: URL) throws -> [String] {
        try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), words[..<place].allSatisfy(isModifier) else { return nil }
            return words[(place + 1)...].first.map(String.init)
        }
    }

    private static func isModifier(_ word: Substring) -> Bool {
        ["public", "package", "internal", "private", "fileprivate", "@preconcurrency"].contains(word)
    }

    @Test(arguments: allowed.map(\.target))
    func `A target imports only what stands above it`(target: String) throws {
        let modules = Self.allowed.first { $0.target == target }!.modules
        let files = Self.swiftFiles(of: target)
        #expect(!files.isEmpty)
        for file in files {
            for module in try Self.imports(of: file) where !modules.contains(module) {
                Issue.record("\(target)/\(file.lastPathComponent) imports \(module)")
            }
        }
    }

    @Test func `Every folder of sources has its row`() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.sources.path)
            .filter { !$0.hasPrefix("C") && $0 != "README.md" }
        #expect(Set(folders) == Set(Self.allowed.map(\.target)))
    }

    @Test func `The text of imports is read as the compiler reads it`() throws {
        #expect(!(try Self.imports(of: URL(filePath: #filePath))).isEmpty)
        #expect(try Self.imports(of: URL(filePath: #filePath)) == ["Foundation", "Testing"])
    }
}
