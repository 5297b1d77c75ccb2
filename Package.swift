// swift-tools-version: 6.2
import Foundation
import PackageDescription

// Test builds can put a deliberate defect into the program, to show that the simulation would find it; those that people
// get know none.
let isTestBuild = ProcessInfo.processInfo.environment["TSUNAGU_MUTANTS"] != nil
let mutants: SwiftSetting =
    isTestBuild ? .define("TSUNAGU_MUTANTS") : .define("TSUNAGU_MUTANTS", .when(configuration: .debug))

let package = Package(
    name: "tsunagu",
    products: [
        .library(
            name: "Tsunagu",
            targets: ["TsunaguCore", "TsunaguSync", "TsunaguWard", "TsunaguStore", "TsunaguCommands"]
        ),
        .executable(name: "tsunagu", targets: ["tsunagu"]),
        .executable(name: "tsunagud", targets: ["tsunagud"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        // C libraries: a module map, and a shim where C is variadic.
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CCurl"),
        // What does a set of changes mean?
        .target(name: "TsunaguCore", dependencies: ["CZstd", .product(name: "Crypto", package: "swift-crypto")]),
        // What is said next between two sites?
        .target(name: "TsunaguSync", dependencies: ["TsunaguCore", .product(name: "Crypto", package: "swift-crypto")]),
        // What does a ward office keep?
        .target(name: "TsunaguWard", dependencies: ["TsunaguCore", .product(name: "Crypto", package: "swift-crypto")]),
        // How is it kept?
        .target(
            name: "TsunaguStore",
            dependencies: [
                "TsunaguCore",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ]
        ),
        // What can a person or a program do?
        .target(
            name: "TsunaguCommands",
            dependencies: [
                "TsunaguCore", "TsunaguSync", "TsunaguWard", "TsunaguStore",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "CryptoExtras", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        // How do bytes travel?
        .target(
            name: "TsunaguCarriers",
            dependencies: [
                "CCurl", "TsunaguCommands", "TsunaguSync",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "X509", package: "swift-certificates"),
            ]
        ),
        // How is it started and shown?
        .executableTarget(
            name: "tsunagu",
            dependencies: [
                "TsunaguCore", "TsunaguSync", "TsunaguWard", "TsunaguCommands", "TsunaguCarriers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]
        ),
        .executableTarget(
            name: "tsunagud",
            dependencies: [
                "TsunaguCommands", "TsunaguCarriers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        // Tests, one folder per target.
        .target(
            name: "TestSupport",
            dependencies: [
                "TsunaguCore", "TsunaguStore",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            path: "Tests/TestSupport"
        ),
        .target(name: "ProcessSupport", path: "Tests/ProcessSupport"),
        .testTarget(
            name: "TsunaguStoreTests",
            dependencies: [
                "TsunaguCore", "TsunaguStore", "TestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]
        ),
        // A ward in one thread, by seed.
        .target(
            name: "Simulation",
            dependencies: [
                "TsunaguCore", "TsunaguStore", "TsunaguSync", "TsunaguWard", "TsunaguCommands", "TestSupport",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            path: "Tests/Simulation"
        ),
        .executableTarget(
            name: "simulate",
            dependencies: [
                "Simulation", "TsunaguCore", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Simulate"
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Simulation", "ProcessSupport", "TestSupport", "TsunaguCore", "TsunaguStore", "simulate",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            exclude: ["kept-seeds.txt"]
        ),
        // Many people book at many counters: a workload through real sites.
        .target(
            name: "BookingReplay",
            dependencies: [
                "TsunaguCore", "TsunaguSync", "TsunaguStore", "TsunaguWard", "TsunaguCommands", "TestSupport",
            ],
            path: "Tests/BookingReplay"
        ),
        .executableTarget(
            name: "bookings",
            dependencies: ["BookingReplay", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Tests/Bookings"
        ),
        .testTarget(name: "StructureTests"),
        .testTarget(name: "CrashTests", dependencies: ["ProcessSupport", "TestSupport", "tsunagu", "tsunagud"]),
        .testTarget(
            name: "CommandLineTests",
            dependencies: ["ProcessSupport", "tsunagu", "tsunagud", .product(name: "GRDB", package: "GRDB.swift")]
        ),
        .testTarget(
            name: "TsunaguCommandsTests",
            dependencies: [
                "TsunaguCore", "TsunaguStore", "TsunaguSync", "TsunaguWard", "TsunaguCommands", "TestSupport",
                "BookingReplay",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ]
        ),
        .testTarget(name: "TsunaguCoreTests", dependencies: ["TsunaguCore", "TestSupport"]),
        .testTarget(
            name: "TsunaguWardTests",
            dependencies: [
                "TsunaguCore", "TsunaguWard", "TsunaguCommands",
                .product(name: "Crypto", package: "swift-crypto"),
            ]
        ),
        .testTarget(
            name: "TsunaguCarriersTests",
            dependencies: [
                "TsunaguCore", "TsunaguCommands", "TsunaguCarriers", "ProcessSupport", "TestSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ]
        ),
    ],
    swiftLanguageModes: [.v6]
)

for target in package.targets where target.type != .system && target.name != "CCurl" {
    target.swiftSettings =
        (target.swiftSettings ?? []) + [
            mutants,
            // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
            .enableUpcomingFeature("ExistentialAny"),
            // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
            .enableUpcomingFeature("InternalImportsByDefault"),
            // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
            .enableUpcomingFeature("MemberImportVisibility"),
            // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0461-async-function-isolation.md
            .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0443-warning-control-flags.md
            .treatAllWarnings(as: .error),
        ]
}
