// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

extension WardSchema {
    /// What may stand in a field: the same for an import, a command and the API.
    ///
    /// A set's rule is that of one member, a log's that of one entry.
    package static func rule(_ collection: CollectionSchema, _ field: Field) -> CellRule {
        switch (collection.number, field.name) {
        case (resident.number, "number"): .digits(1...15)
        case (resident.number, "household"): .digits(1...15)
        case (resident.number, "birth_date"), (resident.number, "moved_in"): .registerDate
        case (resident.number, "postal_code"): .postalCode
        case (resident.number, "address"), (resident.number, "building"): .address
        case (resident.number, "phone"), (booking.number, "phone"): .phone
        case (procedure.number, "code"), (lesson.number, "code"): .code
        case (procedure.number, "summary"), (procedure.number, "deadline"): .longText
        case (procedure.number, "fee"): .integer(0...100_000_000)
        case (procedure.number, "online"), (procedure.number, "cashless"): .choice(availability)
        case (procedure.number, "online_from"), (procedure.number, "cashless_from"): .day
        case (procedure.number, "checked_on"): .day
        case (lesson.number, "date"), (lesson.number, "deadline"): .day
        case (lesson.number, "start_time"), (lesson.number, "end_time"): .clock
        case (lesson.number, "capacity"): .integer(0...1000)
        case (booking.number, "age_group"): .choice(AgeGroup.allCases.map(\.rawValue))
        case (booking.number, "counts"): .integer(0...1)
        case (booking.number, "answer_by"): .day
        case (_, "notes"): .longText
        default: .text
        }
    }

    /// Whether something is offered: wholly, not, or for a part of the cases.
    package static let availability = ["yes", "no", "partly"]

    /// The value of a field that a person typed, checked by the field's rule.
    ///
    /// - Throws: what is wrong with it; the column is the field's name.
    package static func value(
        of text: String,
        for field: Field,
        in collection: CollectionSchema
    ) throws(RowProblem) -> Value {
        try rule(collection, field).read(text, column: field.name)
    }
}
