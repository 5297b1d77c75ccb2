// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

extension TestSchema {
    /// The register groups of `note`, as the reference model wants them told.
    package static let modelRegisters: [UInt32: (review: Bool, members: [UInt32])] = [
        1: (true, [Number.title, Number.body, Number.size]), 2: (false, [Number.phone]),
    ]

    /// The flow of `note`, likewise.
    package static let modelFlows: [UInt32: (member: UInt32, steps: [String: [String]])] = [
        7: (Number.status, ["": ["open"], "open": ["closed", "kept"], "closed": ["open", "kept"]])
    ]
}

extension ReferenceModel.Content {
    package init(_ value: Value) {
        switch value {
        case .null: self = .empty
        case .text(let text): self = .text(Array(text.utf8))
        case .integer(let number): self = .number(number)
        case .bytes(let bytes): self = .text([0xff] + bytes)
        }
    }

    package var value: Value {
        switch self {
        case .empty: .null
        case .text(let bytes): .text(ExactText(validating: bytes)!)
        case .number(let number): .integer(number)
        }
    }
}

/// Random contents that meet often: few elements, and one pair that only bytes tell apart.
package enum RandomEdit {
    package static let titles = ["\u{FA19}", "\u{795E}", "か\u{3099}", "が", "A", "A", "B", ""]
    package static let elements = ["ja", "en", "vi"].map { Array($0.utf8) }

    /// What one change does to a record, in the model's words, with the depths that its author sees.
    ///
    /// - Parameter dot: the engine's name of one of the model's changes.
    package static func entry(
        on record: Int,
        of model: ReferenceModel,
        in visible: Set<Int>,
        _ generator: inout SeededGenerator,
        dot: (Int) -> Dot
    ) -> ReferenceModel.Entry {
        var entry = ReferenceModel.Entry(record: record)
        if generator.chance(55) {
            var members: [UInt32: ReferenceModel.Content] = [:]
            if generator.chance(60) { members[TestSchema.Number.title] = .text(Array(generator.pick(titles).utf8)) }
            if generator.chance(40) {
                members[TestSchema.Number.body] =
                    generator.chance(30) ? .empty : .text(Array("b\(generator.below(3))".utf8))
            }
            if generator.chance(30) { members[TestSchema.Number.size] = .number(Int64(generator.below(3)) - 1) }
            if !members.isEmpty { entry.registers[1] = members }
        }
        if generator.chance(20) {
            entry.registers[2] = [TestSchema.Number.phone: .text(Array("0\(generator.below(3))".utf8))]
        }
        if generator.chance(25) {
            entry.setGroups.insert(3)
            if generator.chance(70) { entry.added[3] = [(0, generator.pick(elements))] }
            if generator.chance(50) || entry.added[3] == nil { entry.removed[3] = [generator.pick(elements)] }
        }
        if generator.chance(20) {
            let depth = model.nextDepth(record, 4, in: visible)
            entry.added[4] = (0...generator.below(2)).map { _ in (depth, Array("e\(generator.below(100))".utf8)) }
        }
        if generator.chance(15) { entry.added[5] = [(0, Tally.encode(Int64(generator.below(9)) - 4))] }
        if generator.chance(25) {
            let step = step(model.record(record, in: visible)?.flows[7], visible, &generator)
            let transition = Transition(
                from: ExactText(step.from),
                to: ExactText(step.to),
                reason: "r",
                answers: step.answers.map(dot).sorted()
            )
            entry.steps[7] = step
            entry.added[7] = [(model.nextDepth(record, 7, in: visible), transition.encoded)]
        }
        if generator.chance(8) { entry.life = generator.chance(80) }
        let isEmpty = entry.registers.isEmpty && entry.added.isEmpty && entry.removed.isEmpty && entry.life == nil
        if isEmpty { entry.registers[1] = [TestSchema.Number.title: .text(Array(generator.pick(titles).utf8))] }
        return entry
    }
}

extension RandomEdit {
    /// Mostly a step that the machine has, from where the flow stands; at times anything.
    private static func step(
        _ flow: ReferenceModel.Flow?,
        _ visible: Set<Int>,
        _ generator: inout SeededGenerator
    ) -> ReferenceModel.Step {
        let states = ["open", "closed", "kept"]
        let flow = flow ?? ReferenceModel.Flow()
        guard generator.chance(85) else {
            let answers = visible.sorted().filter { _ in generator.chance(20) }
            return ReferenceModel.Step(
                from: generator.pick(states + [""]),
                to: generator.pick(states),
                answers: Set(answers)
            )
        }
        if flow.isContested {
            return ReferenceModel.Step(from: flow.state, to: flow.state, answers: Set(flow.open))
        }
        let next = TestSchema.modelFlows[7]!.steps[flow.state] ?? states
        return ReferenceModel.Step(from: flow.state, to: generator.pick(next), answers: Set(flow.open))
    }
}

extension ReferenceModel.Entry {
    /// The same as an operation of the engine.
    package var shaped: (shape: Shape, values: [Value]) {
        let classes: [UInt32: MergeClass] = [3: .set, 4: .log, 5: .counter, 6: .seats, 7: .flow]
        var operations: [Shape.Operation] = []
        var values: [Value] = []
        if let life {
            operations.append(Shape.Operation(group: 0, .register))
            values.append(life ? .text("gone") : .null)
        }
        for group in Set(registers.keys).union(added.keys).union(removed.keys).sorted() {
            if let members = registers[group] {
                operations.append(Shape.Operation(group: group, .register, fields: members.keys.sorted()))
                values += members.sorted { $0.key < $1.key }.map(\.value.value)
            } else {
                operations.append(Shape.Operation(group: group, classes[group]!))
                let items = Items(
                    added: (added[group] ?? []).map { Items.Item(depth: $0.depth, $0.content) },
                    removed: removed[group] ?? []
                )
                values.append(.bytes(items.encoded))
            }
        }
        return (Shape(collection: TestSchema.note.number, operations: operations), values)
    }
}
