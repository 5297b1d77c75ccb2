// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Numbers that look random and follow from a seed alone: SplitMix64 (Steele, Lea, Flood 2014).
///
/// Everything is drawn with integers, so a seed gives the same sample on every machine.
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A stream of its own for one purpose, so that a longer residents file does not change the lessons.
    init(seed: UInt64, stream: UInt64) {
        var mixed = SplitMix64(seed: seed ^ stream &* 0xD1B5_4A32_D192_ED03)
        state = mixed.next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// 0 to `bound` - 1.
    mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "a draw from nothing")
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// A number of the range.
    mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True `percent` times of a hundred.
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// One of the elements.
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
}

/// Elements that are drawn as often as their weights say.
struct Weighted<Element: Sendable>: Sendable {
    private let elements: [Element]
    private let sums: [Int]

    init(_ elements: [(Element, weight: Int)]) {
        self.elements = elements.map(\.0)
        var total = 0
        self.sums = elements.map { element in
            total += element.weight
            return total
        }
    }

    func draw(_ random: inout SplitMix64) -> Element {
        let point = random.below(sums.last!)
        var low = 0
        var high = sums.count - 1
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > point { high = middle } else { low = middle + 1 }
        }
        return elements[low]
    }
}
