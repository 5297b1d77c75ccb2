// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
import FoundationEssentials
import TsunaguCore
package import TsunaguStore
import TsunaguWard

/// What somebody wrote on a resident's record, apart from the log: it is all that is left once the record is erased.
package struct PersonEdit {
    /// The change that wrote it.
    let origin: Dot
    /// The ordinary record.
    let record: RecordID
    let person: Operator
    let timestamp: Timestamp
    let shape: Shape
    /// One value a slot of the shape.
    let values: [Value]

    /// The operations with their values.
    var operations: [(operation: Shape.Operation, values: [Value])] {
        var start = 0
        return shape.operations.map { operation in
            defer { start += operation.fields.count }
            return (operation, Array(values[start..<start + operation.fields.count]))
        }
    }

    /// Some of it alone.
    func part(_ operation: Shape.Operation, _ values: [Value]) -> PersonEdit {
        PersonEdit(
            origin: origin,
            record: record,
            person: person,
            timestamp: timestamp,
            shape: Shape(collection: shape.collection, operations: [operation]),
            values: values
        )
    }
}

extension PersonEdit {
    package init(_ entry: WithdrawnEntry) {
        self.init(
            origin: entry.header.dot,
            record: entry.id,
            person: entry.header.author,
            timestamp: entry.header.timestamp,
            shape: entry.shape,
            values: entry.values
        )
    }

    /// What is larger is not kept apart from the log: with what stands around it, it would be more than a change may be.
    private static let bytesMax = 256 << 10
    private static let itemsMax = 1024

    /// Whether it can be kept, and a program that knows this schema or a newer one could have written it.
    ///
    /// Whoever may write `residents` can make one up, and nobody's word may stop those who take it in.
    var isSound: Bool {
        shape.collection == WardSchema.resident.number && encoded.count <= Self.bytesMax
            && operations.allSatisfy { Self.isSound($0.operation, $0.values) }
    }

    private static func isSound(_ operation: Shape.Operation, _ values: [Value]) -> Bool {
        let group = WardSchema.resident.group(operation.group)
        guard group.map({ $0.kind.mergeClass == operation.mergeClass }) ?? true else { return false }
        guard operation.mergeClass == .register else {
            guard case .bytes(let body)? = values.first,
                let items = try? body.withMemory({ memory throws(CodecError) in try Items(decoding: memory) })
            else { return false }
            return max(items.added.count, items.removed.count) <= itemsMax
                && (operation.mergeClass == .set || items.removed.isEmpty)
        }
        guard operation.group != 0 else { return values.allSatisfy { $0 == .null || $0.text != nil } }
        return zip(operation.fields, values).allSatisfy { number, value in
            guard let owner = WardSchema.resident.group(ofField: number) else { return true }
            let kind = owner.fields.first { $0.number == number }?.kind
            return owner.number == operation.group
                && (value == .null || (kind == .integer ? value.integer != nil : value.text != nil))
        }
    }

    /// Version 1: where it comes from, who, when, and the entry's canonical form.
    package var encoded: [UInt8] {
        var out: [UInt8] = [1]
        out.append(origin.replica)
        out.appendVarint(origin.seq)
        out.append(record.raw)
        out.appendPrefixed(person.id.utf8)
        out.appendPrefixed(person.label.utf8)
        out.appendUInt64(timestamp.raw)
        out += shape.encoded
        for value in values { out.appendSlot(value) }
        return out
    }

    init(decoding bytes: [UInt8]) throws(CodecError) {
        self = try bytes.withMemory { memory throws(CodecError) in
            var reader = ByteReader(memory)
            let version = try reader.byte()
            guard version == 1 else { throw .invalid("version \(version) of an edit") }
            let origin = Dot(try reader.replica(), try reader.varint())
            let record = RecordID(bytes: (try reader.bytes16()).bytes)!
            let person = Operator(
                id: try reader.text("operator", atMost: Operator.bytesMax),
                label: try reader.text("operator", atMost: Operator.bytesMax)
            )
            let timestamp = Timestamp(raw: try reader.uint64())
            let shape = try Shape(reading: &reader)
            var values: [Value] = []
            for _ in 0..<shape.slotCount { values.append(try reader.slot().value()) }
            try reader.expectEnd()
            let edit = PersonEdit(
                origin: origin,
                record: record,
                person: person,
                timestamp: timestamp,
                shape: shape,
                values: values
            )
            guard edit.isSound else { throw .invalid("an edit that nobody could have written") }
            return edit
        }
    }
}

/// Sealing for the holders of `residents/protected`: HPKE (RFC 9180) to a key that comes of that space's secret.
extension PersonEdit {
    private static let ciphersuite = HPKE.Ciphersuite.Curve25519_SHA256_ChachaPoly
    private static let info = Data("tsunagu/sealed-edit/1".utf8)

    /// The key that opens, for who knows the secret of the space.
    package static func intakeKey(secret: [UInt8]) throws -> Curve25519.KeyAgreement.PrivateKey {
        let raw = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: secret),
            info: Array("tsunagu/intake/1".utf8),
            outputByteCount: 32
        )
        return try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: raw.withUnsafeBytes { Data($0) })
    }

    /// - Returns: `nil` for a key that nothing can be sealed for.
    package func sealed(for key: [UInt8]) throws -> [UInt8]? {
        guard let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: key),
            var sender = try? HPKE.Sender(recipientKey: key, ciphersuite: Self.ciphersuite, info: Self.info)
        else { return nil }
        // Lengths say little where they are rounded up.
        var content: [UInt8] = []
        content.appendPrefixed(encoded)
        content += [UInt8](repeating: 0, count: (256 - content.count % 256) % 256)
        return [UInt8](sender.encapsulatedKey) + [UInt8](try sender.seal(content))
    }

    /// Opens what `sealed` made; `nil` for anything else.
    package init?(opening box: [UInt8], with key: Curve25519.KeyAgreement.PrivateKey) {
        guard box.count > 32, box.count <= Self.bytesMax + 1024,
            var recipient = try? HPKE.Recipient(
                privateKey: key,
                ciphersuite: Self.ciphersuite,
                info: Self.info,
                encapsulatedKey: Data(box[..<32])
            ), let content = try? recipient.open(box[32...])
        else { return nil }
        let edit = try? [UInt8](content).withMemory { memory throws(CodecError) in
            var reader = ByteReader(memory)
            return try PersonEdit(decoding: Array(try reader.prefixed("edit", atMost: Self.bytesMax)))
        }
        guard let edit else { return nil }
        self = edit
    }
}
