// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What somebody said in `system` about who may do what, by the change that said it.
///
/// It counts as it was first written: no later edit of the record gives or takes a right. Whether it counts at all is
/// `Access.init(root:facts:)`'s to say.
public struct AuthorityFact: Hashable, Sendable {
    /// What was said.
    public enum Content: Hashable, Sendable {
        /// A device may do this.
        case grant(DeviceID, Access.Grant)
        /// A device may do nothing any more.
        case revocation(Revocation)
        /// Chains take effect up to these numbers, whatever grants and cuts say of them.
        case adoption(Revocation.Cut)
    }

    /// The change that said it.
    public var dot: Dot
    /// What was said.
    public var content: Content

    /// Joins the parts.
    public init(_ dot: Dot, _ content: Content) {
        self.dot = dot
        self.content = content
    }
}

/// The end of a device's rights.
///
/// It is final: a device that is to come back enrols anew, with new keys.
public struct Revocation: Hashable, Sendable {
    /// Why a device goes, which says what of its work is honoured.
    public enum Mode: String, Sendable, CaseIterable {
        /// It is in unknown hands: what was not handed in before is not honoured.
        case lost
        /// It goes in good order: what it wrote before it heard of it is honoured, until it has handed that in.
        case retired
    }

    /// Whose rights end.
    public var device: DeviceID
    /// Why.
    public var mode: Mode
    /// The last number honoured of each of its chains, none of those that are not listed; `nil` while all are honoured.
    public var cut: Cut?

    /// Joins the parts.
    public init(device: DeviceID, mode: Mode, cut: Cut?) {
        self.device = device
        self.mode = mode
        self.cut = cut
    }

    /// Places in a device's chains.
    public struct Cut: Hashable, Sendable {
        /// The last number of each chain.
        public var last: [SpaceID: [ReplicaID: UInt64]]
        /// The first half of the header's hash there, where it is said: which of two changes under one number is meant.
        public var hashes: [SpaceID: [ReplicaID: Bytes16]] = [:]

        /// Wraps the numbers.
        public init(_ last: [SpaceID: [ReplicaID: UInt64]] = [:]) { self.last = last }

        /// The last number honoured of a chain, 0 for none.
        public subscript(space: SpaceID, replica: ReplicaID) -> UInt64 { last[space]?[replica] ?? 0 }

        /// `space replica number`, and the half hash where there is one, for each chain, in order, parted by semicolons;
        /// replica and hash in hexadecimal.
        public var text: String {
            last.sorted { $0.key < $1.key }.flatMap { space, chains in
                chains.sorted { $0.key < $1.key }.map { replica, seq in
                    "\(space) \(replica) \(seq)" + (hashes[space]?[replica].map { " " + Hex.encode($0.bytes) } ?? "")
                }
            }.joined(separator: ";")
        }

        /// Reads the form that `text` has; `nil` for any other.
        ///
        /// By bytes: what is one letter differs between versions of Unicode, and all sites must read the same.
        public init?(_ text: some StringProtocol) {
            last = [:]
            for entry in text.utf8.split(separator: UInt8(ascii: ";")) {
                let parts = entry.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                    .map { String(decoding: $0, as: UTF8.self) }
                guard (3...4).contains(parts.count), let space = SpaceID(parts[0]),
                    let replica = ReplicaID(exactHex: parts[1]), parts[2].utf8.allSatisfy({ 48...57 ~= $0 }),
                    let seq = UInt64(parts[2]), seq <= Chain.seqMax
                else { return nil }
                last[space, default: [:]][replica] = seq
                guard parts.count == 4 else { continue }
                guard let bytes = Hex.decode(parts[3]), let hash = Bytes16(bytes), Hex.encode(bytes) == parts[3]
                else { return nil }
                hashes[space, default: [:]][replica] = hash
            }
        }
    }
}
