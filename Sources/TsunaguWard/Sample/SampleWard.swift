// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A fictitious ward as the files that `import` reads: same number of residents and same seed, same bytes.
///
/// Towns, postal codes and venues are real; every person is invented, and no phone number can be anybody's. Characters
/// occur as registers really have them: compatibility forms, variation selectors, U+20BB7, half-width kana, alphabets.
package struct SampleWard: Sendable {
    /// The files, in the order in which they are to be imported.
    package enum File: String, Sendable, CaseIterable {
        case residents, procedures, lessons, bookings

        /// `residents.csv`.
        package var fileName: String { rawValue + ".csv" }
    }

    /// How many rows `residents` has.
    package let residents: Int
    /// What everything else follows from.
    package let seed: UInt64

    /// A ward of the size that Chiyoda expects at its peak, unless told otherwise.
    package init(residents: Int = 87_714, seed: UInt64 = 1) {
        precondition((0...10_000_000).contains(residents), "\(residents) residents")
        self.residents = residents
        self.seed = seed
    }

    /// Hands over the rows of a file, the header first, one at a time: memory does not grow with the ward.
    package func rows(of file: File, _ body: ([String]) throws -> Void) rethrows {
        switch file {
        case .residents:
            try body(SampleWard.residentColumns)
            try residentRows(body)
        case .procedures:
            try body(ProcedureCatalogue.columns)
            for row in ProcedureCatalogue.rows(seed: seed) { try body(row) }
        case .lessons:
            try body(SampleLesson.columns)
            for lesson in SampleLesson.all(seed: seed) { try body(lesson.row) }
        case .bookings:
            try body(SampleWard.bookingColumns)
            for row in bookingRows() { try body(row) }
        }
    }

    private static let residentColumns = [
        "number", "household", "family_name", "given_name", "family_kana", "given_kana", "birth_date", "sex",
        "relationship", "postal_code", "address", "building", "phone", "moved_in", "standing", "languages",
    ]

    private func residentRows(_ body: ([String]) throws -> Void) rethrows {
        try forEachPerson { index, household, person, home in
            try body([
                number(at: index), household, person.familyName, person.givenName, person.familyKana, person.givenKana,
                person.birth.description, person.sex, person.relationship, home.postalCode, home.address,
                home.building, person.phone, person.movedIn.description, person.standing, person.languages,
            ])
        }
    }

    /// Every resident with the running number, the 世帯番号 and the home.
    func forEachPerson(
        _ body: (_ index: Int, _ household: String, _ person: SamplePerson, _ home: SampleHousehold) throws -> Void
    ) rethrows {
        var people = SamplePeople(seed: seed)
        var index = 0
        var households = 0
        while index < residents {
            let home = people.next()
            let household = CheckDigit.number(serial: 2_000_000 + households, digits: 9)
            households += 1
            for person in home.members where index < residents {
                try body(index, household, person, home)
                index += 1
            }
        }
    }

    /// The 宛名番号 of a resident: ten digits with gaps, and a check digit.
    ///
    /// It begins with zeros, as such numbers do, so that whoever takes it for a number is found out.
    func number(at index: Int) -> String {
        var random = SplitMix64(seed: seed ^ UInt64(index), stream: 2)
        return CheckDigit.number(serial: 10_000_000 + index * 7 + random.below(7), digits: 10)
    }
}
