// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// Common names, none of a person, in the forms that registers really hold.
struct SampleName: Sendable {
    /// The usual form.
    let text: String
    /// カナ.
    let kana: String
    /// Other forms of the same name, each for so many of a hundred bearers.
    let variants: [(text: String, percent: Int)]

    /// The usual form or one of the others.
    func form(_ random: inout SplitMix64) -> String {
        var point = random.below(100)
        for (text, percent) in variants {
            if point < percent { return text }
            point -= percent
        }
        return text
    }

    private init(_ parts: [Substring]) {
        text = String(parts[0])
        kana = String(parts[1])
        variants = parts.dropFirst(2).compactMap { part in
            let pair = part.split(separator: ":")
            return pair.count == 2 ? (String(pair[0]), Int(pair[1])!) : nil
        }
    }

    /// Family names: name, kana, weight, then `form:percent`.
    static let families = Weighted(
        familyTable.split(separator: "\n").map { line -> (SampleName, weight: Int) in
            var parts = line.split(separator: " ")
            let weight = Int(parts.remove(at: 2))!
            return (SampleName(parts), weight)
        }
    )

    /// Given names of women and of men, by the generation that bears them: born to 1945, to 1975, to 2000, later.
    static let women = womenTables.map(given)
    static let men = menTables.map(given)

    /// The index into `women` and `men` of a birth year.
    static func generation(born year: Int) -> Int { year <= 1945 ? 0 : year <= 1975 ? 1 : year <= 2000 ? 2 : 3 }

    private static func given(_ table: String) -> [SampleName] {
        table.split { $0 == "," || $0 == "\n" }.map { SampleName($0.split(separator: " ")) }
    }

    private static let familyTable = """
        佐藤 サトウ 46
        鈴木 スズキ 42
        高橋 タカハシ 34 \u{9AD9}橋:16
        田中 タナカ 32
        渡辺 ワタナベ 28 渡\u{9089}:14 渡\u{908A}:12 渡部:4
        小林 コバヤシ 24
        伊藤 イトウ 26
        斎藤 サイトウ 20 \u{6589}藤:30 \u{9F4B}藤:14 \u{9F4A}藤:8
        吉田 ヨシダ 20 \u{20BB7}田:9
        加藤 カトウ 20
        松本 マツモト 16
        山崎 ヤマザキ 14 山\u{FA11}:22
        井上 イノウエ 15
        清水 シミズ 13
        阿部 アベ 11
        森 モリ 11
        池田 イケダ 11
        石川 イシカワ 10
        長谷川 ハセガワ 9
        小川 オガワ 9
        岡田 オカダ 9
        近藤 コンドウ 9
        遠藤 エンドウ 8
        青木 アオキ 8
        藤井 フジイ 8
        大塚 オオツカ 5 大\u{FA10}:6
        川崎 カワサキ 4 川\u{FA11}:25
        高崎 タカサキ 2 \u{9AD9}\u{FA11}:30
        神谷 カミヤ 4 \u{FA19}谷:18
        福島 フクシマ 5 \u{FA1B}島:6 福嶋:12
        羽田 ハダ 2 \u{FA1E}田:8
        都築 ツヅキ 2 \u{FA26}築:10
        葛西 カサイ 3 葛\u{E0100}西:30
        辻 ツジ 5 辻\u{E0100}:30 辻\u{E0101}:8
        浜田 ハマダ 5 \u{6FF1}田:30 \u{6FF5}田:8
        沢田 サワダ 4 \u{6FA4}田:35
        島田 シマダ 5 \u{5D8B}田:18
        広瀬 ヒロセ 4 \u{5EE3}瀬:22 \u{5EE3}\u{7028}:4
        桜井 サクライ 5 \u{6AFB}井:30
        富田 トミタ 3 \u{51A8}田:20
        真田 サナダ 2 \u{771E}田:25
        滝沢 タキザワ 3 \u{7027}\u{6FA4}:25
        柳沢 ヤナギサワ 3 \u{67F3}\u{6FA4}:25
        黒沢 クロサワ 3 \u{9ED1}\u{6FA4}:20
        塩野 シオノ 2
        曽根 ソネ 2 \u{66FE}根:35
        館山 タテヤマ 1 \u{8218}山:30
        関口 セキグチ 4 \u{95DC}口:8
        国分 コクブ 1 \u{570B}分:20
        竜崎 リュウザキ 1 \u{9F8D}\u{FA11}:40
        徳永 トクナガ 3 \u{5FB7}永:12
        恵美 エミ 1
        佐々木 ササキ 16
        五味 ゴミ 1
        一条 イチジョウ 1 一\u{689D}:20
        三枝 サエグサ 1
        小鳥遊 タカナシ 1
        東海林 ショウジ 1
        勅使河原 テシガワラ 1
        四月一日 ワタヌキ 1
        平 タイラ 2
        菅 スガ 2
        菅野 カンノ 3
        堀 ホリ 4
        堀口 ホリグチ 3
        松浦 マツウラ 4
        市川 イチカワ 6
        服部 ハットリ 4
        平野 ヒラノ 5
        水野 ミズノ 5
        望月 モチヅキ 3
        大西 オオニシ 4
        大沢 オオサワ 3 大\u{6FA4}:20
        土屋 ツチヤ 4
        杉山 スギヤマ 5
        荒井 アライ 4
        新井 アライ 5
        永井 ナガイ 4
        浅野 アサノ 3
        川口 カワグチ 4
        古川 フルカワ 4
        川村 カワムラ 4
        本田 ホンダ 4
        松井 マツイ 4
        久保田 クボタ 4
        成田 ナリタ 3
        須藤 スドウ 3
        星野 ホシノ 3
        飯島 イイジマ 3
        鎌田 カマタ 2
        野口 ノグチ 4
        武田 タケダ 4
        千葉 チバ 4
        熊谷 クマガイ 2
        早川 ハヤカワ 2
        宇野 ウノ 2
        梅沢 ウメザワ 1 梅\u{6FA4}:25
        薄井 ウスイ 1
        """

    private static let womenTables = [
        """
        キヨ キヨ,ハル ハル,トミ トミ,千代 チヨ,静江 シズエ \u{975C}江:20,文子 フミコ,八重子 ヤエコ,すゞ スズ,ミツエ ミツエ
        貞子 サダコ,光子 ミツコ,清子 キヨコ \u{6DF8}子:6,節子 セツコ,トヨ トヨ,ヨシ ヨシ,うめ ウメ
        """,
        """
        洋子 ヨウコ,京子 キョウコ,恵美子 エミコ \u{60E0}美子:12,順子 ジュンコ,悦子 エツコ,めぐみ メグミ,祥子 ショウコ \u{FA1A}子:10
        真理子 マリコ \u{771E}理子:15,弘美 ヒロミ,純子 ジュンコ,雅子 マサコ,みどり ミドリ,桂子 ケイコ,仁美 ヒトミ,礼子 レイコ \u{79AE}子:6
        """,
        """
        香織 カオリ,沙織 サオリ,千尋 チヒロ,友美 トモミ,渚 ナギサ \u{FA46}:15,瞳 ヒトミ,奈緒 ナオ,綾香 アヤカ
        ひとみ ヒトミ,晴香 ハルカ \u{FA12}香:8,遥 ハルカ,真帆 マホ,瑠美 ルミ,絵里 エリ,ゆかり ユカリ,あゆみ アユミ
        """,
        """
        心春 コハル,陽菜 ヒナ,澪 ミオ,詩織 シオリ,凪 ナギ,琴音 コトネ,一花 イチカ,すみれ スミレ
        ひなた ヒナタ,海音 ミオン \u{FA45}音:10,結衣 ユイ,柚葉 ユズハ,和奏 ワカナ,咲良 サクラ,みのり ミノリ,つむぎ ツムギ
        """,
    ]

    private static let menTables = [
        """
        清 キヨシ \u{6DF8}:8,勇 イサム,義雄 ヨシオ,武 タケシ,三郎 サブロウ,正雄 マサオ,辰男 タツオ,寅吉 トラキチ
        実 ミノル \u{5BE6}:8,喜一 キイチ,栄一 エイイチ \u{69AE}一:8,弥助 ヤスケ,光男 ミツオ,善次郎 ゼンジロウ,徳三 トクゾウ,金吾 キンゴ
        """,
        """
        修 オサム,進 ススム,浩 ヒロシ,隆 タカシ \u{F9DC}:8,和彦 カズヒコ,秀樹 ヒデキ,健二 ケンジ,哲也 テツヤ
        敏明 トシアキ,真一 シンイチ \u{771E}一:10,幸雄 ユキオ,良治 リョウジ,精一 セイイチ \u{FA1D}一:8,昭 アキラ,裕司 ユウジ,達夫 タツオ
        """,
        """
        大地 ダイチ,亮太 リョウタ,祐介 ユウスケ,智也 トモヤ,竜也 タツヤ \u{9F8D}也:20,康平 コウヘイ,純一 ジュンイチ,圭 ケイ
        駿 シュン,悠 ユウ,雄太 ユウタ,慎吾 シンゴ,将太 ショウタ \u{5C07}太:10,匠 タクミ,勝利 カツトシ,大介 ダイスケ
        """,
        """
        碧 アオイ,大和 ヤマト,伊織 イオリ,暖 ダン,奏太 ソウタ,新太 アラタ,理人 リヒト,蒼 アオ
        晴 ハル \u{FA12}:8,朔 サク,翼 ツバサ,海斗 カイト \u{FA45}斗:8,陸 リク,惺 セイ,いぶき イブキ,直人 ナオト
        """,
    ]
}

/// Names of foreign residents as residence cards have them.
struct SampleForeigner: Sendable {
    let family: String
    let given: String
    let familyKana: String
    let givenKana: String
    /// F or M.
    let sex: String
    /// 使用言語, separated by semicolons.
    let languages: String

    static let all: [SampleForeigner] = table.split(separator: "\n").map { line in
        let parts = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
        return SampleForeigner(
            family: parts[0],
            given: parts[1],
            familyKana: parts[2],
            givenKana: parts[3],
            sex: parts[4],
            languages: parts[5]
        )
    }

    private static let table = """
        WANG|XIAOLI|ワン|シャオリー|F|中国語
        \u{738B}|秀英|ワン|シウイン|F|中国語;日本語
        \u{674E}|建国|リー|ジェングオ|M|中国語
        ZHANG|WEI|ジャン|ウェイ|M|中国語
        CHEN|YI-LING|チェン|イーリン|F|中国語;英語
        KIM|MINJUN|キム|ミンジュン|M|韓国語
        PARK|JIWOO|パク|ジウ|F|韓国語;日本語
        \u{91D1}|永愛|キム|ヨンエ|F|韓国語;日本語
        NGUYEN|THI LAN|グエン|ティ・ラン|F|ベトナム語
        TRAN|VAN MINH|チャン|ヴァン・ミン|M|ベトナム語
        Nguy\u{1EC5}n|Qu\u{1ED1}c Anh|グエン|クオック・アイン|M|ベトナム語;英語
        SANTOS|MARIA JOSE|サントス|マリア・ホセ|F|英語
        DELA CRUZ|JUAN|デラ・クルス|ホアン|M|英語
        SHRESTHA|SITA|シュレスタ|シタ|F|ネパール語;英語
        SHARMA|RAJESH KUMAR|シャルマ|ラジェシュ・クマール|M|英語
        SMITH|JOHN MICHAEL|スミス|ジョン・マイケル|M|英語
        O'CONNOR|SIOBHAN|オコナー|シヴォーン|F|英語
        TAYLOR-JONES|EMMA|テイラー・ジョーンズ|エマ|F|英語
        M\u{DC}LLER|J\u{D6}RG|ミュラー|イェルク|M|英語
        DUPONT|H\u{C9}L\u{C8}NE|デュポン|エレーヌ|F|英語
        SILVA|PEDRO HENRIQUE|シルヴァ|ペドロ・エンリケ|M|ポルトガル語
        GARCIA|ANA|ガルシア|アナ|F|スペイン語
        IVANOVA|ELENA|イワノワ|エレーナ|F|ロシア語;英語
        THEIN|AYE AYE|テイン|エー・エー|F|ミャンマー語
        """
}
