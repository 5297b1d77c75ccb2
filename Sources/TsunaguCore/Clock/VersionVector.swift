// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// For each replica the greatest number such that all up to it are included (Parker et al., 1983), less some ranges.
///
/// What a site has *received* has no exceptions; what is *in effect* there excepts what is held or quarantined. Deps of
/// a change are the in-effect vector of its author: otherwise a write would silently supersede a change that nobody
/// there could see, once a later grant validates it.
public struct VersionVector: Hashable, Sendable {
    /// Numbers of one replica, both ends inclusive.
    public struct Exception: Hashable, Comparable, Sendable {
        /// Whose changes.
        public var replica: ReplicaID
        /// The first number that is not included.
        public var first: UInt64
        /// The last one.
        public var last: UInt64

        /// Joins the parts.
        public init(replica: ReplicaID, first: UInt64, last: UInt64) {
            self.replica = replica
            self.first = first
            self.last = last
        }

        /// Whether one comes before the other, by bytes.
        public static func < (a: Exception, b: Exception) -> Bool {
            a.replica == b.replica ? a.first < b.first : a.replica < b.replica
        }
    }

    /// The last number of each replica; none is zero.
    public private(set) var entries: [ReplicaID: UInt64]
    /// What is left out, in order, disjoint: they are searched by halves, since others may write any number.
    public var exceptions: [Exception]

    /// An empty vector, or one of given entries.
    public init(_ entries: [ReplicaID: UInt64] = [:], exceptions: [Exception] = []) {
        self.entries = entries.filter { $0.value > 0 }
        self.exceptions = exceptions.sorted()
    }

    /// The last number of a replica, 0 for none.
    public subscript(replica: ReplicaID) -> UInt64 {
        get { entries[replica] ?? 0 }
        set { entries[replica] = newValue == 0 ? nil : newValue }
    }

    /// The same where every entry is at least another vector's.
    package func notBehind(_ other: VersionVector) -> VersionVector {
        var out = self
        for (replica, last) in other.entries where self[replica] < last { out[replica] = last }
        return out
    }

    /// Whether the change is included.
    public func covers(_ dot: Dot) -> Bool {
        dot.seq <= self[dot.replica] && !exceptions.contain(dot)
    }

    /// Whether everything that `other` includes is included here.
    public func covers(_ other: VersionVector) -> Bool {
        for (replica, last) in other.entries where self[replica] < last {
            // What lies above our entry may still be excepted there.
            if other.firstCovered(of: replica, in: self[replica] + 1...last) != nil { return false }
        }
        return exceptions.allSatisfy { exception in
            exception.first > exception.last
                || other.firstCovered(of: exception.replica, in: exception.first...exception.last) == nil
        }
    }

    /// The first of a replica's numbers in a range that is included.
    ///
    /// - Complexity: in the number of the replica's exceptions, never in that of numbers: deps come from others, who may
    ///   write any.
    package func firstCovered(of replica: ReplicaID, in range: ClosedRange<UInt64>) -> UInt64? {
        let last = min(range.upperBound, self[replica])
        var next = range.lowerBound
        for exception in exceptions[exceptions.place(of: Dot(replica, next))...] {
            guard exception.replica == replica, exception.first <= next else { break }
            guard exception.last < last else { return nil }
            next = exception.last + 1
        }
        return next <= last ? next : nil
    }
}

extension [VersionVector.Exception] {
    /// The first that ends with a change or after it.
    fileprivate func place(of dot: Dot) -> Int { place { ($0.replica, $0.last) >= (dot.replica, dot.seq) } }

    /// Whether one of them leaves a change out.
    package func contain(_ dot: Dot) -> Bool {
        self[place(of: dot)...].first.map { $0.replica == dot.replica && $0.first <= dot.seq } ?? false
    }
}

extension Array {
    /// The first place from which on something holds that holds for none before; the end where it holds for none.
    package func place(where holds: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// How deps stand in a header: what is not as in the author's previous change.
public struct DepsDelta: Hashable, Sendable {
    /// Entries that moved, by replica.
    public private(set) var entries: [Dot]
    /// All exceptions, where they are not as before; `nil` where they are.
    public private(set) var exceptions: [VersionVector.Exception]?

    /// Nothing moved.
    public static let none = DepsDelta(entries: [], exceptions: nil)

    /// Joins the parts; entries ascend by replica.
    package init(entries: [Dot], exceptions: [VersionVector.Exception]?) {
        self.entries = entries
        self.exceptions = exceptions
    }

    /// What leads from one vector to another.
    package init(from earlier: VersionVector, to later: VersionVector) {
        entries = later.entries.filter { earlier[$0.key] != $0.value }.map { Dot($0.key, $0.value) }.sorted()
        exceptions = later.exceptions == earlier.exceptions ? nil : later.exceptions
    }

    package var isEmpty: Bool { entries.isEmpty && exceptions == nil }
}

extension VersionVector {
    /// Moves on by a delta.
    ///
    /// - Throws: where an entry goes back, which no honest author's deps do.
    package mutating func advance(by delta: DepsDelta) throws(CodecError) {
        for dot in delta.entries {
            guard dot.seq > self[dot.replica] else { throw .invalid("deps go back") }
            self[dot.replica] = dot.seq
        }
        if let exceptions = delta.exceptions { self.exceptions = exceptions }
    }
}
