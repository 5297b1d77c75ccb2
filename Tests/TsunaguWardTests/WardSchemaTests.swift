// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Testing
import TsunaguCore
import TsunaguWard

@Suite struct WardSchemaTests {
    @Test("numbers and names stand for ever")
    func pinned() {
        let shape = [
            WardSchema.resident, WardSchema.procedure, WardSchema.lesson, WardSchema.booking, WardSchema.bookingLink,
        ]
        .map { collection in
            let groups = collection.groups.map { group in
                let fields = group.fields.map { "\($0.number) \($0.name)" }.joined(separator: ", ")
                return "\(group.number) \(group.kind) {\(fields)}"
            }
            return "\(collection.number) \(collection.name) \(collection.spaces): " + groups.joined(separator: "; ")
        }
        #expect(
            shape == [
                "16 resident residents: 1 review {1 family_name, 2 given_name, 3 family_kana, 4 given_kana}; "
                    + "2 review {5 number}; 3 review {6 household, 7 relationship}; 4 review {8 birth_date}; "
                    + "5 review {9 sex}; 6 review {10 postal_code, 11 address, 12 building, 13 moved_in}; "
                    + "7 review {14 phone}; 8 review {15 standing}; 9 set {16 languages}; 10 log {17 notes}",
                "17 procedure procedures: 1 review {1 code, 2 name, 3 kana, 4 summary}; 2 set {5 life_events}; "
                    + "3 review {6 counters, 7 hours}; 4 set {8 documents}; 5 review {9 fee}; "
                    + "6 review {10 online, 11 online_from}; 7 review {12 cashless, 13 cashless_from}; "
                    + "8 review {14 deadline}; 9 review {15 owner}; 10 review {16 source, 17 checked_on}; "
                    + "11 review {18 url}",
                "18 lesson lessons/*: 1 review {1 code, 2 title, 3 venue}; 2 review {4 date, 5 start_time, 6 end_time}; "
                    + "3 review {7 capacity}; 4 review {8 room}; 5 review {9 level, 10 deadline}; "
                    + "6 set {11 languages}; 7 seats {12 rights}; 8 flow {13 status}; 9 set {14 needs}",
                "19 booking lessons/*: 1 review {1 lesson, 2 person_key}; 2 review {3 name, 4 kana, 5 phone, 6 age_group}; "
                    + "3 set {7 needs}; 4 flow {8 status}; 5 seats {9 seat}; 6 log {10 notes}; "
                    + "7 latest {11 party}; 8 latest {12 counts}; 9 latest {13 answer_by}",
                "20 booking_link residents: 1 review {1 booking, 2 lesson_space, 3 resident}",
            ]
        )
    }

    @Test("columns need no quotes in sqlite3")
    func keywords() {
        let keywords: Set = [
            "abort", "action", "add", "after", "all", "always", "and", "as", "before", "begin", "between", "by", "case",
            "cast", "check", "column", "commit", "create", "cross", "current", "default", "delete", "desc", "distinct",
            "do", "drop", "each", "else", "end", "escape", "except", "exists", "filter", "for", "from", "full",
            "generated",
            "group", "groups", "having", "if", "ignore", "in", "index", "inner", "insert", "into", "is", "join", "key",
            "last", "left", "like", "limit", "match", "natural", "no", "not", "nothing", "null", "of", "offset", "on",
            "or",
            "order", "others", "outer", "over", "plan", "primary", "query", "range", "references", "release", "rename",
            "replace", "returning", "right", "row", "rows", "select", "set", "table", "temp", "then", "to",
            "transaction",
            "trigger", "union", "unique", "update", "using", "values", "view", "when", "where", "window", "with",
            "without",
        ]
        for collection in WardSchema.schema.collections where collection.number >= 16 {
            #expect(!keywords.contains(collection.name))
            for field in collection.groups.flatMap(\.fields) {
                #expect(!keywords.contains(field.name), "\(collection.name).\(field.name)")
            }
        }
    }

    @Test("a venue may hold lessons and bookings, and nothing of the register")
    func readers() {
        for collection in WardSchema.schema.collections where collection.number >= 16 {
            for group in collection.groups {
                let access = WardAccess.of(collection: collection.number, group: group.number)
                #expect(access.readers.contains(.venue) == collection.spaces.hasPrefix("lessons"))
                #expect(!collection.writers(of: group.number).contains(.auditor))
            }
        }
        #expect(WardAccess.of(collection: 16, group: 6).sensitivity == .guarded)
        #expect(WardAccess.of(collection: 17, group: 5).sensitivity == .open)
    }

    @Test("the schema folds with the search key")
    func searchKey() {
        #expect(WardSchema.schema.searchKey("\u{FF7B}\u{FF72}\u{FF84}\u{FF73}").utf8.elementsEqual("サイトオ".utf8))
    }
}
