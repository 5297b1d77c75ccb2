// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

/// `Protocol/vectors`: bytes that any implementation must read as this one does, or refuse as this one does.
///
/// With `TSUNAGU_WRITE_VECTORS=1` the files are made anew; they change only with the format.
@Suite struct VectorTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Protocol/vectors")

    private static var writes: Bool { ProcessInfo.processInfo.environment["TSUNAGU_WRITE_VECTORS"] != nil }

    private func names(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: folder).path).sorted()
    }

    private func read<V: Decodable>(_ type: V.Type, _ name: String) throws -> V {
        try JSONDecoder().decode(V.self, from: Data(contentsOf: Self.folder.appending(path: name)))
    }

    @Test(arguments: VectorScenario.all)
    func `Accepted runs mean what the file says`(scenario: VectorScenario) throws {
        let url = Self.folder.appending(path: "accepted/\(scenario.name).json")
        if Self.writes { try scenario.vector().vectorJSON.write(to: url) }
        let vector = try read(Vector.self, "accepted/\(scenario.name).json")
        let found = try Vector(
            vector.description,
            rootSigningKey: vector.rootSigningKey,
            schema: scenario.schema,
            runs: vector.runs.map { try $0.envelope }
        )
        #expect(try found.vectorJSON == Data(contentsOf: url))
    }

    @Test func `Every file has a scenario, and together they have every kind, receipt and conflict`() throws {
        #expect(try names(in: "accepted") == VectorScenario.all.map { "\($0.name).json" }.sorted())
        let vectors = try VectorScenario.all.map { try read(Vector.self, "accepted/\($0.name).json") }
        let kinds = Set(vectors.flatMap(\.collections).flatMap(\.groups).map(\.kind))
        #expect(kinds == Set(MergeKind.allCases.map(\.rawValue)))
        let receipts = Set(vectors.flatMap(\.runs).map(\.receipt))
        #expect(receipts.isSuperset(of: ["applied", "duplicate", "held", "quarantined"]))
        #expect(vectors.flatMap { $0.spaces.values.flatMap(\.conflicts) }.count >= 4)
        #expect(vectors.contains { $0.spaces.values.contains { !$0.exceptions.isEmpty } })
    }

    @Test func `Refused runs are refused with the reason that the file names, and leave nothing`() throws {
        let name = "refused/two-sites.json"
        let accepted = try read(Vector.self, "accepted/two-sites.json")
        if Self.writes {
            let author = try makeWard(["本庁"], in: Scratch(), seed: 7)[0]
            try Refusals(accepted, by: author).vector.vectorJSON.write(to: Self.folder.appending(path: name))
        }
        #expect(try names(in: "refused") == ["two-sites.json"])
        for refused in try read(RefusalVector.self, name).cases {
            let reader = try VectorReader(rootSigningKey: accepted.rootSigningKey, schema: TestSchema.v1)
            for run in accepted.runs.prefix(refused.after) {
                #expect(try reader.receive(run.envelope) == run.receipt)
            }
            let before = try reader.store.read { try $0.digest(of: TestSchema.space) }
            for run in refused.runs {
                #expect(try reader.receive(run.envelope) == run.receipt, "\(refused.because)")
            }
            #expect(try reader.store.read { try $0.digest(of: TestSchema.space) } == before)
            // The good runs are taken after it.
            for run in accepted.runs.dropFirst(refused.after) {
                #expect(try reader.receive(run.envelope) == run.receipt, "after: \(refused.because)")
            }
        }
    }
}
