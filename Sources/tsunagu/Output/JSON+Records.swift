// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands
import TsunaguCore

/// The documents that programs read, with the keys of the contract.
extension JSON {
    init(_ error: CommandError) {
        self = .object([
            ("code", .text(error.code.rawValue)), ("message", .text(tr(error.message))), ("record", JSON(error.record)),
            ("hint", JSON(error.hint.map { tr($0) })),
        ])
    }

    init(_ failure: ImportFailure) {
        let first = failure.problems.first
        let problems = failure.problems.map { problem in
            JSON.object([
                ("line", JSON(problem.line)), ("column", JSON(problem.column)), ("value", JSON(problem.value)),
                ("code", .text(problem.code)), ("message", .text(tr(problem.message))),
                ("hint", .text(tr(problem.hint))),
            ])
        }
        self = .object([
            ("code", .text(CommandError.Code.badInput.rawValue)),
            ("message", JSON(first.map { "\(failure.file):\($0.line): \($0.sentence)" })),
            ("record", JSON(first.map { "\(failure.file):\($0.line)" })), ("hint", JSON(first.map { tr($0.hint) })),
            ("problems", .array(problems)), ("more", .bool(failure.isCut)),
        ])
    }

    /// Who, where and when.
    static func members(_ author: Authorship) -> [(String, JSON)] {
        [
            ("operator", JSON(author.person.label)), ("site", JSON(author.site)), ("device", JSON(author.device)),
            ("device_name", JSON(author.deviceName)), ("at", .text(TokyoTime(author.timestamp).iso)),
        ]
    }

    init(_ view: RecordView) { self = .object(Self.members(view)) }

    static func members(_ view: RecordView) -> [(String, JSON)] {
        var out: [(String, JSON)] = [("id", JSON(view.id))]
        for (field, shown) in view.fields { out.append((field.name, JSON(shown))) }
        out.append(("space", .text(view.space.name)))
        out.append(("deleted", .bool(view.deleted)))
        out.append(("conflicts", .array(view.conflicts.map { .text($0) })))
        return out
    }

    private init(_ shown: RecordView.Shown) {
        self =
            switch shown {
            case .none: .null
            case .text(let text): .text(text.string)
            case .integer(let number): .integer(number)
            case .members(let members): .array(members.map { .text($0.string) })
            case .entries(let entries):
                .array(entries.map { .object([("text", .text($0.text.string))] + Self.members($0.author)) })
            }
    }

    init(_ entry: HistoryEntry) {
        var out: [(String, JSON)] = [("field", .text(entry.field))]
        switch entry.content {
        case .value(let value): out.append(("value", JSON(value)))
        case .life(let deleted): out.append(("value", .bool(deleted)))
        }
        out += Self.members(entry.author)
        out += [("state", .text(entry.state.rawValue)), ("reason", JSON(entry.reason))]
        self = .object(out)
    }

    init(_ lesson: LessonView) {
        let record = lesson.record
        var out: [(String, JSON)] = [
            ("id", JSON(record.id)), ("code", JSON(record.text("code"))), ("title", JSON(record.text("title"))),
            ("space", .text(record.space.name)), ("date", JSON(record.text("date"))), ("time", JSON(lesson.time)),
        ]
        let own: Set<String> = ["id", "code", "title", "space", "date"]
        out += Self.members(record).filter { !own.contains($0.0) }
        out += [("confirmed", JSON(lesson.confirmed)), ("waiting", JSON(lesson.waiting))]
        let rights = lesson.rights.map { rights in
            JSON.object([
                ("site", JSON(rights.site)), ("device", JSON(rights.device)), ("held", JSON(rights.held)),
                ("free", JSON(rights.free)),
            ])
        }
        out.append(("rights", .array(rights)))
        out.append(("keeper", JSON(lesson.keeper)))
        out.append(("cancel_reason", JSON(lesson.cancelReason)))
        let free = lesson.freeSeats.map { free in
            JSON.object([
                ("site", JSON(free.site)), ("device", JSON(free.device)), ("seats", JSON(free.count)),
                ("reason", .text(free.reason.rawValue)),
            ])
        }
        out.append(("free_seats", .array(free)))
        out.append(("counts", .object(lesson.counts.map { ($0.status, JSON($0.count)) })))
        self = .object(out)
    }

    /// A booking with those of who comes along.
    init(_ booking: BookingView, with companions: some Sequence<BookingView>) {
        let others = companions.map { JSON($0) }
        self = .object(Self.members(booking) + (others.isEmpty ? [] : [("companions", .array(others))]))
    }

    init(_ booking: BookingView) { self = .object(Self.members(booking)) }

    private static func members(_ booking: BookingView) -> [(String, JSON)] {
        let record = booking.record
        var person: [(String, JSON)] = [("key", JSON(record.text("person_key")))]
        for name in ["name", "kana", "phone", "age_group"] { person.append((name, JSON(record.text(name)))) }
        person.append(("resident", JSON(booking.resident?.description)))
        var out: [(String, JSON)] = [
            ("id", JSON(record.id)), ("status", .text(booking.status)), ("position", JSON(booking.position)),
            ("reason", JSON(booking.waitingReason?.rawValue)),
            ("lesson", JSON(booking.lesson)), ("lesson_code", JSON(booking.lessonCode)),
            ("lesson_cancelled", .bool(booking.isLessonCancelled)), ("person", .object(person)),
            ("party", JSON(booking.party?.description)), ("counts", .bool(booking.usesSeat)),
            ("answer_by", JSON(booking.answerBy)), ("cancel_reason", JSON(booking.cancelReason)),
        ]
        let more: Set<String> = ["needs", "notes", "space", "deleted", "conflicts"]
        out += members(record).filter { more.contains($0.0) }
        return out
    }

    init(_ open: Case) {
        let values = open.values.map { value in
            JSON.object(
                [
                    ("n", JSON(value.n)), ("fields", .object(value.fields.map { ($0.field.name, JSON($0.value)) })),
                    ("deleted", .bool(value.deleted)), ("source", JSON(value.source)), ("reason", JSON(value.reason)),
                ] + Self.members(value.author)
            )
        }
        self = .object([
            ("id", .text(open.id)), ("kind", .text(open.kind.rawValue)), ("code", .text(open.code)),
            ("space", .text(open.space.name)), ("collection", JSON(open.collection?.name)),
            ("record", JSON(open.records.first?.description)), ("records", .array(open.records.map { JSON($0) })),
            ("group", JSON(open.group?.name)), ("values", .array(values)), ("shown", JSON(open.shown)),
            ("source", JSON(open.source)), ("says", .array(open.says.map { .text($0) })),
        ])
    }
}
