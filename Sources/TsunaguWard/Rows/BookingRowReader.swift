// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What one row of a bookings file says.
///
/// Lesson and resident are still codes: whoever imports looks them up.
package struct BookingRow: Sendable {
    /// Who books.
    package enum Person: Hashable, Sendable {
        /// A resident of the register, by 宛名番号.
        case resident(number: ExactText)
        /// Somebody who was typed in.
        case guest(PersonDetails)
    }

    /// The lesson's code.
    package var lesson: ExactText
    /// Who books.
    package var person: Person
    /// What the person needs, such as sign language.
    package var needs: [ExactText]
    /// Whether the person needs a seat; `nil` where the file has no such column.
    package var usesSeat: Bool?
    /// What those of one lesson have in common who come together; `nil` for one alone.
    package var group: ExactText?
}

/// Reads the rows of a bookings file: `lesson` (code), `number` or `name`, `kana`, `phone`, `age_group`,
/// `needs`, `seat` and `group`.
package struct BookingRowReader: Sendable {
    private enum Part: Int, CaseIterable {
        case lesson, number, name, kana, phone, ageGroup, needs, seat, group

        var column: Header.Column {
            switch self {
            case .lesson: Header.Column(name: "lesson", label: "教室コード", isRequired: true)
            case .number: Header.Column(name: "number", label: "宛名番号", isRequired: false)
            case .name: Header.Column(name: "name", label: "氏名", isRequired: false)
            case .kana: Header.Column(name: "kana", label: "カナ", isRequired: false)
            case .phone: Header.Column(name: "phone", label: "電話", isRequired: false)
            case .ageGroup: Header.Column(name: "age_group", label: "年齢区分", isRequired: false)
            case .needs: Header.Column(name: "needs", label: "配慮", isRequired: false)
            case .seat: Header.Column(name: "seat", label: "席", isRequired: false)
            case .group: Header.Column(name: "group", label: "同伴", isRequired: false)
            }
        }

        var rule: CellRule {
            switch self {
            case .lesson: .code
            case .number: .digits(1...15)
            case .phone: .phone
            case .ageGroup: .choice(AgeGroup.allCases.map(\.rawValue))
            case .seat: .choice([BookingRowReader.withSeat, BookingRowReader.withoutSeat])
            case .name, .kana, .needs, .group: .text
            }
        }
    }

    /// What stands under `seat`; an empty cell is a seat.
    package static let withSeat = "yes"
    /// Helpers, interpreters and companions come without one.
    package static let withoutSeat = "no"

    private let words: [String]
    private let places: [Int?]

    /// Plans the reading of a file from its header.
    ///
    /// - Throws: every column that is unknown, stands twice or is missing though it is required.
    package init(header: [UnsafeBufferPointer<UInt8>]) throws(HeaderRefusal) {
        let header = try Header(header, known: Part.allCases.map(\.column))
        self.words = header.words
        self.places = header.places
    }

    /// Whether the file says who comes together.
    package var hasGroups: Bool { places[Part.group.rawValue] != nil }

    /// Reads one row; its cells are as many as the header's.
    ///
    /// - Returns: `nil` where something is wrong; every fault of the row is then in `problems`.
    package func read(_ cells: [UnsafeBufferPointer<UInt8>], problems: inout [RowProblem]) -> BookingRow? {
        let before = problems.count
        func value(_ part: Part) -> ExactText? {
            guard let place = places[part.rawValue] else { return nil }
            do throws(RowProblem) {
                return try part.rule.read(cells[place], column: words[place]).text
            } catch {
                problems.append(error)
                return nil
            }
        }
        let lesson = value(.lesson)
        let number = value(.number)
        let name = value(.name)
        let kana = value(.kana)
        let phone = value(.phone)
        let ageGroup = value(.ageGroup)
        let seat = value(.seat)
        let group = value(.group)
        var needs: [ExactText] = []
        if let place = places[Part.needs.rawValue] {
            do throws(RowProblem) {
                needs = try MemberList.read(cells[place], Part.needs.rule, column: words[place])
            } catch {
                problems.append(error)
            }
        }
        guard problems.count == before else { return nil }
        guard let lesson else {
            problems.append(problem(.lesson, cells, \.empty))
            return nil
        }
        let person: BookingRow.Person
        switch (number, name) {
        case (let number?, nil) where kana == nil && phone == nil && ageGroup == nil:
            person = .resident(number: number)
        case (.some, _):
            problems.append(problem(.number, cells, \.personTwice))
            return nil
        case (nil, let name?):
            let age = ageGroup.flatMap { AgeGroup(rawValue: $0.string) }
            person = .guest(PersonDetails(name: name, kana: kana, phone: phone, ageGroup: age))
        case (nil, nil):
            problems.append(problem(.name, cells, \.personMissing))
            return nil
        }
        return BookingRow(
            lesson: lesson,
            person: person,
            needs: needs,
            usesSeat: places[Part.seat.rawValue].map { _ in seat != ExactText(Self.withoutSeat) },
            group: group
        )
    }

    private func problem(
        _ part: Part,
        _ cells: [UnsafeBufferPointer<UInt8>],
        _ make: (CellProblems) -> RowProblem
    ) -> RowProblem {
        guard let place = places[part.rawValue] else {
            return make(CellProblems(column: part.column.name, bytes: UnsafeBufferPointer(start: nil, count: 0)))
        }
        return make(CellProblems(column: words[place], bytes: cells[place]))
    }

    /// The columns that a file may have.
    package static var columns: [FileColumn] {
        Part.allCases.map { part in
            FileColumn(
                name: part.column.name,
                label: part.column.label,
                isRequired: part.column.isRequired,
                rule: part.rule,
                isSet: part == .needs
            )
        }
    }
}
