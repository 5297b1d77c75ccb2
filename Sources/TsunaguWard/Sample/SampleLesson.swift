// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One smartphone lesson of the sample, at a real place of the ward.
struct SampleLesson {
    static let columns = [
        "code", "space", "title", "venue", "date", "time", "capacity", "room", "level", "languages",
    ]

    let code: String
    let space: String
    let title: String
    let venue: String
    let date: Day
    let time: String
    let capacity: Int
    let room: String
    let level: String
    let languages: String
    /// More people ask for it than there are seats.
    let isPopular: Bool

    var row: [String] {
        [code, space, title, venue, date.description, time, String(capacity), room, level, languages]
    }

    private static let venues: [(space: String, prefix: String, name: String, rooms: [String])] = [
        ("lessons/hibiya", "HIBIYA", "千代田区立日比谷図書文化館", ["セミナールームA", "セミナールームB"]),
        ("lessons/chiyoda-library", "CHIYODA", "千代田区立千代田図書館", ["特別研修室", "研修室"]),
        ("lessons/ichibancho", "ICHIBAN", "いきいきプラザ一番町", ["会議室1", "交流サロン"]),
        ("lessons/parkside", "PARK", "ちよだパークサイドプラザ", ["区民ホール", "集会室"]),
        ("lessons/fujimi", "FUJIMI", "富士見みらい館", ["多目的室"]),
        ("lessons/nishikanda", "NISHI", "西神田コスモス館", ["集会室1", "集会室2"]),
    ]

    private static let subjects: [(title: String, level: String)] = [
        ("はじめてのスマートフォン", "入門"), ("文字の入力と電話帳", "入門"), ("写真をとる・送る", "初級"),
        ("地図で道を調べる", "初級"), ("LINEで家族とつながる", "初級"), ("キャッシュレス払いを試す", "中級"),
        ("区のオンライン手続", "中級"), ("防災アプリと緊急速報", "初級"), ("だまされないための使い方", "初級"),
        ("マイナポータル入門", "中級"), ("ビデオ通話で話す", "中級"), ("なんでも相談会", "相談"),
    ]

    private static let times = ["10:00-12:00", "13:30-15:30", "14:00-16:00", "18:30-20:00"]
    private static let languageChoices = ["日本語", "日本語", "日本語", "日本語", "日本語;英語", "日本語;手話"]

    /// Every lesson, venue by venue in the order of their days.
    ///
    /// A venue holds at most one on a day.
    static func all(seed: UInt64) -> [SampleLesson] {
        var random = SplitMix64(seed: seed, stream: 4)
        let days = openDays
        return venues.flatMap { venue in
            let count = random.within(8...12)
            let popular = random.below(count)
            let step = days.count / count
            let first = random.below(step)
            return (0..<count).map { index in
                let subject = subjects[index % subjects.count]
                return SampleLesson(
                    code: venue.prefix + "-" + SamplePeople.padded(index + 1, 2),
                    space: venue.space,
                    title: subject.title,
                    venue: venue.name,
                    date: days[first + index * step],
                    time: random.pick(times),
                    capacity: random.within(8...20),
                    room: random.pick(venue.rooms),
                    level: subject.level,
                    languages: random.pick(languageChoices),
                    isPopular: index == popular
                )
            }
        }
    }

    /// Monday to Friday from December 2026 to March 2027, without the year's end.
    private static var openDays: [Day] {
        var days: [Day] = []
        var day = Day(year: 2026, month: 12, day: 1)!
        // A Tuesday; 0 is Monday.
        var weekday = 1
        while day < Day(year: 2027, month: 4, day: 1)! {
            let isYearEnd = (day.month == 12 && day.day >= 29) || (day.month == 1 && day.day <= 3)
            if weekday < 5, !isYearEnd { days.append(day) }
            day = day.next
            weekday = (weekday + 1) % 7
        }
        return days
    }
}
