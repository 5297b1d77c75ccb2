// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The sentences of refused cells, in one place so that they stay alike.
struct CellProblems {
    let column: String
    let bytes: UnsafeBufferPointer<UInt8>

    private func make(_ code: RowProblem.Code, _ what: Bilingual, _ remedy: Bilingual) -> RowProblem {
        RowProblem(code, column: column, value: bytes, what: what, remedy: remedy)
    }

    func tooLong(max: Int) -> RowProblem {
        make(
            .tooLong,
            Bilingual(
                ja: "\(bytes.count)バイトあり、上限の\(max)バイトを超えています",
                en: "\(bytes.count) bytes, at most \(max)"
            ),
            Bilingual(ja: "短くしてください", en: "Shorten it")
        )
    }

    func tooManyMembers(_ count: Int, max: Int) -> RowProblem {
        make(
            .tooLong,
            Bilingual(ja: "\(count)個あり、上限の\(max)個を超えています", en: "\(count) members, at most \(max)"),
            Bilingual(ja: "減らしてください", en: "List fewer")
        )
    }

    func controlCharacter(_ byte: UInt8) -> RowProblem {
        let name = "U+00" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        return make(
            .controlCharacter,
            Bilingual(ja: "制御文字 \(name) が入っています", en: "it holds the control character \(name)"),
            Bilingual(ja: "その文字を取り除いてください", en: "Remove that character")
        )
    }

    var notUTF8: RowProblem {
        make(.notUTF8, ForeignEncoding.perhapsShiftJIS.what, ForeignEncoding.perhapsShiftJIS.remedy)
    }

    var empty: RowProblem {
        make(
            .empty,
            Bilingual(ja: "空です", en: "it is empty"),
            Bilingual(ja: "この列は必ず記入してください", en: "Fill this column in every row")
        )
    }

    var exponentForm: RowProblem {
        make(
            .exponentForm,
            Bilingual(
                ja: "表計算ソフトが指数の形に変えており、元の桁が失われています",
                en: "a spreadsheet turned it into an exponent form and lost digits"
            ),
            Bilingual(
                ja: "元の値を、文字列の書式にした列へ入れ直してください",
                en: "Enter the original value in a column formatted as text"
            )
        )
    }

    func notDigits(_ length: ClosedRange<Int>) -> RowProblem {
        let count =
            length.lowerBound == length.upperBound
            ? "\(length.lowerBound)" : "\(length.lowerBound)-\(length.upperBound)"
        return make(
            .notDigits,
            Bilingual(ja: "半角数字\(count)桁ではありません", en: "it is not \(count) ASCII digits"),
            Bilingual(
                ja: "全角の数字、空白、記号を含まない番号にしてください",
                en: "Write the number without full-width digits, spaces or signs"
            )
        )
    }

    var notCode: RowProblem {
        make(
            .notCode,
            Bilingual(
                ja: "64文字以内の半角英数字、ハイフン、下線、ピリオドではありません",
                en: "it is not up to 64 ASCII letters, digits, hyphens, underscores and full stops"
            ),
            Bilingual(ja: "コードを書き直してください", en: "Write the code in these characters")
        )
    }

    var lostZero: RowProblem {
        let proposal = "0" + RowProblem.safe(bytes)
        return make(
            .lostZero,
            Bilingual(ja: "先頭の0が失われたようです", en: "it seems to have lost its first 0"),
            Bilingual(
                ja: "「\(proposal)」が正しいなら、そう書き直してください",
                en: "Write \"\(proposal)\" if that is right"
            )
        )
    }

    var postalCode: RowProblem {
        make(
            .postalCode,
            Bilingual(ja: "郵便番号の半角数字7桁ではありません", en: "it is not a postal code of 7 ASCII digits"),
            Bilingual(ja: "1020083 または 102-0083 のように書いてください", en: "Write it like 1020083 or 102-0083")
        )
    }

    var date: RowProblem {
        make(
            .date,
            Bilingual(ja: "存在する日付ではありません", en: "it is not a day that exists"),
            Bilingual(ja: "2026-12-01 のように書いてください", en: "Write it like 2026-12-01")
        )
    }

    var dateInAddress: RowProblem {
        make(
            .dateInAddress,
            Bilingual(
                ja: "表計算ソフトが番地を日付に変えたようです",
                en: "a spreadsheet seems to have turned a house number into a date"
            ),
            Bilingual(ja: "元の住所を書き直してください", en: "Write the original address")
        )
    }

    var time: RowProblem {
        make(
            .time,
            Bilingual(
                ja: "開始より後に終わる12時間以内の時間帯ではありません",
                en: "it is not a time that ends after its start, within 12 hours"
            ),
            Bilingual(ja: "10:00-12:00 のように書いてください", en: "Write it like 10:00-12:00")
        )
    }

    var deadline: RowProblem {
        make(
            .deadline,
            Bilingual(ja: "教室の日より後です", en: "it is after the day of the lesson"),
            Bilingual(ja: "教室の日までの日付を書いてください", en: "Write the day of the lesson or an earlier one")
        )
    }

    func notNumber(_ range: ClosedRange<Int64>) -> RowProblem {
        make(
            .notNumber,
            Bilingual(ja: "半角数字の整数ではありません", en: "it is not a whole number in ASCII digits"),
            bounds(range)
        )
    }

    func outOfRange(_ range: ClosedRange<Int64>) -> RowProblem {
        make(.outOfRange, Bilingual(ja: "範囲の外です", en: "it is out of range"), bounds(range))
    }

    private func bounds(_ range: ClosedRange<Int64>) -> Bilingual {
        Bilingual(
            ja: "\(range.lowerBound)から\(range.upperBound)までの数を書いてください",
            en: "Write a number from \(range.lowerBound) to \(range.upperBound)"
        )
    }

    func notInList(_ words: [String]) -> RowProblem {
        let list = words.joined(separator: ", ")
        return make(
            .notInList,
            Bilingual(ja: "決められた値ではありません", en: "it is none of the values in use"),
            Bilingual(ja: "次のどれかを書いてください: \(list)", en: "Write one of: \(list)")
        )
    }

    var spaceName: RowProblem {
        make(
            .spaceName,
            Bilingual(ja: "教室のスペース名ではありません", en: "it is not the name of a lesson space"),
            Bilingual(
                ja: "lessons/hibiya のように半角の小文字、数字、ハイフン32文字以内で書いてください",
                en: "Write it like lessons/hibiya, with up to 32 lowercase letters, digits and hyphens"
            )
        )
    }

    var personMissing: RowProblem {
        make(
            .personMissing,
            Bilingual(ja: "予約する人が書かれていません", en: "nobody is named"),
            Bilingual(ja: "宛名番号か氏名を書いてください", en: "Write the resident's number, or a name")
        )
    }

    var personTwice: RowProblem {
        make(
            .personTwice,
            Bilingual(
                ja: "宛名番号と、氏名・カナ・電話・年齢区分の両方があります",
                en: "both a resident's number and a typed person stand here"
            ),
            Bilingual(
                ja: "住民なら宛名番号だけを、そうでなければ氏名などだけを書いてください",
                en: "Give the number alone for a resident, or the typed person alone"
            )
        )
    }
}
