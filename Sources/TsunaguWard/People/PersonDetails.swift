// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a lesson needs to know of a person; every part but the name may be missing.
package struct PersonDetails: Hashable, Sendable {
    /// 氏名.
    package var name: ExactText
    /// カナ.
    package var kana: ExactText?
    /// 電話.
    package var phone: ExactText?
    /// 年齢区分.
    package var ageGroup: AgeGroup?

    /// A person as typed at a counter or a venue.
    package init(name: ExactText, kana: ExactText? = nil, phone: ExactText? = nil, ageGroup: AgeGroup? = nil) {
        self.name = name
        self.kana = kana
        self.phone = phone
        self.ageGroup = ageGroup
    }

    /// A resident as a lesson on `day` may know one: no number, no address, the age group instead of the birth date.
    ///
    /// - Parameter field: the resident's text in the field of a name; `nil` where it is empty.
    package init(resident field: (String) -> ExactText?, on day: Day) {
        func joined(_ first: String, _ second: String) -> ExactText? {
            switch (field(first), field(second)) {
            case (let family?, let given?): ExactText(family.string + " " + given.string)
            case (let family, let given): family ?? given
            }
        }
        self.name = joined("family_name", "given_name") ?? ""
        self.kana = joined("family_kana", "given_kana")
        self.phone = field("phone")
        self.ageGroup = field("birth_date").flatMap { AgeGroup(birthDate: $0.utf8, on: day) }
    }

    /// The fields of a booking's group `person`, ascending.
    package var fields: [(number: UInt32, value: Value)] {
        func value(_ text: ExactText?) -> Value { text.map { .text($0) } ?? .null }
        return [
            (3, value(name)), (4, value(kana)), (5, value(phone)),
            (6, value(ageGroup.map { ExactText($0.rawValue) })),
        ]
    }
}
