// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Who had seen whose change.
package enum Causality {
    /// Every causality among `count` changes that are numbered in one of its orders: what the author of each had seen.
    ///
    /// Not all are transitive: who writes while a change is out of effect may have seen one whose author saw that.
    package static func all(of count: Int) -> [[Set<Int>]] {
        (0..<count).reduce([[]]) { out, change in
            out.flatMap { earlier in subsets(of: change).map { earlier + [$0] } }
        }
    }

    private static func subsets(of count: Int) -> [Set<Int>] {
        (0..<1 << count).map { bits in Set((0..<count).filter { bits >> $0 & 1 == 1 }) }
    }

    /// Whether causes come before their effects.
    package static func respects(_ past: [Set<Int>], _ order: [Int]) -> Bool {
        var seen: Set<Int> = []
        for change in order {
            guard seen.isSuperset(of: past[change]) else { return false }
            seen.insert(change)
        }
        return true
    }

    /// A random order in which causes come before their effects.
    package static func shuffled(_ past: [Set<Int>], _ generator: inout SeededGenerator) -> [Int] {
        var (rest, out) = (Array(past.indices), [Int]())
        while !rest.isEmpty {
            let ready = rest.filter { past[$0].isSubset(of: out) }
            let next = generator.pick(ready)
            out.append(next)
            rest.removeAll { $0 == next }
        }
        return out
    }
}

/// All orders of a few things.
package enum Permutations {
    package static func of(_ count: Int) -> [[Int]] {
        count == 0
            ? [[]]
            : of(count - 1).flatMap { shorter in
                (0...shorter.count).map { place in
                    var longer = shorter
                    longer.insert(count - 1, at: place)
                    return longer
                }
            }
    }
}
