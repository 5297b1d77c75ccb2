// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The towns of Chiyoda ward in which somebody lives, with their real 丁目 and postal codes.
struct SampleTown: Sendable {
    /// 麹町.
    let name: String
    /// 1020083.
    let postalCode: String
    /// The 丁目 that exist; empty where the town has none.
    let sections: [Int]
    /// Lots are counted in 番地 here, in 番 and 号 elsewhere.
    let countsLots: Bool

    /// The town with a section, 麹町三丁目; sections are written with kanji, as the register does.
    func place(_ random: inout SplitMix64) -> String {
        sections.isEmpty ? name : name + SampleTown.numerals[random.pick(sections)] + "丁目"
    }

    private static let numerals = ["", "一", "二", "三", "四", "五", "六"]

    /// All of them, weighted by how many live there.
    static let all = Weighted(
        table.split(separator: "\n").map { line -> (SampleTown, weight: Int) in
            let parts = line.split(separator: " ")
            let bounds = parts[2].split(separator: "-").map { Int($0)! }
            let sections = bounds[0] == 0 ? [] : Array(bounds[0]...bounds[bounds.count - 1])
            let town = SampleTown(
                name: String(parts[0]),
                postalCode: String(parts[1]),
                sections: sections,
                countsLots: parts[0].hasPrefix("神田") || parts[0].hasPrefix("岩本町")
            )
            return (town, Int(parts[3])!)
        }
    )

    /// Town, postal code, first and last 丁目 (0 for none), weight.
    private static let table = """
        麹町 1020083 1-6 40
        一番町 1020082 0 38
        二番町 1020084 0 20
        三番町 1020075 0 34
        四番町 1020081 0 22
        五番町 1020076 0 10
        六番町 1020085 0 18
        九段南 1020074 1-4 26
        九段北 1020073 1-4 24
        富士見 1020071 1-2 42
        飯田橋 1020072 1-4 34
        平河町 1020093 1-2 16
        紀尾井町 1020094 0 4
        隼町 1020092 0 6
        永田町 1000014 1-2 6
        霞が関 1000013 1-3 1
        内幸町 1000011 1-2 1
        丸の内 1000005 1-3 1
        大手町 1000004 1-2 1
        有楽町 1000006 1-2 1
        千代田 1000001 0 1
        一ツ橋 1000003 1 1
        一ツ橋 1010003 2 2
        西神田 1010065 1-3 18
        神田神保町 1010051 1-3 36
        神田三崎町 1010061 1-3 14
        神田猿楽町 1010064 1-2 10
        神田駿河台 1010062 1-4 10
        神田錦町 1010054 1-3 12
        神田小川町 1010052 1-3 12
        神田美土代町 1010053 0 2
        神田淡路町 1010063 1-2 16
        神田司町 1010048 2 6
        神田多町 1010046 2 8
        神田須田町 1010041 1-2 14
        神田鍛冶町 1010045 3 2
        鍛冶町 1010044 1-2 6
        内神田 1010047 1-3 14
        外神田 1010021 1-6 36
        神田練塀町 1010022 0 4
        神田松永町 1010023 0 3
        神田相生町 1010029 0 1
        神田平河町 1010027 0 2
        神田佐久間町 1010025 1-4 16
        神田佐久間河岸 1010026 0 4
        神田和泉町 1010024 0 16
        岩本町 1010032 1-3 26
        神田岩本町 1010033 0 6
        東神田 1010031 1-3 30
        神田東松下町 1010042 0 8
        神田富山町 1010043 0 4
        神田東紺屋町 1010034 0 6
        神田紺屋町 1010035 0 5
        神田北乗物町 1010036 0 3
        神田西福田町 1010037 0 3
        神田美倉町 1010038 0 3
        """
}
