// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Crypto
import TestSupport
import TsunaguCore
import TsunaguStore

/// Runs that every reader refuses: good ones that were spoilt, and bodies put together by hand with one fault each.
struct Refusals {
    private let accepted: Vector
    /// How many runs are of `system`, which stand first.
    private let system: Int
    private let good: Vector.Run
    /// Of the author of `good`.
    private let key: Curve25519.Signing.PrivateKey

    init(_ accepted: Vector, by author: TestSite) throws {
        self.accepted = accepted
        key = author.key
        system = accepted.runs.prefix { $0.space == "system" }.count
        good = accepted.runs[system]
    }

    var vector: RefusalVector {
        get throws {
            RefusalVector(
                description: "Each case is refused by a reader that took in the first runs of the accepted vector, and "
                    + "leaves nothing behind: the other runs are taken after it.",
                accepted: "../accepted/two-sites.json",
                cases: try spoilt + handMade + [underBranchName]
            )
        }
    }

    private func refusal(
        _ because: String,
        _ receipt: String,
        after: Int? = nil,
        _ change: (inout Vector.Run) -> Void
    ) -> RefusalVector.Case {
        var run = good
        run.headerHash = nil
        run.receipt = receipt
        change(&run)
        return RefusalVector.Case(because: because, after: after ?? system, runs: [run])
    }

    private var spoilt: [RefusalVector.Case] {
        let clone = accepted.runs.last { $0.space == good.space && $0.replica == good.replica && $0.first > 1 }!
        return [
            refusal("one bit of the seal differs", "bad_seal") { $0.seal = "00" + $0.seal.dropFirst(2) },
            refusal("the seal of another run", "bad_seal") { $0.seal = clone.seal },
            refusal("the same changes in another space", "bad_seal") { $0.space = "residents" },
            refusal("the body ends early", "malformed") { $0.body = String($0.body.dropLast(8)) },
            refusal("a byte follows the body", "malformed") { $0.body += "00" },
            refusal("an unknown form of body", "malformed") { $0.body = "7f" + $0.body.dropFirst(2) },
            refusal("an empty body", "malformed") { $0.body = "" },
            refusal("fewer changes than the body holds", "malformed") { $0.count -= 1 },
            refusal("more changes than the body holds", "malformed") { $0.count += 1 },
            refusal("no changes", "malformed") { $0.count = 0 },
            refusal("the number 0", "malformed") { $0.first = 0 },
            refusal("an author whom nobody knows", "unknown_device") {
                $0.replica = String(repeating: "1b", count: 24)
            },
            refusal("a device that nobody vouched for yet", "unknown_device", after: 0) { run in
                run.replica = accepted.runs.first { $0.replica != good.replica }!.replica
            },
            refusal("a run of the author's later ones under the first number", "malformed") { run in
                run.count = clone.count
                run.body = clone.body
                run.seal = clone.seal
            },
        ]
    }

    // MARK: - By hand

    /// The streams of a run of one change that writes a text in a note.
    private struct Body {
        var blockStart: [UInt8] = [1]
        var replicas: [[UInt8]] = []
        var shapes: [[UInt8]] = [[20, 1, 1, 1, 1, 1]]
        /// Flags, time, entries.
        var start: [UInt8] = [65, 4, 1]
        var author: [UInt8] = [0]
        var deps: [UInt8] = []
        /// Flags and schema version.
        var more: [UInt8] = [1, 1]
        var entries: [UInt8] = [0]
        var ids: [UInt8] = [0] + Array(repeating: 7, count: 16)
        var columns: [[UInt8]] = [[2 << 2 | 1], Array("ab".utf8)]
        var end: [UInt8] = []

        var bytes: [UInt8] {
            var dictionary = blockStart + Array(repeating: 9, count: 16)
            dictionary += [UInt8(replicas.count)] + replicas.joined()
            dictionary += [1, 1] + Array("o".utf8) + [1] + Array("O".utf8)
            dictionary += [UInt8(shapes.count)] + shapes.joined()
            let streams = [dictionary, start + author + deps + more, entries, ids] + columns
            var out: [UInt8] = [1, UInt8(streams.count)]
            for stream in streams { out.appendVarint(UInt64(stream.count)) }
            return out + streams.joined() + end
        }
    }

    private func handMade(
        _ because: String,
        _ receipt: String = "malformed",
        sealed: Bool = false,
        after: Int? = nil,
        _ change: (inout Body) -> Void
    ) throws -> RefusalVector.Case {
        var body = Body()
        change(&body)
        var out = refusal(because, receipt, after: after) { run in
            run.count = 1
            run.body = Hex.encode(body.bytes)
        }
        if sealed { out.runs[0].seal = Hex.encode(try seal(try out.runs[0].envelope)) }
        return out
    }

    /// With the first bit of its incarnation set, and sealed so: else nobody could file a branch under that name.
    private var underBranchName: RefusalVector.Case {
        get throws {
            var out = try handMade("sealed under a branch's name") { _ in }
            var name = try out.runs[0].envelope.replica.bytes
            name[16] |= 0x80
            out.runs[0].replica = Hex.encode(name)
            out.runs[0].seal = Hex.encode(try seal(try out.runs[0].envelope))
            return out
        }
    }

    /// The author's seal over what the run decodes to.
    private func seal(_ run: RunEnvelope) throws -> [UInt8] {
        let context = RunDecoder.Context(space: run.space, author: run.replica, chain: Chain()) { _, _ in nil }
        let chain = try RunDecoder.decode(run.body, count: run.count, in: context).chain
        let message = Seal.message(space: run.space, replica: run.replica, seq: chain.seq, hash: chain.hash)
        return try TestSite.sign(message, with: key)
    }

    /// The members of a set in place of the register: their content in the one slot.
    private func items(
        _ because: String,
        _ receipt: String = "malformed",
        content: [UInt8]
    ) throws -> RefusalVector.Case {
        try handMade(because, receipt) { body in
            body.shapes = [[20, 1, 3, 2, 1, 0]]
            body.columns = [[UInt8(content.count) << 2 | 3], content]
        }
    }

    private var handMade: [RefusalVector.Case] {
        get throws {
            let own = Hex.decode(good.replica)!
            let other = Hex.decode(accepted.runs.first { $0.replica != good.replica }!.replica)!
            return try [
                handMade("by hand, without a fault but that nobody sealed it", "bad_seal") { _ in },
                items(
                    "items by hand, without a fault but that nobody sealed them",
                    "bad_seal",
                    content: [1, 0, 1, 65, 1, 1, 66]
                ),
            ]
                + shapes + values + changes(own: own, other: other) + contradictions
        }
    }

    private var shapes: [RefusalVector.Case] {
        get throws {
            try [
                handMade("a number in a longer spelling") { $0.blockStart = [0x81, 0] },
                handMade("a block that begins after its change") { $0.blockStart = [2] },
                handMade("a shape without operations") { $0.shapes = [[20, 0]] },
                handMade("groups out of order") { body in
                    body.shapes = [[20, 2, 2, 1, 1, 4, 1, 1, 1, 1]]
                    body.columns = [[4 | 1], [65], [4 | 1], [65]]
                },
                handMade("fields out of order") { body in
                    body.shapes = [[20, 1, 1, 1, 2, 2, 1]]
                    body.columns = [[4 | 1], [65], [4 | 1], [65]]
                },
                handMade("a group above 62") { $0.shapes = [[20, 1, 63, 1, 1, 1]] },
                handMade("a field above 126") { $0.shapes = [[20, 1, 40, 1, 1, 127]] },
                handMade("the field 0 in a register") { $0.shapes = [[20, 1, 1, 1, 1, 0]] },
                handMade("a class that there is not") { $0.shapes = [[20, 1, 40, 7, 1, 0]] },
                handMade("a life with another field than 0") { $0.shapes = [[20, 1, 0, 1, 1, 1]] },
                handMade("a life that is no register") { body in
                    body.shapes = [[20, 1, 0, 2, 1, 0]]
                    body.columns = [[2 << 2 | 3], [0, 0]]
                },
                handMade("a set with two fields") { $0.shapes = [[20, 1, 3, 2, 2, 0, 1]] },
                handMade("a stream more than the columns have") { $0.columns.append([]) },
                handMade("a stream fewer than the columns have") { $0.columns.removeLast() },
                handMade("a byte left over in a column") { $0.columns[1].append(65) },
                handMade("a byte left over in the ids") { $0.ids.append(0) },
                handMade("a byte left over behind the streams") { $0.end = [0] },
                handMade("a shape that there is not") { $0.entries = [1] },
            ]
        }
    }

    private var values: [RefusalVector.Case] {
        get throws {
            try [
                handMade("a text that is not UTF-8") { $0.columns[1] = [0xc0, 0x80] },
                handMade("a null with content") { $0.columns[0] = [2 << 2] },
                handMade("a number in a longer spelling in a slot") { body in
                    body.shapes = [[20, 1, 1, 1, 1, 3]]
                    body.columns = [[2 << 2 | 2], [0x80, 0]]
                },
                handMade("items that are a text") { body in
                    body.shapes = [[20, 1, 3, 2, 1, 0]]
                    body.columns = [[2 << 2 | 1], [0, 0]]
                },
                handMade("a removal from what is no set") { body in
                    body.shapes = [[20, 1, 4, 3, 1, 0]]
                    body.columns = [[4 << 2 | 3], [0, 1, 1, 65]]
                },
                items("items that end early", content: [1, 0, 2, 65]),
                items("a byte behind the items", content: [0, 0, 0]),
                items("a depth above 2^32", content: [1, 0x81, 0x80, 0x80, 0x80, 0x10, 1, 65, 0]),
            ]
        }
    }

    private func changes(own: [UInt8], other: [UInt8]) throws -> [RefusalVector.Case] {
        func deps(
            _ because: String,
            flags: UInt8 = 2,
            _ replicas: [[UInt8]],
            _ bytes: [UInt8]
        ) throws -> RefusalVector.Case {
            try handMade(because) { body in
                body.replicas = replicas
                body.start[0] |= flags
                body.deps = bytes
            }
        }
        return try [
            handMade("an unknown flag") { $0.start[0] |= 128 },
            handMade("an unknown further flag") { $0.more[0] |= 32 },
            handMade("no operator") { body in
                body.start[0] = 64
                body.author = []
            },
            handMade("no schema version") { body in
                body.start[0] = 1
                body.more = []
            },
            handMade("an operator that there is not") { $0.author = [1] },
            handMade("further flags that say nothing") { $0.more = [0] },
            handMade("a change without entries") { body in
                body.start[2] = 0
                (body.entries, body.ids, body.columns) = ([], [], [[], []])
            },
            handMade("a time before 1970") { $0.start[1] = 3 },
            handMade("a counter that is 0") { body in body.start = [65, 6, 0, 1] },
            handMade("a record twice in a change") { body in
                body.start[2] = 2
                body.entries = [0, 0]
                body.ids += body.ids
                body.columns = [[4 | 1, 4 | 1], [65, 66]]
            },
            deps("deps that name their author", [own], [1, 0, 1]),
            deps("exceptions that name their author", flags: 4, [own], [1, 0, 1, 1]),
            deps("deps of nothing", [other], [0]),
            deps("deps on the number 0", [other], [1, 0, 0]),
            deps("deps out of order", [own, other].sorted { $1.lexicographicallyPrecedes($0) }, [2, 0, 1, 1, 1]),
            deps("an exception that ends before it begins", flags: 4, [other], [1, 0, 2, 1]),
            deps("exceptions that overlap", flags: 4, [other], [2, 0, 1, 3, 0, 3, 4]),
            handMade("a reference to a change that its author had not seen") { body in
                body.replicas = [other]
                body.ids = [2, 1, 0]
            },
            handMade("a reference to a later change of its own") { body in
                body.replicas = [own]
                body.ids = [2, 2, 0]
            },
            handMade("a reference to an author that the dictionary has not") { $0.ids = [2, 1, 0] },
        ]
    }

    /// What its author did seal, and should not have.
    private var contradictions: [RefusalVector.Case] {
        get throws {
            try [
                handMade("a group of another class than the schema says", sealed: true) { body in
                    body.shapes = [[20, 1, 3, 1, 1, 5]]
                },
                handMade("a field of another group than the schema says", sealed: true) { body in
                    body.shapes = [[20, 1, 1, 1, 1, 4]]
                },
                handMade("a field of another kind than the schema says", sealed: true) { body in
                    body.shapes = [[20, 1, 1, 1, 1, 3]]
                },
                handMade("a field in two groups that nobody knows", sealed: true) { body in
                    body.shapes = [[20, 2, 40, 1, 1, 100, 41, 1, 1, 100]]
                    body.columns = [[4 | 1], [65], [4 | 1], [65]]
                },
            ]
        }
    }
}
