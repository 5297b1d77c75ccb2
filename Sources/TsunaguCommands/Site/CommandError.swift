// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
package import TsunaguStore

/// Why a command did not do what was asked: one code decides exit status, HTTP status and the sentence.
package struct CommandError: Error, Sendable {
    /// Families of errors, each with its exit status.
    package enum Code: String, Sendable, CaseIterable {
        case failed
        case usage
        case badInput = "bad_input"
        case notFound = "not_found"
        case unreachable
        case tryAgain = "try_again"
        case notPermitted = "not_permitted"
        /// Exactly this person is kept at the ward office.
        case askWardOffice = "ask_ward_office"

        /// After `sysexits.h`.
        package var exitStatus: Int32 {
            switch self {
            case .failed: 1
            case .usage: 64
            case .badInput: 65
            case .notFound: 66
            case .unreachable: 69
            case .tryAgain: 75
            case .notPermitted, .askWardOffice: 77
            }
        }
    }

    package let code: Code
    /// What happened.
    package let message: Localized
    /// To which record or row.
    package let record: String?
    /// What to do next.
    package let hint: Localized?

    package init(_ code: Code, _ message: Localized, record: String? = nil, hint: Localized? = nil) {
        self.code = code
        self.message = message
        self.record = record
        self.hint = hint
    }
}

/// A sentence in the two languages that people are spoken to.
package struct Localized: Sendable, Hashable {
    package let ja: String
    package let en: String

    package init(ja: String, en: String) {
        self.ja = ja
        self.en = en
    }

    /// What is left where nothing on this machine sets a site right.
    static let startAgain = Localized(
        ja: "控えがあれば復元し、なければ新しい場所で参加し直してください",
        en: "restore a backup if there is one, else join again in another place"
    )
}

extension CommandError {
    /// The keys of a device that was in a ward stand without its database.
    static func databaseLost(_ directory: DataDirectory, _ code: Code) -> CommandError {
        CommandError(
            code,
            Localized(
                ja: "データベースがなくなっています（端末の鍵は残っています）: \(directory.database)",
                en: "the database \(directory.database) is missing, though the keys of a device are there"
            ),
            hint: Localized(
                ja: "残っているファイルを消さずに、控えがあれば tsunagu restore 控え --force で戻してください。"
                    + "控えのない本庁は tsunagu init --recover、ほかの拠点は新しい場所で tsunagu join をしてください",
                en:
                    "remove nothing of what is left; restore a backup with 'tsunagu restore FILE --force'; without one, a centre "
                    + "begins again with 'tsunagu init --recover', and another site joins anew in another place"
            )
        )
    }

    /// What an error of the store means for a person.
    package init(_ error: StoreError) {
        switch error {
        case .missing(let path):
            self.init(
                .notFound,
                Localized(ja: "データがありません: \(path)", en: "there is no data at \(path)"),
                hint: Localized(
                    ja: "tsunagu init で自治体を作るか、tsunagu join で参加してください",
                    en: "begin a ward with 'tsunagu init', or join one with 'tsunagu join'"
                )
            )
        case .exists(let path):
            self.init(
                .failed,
                Localized(ja: "すでにデータがあります: \(path)", en: "there is data already: \(path)"),
                hint: Localized(ja: "--data で別の場所を指定してください", en: "name another place with --data")
            )
        case .unusable(let path, let reason):
            self.init(
                .failed,
                Localized(ja: "データベースを開けません: \(path): \(reason)", en: "the database \(path) cannot be used: \(reason)"),
                hint: Localized(
                    ja: "ファイルはそのまま残してください。\(Localized.startAgain.ja)",
                    en: "leave the file as it is; \(Localized.startAgain.en)"
                )
            )
        case .tooNew(let path, let version):
            self.init(
                .failed,
                Localized(
                    ja: "新しい版のプログラムが作ったデータです: \(path)（版 \(version)）",
                    en: "a newer program made \(path) (version \(version))"
                ),
                hint: Localized(ja: "tsunagu を更新してください", en: "update tsunagu")
            )
        case .damaged(let reason):
            self.init(
                .failed,
                Localized(ja: "データベースが壊れています: \(reason)", en: "the database is damaged: \(reason)"),
                hint: Localized(
                    ja: "tsunagu doctor --repair で直してください。直せなければ、\(Localized.startAgain.ja)",
                    en: "run 'tsunagu doctor --repair'; where that does not help, \(Localized.startAgain.en)"
                )
            )
        case .inaccessible(let path, let reason):
            self.init(
                .failed,
                Localized(ja: "開けないか書けません: \(path): \(reason)", en: "\(path) cannot be opened or written: \(reason)"),
                hint: Localized(ja: "場所と権限を確かめてください", en: "check the path and its permissions")
            )
        case .disk(let detail):
            self.init(
                .failed,
                Localized(ja: "ディスクに書けません: \(detail)", en: "the disk refused: \(detail)"),
                hint: Localized(ja: "空き容量とディスクの状態を確かめてください", en: "check free space and the disk itself")
            )
        case .busy:
            self.init(
                .tryAgain,
                Localized(ja: "ほかの処理が書き込み中です", en: "another process is writing"),
                hint: Localized(ja: "少し待ってやり直してください", en: "try again in a moment")
            )
        case .damagedLog(let space, let replica, let seq, let cause):
            self.init(
                .failed,
                Localized(
                    ja: "記録が壊れています: \(space) \(replica.device.short) \(seq): \(cause)",
                    en: "the log is damaged: \(space) \(replica.device.short) \(seq): \(cause)"
                ),
                hint: Localized(ja: "tsunagu doctor --repair で調べてください", en: "run 'tsunagu doctor --repair'")
            )
        case .noSuchStep(let group, let state):
            self.init(
                .badInput,
                Localized(
                    ja: "\(group) を \(state) に進められません",
                    en: "\(group) cannot go to \(state) from where it stands"
                ),
                hint: Localized(ja: "今の状態を確かめてください", en: "look at the present state")
            )
        case .revoked:
            self.init(
                .notPermitted,
                Localized(ja: "この端末の権限は終わりました", en: "this device's rights have ended"),
                hint: Localized(
                    ja: "tsunagu sync で、未送信の入力を本庁に渡してください",
                    en: "hand in what is unsent with 'tsunagu sync'"
                )
            )
        case .notWriter(let number, let group):
            let collection = Site.schema.collection(number)
            let named = collection?.group(group)
            self.init(
                .notPermitted,
                Localized(
                    ja: "この端末の役割では\(collection?.label ?? "")の\(named?.label ?? "記録")を書けません",
                    en: "this device's role does not write \(named?.name ?? "records") of \(collection?.name ?? "")"
                ),
                hint: Localized(ja: "本庁に依頼してください", en: "ask the ward office")
            )
        case .changeTooLarge(let bytes):
            self.init(
                .badInput,
                Localized(ja: "一度の変更が大きすぎます（\(bytes) バイト）", en: "one change of \(bytes) bytes is too large"),
                hint: Localized(ja: "分けて入力してください", en: "split it")
            )
        }
    }
}
