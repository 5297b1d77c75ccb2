// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The form of one record's group of operations: everything about it but the id and the values.
///
/// An import has one shape for all its rows, so what is worked out for a shape (columns, plans) is worked out once.
package final class Shape: Hashable, Sendable {
    /// One operation: a write of some members of a group, or an opaque body.
    package struct Operation: Hashable, Sendable {
        /// The merge group; 0 is the record's life.
        package let group: UInt32
        /// How it merges, as its author knew it.
        package let mergeClass: MergeClass
        /// The members written, ascending.
        ///
        /// One pseudo-member 0 for life and for every class that is no register.
        package let fields: [UInt32]

        package init(group: UInt32, _ mergeClass: MergeClass, fields: [UInt32] = [0]) {
            self.group = group
            self.mergeClass = mergeClass
            self.fields = fields
        }
    }

    /// The collection's number.
    package let collection: UInt32
    /// In the order of group numbers, each once.
    package let operations: [Operation]
    /// The canonical form, the first bytes of an entry.
    package let encoded: [UInt8]
    /// How many values follow the id.
    package let slotCount: Int

    package static let operationsMax = 64
    package static let fieldsMax = 128

    /// - Precondition: groups ascend, and so do the members of each.
    package init(collection: UInt32, operations: [Operation]) {
        self.collection = collection
        self.operations = operations
        slotCount = operations.reduce(0) { $0 + $1.fields.count }
        var out: [UInt8] = []
        out.appendVarint(UInt64(collection))
        out.appendVarint(UInt64(operations.count))
        for operation in operations {
            out.appendVarint(UInt64(operation.group))
            out.append(operation.mergeClass.rawValue)
            out.appendVarint(UInt64(operation.fields.count))
            for field in operation.fields { out.appendVarint(UInt64(field)) }
        }
        encoded = out
    }

    /// Reads the canonical form and checks its order.
    package convenience init(reading reader: inout ByteReader) throws(CodecError) {
        let collection = try reader.varint("collection", atMost: UInt64(UInt32.max))
        let count = try reader.varint("operations", atMost: UInt64(Shape.operationsMax))
        guard count > 0 else { throw .invalid("an entry without operations") }
        var operations: [Operation] = []
        for _ in 0..<count {
            let group = try UInt32(reader.varint("group", atMost: 62))
            let code = try reader.byte()
            guard let mergeClass = MergeClass(rawValue: code) else { throw .invalid("merge class \(code)") }
            let fieldCount = try reader.varint("members", atMost: UInt64(Shape.fieldsMax))
            var fields: [UInt32] = []
            for _ in 0..<fieldCount {
                let field = try UInt32(reader.varint("field", atMost: 126))
                guard fields.last.map({ $0 < field }) ?? true else { throw .invalid("members out of order") }
                fields.append(field)
            }
            guard operations.last.map({ $0.group < group }) ?? true else { throw .invalid("groups out of order") }
            let opaque = group == 0 || mergeClass != .register
            guard opaque == (fields.first == 0), !opaque || fields == [0], !fields.isEmpty else {
                throw .invalid("members of group \(group)")
            }
            guard group != 0 || mergeClass == .register else { throw .invalid("life is a register") }
            operations.append(Operation(group: group, mergeClass, fields: fields))
        }
        self.init(collection: UInt32(collection), operations: operations)
    }

    package static func == (a: Shape, b: Shape) -> Bool { a === b || a.encoded == b.encoded }

    package func hash(into hasher: inout Hasher) { hasher.combine(encoded) }
}

/// A value in place: its kind and where its bytes are.
package struct Slot {
    /// 0 null, 1 text, 2 integer, 3 bytes.
    package let tag: UInt8
    /// The content; an integer is a zigzag varint in its shortest form.
    package let bytes: UnsafeRawBufferPointer

    package static let bytesMax = 1 << 20

    package init(tag: UInt8, bytes: UnsafeRawBufferPointer) {
        self.tag = tag
        self.bytes = bytes
    }

    /// The value, copied out.
    package func value() throws(CodecError) -> Value {
        switch tag {
        case 0:
            guard bytes.isEmpty else { throw .invalid("a null with content") }
            return .null
        case 1:
            guard let text = ExactText(validating: bytes) else { throw .invalid("text is not UTF-8") }
            return .text(text)
        case 2:
            var reader = ByteReader(bytes)
            let number = try reader.zigzag()
            try reader.expectEnd()
            return .integer(number)
        default:
            return .bytes(Array(bytes))
        }
    }

    /// Fails where `value` would, without copying anything out.
    package func check() throws(CodecError) {
        switch tag {
        case 0: guard bytes.isEmpty else { throw .invalid("a null with content") }
        case 1: guard isUTF8 else { throw .invalid("text is not UTF-8") }
        case 2:
            var reader = ByteReader(bytes)
            _ = try reader.zigzag()
            try reader.expectEnd()
        default: break
        }
    }

    /// As people read it.
    package func shown() throws(CodecError) -> String {
        switch try value() {
        case .null, .bytes: ""
        case .text(let text): text.string
        case .integer(let number): String(number)
        }
    }

    private var isUTF8: Bool {
        do {
            _ = try UTF8Span(validating: bytes.assumingMemoryBound(to: UInt8.self).span)
            return true
        } catch {
            return false
        }
    }
}

extension [UInt8] {
    /// A slot's canonical form: length and tag as one number, then the content.
    package mutating func appendSlot(_ value: Value) {
        switch value {
        case .null: appendVarint(0)
        case .text(let text): appendSlot(tag: 1, text.utf8)
        case .integer(let number):
            var bytes: [UInt8] = []
            bytes.appendZigzag(number)
            appendSlot(tag: 2, bytes)
        case .bytes(let bytes): appendSlot(tag: 3, bytes)
        }
    }

    package mutating func appendSlot(tag: UInt8, _ content: some Collection<UInt8>) {
        appendVarint(UInt64(content.count) << 2 | UInt64(tag))
        append(contentsOf: content)
    }
}

extension ByteReader {
    /// Reads a slot in its canonical form.
    package mutating func slot() throws(CodecError) -> Slot {
        let head = try varint()
        guard head >> 2 <= UInt64(Slot.bytesMax) else {
            throw .tooLarge(what: "value", found: head >> 2, bound: UInt64(Slot.bytesMax))
        }
        return Slot(tag: UInt8(head & 3), bytes: try bytes(Int(head >> 2)))
    }
}
