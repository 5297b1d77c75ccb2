// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The age groups that the ward's figures are published in.
///
/// An unknown age is no group, never the youngest.
package enum AgeGroup: String, Sendable, CaseIterable {
    case under65 = "under-65"
    case from65 = "65-69"
    case from70 = "70-74"
    case from75 = "75+"

    /// The group of an age in whole years.
    package init(age: Int) {
        self =
            switch age {
            case ..<65: .under65
            case ..<70: .from65
            case ..<75: .from70
            default: .from75
            }
    }

    /// The group of a birth date on a day; `nil` before birth.
    package init?(birth: Day, on day: Day) {
        guard let age = AgeGroup.age(birth: birth, on: day) else { return nil }
        self.init(age: age)
    }

    /// The group of a birth date as the register writes it; `nil` where it is no plain date.
    package init?(birthDate: some Collection<UInt8>, on day: Day) {
        guard let birth = Day(register: birthDate) else { return nil }
        self.init(birth: birth, on: day)
    }

    /// Whole years by 年齢計算: a year of age is reached at the end of the day before the birthday, so it counts on that
    /// day already.
    ///
    /// Somebody born on 29 February reaches it on the 28th.
    package static func age(birth: Day, on day: Day) -> Int? {
        guard day >= birth else { return nil }
        let next = day.next
        return next.year - birth.year - ((next.month, next.day) < (birth.month, birth.day) ? 1 : 0)
    }
}
