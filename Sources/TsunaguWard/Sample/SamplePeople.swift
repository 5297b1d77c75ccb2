// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// One invented resident.
struct SamplePerson {
    var familyName: String
    var givenName: String
    var familyKana: String
    var givenKana: String
    var birth: Day
    var sex: String
    var relationship: String
    var phone = ""
    var movedIn: Day
    var standing = "日本人"
    var languages = ""
}

/// One invented household with its address.
struct SampleHousehold {
    var members: [SamplePerson]
    var postalCode: String
    var address: String
    var building: String
}

/// Invents households, one after the other: who lives together, how old, since when, and how the register writes it.
struct SamplePeople {
    /// The day on which the register is as the sample shows it.
    static let today = Day(year: 2026, month: 11, day: 1)!

    private enum Kind {
        case single, couple, family, singleParent, elderlyCouple, threeGenerations
    }

    /// Half of the ward's households are of one person, as its strategy expects.
    private static let kinds = Weighted<Kind>([
        (.single, 46), (.couple, 15), (.family, 21), (.singleParent, 6), (.elderlyCouple, 8), (.threeGenerations, 4),
    ])
    private static let singleAges = Weighted<ClosedRange<Int>>([
        (19...24, 10), (25...34, 30), (35...49, 25), (50...64, 15), (65...79, 12), (80...101, 8),
    ])

    private var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed, stream: 1) }

    /// The next household; there is always one more.
    mutating func next() -> SampleHousehold {
        var members = random.chance(9) ? foreignHousehold() : japaneseHousehold()
        writeMove(of: &members)
        writePhones(of: &members)
        writeKana(of: &members)
        let town = SampleTown.all.draw(&random)
        let place = town.place(&random)
        let lot = "\(random.within(1...38))"
        let number = "\(random.within(1...21))"
        let address =
            "千代田区" + place + lot + (town.countsLots ? "番地" + (random.chance(60) ? number : "") : "番" + number + "号")
        return SampleHousehold(
            members: members,
            postalCode: town.postalCode,
            address: address,
            building: building(in: town)
        )
    }

    // MARK: Who lives together

    private mutating func japaneseHousehold() -> [SamplePerson] {
        let family = SampleName.families.draw(&random)
        let name = (text: family.form(&random), kana: family.kana)
        func person(_ random: inout SplitMix64, age: Int, sex: String, _ relationship: String) -> SamplePerson {
            let birth = SamplePeople.birth(age: age, &random)
            let generation = SampleName.generation(born: birth.year)
            let given = random.pick(sex == "F" ? SampleName.women[generation] : SampleName.men[generation])
            return SamplePerson(
                familyName: name.text,
                givenName: given.form(&random),
                familyKana: name.kana,
                givenKana: given.kana,
                birth: birth,
                sex: sex,
                relationship: relationship,
                movedIn: birth
            )
        }
        let headSex = random.chance(35) ? "F" : "M"
        let partner = headSex == "F" ? (sex: "M", relationship: "夫") : (sex: "F", relationship: "妻")
        switch SamplePeople.kinds.draw(&random) {
        case .single:
            let ages = SamplePeople.singleAges.draw(&random)
            return [person(&random, age: random.within(ages), sex: random.chance(52) ? "F" : "M", "世帯主")]
        case .couple:
            let age = random.within(24...64)
            return [
                person(&random, age: age, sex: headSex, "世帯主"),
                person(&random, age: max(20, age + random.within(-6...4)), sex: partner.sex, partner.relationship),
            ]
        case .family:
            let age = random.within(27...52)
            var members = [
                person(&random, age: age, sex: headSex, "世帯主"),
                person(&random, age: max(24, age + random.within(-5...3)), sex: partner.sex, partner.relationship),
            ]
            for _ in 0..<random.within(1...3) { members.append(child(of: age, &random, person)) }
            return members
        case .singleParent:
            let age = random.within(26...54)
            var members = [person(&random, age: age, sex: random.chance(80) ? "F" : "M", "世帯主")]
            for _ in 0..<random.within(1...2) { members.append(child(of: age, &random, person)) }
            return members
        case .elderlyCouple:
            let age = random.within(66...95)
            return [
                person(&random, age: age, sex: "M", "世帯主"),
                person(&random, age: max(62, age + random.within(-7...2)), sex: "F", "妻"),
            ]
        case .threeGenerations:
            let age = random.within(34...56)
            return [
                person(&random, age: age, sex: headSex, "世帯主"),
                person(&random, age: age + random.within(-4...2), sex: partner.sex, partner.relationship),
                child(of: age, &random, person),
                person(&random, age: min(101, age + random.within(24...36)), sex: "F", "母"),
            ]
        }
    }

    private func child(
        of age: Int,
        _ random: inout SplitMix64,
        _ person: (inout SplitMix64, Int, String, String) -> SamplePerson
    ) -> SamplePerson {
        let years = min(23, max(0, age - random.within(24...38)))
        return person(&random, years, random.chance(49) ? "F" : "M", "子")
    }

    private mutating func foreignHousehold() -> [SamplePerson] {
        let name = random.pick(SampleForeigner.all)
        let birth = SamplePeople.birth(age: random.within(19...62), &random)
        return [
            SamplePerson(
                familyName: name.family,
                givenName: name.given,
                familyKana: name.familyKana,
                givenKana: name.givenKana,
                birth: birth,
                sex: name.sex,
                relationship: "世帯主",
                movedIn: birth,
                standing: "外国人",
                languages: name.languages
            )
        ]
    }

    // MARK: How the register writes it

    /// A household moves in on one day, once its head is grown up, and half of them within the last ten years; who was
    /// born later has lived there since birth.
    private mutating func writeMove(of members: inout [SamplePerson]) {
        let head = members[0].birth
        let earliest = max(1960, min(2026, head.year + 18))
        let year =
            earliest > 2016 || random.chance(40)
            ? random.within(max(earliest, 2017)...2026) : random.within(earliest...2016)
        let month = random.within(1...(year == SamplePeople.today.year ? 10 : 12))
        let day = random.within(1...Day.length(ofMonth: month, in: year))
        let moved = Day(year: year, month: month, day: day)!
        for index in members.indices { members[index].movedIn = max(moved, members[index].birth) }
    }

    private mutating func writePhones(of members: inout [SamplePerson]) {
        let shared = random.chance(25) ? phone(prefix: "03") : ""
        for index in members.indices {
            let isAdult = members[index].birth.year <= 2010
            if isAdult, random.chance(68) {
                members[index].phone = phone(prefix: random.pick(["090", "080", "070"]))
            } else if isAdult || random.chance(30) {
                members[index].phone = shared
            }
        }
    }

    /// A number that nobody has: behind the prefix no real one begins with 0.
    ///
    /// Written as people write them.
    private mutating func phone(prefix: String) -> String {
        let exchange = "0" + SamplePeople.padded(random.below(1000), 3)
        let line = SamplePeople.padded(random.below(10000), 4)
        return switch random.below(100) {
        case ..<84: "\(prefix)-\(exchange)-\(line)"
        case ..<92: prefix + exchange + line
        case ..<96: "\(prefix)(\(exchange))\(line)"
        default: SamplePeople.fullWidth("\(prefix)-\(exchange)-\(line)")
        }
    }

    /// One household in eleven came from a system that kept kana at half width; one in thirty writes large kana only.
    private mutating func writeKana(of members: inout [SamplePerson]) {
        let style = random.below(100)
        guard style < 12 else { return }
        for index in members.indices {
            func write(_ kana: String) -> String { style < 9 ? Kana.halfWidth(of: kana) : SamplePeople.largeKana(kana) }
            members[index].familyKana = write(members[index].familyKana)
            members[index].givenKana = write(members[index].givenKana)
        }
    }

    private mutating func building(in town: SampleTown) -> String {
        guard random.chance(72) else { return "" }
        let style = random.pick([
            "\(town.name)スカイハイム", "お濠ばたレジデンス", "コート内堀", "プラザ千鳥ヶ淵\u{2161}", "グリーンテラス\(town.name)",
            "メゾン・ド・ソレイユ", "第３大和荘", "ヴィラ桜通り", "Park View \(town.postalCode.suffix(3))", "ｺｰﾎﾟ江戸城",
            "丸八ビル", "シャトー神田川", "都営\(town.name)アパート",
        ])
        let room = random.within(1...17) * 100 + random.within(1...12)
        return switch random.below(10) {
        case ..<6: "\(style)\(room)号室"
        case ..<8: "\(style) \(room)"
        case 8: style + SamplePeople.fullWidth("\(room)") + "号室"
        default: "\(style)\(room / 100)階"
        }
    }

    // MARK: Days and digits

    private static func birth(age: Int, _ random: inout SplitMix64) -> Day {
        var year = max(1925, today.year - age)
        let month = random.within(1...12)
        // Somebody of that age by today: who has a birthday later in the year was born a year earlier.
        if month > 10, year > 1925 { year -= 1 }
        return Day(year: year, month: month, day: random.within(1...Day.length(ofMonth: month, in: year)))!
    }

    static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }

    private static func fullWidth(_ ascii: String) -> String {
        var out = String.UnicodeScalarView()
        for scalar in ascii.unicodeScalars { out.append(Unicode.Scalar(scalar.value + 0xFEE0)!) }
        return String(out)
    }

    private static func largeKana(_ kana: String) -> String {
        let small: [Unicode.Scalar: Unicode.Scalar] = ["ャ": "ヤ", "ュ": "ユ", "ョ": "ヨ", "ッ": "ツ"]
        var out = String.UnicodeScalarView()
        for scalar in kana.unicodeScalars { out.append(small[scalar] ?? scalar) }
        return String(out)
    }
}
